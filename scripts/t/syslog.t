#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# ErrorLog syslog: what launched applications print, and what mod_door says of
# them, reaches syslog.  httpd runs in a mount namespace whose /dev is the test's:
# there /dev/log is a socket of the test, and the system's syslog sees nothing.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use IO::Socket::UNIX ();
use Socket qw(SOCK_DGRAM);
use Test::More;

use lib 't/lib';
use OwnHttpd;

if ($> != 0 || system('unshare -m true 2>/dev/null') != 0) {
    diag 'SKIPPED: ErrorLog syslog is only tested where root can make a mount namespace';
    plan skip_all => 'needs root and mount namespaces';
}

my $build = abs_path($ENV{BUILD} // 'build');
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core mime status`;
$modules .= "LoadModule door_module \"$build/mod_door.so\"\n";

my $root = File::Temp->newdir('/tmp/mod_door-syslog.XXXXXX');
chmod 0755, $root;

# Fills the test's /dev, puts it where /dev is, and becomes the command.
my $enter = "$root/enter";
open my $file, '>', $enter or die;
print $file <<'SCRIPT';
#!/bin/sh
set -e
dev=$1
shift
for node in null zero random urandom; do
    : >"$dev/$node"
    mount --bind "/dev/$node" "$dev/$node"
done
mkdir -p "$dev/shm"
mount --bind /dev/shm "$dev/shm"
mount --rbind "$dev" /dev
exec "$@"
SCRIPT
close $file;
chmod 0755, $enter;

mkdir "$root/dev" or die;
my $syslog = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$root/dev/log") or die "log: $!";
chmod 0666, "$root/dev/log";

my $httpd = OwnHttpd->new(program => $program, modules => $modules, build => $build,
    below => "$root", prologue => "User www-data\nGroup www-data\n", log => 'syslog:local3',
    under => ['unshare', '-m', $enter, "$root/dev"], has_children => 1);
my $dir = $httpd->dir;
$httpd->script(says => <<"SCRIPT");
echo "to stdout"
echo "<3>an error" >&2
exec $dir/bin/kitchen
SCRIPT
$httpd->configure("LogLevel notice\nDoorApp says $dir/bin/says\n<Location /says>\nDoorHandler says\n</Location>\n");

# What has come since the last forget(), and all of it.
my ($lines, $all) = ('', '');
sub receive {
    while (defined $syslog->recv(my $line, 65_536, Socket::MSG_DONTWAIT())) {
        $lines .= "$line\n";
        $all .= "$line\n";
    }
    return $lines;
}

# From here on only what comes later is heard.
sub forget {
    receive;
    $lines = '';
}

sub hears {
    my ($what) = @_;
    return $httpd->wait_for(sub { receive =~ $what });
}

# Lines whose program is not called so.
sub others_than {
    my ($ident) = @_;
    receive;
    return [grep { !/^<\d+>\w{3} [ \d]\d [\d:]{8} \Q$ident\E\[\d+\]: / } split /\n/, $all];
}

# However often it has ended so: it may be the second time.
my $killed = qr/^<155>.*says\[\d+\]: ended: (?:signal 9|failed \d+ times \(signal 9)/m;
my $ident = $program =~ s{.*/}{}r;

ok $httpd->start, 'httpd starts, with ErrorLog syslog';
is $httpd->status('/says/env'), 200, '... the application answers';
# <facility * 8 + level>: local3 is 19; a warning is 4, an error 3.
ok hears(qr/^<156>.*\[door:warn\].*says\[\d+\]: to stdout/m), 'what it prints is there';
ok hears(qr/^<155>.*\[door:error\].*says\[\d+\]: an error/m), '... with its level';
kill 'KILL', $httpd->apps('kitchen');
ok hears($killed), '... and how it ended';
ok $httpd->wait_for(sub { $httpd->status('/says/env') == 200 }), '... it is started again';
forget;
kill 'USR1', $httpd->pid;
ok hears(qr/resuming normal operations/), 'httpd restarts';
forget;
kill 'KILL', $httpd->apps('kitchen');
ok hears($killed), '... and the lines still come';
ok hears(qr/^<156>.*says\[\d+\]: to stdout/m), '... of the next process, too';
ok $httpd->stop, 'httpd stops';
is_deeply others_than($ident), [], "... each line is of $ident";

# The log becomes another one while the supervisor runs.
sub log_to {
    my ($log) = @_;
    $httpd->{log} = $log;
    $httpd->configure("LogLevel notice\nDoorApp says $dir/bin/says reload=always\n"
        . "<Location /says>\nDoorHandler says\n</Location>\n");
}
log_to('syslog:local3:nametag');
($lines, $all) = ('', '');
ok $httpd->start, 'httpd starts, with a tag';
ok hears(qr/^<156>.*says\[\d+\]: to stdout/m), '... what the application prints is there';
is_deeply others_than('nametag'), [], '... each line has the tag';
my $mark = $httpd->mark;
log_to('logs/error_log');
kill 'USR1', $httpd->pid;
ok $httpd->logs(qr/says\[\d+\]: to stdout/, $mark), '... then with a file';
forget;
log_to('syslog:local3:nametag');
kill 'USR1', $httpd->pid;
ok hears(qr/^<156>.*nametag\[\d+\]: .*says\[\d+\]: to stdout/m), '... and with syslog again';
ok $httpd->stop, 'httpd stops';

log_to('logs/error_log');
$mark = $httpd->mark;
ok $httpd->start, 'httpd starts, with a file';
is $httpd->status('/says/env'), 200, '... the application answers';
ok $httpd->logs(qr/says\[\d+\]: to stdout/, $mark), '... what it prints is there';
forget;
log_to('syslog:local5:nametag');
kill 'USR1', $httpd->pid;
# local5 is 21.
ok hears(qr/^<172>.*nametag\[\d+\]: .*says\[\d+\]: to stdout/m), 'httpd restarts with syslog: it is there, with its tag';
$mark = $httpd->mark;
log_to('logs/error_log');
kill 'USR1', $httpd->pid;
ok $httpd->logs(qr/says\[\d+\]: to stdout/, $mark), '... and with a file again';
forget;
log_to('syslog:local6');
kill 'USR1', $httpd->pid;
# local6 is 22.
ok hears(qr/^<180>.*\Q$ident\E\[\d+\]: .*says\[\d+\]: to stdout/m), '... and with syslog again, without a tag';
ok $httpd->stop, 'httpd stops';
diag $lines unless Test::More->builder->is_passing;

done_testing;
