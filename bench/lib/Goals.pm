# SPDX-License-Identifier: Apache-2.0
#
# Goals.pm: what mod_door is meant to reach beside its peers, and whether a run
# says that it does.  Further goals come from the files in Rows/.
#
#   works    those it holds for
#   says     the figure, in words
#   of       whose figure it is, mod_door's by default
#   figure   which one: rate, p50, p99, p999, cpu, pss
#   against  the peer it is divided by, or best: the best rival's in that figure
#   least, most   what the ratio may be, for all numbers of clients or {clients => ratio}
package Goals;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Figures;
use Setup;

our @EXPORT = qw(add_goal judge);

my @goals;

sub add_goal { push @goals, {of => 'mod_door', @_}; return }

# The median of the rounds' ratios, or undef where one of both is not there.
sub figure_of {
    my ($run, $goal, $work, $clients) = @_;
    my $samples = $run->{samples}{$work->{name}}{$clients};
    my $against = $goal->{against} ne 'best' ? $goal->{against}
        : best_rival($work, $run->{summary}{$work->{name}}{$clients}, $goal->{figure}) // return;
    return unless $samples->{$goal->{of}} && $samples->{$against};
    my $ratio = ratio($goal->{figure}, $samples->{$goal->{of}}, $samples->{$against}) // return;
    my %rounded = map { $_ => 0 + sprintf('%.2f', $ratio->{$_}) } qw(median min max);
    return {clients => $clients, value => delete $rounded{median}, against => $against, %rounded};
}

sub points {
    my ($run, $goal, $work) = @_;
    my $kind = defined $goal->{least} ? 'least' : 'most';
    my $bound = $goal->{$kind};
    my @points;
    for my $clients (sort { $a <=> $b } keys %{$run->{samples}{$work->{name}}}) {
        my $wanted = ref $bound ? $bound->{$clients} // next : $bound;
        my $point = figure_of($run, $goal, $work, $clients) // next;
        $point->{is_met} = ($kind eq 'least' ? $point->{value} >= $wanted
            : $point->{value} <= $wanted) ? 1 : 0;
        push @points, {%$point, $kind => $wanted};
    }
    return \@points;
}

# Each goal for each of its works, with what was measured; points is empty if nothing was.
sub judge {
    my ($run) = @_;
    my %measured = map { $_->{name} => $_ } @{$run->{works}};
    return map {
        my $goal = $_;
        map { {%$goal, work => $_, points => $measured{$_} ? points($run, $goal, $measured{$_}) : []} }
            @{$goal->{works}};
    } @goals;
}

# ---------------------------------------------------------------- the goals

my @of_limit = (against => 'in-process');
my @of_best = (against => 'best');

add_goal(
    works => ['tiny'], says => 'requests/s, of the handler in httpd', figure => 'rate', @of_limit,
    least => {1 => 0.88, 8 => 0.85, 32 => 0.88, 128 => 0.88, 512 => 0.88},
);
add_goal(
    works => ['tiny'], says => 'requests/s, of a bare door', figure => 'rate',
    against => 'mod_door-raw', least => 0.97,
);
add_goal(
    works => ['tiny'], says => 'CPU per request, of the handler in httpd', figure => 'cpu',
    @of_limit, most => 1.25,
);
add_goal(
    works => ['steady'], says => "$_, of the handler in httpd", figure => $_, @of_limit,
    most => 1.3,
) for qw(p50 p99);
add_goal(
    works => ['steady'], says => 'p99.9, of the best peer', figure => 'p999', @of_best, most => 1,
);
add_goal(
    works => ['tiny-busy', 'tiny-uneven'], says => 'requests/s, of the best peer',
    figure => 'rate', @of_best, least => 1,
);
add_goal(
    works => ['tiny-busy', 'tiny-uneven', 'steady-busy', 'steady-uneven'],
    says => 'p99, of the best peer', figure => 'p99', @of_best, most => 1,
);
add_goal(
    works => ['64k', '1m', 'post'], says => 'requests/s, of the best peer', figure => 'rate',
    @of_best, least => 1,
);
add_goal(
    works => ['64k', '1m'], says => 'requests/s, of the handler in httpd', figure => 'rate',
    @of_limit, least => 0.85,
);
add_goal(
    works => ['64k', '1m'], says => 'memory, of the best peer', figure => 'pss', @of_best,
    most => 1,
);
add_goal(
    works => ['post'], says => 'requests/s, of the handler in httpd', figure => 'rate', @of_limit,
    least => {8 => 0.75, 32 => 0.75, 128 => 0.75},
);
add_goal(works => ['events'], says => 'p50, of the best peer', figure => 'p50', @of_best, most => 1);

1;
