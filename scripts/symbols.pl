#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# symbols.pl: adds to debian/*.symbols the names that the libraries' maps have besides, as new in
# this version.  A name that has gone is not taken out: programs may need it.

use strict;
use warnings FATAL => 'all';

use lib 'scripts';
use VersionMap qw(version_map);

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return <$file>;
}

my ($version) = slurp('Makefile') =~ /^VERSION\s*:=\s*(\S+)$/m;
for (['libdoor1', 'libdoor/libdoor.map'], ['libdoor-app1', 'door_app/libdoor_app.map'],
    ['libdoor-fcgi1', 'door_app/fcgi/libdoor_fcgi.map']) {
    my $package = "debian/$_->[0].symbols";
    my ($node, @names) = version_map($_->[1]);
    my @lines = split /^/, slurp($package);
    my @head = grep { /^\S/ } @lines;
    my %since = map { / (\S+) (\S+)/ ? ($1, $2) : () } grep { /^ / } @lines;
    $since{"$_\@$node"} //= $version for @names;
    open my $out, '>', $package or die "$package: $!";
    print $out @head, map { " $_ $since{$_}\n" } sort keys %since;
    close $out or die "$package: $!";
}
