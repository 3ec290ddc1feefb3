# SPDX-License-Identifier: Apache-2.0
#
# What a restart of httpd may meet: many applications renamed, a supervisor that
# does not listen, another log, another runtime directory, no mod_door any more.

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

# ---- more names than the board has room for, while the old ones have not ended

$httpd->install(hello => 'kept');
# A program that each of them runs has its name for a moment: this one runs few.
$httpd->script(stubborn => "trap '' TERM\nwhile :; do sleep 60; done");
sub many {
    my ($letter, $stop_timeout) = @_;
    return join '', map { qq{DoorApp $letter$_ "$dir/bin/stubborn $letter$_" stop-timeout=$stop_timeout\n} } 1 .. 70;
}
# The first ones end when all that has been seen for which they are there.
$httpd->configure(app(kept => "$dir/bin/kept") . many('a', '100s'));
ok $httpd->start, 'httpd starts with 70 applications';
is $httpd->status('/kept'), 200, '... and one that answers';
ok $httpd->wait_for(sub { $httpd->processes(qr{/bin/stubborn a\d+ $}) == 70 }, 60), '... all run';
my $kept = pid_of('kept');
$httpd->configure(app(kept => "$dir/bin/kept") . many('b', '5s') . app(new => "$dir/bin/hello"));
ok $httpd->graceful, 'httpd restarts, and all have other names';
cmp_ok scalar(my @old = $httpd->processes(qr{/bin/stubborn a\d+ $})), '>', 60, '... while the old ones run';
is $httpd->status('/static.txt'), 200, '... httpd serves';
ok $httpd->wait_for(sub { $httpd->status('/new') == 200 }), '... and so does a new one';
is pid_of('kept'), $kept, '... the one that stays, stays';
ok $httpd->wait_for(sub { $httpd->processes(qr{/bin/stubborn b\d+ $}) == 70 }, 60), '... the new ones run';
ok $httpd->wait_for(sub { !kill 'KILL', $httpd->processes(qr{/bin/stubborn a\d+ $}) }), '... and the old ones end';
$httpd->configure(app(kept => "$dir/bin/kept"));
ok $httpd->graceful, 'httpd restarts, and they go';
ok $httpd->wait_for(sub { !$httpd->processes(qr{/bin/stubborn}) }, 60), '... all of them';
is $httpd->status('/kept'), 200, '... but one';

# ---- the supervisor does not listen

# Definitions that no socket's buffer holds.
sub large {
    my ($value) = @_;
    return join '', map { app("large$_" => "$dir/bin/large$_",
        join ' ', "env=VALUE=$value", map { "env=V$_=" . 'x' x 5000 } 1 .. 20) } 1 .. 4;
}
$httpd->install(hello => "large$_") for 1 .. 4;
$httpd->configure(large(1));
ok $httpd->graceful, 'httpd restarts with large definitions';
is $httpd->status("/large$_"), 200, "... large$_ answers" for 1 .. 4;
my $supervisor = $httpd->supervisor;
my @pids = map { pid_of("large$_") } 1 .. 4;
kill 'STOP', $supervisor;
my $began = time;
ok $httpd->graceful, 'the supervisor is stopped: httpd restarts';
is $httpd->status('/static.txt'), 200, '... serves files';
is $httpd->status("/large$_"), 200, "... and large$_" for 1 .. 4;
cmp_ok time - $began, '<', 10, '... soon';
$httpd->configure(large(2) . app(kept => "$dir/bin/kept"));
ok $httpd->graceful, '... and again, with other definitions';
kill 'CONT', $supervisor;
is $httpd->status('/kept'), 200, 'it goes on: a new application answers';
ok $httpd->wait_for(sub { my %now = map { $_ => 1 } map { $httpd->apps("large$_") } 1 .. 4;
    keys %now == 4 && !grep { $now{$_} } @pids }, 60), '... the others are replaced';
is $httpd->status("/large$_"), 200, "... large$_ answers" for 1 .. 4;
@pids = map { pid_of("large$_") } 1 .. 4;
ok $httpd->graceful, '... httpd restarts';
sleep 0.5;
is_deeply [map { pid_of("large$_") } 1 .. 4], \@pids, '... and nobody is stopped';
is $httpd->supervisor, $supervisor, '... it is the same supervisor';
ok $httpd->stop, 'httpd stops';

