#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The manual pages: well-formed, one for every function that the libraries
# export, with the headers' prototypes, the same sections, the release's date, a
# name line that is a whole thought, references that go both ways, and examples
# that compile.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(basename);
use File::Temp ();
use Test::More;

my $cc = $ENV{CC} // 'cc';
my $build = $ENV{BUILD} // 'build';
my @directories = grep { -d } 'libdoor/man', "$build/man";
my @wanted = ('RETURN VALUES', 'ERRORS', 'THREADS AND FORK', 'SEE ALSO');
my ($released) = slurp('Makefile') =~ /^RELEASED\s*:=\s*(.*)$/m;

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return <$file>;
}

# <thread.h> says about these what there is to say: they are POSIX threads'.
my %inline = map { $_ => 1 }
    slurp('libdoor/include/thread.h') =~ m{^(?!\#).*?LIBDOOR_THR_INLINE\b.*?\b(\w+)\(}mg;

sub exported {
    my ($map) = @_;
    my ($names) = slurp($map) =~ s{#[^\n]*}{}gr =~ /global:(.*?)(?:local:|\})/s;
    return grep { !$inline{$_} } $names =~ /(\w+);/g;
}

sub same_spacing {
    my ($text) = @_;
    $text =~ s/\s+/ /g;
    $text =~ s/ ?([(),*]) ?/$1/g;
    return $text;
}

# name => prototype, of what the headers declare.
sub declared {
    my %found;
    for my $header (@_) {
        my $text = slurp($header);
        $text =~ s{/\*.*?\*/}{}gs;
        $text =~ s/\s*DOOR_APP_PRINTF\([^)]*\);/;/g;
        $text =~ s/^\s*#.*(?:\\\n.*)*$//mg;
        $text =~ s/^typedef\b[^;{]*(?:\{[^}]*\}[^;]*)?;//mg;
        $found{$2} = same_spacing("$1$2($3)")
            while $text =~ /^([a-z_][\w \t*]*?\b)(\w+)\(((?:[^;{()]|\([^;{()]*\))*)\);/mg;
    }
    return %found;
}

# The same, of what a page's synopsis says.
sub described {
    my ($text) = @_;
    my ($synopsis) = $text =~ /^\.Sh SYNOPSIS\n(.*?)^\.Sh /ms or return;
    my (%found, $type, $name, @arguments);
    for (split /\n/, $synopsis) {
        my ($macro, $rest) = /^\.(F[tnoac])\s*(.*)/ or next;
        my @words = map { s/^"|"$//gr } $rest =~ /"[^"]*"|\S+/g;
        $type = "@words" if $macro eq 'Ft';
        ($name, @arguments) = @words if $macro eq 'Fo' || $macro eq 'Fn';
        push @arguments, @words if $macro eq 'Fa';
        $found{$name} = same_spacing("$type $name(" . join(',', @arguments) . ')')
            if $macro eq 'Fc' || $macro eq 'Fn';
    }
    return %found;
}

# What the examples show: whole functions, or statements.
sub compiles {
    my ($page, $text) = @_;
    my ($examples) = $text =~ /^\.Sh EXAMPLES\n(.*?)^\.Sh /ms or return;
    my $source = File::Temp->new(SUFFIX => '.c');
    print $source "#include <$_>\n"
        for qw(door.h door_compat.h errno.h fcntl.h pthread.h stdio.h string.h stropts.h sys/stat.h unistd.h);
    while ($examples =~ /^\.Bd -literal[^\n]*\n(.*?)^\.Ed/msg) {
        my $code = $1 =~ s/\\e/\\/gr;
        print $source $code =~ /^\}/m ? $code : "void example(void)\n{\n$code}\n";
    }
    $source->flush;
    my $output = `$cc -Wall -Ilibdoor/include -Icompat -fsyntax-only $source 2>&1`;
    is $?, 0, "$page: the examples compile" or diag $output;
}

my (%leads_to, %names, %text);
for my $path (map { sort glob("$_/*.3") } @directories) {
    my ($page, $text) = (basename($path, '.3'), slurp($path));
    if ($text =~ /^\.so man3\/(\w+)\.3\n\z/) {
        $leads_to{$page} = $1;
        next;
    }
    $text{$page} = $text;
    my $output = `mandoc -Tlint -W warning $path 2>&1`;
    is $?, 0, "$path is well-formed" or diag $output;
    my ($section) = $text =~ /^\.Sh NAME\n(.*?)^\.Sh /ms;
    my @names = ($section // '') =~ /^\.Nm (\w+)/mg;
    @names = ($page) unless @names;
    $names{$page} = { map { $_ => 1 } @names };
    $leads_to{$page} = $page if $names{$page}{$page};
    my @missing = grep { $text !~ /^\.Sh \Q$_\E$/m } @wanted;
    is_deeply \@missing, [], '... and complete';
    is +($text =~ /^\.Dd (.*)$/m)[0], $released, '... of this release';
    compiles($page, $text);
}

# Those of programs.
for my $path (glob('*/tools/*.8')) {
    my $output = `mandoc -Tlint -W warning $path 2>&1`;
    is $?, 0, "$path is well-formed" or diag $output;
    is +(slurp($path) =~ /^\.Dd (.*)$/m)[0], $released, '... of this release';
}

# What "man -k" shows: short, and where the page is made from a header, a sentence's
# beginning up to a comma or the like.
for my $page (sort keys %text) {
    my ($line) = $text{$page} =~ /^\.Nd (.*)$/m;
    ok defined $line && length $line <= 74 && $line =~ /\w\W*$/, "$page: the name line is short";
    my ($description) = $text{$page} =~ /^\.Sh DESCRIPTION\n(.*?)^\.Sh /ms;
    next unless $page =~ /^door_app_/;
    my $flat = $description =~ s/\s+/ /gr;
    like $flat, qr/^\Q$line\E(?: \(|[.,:;])/i, '... and whole';
}

# In SEE ALSO: page => { page => 1 }.
sub sees {
    my ($text) = @_;
    my ($section) = $text =~ /^\.Sh SEE ALSO\n(.*?)(?:^\.Sh |\z)/ms;
    return { map { $_ => 1 } grep { defined } map { $leads_to{$_} } $section =~ /^\.Xr (\w+) 3/mg };
}

for my $map (glob('libdoor/*.map'), glob('door_app/*.map')) {
    is_deeply [grep { !$leads_to{$_} } exported($map)], [],
        basename($map, '.map') . ': each function has a page';
}
is_deeply [grep { !$names{ $leads_to{$_} }{$_} } sort keys %leads_to], [],
    'a page that leads to another leads to one about it';
is_deeply [grep { !$leads_to{$_} } map { keys %$_ } values %names], [],
    'each name that a page has leads to it';

my %declared = declared(glob('libdoor/include/*.h'), 'compat/door_compat.h',
    'door_app/door_app.h');
for my $page (sort keys %text) {
    my %described = described($text{$page});
    is_deeply \%described, { map { $_ => $declared{$_} } keys %described },
        "$page: the prototypes are the headers'";
    is_deeply [sort grep { $declared{$_} } keys %{ $names{$page} }], [sort keys %described],
        '... of all its functions' if %described;
}
is_deeply [sort keys %{ { map { $_ => 1 } map { my %d = described($_); keys %d } values %text } }],
    [sort grep { $leads_to{$_} } keys %declared], 'no prototype is missing';

# Who reads one of two pages finds the other.
my %sees = map { $_ => sees($text{$_}) } keys %text;
for my $page (sort keys %text) {
    is_deeply [grep { $text{$_} && !$sees{$_}{$page} } sort keys %{ $sees{$page} }], [],
        "$page: what it refers to refers to it";
    my @siblings = grep { $_ ne 'door_app' && $_ ne $page } keys %{ $sees{$page} };
    ok @siblings > 0, '... and there is something to see';
}

# A reference within the library leads somewhere.
for my $page (sort keys %text) {
    my @lost = grep { !$leads_to{$_} } $text{$page} =~ /^\.Xr ((?:door|ucred)_\w+|f(?:at|de)tach) 3/mg;
    is_deeply \@lost, [], "$page: the references lead somewhere";
}

done_testing;
