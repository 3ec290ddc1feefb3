#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# mod_door and door_app without Linux: they compile when nothing that is Linux's own is
# declared, and then they use only what illumos has, too.  Its system is not here, so nothing
# is run; portable_names.txt lists the functions of its manual that are used.

use strict;
use warnings FATAL => 'all';

use File::Temp 'tempdir';
use Test::More;

my $cc   = $ENV{CC}   // 'cc';
my $apxs = $ENV{APXS} // 'apxs';
my $dir  = tempdir(CLEANUP => 1);

chomp(my $httpd = `$apxs -q INCLUDEDIR`);
chomp(my $apr   = `apr-1-config --includes --cppflags`);
$apr =~ tr/\n/ /;
my $flags = '-std=gnu11 -D_GNU_SOURCE -D_REENTRANT -O0 -fPIC -Wall -Wextra -Werror '
    . '-include scripts/t/without_linux.h '
    . join ' ', (map {"-I$_"} qw(libdoor/include . compat door_app module supervisor), $httpd), $apr;

my %listed;
open my $in, '<', 'scripts/t/portable_names.txt' or die "portable_names.txt: $!";
while (<$in>) {
    next if /^#/;
    $listed{$_} = 1 for split;
}

my (%defined, %taken);
for my $file (
    'mod_door.c', glob('module/*.c supervisor/*.c door_app/*.c door_app/gateways/*.c'),
    'compat/door_compat.c'
) {
    (my $object = $file) =~ tr{/}{_};
    my $said = `$cc $flags -c -o '$dir/$object.o' '$file' 2>&1`;
    is($?, 0, "$file compiles without Linux") or diag(substr $said, 0, 2000);
    for (`nm '$dir/$object.o'`) {
        $defined{$1} = 1 if / [TDBRVWCtdbr] (\S+)$/;
        $taken{$1}{$file} = 1 if / U (\S+)$/;
    }
}

# __* are the compiler's and the C library's own; the build's name and the page are made by make.
my @foreign = grep {
    !$defined{$_} && !$listed{$_} && !/^(?:apr?_|__|_GLOBAL_OFFSET_TABLE_$|mod_door_(?:build|status_html)$)/
} sort keys %taken;
is(join(' ', @foreign), '', 'no function is used that illumos is not known to have')
    or diag(map {"$_: @{[sort keys %{$taken{$_}}]}\n"} @foreign);
my @unused = grep { !$taken{$_} } sort keys %listed;
is("@unused", '', 'every function of the list is used');

done_testing;
