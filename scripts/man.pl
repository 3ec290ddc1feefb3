#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# man.pl HEADER DIR DATE: the manual pages of door_app.h, made from its comments,
# so that there is one text to keep right.  A comment describes the declarations
# that follow it, up to an empty line; its paragraphs "Owner:", "Blocks:",
# "Returns:", "Errors:" and "Threads:" become sections.  The header's first
# comment becomes door_app(3).

use strict;
use warnings FATAL => 'all';

my ($header, $dir, $date) = @ARGV;
my $text = do { local (@ARGV, $/) = $header; <> };

# The comment without its stars, as lines.
sub lines_of {
    my ($comment) = @_;
    $comment =~ s{^/\*+\s?|\s*\*/\s*$}{}g;
    return map { s/^ ?\*//r =~ s/^ //r } split /\n/, $comment;
}

sub escape { $_[0] =~ s/\\/\\e/gr =~ s/^([.'])/\\&$1/gmr =~ s/-/\\-/gr }

# Paragraphs, with lines that are indented kept as they are.
sub body {
    my @lines = @_;
    shift @lines while @lines && $lines[0] =~ /^\s*$/;
    pop @lines while @lines && $lines[-1] =~ /^\s*$/;
    my ($out, $literal) = ('', 0);
    for my $i (0 .. $#lines) {
        my $line = $lines[$i];
        if ($line =~ /^\s*$/) {
            my ($next) = grep { /\S/ } @lines[$i .. $#lines];
            next if $literal && $next =~ /^ {2}/ && ($out .= "\n") ne '';
            $out .= ".Ed\n" if $literal;
            $out .= ".Pp\n" unless !$literal && $next =~ /^ {2}/;
            $out .= '' if $literal;
            $literal = 0;
            next;
        }
        if ($line =~ /^ {2}/ && !$literal) {
            $out .= ".Bd -literal\n";
            $literal = 1;
        } elsif ($line !~ /^ {2}/ && $literal) {
            $out .= ".Ed\n";
            $literal = 0;
        }
        $out .= escape($literal ? $line =~ s/^ {2}//r : $line =~ s/^\s+//r) . "\n";
    }
    $out .= ".Ed\n" if $literal;
    # A new sentence begins on a new line.
    $out = join "\n", map { /^\s/ ? $_ : s/(?<=[\w)"][.!?])\s+(?=\S)/\n/gr } split /\n/, $out, -1;
    $out =~ s/\.Ed\n\.Pp\n/.Ed\n.Pp\n/g;
    return $out;
}

# "Errors:  EINVAL ..." and what is indented below it, out of the lines.
sub split_sections {
    my (@lines) = @_;
    my (%section, @description, $name);
    for my $line (@lines) {
        if ($line =~ /^(Owner|Blocks|Returns|Errors|Threads|Lifecycle|Requests|Fork):\s+(.*)/) {
            $name = $1;
            $section{$name} = [$2];
        } elsif (defined $name && $line =~ /^\s{2,}(\S.*)/) {
            push @{$section{$name}}, $1;
        } elsif (defined $name && $line =~ /\S/ && $line !~ /^\s/) {
            push @{$section{$name}}, $line;
        } elsif (defined $name && $line =~ /^\s*$/) {
            $name = undef;
        } else {
            push @description, $line;
        }
    }
    return (\@description, \%section);
}

sub write_page {
    my ($name, $content) = @_;
    open my $file, '>', "$dir/$name.3" or die "$dir/$name.3: $!";
    print $file $content;
    close $file or die;
}

sub head {
    my ($name) = @_;
    return ".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Made from door_app.h by scripts/man.pl.\n"
        . ".Dd $date\n.Dt \U$name\E 3\n.Os mod_door\n.Sh NAME\n";
}

# For NAME: the first sentence, or as much of it, up to a comma or a bracket, as is short.
sub summary {
    my ($name, $description) = @_;
    my ($sentence) = join(' ', @$description) =~ /^\s*(.*?)(?:[.:;](?:\s|$)|$)/;
    $sentence =~ s/\s+/ /g;
    while (length $sentence > 74) {
        $sentence =~ s/(?:,| \()[^,(]*$//
            or die "$header: $name: the first sentence is too long for a name line\n";
    }
    $sentence = lcfirst $sentence unless $sentence =~ /^[A-Z]{2}/;
    return escape($sentence);
}

# Pages that speak of each other, by the functions that their comments name; one that
# nobody speaks of has its neighbours.
sub relate {
    my (@pages) = @_;
    my (%page_of, %related);
    for my $page (@pages) {
        $page_of{ $$_[0] } = $page->{functions}[0][0] for @{ $page->{functions} };
    }
    my @names = map { $_->{functions}[0][0] } @pages;
    my $tie = sub { $related{ $_[0] }{ $_[1] } = $related{ $_[1] }{ $_[0] } = 1 };
    for my $i (0 .. $#pages) {
        for my $other (grep { defined } map { $page_of{$_} } $pages[$i]{comment} =~ /\b(door_app_\w+)\(/g) {
            $tie->($names[$i], $other) if $other ne $names[$i];
        }
    }
    for my $i (grep { !$related{ $names[$_] } } 0 .. $#names) {
        $tie->($names[$i], $names[$_]) for grep { $_ >= 0 && $_ <= $#names } $i - 1, $i + 1;
    }
    return map { $_ => [sort keys %{ $related{$_} }] } @names;
}

my @all;
mkdir $dir;
my ($first) = $text =~ m{(/\*.*?\*/)}s;
my $rest = $text =~ s{\A.*?#ifdef DOOR_APP|\A.*?\n/\* -+ application \*/}{}sr;
my @pages;
# A comment, and the declarations right behind it.
while ($rest =~ m{(/\*(?:(?!\*/).)*\*/)\n((?:[a-z#][^\n]*\n(?:[ \t]+[^\n]*\n)*)+)}gs) {
    my ($comment, $declarations) = ($1, $2);
    my @found;
    while ($declarations =~ /^([a-z][\w \t]*?[ *]+)(door_app_\w+)\((.*?)\)(?:\s*DOOR_APP_PRINTF\([^)]*\))?;/gms) {
        my ($type, $name, $arguments) = ($1, $2, $3);
        next if $type =~ /typedef/;
        push @found, [$name, $type =~ s/\s+$//r =~ s/\s+\*/ */r, [split /,\s*/, $arguments =~ s/\s+/ /gr]];
    }
    push @pages, {comment => $comment, functions => \@found} if @found;
    push @all, map { $$_[0] } @found;
}

my %related = relate(@pages);
for my $page (@pages) {
    my ($description, $section) = split_sections(lines_of($page->{comment}));
    my @names = map { $$_[0] } @{$page->{functions}};
    # One that is "the same, but" stands with the one before it.
    my $out = head($names[0]) . join(" ,\n", map { ".Nm $_" } @names) . "\n.Nd " . summary($names[0], $description) . "\n";
    $out .= ".Sh SYNOPSIS\n.Dl cc prog.c \$(pkg\\-config \\-\\-cflags \\-\\-libs libdoor_app)\n.In door_app.h\n";
    for (@{$page->{functions}}) {
        my ($name, $type, $arguments) = @$_;
        $out .= ".Ft $type\n.Fn $name " . join(' ', map { "\"$_\"" } @$arguments) . "\n";
    }
    $out .= ".Sh DESCRIPTION\n" . body(@$description);
    $out .= ".Pp\nOwner: " . body(@{$section->{Owner}}) if $section->{Owner};
    $out .= ".Pp\nIt blocks " . body(@{$section->{Blocks}}) if $section->{Blocks};
    my %type = map { $$_[1] => 1 } @{$page->{functions}};
    die "$header: $names[0] says nothing of threads\n" unless $section->{Threads};
    die "$header: $names[0] does not say what it returns\n"
        unless $section->{Returns} || join(' ', keys %type) =~ /^(?:int|void)$/;
    die "$header: $names[0] does not say how it fails\n"
        if $type{int} && !$section->{Returns} && !$section->{Errors};
    my $returns = $section->{Returns} // [$type{void} ? 'nothing.' : '0, or -1 with errno.'];
    $out .= ".Sh RETURN VALUES\n" . body(map { $_ } ucfirst $$returns[0], @$returns[1 .. $#$returns]);
    $out .= ".Sh ERRORS\n" . ($section->{Errors} ? body(@{$section->{Errors}}) : "None of its own.\n");
    $out .= ".Sh THREADS AND FORK\n" . body(ucfirst($section->{Threads}[0]),
        @{$section->{Threads}}[1 .. $#{$section->{Threads}}])
        . "A forked child serves nothing.\n";
    $out .= ".Sh SEE ALSO\n" . join(" ,\n", map { ".Xr $_ 3" } 'door_app', @{ $related{ $names[0] } }) . "\n";
    write_page($names[0], $out);
    write_page($_, ".so man3/$names[0].3\n") for @names[1 .. $#names];
}

my ($description, $section) = split_sections(grep { !/SPDX/ } lines_of($first));
s/^door_app\.h: // for @$description;
my $out = head('door_app') . ".Nm door_app\n.Nd web applications as plain synchronous code\n"
    . ".Sh SYNOPSIS\n.Dl cc prog.c \$(pkg\\-config \\-\\-cflags \\-\\-libs libdoor_app)\n.In door_app.h\n"
    . ".Sh DESCRIPTION\n" . body(@$description);
for (qw(Lifecycle Requests)) {
    $out .= ".Ss $_\n" . body(@{$section->{$_}}) if $section->{$_};
}
$out .= ".Sh RETURN VALUES\nFunctions that return int return 0, or \\-1 with errno, unless their page says otherwise.\n"
    . ".Sh ERRORS\nSee the functions' pages.\n"
    . ".Sh THREADS AND FORK\n" . body(@{$section->{Threads}}) . ".Pp\n" . body(@{$section->{Fork}});
$out .= ".Sh SEE ALSO\n" . join(" ,\n", map { ".Xr $_ 3" } sort @all) . "\n";
write_page('door_app', $out);
