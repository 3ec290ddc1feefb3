# SPDX-License-Identifier: Apache-2.0
#
# Request bodies that handlers read as they come, or not at all.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use Compress::Zlib ();
use Digest::SHA qw(sha256_hex);
use Time::HiRes qw(sleep time);
use DoorTest;

plan tests => 52 + 9 + 4 * 7 + 3 + 12 + 2 + 4;

my $get = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

sub digest { 'bytes=' . length($_[0]) . ' sha256=' . sha256_hex($_[0]) . "\n" }

sub head_of {
    my ($path, @lines) = @_;
    return join "\r\n", "POST $path HTTP/1.1", 'Host: localhost', @lines, '', '';
}

# As chunks of at most so many bytes.
sub chunks {
    my ($body, $size) = @_;
    my $text = '';
    for (my $at = 0; $at < length $body; $at += $size) {
        my $piece = substr $body, $at, $size;
        $text .= sprintf "%x\r\n%s\r\n", length $piece, $piece;
    }
    return $text;
}

# 327,680 is what comes with a call and one whole part of the rest.
for my $bytes (0, 1, 65_535, 65_536, 65_537, 79_000, 300_000, 327_680, 589_824, 5_000_000) {
    my $body = pattern($bytes);
    is POST('/kitchen/upload', content => $body)->content, digest($body), "upload of $bytes bytes";
    my $answer = parse_response(raw_request(head_of('/kitchen/upload', 'Connection: close',
        'Transfer-Encoding: chunked') . chunks($body, 10_007) . "0\r\n\r\n"));
    is $answer->{body}, digest($body), '... and in chunks';
}

# What fits goes along with the call, and nobody need ask whether there is more.
for my $bytes (0, 1, 16_385, 65_535, 65_536) {
    is POST('/tokens/body', content => pattern($bytes))->content, "came=$bytes whole=1\n",
        "all $bytes bytes come with the request";
}
# Of a longer body goes along what has come by then.
like POST('/tokens/body', content => pattern(65_537))->content, qr/^came=\d{1,5} whole=0$/,
    '... of 65,537 there is more';

# In more pieces than are kept as such.
{
    my ($socket, $body) = (raw_open(), pattern(30_000));
    raw_send($socket, head_of('/kitchen/upload', 'Connection: close', 'Content-Length: 30000'));
    for (my $at = 0; $at < 30_000; $at += 750) {
        raw_send($socket, substr $body, $at, 750);
        sleep 0.002;
    }
    is parse_response(raw_rest($socket))->{body}, digest($body), 'a body in many small pieces';
}

# Piece by piece, from a client that pauses.
{
    my ($socket, $rest, $body) = (raw_open(), '', '');
    raw_send($socket, head_of('/kitchen/upload', 'Transfer-Encoding: chunked'));
    for my $i (1 .. 6) {
        raw_send($socket, chunks('piece' x $i, 1_000));
        $body .= 'piece' x $i;
        sleep 0.15;
    }
    raw_send($socket, "0\r\n\r\n$get");
    is read_response($socket, \$rest)->{body}, digest($body), 'a body that comes slowly';
    like read_response($socket, \$rest)->{body}, qr/^Well/, '... and the next request';
}

# Both ways at once: each piece is back before the next one goes.
for my $framing ('chunked', 'length') {
    my ($socket, $text) = (raw_open(), '');
    my @pieces = map { "piece $_ " x 100 } 1 .. 5;
    my $whole = join '', @pieces;
    raw_send($socket, head_of('/kitchen/duplex', 'Connection: close', $framing eq 'chunked'
        ? 'Transfer-Encoding: chunked' : 'Content-Length: ' . length $whole));
    my $sent = '';
    my $in_time = 1;
    for my $piece (@pieces) {
        raw_send($socket, $framing eq 'chunked' ? chunks($piece, 100_000) : $piece);
        $sent .= $piece;
        my $deadline = time + 5;
        until (length parse_response($text)->{body} >= length $sent) {
            $in_time = 0, last if time > $deadline;
            sysread $socket, my $bytes, 65_536 or last;
            $text .= $bytes;
        }
    }
    raw_send($socket, "0\r\n\r\n") if $framing eq 'chunked';
    $text .= raw_rest($socket);
    ok $in_time, "duplex ($framing): each piece comes back before the next one goes";
    is parse_response($text)->{body}, $whole, '... and nothing else';
}

# ---- Expect: 100-continue

{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, head_of('/kitchen/upload', 'Content-Length: 5', 'Expect: 100-continue'));
    is read_response($socket, \$rest)->{status}, 100, 'the handler reads: 100';
    raw_send($socket, 'hello');
    is read_response($socket, \$rest)->{body}, digest('hello'), '... then the body';
}
{
    my $socket = raw_open();
    raw_send($socket, head_of('/kitchen/status?code=403', 'Content-Length: 5000000',
        'Expect: 100-continue'));
    my $text = raw_rest($socket);
    like $text, qr{^HTTP/1\.1 403 }, 'the handler does not read: no 100';
    like $text, qr/^Connection: close\r$/mi, '... and the connection ends';
}

