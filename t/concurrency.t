# SPDX-License-Identifier: Apache-2.0
#
# Many requests at once through one door: each gets its own answer.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use Digest::MD5 qw(md5_hex);
use Time::HiRes qw(time);
use DoorTest;

plan tests => 8;

sub at_once {
    my ($count, $request) = @_;
    my @sockets = map {
        my $socket = raw_open();
        raw_send($socket, $request->($_));
        $socket;
    } 1 .. $count;
    return map { parse_response(raw_rest($_, 60)) } @sockets;
}

my @answers = at_once(64, sub {
    my $body = "body of $_[0] " x (50 * $_[0]);
    "POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
});
is scalar(grep { $_->{status} == 200 } @answers), 64, '64 at once: all are answered';
my @wrong = grep { $answers[$_ - 1]{body} ne "body of $_ " x (50 * $_) } 1 .. 64;
is_deeply \@wrong, [], '... each with its own body';

# Handlers that block overlap: 32 times half a second is not sixteen seconds.
# The first round lets prefork have its children.
my $sleep = sub { "GET /kitchen/sleep?ms=500 HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n" };
at_once(32, $sleep);
my $start = time;
my @slept = at_once(32, $sleep);
my $took = time - $start;
is scalar(grep { $_->{status} == 200 } @slept), 32, '32 handlers that sleep: all are answered';
cmp_ok $took, '<', 15, '... not one after the other';

@answers = at_once(48, sub {
    "GET /kitchen/big?bytes=" . 20_011 * $_[0] . " HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n";
});
@wrong = grep { md5_hex($answers[$_ - 1]{body}) ne md5_hex(pattern(20_011 * $_)) } 1 .. 48;
is_deeply \@wrong, [], '48 large answers at once, none mixed up';

# Different applications at the same time.
@answers = at_once(30, sub {
    "GET " . ('/hello', '/raw', '/kitchen/echo')[$_[0] % 3] . " HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n";
});
is scalar(grep { $_->{status} == 200 } @answers), 30, 'three applications at once';

# The application serves many with few threads, and httpd keeps no thread waiting.
like GET('/kitchen/threads')->content, qr/\d/, 'the application tells of its threads';
is_deeply [grep { !app_alive($_) } qw(hello kitchen raw)], [],
    'every application is the process it was';
