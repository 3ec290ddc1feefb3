# SPDX-License-Identifier: Apache-2.0
#
# Samples.pm: one sample of one peer: something asks, and meanwhile its
# processes are looked at.  How it is asked, a work's "by":
#
#   requests   wrk: so many clients, each asks again when it is answered
#   rate       open_loop: so many requests are due per second, on 32 connections
#   events     bench/client: streams of server-sent events
#   get, put   bench/client: a single large body
#   slow       bench/client: large bodies that are read slowly
#
# What is in a sample:
#
#   rate           requests/s; MiB/s; events/s
#   p50 p90 p99 p999 max   us, of a request; of an event, from its handler to the client
#   late           us: how late, at the 99th percentile, the client itself sent what was due
#   errors         what failed, was missing, or not answered with 200
#   cpu, switches  us of CPU and context switches per request, event or MiB
#   pss app_pss backends_pss   KiB while it ran: all, the application, PostgreSQL's part
#   threads processes backends
package Samples;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use JSON::PP ();
use Time::HiRes qw(sleep);

use Costs;
use Database;
use Setup;
use Works;

our @EXPORT = qw(sample warm_up half_of);

my $slow_seconds = 6; # until all run: mod_fcgid takes its time

sub uses_database { return ($_[0]{needs} // '') eq 'database' }

# Runs the command; after so many seconds the peer's size is taken.
sub run {
    my ($peer, $work, $delay, $command) = @_;
    open my $said, '-|', "exec $command 2>&1" or die $!;
    sleep $delay;
    my $size = $peer->{is_pgbench} ? {pss => 0}
        : size($peer);
    if (uses_database($work)) {
        my @pids = backends($peer);
        $size->{backends} = @pids;
        $size->{backends_pss} = pss_of(@pids);
        $size->{pss} += $size->{backends_pss};
    }
    local $/;
    my $text = <$said> // '';
    local $?;
    close $said;
    return ($text, $size);
}

sub client_command {
    my ($peer, $work, $clients) = @_;
    my $by = $work->{by};
    my @more = $by eq 'events' ? ($clients, $events_each)
        : $by eq 'slow' ? ($clients, $slow_seconds) : $large_mib;
    return join ' ', "$build/bench/client", $by, $peer->{port}, path_of($work), @more;
}

sub wrk_command {
    my ($peer, $work, $clients, $for_s) = @_;
    $for_s //= seconds_of($work);
    return "wrk -t1 -c$clients -d${for_s}s --timeout 10s -s $bench/report.lua"
        . " http://127.0.0.1:$peer->{port}'" . path_of($work) . "'";
}

sub open_loop_command {
    my ($peer, $work, $rate) = @_;
    return join ' ', "$build/bench/open_loop", $peer->{port}, path_of($work), $rate,
        $rate_connections, seconds_of($work);
}

# mod_fcgid starts a process only for a request that found all others busy, twice with a second
# asleep between; what a site has after minutes, these peers get before they are measured.
sub warm_up {
    my ($work, $clients, @peers) = @_;
    $clients = $rate_connections if $work->{by} eq 'rate';
    return if $clients == 1 || $work->{by} !~ /^(requests|rate)$/;
    my @warming = map {
        my $command = wrk_command($_, $work, $clients, 2);
        open my $said, '-|', "exec $command 2>&1" or die $!;
        $said;
    } grep { $_->{warm_up} } @peers;
    for my $said (@warming) { 1 while <$said> }
    sleep 0.5 if @warming; # what wrk has left behind
    return;
}

sub read_wrk {
    my ($said) = @_;
    my ($requests, $us, $p50, $p99, $p999, $broken, $wrong) = split / /,
        ($said =~ /^RESULT (.*)/m)[0] // return;
    return {rate => $requests / ($us / 1e6), units => $requests, p50 => $p50, p99 => $p99,
        p999 => $p999, errors => $broken + $wrong, wrong => $wrong};
}

sub read_open_loop {
    my ($said) = @_;
    my $result = eval { JSON::PP::decode_json($said) } // return;
    my %sample = map { $_ => $result->{$_} } qw(rate errors p50 p90 p99 p999 max);
    return {%sample, late => $result->{late_p99}, units => $result->{requests}};
}

sub read_events {
    my ($said) = @_;
    my ($events, $p50, $p99, $p999, $missing) = split / /,
        ($said =~ /^RESULT (.*)/m)[0] // return;
    return {rate => 0, units => $events, p50 => $p50, p99 => $p99, p999 => $p999,
        errors => $missing};
}

sub read_body {
    my ($said) = @_;
    my ($bytes, $us, $errors) = split / /, ($said =~ /^RESULT (.*)/m)[0] // return;
    my $mib = $bytes / 1024 / 1024;
    return {rate => $mib / ($us / 1e6), units => $mib, errors => $errors};
}

# The command, what reads its answer, and when the peer's size is taken.
my %asked = (
    requests => [\&wrk_command, \&read_wrk, sub { 0.6 * seconds_of($_[0]) }],
    rate => [\&open_loop_command, \&read_open_loop, sub { 0.6 * seconds_of($_[0]) }],
    events => [\&client_command, \&read_events, sub { $events_each * 0.07 }],
    slow => [\&client_command, \&read_body, sub { $slow_seconds - 1 }],
    map { $_ => [\&client_command, \&read_body, sub { 0.15 }] } qw(get put),
);

sub sample_pgbench {
    my ($peer, $work, $clients) = @_;
    my $before = ended_cpu(postmaster());
    my $for_s = seconds_of($work);
    my ($said, $size) = run($peer, $work, 0.6 * $for_s, pgbench_command($clients, $for_s));
    my ($tps) = $said =~ /^tps = ([\d.]+)/m;
    my ($latency) = $said =~ /^latency average = ([\d.]+) ms/m;
    my ($units) = $said =~ /actually processed: (\d+)/;
    return {rate => 0, errors => 1} unless $units;
    sleep 0.2; # its backends end, and their time is added to that of the postmaster's children
    return {rate => $tps, mean => $latency * 1000, errors => 0, %$size,
        cpu => (ended_cpu(postmaster()) - $before) * 1e6 / $units};
}

sub sample {
    my ($peer, $work, $clients) = @_;
    return sample_pgbench(@_) if $peer->{is_pgbench};
    my ($command, $read, $delay) = @{$asked{$work->{by}}};
    my @ends = uses_database($work) ? backends($peer) : ();
    my $before = costs($peer, @ends);
    my ($said, $size) = run($peer, $work, $delay->($work), $command->(@_));
    @ends = backends($peer) if uses_database($work);
    my ($cpu, $switches) = difference($before, costs($peer, @ends));
    my $sample = $read->($said) // return {rate => 0, errors => 1, %$size};
    my $units = delete $sample->{units};
    if ($units) {
        $sample->{cpu} = $cpu * 1e6 / $units;
        $sample->{switches} = $switches / $units
            if defined $switches && !$peer->{forgets_switches};
    }
    return {%$sample, %$size};
}

# Half of the requests/s that the peer can, rounded: what a server under some load is asked for.
sub half_of {
    my ($peer, $work) = @_;
    my $command = wrk_command($peer, $work, $rate_connections, 2 * $seconds);
    my $can = read_wrk(scalar `$command 2>&1`) // die "bench: $peer->{name} cannot be measured\n";
    return 100 * int($can->{rate} / 200 + 0.5);
}

1;
