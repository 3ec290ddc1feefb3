# SPDX-License-Identifier: Apache-2.0
#
# Responses that go out while their handlers run.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET HEAD);
use Time::HiRes qw(sleep time);
use DoorTest;

plan tests => 46;

my $get = sub { "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n" . ($_[1] // '') . "\r\n" };

# What is flushed is there before the handler goes on.  A machine that stands still is late
# once; what is not flushed is late each time.
for (1 .. 10) {
    my ($socket, $text) = (raw_open(), '');
    raw_send($socket, $get->('/kitchen/events?events=10&ms=100', "Connection: close\r\n"));
    my @delays = event_delays(sub {
        sysread $socket, my $bytes, 65_536;
        $text .= $bytes;
        return $bytes;
    });
    next if $_ < 10 && @delays == 10 && $delays[8] >= 0.5;
    is scalar(() = parse_response($text)->{body} =~ /^id: \d+$/mg), 10, 'events, flushed one by one';
    ok parse_response($text)->{complete}, '... to the end';
    is parse_response($text)->{headers}{'content-type'}[0], 'text/event-stream', '... as such';
    # Under 50 ms, and ten times that where others use the machine; one may be later.
    cmp_ok $delays[8], '<', 0.5, '... come when they are written';
    last;
}

# However it is written, it comes.
is GET('/kitchen/big?bytes=5000000')->content, pattern(5_000_000), '5 MB';
for my $chunk (1, 7, 4_096, 65_535, 65_536, 65_537, 262_144, 1_000_000) {
    my $bytes = $chunk == 1 ? 150_000 : 1_000_003;
    is GET("/kitchen/trickle?bytes=$bytes&chunk=$chunk")->content, pattern($bytes),
        "$bytes bytes in writes of $chunk";
}
for my $bytes (65_535, 65_536, 65_537, 131_072, 65_536 + 262_144, 65_536 + 262_145) {
    is GET("/kitchen/trickle?bytes=$bytes&chunk=1000")->content, pattern($bytes),
        "$bytes bytes";
}
is GET('/kitchen/stream?lines=0&ms=0')->content, '', 'nothing at all';

# The connection goes on after it.
{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, $get->('/kitchen/stream?lines=3&ms=0') . $get->('/kitchen/big?bytes=100000')
        . "HEAD /kitchen/big?bytes=700000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        . "HEAD /kitchen/stream?lines=3&ms=10 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        . $get->('/hello'));
    is read_response($socket, \$rest)->{body}, "line 1\nline 2\nline 3\n", 'kept: a stream';
    is read_response($socket, \$rest)->{body}, pattern(100_000), '... a long response';
    my $head = read_response($socket, \$rest, head => 1);
    is $head->{headers}{'content-length'}[0], 700_000, '... HEAD tells a length that is known';
    $head = read_response($socket, \$rest, head => 1);
    is $head->{status}, 200, '... HEAD of a stream';
    like read_response($socket, \$rest)->{body}, qr/^Well/, '... and the next request';
}

# Without chunks the end of the connection is the end of the body.
{
    my $text = raw_request("GET /kitchen/stream?lines=3&ms=10 HTTP/1.0\r\n\r\n");
    my $answer = parse_response($text);
    is $answer->{body}, "line 1\nline 2\nline 3\n", 'HTTP/1.0: a stream';
    ok !exists $answer->{headers}{'transfer-encoding'}, '... without chunks';
}

# HEAD does no work for nothing: the handler's writes cost no time in httpd.
is HEAD('/kitchen/big?bytes=20000000000')->code, 200, 'HEAD of 20 GB';

# Through a filter.
{
    my $answer = GET '/deflated/stream?lines=200&ms=1', 'Accept-Encoding' => 'gzip';
    is $answer->header('Content-Encoding'), 'gzip', 'a stream through DEFLATE';
    is $answer->decoded_content, join('', map { "line $_\n" } 1 .. 200), '... arrives';
}
like GET('/ssi/stream.shtml')->content, qr/before\nline 1\nline 2\nafter/,
    'a stream as a subrequest';

# A client that does not read stops the handler, and nobody's memory grows.
{
    my $before = app_count('kitchen');
    my @sockets = map {
        my $socket = raw_open();
        raw_send($socket, $get->('/kitchen/big?bytes=400000000', "Connection: close\r\n"));
        $socket;
    } 1 .. 4;
    raw_begins($_) or die "no answer\n" for @sockets;
    sleep 1.5;
    my $after = app_count('kitchen');
    cmp_ok $after->{kib} - $before->{kib}, '<', 4 * 1024, 'four slow readers cost little memory';
    ok GET('/hello')->is_success, '... and nobody else';
    close $_ for @sockets;
    ok wait_for(sub { app_count('kitchen')->{threads} <= $after->{threads} }),
        '... and their handlers end';
}

# ---- heads

my $answer = parse_response(raw_request($get->('/kitchen/redirect?to=/kitchen/status?code=299',
    "Connection: close\r\n")));
is $answer->{status}, 299, 'a local Location is another request';
$answer = parse_response(raw_request($get->('/kitchen/redirect?to=http://example.com/x',
    "Connection: close\r\n")));
is $answer->{status}, 302, 'any other Location is a redirect';
is $answer->{headers}{location}[0], 'http://example.com/x', '... to there';

$answer = GET '/overridden/status?code=404';
is $answer->code, 404, 'DoorErrorOverride keeps the status';
like $answer->content, qr/httpd's own page/, '... with a page of httpd';
$answer = GET '/documented/status?code=404';
is $answer->code, 404, 'ErrorDocument that is another request for a door keeps the status';
like $answer->content, qr{^QUERY_STRING=document\n.*^REDIRECT_STATUS=404\n.*^REDIRECT_URL=/documented/status\n}ms,
    '... which that request is told';
is GET('/documented/status?code=500')->code, 500, '... also if there is no such door';
is GET('/overridden/status?code=299')->code, 299, '... and leaves the rest alone';
is GET('/kitchen/status?code=404')->content, "status 404\n", 'without it the page is the handler\'s';

my $text = raw_request($get->('/kitchen/hints', "Connection: close\r\n"));
like $text, qr{^HTTP/1\.1 103 [^\r]*\r\nLink: </kitchen\.css>[^\r]*\r\n\r\nHTTP/1\.1 200 }, '103';
like $text, qr{hinted\n$}, '... and then the response';
