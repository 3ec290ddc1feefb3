#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# What bench.pl says of a run: who is first in what, and which goals are met.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use Test::More;

# As a whole run is.
BEGIN { delete @ENV{qw(QUICK ROUNDS SECONDS WORKS PEERS CONCURRENCY RATES LARGE_MIB)} }

use lib dirname(__FILE__) . '/../lib';
use Setup;
use Works;
use Figures;
use Goals;
use Report;

($programs, $gateways, $mod_door) = map { "/$_" } qw(programs gateways mod_door.so);

# Rounds of one figure, with the same of the others in each.
sub rounds { my ($key, @values) = @_; return [map { sample($key => $_) } @values] }

sub sample {
    return {rate => 1000, p50 => 100, p99 => 1000, p999 => 2000, cpu => 50, pss => 20480, errors => 0,
        @_};
}

sub run_of {
    my (%samples) = @_;
    my %run = (works => [map { work($_) } sort keys %samples], samples => \%samples, idle => {},
        failed => [], minutes => 1, stolen => 0.0123,
        machine => {map({ $_ => $_ } qw(date commit processors processor memory_gib kernel load
            httpd)), versions => {}});
    $run{summary} = summarise(\%run);
    return \%run;
}

sub goal {
    my ($run, $work, $says) = @_;
    my ($goal) = grep { $_->{work} eq $work && $_->{says} eq $says } judge($run);
    return {map { $_->{clients} => $_ } @{$goal->{points}}};
}

my $run = run_of(tiny => {
    1 => {
        'in-process' => rounds(rate => 1000, 2000, 4000), mod_door => rounds(rate => 900, 1760, 3400),
        'mod_door-raw' => rounds(rate => 900, 1800, 3600), static => rounds(rate => 9000, 9000, 9000),
        proxy_fcgi => rounds(rate => 500, 900, 1500),
    },
    8 => {
        'in-process' => rounds(rate => 1000, 1000), mod_door => rounds(rate => 820, 860),
        proxy_fcgi => rounds(rate => 830, 830),
    },
});

# ---------------------------------------------------------------- goals

my $of_limit = goal($run, 'tiny', 'requests/s, of the handler in httpd');
is $of_limit->{1}{value}, 0.88, 'a ratio is the median of those within the rounds';
ok $of_limit->{1}{is_met}, 'what is as much as the goal meets it';
is $of_limit->{8}{value}, 0.84, 'another number of clients has its own goal';
ok !$of_limit->{8}{is_met}, 'which 0.84 misses';
my $of_raw = goal($run, 'tiny', 'requests/s, of a bare door');
is_deeply [keys %$of_raw], [1], 'a goal is not judged where the other one was not measured';

my $page = report($run, {});
like $page, qr/^\| tiny \| requests\/s, of the handler in httpd \| .* 1: 0\.88, 8: \*\*0\.84 missed\*\* \(0\.82–0\.86\) \|$/m,
    'the page marks what is missed, with its spread';
like $page, qr/^\| steady \| p99, of the handler in httpd \| at most 1\.3 \| not measured in this run \|$/m,
    'and says what was not measured';

my $beside = run_of('tiny-busy' => {
    32 => {
        'in-process' => rounds(rate => 2000), mod_door => rounds(rate => 1200),
        proxy_fcgi => rounds(rate => 1000), 'proxy_http-tcp' => rounds(rate => 1100),
        'proxy_http-unix' => [sample(rate => 5000, errors => 3)],
    },
});
my $best = goal($beside, 'tiny-busy', 'requests/s, of the best peer')->{32};
is $best->{against}, 'proxy_http-tcp', 'the best peer is the fastest without errors';
is $best->{value}, 1.09, 'by which mod_door is divided';

my $steady = run_of(steady => {2000 => {
    'in-process' => rounds(p99 => 100), mod_door => rounds(p99 => 131),
}});
ok !goal($steady, 'steady', 'p99, of the handler in httpd')->{2000}{is_met},
    'of latencies the goal is the most';

# ---------------------------------------------------------------- who is first

my ($row) = $page =~ /^(\| tiny \| .*)$/m;
my @cells = split / *\| */, $row;
is $cells[2], '**mod_door** (1), **mod_door** = proxy_fcgi (8)',
    'a file is not a peer; who is 5 % behind is level';
like $page, qr/^\| \*\*ours\*\*, of all \| 2 of 2 \|/m, 'and how often it is ours is counted';
like report($beside, {}), qr/^## \/tiny: 24 bytes, beside two busy loops$/m,
    'beside a neighbour it is a work of its own';

like report($beside, {}), qr/; the host took 1\.2 % of the processors' time for others\.$/m,
    'how quiet the machine was is said';

$asked = 'QUICK=1 ';
like report($beside, {}), qr/^Made by `QUICK=1 make bench` on /m, 'a run that is not whole says so';

eval { work('tiny-sleepy') };
like $@, qr/there is no work tiny-sleepy/, 'there are no other neighbours';

done_testing;
