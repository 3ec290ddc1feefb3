#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The code of the documents compiles: each fenced block of C, a whole file, functions or
# statements, without a warning; each one of Python.  No command runs a module that has the
# name of one of Python's own, which would be found instead.

use strict;
use warnings FATAL => 'all';

use lib 'scripts/docs';
use Docs qw(blocks manual_files slurp);
use File::Temp ();
use Test::More;

my $cc = $ENV{CC} // 'cc';

# What parts of programs take from the rest of them.
my $rest = <<'END';
#include <door_app.h>
#include <unistd.h>
extern struct door_app *app;
extern door_app_handler list, show, file, admin, page;
extern door_app_thread_start start_thread;
extern door_app_thread_check check_thread;
extern door_app_thread_stop stop_thread;
END

sub whole_file {
    my ($text) = @_;
    return $text if $text =~ /^#include/m;
    return "$rest$text" if $text =~ /^\}/m;
    return "${rest}void example(void)\n{\n$text}\n";
}

# What the compiler says; its exit status is in $?.
sub said_of {
    my ($suffix, $text, $command) = @_;
    my $file = File::Temp->new(SUFFIX => $suffix);
    binmode $file, ':encoding(UTF-8)';
    print $file $text;
    $file->flush;
    return scalar `$command $file 2>&1`;
}

my %compile = (
    c => sub { said_of('.c', whole_file($_[0]), "$cc -Wall -Wextra -Wno-unused-function -Werror -Idoor_app -fsyntax-only") },
    python => sub { said_of('.py', $_[0], q{python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())'}) },
);

for (['c', "door_app_nothing(app);\n"], ['python', "def f(:\n"]) {
    my ($language, $text) = @$_;
    $compile{$language}->($text);
    isnt $?, 0, "a mistake in $language is seen";
}

my $count = 0;
for my $block (map { blocks($_) } manual_files()) {
    my $compile = $compile{ $block->{language} } or next;
    my $said = $compile->($block->{text});
    is $?, 0, "$block->{file}:$block->{line}" or diag $said;
    $count++;
}
cmp_ok $count, '>=', 8, 'there is code';

my %own = map { $_ => 1 } split ' ', `python3 -c 'import sys; print(*sys.stdlib_module_names)'`;
ok $own{site}, 'site is one of Python\'s modules';
my @modules;
for my $file (manual_files(), glob('python/door_app/*.py python/examples/*.py')) {
    push @modules, map { [$file, $_] } slurp($file) =~ /-m door_app (\w+)/g;
}
cmp_ok scalar @modules, '>=', 8, 'modules are run';
is_deeply [map { "@$_" } grep { $own{$_->[1]} } @modules], [], '... none of which is one of them';

done_testing;
