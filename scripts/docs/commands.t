#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The commands of the documents run: the fenced blocks with "sh" of each document, in order,
# in one shell, on a copy of this machine where mod_door is installed.  The copy is an overlay
# of the file system in namespaces of its own; nothing that happens there is left.
#
# commands.t [DOCUMENT...] runs only these.
#
# A block after a line that ends in a path and a colon becomes that file.  A block that is
# marked "sh norun" is not run, for the reason that is given here.

use strict;
use warnings FATAL => 'all';

use lib 'scripts/docs';
use Cwd qw(abs_path getcwd);
use Docs qw(blocks manual_files);
use File::Basename qw(dirname);
use File::Temp ();
use Test::More;

my $build = abs_path($ENV{BUILD} // 'build');
my $here = getcwd;
my $apxs = $ENV{APXS} // 'apxs';
my @apart = qw(unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private);

# Each document that is run, and what it must have printed.
my @documents = (
    ['README.md', qr/^Well, hello to you too!\n.*^Status: 200\n.*^Well, hello to you too!\n/ms],
    ['CONTRIBUTING.md'],
    ['docs/building.md', qr/^Status: 200$/m],
    ['docs/handlers.md', qr{^Status: 303\nX-Content-Type-Options: nosniff\nLocation: /notes$}m],
    ['docs/tutorial.md', qr/Tea 1, coffee 0.*Tea 1, coffee 0.*please.*coffee 1/s],
    ['docs/relinked.md'],
    ['docs/python/README.md', qr/^Well, hello to you too!$/m],
);

# Why a block cannot be run: its document and first line.
my %cannot = (
    'README.md: make demo' => 'it stays in the foreground, and tests run these; see scripts/t/demo.t',
    'docs/applications.md: sudo install -d -o shop' => 'the README has the same',
    'docs/building.md: make deb' => 'scripts/packages.t does so, on a machine of its own',
    'docs/systemd.md: sudo install' => 'there is no systemd here; see scripts/t/systemd.t',
    'CONTRIBUTING.md: make check' => 'this test is a part of it',
    'docs/tutorial.md: sudo gdb' => 'gdb is not among the packages, and a container may forbid it',
    'docs/tutorial.md: sudo adduser' => 'there is no systemd here; scripts/docs/config.t has the configuration',
);

# ---- what is marked, and why

my %documents = map { $$_[0] => 1 } @documents;
my %marked;
for my $block (grep { $_->{language} eq 'sh' } map { blocks($_) } manual_files()) {
    my ($reason) = grep { "$block->{file}: $block->{text}" =~ /^\Q$_\E/ } keys %cannot;
    if ($block->{words} eq 'norun') {
        ok defined $reason, "$block->{file}:$block->{line}: there is a reason not to run it";
        $marked{$reason // ''} = 1;
    } elsif (!$documents{ $block->{file} }) {
        fail "$block->{file}:$block->{line}: the document is in the list of those that are run";
    }
}
is_deeply [grep { !$marked{$_} } sort keys %cannot], [], 'each reason has its block';

# ---- the shell

# What is to be run of a document, with a line before each block that tells which.
sub script {
    my ($document) = @_;
    # A busy machine needs longer than a reader's.
    my $script = "sleep() { command sleep \$((\$1 * 3)); }\n";
    for my $block (blocks($document)) {
        my $end = '@@end@@';
        if (defined $block->{path}) {
            $script .= "mkdir -p @{[dirname $block->{path}]}\n"
                . "cat >'$block->{path}' <<'$end'\n$block->{text}$end\n";
        } elsif ($block->{language} eq 'sh' && $block->{words} eq '') {
            $script .= "echo '\@\@ $document:$block->{line}'\n$block->{text}";
        }
    }
    return $script;
}

sub write_file {
    my ($path, $text, $mode) = @_;
    open my $file, '>:encoding(UTF-8)', $path or die "$path: $!";
    print $file $text;
    close $file or die $!;
    chmod $mode, $path or die $!;
}

my $scratch = File::Temp->newdir('/tmp/mod_door-commands.XXXXXX');
chmod 0755, $scratch;

# In the namespaces: a copy of / in memory at $scratch/root, where the tree and the build are copies, too.
my $copy = <<"END";
set -e
mount -t tmpfs -o mode=755 none $scratch
mkdir $scratch/upper $scratch/work $scratch/build $scratch/build-work $scratch/root
mount -t overlay -o lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work none $scratch/root
cd $scratch/root
if [ "\$(stat -c %d /)" != "\$(stat -c %d $here)" ]; then
    mkdir -p $scratch/tree $scratch/tree-work .$here
    mount -t overlay -o lowerdir=$here,upperdir=$scratch/tree,workdir=$scratch/tree-work none .$here
fi
mkdir -p .$here/build
mount -t overlay -o lowerdir=$build,upperdir=$scratch/build,workdir=$scratch/build-work none .$here/build
mount --rbind /dev dev
mount -t proc none proc
for place in tmp run srv; do mount -t tmpfs -o mode=1777 none \$place; done
mkdir -p usr/local/sbin
printf '#!/bin/sh\\nexec "\$\@"\\n' >usr/local/sbin/sudo
chmod 755 usr/local/sbin/sudo
ip link set lo up
cat >tmp/commands
END

# Runs a shell script there: what it prints; its exit status is in $?.
sub apart {
    my ($script) = @_;
    my $outside = File::Temp->new;
    print $outside $copy, "exec chroot . env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
        . "HOME=/tmp LANG=C.UTF-8 bash -e -o pipefail -c 'cd $here; umask 022; . /tmp/commands' </dev/null\n";
    $outside->flush;
    my $inside = File::Temp->new;
    binmode $inside, ':encoding(UTF-8)';
    print $inside $script;
    $inside->flush;
    return scalar `timeout -k 10 400 @apart bash $outside 2>&1 <$inside`;
}

SKIP: {
    skip 'only root can have a copy of the machine', 1 if $> != 0;
    skip 'the documents speak of Debian', 1 if `$apxs -q LIBEXECDIR` ne "/usr/lib/apache2/modules\n";
    skip 'no namespaces or overlays here', 1 if system("@apart true 2>/dev/null") != 0 || apart("true\n") ne '';

    like apart("echo '@@ one'\nfalse\necho two\n"), qr/^\@\@ one\n\z/, 'a command that fails ends the run';
    isnt $?, 0, '... and is told';
    for (grep { my $name = $_->[0]; !@ARGV || grep { $_ eq $name } @ARGV } @documents) {
        my ($document, $printed) = @$_;
        my $script = script($document);
        like $script, qr/^echo '\@\@/m, "$document has commands";
        my $said = apart("make -s install >/tmp/install.log 2>&1 || { cat /tmp/install.log; exit 1; }\n$script");
        is $?, 0, '... they run' or diag substr $said, -4000;
        like $said, $printed, '... and print what they should' if $printed;
    }
}

done_testing;
