#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# What make demo runs: it serves, it stops everything that it started, and it
# says what is wrong when it cannot.  Works on a copy of its own, so that a demo
# that somebody looks at is left alone.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Path ();
use File::Temp ();
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use OwnHttpd ();
use Waiting qw(wait_for);

my $build = abs_path($ENV{BUILD} // 'build');
my $greeting = "Well, hello to you too!\n";

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

# A build folder with what the demo needs of the real one.
sub make_build {
    my ($mode) = @_;
    my $dir = File::Temp->newdir("$build/demo.XXXXXX");
    symlink "$build/$_", "$dir/$_"
        for 'mod_door.so', 'examples', 'gateways', map { "lib$_.so.1" } qw(door door_app);
    chmod $mode, "$dir";
    return $dir;
}

# A test that breaks off must not leave a demo behind.
my $main = $$;
my @demos;

END {
    local $?;
    if ($$ == $main) {
        kill 'TERM', @demos;
        waitpid $_, 0 for @demos;
    }
}

sub start_demo {
    my ($dir, $port) = @_;
    unlink "$dir/output"; # an earlier demo's says that it is up
    my $pid = fork // die "fork: $!";
    if ($pid) {
        push @demos, $pid;
        return $pid;
    }
    $SIG{INT} = 'DEFAULT'; # what runs in the background may have it ignored
    open STDIN,  '<', '/dev/null'  or die;
    open STDOUT, '>', "$dir/output" or die;
    open STDERR, '>&', \*STDOUT    or die;
    exec 'bash', 'scripts/demo.sh', "$dir", $port or POSIX::_exit(127);
}

# The exit status, or undef if it does not end.
sub ended {
    my ($pid) = @_;
    my $status;
    wait_for(sub { waitpid($pid, WNOHANG) == $pid and defined($status = $?) });
    @demos = grep { $_ != $pid } @demos if defined $status;
    return $status;
}

# Where a demo has its doors: in its folder, or in a copy if httpd's user cannot reach that.
sub run_dir {
    my ($dir) = @_;
    return slurp("$dir/demo/conf/httpd.conf") =~ m{^DocumentRoot "(.*)/htdocs"}m ? $1 : "$dir/demo";
}

# Processes that name the folder, or its copy, in their arguments.
sub processes {
    my ($dir) = @_;
    my $names = join '|', map { quotemeta } $dir, run_dir($dir);
    return grep { slurp("/proc/$_/cmdline") =~ /$names/ } map { m{(\d+)$} } glob '/proc/[0-9]*';
}

sub get {
    my ($port, $path) = @_;
    return scalar `curl -s --max-time 60 http://127.0.0.1:$port$path`;
}

sub is_up {
    my ($dir) = @_;
    return 1 if wait_for(sub { slurp("$dir/output") =~ /Ctrl-C/ });
    diag map { "$_:\n" . slurp($_) } "$dir/output", glob "$dir/demo/logs/*";
    return 0;
}

# ---- one demo, from start to end

my ($dir, $port) = (make_build(0755), OwnHttpd::free_port());
mkdir "$dir/demo";
mkdir "$dir/demo/logs";
open my $stale, '>', "$dir/demo/logs/httpd.pid" or die;
print $stale "$$\n";
close $stale or die;

my $demo = start_demo($dir, $port);
ok is_up($dir), 'it starts, beside a stale pid file';
like slurp("$dir/output"), qr{curl http://127\.0\.0\.1:$port/hello\n}, '... and says what to try';
is get($port, '/hello'), $greeting, '/hello';
is get($port, '/raw'), $greeting, '/raw';
like get($port, '/kitchen/env'), qr{^SCRIPT_NAME=/kitchen$}m, '/kitchen/env';
like slurp("$dir/output"), qr{^ *http://127\.0\.0\.1:$port/ }m, '... the page of all that there is first';
my $index = get($port, '/');
my @links = $index =~ /(?:href|src)="([^"]+)"/g;
cmp_ok scalar(@links), '>', 12, 'that page has links';
for my $link (map { s/&amp;/&/gr =~ s/events=10/events=1/r } @links) {
    chomp(my $code = `curl -sL -o /dev/null -w '%{http_code}' --max-time 60 'http://127.0.0.1:$port$link'`);
    is $code, $link =~ /code=(\d+)/ ? $1 : 200, "... $link";
}
my ($conf) = slurp("$dir/demo/conf/httpd.conf");
ok $conf !~ m{^<Location $_\b}m || $index =~ m{href="$_/?"}, "... it leads to $_ if that is there"
    for qw(/guestbook /door-status /status /python /hello /raw);
SKIP: {
    skip 'no php-cgi', 2 unless grep { -x "$_/php-cgi" } split /:/, $ENV{PATH};
    like $index, qr{href="/php/"}, '... and to PHP';
    like `curl -s --max-time 60 -d name=Ann%26Bo http://127.0.0.1:$port/php/`, qr{Hello, Ann&amp;Bo!}, 'PHP answers';
}
like get($port, $_), qr{href="/"}, "$_ leads back" for '/guestbook/', '/guestbook/connections';
like `curl -sI http://127.0.0.1:$port/favicon.ico`, qr{^Content-Type: image/svg\+xml}m, 'a picture for the tab';
my $pid = slurp("$dir/demo/logs/httpd.pid") + 0;
ok $pid != $$ && kill(0, $pid), 'the pid file is where it should be';
like slurp("/proc/$pid/cmdline"), qr/FOREGROUND/, "... and names the demo's httpd";

like get($port, '/door-status?format=json'), qr{"name":"guestbook","kind":"application","state":"up"}, 'the status page';

# ---- the guest book

like get($port, '/guestbook/'), qr{<form class="new"}, 'the guest book';
is scalar(`curl -s -o /dev/null -w '%{http_code}' -d name=Ann -d message=remembered http://127.0.0.1:$port/guestbook/`),
    303, '... is signed';

# ---- others at the same time

my $other = make_build(0755);
is ended(start_demo($other, $port)) >> 8, 1, 'the port is in use: it fails';
like slurp("$other/output"), qr/port $port is in use/, '... with the reason';
is_deeply [processes($other)], [], '... and leaves nothing running';
is ended(start_demo($dir, OwnHttpd::free_port())) >> 8, 1, 'the same folder twice: it fails';
my $second_port = OwnHttpd::free_port();
my $second = start_demo($other, $second_port);
ok is_up($other), 'another folder and port: it starts';
is get($second_port, '/hello'), $greeting, '... and serves';
kill 'INT', $second;
is ended($second), 0, '... and ends on Ctrl-C';
is_deeply [processes($other)], [], '... leaving nothing';
is get($port, '/hello'), $greeting, 'the first does not mind';

# ---- another address

my $elsewhere = OwnHttpd::free_port();
$second = do { local $ENV{ADDRESS} = '127.0.0.2'; start_demo($other, $elsewhere) };
ok is_up($other), 'ADDRESS: it starts';
is scalar(`curl -s --max-time 60 http://127.0.0.2:$elsewhere/hello`), $greeting, '... and serves there';
is get($elsewhere, '/hello'), '', '... and nowhere else';
kill 'TERM', $second;
is ended($second), 0, '... and ends';

# ---- an application dies

my ($hello) = grep { slurp("/proc/$_/cmdline") =~ m{examples/hello\0} } processes($dir);
kill 'KILL', $hello;
ok wait_for(sub { get($port, '/hello') eq $greeting }), 'an application dies, and is started again';
ok wait_for(sub { slurp("$dir/demo/logs/error_log") =~ /hello\[$hello\]: ended: signal 9/ }),
    '... the log tells';
is get($port, '/raw'), $greeting, '... the others serve';
ok wait_for(sub { get($port, '/status?auto') =~ /^DoorApp\.hello\.Crashes: 1$/m }),
    '... and the status page';

kill 'TERM', $demo;
is ended($demo), 0, 'it ends on SIGTERM';
is_deeply [processes($dir)], [], '... and nothing is left running';
is get($port, '/hello'), '', '... nor listening';

# ---- the demo is killed

$port = OwnHttpd::free_port();
$demo = start_demo($dir, $port);
ok is_up($dir), 'the same folder again';
SKIP: {
    skip "the data went with the copy that httpd's user can reach", 1 if run_dir($dir) ne "$dir/demo";
    like get($port, '/guestbook/'), qr{remembered}, '... the guest book has kept what was written';
}
kill 'KILL', $demo;
ended($demo);
SKIP: {
    skip 'no setpriv: nothing tells them', 1 unless -x '/usr/bin/setpriv';
    ok wait_for(sub { !processes($dir) }), 'killed with -9: all the others end by themselves';
}
File::Path::remove_tree(run_dir($dir));

# ---- httpd's user cannot reach the folder

SKIP: {
    skip 'only for root: the folder is ours', 3 if $> != 0;
    my $private = make_build(0700);
    $port = OwnHttpd::free_port();
    $demo = start_demo($private, $port);
    ok is_up($private), 'a folder that only root can enter';
    is get($port, '/hello'), $greeting, '... is no obstacle';
    my $copy = run_dir($private);
    kill 'TERM', $demo;
    ended($demo);
    ok $copy ne "$private/demo" && !-e $copy, '... and the copy is removed';
}

done_testing;
