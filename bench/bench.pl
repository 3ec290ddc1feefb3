#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# bench.pl BUILD: mod_door beside its peers.  Each peer is an httpd of its own
# with the same settings, and what stands behind it; for each work all run at
# once, and are asked one after the other, round after round, so that whatever
# else the machine does meets all of them.  What is compared are ratios within
# a round.
#
#   QUICK=1        some minutes instead of fifty: a few works, one round
#   WORKS, PEERS   only these; any work is also measured beside neighbours: WORKS=64k-busy has two
#                  loops that compute, 64k-uneven bursts of short processes
#   CONCURRENCY, RATES   how many clients ask; how many requests are due each second, or half
#   ROUNDS, SECONDS, LARGE_MIB    other than the default
#
# Lists are with commas.  Writes BUILD/bench/results.json, results.md, and pictures if gnuplot is
# there.  This file is the order of a run; the parts are in lib/, works and peers of other
# languages in lib/Rows/.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use JSON::PP ();
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use Setup;
use Works;
use Peers;
use Servers;
use Neighbours;
use Costs;
use Database;
use Samples;
use Undisturbed;
use Figures;
use Goals;
use Report;
use Plots;

require $_ for sort glob "$bench/lib/Rows/*.pm";

my @works = chosen_works();
settle();
my $began = time;
my %run = (machine => machine(), works => \@works, samples => {}, idle => {}, failed => []);

# ---------------------------------------------------------------- progress

my ($done, $total) = (0, 0);

sub takes_part {
    my ($peer, $clients) = @_;
    return !$peer->{concurrency} || grep { $_ eq $clients } @{$peer->{concurrency}};
}

sub samples_of {
    my ($work, $peer) = @_;
    return rounds_of($work) * grep { takes_part($peer, $_) } clients_of($work);
}

my $pgbench = {name => 'pgbench', is_pgbench => 1};

# With pgbench where it is the limit.
sub all_of {
    my ($work) = @_;
    return ($work->{limit} eq 'pgbench' ? $pgbench : (), peers_of($work));
}

my $takes_s = 0; # a sample has some work around it
for my $work (@works) {
    for my $peer (all_of($work)) {
        $total += samples_of($work, $peer);
        $takes_s += samples_of($work, $peer) * (seconds_of($work) + 0.3);
    }
}
allow_again(int($total / 2));
say_now(sprintf "bench: %d samples, about %.0f minutes\n", $total, $takes_s / 60);

sub progress {
    my ($work, $clients, $name) = @_;
    my $text = sprintf '%d of %d samples, %.1f min: %s, %s', $done, $total,
        (time - $began) / 60, $work->{name}, point_of($work, $clients);
    say_now(-t STDERR ? sprintf("\r\e[K%s, %s", $text, $name) : $name ? '' : "$text\n");
    return;
}

sub leave_out {
    my ($work, $peer, $reason) = @_;
    say_now((-t STDERR ? "\r\e[K" : '') . "$work->{name}: $peer->{name} is left out: $reason\n");
    $total -= samples_of($work, $peer);
    push @{$run{failed}}, {work => $work->{name}, name => $peer->{name}, reason => $reason};
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
    my $needs = $work->{needs} // '';
    return $needs eq 'database' ? environment($peer)
        : $needs eq 'file' ? {BENCH_FILE => large_file()} : {};
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
    $run{idle}{$work->{name}}{$_->{name}} = size($_) for @ready;
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
            push @{$run{samples}{$work->{name}}{$clients}{$peer->{name}}}, undisturbed(sub {
                eval { sample($peer, $work, $clients) } // {rate => 0, errors => 1, failed => $@};
            });
            $done++;
        }
    }
    return;
}

# Half of what the limit can is known when that runs, beside nothing else.
my $half;

sub points {
    my ($work, @peers) = @_;
    my ($limit) = grep { $_->{name} eq $work->{limit} } @peers;
    return map {
        $_ ne 'half' ? $_ : $half //= $limit ? half_of($limit, $work) : undef
    } clients_of($work);
}

sub measure {
    my ($work) = @_;
    my $is_db = ($work->{needs} // '') eq 'database';
    if ($is_db && (my $reason = start_database())) {
        leave_out($work, $_, $reason) for all_of($work);
        return;
    }
    my @peers = prepare($work);
    my @all = ($work->{limit} eq 'pgbench' ? $pgbench : (), @peers);
    my @points = grep { defined } points($work, @peers);
    start_neighbour($work->{neighbour}) if $work->{neighbour};
    for my $clients (@points) {
        progress($work, $clients, '') unless -t STDERR;
        rounds($work, $clients, grep { takes_part($_, $clients) } @all);
    }
    stop_neighbour();
    stop_all(@peers);
    stop_database() if $is_db;
    return;
}

# ---------------------------------------------------------------- the run

for my $work (@works) { measure($work) }
say_now("\n") if -t STDERR;

$run{minutes} = sprintf '%.0f', (time - $began) / 60;
$run{stolen} = stolen_share();
$run{summary} = summarise(\%run);
unlink glob "$build/bench/*.svg"; # an earlier run's
my $md = report(\%run, plots(\%run));
spew("$build/bench/results.md", $md);
spew("$build/bench/results.json", JSON::PP->new->canonical->pretty->encode({
    machine => $run{machine}, asked => $asked, minutes => $run{minutes}, stolen => $run{stolen},
    rounds => $rounds, seconds => $seconds, large_mib => $large_mib,
    settings => [split /\n/, $settings], failed => $run{failed},
    results => $run{summary}, goals => [judge(\%run)],
    applications => [map { +{name => $_->{name}, works => $_->{works},
        source_lines => source_lines($_), configuration_lines => conf_lines($_)} } all_peers()],
}));
unlink "$dir/large";
print $md;
