#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Samples that the host has disturbed are taken again.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/../lib';
use Undisturbed;

my ($now, $stolen, $taken) = (1000, 10, 0);

# Samples in which so much of 100 is stolen, one after the other.
sub samples {
    my (@list) = @_;
    $taken = 0;
    return undisturbed(
        sub {
            my $sample = shift @list;
            $now += 100;
            $stolen += $sample->{lost};
            $taken++;
            return $sample;
        },
        sub { return ($now, $stolen) });
}

allow_again(10);
is samples({lost => 2, rate => 1})->{rate}, 1, 'where little is stolen';
is $taken, 1, 'one sample is enough';
is samples(map { {lost => $_, rate => $_} } 3, 0)->{rate}, 0, 'where more is stolen, the next one counts';
is $taken, 2, 'if that is good';
is samples(map { {lost => $_, rate => $_} } 9, 5, 7, 0)->{rate}, 5, 'of three the best counts';
is $taken, 3, 'and there are no more';
is samples({lost => 9, errors => 2}, {lost => 0, errors => 1})->{errors}, 3, 'no error is lost';
is stolen_share(), (2 + 0 + 5 + 0) / 400, 'the samples that count make the share';

allow_again(1);
is samples(map { {lost => $_, rate => $_} } 9, 8, 0)->{rate}, 8, 'so many may be taken again';
is samples(map { {lost => $_, rate => $_} } 9, 0)->{rate}, 9, 'and no more';

my $real = undisturbed(sub { select undef, undef, undef, 0.2; return {errors => 0} });
SKIP: {
    skip 'the system does not say', 1 if !-r '/proc/stat';
    cmp_ok $real->{time}, '>', 0, 'the processors\' time is the system\'s';
}

done_testing;
