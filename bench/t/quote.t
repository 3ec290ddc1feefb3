#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The README's figures come from the run that is published.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use File::Temp ();
use JSON::PP qw(encode_json);
use Test::More;

my $bench = dirname(__FILE__) . '/..';
my $dir = File::Temp->newdir;

sub write_file {
    my ($name, $text) = @_;
    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
    return;
}

sub quote {
    my ($results) = @_;
    write_file('results.json', encode_json({results => $results, machine => {processors => 2}}));
    my $said = `$^X $bench/quote.pl $dir/results.json $dir/README.md 2>&1`;
    open my $file, '<', "$dir/README.md" or die $!;
    local $/;
    return ($?, $said, scalar readline $file);
}

sub one {
    my ($share, $cpu) = @_;
    return {share => {median => $share}, cpu_share => {median => $cpu}};
}

# The comments are those of the README itself.
open my $own, '<', "$bench/../README.md" or die $!;
my @comments = grep { /^<!-- / } readline $own;
is scalar @comments, 2, 'the README has a place for figures';
my ($before, $behind) = ("# A title\n\n$comments[0]", "$comments[1]\nMore.\n");
write_file('README.md', "${before}what an earlier run said\n$behind");

my %tiny = (1 => {mod_door => one(0.914, 1.2), 'mod_fcgid-32' => one(0.5, 3)},
    32 => {mod_door => one(0.88, 1.25)});
my ($status, $said, $readme) = quote({tiny => \%tiny});
is "$status$said", '0', 'a run is quoted';
like $readme, qr/^\| mod_door \| 0\.91 \| 1\.20 \| 0\.88 \| 1\.25 \|$/m, 'with its medians';
like $readme, qr/^\| mod_fcgid, 32 processes \| 0\.50 \| 3\.00 \| – \| – \|$/m,
    'and a dash for what was not measured';
unlike $readme, qr/earlier run|p99/, 'nothing of an earlier run stays';
ok $readme =~ /\A\Q$before\E/ && $readme =~ /\Q$behind\E\z/, 'what is around it does';

(undef, undef, $readme) = quote({tiny => \%tiny, steady => {
    2000 => {mod_door => {p50 => 123, p99 => 456, p999 => 7890}, static => {p50 => 1}}}});
like $readme, qr/^\| mod_door \| 0\.12 \| 0\.46 \| 7\.89 \|$/m, 'latencies are in milliseconds';

my $last = $readme;
($status, $said, $readme) = quote({post => \%tiny});
like $said, qr/is left as it is/, 'a run without the tiny answer says nothing about it';
is $readme, $last, 'and changes nothing';

write_file('README.md', "# No place\n");
($status, $said) = quote({tiny => \%tiny});
isnt $status, 0, 'without a place it fails';

done_testing;
