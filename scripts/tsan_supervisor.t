#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The supervisor under ThreadSanitizer: many doorctl at once, while applications die, httpd
# restarts, the configuration changes and somebody removes the door's name.  No race is
# reported of the supervisor; httpd and its libraries are not built so, and do not count.
# TSAN_BUILD has the module, TSAN_RUNTIME is what httpd loads before all others.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use OwnHttpd;

my $seconds = 20;
my $build = abs_path($ENV{BUILD} // 'build');
my $analysed = abs_path($ENV{TSAN_BUILD} // "$build/tsan");
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core mime`;
$modules .= "LoadModule door_module \"$analysed/mod_door.so\"\n";
my $root = File::Temp->newdir('/tmp/mod_door-tsan.XXXXXX');
chmod 0755, $root;
mkdir "$root/reports" or die $!;
chmod 0777, "$root/reports" or die $!; # httpd's children are somebody else
$ENV{TSAN_OPTIONS} = join ' ', $ENV{TSAN_OPTIONS} // '', "log_path=$root/reports/report";
my $httpd = OwnHttpd->new(program => $program, modules => $modules, build => $build,
    below => "$root", prologue => $> == 0 ? "User nobody\nGroup nogroup\n" : '',
    under => ['env', "LD_PRELOAD=$ENV{TSAN_RUNTIME}"], has_children => 1);
my $dir = $httpd->dir;
my @names = qw(shop several alone broken);
$httpd->install(kitchen => $_) for qw(shop several alone);
$httpd->script(broken => 'exit 3');

sub app {
    my ($name, $options) = @_;
    return "DoorApp $name $dir/bin/$name stop-timeout=2s $options\n<Location /$name>\nDoorHandler $name\n</Location>\n";
}

sub configuration {
    my ($instances, $has_alone) = @_;
    return app(shop => '') . app(several => "instances=$instances") . app(broken => 'backoff-min=1s backoff-max=1s')
        . ($has_alone ? app(alone => 'overlap=off') : '');
}

sub doorctl {
    my $command = join ' ', map { "'$_'" } "$build/doorctl", '-d', "$dir/run", @_;
    return scalar `timeout 20 $command 2>&1`;
}

my @helpers;
sub meanwhile {
    my ($work) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        srand $$;
        my $end = time + $seconds;
        $work->() while time < $end;
        POSIX::_exit(0);
    }
    push @helpers, $pid;
    return;
}

$httpd->configure(configuration(3, 1));
ok $httpd->start, 'httpd starts' or diag $httpd->log_text;
ok $httpd->wait_for(sub { doorctl('list') =~ /^shop: up/m }, 60), 'doorctl is answered';
my $supervisor = $httpd->supervisor;
open my $maps, '<', "/proc/$supervisor/maps" or die $!;
ok scalar(grep { /\Q$ENV{TSAN_RUNTIME}\E/ } <$maps>), 'the sanitizer is there';

for (1 .. 4) {
    meanwhile(sub { doorctl('-n', (qw(restart drain start list))[rand 4], $names[rand @names]) });
}
meanwhile(sub { $httpd->get('/' . $names[rand @names] . '/env') });
meanwhile(sub {
    my @pids = map { $httpd->apps($_) } qw(shop several alone);
    kill 'KILL', $pids[rand @pids] if @pids;
    sleep 0.3;
});
my $end = time + $seconds;
for (my $round = 0; time < $end; $round++) {
    $httpd->configure(configuration(1 + $round % 4, $round % 3));
    $httpd->graceful or last;
    unlink glob "$dir/run/mod_door.*/control" if $round % 4 == 0;
    sleep 0.5;
}
waitpid $_, 0 for @helpers;

$httpd->configure(configuration(3, 1));
ok $httpd->graceful, 'httpd restarts';
my @all = qw(shop several alone);
ok $httpd->wait_for(sub {
    doorctl('-n', 'start', $_) for @all; # whatever has been drained, once it is defined again
    !grep { $httpd->status("/$_/env") != 200 } @all;
}, 60), 'in the end all serve' or diag doorctl('list');
is $httpd->supervisor, $supervisor, '... with the same supervisor';
ok $httpd->stop, 'httpd stops';
my $report = "$root/reports/report.$supervisor";
ok !-e $report, 'no race' or diag scalar `head -c 20000 '$report'`;

done_testing;
