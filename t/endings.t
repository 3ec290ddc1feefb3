# SPDX-License-Identifier: Apache-2.0
#
# How responses end that do not end well: nothing that is incomplete looks
# complete, and nothing is left behind.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);
use Compress::Zlib qw(WANT_GZIP inflateInit);
use DoorTest;

plan tests => 54;

sub get { "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n" . ($_[1] // '') . "\r\n" }

# What can be read of gzip's bytes that break off.
sub uncompressed {
    my ($bytes) = @_;
    my ($stream) = inflateInit(-WindowBits => WANT_GZIP);
    my ($text) = $stream->inflate(\$bytes);
    return $text // '';
}

sub gone { GET('/kitchen/gone?count')->content + 0 }

# Closes so that the other side gets a reset.
sub reset_close {
    my ($socket) = @_;
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    close $socket;
}

# ---- the client goes

for my $how (\&reset_close, sub { close $_[0] }) {
    my $before = gone();
    my $socket = raw_open();
    raw_send($socket, get('/kitchen/gone'));
    wait_for(sub { GET('/kitchen/gone?running')->content > 0 }) or die;
    $how->($socket);
    ok wait_for(sub { gone() > $before }), 'a handler that computes hears of it';
}
{
    my @sockets = map { my $s = raw_open(); raw_send($s, get('/kitchen/stream?lines=9999&ms=5')); $s }
        1 .. 6;
    raw_begins($_) or die for @sockets;
    $_ & 1 ? reset_close($sockets[$_]) : close $sockets[$_] for 0 .. 5;
    ok wait_for(sub { GET('/kitchen/env')->is_success }), 'clients go in mid-stream';
    is app_alive('kitchen'), 1, '... the application lives';
}

# Half a close is no goodbye.
for my $path ('/kitchen/stream?lines=5&ms=150', '/kitchen/sleep?ms=700',
    '/kitchen/big?bytes=2000000') {
    my $socket = raw_open();
    raw_send($socket, get($path, "Connection: close\r\n"));
    shutdown $socket, 1;
    my $answer = parse_response(raw_rest($socket));
    is $answer->{status}, 200, "$path, half closed";
    ok $answer->{complete} && length $answer->{body}, '... gets its whole answer';
}

# ---- the application is late

# Of /short-time's answers a part has to come within a second.
sub of_short_time {
    my ($path, $is_good) = @_;
    return in_time(sub { parse_response(raw_request(get($path, "Connection: close\r\n"))) }, $is_good);
}
sub has_begun { $_[0]{status} == 200 }

for my $path ('/kitchen', '/short-time') {
    my $answer = of_short_time("$path/stream?lines=3&ms=1500", \&has_begun);
    is $answer->{status}, 200, "$path: begun in time";
    is $answer->{complete}, $path eq '/kitchen' ? 1 : 0, '... and ended as it should be';
}
{
    my $mark = mark_log();
    my $answer = of_short_time('/short-time/stream?lines=3&ms=1500', \&has_begun);
    is $answer->{body}, "line 1\n", 'what was sent in time is there';
    like log_like($mark, qr/no answer within DoorTimeout/), qr/kitchen/, '... the log tells';
    is of_short_time('/short-time/stream?lines=20&ms=100', sub { $_[0]{complete} })->{body},
        join('', map { "line $_\n" } 1 .. 20), 'each step has its own time';
    is GET('/short-time/sleep?ms=2500')->code, 504, 'nothing in time is a 504';
    $answer = parse_response(raw_request(get('/deflated/die?after=100000',
        "Connection: close\r\nAccept-Encoding: gzip\r\n")));
    is $answer->{complete}, 0, 'through DEFLATE: not complete either';
    ok wait_for(sub { !app_alive('kitchen') }), '... that was the end of the application';
    start_app('kitchen');
    ok wait_for_app('kitchen'), '... there is a new one';
}

# A client that reads slowly takes its own time, not the application's.
{
    my $answer = in_time(sub {
        my $socket = raw_open();
        raw_send($socket, get('/short-time/big?bytes=30000000', "Connection: close\r\n"));
        sleep 3;
        return parse_response(raw_rest($socket));
    }, sub { length $_[0]{body} == 30_000_000 });
    is length $answer->{body}, 30_000_000, 'a slow reader gets all of it';
}

# ---- the application dies

for my $after (0, 1000, 100_000, 3_000_000) {
    my $mark = mark_log();
    my $answer = parse_response(raw_request(get("/victim/die?after=$after",
        "Connection: close\r\n")));
    if ($after == 0) {
        is $answer->{status}, 502, 'it dies before it has begun: 502';
    } else {
        is $answer->{status}, 200, "it dies after $after bytes";
        is $answer->{complete}, 0, '... and the client sees that';
    }
    my $line = log_like($mark, qr/ended during the call/);
    like $line, qr/victim/, '... the log tells';
    unlike $line, qr/Interrupted|\(\d+\)/, '... in its own words';
    start_app('victim');
    wait_for_app('victim') or die;
}
is GET('/victim/env')->code, 200, 'the next one serves';
{
    my $socket = raw_open();
    raw_send($socket, get('/victim/big?bytes=300000000', "Connection: close\r\n"));
    raw_begins($socket) or die;
    kill_app('victim');
    my $answer = parse_response(raw_rest($socket));
    is $answer->{complete}, 0, 'killed while the client is slow';
    start_app('victim');
    ok wait_for_app('victim'), '... and started again';
}

# ---- the handler is wrong

my $mark = mark_log();
my $short = parse_response(raw_request(get('/kitchen/short?promise=200000&bytes=150000',
    "Connection: close\r\n")));
is length $short->{body}, 150_000, 'less than promised: what there is';
is $short->{complete}, 0, '... and no more';
like log_like($mark, qr/shorter/), qr/kitchen/, '... the log tells';
$short = parse_response(raw_request(get('/deflated/short?promise=200000&bytes=150000',
    "Connection: close\r\nAccept-Encoding: gzip\r\n")));
is $short->{status}, 200, '... through DEFLATE, which holds all of it: it has begun';
is $short->{complete}, 0, '... and is not complete';
my $inflated = uncompressed($short->{body});
ok $inflated eq pattern(150_000), '... but what there is, is there';
$mark = mark_log();
my ($socket, $rest) = (raw_open(), '');
raw_send($socket, get('/kitchen/short?promise=150000&bytes=200000') . get('/hello'));
is length read_response($socket, \$rest)->{body}, 150_000, 'more than promised: cut';
like read_response($socket, \$rest)->{body}, qr/^Well/, '... and the next request';
like log_like($mark, qr/longer/), qr/kitchen/, '... the log tells';
GET '/kitchen/keep' for 1 .. 3;
my %kept = map { GET('/kitchen/keep')->content => 1 } 1 .. 20;
ok !grep({ !/^elsewhere=22 later=(?:22|0)$/ } keys %kept), 'a request is only its handler\'s own'
    or diag join '', keys %kept;

# ---- many

sub leave_in_the_middle {
    for my $i (1 .. 300) {
        my $socket = raw_open();
        raw_send($socket, get('/kitchen/big?bytes=5000000'));
        sysread $socket, my $bytes, 1 + $i * 100 if $i % 3;
        $i % 2 ? reset_close($socket) : close $socket;
    }
    return wait_for(sub { GET('/kitchen/env')->is_success });
}

# The first time each child of httpd opens its ways into the application.
ok leave_in_the_middle(), '300 downloads end in the middle';
{
    my $before = app_count('kitchen');
    my $callers = door_callers();
    ok leave_in_the_middle(), '... and another 300';
    ok wait_for(sub { app_count('kitchen')->{kib} - $before->{kib} < 24 * 1024 }), '... memory';
    ok app_descriptors_settle('kitchen', $before, $callers, 30), '... descriptors';
}
