# SPDX-License-Identifier: Apache-2.0
#
# Report.pm: the page about a run: who is first in what, which goals are met,
# how it was measured, and then everything.
package Report;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use List::Util qw(max min);

use Figures;
use Goals;
use Peers;
use Servers;
use Setup;
use Tables;
use Works;

our @EXPORT = qw(report);

# ---------------------------------------------------------------- who is first

my $level = 1.05; # no further from the best is as good as it

my @disciplines = (
    ['requests/s', 'rate', sub { $_[0]{by} =~ /^(requests|get|put)$/ }],
    ['p50', 'p50', sub { $_[0]{by} =~ /^(rate|events)$/ }],
    ['p99', 'p99', sub { $_[0]{by} =~ /^(requests|rate|events)$/ }],
    ['p99.9', 'p999', sub { $_[0]{by} eq 'rate' }],
    ['CPU per request', 'cpu', sub { $_[0]{by} ne 'slow' }],
    ['memory', 'pss', sub { 1 }],
);

# The names of those that are best or level, ours before others.
sub firsts {
    my ($work, $cell, $key) = @_;
    my %role = map { $_->{name} => $_->{role} } peers_of($work);
    my @names = grep { ($role{$_} // '') =~ /^(ours|rival|other)$/ && $cell->{$_}{$key}
        && !$cell->{$_}{errors} } keys %$cell;
    return unless @names > 1;
    my @values = map { $cell->{$_}{$key} } @names;
    my @first = $key eq 'rate' ? grep { $cell->{$_}{$key} * $level >= max @values } @names
        : grep { $cell->{$_}{$key} <= $level * min @values } @names;
    return sort { ($role{$b} eq 'ours') - ($role{$a} eq 'ours') || $a cmp $b } @first;
}

sub say_firsts {
    my ($work, @first) = @_;
    my %role = map { $_->{name} => $_->{role} } peers_of($work);
    return join ' = ', map { $role{$_} eq 'ours' ? "**$_**" : $_ } @first;
}

# Who is first with how many clients: "**mod_door** (1, 8), proxy_fcgi (32)".
sub first_cell {
    my ($run, $work, $key) = @_;
    my $of_work = $run->{summary}{$work->{name}};
    my (%at, @order);
    for my $clients (sort { $a <=> $b } keys %$of_work) {
        my $who = say_firsts($work, firsts($work, $of_work->{$clients}, $key));
        next if $who eq '';
        push @order, $who unless $at{$who};
        push @{$at{$who}}, $clients;
    }
    return '–' unless @order;
    return $order[0] if @order == 1;
    return join ', ', map { "$_ (" . join(', ', @{$at{$_}}) . ')' } @order;
}

# In how many places ours is first or level: "12 of 15".
sub times_ours {
    my ($run, $key, @works) = @_;
    my ($places, $ours) = (0, 0);
    for my $work (@works) {
        my %role = map { $_->{name} => $_->{role} } peers_of($work);
        for my $cell (values %{$run->{summary}{$work->{name}}}) {
            my @first = firsts($work, $cell, $key);
            $places++ if @first;
            $ours++ if @first && $role{$first[0]} eq 'ours';
        }
    }
    return $places ? "$ours of $places" : '–';
}

sub who_is_first {
    my ($run) = @_;
    my @works = grep { $run->{summary}{$_->{name}} } @{$run->{works}};
    my @rows = map {
        my $work = $_;
        row($work->{name}, map { $_->[2]->($work) ? first_cell($run, $work, $_->[1]) : '' } @disciplines);
    } @works;
    push @rows, row('**ours**, of all', map {
        my ($key, $has) = @$_[1, 2];
        times_ours($run, $key, grep { $has->($_) } @works);
    } @disciplines);
    return "## Who is first\n\nAmong those that do the same task: not httpd's own handlers, nor a bare "
        . "door. What is ours is bold. With\nhow many clients (at how many requests/s) is in brackets "
        . "where it is not the same for all; who is no more than\n5 % behind the best is level with it. Who has errors is "
        . "not counted.\n\n"
        . row('work', map { $_->[0] } @disciplines) . '|---' x (1 + @disciplines) . "|\n"
        . join('', @rows) . "\n";
}

# ---------------------------------------------------------------- the goals

sub goal_point {
    my ($goal, $point) = @_;
    my $at = $point->{clients} . (work($goal->{work})->{by} eq 'rate' ? '/s' : '');
    my @notes = $goal->{against} eq 'best' ? $point->{against} : ();
    my $value = sprintf '%.2f', $point->{value};
    unless ($point->{is_met}) {
        $value = "**$value missed**";
        push @notes, sprintf '%.2f–%.2f', @$point{qw(min max)} if $rounds > 1;
    }
    return "$at: $value" . (@notes ? ' (' . join(', ', @notes) . ')' : '');
}

sub goal_bound {
    my ($goal) = @_;
    my $word = defined $goal->{least} ? 'at least' : 'at most';
    my $bound = $goal->{least} // $goal->{most};
    return "$word $bound" unless ref $bound;
    my %clients;
    push @{$clients{$bound->{$_}}}, $_ for sort { $a <=> $b } keys %$bound;
    my @bounds = sort { $clients{$a}[0] <=> $clients{$b}[0] } keys %clients;
    return "$word " . join(', ', map { "$_ (" . join(', ', @{$clients{$_}}) . ')' } @bounds);
}

sub goals {
    my ($run) = @_;
    my @goals = judge($run);
    my @points = map { @{$_->{points}} } @goals;
    my $met = grep { $_->{is_met} } @points;
    my $md = "## Goals\n\nRatios of mod_door's figures to those of the handler in httpd, or of the "
        . "best peer (in brackets);\nmedians of the rounds. Where one is missed its spread is said. "
        . "$met of " . @points . " are met.\n\n"
        . row('work', 'what', 'goal', 'with how many clients: measured') . "|---|---|---|---|\n";
    for my $goal (@goals) {
        my $of = $goal->{of} eq 'mod_door' ? '' : "$goal->{of}: ";
        my $measured = join ', ', map { goal_point($goal, $_) } @{$goal->{points}};
        $md .= row($goal->{work}, "$of$goal->{says}", goal_bound($goal),
            $measured || 'not measured in this run');
    }
    return "$md\n";
}

# ---------------------------------------------------------------- how it was measured

sub preface {
    my ($run) = @_;
    my $machine = $run->{machine};
    my %version = %{$machine->{versions}};
    my $versions = join ', ', map { "$_ $version{$_}" } sort keys %version;
    my $stolen = sprintf '%.1f', 100 * $run->{stolen};
    my $failed = join '', map { "- $_->{name}, $_->{work}: $_->{reason}\n" } @{$run->{failed}};
    return <<"MD" . ($failed ? "\nLeft out, because they do not work here:\n\n$failed" : '') . "\n";
# Results

Made by `${asked}make bench` on $machine->{date}, commit $machine->{commit}, in $run->{minutes} minutes.
$machine->{processors} processors ($machine->{processor}), $machine->{memory_gib} GiB, $machine->{kernel};
load average before it $machine->{load}; the host took $stolen % of the processors' time for others.
$machine->{httpd}, event MPM; $versions.
MD
}

sub how {
    my $times = $rounds == 1 ? 'round' : 'rounds';
    my $rate_s = seconds_of(work('steady'));
    return <<"MD";
## How it was measured

Each peer is an httpd of its own with the same settings (at the end), and what stands behind it.
For each work all start afresh and then run side by side; they are asked one after the other, $rounds $times
of $seconds s for each number of clients, by one `wrk` thread over kept connections; a single stream of
$large_mib MiB three times as often. Figures are medians of the rounds; ratios are taken within a round,
(least–most) is their spread. The limit is the same handler inside httpd. CPU is user and system time of
all of the peer's processes. Memory is the sum of their PSS while it is asked; the application's part is what is
not httpd. A sample during which the host took more than 2 % of the processors' time is taken again, up to three
times in all, and the one with the least counts (`bench/lib/Undisturbed.pm`).

`wrk` asks again when it is answered: how fast a server can be. `steady` asks as users do: so many
requests are due each second, for $rate_s s in each round, over $rate_connections connections, whether
the last ones have been answered or not (`bench/open_loop.c`). A latency counts from when a request was due. How late
the client itself was with what it could have sent at once is in a column of its own; it shares the processors with
the servers.

`NAME-busy` is the same work beside two processes that only compute, `NAME-uneven` beside bursts of a compiler, three at
a time for 0.2 to 1 s, with 0.1 to 0.5 s between; both in a session of their own, which the kernel gives as much as
a server's (`bench/neighbour.pl`). The works at a fixed rate beside neighbours are at the lower rate.

MD
}

sub idle {
    my ($run) = @_;
    my ($tiny) = grep { $_->{name} eq 'tiny' } @{$run->{works}};
    my $idle = $run->{idle}{tiny} or return '';
    my $md = "## Memory when idle\n\nPSS after one request, before any load. What the peers "
        . "share with one another, such as\nhttpd's own code, is counted in equal parts: they run "
        . "side by side.\n\n" . head('', 'PSS MiB', 'application\'s', 'threads', 'processes');
    for my $name (names({tiny => {idle => $idle}}, $tiny)) {
        my $size = $idle->{$name};
        $md .= row(label($name, $tiny), number('%.1f', $size->{pss}, 1024),
            number('%.1f', $size->{app_pss}, 1024), @$size{qw(threads processes)});
    }
    return "$md\n";
}

sub applications {
    my $md = "## The applications\n\nLines of source (what all share, `work.h` and `page.h`, is "
        . "not counted, nor comments) and of\nconfiguration that only this peer needs.\n\n"
        . head('', 'source', 'configuration');
    my %seen;
    for my $peer (all_peers()) {
        $md .= row($peer->{label}, source_lines($peer), conf_lines($peer))
            unless $seen{$peer->{label}}++;
    }
    return "$md\n";
}

# ---------------------------------------------------------------- the page

sub section {
    my ($run, $work, @pictures) = @_;
    return "## $work->{title}\n\n" . ($work->{about} ? "$work->{about}\n\n" : '')
        . join('', map { "![$_->[1]]($_->[0])\n" } @pictures) . (@pictures ? "\n" : '')
        . tables($run, $work);
}

sub report {
    my ($run, $pictures) = @_;
    my @measured = grep { $run->{summary}{$_->{name}} } @{$run->{works}};
    return preface($run) . who_is_first($run) . goals($run) . how()
        . "## All works and peers\n\nThroughput as a share of the limit / CPU per request (event, "
        . "MiB) as a multiple of its; \\* with errors.\nFor events the first is the median time from "
        . "handler to client, for a fixed rate the 99th percentile.\n\n" . matrix($run)
        . join('', map { section($run, $_, @{$pictures->{$_->{name}} // []}) } @measured)
        . idle($run) . applications()
        . "## Settings of every httpd\n\n```apache\n$settings```\n\n"
        . "Why these, and each peer's own: `bench/lib/Servers.pm`, `bench/lib/Peers.pm`.\n";
}

1;
