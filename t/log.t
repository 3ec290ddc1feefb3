# SPDX-License-Identifier: Apache-2.0
#
# What goes wrong is in the error log once, with the door, the reason and the
# server's pid; what goes right is not.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

plan tests => 11;

# Each: the request, its status, and what its one line must say.
my %case = (
    'no such door' => ['/missing', 503, qr/No such file.*nobody-made-this/],
    'no door'      => ['/no-door', 503, qr/extra\.conf/],
    'nonsense'     => ['/nonsense/random', 502, qr/run\/nonsense/, 'nonsense'],
    'a bad header' => ['/nonsense/header/crlf', 502, qr/run\/nonsense/, 'nonsense'],
    'a bad status' => ['/nonsense/status/600', 502, qr/run\/nonsense/, 'nonsense'],
);

for my $what (sort keys %case) {
    my ($path, $status, $regex, $app) = @{ $case{$what} };
    my $mark = mark_log();
    is GET($path)->code, $status, "$what: $status";
    log_like($mark, $regex);
    my @lines = grep { /\[door:error\]/ } split /\n/, log_since($mark);
    my $pid = $app ? app_pid($app) : qr/./;
    ok @lines == 1 && $lines[0] =~ $regex && $lines[0] =~ /\b$pid/,
        '... one line: ' . join '|', @lines;
}

my $mark = mark_log();
GET('/hello'), GET('/kitchen/status?code=500'), GET('/kitchen/big?bytes=100000') for 1 .. 3;
unlike log_since($mark), qr/\[door:(?:error|warn|notice)\]/, 'nothing is said of what goes right';