# ---- bodies that nobody reads

{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, head_of('/hello', 'Content-Length: 30000') . pattern(30_000) . $get);
    is read_response($socket, \$rest)->{status}, 200, 'a small body, not read';
    like read_response($socket, \$rest)->{body}, qr/^Well/, '... and the next request';
}
{
    my $socket = raw_open();
    my $start = time;
    raw_send($socket, head_of('/hello', 'Content-Length: 10000000000') . pattern(200_000));
    my $text = raw_rest($socket);
    like $text, qr{^HTTP/1\.1 200 .*^Connection: close\r.*Well}smi,
        '10 GB that nobody reads: answered, and the connection ends';
    cmp_ok time - $start, '<', 10, '... at once';
}
# httpd does not hang up on a client that is still sending: that would take the answer back.
{
    my ($sent, $text) = (0, '');
    for (1 .. 5) {
        my $socket = raw_open();
        raw_send($socket, head_of('/kitchen/status?code=403', 'Content-Length: 10000000000'));
        my $piece = pattern(1_000_000);
        $sent = grep { raw_send($socket, $piece) } 1 .. 20;
        $text = eval { raw_rest($socket) } // $@;
        last if $sent == 20; # or it may have stood still for the 2 s that httpd waits
    }
    is $sent, 20, '... a client that sends 20 MB first can do so';
    like $text, qr{^HTTP/1\.1 403 .*status 403\n\z}s, '... and has the answer';
}
{
    my $socket = raw_open();
    raw_send($socket, head_of('/hello', 'Transfer-Encoding: chunked')
        . chunks(pattern(400_000), 50_000));
    like raw_rest($socket), qr{^HTTP/1\.1 200 }, '... likewise in chunks';
}

# ---- input filters, which may take something in and give nothing for it

# Bytes that gzip cannot make much shorter.
srand 5;
my $plain = join '', map { ('a' .. 'h')[rand 8] } 1 .. 3_000;
my $long = join '', map { ('a' .. 'h')[rand 8] } 1 .. 300_000;

sub send_slowly {
    my ($path, $framing, $pause, $body, $cut, @lines) = @_;
    my $is_chunked = $framing eq 'chunked';
    my $socket = raw_open();
    raw_send($socket, head_of($path, 'Connection: close', @lines, $is_chunked
        ? 'Transfer-Encoding: chunked' : 'Content-Length: ' . length $body));
    for my $piece ($body =~ /^(.{$cut})(.{0,7})(.*)$/s) {
        raw_send($socket, $is_chunked ? chunks($piece, 100_000) : $piece);
        sleep $pause;
    }
    raw_send($socket, "0\r\n\r\n") if $is_chunked;
    return parse_response(raw_rest($socket))->{body};
}

my @gzip = ('Content-Encoding: gzip');
for my $framing ('length', 'chunked') {
    for my $pause (0, 0.15) {
        my $how = "$framing, pauses of $pause s";
        for my $text ($plain, $long) {
            my $body = Compress::Zlib::memGzip($text);
            for my $cut (3, 20) {
                is send_slowly('/inflated/upload', $framing, $pause, $body, $cut, @gzip), digest($text),
                    'through DEFLATE: ' . length($text) . " bytes, $how";
            }
            is send_slowly('/external/upload', $framing, $pause, $text, 20), digest($text),
                '... through another program';
        }
        is send_slowly('/raw-inflated', $framing, $pause, Compress::Zlib::memGzip($plain), 20, @gzip),
            $plain, '... to a raw door';
    }
}
# A length that is not that of what the handler reads is not told.
for (['/inflated/env', $plain], ['/inflated/env', $long], ['/inflated/env', '']) {
    my ($path, $text) = @$_;
    my $body = length $text ? Compress::Zlib::memGzip($text) : '';
    my $env = send_slowly($path, 'length', 0, $body, length $text ? 20 : 0,
        length $text ? @gzip : ());
    my ($told) = $env =~ /^CONTENT_LENGTH=(.*)$/m;
    ok !defined $told || $told == length $text,
        'CONTENT_LENGTH of ' . length($text) . ' bytes that were compressed: ' . ($told // 'none');
}

# ... nor the coding that a filter has taken away, whenever the body comes.
for my $framing ('length', 'chunked') {
    for my $cut (0, 3, 20) {
        my $env = send_slowly('/inflated/env', $framing, 0.15, Compress::Zlib::memGzip($plain), $cut,
            @gzip);
        like $env, qr/^REQUEST_METHOD=POST$/m, "a body that is inflated, $framing, cut at $cut";
        unlike $env, qr/^HTTP_CONTENT_ENCODING=/m, '... has no HTTP_CONTENT_ENCODING';
    }
}
# What is not compressed is passed on as it is, and so is what it says of itself.
{
    my $env = send_slowly('/inflated/env', 'length', 0.15, $plain, 20, 'Content-Encoding: br');
    like $env, qr/^HTTP_CONTENT_ENCODING=br$/m, 'a coding that the filter leaves is told';
    like $env, qr/^CONTENT_LENGTH=3000$/m, '... and the length';
}
# The filters look at it, and nobody says 100 (Continue) for that.
for my $path ('/inflated/env', '/inflated/upload') {
    my $body = Compress::Zlib::memGzip($plain);
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, head_of($path, @gzip, 'Content-Length: ' . length $body,
        'Expect: 100-continue'));
    my $answer = read_response($socket, \$rest);
    if ($path =~ /env/) {
        is $answer->{status}, 200, 'Expect: 100-continue and a filter: nobody reads, no 100';
        unlike $answer->{body}, qr/^HTTP_CONTENT_ENCODING=/m, '... no HTTP_CONTENT_ENCODING';
        next;
    }
    is $answer->{status}, 100, '... the handler reads: 100';
    raw_send($socket, $body);
    is read_response($socket, \$rest)->{body}, digest($plain), '... then the body';
}

