# SPDX-License-Identifier: Apache-2.0
#
# Waiting for something that comes about by itself.

package Waiting;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(wait_for);

# True once $check->() is, false if it is not within so many seconds.  The machine may stand
# still for that long: it looks some more times then.
sub wait_for {
    my ($check, $seconds) = @_;
    $seconds //= 60;
    my $deadline = time + $seconds;
    for (my $looks = 0; !$check->(); $looks++) {
        my $is_late = time > $deadline;
        return 0 if $is_late && ($looks >= $seconds || $looks >= 20);
        sleep($is_late ? 0.25 : 0.02);
    }
    return 1;
}

1;
