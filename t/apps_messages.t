# SPDX-License-Identifier: Apache-2.0
#
# What an administrator hears of a DoorApp that is wrong, or hardly meant as it stands:
# from httpd -t, and from the log where a program does not run.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $hello = "$dir/bin/hello";

sub checked {
    my ($text) = @_;
    $httpd->configure($text);
    return $httpd->check;
}

sub refused {
    my ($text, $complaint, $what) = @_;
    my $said = checked($text);
    ok $? != 0 && $said =~ $complaint, "an error: $what" or diag $said;
}

sub warned {
    my ($text, $complaint, $what) = @_;
    my $said = checked($text);
    ok $? == 0 && $said =~ $complaint, "a warning: $what" or diag $said;
}

sub write_file {
    my ($name, $text, $mode) = @_;
    open my $file, '>', "$dir/bin/$name" or die $!;
    print $file $text;
    close $file or die $!;
    chmod $mode // 0755, "$dir/bin/$name" or die $!;
    return "$dir/bin/$name";
}

# ---- nothing to say

my $fine = write_file(fine => "#!/usr/bin/env sh\nexec $hello\n");
my $said = checked(qq{DoorApp a "$hello x=y -o --long=3 a;b '<p>' 3 a>b" env=A=1 env=B=1 watch=on watch=/etc/passwd
    DoorApp b "/bin/sh -c 'exec $hello >/dev/null 2>&1'" RLimitFSIZE=max
    DoorApp c $fine RLimitNOFILE=100:200 RLimitFSIZE=1103806595072
    <Location /a>
    DoorHandler a
    </Location>
    DoorAllow a $dir/doors} =~ s/^ +//gmr);
is $said, "Syntax OK\n", 'nothing is said of what is right';

# ---- options

refused("DoorApp a $hello instance=2", qr/instance=2 is no option of DoorApp; did you mean instances=\?/,
    'an option that is nearly one');
refused("DoorApp a $hello isntances=2", qr/did you mean instances=\?/, '... two letters exchanged');
refused("DoorApp a $hello RLimitNOFILES=2", qr/did you mean RLimitNOFILE=\?/, '... a limit');
$said = checked("DoorApp a $hello colour=red");
like $said, qr/colour=red is no option of DoorApp$/m, '... nothing is near';
refused("DoorApp a $hello --db shop",
    qr/'--db' must be key=value; if it is an argument of the program, .* need quotes: "\Q$hello\E --db"/,
    'a command without its quotes');
refused("DoorApp a $hello --db=shop", qr/'--db=shop' must be key=value; if it is an argument/,
    '... whose argument has an equals sign');
refused("DoorApp a $hello instances", qr/'instances' must be key=value: instances=\.\.\.$/m, 'no value');
refused(qq{DoorApp a $hello env="A=x y"}, qr/quotes must be around all of it: "env=A=x y"/,
    'quotes behind an equals sign');
refused(qq{DoorApp a $hello env=A="x y" instances=2}, qr/must be around all of it: "env=A=x y"/, '... the second');
refused(qq{DoorApp a $hello env A='x y z'}, qr/must be around all of it: 'env=A=x y z'/, '... single ones');
is checked(qq{DoorApp a $hello "env=A=x y"}), "Syntax OK\n", '... where they should be';
refused("DoorApp a $hello RLimitNOFILE=20:10", qr/the soft limit, 20, is higher than the hard limit, 10/,
    "a limit's figures");
refused("DoorApp a $hello RLimitNOFILE=max:10", qr/the soft limit, max, is higher/, '... max');
refused("DoorApp a $hello RLimitFSIZE=1000000", qr/RLimitFSIZE=1000000 is too small: .*below 1103806595072/,
    'RLimitFSIZE: with which no door works');
warned("DoorApp a $hello instances=2 threads=5 instances=3",
    qr/httpd\.conf:\d+: DoorApp a: instances= stands there more than once; what counts is instances=3/,
    'an option twice');
warned("DoorApp a $hello env=A=1 env=B=2 env=A=3", qr/env=A= stands there more than once/, '... a variable');
warned(qq{DoorApp a $hello env=A="x"}, qr/env=A="x": the quotes are a part of the value/, 'quotes in a value');
SKIP: {
    my ($hard) = `prlimit --pid $$ --nofile --output HARD --noheadings` =~ /(\d+)/;
    skip 'no limit of its own', 1 if !$hard || $> == 0;
    warned("DoorApp a $hello RLimitNOFILE=10:" . ($hard + 1),
        qr/RLimitNOFILE=: the hard limit is higher than httpd's own, $hard,/, "a limit above httpd's");
}

# ---- the command

warned(qq{DoorApp a "$hello instances=2"}, qr/'instances=2' stands inside the command's quotes/,
    'an option inside the quotes');
warned(qq{DoorApp a "$hello $_"}, qr/DoorApp a: '\Q$_\E' is an argument of the program: there is no shell/, "'$_'")
    for '>log', '>>log', '2>&1', '|', '&', '<';
write_file(plain => 'x', 0644);
mkdir "$dir/bin/folder" or die $!;
symlink "$dir/bin/nothing", "$dir/bin/dangling" or die $!;
warned("DoorApp a $dir/bin/nothing", qr{cannot run '\Q$dir\E/bin/nothing': it does not exist}, 'no program');
warned('DoorApp a bin/nothing', qr{cannot run '\Q$dir\E/bin/nothing' \(bin/nothing, from ServerRoot on\): it does},
    '... where it was looked for');
warned('DoorApp a nothing', qr{cannot run '\Q$dir\E/nothing' \(nothing, from ServerRoot on; PATH is not searched\)},
    '... a bare name');
warned("DoorApp a $dir/bin/dangling", qr/it is a symbolic link to what does not exist/, 'a dangling link');
warned("DoorApp a $dir/bin/folder", qr/it is a directory/, 'a directory');
warned("DoorApp a $dir/bin/plain", qr{it is not executable: chmod \+x \Q$dir\E/bin/plain}, 'no x');
warned("DoorApp a /dev/null", qr/it is no regular file/, 'a device');
warned("DoorApp a $hello directory=/nowhere", qr{directory=/nowhere does not exist}, 'no directory');
warned("DoorApp a $hello directory=$hello", qr{directory=\Q$hello\E is no directory}, 'a file as one');

# ---- what runs it

sub script { my ($name, $first) = @_; return write_file($name, "$first\nexec $hello\n") }
my %script = (missing => '#!/bin/nothing', windows => "#!/bin/sh\r", option => "#!/bin/sh -e\r", none => 'exec x',
    bare => '#!', env => '#!/usr/bin/env nothing');
script($_ => $script{$_}) for keys %script;
warned("DoorApp a $dir/bin/missing", qr{its interpreter '/bin/nothing': it does not exist}, 'no interpreter');
warned("DoorApp a $dir/bin/windows", qr{cannot run .*: its first line ends with CR LF.*'/bin/sh' with a CR at its end is the interpreter: dos2unix},
    'CR LF behind the interpreter');
warned("DoorApp a $dir/bin/option", qr{will hardly run: its first line ends with CR LF}, '... behind its option');
warned("DoorApp a $dir/bin/none", qr{will hardly run: .*does not begin with #!}, 'no #!');
warned("DoorApp a $dir/bin/bare", qr{will hardly run: its first line names no interpreter}, 'nothing behind it');
warned("DoorApp a $dir/bin/env", qr{is run by 'nothing', which is nowhere in its PATH /usr/local/bin:},
    "env's program");
for my $first ('#!' . ' ' x 247 . '/bin/sh', '#!' . ' ' x 300 . '/bin/sh', '#!/bin' . '/.' x 150 . '/sh -e') {
    script(lengthy => $first);
    warned("DoorApp a $dir/bin/lengthy", qr{will hardly run: its first line is longer than the 255 bytes},
        'a first line of ' . length($first) . ' bytes');
}
script(lengthy => '#!' . ' ' x 246 . '/bin/sh');
$httpd->configure("DoorApp a $dir/bin/lengthy");
is $httpd->check, "Syntax OK\n", '... 255 are not too many';
script(lengthy => '#!/bin/sh ' . ' ' x 300 . '-e');
$httpd->configure("DoorApp a $dir/bin/lengthy");
is $httpd->check, "Syntax OK\n", '... nor more behind the interpreter';
write_file(empty => '');
warned("DoorApp a $dir/bin/empty", qr{will hardly run}, 'an empty file');

# ---- names

refused("DoorApp a $hello\n\nDoorApp a $hello",
    qr{there is an application 'a' already, at \Q$dir\E/httpd\.conf:\d+}, 'a name twice: where the other one is');
refused("DoorApp shop $hello\n<Location /s>\nDoorHandler shpo\n</Location>",
    qr/DoorHandler shpo: there is no DoorApp of that name; did you mean shop\?/, 'DoorHandler: nearly a name');
warned("DoorApp shop $hello\nDoorAllow shop shpo",
    qr/httpd\.conf:\d+: DoorAllow shpo: there is no DoorApp of that name; did you mean shop\?/, 'DoorAllow: no name');
refused("<Location /x>\nDoorHandler /a\nDoorMaxConcurrent 2\n</Location>\n<Location /y>\nDoorHandler /a\n"
    . "DoorMaxConcurrent 3\n</Location>", qr{DoorMaxConcurrent has another value elsewhere.*httpd\.conf:\d+$}m,
    'two limits: where the other one is');

# ---- when it runs

my $user = getpwuid $>;
$httpd->install(hello => 'later');
write_file(late => "#!/bin/sh\nexec $dir/bin/later\n");
write_file(failing => "#!/bin/sh\nexit 3\n");
mkdir "$dir/closed" or die $!;
chmod 0, "$dir/closed" or die $!;
$httpd->configure(join "\n", (map { "DoorApp $_ $dir/bin/$_ backoff-min=200ms backoff-max=400ms" } qw(none late failing)),
    "DoorApp closed $hello directory=$dir/closed", 'DoorAllow nowhere');
ok $httpd->start, 'httpd starts';
my $ended = qr/DOOR0403: none\[\d+\]: ended before it was up:/;
ok $httpd->logs(qr{$ended running \Q$dir\E/bin/none as user $user failed: Exec format error; it is no binary, and has no line that begins with #!}),
    'a program without #!: program, user and reason';
ok $httpd->logs(qr/DOOR0403: failing\[\d+\]: ended before it was up: exit code 3$/m), 'an exit code';
ok $httpd->logs(qr/DOOR0403: failing\[\d+\]: ended before it was up: failed 4 times \(exit code 3\), next try in 0\.4 s$/m),
    '... one line says how often, why, and when the next try is';
SKIP: {
    skip 'root may enter', 1 if $> == 0;
    ok $httpd->logs(qr{closed\[\d+\]: .*entering directory=\Q$dir\E/closed as user $user failed: Permission denied}),
        'a directory that it may not enter';
}
ok $httpd->wait_for(sub { $httpd->apps('later') }), 'a script runs';
my $mark = $httpd->mark;
write_file(late => "#!$dir/bin/gone\n");
kill 'KILL', $httpd->apps('later');
ok $httpd->logs(qr{late\[\d+\]: .*running \Q$dir\E/bin/late \(interpreter \Q$dir\E/bin/gone\) as user $user failed: No such file or directory; its interpreter is not there}, $mark),
    '... until its interpreter has gone: which that is';
chmod 0755, "$dir/closed";
ok $httpd->stop, 'httpd stops';
my @lines = grep { /\[door:(?:warn|error|crit|emerg)\]/ } split /\n/, $httpd->log_text;
cmp_ok scalar @lines, '>', 10, 'there are lines that matter';
is_deeply [grep { !/\]: DOOR\d{4}: |\] DOOR\d{4}: / } @lines], [], '... each has a tag';

done_testing;
