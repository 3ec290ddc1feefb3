# SPDX-License-Identifier: Apache-2.0
#
# DoorTimeout: 504, in time, and httpd's thread is free again.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use Time::HiRes qw(time);
use DoorTest;

plan tests => 13;

my $mark = mark_log();
my $start = time;
my $answer = GET '/impatient/sleep?ms=9000';
my $took = time - $start;
is $answer->code, 504, 'no answer within DoorTimeout: gateway timeout';
cmp_ok $took, '>', 1.9, '... not before';
cmp_ok $took, '<', 8.9, '... and before it would have answered';
my $line = log_like($mark, qr/run\/kitchen/);
like $line, qr/\[door:error\]/, '... logged as an error';
my $pid = app_pid('kitchen');
like $line, qr/\b$pid\b/, "... with the server's pid";

is GET('/unhurried/sleep?ms=200')->code, 200, 'an answer in time is no timeout';
is GET('/unhurried/env')->code, 200, 'the application goes on';
is GET('/patient/sleep?ms=3000')->code, 200, 'DoorTimeout 0 waits';
is GET('/kitchen/sleep?ms=3000')->code, 200, "so does httpd's own Timeout of a minute";

# More requests than there are threads: each thread has to come back.
my @sockets = map {
    my $socket = raw_open();
    raw_send($socket, "GET /impatient/sleep?ms=6000 HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    $socket;
} 1 .. 40;
my %status;
$status{ parse_response(raw_rest($_))->{status} }++ for @sockets;
is_deeply \%status, { 504 => 40 }, '40 at once all time out';
ok wait_for(sub { GET('/hello')->code == 200 }), '... and httpd serves';

# Time that the client takes to send does not count.  Nor should that for which the machine
# stands still, and it does: then there is another try.
my $body;
for (1 .. 5) {
    my $socket = raw_open();
    raw_send($socket, "POST /impatient/echo HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Length: 2\r\nConnection: close\r\n\r\na");
    select undef, undef, undef, 2.6;
    raw_send($socket, 'b');
    $body = parse_response(raw_rest($socket))->{body};
    last if $body eq 'ab';
}
is $body, 'ab', 'a slow client is no slow application';

# Nor the time that it takes to read.
for (1 .. 5) {
    my $socket = raw_open();
    raw_send($socket, "GET /impatient/big?bytes=12000000 HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    select undef, undef, undef, 2.6;
    $body = parse_response(raw_rest($socket))->{body};
    last if length $body == 12_000_000;
}
is length $body, 12_000_000, '... nor is a slow reader';
