# SPDX-License-Identifier: Apache-2.0
#
# Plots.pm: pictures of a summary: requests/s and memory over the number of
# clients, latencies where the rate is fixed.  Without gnuplot there are none.
package Plots;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Peers;
use Setup;
use Works;

our @EXPORT = qw(plots);

# The same colour for a peer in all pictures.
my %colour = (
    'in-process' => '#000000', mod_door => '#d62728', 'mod_door-raw' => '#ff9896',
    static => '#7f7f7f', 'proxy_http-tcp' => '#1f77b4', 'proxy_http-tcp-epoll' => '#17becf',
    'proxy_http-unix' => '#393b79', 'proxy_http-unix-epoll' => '#9edae5',
    proxy_fcgi => '#2ca02c', 'proxy_fcgi-new' => '#98df8a', 'mod_fcgid-8' => '#c49c94',
    'mod_fcgid-32' => '#8c564b', 'door_fcgi-8' => '#17becf', 'door_fcgi-32' => '#9edae5',
    'in-process-flush' => '#555555', mod_cgid => '#e377c2', 'mhd-door' => '#bcbd22',
    pgbench => '#000000',
);

sub colour_of {
    my ($name) = @_;
    my ($peer) = grep { $_->{name} eq $name } all_peers();
    return $colour{$name} // ($peer && $peer->{colour}) // '#aaaaaa';
}

# Pairs of numbers, a line each; what is not there is left out.
sub data {
    my ($points, $value) = @_;
    return join '', map { my $y = $value->($_); defined $y ? "$_ $y\n" : () } @$points;
}

sub style {
    my ($name) = @_;
    my $width = $name =~ /^mod_door/ ? 3 : 2;
    return "'-' with linespoints lw $width pt 7 ps 0.5 lc rgb '@{[colour_of($name)]}'"
        . " title '$name' noenhanced";
}

# $value->(name, point) for each of the points is a peer's line.
sub plot {
    my ($file, $settings, $points, $value) = @_;
    my %seen;
    my @names = grep { !$seen{$_}++ } (map { $_->{name} } all_peers()), 'pgbench';
    my @lines = grep { $_->[1] } map {
        my $name = $_;
        [$name, data($points, sub { $value->($name, @_) })];
    } @names;
    return 0 unless @lines;
    open my $gnuplot, '|-', 'gnuplot' or return 0;
    print $gnuplot "set terminal svg size 860,480 font 'sans-serif,12' background '#ffffff'\n"
        . "set output '$build/bench/$file'\nset grid y\nset key outside right\n$settings"
        . 'plot ' . join(', ', map { style($_->[0]) } @lines)
        . "\n" . join('', map { "$_->[1]e\n" } @lines);
    return close $gnuplot;
}

# ---------------------------------------------------------------- over the number of clients

my %kind = (
    rate => ['requests/s', sub { $_[0]{rate} }],
    memory => ['PSS, MiB', sub { defined $_[0]{pss} ? $_[0]{pss} / 1024 : undef }],
    p99 => ['p99, ms', sub { defined $_[0]{p99} ? $_[0]{p99} / 1000 : undef }],
);

sub plot_clients {
    my ($work, $kind, $of_work) = @_;
    my ($axis, $value) = @{$kind{$kind}};
    my @clients = sort { $a <=> $b } keys %$of_work;
    my $file = "$kind-$work->{name}.svg";
    my $settings = "set title '/$work->{name}'\nset logscale x 2\nset xlabel 'concurrent clients'\n"
        . "set ylabel '$axis'\n"
        . ($kind eq 'p99' ? "set logscale y\n" : "set yrange [0:*]\n")
        . sprintf("set xrange [%g:%g]\n", 0.9 * $clients[0], 1.1 * $clients[-1])
        . 'set xtics (' . join(',', @clients) . ")\n";
    my $is_there = plot($file, $settings, \@clients, sub {
        my ($name, $clients) = @_;
        my $one = $of_work->{$clients}{$name};
        return $one ? $value->($one) : undef;
    });
    return $is_there ? [$file, "/$work->{name}, $axis"] : ();
}

# ---------------------------------------------------------------- latencies at a rate

my @percentiles = (['50', 'p50'], ['90', 'p90'], ['99', 'p99'], ['99.9', 'p999'], ['max', 'max']);

# The percentiles are as far from one another as the text needs.
sub plot_rate {
    my ($work, $i, $rate, $of_rate) = @_;
    my $file = "latency-$work->{name}" . ($i ? "-$i" : '') . '.svg';
    my $title = "$work->{name}: latency at $rate requests/s";
    my $settings = "set title '$title'\nset logscale y\nset xlabel 'percentile'\n"
        . "set ylabel 'ms'\nset xrange [0.8:5.2]\nset xtics ("
        . join(',', map { "'$percentiles[$_][0]' " . ($_ + 1) } 0 .. $#percentiles) . ")\n";
    my $is_there = plot($file, $settings, [1 .. @percentiles], sub {
        my ($name, $i) = @_;
        my $us = $of_rate->{$name} && $of_rate->{$name}{$percentiles[$i - 1][1]};
        return $us ? $us / 1000 : undef;
    });
    return $is_there ? [$file, $title] : ();
}

# work's name => [[file, title], ...]
sub plots {
    my ($run) = @_;
    my %pictures;
    return \%pictures unless `sh -c 'command -v gnuplot'`;
    for my $work (@{$run->{works}}) {
        my $of_work = $run->{summary}{$work->{name}} or next;
        my @points = sort { $a <=> $b } keys %$of_work;
        my @kinds = $work->{beside} ? qw(rate p99 memory) : qw(rate memory);
        my @made = $work->{by} eq 'rate'
            ? map { plot_rate($work, $_, $points[$_], $of_work->{$points[$_]}) } 0 .. $#points
            : @points > 1 ? map { plot_clients($work, $_, $of_work) } @kinds : ();
        $pictures{$work->{name}} = \@made if @made;
    }
    return \%pictures;
}

1;
