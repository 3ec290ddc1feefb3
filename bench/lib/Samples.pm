# SPDX-License-Identifier: Apache-2.0
#
# Samples.pm: one sample of one peer: something asks, and meanwhile its
# processes are looked at.  What is in a sample:
#
#   rate           requests/s; MiB/s; events/s
#   p50 p99 p999   us, of a request; of an event, from its handler to the client
#   errors         what failed, was missing, or not answered with 200
#   cpu, switches  us of CPU and context switches per request, event or MiB
#   pss app_pss backends_pss   KiB while it ran: all, the application, PostgreSQL's part
#   threads processes backends
package Samples;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use Time::HiRes qw(sleep);

use Costs;
use Database;
use Peers;
use Setup;

our @EXPORT = qw(sample warm_up);

my $slow_seconds = 6; # until all run: mod_fcgid takes its time

# Runs the command; after so many seconds the peer's size is taken.
sub run {
    my ($peer, $work, $delay, $command) = @_;
    open my $said, '-|', "exec $command 2>&1" or die $!;
    sleep $delay;
    my $size = $peer->{is_pgbench} ? {pss => 0}
        : size($peer);
    if ($work eq 'db') {
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
    my $what = $work eq 'upload' ? 'put' : $work =~ /^(events|slow)$/ ? $work : 'get';
    my @more = $work eq 'events' ? ($clients, $events_each)
        : $work eq 'slow' ? ($clients, $slow_seconds) : $large_mib;
    return join ' ', "$build/bench/client", $what, $peer->{port}, path_of($work), @more;
}

sub wrk_command {
    my ($peer, $work, $clients) = @_;
    return "wrk -t1 -c$clients -d${seconds}s --timeout 10s -s $bench/report.lua"
        . " http://127.0.0.1:$peer->{port}" . path_of($work);
}

# mod_fcgid starts a process only for a request that found all others busy, twice with a second
# asleep between; what a site has after minutes, these peers get before they are measured.
sub warm_up {
    my ($work, $clients, @peers) = @_;
    return if $clients == 1 || !(is_request($work) || $work eq 'db');
    my @warming = map {
        my $command = wrk_command($_, $work, $clients) =~ s/-d\d+s/-d2s/r;
        open my $said, '-|', "exec $command 2>&1" or die $!;
        $said;
    } grep { $_->{warm_up} } @peers;
    for my $said (@warming) { 1 while <$said> }
    sleep 0.5 if @warming; # what wrk has left behind
    return;
}

# rate and such, and of how many units; or nothing: it has said something else.
my %read = (
    wrk => sub {
        my ($requests, $us, $p50, $p99, $p999, $broken, $wrong) = @_;
        return {rate => $requests / ($us / 1e6), units => $requests, p50 => $p50, p99 => $p99,
            p999 => $p999, errors => $broken + $wrong, wrong => $wrong};
    },
    events => sub {
        my ($events, $p50, $p99, $p999, $missing) = @_;
        return {rate => 0, units => $events, p50 => $p50, p99 => $p99, p999 => $p999,
            errors => $missing};
    },
    body => sub {
        my ($bytes, $us, $errors) = @_;
        my $mib = $bytes / 1024 / 1024;
        return {rate => $mib / ($us / 1e6), units => $mib, errors => $errors};
    },
);

sub sample_pgbench {
    my ($peer, $work, $clients) = @_;
    my $before = ended_cpu(postmaster());
    my ($said, $size) = run($peer, $work, 0.6 * $seconds, pgbench_command($clients));
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
    my $is_wrk = is_request($work) || $work eq 'db';
    my $command = $is_wrk ? wrk_command(@_) : client_command(@_);
    my $delay = $is_wrk ? 0.6 * $seconds : $work eq 'events' ? $events_each * 0.07 : $work eq 'slow'
        ? $slow_seconds - 1 : 0.15;
    my $before = costs($peer, $work eq 'db' ? backends($peer) : ());
    my ($said, $size) = run($peer, $work, $delay, $command);
    my ($cpu, $switches) =
        difference($before, costs($peer, $work eq 'db' ? backends($peer) : ()));
    my ($line) = $said =~ /^RESULT (.*)/m or return {rate => 0, errors => 1, %$size};
    my $sample = $read{$is_wrk ? 'wrk' : $work eq 'events' ? 'events' : 'body'}->(split / /, $line);
    my $units = delete $sample->{units};
    if ($units) {
        $sample->{cpu} = $cpu * 1e6 / $units;
        $sample->{switches} = $switches / $units
            if defined $switches && !$peer->{forgets_switches};
    }
    return {%$sample, %$size};
}

1;
