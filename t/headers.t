# SPDX-License-Identifier: Apache-2.0
#
# Response headers: repeated ones stay apart and in order, and what belongs to
# the connection is httpd's alone.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

plan tests => 22;

my $text = raw_request("GET /kitchen/headers HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n");
my $answer = parse_response($text);
is $answer->{status}, 200, 'the application sets headers';
my %headers = %{ $answer->{headers} };
my @own = grep { /^x-/ } keys %headers;
cmp_ok scalar @own, '>=', 1, 'its own ones arrive';
my ($repeated) = grep { @{ $headers{$_} } > 1 } sort keys %headers;
ok $repeated, 'a repeated one arrives repeated';
cmp_ok scalar @{ $headers{'set-cookie'} // [] }, '>=', 2, '... cookies among them';
is scalar @{ $headers{'content-type'} }, 1, 'there is one Content-Type';
is scalar @{ $headers{date} }, 1, '... and one Date';
is scalar @{ $headers{server} }, 1, '... and one Server';

# Fields of the connection: legal in the answer, but not to be passed on.
my $hop = parse_response(raw_request("GET /nonsense/hop-by-hop HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n"));
is $hop->{status}, 200, 'hop-by-hop fields make no error';
is $hop->{body}, "fine\n", '... and do not touch the body';
ok !exists $hop->{headers}{$_}, "$_ is dropped" for qw(keep-alive transfer-encoding te trailer
    upgrade proxy-thing proxy-authenticate proxy-connection x-private);
is $hop->{headers}{'x-public'}[0], '1', 'the others stay';
is_deeply $hop->{headers}{connection}, ['close'], "Connection is httpd's";

# The application's "Connection: close" is none of the client's business.
{
    my ($socket, $rest) = (raw_open(), '');
    my $request = "GET /nonsense/hop-by-hop HTTP/1.1\r\nHost: localhost\r\n\r\n";
    raw_send($socket, $request);
    my $first = read_response($socket, \$rest);
    ok !grep({ /close/i } @{ $first->{headers}{connection} // [] }), 'the connection is kept';
    raw_send($socket, $request);
    is read_response($socket, \$rest)->{status}, 200, '... and used again';
}
