# SPDX-License-Identifier: Apache-2.0
#
# Plots.pm: pictures of a summary: requests/s and memory over the number of
# clients.  Without gnuplot there are none.
package Plots;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Peers;
use Setup;

our @EXPORT = qw(plots);

# The same colour for a peer in all pictures.
my %colour = (
    'in-process' => '#000000', mod_door => '#d62728', 'mod_door-raw' => '#ff9896',
    static => '#7f7f7f', 'proxy_http-tcp' => '#1f77b4', 'proxy_http-tcp-epoll' => '#17becf',
    'proxy_http-unix' => '#393b79', 'proxy_http-unix-epoll' => '#9edae5',
    proxy_fcgi => '#2ca02c', 'proxy_fcgi-new' => '#98df8a', 'mod_fcgid-8' => '#c49c94',
    'mod_fcgid-32' => '#8c564b', 'door_fcgi-8' => '#17becf', 'door_fcgi-32' => '#9edae5', mod_cgid => '#e377c2', 'mhd-door' => '#bcbd22',
    pgbench => '#000000',
);

sub data {
    my ($cells, $clients, $name, $value) = @_;
    my $text = '';
    for (@$clients) {
        my $y = $cells->{$_}{$name} ? $value->($cells->{$_}{$name}) : undef;
        $text .= "$_ $y\n" if defined $y;
    }
    return $text;
}

sub style {
    my ($name) = @_;
    my $width = $name =~ /^mod_door/ ? 3 : 2;
    my $colour = $colour{$name} // '#aaaaaa';
    return "'-' with linespoints lw $width pt 7 ps 0.5 lc rgb '$colour' title '$name' noenhanced";
}

sub plot {
    my ($file, $title, $axis, $cells, $clients, $value) = @_;
    my %seen;
    my @lines = grep { $_->[1] } map { [$_, data($cells, $clients, $_, $value)] }
        grep { !$seen{$_}++ } (map { $_->{name} } all_peers()), 'pgbench';
    return 0 unless @lines;
    my $range = sprintf '[%g:%g]', 0.9 * $clients->[0], 1.1 * $clients->[-1];
    open my $gnuplot, '|-', 'gnuplot' or return 0;
    print $gnuplot "set terminal svg size 860,480 font 'sans-serif,12' background '#ffffff'\n"
        . "set output '$build/bench/$file'\nset title '$title'\nset logscale x 2\n"
        . "set xlabel 'concurrent clients'\nset ylabel '$axis'\nset yrange [0:*]\nset grid y\n"
        . "set key outside right\nset xrange $range\n"
        . 'set xtics (' . join(',', @$clients) . ")\nplot "
        . join(', ', map { style($_->[0]) } @lines)
        . "\n" . join('', map { "$_->[1]e\n" } @lines);
    return close $gnuplot;
}

my %kind = (
    rate => ['requests/s', sub { $_[0]{rate} }],
    memory => ['PSS, MiB', sub { defined $_[0]{pss} ? $_[0]{pss} / 1024 : undef }],
);

# work => [[file, title], ...]
sub plots {
    my ($summary) = @_;
    my %pictures;
    return \%pictures unless `sh -c 'command -v gnuplot'`;
    for my $work (grep { $summary->{$_} && @{$concurrency{$_}} > 1 } @works) {
        for my $kind (qw(rate memory)) {
            my ($axis, $value) = @{$kind{$kind}};
            my $file = "$kind-$work.svg";
            push @{$pictures{$work}}, [$file, "/$work, $axis"]
                if plot($file, "/$work", $axis, $summary->{$work}, $concurrency{$work}, $value);
        }
    }
    return \%pictures;
}

1;
