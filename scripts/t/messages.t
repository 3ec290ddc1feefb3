#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Lines of the log: each of the module and the supervisor at level warning and above begins
# with a tag, each tag belongs to one text, and docs/messages.md has each, with that text, and
# no other.

use strict;
use warnings FATAL => 'all';

use Test::More;

my @sources = ('mod_door.c', glob('module/*.c'), glob('supervisor/*.c'));

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return <$file>;
}

# Without comments; strings stay.
sub code {
    my ($text) = @_;
    return $text =~ s{("(?:\\.|[^"\\])*")|/\*.*?\*/}{$1 // ' '}gesr;
}

my $string = qr/"(?:\\.|[^"\\])*"/;
my $call = qr/\b(ap_log_r?error|output_log)(\((?:[^()"]|$string|(?2))*\));/;

# Of a call: the least level that it may have, and whether a tag begins its text.
sub level_of {
    my ($arguments) = @_;
    return 'other' if $arguments =~ /APLOG_(?:NOTICE|INFO|DEBUG|TRACE)|LOG_(?:NOTICE|INFO|DEBUG)\b/
        && $arguments !~ /(?:APLOG|LOG)_(?:WARNING|ERR|CRIT|ALERT|EMERG)/;
    return 'high';
}

# What is printed elsewhere: lines of applications, and those that have their tag already.
my %passes_on = ('module/become.c' => qr/^\(APLOG_MARK, level, 0, s, "%s", line\)$/);

sub untagged {
    my ($path, $text) = @_;
    my @found;
    while ($text =~ /$call/g) {
        my ($name, $arguments) = ($1, $2);
        next if level_of($arguments) eq 'other' || $arguments =~ /\bDOORNO\(\d{4}\) *"/;
        next if $arguments =~ /failure->reason/ || $arguments =~ ($passes_on{$path} // qr/^$/);
        push @found, "$path: $name" . $arguments =~ s/\s+/ /gr;
    }
    return @found;
}

# That this test sees what it is for.
is_deeply [untagged('x', 'output_log(LOG_ERR, "a (b");')], ['x: output_log(LOG_ERR, "a (b")'], 'a line without a tag is found';
is_deeply [untagged('x', 'ap_log_error(APLOG_MARK, f(x) ? APLOG_ERR : APLOG_INFO, 0, s, "a");')],
    ['x: ap_log_error(APLOG_MARK, f(x) ? APLOG_ERR : APLOG_INFO, 0, s, "a")'], '... whose level depends';
is_deeply [untagged('x', 'output_log(LOG_ERR, DOORNO(0001) "a"); output_log(LOG_NOTICE, "b");')], [],
    '... others are right';

my (%text, @twice, @untagged);
my $calls = 0;
for my $path (@sources) {
    my $code = code(slurp($path));
    $calls += () = $code =~ /$call/g;
    push @untagged, untagged($path, $code);
    while ($code =~ /\bDOORNO\((\d+)\)\s*((?:$string\s*)+)/g) {
        my ($tag, $strings) = ($1, $2);
        push @twice, $tag if exists $text{$tag};
        $text{$tag} = join '', map { s/^"|"$//gr } $strings =~ /$string/g;
        like $tag, qr/^\d{4}$/, "$path: $tag has four digits" unless $tag =~ /^\d{4}$/;
    }
}
cmp_ok $calls, '>', 40, 'there are calls';
cmp_ok scalar keys %text, '>', 50, '... and tags';
is_deeply \@untagged, [], 'each line at level warning and above has a tag';
is_deeply \@twice, [], 'each tag is there once';

# | DOOR0101 | `the text` | what it means, what to do |
my %described;
for (split /\n/, slurp('docs/messages.md')) {
    my ($tag, $text, $what) = /^\| DOOR(\d{4}) \| `(.*?)` \| (.*) \|$/ or next;
    ok !exists $described{$tag}, "docs/messages.md: DOOR$tag is there once";
    $described{$tag} = $text;
    cmp_ok length $what, '>', 20, "... with what it means";
}
is_deeply [sort keys %described], [sort keys %text], 'docs/messages.md has them all, and no others';
for my $tag (sort keys %described) {
    my $pattern = join '.*', map { quotemeta } split /%(?:\.\*)?-?[\d.]*l*[sdufx]/, $text{$tag} // next;
    like $described{$tag}, qr/$pattern/, "DOOR$tag: the text is the code's";
}

done_testing;
