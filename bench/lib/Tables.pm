# SPDX-License-Identifier: Apache-2.0
#
# Tables.pm: what a run has measured, as tables in Markdown: a row for each peer,
# a table for each work and number of clients.
package Tables;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Figures;
use Peers;
use Setup;
use Works;

our @EXPORT = qw(tables matrix names label number row head);

# ---------------------------------------------------------------- cells

sub number {
    my ($format, $value, $scale) = @_;
    return defined $value ? sprintf $format, $value / ($scale // 1) : '–';
}

sub spread {
    my ($ratio) = @_;
    return '–' unless $ratio;
    return sprintf '%.2f (%.2f–%.2f)', @$ratio{qw(median min max)};
}

sub growth {
    my ($one, $key) = @_;
    return number('%.0f', defined $one->{$key} && $one->{idle}
        ? ($one->{$key} - $one->{idle}{$key}) / $one->{clients} : undef);
}

my %column = (
    'requests/s' => sub { number('%.0f', $_[0]{rate}) },
    'MiB/s' => sub { number('%.0f', $_[0]{rate}) },
    'of the limit' => sub { spread($_[0]{share}) },
    'p50 ms' => sub { number('%.2f', $_[0]{p50} // $_[0]{mean}, 1000) },
    'p90 ms' => sub { number('%.2f', $_[0]{p90}, 1000) },
    'p99 ms' => sub { number('%.2f', $_[0]{p99}, 1000) },
    'p99.9 ms' => sub { number('%.2f', $_[0]{p999}, 1000) },
    'max ms' => sub { number('%.1f', $_[0]{max}, 1000) },
    'client late ms' => sub { number('%.2f', $_[0]{late}, 1000) },
    'p50 of the limit' => sub { spread($_[0]{p50_share}) },
    'p99 of the limit' => sub { spread($_[0]{p99_share}) },
    'CPU us' => sub { number('%.1f', $_[0]{cpu}) },
    'CPU us/MiB' => sub { number('%.0f', $_[0]{cpu}) },
    'CPU of the limit' => sub { spread($_[0]{cpu_share}) },
    switches => sub { number('%.1f', $_[0]{switches}) },
    'PSS MiB' => sub { number('%.1f', $_[0]{pss}, 1024) },
    'application\'s' => sub { number('%.1f', $_[0]{app_pss}, 1024) },
    backends => sub { number('%d', $_[0]{backends}) },
    threads => sub { number('%d', $_[0]{threads}) },
    processes => sub { number('%d', $_[0]{processes}) },
    errors => sub { number('%d', $_[0]{errors}) },
    'events missing' => sub { number('%d', $_[0]{errors}) },
    held => sub { is_held_back($_[0]) ? 'held back' : '' },
    'KiB per stream' => sub { growth($_[0], 'pss') },
    'of these the application\'s' => sub { growth($_[0], 'app_pss') },
);

my @sizes = ('switches', 'PSS MiB', 'application\'s', 'threads', 'processes');
my @of_requests = ('requests/s', 'of the limit', 'p50 ms', 'p99 ms', 'p99.9 ms', 'CPU us',
    'CPU of the limit', @sizes);
my @of_bodies = ('MiB/s', 'of the limit', 'CPU us/MiB', 'CPU of the limit', 'PSS MiB',
    'application\'s', 'errors');
my %columns = (
    requests => [@of_requests, 'errors'],
    rate => ['requests/s', 'p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'max ms', 'p50 of the limit',
        'p99 of the limit', 'CPU us', 'CPU of the limit', @sizes, 'client late ms', 'errors'],
    events => ['p50 ms', 'p99 ms', 'p99.9 ms', 'held', 'CPU us', 'CPU of the limit', @sizes,
        'events missing'],
    slow => ['KiB per stream', 'of these the application\'s', 'PSS MiB', 'threads', 'MiB/s',
        'errors'],
    map { $_ => \@of_bodies } qw(get put),
);

sub columns_of {
    my ($work) = @_;
    return ($work->{needs} // '') eq 'database' ? (@of_requests, 'backends', 'errors')
        : @{$columns{$work->{by}}};
}

sub row { return '| ' . join(' | ', @_) . " |\n" }

sub head { return row(@_) . '|---|' . '--:|' x (@_ - 1) . "\n" }

# ---------------------------------------------------------------- the tables

# Those of these works that were measured, in the order of Peers.pm, pgbench behind them; by name:
# one may come twice.
sub names {
    my ($summary, @works) = @_;
    my %seen;
    my @names = grep { !$seen{$_}++ } map { $_->{name} } all_peers();
    return grep {
        my $name = $_;
        grep { my $work = $_; grep { $_->{$name} } values %{$summary->{$work->{name}} // {}} } @works;
    } @names, 'pgbench';
}

sub label {
    my ($name, $work) = @_;
    my ($peer) = grep { $_->{name} eq $name } peers_of($work);
    return $peer ? $peer->{label} : 'pgbench, no httpd (the limit)';
}

sub matrix_cell {
    my ($work, $one) = @_;
    return '' unless $one;
    my $first = $work->{by} eq 'events' && is_held_back($one) ? 'held back'
        : $work->{by} eq 'events' ? number('%.2f ms', $one->{p50}, 1000)
        : $work->{by} eq 'rate' ? number('%.2f ms', $one->{p99}, 1000)
        : number('%.2f', $one->{share} && $one->{share}{median});
    my $cpu = number('%.2f', $one->{cpu_share} && $one->{cpu_share}{median});
    return "$first / $cpu" . ($one->{errors} ? '*' : '');
}

# All works and peers in one table.
sub matrix {
    my ($run) = @_;
    my $summary = $run->{summary};
    my @compared = grep { $_->{by} ne 'slow' && $summary->{$_->{name}} } @{$run->{works}};
    my @names = grep { $_ ne 'in-process' && $_ ne 'pgbench' } names($summary, @compared);
    my $md = head('work', 'clients', @names);
    for my $work (@compared) {
        my $of_work = $summary->{$work->{name}};
        for my $clients (sort { $a <=> $b } keys %$of_work) {
            $md .= row($work->{name}, $work->{by} eq 'rate' ? "$clients/s" : $clients,
                map { matrix_cell($work, $of_work->{$clients}{$_}) } @names);
        }
    }
    return "$md\n";
}

sub table {
    my ($work, $clients, $cell) = @_;
    my @columns = columns_of($work);
    my $limit = $work->{limit_says} // $work->{limit};
    my $md = '### ' . point_of($work, $clients) . "\n\n"
        . head('', map { $_ eq 'held' ? '' : s/the limit/$limit/r } @columns);
    for my $name (names({$work->{name} => {$clients => $cell}}, $work)) {
        my $one = {%{$cell->{$name}}, clients => $clients};
        $md .= row(label($name, $work), map { $column{$_}->($one) } @columns);
    }
    return "$md\n";
}

# Of that work, one for each number of clients.
sub tables {
    my ($run, $work) = @_;
    my $of_work = $run->{summary}{$work->{name}};
    return join '', map { table($work, $_, $of_work->{$_}) } sort { $a <=> $b } keys %$of_work;
}

1;
