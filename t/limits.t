# SPDX-License-Identifier: Apache-2.0
#
# Who runs and who waits, where that is limited: threads of a launched application, calls of
# any other door; across httpd's children and its restarts.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select ();
use IO::Socket::INET ();
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

# Each has a request; nobody waits for a child of prefork that is not there yet.
$httpd->{prologue} = "<IfModule mpm_prefork_module>\nStartServers 24\nMinSpareServers 24\n"
    . "MaxSpareServers 64\n</IfModule>\n";
mkdir "$dir/bin/t"; # its libraries are two folders up
$httpd->install('../t/apps/crowd' => 't/crowd');
$httpd->install(kitchen => $_) for qw(five narrow);

sub conf {
    my ($max) = @_;
    return <<"CONF";
DoorApp five $dir/bin/five
<Location /five>
    DoorHandler five
    DoorMaxConcurrent $max
    DoorQueueLength 3
    DoorQueueTimeout 60s
</Location>
DoorApp narrow $dir/bin/narrow threads=1
<Location /narrow>
    DoorHandler narrow
    DoorTimeout 30
</Location>
<Location /door-status>
    SetHandler door-status
</Location>
<Location /crowd>
    DoorHandler $dir/run/crowd
    DoorProtocol raw
    DoorMaxConcurrent 1
    DoorQueueLength 3
    DoorQueueTimeout 60s
</Location>
CONF
}

# A connection with a request, whose answer is not read yet.
sub start {
    my ($path, $body) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30) or die;
    my $length = defined $body ? "Content-Length: @{[length $body]}\r\n" : '';
    print $socket +(defined $body ? 'POST' : 'GET')
        . " $path HTTP/1.0\r\nHost: localhost\r\n$length\r\n" . ($body // '');
    $socket->flush;
    return $socket;
}