# ---- limits

{
    my $body = pattern(300_000);
    is POST('/upload-limited/upload', content => $body)->content, digest($body), 'at LimitRequestBody';
    is POST('/upload-limited/upload', content => $body . 'x')->code, 413, '... over it';
    my $mark = mark_log();
    my $socket = raw_open();
    raw_send($socket, head_of('/upload-limited/upload', 'Transfer-Encoding: chunked')
        . chunks(pattern(700_000), 10_000) . "0\r\n\r\n");
    like raw_rest($socket), qr{^HTTP/1\.1 413 }, '... over it on the way';
    is GET('/upload-limited/echo')->code, 200, '... and the application goes on';
}
SKIP: {
    skip 'no mod_reqtimeout', 2 unless defined port('hurried');
    my $socket = raw_open('hurried');
    raw_send($socket, head_of('/upload', 'Transfer-Encoding: chunked') . chunks('a', 10));
    like raw_rest($socket), qr{^HTTP/1\.1 (?:408|400) }, 'a client that is too slow';
    is GET('/kitchen/env')->code, 200, '... does not stop the application';
}

# ---- trailers

my $trailed = parse_response(raw_request(head_of('/kitchen/trailers', 'Connection: close',
    'Transfer-Encoding: chunked') . "3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"));
is $trailed->{body}, "X-Sum: 6\n", 'a trailer of a short body';
$trailed = parse_response(raw_request(head_of('/kitchen/trailers', 'Connection: close',
    'Transfer-Encoding: chunked') . chunks(pattern(200_000), 9_999) . "0\r\nX-Sum: 7\r\n\r\n"));
is $trailed->{body}, "X-Sum: 7\n", '... of a long one';

for my $bytes (3, 60_000) {
    $trailed = parse_response(raw_request(head_of('/kitchen/upload', 'Connection: close',
        'Transfer-Encoding: chunked') . chunks(pattern($bytes), 9_999) . "0\r\nX-Sum: 7\r\n\r\n"));
    is $trailed->{body}, digest(pattern($bytes)), "... and $bytes bytes of a body before it";
}

# ---- broken bodies

is parse_response(raw_request(head_of('/kitchen/upload', 'Connection: close',
    'Transfer-Encoding: chunked') . chunks(pattern(200_000), 9_999) . "nonsense\r\n"))->{status},
    400, 'a chunk that is none';

# Many that stop in the middle leave nothing behind.
sub stop_in_the_middle {
    for my $i (1 .. 200) {
        my $socket = raw_open();
        raw_send($socket, head_of('/kitchen/upload', 'Content-Length: 1000000')
            . pattern(100_000 + $i % 7 * 20_000));
        close $socket;
    }
    return wait_for(sub { GET('/kitchen/env')->is_success });
}

# The first time httpd makes the children that it needs, and each its ways into the application.
ok stop_in_the_middle(), '200 uploads end in the middle';
{
    my $before = app_count('kitchen');
    my $callers = door_callers();
    ok stop_in_the_middle(), '... and another 200';
    ok app_descriptors_settle('kitchen', $before, $callers, 24),
        '... the application has as many descriptors as before';
    ok wait_for(sub { app_count('kitchen')->{kib} - $before->{kib} < 16 * 1024 }), '... and as much memory';
    my $threads = app_count('kitchen')->{threads};
    ok wait_for(sub { GET('/kitchen/threads')->content =~ /threads=(\d+)/ }), '... and answers';
    cmp_ok $threads, '<', $before->{threads} + 64, '... with few threads';
}
