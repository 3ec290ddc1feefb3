# SPDX-License-Identifier: Apache-2.0
#
# Request bodies: what arrives in the application is what the client sent.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST PUT);
use Digest::MD5 qw(md5_hex);
use DoorTest;

my $binary = join '', map { chr } 0 .. 255;
my %body = (
    'nothing'     => '',
    'one byte'    => 'x',
    'a NUL'       => "\0",
    'all bytes'   => $binary,
    'line ends'   => "a\r\nb\n\rc\r\n\r\n",
    '7 KiB'       => 'q' x 7_168,
    '8 KiB'       => 'r' x 8_192,
    '16 KiB - 1'  => 's' x 16_383,
    '16 KiB'      => 't' x 16_384,
    '16 KiB + 1'  => 'u' x 16_385,
    '64 KiB'      => $binary x 256,
    '1 MiB'       => $binary x 4_096,
    '1 MiB + 1'   => $binary x 4_096 . 'x',
    '9 MiB'       => pattern(9 << 20),
);

plan tests => 3 * keys(%body) + 15;

for my $name (sort keys %body) {
    my $answer = POST '/kitchen/echo', content => $body{$name},
        'Content-Type' => 'application/x-test';
    is $answer->code, 200, "$name: answered";
    is md5_hex($answer->content), md5_hex($body{$name}), '... comes back';
    is chunked($body{$name}), md5_hex($body{$name}), '... and in chunks';
}

# The same body, sent as chunks of odd sizes.
sub chunked {
    my ($body) = @_;
    my $socket = raw_open();
    my $request = "POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Type: application/x-test\r\nTransfer-Encoding: chunked\r\n\r\n";
    my ($at, $size) = (0, 1);
    while ($at < length $body) {
        my $piece = substr $body, $at, $size;
        $request .= sprintf "%x\r\n%s\r\n", length $piece, $piece;
        $at += length $piece;
        $size = $size * 3 % 200_003;
    }
    raw_send($socket, "${request}0\r\n\r\n");
    return md5_hex(parse_response(raw_rest($socket))->{body});
}

my $typed = POST '/kitchen/echo', content => 'x', 'Content-Type' => 'image/x-thing; a="b"';
is $typed->header('Content-Type'), 'image/x-thing; a="b"', 'the content type comes back';

my $put = PUT '/kitchen/echo', content => 'put it', 'Content-Type' => 'text/x-put';
is $put->content, 'put it', 'PUT has a body';
is parse_response(raw_request("DELETE /kitchen/echo HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n"))->{status}, 200, "DELETE needs none";

# A name that httpd has never heard of is the application's business.
my $own = parse_response(raw_request("FROBNICATE /kitchen/echo HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 4\r\nConnection: close\r\n\r\nbody"));
is $own->{status}, 200, 'an unknown method is answered';
is $own->{body}, 'body', '... with its body';

my $get = parse_response(raw_request("GET /kitchen/echo HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 4\r\nConnection: close\r\n\r\nbody"));
is $get->{body}, 'body', 'GET may have a body';

my $trailed = parse_response(raw_request("POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\n"
    . "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n"
    . "4;ext=1\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n"));
is $trailed->{body}, 'body', 'chunk extensions and trailers do no harm';

# The client waits for leave to send.
{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, "POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        . "Expect: 100-continue\r\nConnection: close\r\n\r\n");
    is read_response($socket, \$rest)->{status}, 100, 'Expect: 100-continue is granted';
    raw_send($socket, 'body');
    is parse_response($rest . raw_rest($socket))->{body}, 'body', '... then the body is taken';
}

# A body that comes in drips.
{
    my $socket = raw_open();
    raw_send($socket, "POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        . "Connection: close\r\n\r\n");
    for my $byte (qw(d r i p)) {
        select undef, undef, undef, 0.05;
        raw_send($socket, $byte);
    }
    is parse_response(raw_rest($socket))->{body}, 'drip', 'a slow body is waited for';
}

# A client that goes away in the middle of its body: no call, no harm.
{
    my $socket = raw_open();
    raw_send($socket, "POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n"
        . "\r\nonly this");
    close $socket;
    is GET('/kitchen/echo')->code, 200, 'after a broken-off body the next request is served';
}
my $broken = parse_response(raw_request("POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\n"
    . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nnonsense\r\n"));
is $broken->{status}, 400, 'broken chunks are a bad request';

my $raw = POST '/raw', content => $binary;
is $raw->code, 200, 'DoorProtocol raw takes any bytes';
is POST('/raw', content => pattern(1 << 20))->code, 200, '... a MiB of them';
is parse_response(raw_request("POST /raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"))->{status}, 200, '... in chunks';
