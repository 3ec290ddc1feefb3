#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Launched applications of an httpd that root starts: whom they run as, who can
# reach their doors, and a minute of restarts and replacements under load.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use OwnHttpd;

if ($> != 0) {
    diag 'SKIPPED: applications launched by root are only tested as root';
    plan skip_all => 'needs root';
}

my $build = abs_path($ENV{BUILD} // 'build');
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core mime status`;
$modules .= "LoadModule door_module \"$build/mod_door.so\"\n";

# Where every user can get to.
my $root = File::Temp->newdir('/tmp/mod_door-root.XXXXXX');
chmod 0755, $root;
my ($web, $other) = ('www-data', 'nobody');
my $httpd = OwnHttpd->new(program => $program, modules => $modules, build => $build,
    below => "$root", prologue => "User $web\nGroup $web\n");
my $dir = $httpd->dir;

sub app {
    my ($name, $command, $options) = @_;
    return qq{DoorApp $name "$command" @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n}
        . "</Location>\n";
}

sub refused {
    my ($text, $complaint, $what) = @_;
    $httpd->configure($text);
    my $said = $httpd->check;
    ok $? != 0 && $said =~ $complaint, "httpd -t: $what" or diag $said;
}

sub warned {
    my ($text, $complaint, $what) = @_;
    $httpd->configure($text);
    my $said = $httpd->check;
    ok $? == 0 && $said =~ $complaint, "httpd -t warns: $what" or diag $said;
}

sub pid_of { ($httpd->apps($_[0]))[0] // 0 }

# Field of /proc/PID/status.
sub proc {
    my ($pid, $field) = @_;
    open my $file, '<', "/proc/$pid/status" or return '';
    my ($value) = grep { /^$field:/ } <$file>;
    my (undef, @words) = split ' ', $value // '';
    return join ' ', @words;
}

# What a program's exit status is, run as that user.
sub as {
    my ($user, $code) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        my ($uid, $gid) = (getpwnam $user)[2, 3];
        $) = "$gid $gid";
        $( = $gid;
        POSIX::setuid($uid);
        POSIX::_exit($code->() ? 0 : 1);
    }
    waitpid $pid, 0;
    return $? == 0;
}

# ---- what httpd -t finds

my $hello = $httpd->install('hello');
warned(app(a => "$dir/bin/missing"), qr/httpd\.conf:\d+: DoorApp a: cannot run .*missing/,
    'a missing program');
warned(app(a => "$dir/httpd.conf"), qr/cannot run/, 'a file that is no program');
warned(app(a => $hello, 'user=nobody-of-that-name'),
    qr/httpd\.conf:\d+: DoorApp a: there is no user 'nobody-of-that-name'/, 'an unknown user');
warned(app(a => $hello, 'group=none-of-that-name'), qr/there is no group/, 'an unknown group');
warned(app(a => $hello, 'directory=/nowhere'), qr/directory=\/nowhere does not exist/, 'a missing directory');
# What a user may not reach, which root sees.
mkdir "$dir/shut" or die $!;
system 'cp', $hello, "$dir/shut/hello";
chmod 0700, "$dir/shut" or die $!;
my $script = $httpd->script('unread', "exec $hello");
chmod 0711, $script or die $!;
symlink "$dir/shut/hello", "$dir/bin/linked" or die $!;
my $shut = qr{'\Q$dir\E/shut' \(mode 0700, owner root, group root\)};
warned(app(a => "$dir/shut/hello", "user=$other"),
    qr{DoorApp a: its user $other may not run '\Q$dir\E/shut/hello', by the mode of $shut}, 'a directory above its program');
warned(app(a => "$dir/bin/linked", "user=$other"), qr{may not run '\Q$dir\E/bin/linked', by the mode of $shut},
    '... behind a symbolic link');
warned(app(a => "$dir/shut/hello"), qr{its user $web may not run .* by the mode of $shut}, "... of httpd's user");
warned(app(a => $script, "user=$other"), qr{may not run '\Q$script\E', by the mode of '\Q$script\E' \(mode 0711},
    'a script that it may not read');
warned(app(a => $hello, "user=$other directory=$dir/shut"), qr{may not enter '\Q$dir\E/shut', by the mode of $shut},
    'its working directory');
$httpd->configure(app(a => "$dir/shut/hello", 'user=root') . app(b => $script, 'user=root') . app(c => $hello, "user=$other"));
is $httpd->check, "Syntax OK\n", '... root may all of that';
chown 0, (getpwnam $other)[3], "$dir/shut" or die $!;
chmod 0710, "$dir/shut" or die $!;
$httpd->configure(app(a => "$dir/shut/hello", "user=$other"));
is $httpd->check, "Syntax OK\n", '... and one whose group is let through';
refused(app(a => $hello) . qq{DoorApp a "$hello"}, qr{there is an application 'a' already, at \S+/httpd\.conf:\d+},
    'two applications of one name');
refused(app('a b' => $hello), qr/./, 'a name with a space');
refused("DoorApp a/b $hello", qr/is no name/, 'a name with a slash');
refused("<Location /x>\nDoorHandler nowhere\n</Location>",
    qr/httpd\.conf:\d+: DoorHandler nowhere: there is no DoorApp of that name/,
    'a DoorHandler without its DoorApp');
refused("DoorApp a $hello $$_[0]", $$_[1], $$_[0]) for (
    ['nonsense=1', qr/is no option/],            ['nonsense', qr/must be key=value/],
    ['instances=0', qr/must be 1 to/],           ['instances=65', qr/must be 1 to/],
    ['start-timeout=soon', qr/must be a time/],  ['umask=999', qr/octal/],
    ['env=NOVALUE', qr/NAME=value/],             ['env=DOOR_PATH=/x', qr/cannot set/],
    ['RLimitNOFILE=many', qr/numbers or 'max'/],
    ['RLimitNOFILE=2:1', qr/higher/],            ['watch=maybe', qr/'on' or 'off'/],
    ['reload=never', qr/changed/],               ['backoff-min=10 backoff-max=1', qr/backoff-max/],
    ['max-requests=-1', qr/must be a whole number/],
);
refused("<VirtualHost *>\nDoorApp a $hello\n</VirtualHost>", qr/DoorApp/, 'in a virtual host');

# ---- whom they run as

$httpd->install(kitchen => $_) for qw(default named rooted grouped borrowing);
$httpd->install(hello => 'crowded');
my $apps = app(default => "$dir/bin/default") . app(named => "$dir/bin/named", "user=$other")
    . app(rooted => "$dir/bin/rooted", 'user=root group=root')
    . app(grouped => "$dir/bin/grouped", "user=$other group=daemon")
    . app(borrowing => "$dir/bin/borrowing", "user=$other");
# As if the process table were full: that user may have no process more.
my $crowded = app(crowded => "$dir/bin/crowded", 'user=games RLimitNPROC=0');
my $nobody = app(nobodys => "$dir/bin/default", 'user=nobody-of-that-name');
$httpd->configure($apps . $crowded . $nobody);
like $httpd->check, qr/Syntax OK/, 'the configuration is right';
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_/env"), 200, "$_ answers" for qw(default named rooted grouped);

my ($web_uid, $web_gid) = (getpwnam $web)[2, 3];
my ($other_uid, $other_gid) = (getpwnam $other)[2, 3];
my $daemon = getgrnam 'daemon';
is proc(pid_of($$_[0]), 'Uid'), join(' ', ($$_[1]) x 4), "$$_[0]: its user" for
    [default => $web_uid], [named => $other_uid], [rooted => 0], [grouped => $other_uid];
is proc(pid_of($$_[0]), 'Gid'), join(' ', ($$_[1]) x 4), "$$_[0]: its group" for
    [default => $web_gid], [named => $other_gid], [rooted => 0], [grouped => $daemon];
is proc(pid_of('named'), 'Groups'), $other_gid, 'named: its groups';
is proc(pid_of('named'), 'CapEff'), '0000000000000000', '... no capability';
is $httpd->status('/crowded'), 503, 'no process to be had: 503';
ok $httpd->logs(qr/crowded\[\d+\]: .*Resource temporarily unavailable/),
    '... the log tells';
is $httpd->status('/default/env'), 200, '... others serve';
is $httpd->status('/nobodys/env'), 503, 'no such user: 503';
ok $httpd->logs(qr/DoorApp nobodys: there is no user .*; it is not started, and tried again/),
    '... the log tells';

# ---- who reaches their doors

my ($run) = glob "$dir/run/mod_door.*";
is sprintf('%04o %d', (stat $run)[2] & 07777, (stat _)[4]), '0711 0', "the directory is root's";
my ($named) = glob "$run/named.*";
is sprintf('%04o %d %d', (stat $named)[2] & 07777, (stat _)[4, 5]), "2710 $other_uid $web_gid",
    "... an application's is its user's, for httpd's group";
is sprintf('%04o %d %d', (stat "$named/door")[2] & 07777, (stat _)[4, 5]),
    "0660 $other_uid $web_gid", '... and so is its door';
my ($default) = glob "$run/default.*";
ok !as($other => sub { stat "$default/door" }), "one user cannot reach another's door";
ok !as(games => sub { stat "$named/door" }), '... nor can a stranger';
ok as($web => sub { stat "$named/door" }), '... but httpd can';
ok !as($other => sub { mkdir "$run/evil.1" }), 'nobody can add to the directory';
ok !as($web => sub { unlink "$named/door" }), "... nor httpd's children take a door away";

# doorctl: root, and httpd's user.
system 'cp', "$build/doorctl", "$root/doorctl";
is sprintf('%04o %d', (stat "$run/control")[2] & 07777, (stat _)[4]), "0600 $web_uid",
    "the supervisor's door is httpd's user's";
my @doorctl = ("$root/doorctl", '-d', "$dir/run");
like `@doorctl list named`, qr/^named: up/, 'doorctl: root may';
ok as($web => sub { system("@doorctl list named >/dev/null 2>&1") == 0 }), "... httpd's user may";
ok as($other => sub { `@doorctl list named 2>&1` =~ /permission denied: root and httpd's user/ }),
    "... nobody else, be it an application's own user";
chmod 0666, "$run/control" or die $!;
ok as($other => sub { `@doorctl restart named 2>&1` =~ /permission denied: root and httpd's user/ }),
    '... whatever the mode of its name is';
chmod 0600, "$run/control" or die $!;

# Not even by a hard link: who serves an application is its user.
{
    my ($borrowing) = glob "$run/borrowing.*/door";
    my $mark = $httpd->mark;
    unlink $borrowing or die $!;
    link "$default/door", $borrowing or die $!;
    is $httpd->status('/borrowing/env'), 503, "another user's door at an application's place: 503";
    ok $httpd->logs(qr/application borrowing: not called: another user has attached/, $mark),
        '... the log says why';
}

# An application may do what it likes in its own directory: root does not follow it.
{
    my $precious = "$root/precious";
    mkdir $precious or die;
    open my $file, '>', "$precious/door" or die;
    close $file;
    my $pid = pid_of('named');
    ok as($other => sub {
        unlink("$named/door") && symlink("$precious/door", "$named/door")
            && symlink($precious, "$named/link") && mkdir "$named/deep";
    }), 'an application lays links in its directory';
    kill 'KILL', $pid;
    ok $httpd->wait_for(sub { !-e $named }), '... which is removed all the same';
    ok -e "$precious/door", '... and nothing else is';
    is sprintf('%o', (stat $precious)[2] & 07777), '755', '... nor changed';
    ok $httpd->wait_for(sub { $httpd->status('/named/env') == 200 }), '... the next one serves';
}
ok $httpd->stop, 'httpd stops';

# A path that no socket's address can hold.
{
    my $deep = "$dir/" . join '/', ('a' x 60) x 3;
    system 'mkdir', '-p', $deep;
    $httpd->configure("DoorRuntimeDir $deep\n" . app(default => "$dir/bin/default"));
    ok $httpd->start, 'a runtime directory with a long path';
    is $httpd->status('/default/env'), 200, '... works';
    ok $httpd->stop, '... and ends';
    is_deeply [glob "$deep/*"], [], '... with nothing left';
}

# ---- a minute under load

my $seconds = $ENV{QUICK} ? 10 : 60;
$httpd->install(hello => 'busy');
$httpd->configure(app(busy => "$dir/bin/busy", "user=$other max-requests=400")
    . app(default => "$dir/bin/default"));
ok $httpd->start, 'httpd starts';
my $load = $httpd->load('/busy', 8, 1000);
my $control = $httpd->load('/static.txt', 1, 100);
my $end = time + $seconds;
my ($graceful, $replaced) = (0, 0);
for my $i (1 .. 10) {
    sleep $seconds / 22;
    $graceful++ if $httpd->graceful;
    sleep $seconds / 22;
    next if $i % 2;
    $httpd->install(hello => 'busy');
    $replaced++ if $httpd->graceful;
}
sleep $end - time if $end > time;
my $statuses = $httpd->end_load($load);
my $files = $httpd->end_load($control);
is_deeply [keys %$statuses], [200], 'a minute of restarts: no request has failed'
    or diag explain($statuses), grep { /door:(?:error|warn)/ } $httpd->log_text =~ /.*\n/g;
my $recyclings = () = $httpd->log_text =~ /busy\[\d+\]: is replaced: it has had max-requests/g;
diag "$statuses->{200} requests, $graceful restarts, $replaced new programs, $recyclings recyclings";
is_deeply [keys %$files], [200], '... nor one for a file' or diag explain $files;
cmp_ok $statuses->{200}, '>=', 20 * $seconds, '... requests were under way';
is "$graceful $replaced", '10 5', '... and all restarts were made';
cmp_ok $recyclings, '>=', int($statuses->{200} / 4000), '... and recyclings';
ok $httpd->wait_for(sub { $httpd->apps('busy') == 1 }), '... one process is left';
ok $httpd->stop, 'httpd stops';
is_deeply [$httpd->processes(qr/./)], [], '... no process is left';
is_deeply [glob "$dir/run/*"], [], '... nor a directory';


# ---- two PID namespaces share one directory for doors

SKIP: {
    my @namespace = qw(unshare --fork --pid --kill-child --mount-proc);
    skip 'needs PID namespaces', 1 if system("@namespace true 2>/dev/null") != 0;
    my $shared = "$root/shared";
    mkdir $shared or die;
    # The same number in both, as httpd's parent is 1 and forks its supervisor first.
    my @pair = map { OwnHttpd->new(program => $program, modules => $modules, build => $build,
        below => "$root", prologue => "User $web\nGroup $web\nDoorRuntimeDir $shared\n",
        under => [@namespace], has_children => 1) } 1, 2;
    for my $one (@pair) {
        $one->install(hello => 'default');
        $one->configure(app(default => $one->dir('bin/default')));
        ok $one->start, 'httpd starts in a PID namespace of its own';
        is $one->status('/default'), 200, '... and serves';
    }
    my @dirs = sort glob "$shared/mod_door.*";
    is @dirs, 2, '... each with a directory' or diag "@dirs";
    is $dirs[1], "$dirs[0].1", '... though their supervisors have the same pid';
    is $_->status('/default'), 200, '... both serve' for @pair;
    $_->stop('KILL') for @pair; # unshare(1) does not listen to anything else
}

# ---- the number of a process that its supervisor has left is another's

SKIP: {
    my $last_pid = '/proc/sys/kernel/ns_last_pid';
    skip 'needs ns_last_pid', 1 if !-w $last_pid;
    $httpd->configure(app(default => "$dir/bin/default", 'stop-timeout=1s'));
    ok $httpd->start, 'httpd starts';
    is $httpd->status('/default'), 200, '... an application answers';
    my $old = pid_of('default') or die;
    my $start = OwnHttpd::stat_of($old, 22);
    my $supervisor = $httpd->supervisor or die;
    kill 'STOP', $httpd->pid; # no other supervisor yet
    kill 'KILL', $supervisor;
    ok $httpd->wait_for(sub { (OwnHttpd::stat_of($old, 22) // 'none') ne $start }), '... the supervisor is killed, the application ends';
    my ($impostor, @others) = (0);
    for (1 .. 200) {
        open my $file, '>', $last_pid or last;
        syswrite $file, $old - 1;
        close $file;
        my $pid = fork // die;
        if ($pid == 0) {
            POSIX::setsid();
            exec 'sleep', '600' or POSIX::_exit(127);
        }
        push @others, $pid;
        $impostor = $pid, last if $pid == $old;
    }
    kill 'CONT', $httpd->pid;
    my $mark = $httpd->mark;
    ok $httpd->wait_for(sub { $httpd->status('/default') == 200 }), '... the next supervisor starts another';
    sleep 4; # it would have been killed by now
  SKIP: {
        skip "no process got the number $old", 1 if !$impostor;
        is waitpid($impostor, POSIX::WNOHANG), 0, '... a process that has its number now lives';
    }
    kill 'KILL', @others;
    waitpid $_, 0 for @others;
    ok $httpd->stop, 'httpd stops';
}

done_testing;
