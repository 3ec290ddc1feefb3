#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# open(2) opens doors in programs that know nothing of them, where the library is
# preloaded, and in libraries that are not linked with it, where the program is.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use Test::More;

my $build = abs_path($ENV{BUILD} // 'build');
my $cc = $ENV{CC} // 'cc';
plan skip_all => 'doors are the system\'s own' unless -e "$build/libdoor.so";

my $dir = File::Temp->newdir("$build/interpose.XXXXXX");
my $name = "$dir/name";
my $flags = "-Wall -Wextra -Werror -Ilibdoor/include";

sub builds {
    my ($what, $command) = @_;
    my $output = qx{$command 2>&1};
    is $?, 0, "$what builds" or diag $output;
}

# The library's reference to open() has a version: that of libc's.
builds('a library without libdoor',
    "$cc $flags -shared -fPIC -o $dir/libelsewhere.so scripts/t/open_elsewhere.c");
builds('a program with both',
    "$cc $flags -o $dir/serve scripts/t/serve.c $dir/libelsewhere.so $build/libdoor.so"
        . " -Wl,-rpath,$dir -Wl,-rpath,$build");

is qx{$dir/serve $name}, "served\n", 'a library without libdoor opens a door';

sub opens {
    my ($what, @command) = @_;
    isnt system("$dir/serve", $name, 'sh', '-c', 'exec "$@" 2>/dev/null', 'sh', @command), 0,
        "$what: not by itself";
    is system("$dir/serve", $name, 'env', "LD_PRELOAD=$build/libdoor.so", @command), 0,
        '... with libdoor preloaded';
}

opens('perl', $^X, '-e', 'open my $d, "<", shift or exit 1; exit !(-S $d)', $name);
opens('cat', 'cat', $name);
opens('dd, which gives the descriptor a number of its own', 'dd', "if=$name", 'status=none');
SKIP: {
    skip 'no python3', 2 if system('python3 -c 0 2>/dev/null') != 0;
    opens('python', 'python3', '-c', 'import os, sys; os.open(sys.argv[1], os.O_RDONLY)', $name);
}

done_testing;
