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
use Errno qw(EBUSY EINVAL ENFILE ESTALE);
use DoorTest;

plan tests => 19;

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
like log_like($mark, qr/broke the protocol: it began the response twice/), qr/broke the protocol/, '... the log says why';
is app_alive('tokens'), 1, 'the application lives';
is GET('/tokens/try')->content =~ /^own=0 /, 1, '... and serves';

# ---- in one child of httpd, whose requests all have the same response doors

SKIP: {
    skip 'a child of prefork has one request', 8 if mpm() eq 'prefork';
    my $httpd = own_httpd(prologue => "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 25\n");
    $httpd->configure(join '', map { "<Location /$_>\nDoorHandler " . app_path($_) . "\n</Location>\n" }
        qw(tokens tokens-too));
    $httpd->start or die;
    my $begin = sub {
        my ($method, $path, @more) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
        raw_send($socket, "$method /$path HTTP/1.0\r\n" . join('', map { "$_\r\n" } @more) . "\r\n");
        return $socket;
    };
    my $body = sub { parse_response(raw_rest($_[0], 60))->{body} };
    my $held = app_path('tokens.held');
    my $twice = app_path('tokens.twice');
    unlink $held, $twice;

    my $holder = $begin->(GET => 'tokens/hold');
    ok wait_for(sub { -e $held }), 'a request runs';
    is $body->($begin->(GET => 'tokens/borrow/tokens')), "borrowed=0 len=32\n",
        '... another one of its application may use its token';
    is $body->($begin->(GET => 'tokens-too/borrow/tokens')), "borrowed=$estale len=32\n",
        '... not one of another application, on its own response door';
    unlink $held;
    is $body->($holder), "held=1\n", '... and it comes to its end';

    my $reader = $begin->(POST => 'tokens/twice', 'Content-Length: 5');
    wait_for(sub { -e $twice }, 60);
    raw_send($reader, 'abcde');
    is $body->($reader), 'twice=' . (EBUSY + 0) . "\n", 'two threads with one token: one of them is told';

    # The call has ended, and the request has not: its client does not read.
    my $lingering = $begin->(GET => 'tokens/linger');
    raw_begins($lingering) or die;
    like $body->($begin->(GET => 'tokens/try')), qr/^own=0 stale=$estale stale-part=$estale /,
        'a token is good until its call ends, not its request';
    close $lingering;

    my ($child) = grep { $_ != $httpd->pid } $httpd->processes(qr/httpd\.conf/);
    my $descriptors = sub { scalar(() = glob "/proc/$child/fd/*") };
    my $before = $descriptors->();
    # Whoever sends more than are closed is turned away for a while.
    my $right = 0;
    for (1 .. 200) {
        last if $right == 10;
        if ($body->($begin->(GET => 'tokens/descriptors')) eq 'wrong=0 two=-' . (ENFILE + 0) . "\n") {
            $right++;
        } else {
            select undef, undef, undef, 0.1;
        }
    }
    is $right, 10, 'calls with a descriptor, and with two';
    ok wait_for(sub { $descriptors->() < $before + 30 }), '... of which none stays open';
}
