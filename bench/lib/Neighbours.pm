# SPDX-License-Identifier: Apache-2.0
#
# Neighbours.pm: what else the machine does while peers are asked, as others'
# programs do beside a server: neighbour.pl, in a session of its own, which the
# kernel's scheduler counts as one group.
package Neighbours;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use File::Copy ();

use Servers;
use Setup;

our @EXPORT = qw(start_neighbour stop_neighbour);

my $running;

# Who computes may not be able to enter our folders: the script comes as stdin, and what it
# compiles is copied.
sub start_neighbour {
    my ($kind) = @_;
    File::Copy::copy("$bench/peers/work.h", "$dir/work.c") or die "$dir/work.c: $!\n";
    $running = spawn({log => "$dir/neighbour.log", stdin => "$bench/neighbour.pl"}, $^X, '-', $kind,
        "$dir/work.c");
    return;
}

sub stop_neighbour {
    end_processes($running) if $running;
    $running = undef;
    return;
}

1;
