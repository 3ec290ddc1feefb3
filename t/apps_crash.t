# SPDX-License-Identifier: Apache-2.0
#
# Launched applications, their supervisor and httpd's parent are killed, hang,
# and do not want to end: each has its outcome, and nothing is left behind.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

sub app {
    my ($name, $command, $options) = @_;
    return qq{DoorApp $name "$command" @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n}
        . "</Location>\n";
}

sub pid_of { ($httpd->apps($_[0]))[0] // 0 }

sub serves { ($httpd->get("/$_[0]"))[0] == 200 }

$httpd->install(kitchen => $_) for qw(hung pair);
$httpd->install(hello => 'bystander');
# Do not listen to SIGTERM, nor does what they have started; one has a large environment.
$httpd->script($_ => "trap '' TERM\n$dir/bin/hello &\nwhile :; do sleep 1; done")
    for qw(stubborn laden);
$httpd->configure(app(kitchen => "$dir/bin/kitchen") . app(pair => "$dir/bin/pair", 'instances=2')
    . app(bystander => "$dir/bin/bystander")
    . app(hung => "$dir/bin/hung", 'busy-timeout=1s stop-timeout=1s')
    . app(stubborn => "$dir/bin/stubborn", 'stop-timeout=1s') . "DoorTimeout 20\n"
    . app(laden => "$dir/bin/laden", join ' ', 'stop-timeout=1s', map { "env=V$_=" . 'x' x 5000 } 1 .. 10));
ok $httpd->start, 'httpd starts';
ok serves($_), "$_ answers" for qw(kitchen/env pair/env bystander hung/env stubborn laden);

# ---- the application is killed

$httpd->logs(qr/kitchen\[\d+\]: is up/) or die;
sleep 1.2; # it has been up for more than a moment
my $load = $httpd->load('/kitchen/sleep?ms=20', 4);
$httpd->goes_on($load, 10) or die;
my $killed = pid_of('kitchen');
my $mark = $httpd->mark;
my $began = time;
kill 'KILL', $killed;
ok $httpd->wait_for(sub { (pid_of('kitchen') || $killed) != $killed && serves('kitchen/env') }),
    'kill -9: the next is served';
cmp_ok time - $began, '<', 10, '... soon';
$httpd->goes_on($load, 20) or die;
my $statuses = $httpd->end_load($load);
cmp_ok $statuses->{200}, '>', 20, 'requests go on';
cmp_ok delete($statuses->{502}) // 0, '<=', 4, '... those that ran have failed';
is_deeply [keys %$statuses], [200], '... and no others' or diag explain $statuses;
ok $httpd->logs(qr/kitchen\[$killed\]: ended: signal 9 \(Killed\)/, $mark), '... the log tells';
is $httpd->status('/kitchen/die?after=0'), 502, 'one that dies of a request';
is $httpd->status('/kitchen/env'), 200, '... is there for the next';

# Of two the other one serves on.
$load = $httpd->load('/pair/env', 2);
$httpd->goes_on($load, 10) or die;
kill 'KILL', pid_of('pair');
$httpd->goes_on($load, 50) or die;
$statuses = $httpd->end_load($load);
delete $statuses->{502};
is_deeply [keys %$statuses], [200], 'one of two instances is killed' or diag explain $statuses;
ok $httpd->wait_for(sub { $httpd->apps('pair') == 2 }), '... and started again';

# ---- it hangs

my $hung = pid_of('hung');
$mark = $httpd->mark;
kill 'STOP', $hung;
$load = $httpd->load('/hung/env', 2);
ok $httpd->logs(qr/hung\[$hung\]: no call has ended for \d+\.\d s while \d+ wait/, $mark),
    'one that hangs is noticed';
ok $httpd->wait_for(sub { (pid_of('hung') || $hung) != $hung && serves('hung/env') }),
    '... and replaced';
ok $httpd->logs(qr/hung\[$hung\]: has not ended in time \(stop-timeout=\), killed/, $mark), '... and killed';
$statuses = $httpd->end_load($load);
cmp_ok $statuses->{502} // 0, '<=', 2, '... those that it had have failed';

# Waiting for nothing, or for a long answer that comes bit by bit, is no hanging.
$hung = pid_of('hung');
like $httpd->body('/hung/stream?lines=12&ms=250'), qr/\b12\n\z/, 'a long stream';
sleep 1.5;
is pid_of('hung'), $hung, '... is no reason';

ok $httpd->wait_for(sub { !$httpd->zombies }), 'those that ended leave no zombies';

# ---- the supervisor is killed

my $supervisor = $httpd->supervisor;
ok $supervisor, 'there is a supervisor';
is OwnHttpd::parent_of(pid_of('bystander')), $supervisor, '... the parent of applications';
$load = $httpd->load('/bystander', 2);
$mark = $httpd->mark;
my @old = map { $httpd->apps($_) } qw(kitchen pair bystander hung);
my ($old_dir) = glob "$dir/run/mod_door.$supervisor";
$httpd->goes_on($load, 10) or die;
my $slow = $httpd->hold('/kitchen/duplex');
kill 'KILL', $supervisor;
ok $httpd->logs(qr/the supervisor has ended \(exit code or signal 9\), another one is started/, $mark),
    'kill -9 of the supervisor: there is another';
ok $httpd->wait_for(sub { serves('bystander') && serves('kitchen/env') }), '... which serves';
ok $httpd->release($slow), '... a call that ran comes to its end';
$statuses = $httpd->end_load($load);
delete $statuses->{502};
is_deeply [keys %$statuses], [200], '... and no request was turned away' or diag explain $statuses;
ok $httpd->wait_for(sub { my %now = map { $_ => 1 } $httpd->processes(qr/./);
    !grep { $now{$_} } @old }), '... the old processes have ended';
ok $httpd->wait_for(sub { !-e $old_dir }), '... and their directory is removed';
for my $name (qw(kitchen bystander hung)) {
    ok $httpd->wait_for(sub { $httpd->apps($name) == 1 }), "... one $name runs";
}
ok $httpd->graceful, '... and httpd restarts';
ok serves('kitchen/env'), '... with it';
ok $httpd->wait_for(sub { !$httpd->zombies }), '... there are no zombies';

# ---- httpd's parent is killed

my @all = $httpd->processes(qr/./);
kill 'KILL', $httpd->pid;
ok $httpd->ended, "kill -9 of httpd's parent";
ok $httpd->wait_for(sub { !$httpd->apps('(?:kitchen|pair|bystander|hung)') }),
    '... ends the applications';
ok $httpd->wait_for(sub { !$httpd->listens }), '... and frees the ports';
ok $httpd->wait_for(sub { my @left = $httpd->processes(qr/./); !@left }), '... nothing is left';
is_deeply [glob "$dir/run/mod_door.*"], [], '... nor its directory';
ok $httpd->start, 'httpd starts again';
ok serves($_), "... $_ answers" for qw(kitchen/env bystander);
ok $httpd->wait_for(sub { $httpd->apps('bystander') == 1 }), '... and runs once';

# ---- both at once

my @apps = map { $httpd->apps($_) } qw(kitchen pair bystander hung);
kill 'KILL', $httpd->supervisor, $httpd->pid;
ok $httpd->ended, "kill -9 of both";
ok $httpd->wait_for(sub { my %now = map { $_ => 1 } $httpd->processes(qr/./);
    !grep { $now{$_} } @apps }), '... ends the applications, too';
ok $httpd->wait_for(sub { !$httpd->listens }), '... and frees the ports';
ok $httpd->start, 'httpd starts again';
ok serves('kitchen/env'), '... and serves';
ok $httpd->wait_for(sub { 1 == (my @dirs = glob "$dir/run/mod_door.*") }),
    '... the old directory is gone';

ok $httpd->wait_for(sub { $httpd->apps($_) == 1 }), "... what did not listen is killed: $_"
    for qw(stubborn laden);

# ---- stop

$began = time;
$mark = $httpd->mark;
ok $httpd->stop, 'httpd stops';
cmp_ok time - $began, '<', 30, '... in time';
ok $httpd->logs(qr/stubborn\[\d+\]: has not ended in time \(stop-timeout=\), killed/, $mark), '... whoever does not end is killed';
$httpd->wait_for(sub { !$httpd->processes(qr/./) });
is_deeply [$httpd->processes(qr/./)], [], '... with all that it had started';
is_deeply [glob "$dir/run/mod_door.*"], [], '... no directory is left';

done_testing;
