# SPDX-License-Identifier: Apache-2.0
#
# What launched applications print reaches the error log wherever that is, and
# a log that blocks, blocks nobody.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

# An application that prints what is written to a named pipe.
sub start {
    my ($httpd) = @_;
    my $dir = $httpd->dir;
    system 'mkfifo', "$dir/say" unless -p "$dir/say";
    $httpd->script(says => "cat <>$dir/say &\nexec $dir/bin/kitchen");
    $httpd->configure(qq{DoorApp says $dir/bin/says\n<Location /says>\nDoorHandler says\n</Location>});
    return $httpd->start && $httpd->status('/says/env') == 200;
}

sub say_to {
    my ($httpd, $text) = @_;
    open my $pipe, '+<', $httpd->dir('say') or die $!;
    syswrite $pipe, $text;
    close $pipe;
}

# ---- a file, rotated

my $httpd = own_httpd();
my $dir = $httpd->dir;
ok start($httpd), 'the log is a file';
say_to($httpd, "before\n");
ok $httpd->logs(qr/says\[\d+\]: before$/m), '... lines reach it';
rename "$dir/logs/error_log", "$dir/logs/error_log.1" or die $!;
say_to($httpd, "between\n");
my $rotated = sub { open my $file, '<', "$dir/logs/error_log.1"; local $/; <$file> };
ok $httpd->wait_for(sub { $rotated->() =~ /: between$/m }), '... also when it is renamed';
ok $httpd->graceful, '... after a restart';
say_to($httpd, "after\n");
ok $httpd->logs(qr/says\[\d+\]: after$/m), '... the new one';
unlike $rotated->(), qr/: after$/m, '... alone';
ok $httpd->stop, 'httpd stops';

# ---- the access log

$httpd = own_httpd();
$dir = $httpd->dir;
$httpd->configure(<<"CONF");
DoorApp kitchen $dir/bin/kitchen
LogFormat "%U %{door-dish}n %{door-eater}n %>s" fields
CustomLog logs/access_log fields
<Location /kitchen>
    DoorHandler kitchen
</Location>
CONF
ok $httpd->start, 'a LogFormat with fields of the application';
my @answers = map { [$httpd->get("/kitchen/$_")] } 'logged?dish=soup', 'logged?dish=stew&eater=Ann',
    'logged', 'logged?dish=' . 'x' x 1025;
is $_->[0], 200, '... answers' for @answers;
unlike join('', map { "$_->[1]$_->[2]" } @answers), qr/soup|stew|Ann|door-/, '... no client gets them';
like $answers[3][1], qr/^dish: Invalid argument/, '... one that is too long is refused';
my $accesses = sub { open my $file, '<', "$dir/logs/access_log"; local $/; <$file> // '' };
ok $httpd->wait_for(sub { () = $accesses->() =~ /\n/g >= 4 }), '... the log is written';
is $accesses->(), "/kitchen/logged soup - 200\n/kitchen/logged stew Ann 200\n"
    . "/kitchen/logged - - 200\n/kitchen/logged - - 200\n", '... with them';
ok $httpd->stop, 'httpd stops';

# ---- a program

$httpd = own_httpd(log => '"|/bin/sh bin/logger"');
$dir = $httpd->dir;
$httpd->script(logger => "exec cat >>$dir/logs/error_log");
ok start($httpd), 'the log is a program';
say_to($httpd, "before\n");
ok $httpd->logs(qr/says\[\d+\]: before$/m), '... lines reach it';
kill 'USR1', $httpd->pid;
sleep 1;
say_to($httpd, "after\n");
ok $httpd->logs(qr/says\[\d+\]: after$/m), '... also after a restart';
ok $httpd->stop, 'httpd stops';

# ---- one that does not read

$httpd = own_httpd(log => '"|/bin/sleep 600"');
$dir = $httpd->dir;
ok start($httpd), 'the log is a program that does not read';
my $line = ('x' x 1000) . "\n";
say_to($httpd, $line x 50) for 1 .. 40;
is $httpd->status('/says/env'), 200, '... the application answers, whatever it prints';
my ($old) = $httpd->apps('kitchen');
kill 'KILL', $old;
ok $httpd->wait_for(sub { my ($new) = $httpd->apps('kitchen');
    $new && $new != $old && $httpd->status('/says/env') == 200 }), '... and is started again';
kill 'KILL', $httpd->processes(qr/sleep 600/);
my $began = time;
ok $httpd->stop, 'httpd stops';
cmp_ok time - $began, '<', 30, '... in time';
kill 'KILL', $httpd->processes(qr/./);

done_testing;
