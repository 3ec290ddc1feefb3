# SPDX-License-Identifier: Apache-2.0
#
# httpd gives its requests to hundreds of threads in turn, and each of them keeps the stack that
# it has touched: so a call of a door may touch little more than a file takes.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use DoorTest;

plan skip_all => 'needs /proc' if !-r "/proc/$$/smaps";
plan skip_all => 'needs threads' if mpm() eq 'prefork';

my $stack_kib = 1088;    # no other mapping has this size
my $httpd = own_httpd();
my $dir = $httpd->dir;
$httpd->configure(<<"CONF");
ThreadStackSize @{[$stack_kib * 1024]}
DoorApp hello $dir/bin/hello
DoorApp kitchen $dir/bin/kitchen
<Location /hello>
    DoorHandler hello
</Location>
<Location /kitchen>
    DoorHandler kitchen
</Location>
CONF
ok $httpd->start, 'httpd starts';

# KiB that each thread of the children has touched of its stack, in order.
sub touched {
    my @kib;
    for my $pid ($httpd->children) {
        open my $maps, '<', "/proc/$pid/smaps" or die "smaps of $pid: $!";
        my $is_stack;
        while (<$maps>) {
            $is_stack = $1 == $stack_kib if /^Size:\s+(\d+)/;
            push @kib, $1 if $is_stack && /^Anonymous:\s+(\d+)/;
        }
    }
    return sort { $a <=> $b } @kib;
}

# Of those that answered, which may be one child's.
sub typical { $_[@_ * 0.9] }

sub ask_often {
    my ($path) = @_;
    return scalar grep { $httpd->status($path) == 200 } 1 .. 400;
}

is ask_often('/static.txt'), 400, 'each thread sends a file';
my @file;
ok $httpd->wait_for(sub { @file = touched(); @file >= 50 }), '... and has a stack of the size asked for';
for my $path ('/hello', '/kitchen/big?bytes=100000', '/kitchen/status?code=404') {
    ask_often($path);
    my @door = touched();
    cmp_ok typical(@door), '<=', typical(@file) + 4, "... $path: no more than a page on top of "
        . typical(@file) or diag "KiB: @door";
}

done_testing;
