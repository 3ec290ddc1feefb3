#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Who uses whom: each file takes symbols only from files that its folder's map has above it,
# and nobody from itself by way of others; and it includes only headers of those, but for
# libdoor's, whose headers hand functions down.  The map is the table "Map of ..." in the
# folder's README.md, or the list in the head comment of its main header.

use strict;
use warnings FATAL => 'all';

use Test::More;

my $build = $ENV{BUILD} // 'build';

# The files without their suffix, in the order of the table.
sub mapped {
    my ($map, $title) = @_;
    my ($is_map, @files) = (0);
    open my $in, '<', $map or die "$map: $!";
    return map { m{^ \* {5}(\w+)\.c  +\w} ? $1 : () } <$in> if $map =~ /\.h$/;
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
    for my $path (glob("$folder/*.[ch]"), $folder eq 'module' ? 'mod_door.c' : ()) {
        my ($file) = $path =~ m{([^/]+)\.[ch]$};
        next unless -e source($folder, $file) && $path !~ m{/mod_door\.h$}; # a header that belongs to all
        open my $in, '<', $path or die "$path: $!";
        while (<$in>) {
            next unless m{^#include "(?:\w+/)?(\w+)\.h"} && $1 ne $file && -e "$folder/$1.c";
            $includes{$file}{$1} = $path;
        }
    }
    return \%includes;
}

# The module's main file lies beside its folder; and all files' log lines name its record.
sub source { my ($folder, $file) = @_; return $file eq 'mod_door' ? 'mod_door.c' : "$folder/$file.c" }

sub check_folder {
    my ($folder, $least, $map, $title) = @_;
    my @main = $folder eq 'module' ? ('mod_door.c') : ();
    my @sources = map { m{([^/]+)\.c$} ? $1 : () } glob("$folder/*.c"), @main;
    my @order = mapped($map, $title);
    my $uses = graph(grep { m{([^/]+)\.o$} && -e source($folder, $1) } glob("$build/obj/$folder/*.o"),
        map { "$build/obj/" . s/\.c$/.o/r } @main);

    for (values %$uses) { delete $_->{mod_door} if ($_->{mod_door} // '') eq 'door_module' }
    cmp_ok scalar(@sources), '>', $least, "$folder: there are files";
    cmp_ok scalar(keys %$uses), '>', $least / 2, '... most of them use others';
    is_deeply [sort @order], [sort @sources], '... each file is in the map once';
    is_deeply [misplaced($uses, @order)], [], '... each uses only those above it there';
    for my $file (@sources) {
        my @way = circle($uses, $file, {});
        fail join ' uses ', @way if @way;
    }
    return @order;
}

sub check_includes {
    my ($folder, $least, @order) = @_;
    my $includes = included($folder);

    cmp_ok scalar(keys %$includes), '>', $least, '... many of them include headers of others';
    is_deeply [misplaced($includes, @order)], [], '... and only of those above';
}

check_folder('libdoor/src', 20, 'libdoor/README.md', 'Map of `src/`');
check_includes('door_app', 10, check_folder('door_app', 20, 'door_app/README.md', 'Map of the files'));
check_includes('module', 10, check_folder('module', 20, 'module/mod_door.h'));
check_folder('supervisor', 12, 'supervisor/supervisor.h');
done_testing;
