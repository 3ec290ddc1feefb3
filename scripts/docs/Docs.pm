# SPDX-License-Identifier: Apache-2.0
#
# What the tests of the documents read: files, fenced blocks, headings, links.
# It knows Markdown as far as these documents use it.

package Docs;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Find ();

our @EXPORT_OK = qw(slurp manual_files markdown_files blocks links anchors slug sections base_config);

sub slurp {
    my ($path) = @_;
    open my $file, '<:encoding(UTF-8)', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

# All Markdown files of the tree, but for what is built.
sub markdown_files {
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub {
        return $File::Find::prune = 1 if -d && m{^\./(?:build[^/]*|\.\w[^/]*)$};
        push @found, s{^\./}{}r if /\.md$/;
    } }, '.');
    return sort @found;
}

# The manual, and what stands beside it at the top.
sub manual_files { return grep { m{^(?:docs/.*|README|CONTRIBUTING|CHANGELOG)\b} && /\.md$/ } markdown_files() }

# The fenced blocks: language, words behind it, text, line, and the file that the line before
# names ("... as `/srv/x.c`:").
sub blocks {
    my ($path) = @_;
    my (@blocks, $block, $before);
    my $number = 0;
    for (split /^/, slurp($path)) {
        $number++;
        if ($block) {
            if (/^\s*```\s*$/) {
                push @blocks, $block;
                $block = undef;
                next;
            }
            $block->{text} .= s/^ {0,$block->{indent}}//r;
        } elsif (/^(\s*)```(\w*)\s*(.*?)\s*$/) {
            $block = {file => $path, line => $number, indent => length $1, language => $2, words => $3, text => ''};
            $block->{path} = $1 if ($before // '') =~ m{`(/\S+)`:\s*$};
        } elsif (/\S/) {
            $before = $_;
        }
    }
    die "$path: a block has no end\n" if $block;
    return @blocks;
}

# The text without blocks and code.
sub prose {
    my ($text) = @_;
    $text =~ s/^\s*```.*?^\s*```\s*$//gms;
    $text =~ s/`[^`\n]*`/code/g;
    return $text;
}

# Where its links and pictures lead.
sub links {
    my ($path) = @_;
    my $text = slurp($path) =~ s/^\s*```.*?^\s*```\s*$//gmsr;
    $text =~ s/`[^`\n]*`//g if $text !~ /\[`/;
    return $text =~ /\]\(([^()\s]+)\)/g;
}

# How a heading is named in links, as GitHub does it.
sub slug {
    my ($heading) = @_;
    $heading =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
    $heading = lc $heading;
    $heading =~ s/[^\w\- ]//g;
    $heading =~ tr/ /-/;
    return $heading;
}

sub anchors {
    my ($path) = @_;
    my $text = slurp($path) =~ s/^\s*```.*?^\s*```\s*$//gmsr;
    return map { slug($_) } $text =~ /^#{1,6} +(.*?)\s*$/mg;
}

# The sections of the second level: name, fields of the table at its beginning, text.
sub sections {
    my ($path) = @_;
    my @sections;
    for (split /^(?=## )/m, slurp($path)) {
        my ($name) = /^## (.*)$/m or next;
        my ($table) = /^## .*\n\n((?:\|.*\n)+)/;
        my %field = ($table // '') =~ /^\| (\w+) \| (.*?) \|$/mg;
        s/\\\|/|/g for values %field;
        push @sections, {name => $name, field => \%field, text => $_};
    }
    return @sections;
}

# An httpd.conf with most modules, to which a part is added.
sub base_config {
    my ($root, $modules, $mod_door) = @_;
    my @modules = grep { -e "$modules/mod_$_.so" } qw(mpm_event authz_core authz_user authz_host authn_core
        authn_file auth_basic alias rewrite dir mime env setenvif headers deflate log_config status remoteip
        include filter unique_id http2 access_compat);
    return "ServerRoot $root\nServerName localhost\nListen 127.0.0.1:1\nErrorLog error_log\nPidFile $root/httpd.pid\n"
        . join('', map { "LoadModule ${_}_module $modules/mod_$_.so\n" } @modules)
        . "LoadModule door_module $mod_door\nTypesConfig /dev/null\nDocumentRoot $root/htdocs\nDefaultRuntimeDir $root\n";
}

1;
