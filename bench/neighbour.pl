#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# neighbour.pl: what others do on the machine while a server is measured, until
# SIGTERM, or until whoever started it has gone:
#
#   neighbour.pl busy          two processes that only compute
#   neighbour.pl uneven FILE   a compiler of that C file, three at a time, in bursts of 0.2 to 1 s
#                              with 0.1 to 0.5 s between them
#
# The bursts come alike in each run.

use strict;
use warnings FATAL => 'all';

use POSIX ();
use Time::HiRes qw(sleep time);

my ($kind, $file) = @ARGV;
my $starter = getppid;
my $is_over = 0;
$SIG{TERM} = $SIG{INT} = sub { $is_over = 1 };

sub goes_on { return !$is_over && getppid == $starter }

sub compute {
    while (goes_on()) {
        for (1 .. 100_000) { }
    }
    return;
}

sub start {
    my ($work) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        $starter = getppid;
        $work->();
        POSIX::_exit(0);
    }
    return $pid;
}

sub busy {
    my $second = start(\&compute);
    compute();
    kill 'TERM', $second;
    waitpid $second, 0;
    return;
}

sub compile {
    exec qw(cc -O2 -x c -S -o /dev/null), $file;
    die "cc: $!\n";
}

sub burst {
    my ($until) = @_;
    my $running = 0;
    while ($running > 0 || goes_on() && time < $until) {
        for (; $running < 3 && goes_on() && time < $until; $running++) { start(\&compile) }
        $running-- if $running > 0 && waitpid(-1, 0) > 0;
    }
    return;
}

sub uneven {
    srand 1;
    while (goes_on()) {
        burst(time + 0.2 + rand 0.8);
        sleep 0.1 + rand 0.4 if goes_on();
    }
    return;
}

my %kinds = (busy => \&busy, uneven => \&uneven);
die "usage: neighbour.pl busy|uneven FILE\n" unless $kinds{$kind // ''};
$kinds{$kind}->();
