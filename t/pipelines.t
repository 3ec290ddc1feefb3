# SPDX-License-Identifier: Apache-2.0
#
# Clients that pipeline and go, at every place of a request and of a response,
# and clients that pipeline and only stop sending: these get all their answers.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use Socket qw(SOL_SOCKET SO_LINGER);
use DoorTest;

plan tests => 20;

my $host = "HTTP/1.1\r\nHost: localhost\r\n";

sub get { "GET $_[0] $host\r\n" }
sub post { "POST $_[0] ${host}Content-Length: " . length($_[1]) . "\r\n\r\n$_[1]" }

sub chunked { "POST $_[0] ${host}Transfer-Encoding: chunked\r\n\r\n"
    . join('', map { sprintf "%x\r\n%s\r\n", length $_, $_ } @_[1 .. $#_]) . "0\r\n\r\n" }

my $body = pattern(150_000);

# What is pipelined: each way out of the application, and each way of a body into it.
my @requests = (
    get('/kitchen/big?bytes=200000'),
    post('/kitchen/echo', substr $body, 0, 30_000),
    get('/hello'),
    get('/kitchen/trickle?bytes=300000&chunk=5000'),
    post('/kitchen/upload', $body),
    chunked('/kitchen/duplex', map { substr $body, $_ * 20_000, 20_000 } 0 .. 4),
    get('/kitchen/pipe?bytes=100000'),
    get('/kitchen/stream?lines=3&ms=1'),
);
my $all = join '', @requests;

# Where they end, and so do the answers to them.
my ($at, @ends) = (0);
push @ends, $at += length for @requests;

# ---- what only stops sending is answered, all of it

{
    my $socket = raw_open();
    raw_send($socket, $all) or die;
    shutdown $socket, 1;
    my ($rest, @answers) = '';
    push @answers, read_response($socket, \$rest) for @requests;
    is_deeply [map { $_->{status} } @answers], [(200) x @requests],
        'half closed: every request is answered';
    is $answers[0]{body}, pattern(200_000), '... a large answer';
    is $answers[1]{body}, pattern(30_000), '... a body, sent back';
    like $answers[2]{body}, qr/^Well/, '... a small one';
    is $answers[3]{body}, pattern(300_000), '... one in chunks';
    like $answers[4]{body}, qr/^bytes=150000 /, '... an upload';
    is $answers[5]{body}, substr($body, 0, 100_000), '... both ways at once';
    is $answers[6]{body}, pattern(100_000), '... a pipe';
    is $answers[7]{body}, "line 1\nline 2\nline 3\n", '... a stream';
    is $rest . raw_rest($socket), '', '... and then the connection ends';
}

# A request that is broken off is no request; those before it are answered.
for my $cut (length(get('/hello')) - 30, length(get('/hello')) - 3) {
    my $socket = raw_open();
    raw_send($socket, get('/hello') x 3 . substr get('/hello'), 0, $cut);
    shutdown $socket, 1;
    my $text = raw_rest($socket);
    is scalar(() = $text =~ /^Well, hello/mg), 3, "half closed after $cut bytes of a fourth: three answers";
}

# ---- what goes leaves nothing

# Sends so much of it all, reads so much, and goes, by FIN or by RST.
sub leave {
    my ($send, $read, $reset) = @_;
    my $socket = raw_open();
    raw_send($socket, substr $all, 0, $send);
    while ($read > 0) {
        raw_begins($socket, 20) or die "no answer\n";
        my $got = sysread $socket, my $bytes, $read > 65_536 ? 65_536 : $read or last;
        $read -= $got;
    }
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $reset;
    close $socket;
}

my @phases = (
    # Within the first answer, at its end, within the second.
    (map { [length $all, $_] } 0, 1, 100, 70_000, 199_000, 200_400, 210_000, 231_000),
    # Half a request line, a line and half a header, behind a whole request.
    (map { [$ends[0] + $_, 1_000] } 5, 20, 40), (map { [$ends[2] + $_, 200_000] } 5, 40),
    # In the middle of a body, of each kind.
    [$ends[0] + 5_000, 0], [$ends[0] + 20_000, 200_000], [$ends[3] + 70_000, 1_000],
    [$ends[3] + 100_000, 500_000], [$ends[4] + 30_000, 530_000], [$ends[4] + 90_000, 540_000],
);

sub leave_everywhere {
    my ($rounds) = @_;
    for my $round (1 .. $rounds) {
        leave(@$_, ($round + $_->[1]) % 2) for @phases;
    }
    return wait_for(sub { GET('/kitchen/env')->is_success });
}

ok leave_everywhere(10), scalar(@phases) . ' ways to go, ten times, for which everything is made';
my $before = app_count('kitchen');
my $callers = door_callers();
my ($descriptors, $kib) = (child_descriptors(), child_kib());
ok leave_everywhere(25), '... and another 25 times';
ok app_descriptors_settle('kitchen', $before, $callers, 20), "the application's descriptors";
for (['threads', 20], ['kib', 16 * 1024]) {
    my ($what, $more) = @$_;
    ok wait_for(sub { app_count('kitchen')->{$what} <= $before->{$what} + $more }),
        "the application's $what" or diag app_count('kitchen')->{$what}, " after $before->{$what}";
}
ok wait_for(sub { child_descriptors() <= $descriptors + 20 }), "httpd's descriptors";
ok wait_for(sub { child_kib() <= $kib + 16 * 1024 }), "httpd's memory"
    or diag child_kib(), " after $kib";
is GET('/kitchen/upload')->code, 200, 'it serves';
