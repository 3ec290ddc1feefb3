# SPDX-License-Identifier: Apache-2.0
#
# Connections that are kept: requests one after the other, pipelined, and in
# chunks, with nothing of one running into the next.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use DoorTest;

plan tests => 26;

my $get = sub { "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n" };
my $post = sub { "POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    . length($_[0]) . "\r\n\r\n$_[0]" };

# ---- one after the other

{
    my ($socket, $rest) = (raw_open(), '');
    for my $path ('/hello', '/kitchen/echo', '/raw', '/nonsense/random', '/kitchen/status?code=404',
        '/kitchen/big?bytes=100000', '/hello') {
        raw_send($socket, $get->($path));
        my $answer = read_response($socket, \$rest);
        ok $answer->{status} && $rest eq '', "one connection: $path gives $answer->{status}";
    }
    raw_send($socket, $post->('x' x 70_000));
    is length read_response($socket, \$rest)->{body}, 70_000, '... a large POST';
    raw_send($socket, $post->(''));
    is read_response($socket, \$rest)->{body}, '', '... an empty one';
}

# ---- pipelined

{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, join '', map { $post->("number $_") } 1 .. 50);
    my @bodies = map { read_response($socket, \$rest)->{body} } 1 .. 50;
    is_deeply \@bodies, [map { "number $_" } 1 .. 50], '50 pipelined requests, answered in order';
    is $rest, '', '... and nothing more';
}
{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, $get->('/kitchen/big?bytes=200000') . $get->('/hello')
        . $post->('between') . $get->('/kitchen/big?bytes=0') . $get->('/nonsense/random')
        . $get->('/hello'));
    is read_response($socket, \$rest)->{body}, pattern(200_000), 'pipelined: a large answer';
    like read_response($socket, \$rest)->{body}, qr/^Well/, '... a small one';
    is read_response($socket, \$rest)->{body}, 'between', '... one with a body';
    is read_response($socket, \$rest)->{body}, '', '... an empty one';
    is read_response($socket, \$rest)->{status}, 502, '... a failed one';
    like read_response($socket, \$rest)->{body}, qr/^Well/, '... and a last one';
}

# A body that the application has no use for is not the next request.
{
    my ($socket, $rest) = (raw_open(), '');
    my $smuggled = $get->('/kitchen/status?code=418');
    raw_send($socket, "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        . length($smuggled) . "\r\n\r\n$smuggled" . $get->('/kitchen/echo'));
    is read_response($socket, \$rest)->{status}, 200, 'a body that is not used';
    is read_response($socket, \$rest)->{status}, 200, '... is not taken for a request';
}
{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, "HEAD /kitchen/big?bytes=50000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        . $get->('/hello'));
    is read_response($socket, \$rest, head => 1)->{headers}{'content-length'}[0], 50_000,
        'HEAD tells the length';
    like read_response($socket, \$rest)->{body}, qr/^Well/, '... and sends no byte';
}

# ---- chunked both ways

{
    my ($socket, $rest) = (raw_open(), '');
    my $chunked = "POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n";
    raw_send($socket, "${chunked}5\r\nfirst\r\n0\r\n\r\n" . $chunked . "6\r\nsecond\r\n0\r\n\r\n");
    is read_response($socket, \$rest)->{body}, 'first', 'two chunked requests: the first';
    is read_response($socket, \$rest)->{body}, 'second', '... the second';
    my $noise = join '', map { chr int rand 256 } 1 .. 200_000;
    raw_send($socket, "POST /deflated/echo HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept-Encoding: gzip\r\nContent-Length: 200000\r\n\r\n$noise");
    my $answer = read_response($socket, \$rest);
    is $answer->{headers}{'transfer-encoding'}[0], 'chunked',
        'an answer of unknown length is chunked';
    raw_send($socket, $get->('/hello'));
    like read_response($socket, \$rest)->{body}, qr/^Well/, '... and ends where it should';
}

# ---- HTTP/1.0 has neither

my $old = raw_request("GET /hello HTTP/1.0\r\n\r\n");
like $old, qr/^Connection: close\r$/mi, 'HTTP/1.0: closed at the end';
