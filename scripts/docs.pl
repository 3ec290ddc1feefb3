#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# docs.pl DIR MANDIR VERSION DATE: the manual as HTML in DIR, where docs/directives.md is
# mod_door.html, and that document as MANDIR/mod_door.8.  lowdown(1) does the work.  Here
# are links, which lead to pages, anchors, which are GitHub's, and tables, which a terminal has no room
# for.

use strict;
use warnings FATAL => 'all';

use lib 'scripts/docs';
use Docs qw(manual_files slug slurp);
use File::Basename qw(basename dirname);
use File::Copy ();
use File::Path qw(make_path);
use IPC::Open2 qw(open2);

my ($dir, $man_dir, $version, $date) = @ARGV;

# Each document's page.
my %page = map { $_ => s{^docs/}{}r =~ s/\.md$/.html/r } grep { m{^docs/|^CHANGELOG} } manual_files();
s/(^|\/)README\.html$/$1index.html/ for values %page;
$page{'docs/directives.md'} = 'mod_door.html';

sub lowdown {
    my ($text, @options) = @_;
    my $pid = open2(my $out, my $in, 'lowdown', @options);
    binmode $_, ':encoding(UTF-8)' for $in, $out;
    # It reads all before it writes.
    print $in $text;
    close $in;
    my $made = do { local $/; <$out> };
    waitpid $pid, 0;
    die "docs.pl: lowdown failed\n" if $? != 0;
    return $made;
}

sub write_file {
    my ($path, $text) = @_;
    make_path(dirname($path));
    open my $file, '>:encoding(UTF-8)', $path or die "$path: $!";
    print $file $text;
    close $file or die $!;
}

# The path from the top, of a link in that document.
sub resolve {
    my ($from, $link) = @_;
    my @parts;
    for (split m{/}, dirname($from) . "/$link") {
        if ($_ eq '..') { pop @parts } elsif ($_ ne '.' && $_ ne '') { push @parts, $_ }
    }
    return join '/', @parts;
}

# Applies a function to what is no fenced block.
sub outside_blocks {
    my ($text, $change) = @_;
    return join '', map { /^```/ ? $_ : $change->($_) } split /^(```.*?^```\n)/ms, $text;
}

# ---- HTML

my $style = <<'END';
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1rem; }
nav { font-size: 0.9rem; } h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #8886; padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }
thead:not(:has(th:not(:empty))) { display: none; }
pre { background: #8881; padding: 0.7rem; overflow-x: auto; }
code { font-size: 0.92em; } img { max-width: 100%; }
END

# A link to another document leads to its page; one out of the manual is only its text.
sub link_pages {
    my ($text, $document) = @_;
    my $up = '../' x ($page{$document} =~ tr{/}{});
    return outside_blocks($text, sub {
        $_[0] =~ s{(!?)\[((?:[^\[\]]|\n)*)\]\(([^()\s#]+)(#[^()\s]*)?\)}{
            my ($image, $label, $link, $anchor) = ($1, $2, $3, $4 // '');
            my $target = resolve($document, $link);
            if ($link =~ m{^\w+://}) { "$image\[$label]($link$anchor)" }
            elsif ($image) {
                my $copy = 'images/' . basename($target);
                make_path("$dir/images");
                File::Copy::copy($target, "$dir/$copy") or die "$target: $!";
                "![$label]($up$copy)";
            }
            elsif ($page{$target}) { "[$label]($up$page{$target}$anchor)" }
            else { $label }
        }ger;
    });
}

sub html {
    my ($document) = @_;
    my $text = slurp($document);
    my ($title) = $text =~ /^# (.*)$/m;
    my $body = lowdown(link_pages($text, $document), qw(-Thtml --out-no-smarty));
    $body =~ s{<h(\d)[^>]*>(.*?)</h\1>}{
        my ($level, $heading) = ($1, $2);
        my $plain = $heading =~ s/<[^>]*>//gr =~ s/&\w+;//gr;
        sprintf '<h%d id="%s">%s</h%d>', $level, slug($plain), $heading, $level;
    }gse;
    $body =~ s/\\\|/|/g; # lowdown leaves a table's bars in code as they were written
    my $up = '../' x ($page{$document} =~ tr{/}{});
    my $plain = $title =~ s/[<&`]//gr;
    return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        . "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>$plain</title>\n"
        . "<style>\n$style</style>\n</head>\n<body>\n<nav><a href=\"${up}index.html\">mod_door $version</a></nav>\n"
        . "<main>\n$body</main>\n</body>\n</html>\n";
}

# ---- the manual page

# The table of a directive is lines; another one a list, whose terms are its first column.
sub lines_of_table {
    my ($table) = @_;
    my @rows = map { [map { s/\\\|/|/gr } /\| ((?:[^|\\]|\\.)*?) ?(?=\|)/g] } split /\n/, $table;
    my ($head, undef, @body) = @rows;
    if ($head->[0] =~ /^\s*$/) {
        my ($description, @more) = @body;
        return "$description->[1].\n\n" . join("  \n", map { "**$_->[0]:** $_->[1]" } @more) . "\n";
    }
    return join "\n", map {
        my ($term, @cells) = @$_;
        my $default = @cells > 1 ? shift @cells : undef;
        "$term" . (defined $default ? " (default: $default)" : '') . "\n\n: @cells\n";
    } @body;
}

sub man {
    my ($document) = @_;
    my $text = slurp($document);
    # Its list of contents is for links alone, and its first words are about this page.
    $text =~ s/^\*\*[^\n]*:\*\*\n(?:\[.*\n)+\n//mg;
    $text =~ s/^This is the reference\..*?\n\n//ms;
    $text =~ s/\A# .*\n/# NAME\n\nmod_door - web applications behind Apache httpd, called through doors\n\n# DESCRIPTION\n/;
    my $has_directives = 0;
    $text = join '', map {
        my $part = $_;
        if ($part =~ /^## / && $part !~ /^\| Syntax \|/m) {
            $part =~ s/^## (.*)/"# " . uc $1/me;
        } elsif ($part =~ /^## / && !$has_directives++) {
            $part = "# DIRECTIVES\n\n$part";
        }
        $part;
    } split /^(?=## )/m, $text;
    $text = outside_blocks($text, sub {
        $_[0] =~ s/!?\[((?:[^\[\]]|\n)*)\]\([^()\s]+\)/$1/gr =~ s/^((?:\|.*\|\n)+)/lines_of_table($1)/gemr;
    });
    $text .= "\n# SEE ALSO\n\ndoor-call(1), door_app(3), apache2(8), doorctl(8)\n\nThe whole manual is in share/doc/mod_door/html.\n";
    # Not every man(1) knows the font of code.
    return lowdown($text, '-s', '-Tman', '--out-no-smarty', '-mtitle=mod_door', '-msection=8', "-mdate=$date",
        "-msource=mod_door $version", '-mvolume=System Manager\'s Manual') =~ s/\\fC/\\fB/gr;
}

write_file("$dir/$page{$_}", html($_)) for sort keys %page;
write_file("$man_dir/mod_door.8", ".\\\" SPDX-License-Identifier: Apache-2.0\n" . man('docs/directives.md'));
