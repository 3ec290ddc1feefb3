#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# docs/troubleshooting.md quotes lines of the log: each is one that the code writes.

use strict;
use warnings FATAL => 'all';

use lib 'scripts/docs';
use Docs qw(slurp);
use Test::More;

# All strings of the code, those that stand side by side joined; what printf() fills in is "...".
my $strings = '';
for my $source (map { slurp($_) } 'mod_door.c', glob('module/*.c'), glob('supervisor/*.c')) {
    my $joined = $source =~ s/"\s*\n\s*"//gr =~ s/" (?:PRI\w+|\w+_FMT) "/%d/gr;
    $strings .= "$_\n" for map { s/%[-+ #0-9.*]*(?:ll|l|z|h)?[a-zA-Z]/.../gr } $joined =~ /"((?:[^"\\\n]|\\.)*)"/g;
}

# Of a quotation, the parts between what differs from time to time.
sub parts { return grep { length > 3 } map { s/^\s+|\s+$//gr } split /\.\.\.|\d+/, $_[0] }

is_deeply [parts('failed 3 times, next try in ...')], ['failed', 'times, next try in'], 'what is fixed in a line';

my $count = 0;
my $document = slurp('docs/troubleshooting.md');
my @tables = $document =~ /^(\| The line says \|.*\n(?:\|.*\n)+)/mg;
for my $table (@tables) {
    for my $row (split /\n/, $table) {
        my ($cell) = $row =~ /^\| (.*?) \|/ or next;
        for my $line ($cell =~ /`([^`]*)`/g) {
            # The system's own words.
            next if $line eq 'Permission denied';
            my @missing = grep { index($strings, $_) < 0 } parts($line);
            is_deeply \@missing, [], $line;
            $count++;
        }
    }
}
cmp_ok $count, '>', 15, 'there are lines';

done_testing;
