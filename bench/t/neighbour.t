#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# A neighbour computes until it is told to end, and does not outlive whoever started it.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'it is for Linux' if $^O ne 'linux';

my $here = dirname(__FILE__);
my %neighbours = (
    busy => ["$here/../neighbour.pl", 'busy'],
    uneven => ["$here/../neighbour.pl", 'uneven', "$here/../peers/work.h"],
);
my $test = $$;
my @left; # to be killed whatever happens

END {
    if ($$ == $test) {
        local $?;
        for (@left) { kill 'KILL', $_ if stat_of($_) }
    }
}

# state, parent; nothing of what has ended, also if nobody has waited for it.
sub stat_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or return;
    my ($state, $parent) = (readline($file) // '') =~ /^.*\) (\S) (\d+)/s or return;
    return $state eq 'Z' ? () : ($state, $parent);
}

sub children_of {
    my ($pid) = @_;
    return grep { my (undef, $parent) = stat_of($_); ($parent // 0) == $pid }
        map { m{(\d+)} } glob '/proc/[0-9]*';
}

sub wait_until {
    my ($is_so) = @_;
    my $until = time + 20;
    until ($is_so->()) {
        return 0 if time > $until;
        sleep 0.05;
    }
    return 1;
}

sub start {
    my ($kind) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        exec $^X, @{$neighbours{$kind}} or POSIX::_exit(127);
    }
    return $pid;
}

# Its number, and its children's once there are some.
sub running {
    my ($pid) = @_;
    my @children;
    wait_until(sub { @children = children_of($pid) });
    push @left, $pid, @children;
    return ($pid, @children);
}

for my $kind (sort keys %neighbours) {
    my ($pid, @children) = running(start($kind));
    ok scalar @children, "$kind: it has others compute, too";
    kill 'TERM', $pid;
    ok wait_until(sub { waitpid($pid, WNOHANG) == $pid }), "$kind: SIGTERM ends it";
    is $?, 0, "$kind: in order";
    is_deeply [grep { stat_of($_) } @children], [], "$kind: with all that it has started";
}

for my $kind (sort keys %neighbours) {
    pipe my $from, my $to or die $!;
    my $starter = fork // die $!;
    if ($starter == 0) {
        syswrite $to, start($kind) . "\n";
        sleep 60;
        POSIX::_exit(0);
    }
    chomp(my $pid = readline $from);
    my @all = running($pid);
    kill 'KILL', $starter;
    waitpid $starter, 0;
    ok wait_until(sub { !grep { stat_of($_) } @all }), "$kind: it ends with its starter";
}

done_testing;
