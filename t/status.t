# SPDX-License-Identifier: Apache-2.0
#
# Statuses: what the application says is what the client gets.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use DoorTest;

my @statuses = (200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 303, 304, 307,
    308, 400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 412, 413, 415, 416, 418, 422, 428,
    429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 511, 599);

plan tests => @statuses + 10;

# Redirects must not be followed and bad statuses are no errors here: raw requests.
sub ask {
    my ($method, $code) = @_;
    return parse_response(raw_request("$method /kitchen/status?code=$code HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\n\r\n"));
}

is ask(GET => $_)->{status}, $_, "status $_" for @statuses;

for my $code (204, 304) {
    my $answer = ask(GET => $code);
    is $answer->{body}, '', "$code has no body";
    ok !exists $answer->{headers}{'transfer-encoding'}, '... and no chunks';
}

# What it has written for a 205 does not become the next answer, either.
{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, "GET $_ HTTP/1.1\r\nHost: localhost\r\n\r\n") for qw(/nonsense/status/205 /hello);
    my $answer = read_response($socket, \$rest);
    is "$answer->{status} $answer->{body}", '205 ', '205 has no body';
    like read_response($socket, \$rest)->{body}, qr/^Well, hello/, '... and the next answer is right';
}

# The application's own page, not httpd's.
unlike ask(GET => 404)->{body}, qr/The requested URL was not found/, "404 is the application's own";
unlike ask(GET => 500)->{body}, qr/unexpected condition/, '500 too';
is ask(HEAD => 404)->{status}, 404, 'HEAD keeps the status';
is ask(HEAD => 404)->{body}, '', '... without the body';