# ---- another LogLevel, another ErrorLog

$httpd->script(says => qq{echo "<6>for information"\necho "<4>a warning"\nexec $dir/bin/hello});
sub says {
    my ($log, $level) = @_;
    $httpd->configure("ErrorLog logs/$log\nLogLevel $level\n" . app(says => "$dir/bin/says", 'reload=always'));
}
sub text { open my $file, '<', "$dir/logs/$_[0]" or return ''; local $/; <$file> // '' }

says('error_log', 'warn');
ok $httpd->start, 'LogLevel warn: httpd starts';
is $httpd->status('/says'), 200, '... the application answers';
ok $httpd->logs(qr/says\[\d+\]: a warning/), '... its warnings are logged';
unlike $httpd->log_text, qr/for information/, '... alone';
my $mark = $httpd->mark;
# The process that has come in the place of that one, which has ended.
sub next_of {
    my ($old) = @_;
    my $pid;
    $httpd->wait_for(sub { ($pid, my @more) = $httpd->apps('hello'); $pid && !@more && $pid != $old }) or die;
    return $pid;
}
my ($pid) = $httpd->apps('hello') or die;
says('error_log', 'info');
ok $httpd->graceful, 'httpd restarts with LogLevel info';
ok $httpd->logs(qr/\[door:info\].*says\[\d+\]: for information/, $mark), '... which holds for them as well';
$pid = next_of($pid);
says('error_log', 'notice door:error');
ok $httpd->graceful, 'httpd restarts with LogLevel door:error';
$pid = next_of($pid);
$mark = $httpd->mark;
kill 'KILL', $pid;
ok $httpd->logs(qr/\[door:error\].*says\[$pid\]: ended: signal 9/, $mark), '... errors are logged';
ok $httpd->wait_for(sub { $httpd->status('/says') == 200 }), '... the next one is up';
unlike $httpd->since($mark), qr/a warning/, '... its warnings are not';
says('other_log', 'info');
kill 'USR1', $httpd->pid;
ok $httpd->wait_for(sub { text('other_log') =~ /resuming normal operations/ }), 'httpd restarts with another ErrorLog';
ok $httpd->wait_for(sub { text('other_log') =~ /says\[\d+\]: for information/ }), '... lines go there';
ok $httpd->stop, 'httpd stops';

# ---- httpd goes on without mod_door, and with it again

sub without_door {
    local $httpd->{modules} = $httpd->{modules} =~ s{^\s*LoadModule door_module.*\n}{}mr;
    $httpd->configure('');
}

$httpd->configure(app(kitchen => "$dir/bin/kitchen") . app(hello => "$dir/bin/hello"));
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_"), 200, "... $_ answers" for qw(kitchen/env hello);
$supervisor = $httpd->supervisor;
like do { open my $file, '<', "/proc/$supervisor/cmdline"; <$file> },
    qr/^mod_door supervisor: doors in \Q$dir\E/, '... ps tells which process is the supervisor';
without_door();
ok $httpd->graceful, 'httpd restarts without mod_door';
is $httpd->status('/static.txt'), 200, '... and serves';
ok $httpd->wait_for(sub { !$httpd->apps('(?:kitchen|hello)') }, 120), '... the applications end';
ok $httpd->wait_for(sub { !kill 0, $supervisor }), '... and so does their supervisor';
is_deeply [glob "$dir/run/mod_door.*"], [], '... and its directory';
$httpd->configure(app(kitchen => "$dir/bin/kitchen") . app(hello => "$dir/bin/hello"));
ok $httpd->graceful, 'httpd restarts with mod_door';
is $httpd->status("/$_"), 200, "... $_ answers" for qw(kitchen/env hello);

# ---- a stop

$supervisor = $httpd->supervisor;
ok $supervisor, 'there is a supervisor';
kill 'STOP', $supervisor if $supervisor;
$began = time;
ok $httpd->stop, 'one that does not listen: httpd stops';
cmp_ok time - $began, '<', 30, '... and does not wait as long as for applications';
ok $httpd->wait_for(sub { !$httpd->processes(qr/./) }), '... nothing is left';

done_testing;
