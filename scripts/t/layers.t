#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Who uses whom in libdoor and in the runtime: each file takes symbols only from files that
# the table "Map of ..." in the folder's README.md has above it, and nobody from itself by way
# of others.  The runtime's files include only the headers of those, too.

use strict;
use warnings FATAL => 'all';

use Test::More;

my $build = $ENV{BUILD} // 'build';

# The files without their suffix, in the order of the table.
sub mapped {
    my ($readme, $title) = @_;
    my ($is_map, @files) = (0);
    open my $in, '<', $readme or die "$readme: $!";
    while (<$in>) {
        $is_map = /^## \Q$title\E$/ if /^##/;
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

# $includes{file}{other file} = who says so, of the headers that files of the folder have.
sub included {
    my ($folder) = @_;
    my %includes;
    for my $path (glob "$folder/*.[ch]") {
        my ($file) = $path =~ m{([^/]+)\.[ch]$};
        next unless -e "$folder/$file.c";    # a header that belongs to all
        open my $in, '<', $path or die "$path: $!";
        while (<$in>) {
            next unless /^#include "(\w+)\.h"/ && $1 ne $file && -e "$folder/$1.c";
            $includes{$file}{$1} = $path;
        }
    }
    return \%includes;
}

sub check_folder {
    my ($folder, $readme, $title, $least) = @_;
    my @sources = map { m{([^/]+)\.c$} ? $1 : () } glob "$folder/*.c";
    my @order = mapped($readme, $title);
    my $uses = graph(grep { m{([^/]+)\.o$} && -e "$folder/$1.c" } glob "$build/obj/$folder/*.o");

    cmp_ok scalar(@sources), '>', $least, "$folder: there are files";
    cmp_ok scalar(keys %$uses), '>', $least, '... most of them use others';
    is_deeply [sort @order], [sort @sources], '... each file is in the table once';
    is_deeply [misplaced($uses, @order)], [], '... each uses only those above it there';
    for my $file (@sources) {
        my @way = circle($uses, $file, {});
        fail join ' uses ', @way if @way;
    }
    return @order;
}

check_folder('libdoor/src', 'libdoor/README.md', 'Map of `src/`', 20);
my @order = check_folder('door_app', 'door_app/README.md', 'Map of the files', 10);
my $includes = included('door_app');
cmp_ok scalar(keys %$includes), '>', 10, '... most of them include headers of others';
is_deeply [misplaced($includes, @order)], [], '... and only of those above';
done_testing;
