# SPDX-License-Identifier: Apache-2.0
#
# Figures.pm: from samples to medians and ratios.  A ratio is taken within a
# round, in which the peers were asked one after the other; what counts is the
# median of the rounds' ratios, and their least and most are its spread.
package Figures;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Peers;
use Setup;

our @EXPORT = qw(summarise ratio best_rival is_held_back);

my @medians = qw(rate p50 p90 p99 p999 max late mean cpu switches pss app_pss backends backends_pss
    threads processes);

# Median, least and most of list's values in those of limit in the same round.
sub ratio {
    my ($key, $list, $limit) = @_;
    my @ratios = sort { $a <=> $b } map { $list->[$_]{$key} / $limit->[$_]{$key} }
        grep { defined $list->[$_]{$key} && $limit->[$_]{$key} } 0 .. $#$list;
    return @ratios ? {median => median(@ratios), min => $ratios[0], max => $ratios[-1]} : undef;
}

# What is compared with the limit, by how the work is asked for.
my %shares = (
    rate => [qw(p50 p99 cpu)], events => ['cpu'], slow => [],
    map { $_ => [qw(rate cpu)] } qw(requests get put),
);
my %share_name = (rate => 'share', cpu => 'cpu_share', p50 => 'p50_share', p99 => 'p99_share');

sub summarise_one {
    my ($work, $list, $limit, $idle) = @_;
    my %one;
    for my $key (@medians) {
        my $value = median(map { $_->{$key} } @$list);
        $one{$key} = 0 + $value if defined $value;
    }
    for my $key (qw(errors wrong)) {
        $one{$key} = 0;
        $one{$key} += $_->{$key} // 0 for @$list;
    }
    $one{$share_name{$_}} = ratio($_, $list, $limit) for @{$shares{$work->{by}}};
    $one{idle} = $idle;
    return \%one;
}

# $run->{samples}{work}{clients}{name}: a list with a sample per round; to one of the same shape.
sub summarise {
    my ($run) = @_;
    my %summary;
    for my $work (@{$run->{works}}) {
        my ($name, $samples) = ($work->{name}, $run->{samples}{$work->{name}} // {});
        for my $clients (keys %$samples) {
            my $cell = $samples->{$clients};
            my $limit = $cell->{$work->{limit}} // [];
            $summary{$name}{$clients}{$_} =
                summarise_one($work, $cell->{$_}, $limit, $run->{idle}{$name}{$_}) for keys %$cell;
        }
    }
    return \%summary;
}

# Half of the events come later than the next one is written.
sub is_held_back { return ($_[0]{p50} // 0) > 100_000 }

# The name of the rival that is best in $key, of what summarise() has for a number of clients; who
# answers wrongly or not at all is none.
sub best_rival {
    my ($work, $cell, $key) = @_;
    my %is_rival = map { $_->{name} => 1 } grep { $_->{role} =~ /^(rival|other)$/ } peers_of($work);
    my @rivals = sort { $cell->{$a}{$key} <=> $cell->{$b}{$key} || $a cmp $b }
        grep { $is_rival{$_} && defined $cell->{$_}{$key} && !$cell->{$_}{errors} } keys %$cell;
    return $key eq 'rate' ? $rivals[-1] : $rivals[0];
}

1;
