#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# bench.pl BUILD: mod_door beside its peers.  Each peer is an httpd of its own
# with the same settings, and what stands behind it; for each work all run at
# once, and are asked one after the other, round after round, so that whatever
# else the machine does meets all of them.  What is compared are ratios within
# a round.
#
#   QUICK=1        two minutes instead of twenty-five: a few works, one round
#   ROUNDS, SECONDS, WORKS, CONCURRENCY, PEERS, LARGE_MIB    other than the
#                  default; lists with commas
#
# Writes BUILD/bench/results.json, results.md, and pictures if gnuplot is there.
# This file is the order of a run; the parts are in lib/.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use JSON::PP ();
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use Setup;
use Peers;
use Servers;
use Costs;
use Database;
use Samples;
use Tables;
use Plots;

settle();
my $began = time;
my %run = (machine => machine(), samples => {}, idle => {}, failed => []);

# ---------------------------------------------------------------- progress

my ($done, $total) = (0, 0);

sub takes_part {
    my ($peer, $clients) = @_;
    return !$peer->{concurrency} || grep { $_ == $clients } @{$peer->{concurrency}};
}

sub samples_of {
    my ($work, $peer) = @_;
    return rounds_of($work) * grep { takes_part($peer, $_) } @{$concurrency{$work}};
}

my $pgbench = {name => 'pgbench', is_pgbench => 1};
for my $work (@works) {
    $total += samples_of($work, $_) for peers_of($work), $work eq 'db' ? $pgbench : ();
}

sub progress {
    my ($work, $clients, $name) = @_;
    my $text = sprintf '%d of %d samples, %.1f min: /%s, %d clients', $done, $total,
        (time - $began) / 60, $work, $clients;
    say_now(-t STDERR ? sprintf("\r\e[K%s, %s", $text, $name) : $name ? '' : "$text\n");
    return;
}

sub leave_out {
    my ($work, $peer, $reason) = @_;
    say_now((-t STDERR ? "\r\e[K" : '') . "/$work: $peer->{name} is left out: $reason\n");
    $total -= samples_of($work, $peer);
    push @{$run{failed}}, {work => $work, name => $peer->{name}, reason => $reason};
    return;
}

# ---------------------------------------------------------------- a work

sub large_file {
    my $name = "$dir/large";
    return $name if -e $name;
    open my $file, '>', $name or die "$name: $!\n";
    print $file 'x' x 1048576 for 1 .. $large_mib;
    close $file or die "$name: $!\n";
    return $name;
}

sub environment_of {
    my ($work, $peer) = @_;
    return $work eq 'db' ? environment($peer) : $work eq 'file' ? {BENCH_FILE => large_file()} : {};
}

# Those that answer rightly, started, and looked at while they have nothing to do.
sub prepare {
    my ($work) = @_;
    my (@started, @ready);
    for my $peer (peers_of($work)) {
        my $reason = start($peer, $work, environment_of($work, $peer));
        $reason ? leave_out($work, $peer, $reason) : push @started, $peer;
    }
    sleep 1;
    for my $peer (@started) {
        my $wrong = eval { why_wrong($peer, $work) } // $@;
        if ($wrong) {
            leave_out($work, $peer, $wrong);
            stop_all($peer);
        } else {
            push @ready, $peer;
        }
    }
    $run{idle}{$work}{$_->{name}} = size($_) for @ready;
    return @ready;
}

# The peers take turns in being the first of a round.
sub rounds {
    my ($work, $clients, @peers) = @_;
    warm_up($work, $clients, @peers);
    for my $round (0 .. rounds_of($work) - 1) {
        for my $i (0 .. $#peers) {
            my $peer = $peers[($i + $round) % @peers];
            progress($work, $clients, $peer->{name}) if -t STDERR;
            my $sample = eval { sample($peer, $work, $clients) }
                // {rate => 0, errors => 1, failed => $@};
            push @{$run{samples}{$work}{$clients}{$peer->{name}}}, $sample;
            $done++;
        }
    }
    return;
}

sub measure {
    my ($work) = @_;
    if ($work eq 'db' && (my $reason = start_database())) {
        leave_out($work, $_, $reason) for $pgbench, peers_of($work);
        return;
    }
    my @peers = prepare($work);
    my @all = $work eq 'db' ? ($pgbench, @peers) : @peers;
    for my $clients (@{$concurrency{$work}}) {
        progress($work, $clients, '') unless -t STDERR;
        rounds($work, $clients, grep { takes_part($_, $clients) } @all);
    }
    stop_all(@peers);
    stop_database() if $work eq 'db';
    return;
}

# ---------------------------------------------------------------- the run

for my $work (@works) { measure($work) }
say_now("\n") if -t STDERR;

$run{minutes} = sprintf '%.0f', (time - $began) / 60;
my $summary = summarise(\%run);
unlink glob "$build/bench/*.svg"; # an earlier run's
my $md = markdown(\%run, $summary, plots($summary));
spew("$build/bench/results.md", $md);
spew("$build/bench/results.json", JSON::PP->new->canonical->pretty->encode({
    machine => $run{machine}, minutes => $run{minutes}, rounds => $rounds, seconds => $seconds,
    large_mib => $large_mib, settings => [split /\n/, $settings], failed => $run{failed},
    results => $summary,
    applications => [map { +{name => $_->{name}, works => $_->{works},
        source_lines => source_lines($_), configuration_lines => conf_lines($_)} } all_peers()],
}));
unlink "$dir/large";
print $md;
