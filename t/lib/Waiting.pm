# SPDX-License-Identifier: Apache-2.0
#
# Waiting for something that comes about by itself.

package Waiting;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(wait_for);

# True once $check->() is, false if it is not within so many seconds.
sub wait_for {
    my ($check, $seconds) = @_;
    my $deadline = time + ($seconds // 60);
    until ($check->()) {
        return 0 if time > $deadline;
        sleep 0.02;
    }
    return 1;
}

1;
