# SPDX-License-Identifier: Apache-2.0
#
# Costs.pm: what a peer's processes have used and what they hold, from /proc.
# It knows nothing of what they do.
package Costs;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use POSIX ();

use Setup;

our @EXPORT = qw(processes costs difference size pss_of cpu_of ended_cpu);

# All processes of the peer: those it was started with, and what they have started.
sub processes {
    my ($peer) = @_;
    my %parent;
    for (glob '/proc/[0-9]*/stat') {
        my ($pid, $ppid) = slurp($_) =~ /^(\d+) \(.*\) \S (\d+)/s or next;
        $parent{$pid} = $ppid;
    }
    my %own = map { $_ => 1 } @{$peer->{roots}};
    my $more = 1;
    while ($more) {
        $more = 0;
        for (grep { !$own{$_} && $own{$parent{$_}} } keys %parent) {
            $own{$_} = 1;
            $more = 1;
        }
    }
    return keys %own;
}

# user, system; and those of children that have ended and were waited for.
sub ticks {
    my ($pid) = @_;
    my @field = split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr;
    return @field < 15 ? () : @field[11 .. 14];
}

my $second = POSIX::sysconf(POSIX::_SC_CLK_TCK());

# CPU seconds of the children of that process that have ended.
sub ended_cpu {
    my ($pid) = @_;
    my (undef, undef, $user, $system) = ticks($pid);
    return (($user // 0) + ($system // 0)) / $second;
}

# CPU seconds of these processes so far.
sub cpu_of {
    my $sum = 0;
    for (@_) { $sum += ($_->[0] + $_->[1]) / $second for grep { @$_ } [ticks($_)] }
    return $sum;
}

sub threads {
    my ($pid) = @_;
    opendir my $folder, "/proc/$pid/task" or return;
    return grep { /^\d/ } readdir $folder;
}

# How often the thread was switched to.  There are thousands of them: status would say the same,
# and takes four times as long to read.
sub times_run {
    my ($path) = @_;
    open my $file, '<:unix', $path or return 0;
    sysread $file, my $text, 100 or return 0;
    return (split ' ', $text)[2];
}

# CPU seconds of each process so far, and context switches of each thread.
sub costs {
    my ($peer, @more) = @_;
    my (%cpu, %switches);
    for my $pid (processes($peer), @more) {
        $cpu{$pid} += $_ / $second for ticks($pid);
        $switches{$_} = times_run("/proc/$pid/task/$_/schedstat") for threads($pid);
    }
    return {cpu => \%cpu, switches => \%switches};
}

# What was used between the two.  Without schedstat there are no switches; a thread that has ended
# takes its switches with it.
sub difference {
    my ($before, $after) = @_;
    my %sum;
    for my $what (qw(cpu switches)) {
        $sum{$what} = 0;
        $sum{$what} += $after->{$what}{$_} - ($before->{$what}{$_} // 0)
            for keys %{$after->{$what}};
    }
    return ($sum{cpu}, -e '/proc/self/schedstat' ? $sum{switches} : undef);
}

sub pss_of {
    my $sum = 0;
    for (@_) { $sum += $1 if slurp("/proc/$_/smaps_rollup") =~ /^Pss:\s+(\d+)/m }
    return $sum;
}

# KiB of all and of what is not httpd, threads, processes.
sub size {
    my ($peer) = @_;
    my %size = (pss => 0, app_pss => 0, threads => 0, processes => 0);
    for my $pid (processes($peer)) {
        my $pss = pss_of($pid);
        $size{pss} += $pss;
        $size{app_pss} += $pss unless (readlink "/proc/$pid/exe" // '') eq $httpd;
        $size{threads} += $1 if slurp("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m;
        $size{processes}++;
    }
    return \%size;
}

1;
