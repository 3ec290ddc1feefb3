# SPDX-License-Identifier: Apache-2.0
#
# The application dies, comes back and is replaced, with httpd never restarted.
# A call that had begun fails with 502 and never runs twice; nothing hangs.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use JSON::PP qw(decode_json);
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);
use DoorTest;

plan tests => 21;

my $httpd = Apache::Test::config()->server->pid;
stop_app('victim');    # a new one has no threads yet
start_app('victim');
wait_for_app('victim');
is GET('/victim/echo')->code, 200, 'it answers';

# ---- killed while it works on a request

my $mark = mark_log();
my @sockets = map {
    my $socket = raw_open();
    raw_send($socket, "GET /victim/sleep?ms=20000 HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    $socket;
} 1 .. 3;
my $inside = sub {
    my ($door) = grep { $_->{name} eq app_path('victim') }
        @{decode_json(GET('/door-status?format=json')->content)->{doors}};
    return ($door->{processes}[0]{running} // 0) == 3;
};
ok wait_for($inside, 15), 'three requests are being worked on';
my $pid = app_pid('victim');
my $start = time;
kill_app('victim');
my %status;
$status{ parse_response(raw_rest($_))->{status} }++ for @sockets;
is_deeply \%status, { 502 => 3 }, 'the application is killed: each gets a 502';
cmp_ok time - $start, '<', 15, '... before it would have answered';
my $door = app_path('victim');
like log_like($mark, qr/\Q$door\E/), qr/\[door:error\].*\b$pid\b/, '... logged with door and pid';
is GET('/victim/echo')->code, 503, 'now there is none';
start_app('victim');
ok wait_for_app('victim'), 'it is started again';
is GET('/victim/echo')->code, 200, '... and the first request is served';

# ---- killed and started, again and again, under load

my $descriptors = child_descriptors();
$mark = mark_log();
my @clients = map {
    my $client = fork // die "fork: $!";
    if (!$client) {
        my %seen;
        my $end = time + 6;
        while (time < $end) {
            my $socket = eval { raw_open() };
            my $answer = $socket && eval {
                raw_send($socket, "POST /victim/echo HTTP/1.1\r\nHost: localhost\r\n"
                    . "Content-Length: 9\r\nConnection: close\r\n\r\nsome body");
                parse_response(raw_rest($socket, 15));
            };
            my $code = $answer ? $answer->{status} : 0;
            $code = 1 if $code == 200 and $answer->{body} ne 'some body';
            $seen{$code}++;
        }
        open my $file, '>', app_path("load.$$") or POSIX::_exit(1);
        print $file map { "$_ $seen{$_}\n" } keys %seen;
        close $file;
        POSIX::_exit(0);
    }
    $client;
} 1 .. 4;
for (1 .. 8) {
    sleep 0.3;
    kill_app('victim');
    sleep 0.1;
    start_app('victim');
    wait_for_app('victim');
}
my %running = map { $_ => 1 } @clients;
my $ended = wait_for(sub {
    waitpid($_, WNOHANG) and delete $running{$_} for keys %running;
    return !%running;
}, 40);
ok $ended, 'killed eight times under load: no client hangs';
kill 'KILL', keys %running;
my %seen;
for my $client (@clients) {
    open my $file, '<', app_path("load.$client") or next;
    while (<$file>) {
        my ($code, $count) = split;
        $seen{$code} += $count;
    }
    unlink app_path("load.$client");
}
cmp_ok $seen{200} // 0, '>', 0, '... some were served';
cmp_ok(($seen{502} // 0) + ($seen{503} // 0), '>', 0, '... some met a dead application');
is_deeply [grep { !/^(?:200|502|503)$/ } keys %seen], [], '... there was nothing else: '
    . join ', ', map { "$_: $seen{$_}" } sort keys %seen;
unlike log_since($mark), qr/exit signal|child pid \d+ exit|\[core:(?:emerg|alert|crit)\]/,
    '... and no child of httpd ended';
is GET('/victim/echo')->code, 200, 'it is served as before';
ok wait_for(sub { child_descriptors() < $descriptors + 40 }), '... and dead doors have been closed';
is(Apache::Test::config()->server->pid, $httpd, 'httpd was never restarted');

# ---- a new process takes the name over while the old one still runs

# The Unix sockets that httpd's children have, their ends of doors among them, and whose each is.
sub unix_sockets {
    open my $file, '<', '/proc/net/unix' or die $!;
    my %is_unix = map { ("socket:[" . ((split)[6] // '') . ']' => 1) } <$file>;
    return map { my $pid = $_; map { ($_ => $pid) } grep { $is_unix{$_} }
        map { readlink // () } glob "/proc/$pid/fd/*" } DoorTest::httpd_children();
}

my %first = unix_sockets();
my $old = app_pid('victim');
unlink app_path('victim');
start_app('victim');
wait_for_app('victim');
is GET('/victim/threads')->code, 200, 'a name that was moved to another process is followed';
kill 'TERM', $old;
is GET('/victim/echo')->code, 200, '... also when the old one ends';

# ---- a name that has changed may be another door's, though its inode number is the same

# Those that are gone, of children that are not: httpd ends one that it has no use for.
sub gone {
    my (%before) = @_;
    my %now = unix_sockets();
    my %lives = map { $_ => 1 } values %now; # one that has ended has none
    return grep { !$now{$_} && $lives{$before{$_}} } keys %before;
}

# Those to the new process, of children that have called it: another child, which has not yet,
# closes what it has of the old process whenever it does.
my %before;
ok wait_for(sub {
    %before = unix_sockets();
    delete @before{keys %first};
    GET('/victim/echo') for 1 .. 30;
    return %before && !gone(%before);
}), 'children have a door of the new process';
my $is_anew = sub {
    return GET('/victim/echo')->code == 200 && gone(%before);
};
ok !wait_for($is_anew, 2), 'while a name stays as it is, its door stays open';
my $mode = (stat app_path('victim'))[2];
chmod $mode & 07777, app_path('victim') or die $!;
ok wait_for($is_anew), '... when it has changed, it is opened anew';
