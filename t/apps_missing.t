# SPDX-License-Identifier: Apache-2.0
#
# What an application needs is not there: httpd says so, starts, stops and
# restarts all the same, and has the application when it is there.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

sub app {
    my ($name, $command, $options) = @_;
    return qq{DoorApp $name "$command" @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n}
        . "</Location>\n";
}

sub script {
    my ($name, $interpreter) = @_;
    my $to = $httpd->script($name, "exec $dir/bin/hello");
    open my $file, '>', $to or die $!;
    print $file "#! $interpreter -e\nexec $dir/bin/hello\n";
    close $file or die $!;
}

sub pid_of { ($httpd->apps($_[0]))[0] // 0 }

$httpd->install(kitchen => 'good');
script(script => "$dir/bin/sh");
$httpd->configure(app(good => "$dir/bin/good", 'reload=always') . app(program => "$dir/bin/program")
    . app(script => "$dir/bin/script") . app(elsewhere => "$dir/bin/hello", "directory=$dir/elsewhere"));

my $check = $httpd->check;
is $?, 0, 'httpd -t takes a configuration whose programs are missing';
like $check, qr{httpd\.conf:\d+: DoorApp program: cannot run '\Q$dir\E/bin/program': it does not exist},
    '... and says so';
like $check, qr{DoorApp script: cannot run '\Q$dir\E/bin/script': its interpreter '\Q$dir\E/bin/sh': it does not exist},
    '... a missing interpreter, too';
like $check, qr{DoorApp elsewhere: directory=\Q$dir\E/elsewhere does not exist}, '... a directory';
unlike $check, qr/DoorApp good/, '... not of what is there';

ok $httpd->start, 'httpd starts';
ok $httpd->logs(qr/httpd\.conf:\d+: DoorApp program: cannot run .*; it is not started, and tried again/),
    '... the log has it';
is $httpd->status('/good/env'), 200, '... other applications answer';
is $httpd->status('/static.txt'), 200, '... and files';
my $began = time;
is $httpd->status("/$_"), 503, "$_: 503" for qw(program script elsewhere);
cmp_ok time - $began, '<', 10, '... at once';

my $good = pid_of('good');
$httpd->install(hello => 'program');
ok $httpd->wait_for(sub { $httpd->status('/program') == 200 }, 100), 'a program that is there now answers';
ok $httpd->logs(qr/door: program: what it needs is there now/), '... the log has it';
symlink '/bin/sh', "$dir/bin/sh" or die $!;
mkdir "$dir/elsewhere" or die $!;
ok $httpd->wait_for(sub { $httpd->status('/script') == 200 }, 100), '... one whose interpreter is';
ok $httpd->wait_for(sub { $httpd->status('/elsewhere') == 200 }, 100), '... or its directory';
is pid_of('good'), $good, '... nothing else is replaced for that';

my $program = pid_of('program');
unlink "$dir/bin/program" or die $!;
my $mark = $httpd->mark;
ok $httpd->graceful, 'httpd restarts, a program has gone';
ok $httpd->logs(qr/DoorApp program: cannot run .*; it stays as it was, and is tried again/, $mark),
    '... the log has it';
is pid_of('program'), $program, '... the application goes on';
$httpd->install(hello => 'program');
ok $httpd->wait_for(sub { my $now = pid_of('program'); $now && $now != $program }, 100),
    '... and is replaced when it is there';
is $httpd->status('/program'), 200, '... the new one answers';

unlink "$dir/bin/program" or die $!;
my @stop = ($httpd->command, '-k', 'stop');
is system("@stop 2>&1"), 0, 'httpd -k stop, a program has gone';
ok $httpd->ended(60), '... stops it';

done_testing;
