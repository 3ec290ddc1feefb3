# SPDX-License-Identifier: Apache-2.0
#
# Byte ranges of an application's answers are httpd's work.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

plan tests => 22 + 6;

my $whole = pattern(60_000);

sub range { GET '/kitchen/big?bytes=60000', Range => "bytes=$_[0]" }

for (
    ['0-99',          0,       100],
    ['1000-1999',     1_000,   1_000],
    ['32760-32775',   32_760,  16],
    ['59999-',        59_999,  1],
    ['-500',          59_500,  500],
    ['59000-400000',  59_000,  1_000],
) {
    my ($range, $from, $len) = @$_;
    my $answer = range($range);
    is $answer->code, 206, "bytes=$range: partial content";
    is $answer->content, substr($whole, $from, $len), '... the right part';
}

is range('0-0')->header('Content-Range'), 'bytes 0-0/60000', 'Content-Range';
is range('60000-')->code, 416, 'behind the end: not satisfiable';
is range('0-')->code, 206, 'the whole as a range';
is range('nonsense')->code, 200, 'a range that is none';

my $several = range('0-9,50000-50009');
is $several->code, 206, 'two ranges';
like $several->header('Content-Type'), qr{^multipart/byteranges}, '... in parts';
like $several->content, qr/\Q${\substr $whole, 50_000, 10}\E/, '... with the second in it';

my $status = GET '/kitchen/status?code=404', Range => 'bytes=0-1';
is $status->code, 404, 'no ranges of errors';

# One that goes out while it is made has no ranges: all of it comes.
my $long = GET '/kitchen/big?bytes=300000', Range => 'bytes=0-1';
is $long->code, 200, 'a long response is sent whole';
is length $long->content, 300_000, '... to its end';

# An application that has no ranges.
for (['none', 200, "fine\n"], ['bytes', 206, 'fi']) {
    my ($what, $status, $body) = @$_;
    my $answer = GET "/nonsense/ranges/$what", Range => 'bytes=0-1';
    is $answer->code, $status, "Accept-Ranges: $what: $status";
    is $answer->content, $body, '... with what belongs to it';
    is $answer->header('Accept-Ranges'), $what, '... and the application has said so';
}
