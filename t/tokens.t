# SPDX-License-Identifier: Apache-2.0
#
# A token opens httpd's response door for one request, and until that has ended:
# any other one is refused, and touches nothing.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use Errno qw(EINVAL ESTALE);
use DoorTest;

plan tests => 11;

my ($estale, $einval) = (ESTALE + 0, EINVAL + 0);
my $expected = "own=0 stale=$estale stale-part=$estale forged=$estale "
    . "short=$einval none=$einval\n";

is GET('/tokens/keep')->content, "kept\n", 'a request keeps its token';
is GET('/tokens/try')->content, $expected, 'another one has only its own, which is good';

# The same child of httpd, and a stream of another application that runs in it.
{
    my ($socket, $rest) = (raw_open(), '');
    my $get = sub { "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n" };
    my $stream = raw_open();
    raw_send($stream, "GET /kitchen/stream?lines=20&ms=50 HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    raw_begins($stream) or die;
    my %seen;
    for (1 .. 10) {
        raw_send($socket, $get->('/tokens/keep') . $get->('/tokens/try'));
        is read_response($socket, \$rest)->{body}, "kept\n", 'on one connection' if $_ == 1;
        read_response($socket, \$rest) if $_ > 1;
        $seen{ read_response($socket, \$rest)->{body} }++;
    }
    is_deeply \%seen, { $expected => 10 }, '... it is the same' or diag explain \%seen;
    is $rest, '', '... and nothing else comes';
    is parse_response(raw_rest($stream))->{body}, join('', map { "line $_\n" } 1 .. 20),
        '... nor into a response that runs beside it';
}

# Many at once, each with the token of the last /keep, which has ended.
my @sockets = map {
    my $socket = raw_open();
    raw_send($socket, "GET /tokens/try HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    $socket;
} 1 .. 30;
my %seen;
$seen{ parse_response(raw_rest($_))->{body} }++ for @sockets;
is_deeply \%seen, { $expected => 30 }, '30 at once: likewise' or diag explain \%seen;
my $mark = mark_log();
is GET('/tokens/early')->code, 502, 'a part before the beginning: 502';
like log_like($mark, qr/makes no sense: a part before the/), qr/makes no sense/, '... the log says why';
is app_alive('tokens'), 1, 'the application lives';
is GET('/tokens/try')->content =~ /^own=0 /, 1, '... and serves';
