# SPDX-License-Identifier: Apache-2.0
#
# The door of a launched application goes away while the application stays: its
# name is removed, its directory is, or the application has been told to end by
# somebody else and still has a call.  The next process is started at once.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Path ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

sub app {
    my ($name, $options) = @_;
    return qq{DoorApp $name "$dir/bin/$name" @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n}
        . ($name eq 'raw' ? "DoorProtocol raw\n" : '') . "</Location>\n";
}

sub pid_of { ($httpd->apps($_[0]))[-1] // 0 }

# True once the application runs as another process.
sub is_next {
    my ($name, $old) = @_;
    return $httpd->wait_for(sub { my $now = pid_of($name); $now && $now != $old });
}

my $apps = app('kitchen') . app('raw') . app('alone', 'overlap=off') . app('hello');
my @names = qw(kitchen/env raw alone/env hello);
$httpd->install(kitchen => 'alone');
$httpd->configure($apps);
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_"), 200, "$_ answers" for @names;
my ($run) = glob "$dir/run/mod_door.*";
my $supervisor = $httpd->supervisor;
$httpd->logs(qr/ $_\[\d+\]: is up/) or die for qw(kitchen raw alone hello);
sleep 1.1; # they have been up for more than a moment

# ---- somebody else tells it to end

for my $name (qw(kitchen alone)) {
    my $old = pid_of($name) or die;
    my $mark = $httpd->mark;
    my $slow = $httpd->hold("/$name/duplex");
    kill 'TERM', $old;
    if ($name eq 'kitchen') {
        is $httpd->status("/$name/env"), 200, "$name gets SIGTERM with a call running: a request is answered";
        ok is_next($name, $old), '... by the next process';
        ok scalar(grep { $_ == $old } $httpd->apps($name)), '... while the old one runs';
        ok $httpd->logs(qr/$name\[$old\]: its door is gone/, $mark), '... the log tells';
    }
    ok $httpd->release($slow), '... the call comes to its end';
    is $httpd->status("/$name/env"), 200, '... requests are answered';
    ok $httpd->wait_for(sub { !grep { $_ == $old } $httpd->apps($name) }), '... the old process ends';
    unlike $httpd->since($mark), qr/$name\[$old\]: .*(?:gave up|killed)/, '... in peace';
}

# ---- a name is removed

for my $name (qw(kitchen raw hello)) {
    my $old = pid_of($name) or die;
    my ($door) = glob "$run/$name.*/door";
    unlink $door or die;
    ok is_next($name, $old), "the name of $name is removed: there is another process";
    ok $httpd->wait_for(sub { !grep { $_ == $old } $httpd->apps($name) }), '... and no old one';
    my ($page) = grep { m{^$name\b} } @names;
    is $httpd->status("/$page"), 200, '... it answers';
    ok $httpd->graceful, '... httpd restarts';
    is $httpd->status("/$page"), 200, '... it answers new children';
}

# ---- an application's directory is removed, and all of them

# All of it at once: the supervisor, which looks meanwhile, would make new things there.
sub remove {
    my ($what) = @_;
    rename $what, "$dir/removed" or die $!;
    File::Path::remove_tree("$dir/removed");
}

my $old = pid_of('kitchen');
my $slow = $httpd->hold('/kitchen/duplex');
remove($_) for glob "$run/kitchen.*";
ok is_next(kitchen => $old), 'the directory of kitchen is removed: there is another process';
ok $httpd->release($slow), '... what ran comes to its end';
is $httpd->status('/kitchen/env'), 200, '... it answers';

for my $what ($run, "$dir/run") {
    my %old = map { $_ => pid_of($_) } qw(kitchen raw alone hello);
    my $mark = $httpd->mark;
    rename "$dir/run/httpd.pid", "$dir/httpd.pid";
    remove($what);
    ok $httpd->logs(qr/\Q$run\E: it is gone, doors are in/, $mark), "$what is removed: there is another";
    ok is_next($_, $old{$_}), "... another process of $_" for sort keys %old;
    is $httpd->status("/$_"), 200, "... $_ answers" for @names;
    mkdir "$dir/run";
    rename "$dir/httpd.pid", "$dir/run/httpd.pid";
    ok $httpd->graceful, '... httpd restarts';
    is $httpd->status("/$_"), 200, "... $_ answers new children" for @names;
    ($run) = glob "$dir/run/mod_door.*";
}
is $httpd->supervisor, $supervisor, '... it is the same supervisor';

# ---- httpd gets another directory

my $other = "$dir/other";
mkdir $other or die;
my %old = map { $_ => pid_of($_) } qw(kitchen hello);
$slow = $httpd->hold('/kitchen/duplex');
$httpd->configure("DoorRuntimeDir $other\n$apps");
my $load = $httpd->load('/hello', 2, 50);
$httpd->goes_on($load, 10);
ok $httpd->graceful, 'DoorRuntimeDir changes';
ok is_next($_, $old{$_}), "... there is another process of $_" for sort keys %old;
ok $httpd->wait_for(sub { 4 == (my @doors = glob "$other/mod_door.*/*/door") }), '... doors are there';
is $httpd->status("/$_"), 200, "... $_ answers" for @names;
ok $httpd->release($slow), '... what ran comes to its end';
$httpd->goes_on($load, 10);
is_deeply [keys %{$httpd->end_load($load)}], [200], '... no request has failed';
ok $httpd->wait_for(sub { !glob "$dir/run/mod_door.*" }), '... the old directory is removed';
ok $httpd->stop, 'httpd stops';
is_deeply [$httpd->processes(qr/./)], [], '... nothing is left';
is_deeply [glob "$other/*"], [], '... nor its directory';

done_testing;
