#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# quote.pl RESULTS.JSON README.md: the README's figures are those of that run:
# it writes what stands between two comments there.  What was not measured stays
# out; without the first table nothing is changed.

use strict;
use warnings FATAL => 'all';

use JSON::PP qw(decode_json);

my $begin = "<!-- From here on `make bench-publish` writes. -->\n";
my $end = "<!-- As far as here. -->\n";

my @peers = (
    ['mod_door', 'mod_door'],
    ['proxy_http-unix', 'mod_proxy_http, libmicrohttpd (Unix socket, threads)'],
    ['proxy_fcgi', 'mod_proxy_fcgi, libfcgi threads, reuse'],
    ['mod_fcgid-32', 'mod_fcgid, 32 processes'],
);

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/;
    return readline $file;
}

sub row { return '| ' . join(' | ', @_) . " |\n" }

sub number { my ($format, $value) = @_; return defined $value ? sprintf $format, $value : '–' }

# A tiny answer, asked for as fast as it comes.
sub shares {
    my ($tiny) = @_;
    my @clients = grep { $tiny->{$_} } 1, 32, 128;
    return unless @clients;
    my $text = row('', map { ($_ == 1 ? '1 client' : "$_ clients", 'CPU') } @clients)
        . '|---|' . '--:|' x (2 * @clients) . "\n";
    for (@peers) {
        my ($name, $label) = @$_;
        my @ones = map { $tiny->{$_}{$name} } @clients;
        next unless grep { defined } @ones;
        $text .= row($label, map { my $one = $_;
            map { number('%.2f', $one && $one->{$_} && $one->{$_}{median}) } qw(share cpu_share) } @ones);
    }
    return $text;
}

# The same at 2,000/s.
sub latencies {
    my ($steady) = @_;
    my $cell = $steady->{2000} // return;
    my $text = row('', 'p50', 'p99', 'p99.9') . "|---|--:|--:|--:|\n";
    for (['in-process', 'handler in httpd'], @peers) {
        my ($name, $label) = @$_;
        my $one = $cell->{$name} // next;
        $text .= row($label, map { number('%.2f', defined $one->{$_} ? $one->{$_} / 1000 : undef) }
            qw(p50 p99 p999));
    }
    return $text;
}

my ($json, $readme) = @ARGV;
die "usage: quote.pl RESULTS.JSON README.md\n" unless @ARGV == 2;
my $run = decode_json(slurp($json));
my $shares = shares($run->{results}{tiny} // {});
unless ($shares) {
    print STDERR "$readme is left as it is: $json has no figures for tiny\n";
    exit 0;
}
my $latencies = latencies($run->{results}{steady} // {});
my $processors = {1 => 'one processor', 2 => 'two processors', 4 => 'four processors'}
    ->{$run->{machine}{processors}} // "$run->{machine}{processors} processors";
my $figures = <<"MD" . $shares;
Requests/s and CPU time per request, divided by those of a handler inside httpd, for a tiny answer on
$processors:

MD
$figures .= <<"MD" . $latencies if $latencies;

Latencies in ms, from when a request was due, where 2,000 are due each second over 32 connections:

MD

my $text = slurp($readme);
$text =~ s/(\Q$begin\E).*?(\Q$end\E)/$1\n$figures\n$2/s
    or die "$readme: there is no place for figures: the lines\n$begin$end";
open my $file, '>', $readme or die "$readme: $!\n";
print $file $text;
close $file or die "$readme: $!\n";
