# SPDX-License-Identifier: Apache-2.0
#
# Tables.pm: from samples to medians and ratios, and from these to Markdown.
# A ratio is taken within a round, in which the peers were asked one after the
# other; what is shown is the median of the rounds' ratios, and their least and most.
package Tables;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Peers;
use Servers;
use Setup;

our @EXPORT = qw(summarise markdown);

my @medians = qw(rate p50 p99 p999 mean cpu switches pss app_pss backends backends_pss threads
    processes);

my %title = (
    tiny => '/tiny: 24 bytes', '64k' => '/64k: 64 KiB from memory',
    '1m' => '/1m: 1 MiB from memory', post => '/post: 64 KiB sent by the client',
    sleep => '/sleep: 10 ms asleep', cpu => '/cpu: 1 ms of CPU',
    db => '/db: a page with one row from PostgreSQL',
    php => '/page.php: 24 bytes from PHP, 8 processes',
    events => '/events: a server-sent event per stream every 100 ms',
    big => "/big: $large_mib MiB from memory, in pieces of 64 KiB",
    file => "/file: a file of $large_mib MiB, by its descriptor",
    upload => "/post: $large_mib MiB sent by the client",
    slow => '/big, read at 1 MiB/s per stream',
);

my %about = (
    db => 'The limit is `pgbench -S -M prepared` (its latency is a mean). CPU and PSS have '
        . "PostgreSQL's backends in them.",
    php => 'There is no limit: the shares are those of mod_fcgid.',
    events => 'From the clock reading in the event, before it is written, to its reading by the '
        . 'client; CPU per event. "Held back": half of the events come later than the next one is '
        . 'written.',
    slow => 'Growth of PSS over the idle servers, divided by the streams.',
);

sub limit_of { return {db => 'pgbench', php => 'mod_fcgid-php'}->{$_[0]} // 'in-process' }

# ---------------------------------------------------------------- summary

# Median, least and most of list's values in those of limit in the same round.
sub ratio {
    my ($key, $list, $limit) = @_;
    my @ratios = sort { $a <=> $b } map { $list->[$_]{$key} / $limit->[$_]{$key} }
        grep { defined $list->[$_]{$key} && $limit->[$_]{$key} } 0 .. $#$list;
    return @ratios ? {median => median(@ratios), min => $ratios[0], max => $ratios[-1]} : undef;
}

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
    $one{share} = ratio('rate', $list, $limit) if $work !~ /^(events|slow)$/;
    $one{cpu_share} = ratio('cpu', $list, $limit) if $work ne 'slow';
    $one{idle} = $idle;
    return \%one;
}

# $run->{samples}{work}{clients}{name}: a list with a sample per round; to one of the same shape.
sub summarise {
    my ($run) = @_;
    my %summary;
    for my $work (keys %{$run->{samples}}) {
        for my $clients (keys %{$run->{samples}{$work}}) {
            my $cell = $run->{samples}{$work}{$clients};
            my $limit = $cell->{limit_of($work)} // [];
            $summary{$work}{$clients}{$_} =
                summarise_one($work, $cell->{$_}, $limit, $run->{idle}{$work}{$_})
                for keys %$cell;
        }
    }
    return \%summary;
}

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

