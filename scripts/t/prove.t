#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# scripts/prove.sh: what fails has a second try, and is listed if it passes then.

use strict;
use warnings FATAL => 'all';

use File::Temp ();
use FindBin;
use Test::More;

my $dir = File::Temp->newdir;

sub write_file {
    my ($name, $text) = @_;
    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}

sub read_file {
    my ($name) = @_;
    open my $file, '<', "$dir/$name" or return '';
    local $/;
    return <$file>;
}

# A test that notes that it has run, and passes from its Nth run on.
sub make_test {
    my ($name, $n, $how) = @_;
    write_file("$name.t", <<"END");
open my \$runs, '>>', '$dir/$name.runs' or die;
print \$runs "\@ARGV\\n";
close \$runs;
print "1..1\\n", -s '$dir/$name.runs' >= $n * length("\@ARGV\\n") ? "ok 1\\n" : "$how\\n";
END
}

sub runs { scalar(() = read_file("$_[0].runs") =~ /\n/g) }

# Returns the exit status.
sub prove {
    my ($settings, @arguments) = @_;
    unlink glob("$dir/*.runs"), "$dir/second_try";
    local %ENV = (%ENV, BUILD => "$dir", TRIES => '', %$settings);
    system("bash '$FindBin::Bin/../prove.sh' @arguments >'$dir/output' 2>&1");
    return $? >> 8;
}

make_test('good', 1, '');
make_test('late', 2, 'not ok 1');
make_test('cut', 2, '');
make_test('bad', 9, 'not ok 1');

is(prove({}, '--', "$dir/good.t"), 0, 'a test that passes');
is(runs('good'), 1, 'runs once');
is(read_file('second_try'), '', 'and is not listed');

is(prove({}, '-j2', '--', map { "$dir/$_.t" } qw(good late cut)), 0, 'tests that pass the second time');
is(runs('good'), 1, 'only what failed has a second try');
is(runs($_), 2, "$_ has one") for qw(late cut);
is(join(' ', sort split /\n/, read_file('second_try')), "$dir/cut.t $dir/late.t", 'they are listed');

is(prove({}, '--', "$dir/late.t", "$dir/bad.t"), 1, 'a test that fails again');
is(runs('bad'), 2, 'has two tries');
like(read_file('output'), qr/Failed test:\s+1/, 'and its report is there');

is(prove({TRIES => 1}, '--', "$dir/late.t"), 1, 'TRIES=1');
is(runs('late'), 1, 'has no second try');

is(prove({}, '--', "$dir/late.t", '::', 'one', 'two'), 0, 'with arguments');
is(read_file('late.runs'), "one two\n" x 2, 'the second try has them too');

is(prove({}, "$dir/good.t"), 2, 'without --');
is(runs('good'), 0, 'nothing runs');

done_testing;
