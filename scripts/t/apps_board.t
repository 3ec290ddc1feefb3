#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The memory that httpd's children share with root's supervisor: what one of them
# writes there moves neither the supervisor nor httpd's parent.

use strict;
use warnings FATAL => 'all';
no warnings 'portable'; # addresses

use Cwd qw(abs_path);
use File::Temp ();
use JSON::PP qw(decode_json);
use POSIX ();
use Socket ();
use Test::More;
use Time::HiRes qw(sleep);

use lib 't/lib';
use OwnHttpd;

if ($> != 0 || !-r "/proc/$$/maps") {
    diag 'SKIPPED: what a child can do to root is only tested as root, with /proc';
    plan skip_all => 'needs root and /proc';
}

my $build = abs_path($ENV{BUILD} // 'build');
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core mime status`;
$modules .= "LoadModule door_module \"$build/mod_door.so\"\n";

my $root = File::Temp->newdir('/tmp/mod_door-board.XXXXXX');
chmod 0755, $root;
my $httpd = OwnHttpd->new(program => $program, modules => $modules, build => $build,
    below => "$root", prologue => "User www-data\nGroup www-data\n"
        . "<Location /door-status>\nSetHandler door-status\n</Location>\n");
my $dir = $httpd->dir;

sub app {
    my ($name, $options) = @_;
    return qq{DoorApp $name "$dir/bin/$name" @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n}
        . "</Location>\n";
}

sub pid_of { ($httpd->apps($_[0]))[0] // 0 }

sub children { grep { OwnHttpd::parent_of($_) == $httpd->pid && $_ != $httpd->supervisor }
    $httpd->processes(qr/./) }

# The value of a variable that a process was started with.
sub variable {
    my ($pid, $name) = @_;
    open my $file, '<', "/proc/$pid/environ" or return '';
    local $/ = "\0";
    my ($value) = map { /^\Q$name\E=([^\0]*)/ ? $1 : () } <$file>;
    return $value // '';
}

# What $change->() makes of each piece of memory that the child shares and can write, if it
# returns anything.  Through /proc/PID/mem: the child's own right to write.
sub scribble_in {
    my ($pid, $change) = @_;
    my $count = 0;
    open my $maps, '<', "/proc/$pid/maps" or return 0;
    for (<$maps>) {
        # Anonymous shared memory of the size of a board; not the scoreboard or what libdoor has.
        my ($from, $to) = m{^(\w+)-(\w+) rw-s .*/dev/zero \(deleted\)} or next;
        ($from, $to) = (hex $from, hex $to);
        open my $memory, '+<:raw', "/proc/$pid/mem" or next;
        seek $memory, $from, 0;
        my $bytes = '';
        read($memory, $bytes, $to - $from) == $to - $from or next;
        my $new = $change->($bytes) // next;
        seek $memory, $from, 0;
        print $memory $new;
        close $memory and $count++;
    }
    return $count;
}

# The same through any child; one may be about to end.
sub scribble {
    my ($change) = @_;
    my $count = 0;
    $httpd->wait_for(sub {
        ($count = scribble_in($_, $change)) and return 1 for reverse children();
        return 0;
    }, 10);
    return $count;
}

my $is_board = sub { index($_[0], "$dir/run/mod_door.") >= 0 };

$httpd->install(hello => $_) for qw(first second third);
$httpd->configure(app(first => 'user=nobody') . app('second'));
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_"), 200, "$_ answers" for qw(first second);
my $supervisor = $httpd->supervisor;
my ($run) = glob "$dir/run/mod_door.*";

# Whether the status page is what it should be, whatever its figures are.
sub shows_status {
    my ($status, $body) = $httpd->get('/door-status?format=json');
    return $status == 200 && $body !~ /[^\n\x20-\x7e]/ && defined eval { decode_json($body) }
        && $httpd->status('/door-status?format=prometheus') == 200;
}

# ---- where the next process's door is to be

# Another directory where the runtime directory's name stands, and a serial of the child's choice.
my ($bait, $roots) = ("$root/bait", "$root/roots");
mkdir $bait, 0777 or die;
mkdir $roots, 0700 or die;
is scribble(sub {
    my ($bytes) = @_;
    my $at = index $bytes, "$run\0";
    return undef if $at < 0;
    substr $bytes, $at, length($bait) + 1, "$bait\0";
    return $bytes;
}), 1, 'a child writes another runtime directory onto the board';
my $old = pid_of('first');
sleep 1.1; # it has been up for more than a moment
kill 'KILL', $old;
ok $httpd->wait_for(sub { (pid_of('first') || $old) != $old && variable(pid_of('first'), 'DOOR_PATH') }),
    '... the next process of an application is started';
like variable(pid_of('first'), 'DOOR_PATH'), qr{^\Q$run\E/first\.\d+/door$},
    q{... with its door in the supervisor's directory};
is_deeply [glob "$bait/*"], [], q{... and nothing in the child's};
is scribble(sub {
    my ($bytes) = @_;
    my $at = index $bytes, "$bait\0";
    return undef if $at < 0;
    substr $bytes, $at, length($run) + 1, "$run\0";
    return $bytes;
}), 1, 'it is set right';
ok $httpd->wait_for(sub { $httpd->status('/first') == 200 }), '... and the application serves';

# ---- every byte

for my $byte ("\xff", "\x7f", "\0", 'A') {
    my $name = sprintf 'all of the board is 0x%02x', ord $byte;
    my $board = '';
    my $mark = $httpd->mark;
    is scribble(sub {
        my ($bytes) = @_;
        return undef unless $is_board->($bytes);
        $board = $bytes;
        return $byte x length $bytes;
    }), 1, $name;
    ok shows_status(), '... the status page says something';
    for my $app (qw(first second)) {
        my $pid = pid_of($app);
        kill 'KILL', $pid;
        ok $httpd->wait_for(sub { (pid_of($app) || $pid) != $pid }), "... $app is started again";
        like variable(pid_of($app), 'DOOR_PATH'), qr{^\Q$run\E/$app\.\d+/door$}, '... where it belongs';
    }
    is $httpd->supervisor, $supervisor, '... by the same supervisor';
    # httpd's parent looks at the board when there is an application more.
    $httpd->configure(app(first => 'user=nobody') . app('second') . app('third'));
    ok $httpd->graceful, '... httpd restarts with an application more';
    ok $httpd->wait_for(sub { pid_of('third') }), '... which is launched';
    # Only to have the children find the doors again.
    scribble(sub {
        my ($bytes) = @_;
        return undef if $is_board->($bytes) || length $bytes != length $board;
        my $at = index $board, $run;
        substr $bytes, $at, length($run) + 1, "$run\0";
        return $bytes;
    });
    ok $httpd->wait_for(sub { $httpd->status('/third') == 200 }), '... and serves';
    $httpd->configure(app(first => 'user=nobody') . app('second'));
    ok $httpd->graceful, '... and restarts again with one less';
    ok $httpd->wait_for(sub { !pid_of('third') }), '... which ends';
    is $httpd->supervisor, $supervisor, '... the supervisor is still the same';
    unlike $httpd->since($mark), qr/the supervisor has ended|exit signal/, '... nobody has died';
}

# ---- every byte of the figures

# In the middle by its size.
for my $byte ("\xff", "\x7f", "\0", 'A') {
    my $mark = $httpd->mark;
    is scribble(sub { length $_[0] > 5_000_000 && length $_[0] < 10_000_000 ? $byte x length $_[0] : undef }), 1,
        sprintf 'the figures are 0x%02x', ord $byte;
    is $httpd->status('/first'), 200, '... an application serves';
    ok shows_status(), '... the status page says something';
    is $httpd->supervisor, $supervisor, '... the supervisor is the same';
    unlike $httpd->since($mark), qr/the supervisor has ended|exit signal/, '... nobody has died';
}

# ---- every byte of the table of calls

# It is as large as no other one, and sparse: its beginning is what is in use.
for my $byte ("\xff", "\0", 'A') {
    my $name = sprintf 'the table of calls is 0x%02x', ord $byte;
    my $mark = $httpd->mark;
    is scribble(sub { length $_[0] > 10_000_000 ? $byte x 1_000_000 : undef }), 1, $name;
    for my $app (qw(first second)) {
        ok $httpd->wait_for(sub { $httpd->status("/$app") == 200 }), "... $app serves";
        my $pid = pid_of($app);
        $httpd->install(hello => $app); # the old one ends when it has no call any more
        ok $httpd->graceful, '... httpd restarts';
        ok $httpd->wait_for(sub { (pid_of($app) || $pid) != $pid && $httpd->apps($app) == 1 }),
            '... and it is replaced';
    }
    is $httpd->supervisor, $supervisor, '... by the same supervisor';
    unlike $httpd->since($mark), qr/the supervisor has ended|exit signal/, '... nobody has died';
}

# ---- the parent's socket, which other modules' processes inherit

# As one of them has it.
sub inherited {
    my ($pid) = @_;
    my $pidfd = syscall 434, $pid, 0; # pidfd_open(2), pidfd_getfd(2)
    return if $pidfd < 0;
    my @sockets;
    for my $link (glob "/proc/$pid/fd/*") {
        next unless (readlink $link // '') =~ /^socket:/;
        my $fd = syscall 438, $pidfd, $link =~ s{.*/}{}r + 0, 0;
        next if $fd < 0;
        open my $socket, '+<&=', $fd or next;
        my $type = getsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_TYPE();
        push @sockets, $socket if defined $type && unpack('i', $type) == Socket::SOCK_SEQPACKET();
    }
    POSIX::close($pidfd);
    return @sockets;
}

SKIP: {
    my @sockets = inherited($httpd->pid);
    skip 'needs pidfd_getfd', 4 unless @sockets;
    open my $header, '<', 'supervisor/supervisor.h' or die;
    my ($version) = do { local $/; <$header> } =~ /^#define SUPERVISOR_VERSION (\d+)/m;
    my $mark = $httpd->mark;
    my $pid = pid_of('first');
    # Each kind there may be, to stop everything among them.
    for my $kind (1 .. 9) {
        send $_, pack('L4', $version, $kind, 0, 0), 0 for @sockets;
    }
    ok $httpd->logs(qr/a message that is not from httpd's parent is ignored/, $mark),
        'a process that is not httpd\'s parent tells to stop: the log tells';
    sleep 0.5;
    is pid_of('first'), $pid, '... which nobody does';
    is $httpd->supervisor, $supervisor, '... nor the supervisor';
    is $httpd->status('/first'), 200, '... requests are answered';
}

# ---- what is removed at the end

is scribble(sub {
    my ($bytes) = @_;
    my $at = index $bytes, "$run\0";
    return undef if $at < 0;
    substr $bytes, $at, length($roots) + 1, "$roots\0";
    return $bytes;
}), 1, q{a child writes the name of a directory of root's onto the board};
ok $httpd->stop, 'httpd stops';
ok -d $roots, '... which is still there';
ok !-e $run, q{... but the supervisor's is not};

done_testing;
