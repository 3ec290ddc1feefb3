# SPDX-License-Identifier: Apache-2.0
#
# Works.pm: what the peers are asked to do: each work once, with all that is to
# be said about it.  Further works come from the files in Rows/.
#
#   name           in WORKS=; "NAME-busy" and "NAME-uneven" are the same work beside a neighbour
#   title, about   its heading; what a reader of its tables must know
#   by             how it is asked, see Samples.pm: requests, unless it says otherwise
#   clients        how many ask at once; where it is asked by rate: requests/s, or half of what
#                  the limit can
#   quick          the same for a quick run; without it the work has no part in one
#   longer         it is asked for so many times SECONDS
#   more_rounds    it is asked in so many times ROUNDS
#   path, method   what is asked for, /NAME by default; @N@ in it stands for a number, which is
#   n, check_n     this when it is measured, and this when it is only looked whether it works
#   answer         the body that has to come, or a pattern
#   files          name => content: what is to lie in httpd's document root
#   has_body       bodies are large: the proxies get a buffer for them
#   needs          database: PostgreSQL with pgbench's tables; file: one of LARGE_MIB
#   limit          the peer whose figures are one: the handler in httpd, by default
#   limit_says     its name in the tables' heads, if that is another one
#   beside         it is measured beside the neighbours by default, too
package Works;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Setup;

our @EXPORT = qw(add_work work chosen_works clients_of point_of path_of seconds_of rounds_of);

my (%works, @order);

sub add_work {
    my (%work) = @_;
    die "bench: there are two works $work{name}\n" if $works{$work{name}};
    $works{$work{name}} = {by => 'requests', path => "/$work{name}", base => $work{name},
        limit => 'in-process', %work};
    push @order, $work{name};
    return;
}

my %beside = (
    busy => 'beside two busy loops', uneven => 'beside bursts of short processes',
);

