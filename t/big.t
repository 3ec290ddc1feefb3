# SPDX-License-Identifier: Apache-2.0
#
# Large answers arrive whole, at and around the sizes where the way of an answer
# changes: httpd's buffers, the door's inline room, mappings.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET HEAD);
use Digest::MD5 qw(md5_hex);
use DoorTest;

my @sizes = (0, 1, 100, 4_095, 4_096, 4_097, 7_900, 8_000, 8_100, 8_191, 8_192, 8_193, 16_000,
    16_383, 16_384, 16_385, 32_768, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1);

plan tests => 3 * @sizes + 9;

for my $size (@sizes) {
    my $answer = GET "/kitchen/big?bytes=$size";
    is $answer->code, 200, "$size bytes: answered";
    is length($answer->content), $size, '... all of them';
    is md5_hex($answer->content), md5_hex(pattern($size)), '... as they should be';
}

my $huge = 64 << 20;
my $answer = curl('-w', "\n%{http_code}", base_url() . "/kitchen/big?bytes=$huge");
like $answer, qr/\n200\z/, '64 MiB: answered';
is length($answer) - 4, $huge, '... all of them';
is md5_hex(substr $answer, 0, $huge), md5_hex(pattern($huge)), '... as they should be';
is HEAD("/kitchen/big?bytes=$huge")->header('Content-Length'), $huge, '... and HEAD says so';

# httpd may still be writing when the thread that called the door has gone on.
my @slow = map {
    my $socket = raw_open();
    raw_send($socket, "GET /kitchen/big?bytes=3000000 HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    $socket;
} 1 .. 4;
is GET('/kitchen/big?bytes=1000')->content, pattern(1000), 'others are served meanwhile';
my $same = grep { parse_response(raw_rest($_))->{body} eq pattern(3_000_000) } @slow;
is $same, 4, 'clients that read late get the right bytes';

# One that never reads, and one that leaves.
{
    my ($idle, $gone) = (raw_open(), raw_open());
    my $request = "GET /kitchen/big?bytes=30000000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    raw_send($_, $request) for $idle, $gone;
    sysread $gone, my $first, 1000;
    close $gone;
    is GET('/kitchen/big?bytes=5')->content, pattern(5), 'clients that do not read stop nobody';
}

my $deflated = GET '/deflated/big?bytes=100000', 'Accept-Encoding' => 'gzip';
is $deflated->header('Content-Encoding'), 'gzip', "httpd's filters work on answers";
is $deflated->decoded_content, pattern(100_000), '... and keep the content';
