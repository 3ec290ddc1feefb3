#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# mutants.pl BUILD [NAME...]: faults that are put into the code one at a time, and the
# tests that must fail with each of them.  scripts/mutants.txt lists both.
#
# Each fault is put into a copy of the tree (BUILD/mutants), which is built; then its tests
# run.  First they run on the copy as it is, where they have to pass.  `make mutants` runs
# all of them, which takes half an hour or so; MUTANTS='NAME...' only some.
#
# The exit status is 0 if the tests notice every fault.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use File::Path qw(make_path);
use FindBin;

my $tree = abs_path("$FindBin::Bin/..");
my $list = "$FindBin::Bin/mutants.txt";
my ($build, @wanted) = @ARGV;
die "usage: mutants.pl BUILD [NAME...]\n" if !defined $build || $build =~ /^-/;
my $copy = "$build/mutants";
$ENV{TRIES} = 1; # a test that notices a fault only sometimes has noticed it
my $log = "$build/mutants.log";

# ---------------------------------------------------------------- the list

# A mutant is a block of lines: its name and what is wrong then, its file, its tests,
# and the lines of the code, those that go with a minus and those that come with a plus;
# "@@" stands between lines at different places.
sub read_list {
    my @mutants;
    my $mutant;
    open my $file, '<', $list or die "$list: $!\n";
    while (my $line = <$file>) {
        chomp $line;
        if ($line =~ /^#/ || $line eq '') {
            next;
        } elsif ($line =~ /^([a-z][a-z0-9-]*): (.+)/) {
            push @mutants, $mutant = { name => $1, what => $2, hunks => [{ from => '', to => '' }] };
        } elsif ($line =~ /^  file (\S+)$/) {
            $mutant->{file} = $1;
        } elsif ($line =~ /^  tests? (.+)$/) {
            $mutant->{tests} = [split ' ', $1];
        } elsif ($line eq '@@') {
            push @{ $mutant->{hunks} }, { from => '', to => '' };
        } elsif ($line =~ /^([-+ ])(.*)$/) {
            my $hunk = $mutant->{hunks}[-1];
            $hunk->{from} .= "$2\n" if $1 ne '+';
            $hunk->{to} .= "$2\n" if $1 ne '-';
        } else {
            die "$list:$.: what is this?\n";
        }
    }
    for my $m (@mutants) {
        die "$list: $m->{name} is not complete\n"
            if !$m->{file} || !$m->{tests} || grep { $_->{from} eq $_->{to} } @{ $m->{hunks} };
    }
    return @mutants;
}

# ---------------------------------------------------------------- the copy

sub read_file {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$file>;
}

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!\n";
    print $file $text;
    close $file or die "$path: $!\n";
}

# What git knows of, and what it does not ignore; what has not changed keeps its time.
sub make_copy {
    open my $files, '-|', 'git', '-C', $tree, 'ls-files', '-z', '-co', '--exclude-standard' or die;
    my @files = do { local $/ = "\0"; map { chomp; $_ } <$files> };
    close $files or die "git ls-files failed\n";
    @files = grep { -f "$tree/$_" } @files;
    my %is_there = map { ("$copy/$_" => 1) } @files;
    find({ no_chdir => 1, preprocess => sub { grep { "$File::Find::dir/$_" ne "$copy/build" } @_ },
        wanted => sub { unlink if -f && !$is_there{$_} } }, $copy) if -d $copy;
    for my $name (@files) {
        make_path("$copy/" . dirname($name));
        my $text = read_file("$tree/$name");
        next if -f "$copy/$name" && read_file("$copy/$name") eq $text;
        write_file("$copy/$name", $text);
        chmod 0777 & (stat "$tree/$name")[2], "$copy/$name";
    }
}

# The status of a command in the copy, whose output goes to the log.
sub run {
    my (@command) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        chdir $copy or die;
        delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
        open STDIN,  '<',  '/dev/null' or die;
        open STDOUT, '>>', $log or die;
        open STDERR, '>&', \*STDOUT or die;
        print "\n\$ @command\n";
        STDOUT->flush;
        exec @command or die "$command[0]: $!";
    }
    waitpid $pid, 0;
    return $?;
}

sub build { run('make', '-s', '-j2', 'BUILD=build', 'all', 'tests') == 0 }

# A file t/X.t of the module's suite, scripts/t/X.t, or a C test by its name.
sub passes {
    my ($test) = @_;
    return run('bash', 'scripts/suite.sh', 'build', 'event', $test) == 0 if $test =~ m{^t/};
    return run('prove', $test) == 0 if $test =~ m{^scripts/};
    return run('prove', "build/t/$test") == 0;
}

# ---------------------------------------------------------------- one mutant

sub try_mutant {
    my ($m) = @_;
    my $path = "$copy/$m->{file}";
    my $text = -f $path ? read_file($path) : '';
    my $changed = $text;
    for my $hunk (@{ $m->{hunks} }) {
        my $count = () = $text =~ /^\Q$hunk->{from}\E/gm;
        return "cannot be made: its lines are $count times in $m->{file}; has the code changed?"
            if $count != 1;
        $changed =~ s/^\Q$hunk->{from}\E/$hunk->{to}/m;
    }
    write_file($path, $changed);
    my $result = !build() ? 'cannot be built' : '';
    my @passed = $result ? () : grep { passes($_) } @{ $m->{tests} };
    write_file($path, $text);
    return $result || (@passed ? "is not noticed by @passed" : '');
}

my @mutants = read_list();
my %known = map { $_->{name} => 1 } @mutants;
$known{$_} or die "$list has no $_\n" for @wanted;
my %is_wanted = map { $_ => 1 } @wanted ? @wanted : keys %known;
@mutants = grep { $is_wanted{ $_->{name} } } @mutants;

$| = 1;
make_path($build);
$build = abs_path($build);
($copy, $log) = ("$build/mutants", "$build/mutants.log");
unlink $log;
make_copy();
build() or die "the tree cannot be built: $log\n";
my %tests = map { $_ => 1 } map { @{ $_->{tests} } } @mutants;
for my $test (sort keys %tests) {
    passes($test) or die "$test fails without any fault: $log\n";
}

my $missed = 0;
for my $m (@mutants) {
    my $wrong = try_mutant($m);
    $missed++ if $wrong;
    print $wrong ? "not ok - $m->{name} ($m->{what}) $wrong\n" : "ok - $m->{name}: $m->{what}\n";
}
build();
print '1..', scalar @mutants, "\n";
exit($missed ? 1 : 0);