# Neighbours make figures uneven: it is asked for longer.  They leave room for no more than the
# first rate.
sub beside {
    my ($base, $neighbour) = @_;
    my $is_rate = $base->{by} eq 'rate';
    return {
        %$base, name => "$base->{name}-$neighbour", neighbour => $neighbour,
        title => "$base->{title}, $beside{$neighbour}",
        longer => $is_rate ? $base->{longer} : 3 * ($base->{longer} // 1),
        clients => $is_rate ? [$base->{clients}[0]] : [grep { $_ <= 32 } @{$base->{clients}}],
        quick => $is_rate ? [$base->{clients}[0]] : $base->{quick},
    };
}

sub work {
    my ($name) = @_;
    return $works{$name} if $works{$name};
    my ($base, $neighbour) = $name =~ /^(.+)-(\w+)$/;
    die "bench: there is no work $name; there are @order, and each with -"
        . join(' or -', sort keys %beside) . "\n"
        unless $base && $works{$base} && $beside{$neighbour};
    return $works{$name} = beside($works{$base}, $neighbour);
}

sub chosen_works {
    return map { work($_) } split /,/, $ENV{WORKS} if $ENV{WORKS};
    return map { work($_) } grep { $works{$_}{quick} } @order if $quick;
    my @beside = grep { $works{$_}{beside} } @order;
    return map { work($_) } @order, map { my $how = $_; map { "$_-$how" } @beside } qw(busy uneven);
}

sub clients_of {
    my ($work) = @_;
    my $chosen = {requests => $ENV{CONCURRENCY}, rate => $ENV{RATES}}->{$work->{by}};
    return $chosen ? split /,/, $chosen : @{$quick && $work->{quick} || $work->{clients}};
}

# How that is said: 1 client, 2,000/s.
sub point_of {
    my ($work, $clients) = @_;
    return "$clients/s" if $work->{by} eq 'rate';
    return $clients . ($clients eq '1' ? ' client' : ' clients');
}

# What is asked for; n, where the path says how much.
sub path_of {
    my ($work, $n) = @_;
    $n //= $work->{n};
    return $work->{path} =~ s/\@N\@/$n/r;
}

sub seconds_of { return $seconds * ($_[0]{longer} // 1) }

# What grows when bodies are slow has grown after the first round; one fast body is soon over.
sub rounds_of {
    my ($work) = @_;
    return $work->{by} eq 'slow' ? 1 : $rounds * ($work->{more_rounds} // 1);
}

# ---------------------------------------------------------------- requests

my $tiny = "Well, hello to you too!\n";
my ($kib64, $mib) = ('x' x 65536, 'x' x 1048576);
my @many = (clients => [1, 8, 32, 128, 512]);

add_work(
    name => 'tiny', title => '/tiny: 24 bytes', @many, quick => [1, 32], answer => $tiny,
    files => {tiny => $tiny}, beside => 1,
);
add_work(
    name => '64k', title => '/64k: 64 KiB from memory', @many, answer => $kib64,
    files => {'64k' => $kib64}, has_body => 1,
);
add_work(
    name => '1m', title => '/1m: 1 MiB from memory', @many, answer => $mib,
    files => {'1m' => $mib}, has_body => 1,
);
add_work(
    name => 'post', title => '/post: 64 KiB sent by the client', @many, answer => "65536\n",
    method => 'POST', has_body => 1,
);
add_work(name => 'sleep', title => '/sleep: 10 ms asleep', @many, answer => $tiny);
add_work(name => 'cpu', title => '/cpu: 1 ms of CPU', @many, answer => $tiny);
add_work(
    name => 'steady', title => '/tiny at a fixed rate', path => '/tiny', answer => $tiny,
    by => 'rate', clients => [2000, 'half'], quick => [2000, 'half'], longer => $quick ? 5 : 10,
    beside => 1,
    about => "$rate_connections kept connections; so many requests are due each second, whether "
        . 'the last ones have been answered or not. A latency counts from when its request was '
        . "due. The second rate is half of what the handler in httpd can, with as many clients.",
);
add_work(
    name => 'db', title => '/db: a page with one row from PostgreSQL', clients => [1, 8, 32, 64],
    quick => [8], needs => 'database', limit => 'pgbench', path => '/db?aid=@N@', n => 123456,
    answer => "<!DOCTYPE html>\n<title>Account 123456</title>\n<p>Branch 2, balance 0\n",
    about => 'The limit is `pgbench -S -M prepared` (its latency is a mean). CPU and PSS have '
        . "PostgreSQL's backends in them.",
);

# ---------------------------------------------------------------- streams

add_work(
    name => 'events', title => '/events: a server-sent event per stream every 100 ms',
    by => 'events', clients => [100], quick => [100], path => '/events-@N@', n => $events_each,
    check_n => 3, answer => qr/\A(data: \d+\.\d{9}\n\n){3}\z/,
    about => 'From the clock reading in the event, before it is written, to its reading by the '
        . 'client; CPU per event. "Held back": half of the events come later than the next one is '
        . 'written.',
);
my @body = (clients => [1], quick => [1], more_rounds => 3, has_body => 1);
add_work(
    name => 'big', title => "/big: $large_mib MiB from memory, in pieces of 64 KiB", by => 'get',
    @body, path => '/big-@N@', n => $large_mib, check_n => 1, answer => $mib,
);
add_work(
    name => 'file', title => "/file: a file of $large_mib MiB, by its descriptor", by => 'get',
    @body, answer => qr/\Ax+\z/, needs => 'file',
);
add_work(
    name => 'upload', title => "/post: $large_mib MiB sent by the client", by => 'put', @body,
    path => '/post', method => 'POST', answer => "65536\n",
);
add_work(
    name => 'slow', title => '/big, read at 1 MiB/s per stream', by => 'slow', clients => [32],
    has_body => 1, path => '/big-@N@', n => $large_mib, check_n => 1, answer => $mib,
    about => 'Growth of PSS over the idle servers, divided by the streams.',
);

1;
