# SPDX-License-Identifier: Apache-2.0
#
# Undisturbed.pm: on a virtual machine the host may give the processors to others
# in the middle of a sample.  The kernel counts that time (proc(5), steal).  A
# sample from which more than a little was stolen is taken again.
package Undisturbed;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use List::Util qw(sum);

use Setup;

our @EXPORT = qw(undisturbed allow_again stolen_share);

my $most = 0.02; # of the processors' time
my $tries = 3;
my $again = 0; # how many samples may be taken again in all that is to come
my ($all, $stolen) = (0, 0); # of the samples that were kept

sub allow_again { ($again) = @_; return }

# All of the processors' time until now, and what was stolen; none where the system does not say.
sub processor_times {
    my ($line) = -r '/proc/stat' ? slurp('/proc/stat') =~ /^cpu\s+(.*)/ : ();
    my @times = (split(' ', $line // ''), (0) x 8)[0 .. 7]; # after the eighth come parts of others
    return (sum(@times), $times[7]);
}

sub share { return $_[0]{time} ? $_[0]{stolen} / $_[0]{time} : 0 }

# The sample that $take->() takes with the least share stolen; its errors are those of all tries.
sub undisturbed {
    my ($take, $times) = @_;
    $times //= \&processor_times;
    my ($best, $errors) = (undef, 0);
    for my $try (1 .. $tries) {
        my @from = $times->();
        my $sample = $take->();
        my @to = $times->();
        $sample->{time} = $to[0] - $from[0];
        $sample->{stolen} = $to[1] - $from[1];
        $errors += $sample->{errors} // 0;
        $best = $sample if !$best || share($sample) < share($best);
        last if share($best) <= $most || $again == 0 || $try == $tries;
        $again--;
    }
    $best->{errors} = $errors;
    $all += $best->{time};
    $stolen += $best->{stolen};
    return $best;
}

sub stolen_share { return $all ? $stolen / $all : 0 }

1;
