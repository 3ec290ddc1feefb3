# SPDX-License-Identifier: Apache-2.0
#
# LimitRequestBody: 413, and the application is not called.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use DoorTest;

plan tests => 14;

my $full = POST '/limited/echo', content => 'x' x 1_000;
is $full->code, 200, 'a body as long as the limit passes';
is length($full->content), 1_000, '... whole';
is POST('/limited/echo', content => 'x' x 1_001)->code, 413, 'one byte more is too large';

sub chunked {
    my ($path, $len) = @_;
    return parse_response(raw_request("POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        . sprintf("%x\r\n%s\r\n0\r\n\r\n", $len, 'x' x $len)));
}
is chunked('/limited/echo', 1_000)->{status}, 200, 'the same in chunks: passes';
is chunked('/limited/echo', 1_001)->{status}, 413, '... too large';
is chunked('/limited/echo', 100_000)->{status}, 413, '... much too large';
is POST('/raw-limited', content => 'x' x 1_001)->code, 413, 'DoorProtocol raw: too large';
is chunked('/raw-limited', 1_001)->{status}, 413, '... in chunks';

# What counts is what the application would get.
for my $len (500, 501, 1_000) {
    is POST('/doubled-limited/echo', content => 'x' x ($len - 1) . "\n")->code, $len > 500 ? 413 : 200,
        "$len bytes, and a filter that makes twice as many of them";
}

# Refused on the announcement alone.
my $announced = parse_response(raw_request("POST /limited/echo HTTP/1.1\r\nHost: localhost\r\n"
    . "Content-Length: 5000000000\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"));
is $announced->{status}, 413, 'a client that asks first is told at once';
is GET('/limited/echo')->code, 200, 'no body, no limit';
is POST('/kitchen/echo', content => 'x' x 1_001)->code, 200, 'elsewhere there is none';