sub read_answer {
    my ($socket) = @_;
    local $/;
    my ($head, $body) = split /\r\n\r\n/, <$socket> // '', 2;
    return {head => $head // '', body => $body // '', status => ($head // '') =~ m{^HTTP/1\.\d (\d+)} ? $1 : 0};
}

sub answers { map { read_answer($_) } @_ }

sub statuses { join ' ', map { $_->{status} } @_ }

# So many answers as they come; those connections are taken out of @$sockets.
sub first_answers {
    my ($count, $sockets) = @_;
    my $select = IO::Select->new(@$sockets);
    my @answers;
    while (@answers < $count) {
        my ($socket) = $select->can_read(60) or last;
        push @answers, read_answer($socket);
        $select->remove($socket);
    }
    @$sockets = $select->handles;
    return @answers;
}

# True once so many requests run in the first process of an application, and so many wait.
sub has_come_to {
    my ($name, $running, $waiting) = @_;
    return $httpd->wait_for(sub {
        my ($app) = grep { $_->{name} eq $name } @{decode_json($httpd->body('/door-status?format=json'))->{doors}};
        my $process = $app->{processes}[0];
        return ($process->{running} // -1) == $running && ($process->{waiting} // -1) == $waiting;
    }, 5);
}

sub pid_of { ($httpd->apps($_[0]))[0] // 0 }

# The most server threads that it has had.
sub threads_most { ($httpd->body("/$_[0]/threads") =~ /(\d+)/)[0] // -1 }

sub variable {
    my ($pid, $name) = @_;
    open my $file, '<', "/proc/$pid/environ" or return '';
    local $/ = "\0";
    my ($value) = map { /^\Q$name\E=([^\0]*)/ ? $1 : () } <$file>;
    return $value // '';
}

my $crowd = fork // die $!;
if ($crowd == 0) {
    exec "$dir/bin/t/crowd", "$dir/run/crowd" or POSIX::_exit(127);
}
END { kill 'KILL', $crowd if $crowd }

$httpd->configure(conf(2));
ok $httpd->start, 'httpd starts';
ok $httpd->wait_for(sub { $httpd->status("/$_") == 200 }), "$_ answers" for qw(five/env narrow/env);
ok $httpd->wait_for(sub { (answers(start('/crowd', 0)))[0]{status} == 200 }), 'crowd answers';
is variable(pid_of('five'), 'DOOR_APP_THREADS'), 2, 'a launched application is told its threads';
is variable(pid_of('narrow'), 'DOOR_APP_THREADS'), 1, '... or what DoorApp says';

# ---- one thread, because DoorApp says so

my @narrow = map { start('/narrow/sleep?ms=10000') } 1 .. 2;

# ---- two threads, three in line

my ($took, @sockets, @refused, @answered);
for (1 .. 5) {
    my $began = time;
    @sockets = map { start('/five/sleep?ms=1500') } 1 .. 7;
    @refused = first_answers(2, \@sockets);
    my $is_in_time = time - $began < 1.5;
    @answered = answers(@sockets);
    $took = time - $began;
    last if $is_in_time; # or it may be that not all seven came while the first ones ran
}
is statuses(@refused), '503 503', 'two too many are turned away';
like $refused[0]{head}, qr/^Retry-After: 60\r?$/m, '... and hear when to come again';
is statuses(@answered), '200 200 200 200 200', '... the five are answered';
cmp_ok $took, '>', 4, '... two at a time';
cmp_ok threads_most('five'), '<=', 2, '... by two threads';

# ---- who has gone waits no more

my ($is_full, $is_left) = (0, 0);
for (1 .. 5) {
    my @long = map { start('/five/sleep?ms=3000') } 1 .. 2;
    $is_full = has_come_to(five => 2, 0);
    my @gone = map { start('/five/sleep?ms=3000') } 1 .. 3;
    $is_full &&= has_come_to(five => 2, 3);
    close $_ for @gone;
    $is_left = has_come_to(five => 2, 0);
    @answered = answers(map({ start('/five/sleep?ms=10') } 1 .. 3), @long);
    last if $is_full && $is_left; # or those that run may have ended before
}
ok $is_full, 'two run, three wait';
ok $is_left, '... who has gone waits no more';
is statuses(@answered), '200 200 200 200 200', '... and makes room in the line';

my @first = first_answers(1, \@narrow);
is statuses(@first), 503, 'nothing is said of a limit: who is not taken for long is turned away';
like $first[0]{head}, qr/^Retry-After: 5\r?$/m, '... and hears when to come again';
is statuses(answers(@narrow)), 200, '... the one that runs is answered';

# ---- a limit on calls, of all generations together

@sockets = map { start('/crowd', 2000) } 1 .. 2;
sleep 0.3;
my $load = $httpd->load('/five/sleep?ms=20', 4);
$httpd->goes_on($load, 10) or die;
my $old = pid_of('five');
$httpd->configure(conf(3));
ok $httpd->graceful, 'httpd restarts';
push @sockets, start('/crowd', 100);
is statuses(answers(@sockets)), '200 200 200', '... calls that wait, and others, are answered';
is read_answer(start('/crowd', 'most'))->{body}, "most=1\n", '... one at a time, of both generations';
ok $httpd->wait_for(sub { my @now = $httpd->apps('five'); @now == 1 && $now[0] != $old }),
    'another limit: the application is replaced';
is variable(pid_of('five'), 'DOOR_APP_THREADS'), 3, '... and told';
$httpd->goes_on($load, 20) or die;
my $statuses = $httpd->end_load($load);
is_deeply [keys %$statuses], [200], '... and no request is lost' or diag explain $statuses;

# ---- whoever is killed with a place in his hands

@sockets = map { start('/crowd', 500) } 1 .. 4;
sleep 0.2;
kill 'KILL', grep { OwnHttpd::parent_of($_) == $httpd->pid && $_ != $httpd->supervisor } $httpd->processes(qr/./);
answers(@sockets);
ok $httpd->wait_for(sub { eval { read_answer(start('/crowd', 0))->{status} == 200 } }),
    'httpd\'s children are killed: there is room again';
is statuses(answers(map { start('/crowd', 100) } 1 .. 4)), '200 200 200 200', '... for as many as before';

ok $httpd->stop, 'httpd stops';
done_testing;
