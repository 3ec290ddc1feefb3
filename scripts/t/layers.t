#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Who uses whom in libdoor: each file takes symbols only from files that the table "Map of
# `src/`" in libdoor/README.md has above it, and nobody from itself by way of others.

use strict;
use warnings FATAL => 'all';

use Test::More;

my $build = $ENV{BUILD} // 'build';

# The files without their suffix, in the order of the table.
sub mapped {
    my ($readme) = @_;
    my ($is_map, @files) = (0);
    open my $in, '<', $readme or die "$readme: $!";
    while (<$in>) {
        $is_map = /^## Map of `src\/`/ if /^##/;
        push @files, /`(\w+)\.c`/g if $is_map && /^\| `/ && s/^\| ([^|]*) \|.*/$1/s;
    }
    return @files;
}

# $uses{file}{other file} = one of the symbols that it takes from there.
sub graph {
    my @objects = @_;
    my (%owner, %takes, %uses);
    for my $object (@objects) {
        my ($file) = $object =~ m{([^/]+)\.o$};
        $takes{$file} = [];
        for (`nm '$object'`) {
            $owner{$1} = $file if / [TDBRVWC] (\S+)$/;
            push @{$takes{$file}}, $1 if / U (\S+)$/;
        }
    }
    for my $file (keys %takes) {
        for my $symbol (@{$takes{$file}}) {
            my $from = $owner{$symbol};
            $uses{$file}{$from} = $symbol if defined $from && $from ne $file;
        }
    }
    return \%uses;
}

# A way from $file back to itself, or nothing.
sub circle {
    my ($uses, $file, $seen, @way) = @_;
    for my $next (sort keys %{$uses->{$file} // {}}) {
        return (@way, $file, $next) if $next eq ($way[0] // $file);
        next if $seen->{$next}++;
        my @found = circle($uses, $next, $seen, @way, $file);
        return @found if @found;
    }
    return;
}

# What the table does not have, or has above what uses it.
sub misplaced {
    my ($uses, @order) = @_;
    my %place = map { $order[$_] => $_ } 0 .. $#order;
    my @found;
    for my $file (@order) {
        for my $from (sort keys %{$uses->{$file} // {}}) {
            push @found, "$file uses $from ($uses->{$file}{$from})"
                if !defined $place{$from} || $place{$from} > $place{$file};
        }
    }
    return @found;
}

# That this test sees what it is for.
my %round = (a => {b => 'f'}, b => {c => 'g'}, c => {a => 'h'});
is_deeply [circle(\%round, 'a', {})], [qw(a b c a)], 'a circle of three is found';
is_deeply [misplaced(\%round, qw(c b a))], ['c uses a (h)'], 'so is what is out of order';

my @objects = glob "$build/obj/libdoor/src/*.o";
my @sources = map { m{([^/]+)\.c$} ? $1 : () } glob 'libdoor/src/*.c';
my @order = mapped('libdoor/README.md');
my $uses = graph(grep { m{([^/]+)\.o$} && -e "libdoor/src/$1.c" } @objects);

cmp_ok scalar(@sources), '>', 20, 'there are files';
cmp_ok scalar(keys %$uses), '>', 20, 'most of them use others';
is_deeply [sort @order], [sort @sources], 'each file is in the table once';
is_deeply [misplaced($uses, @order)], [], 'each uses only those above it there';
for my $file (@sources) {
    my @way = circle($uses, $file, {});
    fail join ' uses ', @way if @way;
}
done_testing;