sub is_held_back { return ($_[0]{p50} // 0) > 100_000 }

sub growth {
    my ($one, $key) = @_;
    return number('%.0f', defined $one->{$key} && $one->{idle}
        ? ($one->{$key} - $one->{idle}{$key}) / $concurrency{slow}[0] : undef);
}

my %column = (
    'requests/s' => sub { number('%.0f', $_[0]{rate}) },
    'MiB/s' => sub { number('%.0f', $_[0]{rate}) },
    'of the limit' => sub { spread($_[0]{share}) },
    'p50 ms' => sub { number('%.2f', $_[0]{p50} // $_[0]{mean}, 1000) },
    'p99 ms' => sub { number('%.2f', $_[0]{p99}, 1000) },
    'p99.9 ms' => sub { number('%.2f', $_[0]{p999}, 1000) },
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
my @of_bodies = ('MiB/s', 'of the limit', 'CPU us/MiB', 'CPU of the limit', 'errors');
my %columns = (
    db => [@of_requests, 'backends', 'errors'],
    events => ['p50 ms', 'p99 ms', 'p99.9 ms', 'held', 'CPU us', 'CPU of the limit', @sizes,
        'events missing'],
    slow => ['KiB per stream', 'of these the application\'s', 'PSS MiB', 'threads', 'MiB/s',
        'errors'],
    map { $_ => \@of_bodies } qw(big file upload),
);

sub row { return '| ' . join(' | ', @_) . " |\n" }

sub head { return row(@_) . '|---|' . '--:|' x (@_ - 1) . "\n" }

# ---------------------------------------------------------------- the tables

# Those of this run, in the order of Peers.pm, pgbench behind them; by name: one may come twice.
sub names {
    my ($summary, @works) = @_;
    my %seen;
    my @names = grep { !$seen{$_}++ } map { $_->{name} } all_peers();
    return grep {
        my $name = $_;
        grep { my $work = $_; grep { $_->{$name} } values %{$summary->{$work} // {}} } @works;
    } @names, 'pgbench';
}

sub label {
    my ($name, $work) = @_;
    my ($peer) = grep { $_->{name} eq $name && (grep { $_ eq $work } @{$_->{works}}) } all_peers();
    return $peer ? $peer->{label} : 'pgbench, no httpd (the limit)';
}

sub matrix_cell {
    my ($work, $one) = @_;
    return '' unless $one;
    my $share = $work ne 'events' ? number('%.2f', $one->{share} && $one->{share}{median})
        : is_held_back($one) ? 'held back' : number('%.2f ms', $one->{p50}, 1000);
    my $cpu = number('%.2f', $one->{cpu_share} && $one->{cpu_share}{median});
    return "$share / $cpu" . ($one->{errors} ? '*' : '');
}

sub matrix {
    my ($summary) = @_;
    my @compared = grep { $_ ne 'slow' } @works;
    my @names = grep { $_ ne 'in-process' && $_ ne 'pgbench' } names($summary, @compared);
    my $md = "Throughput as a share of in-process (of pgbench for /db) / CPU per request (event, "
        . "MiB) as a\nmultiple of its; \\* with errors. For events the first is the median time from "
        . "handler to client.\n\n" . head('work', 'clients', @names);
    for my $work (@compared) {
        for my $clients (@{$concurrency{$work}}) {
            my $cell = $summary->{$work}{$clients} or next;
            $md .= row($work, $clients, map { matrix_cell($work, $cell->{$_}) } @names);
        }
    }
    return "$md\n";
}

sub table {
    my ($work, $clients, $cell) = @_;
    my @columns = @{$columns{$work} // [@of_requests, 'errors']};
    my $md = "### $clients " . ($clients == 1 ? 'client' : 'clients') . "\n\n"
        . head('', map { $_ eq 'held' ? '' : s/the limit/limit_of($work)/er } @columns);
    for my $name (names({$work => {$clients => $cell}}, $work)) {
        $md .= row(label($name, $work), map { $column{$_}->($cell->{$name}) } @columns);
    }
    return "$md\n";
}

sub applications {
    my $md = "## The applications\n\nLines of source (what all share, `work.h` and `page.h`, is "
        . "not counted, nor comments) and of\nconfiguration that only this peer needs.\n\n"
        . head('', 'source', 'configuration');
    my %seen;
    for my $peer (all_peers()) {
        $md .= row($peer->{label}, source_lines($peer), conf_lines($peer))
            unless $seen{$peer->{label}}++;
    }
    return "$md\n";
}

sub idle {
    my ($run) = @_;
    my $idle = $run->{idle}{tiny} or return '';
    my $md = "## Memory when idle\n\nPSS after one request, before any load. What the peers "
        . "share with one another, such as\nhttpd's own code, is counted in equal parts: they run "
        . "side by side.\n\n" . head('', 'PSS MiB', 'application\'s', 'threads', 'processes');
    for my $name (names({tiny => {idle => $idle}}, 'tiny')) {
        my $size = $idle->{$name};
        $md .= row(label($name, 'tiny'), number('%.1f', $size->{pss}, 1024),
            number('%.1f', $size->{app_pss}, 1024), @$size{qw(threads processes)});
    }
    return "$md\n";
}

sub preface {
    my ($run) = @_;
    my $machine = $run->{machine};
    my %version = %{$machine->{versions}};
    my $versions = join ', ', map { "$_ $version{$_}" } sort keys %version;
    my $times = $rounds == 1 ? 'round' : 'rounds';
    my $failed = join '', map { "- $_->{name}, /$_->{work}: $_->{reason}\n" } @{$run->{failed}};
    return <<"MD" . ($failed ? "\nLeft out, because they do not work here:\n\n$failed" : '') . "\n";
# Results

Made by `make bench` on $machine->{date}, commit $machine->{commit}, in $run->{minutes} minutes.
$machine->{processors} processors ($machine->{processor}), $machine->{memory_gib} GiB, $machine->{kernel};
load average before it $machine->{load}. $machine->{httpd}, event MPM; $versions.

Each peer is an httpd of its own with the same settings (at the end), and what stands behind it.
For each work all start afresh and then run side by side; they are asked one after the other,
$rounds $times of $seconds s for each number of clients, by one `wrk` thread over kept connections;
a single stream of $large_mib MiB three times as often.  Figures are medians of the rounds; ratios are taken within a round, (least–most) is their spread.
The limit is the same handler inside httpd. CPU is user and system time of all of the peer's processes, PSS is measured
while it is asked; the application's part is what is not httpd.
MD
}

sub markdown {
    my ($run, $summary, $pictures) = @_;
    my $md = preface($run) . matrix($summary);
    for my $work (grep { $summary->{$_} } @works) {
        $md .= "## $title{$work}\n\n" . ($about{$work} ? "$about{$work}\n\n" : '')
            . join('', map { "![$_->[1]]($_->[0])\n" } @{$pictures->{$work} // []})
            . ($pictures->{$work} ? "\n" : '');
        for my $clients (@{$concurrency{$work}}) {
            my $cell = $summary->{$work}{$clients} or next;
            $md .= table($work, $clients, $cell);
        }
    }
    return $md . idle($run) . applications()
        . "## Settings of every httpd\n\n```apache\n$settings```\n\n"
        . "Why these, and each peer's own: `bench/lib/Servers.pm`, `bench/lib/Peers.pm`.\n";
}

1;
