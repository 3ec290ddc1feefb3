#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Nothing waits by the clock that somebody may set.  The time of day is asked for only in the
# places listed here, each for a time that people read, or for want of another clock.

use strict;
use warnings FATAL => 'all';

use Test::More;

my %may = (
    'module/report_json.c'        => 'when the report was made',
    'module/shared_figures.c'     => 'since when is counted',
    'supervisor/calls.c'          => 'where a semaphore has only this clock',
    'supervisor/slot.c'           => 'when a process crashed',
    'supervisor/state.c'          => 'when an event was',
    'door_app/examples/kitchen.c' => 'the time for its page',
);
my $asked = qr/\b(?:apr_time_now|apr_thread_cond_timedwait|CLOCK_REALTIME)\b|\b(?:gettimeofday|time)\([^)]/;

# Comments may speak of it.
sub asks {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!";
    my $text = do { local $/; <$in> };
    $text =~ s{/\*.*?\*/}{}gs;
    return $text =~ $asked;
}

my @files = grep { !m{/t/} } ('mod_door.c', glob('module/*.[ch] supervisor/*.[ch] supervisor/tools/*.[ch] '
    . 'door_app/*.[ch] door_app/*/*.[ch] compat/*.[ch] python/src/*.[ch]'));
cmp_ok(scalar @files, '>', 100, 'the sources are here');
is("@{[grep { asks($_) && !$may{$_} } @files]}", '', 'no other file asks for the time of day');
is("@{[grep { !asks($_) } sort keys %may]}", '', 'each that may does');

done_testing;
