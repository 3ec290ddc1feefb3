# SPDX-License-Identifier: Apache-2.0
#
# The process table is full: neither the supervisor nor httpd's parent can fork.
# What runs goes on, what does not is tried again later, and comes when there is room.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use DoorTest;

# The limit on processes holds for whoever is not root, as the suite is not.
plan skip_all => 'needs prlimit, and not to be root' if $> == 0 || !`prlimit --version 2>/dev/null`;

my $httpd = own_httpd();
my $dir = $httpd->dir;
$httpd->install(hello => 'other');
$httpd->configure(<<"CONF");
DoorApp hello $dir/bin/hello backoff-min=200ms backoff-max=400ms
DoorApp other $dir/bin/other
<Location /hello>
    DoorHandler hello
</Location>
<Location /other>
    DoorHandler other
</Location>
CONF
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_"), 200, "$_ answers" for qw(hello other);

# Its user may have so many processes: one, which it is itself, or as many as before.
sub limit {
    my ($pid, $count) = @_;
    return system('prlimit', '--pid', $pid, "--nproc=$count:") == 0;
}

my ($soft) = `prlimit --pid $$ --nproc --output SOFT --noheadings` =~ /(\w+)/;

# ---- the supervisor cannot fork

my $supervisor = $httpd->supervisor;
my $mark = $httpd->mark;
ok limit($supervisor, 1), 'no process more for the supervisor';
kill 'KILL', $httpd->apps('hello');
ok $httpd->logs(qr/hello: cannot be launched: .*Resource temporarily unavailable/, $mark),
    'an application ends: the log tells that there is no other';
ok $httpd->logs(qr/hello: cannot be launched: failed 4 times \(Resource temporarily unavailable; its threads, processes or memory are at their limit.*\), next try in 0\.4 s/, $mark),
    '... it is tried again, later each time';
my ($status, undef, $head) = $httpd->get('/hello');
is $status, 503, '... requests are turned away';
like $head, qr/^Retry-After: \d+\r?$/m, '... and told when to come again';
is $httpd->status('/other'), 200, '... the other application serves';
is $httpd->supervisor, $supervisor, '... and the supervisor is the one that it was';
ok limit($supervisor, $soft), 'there is room again';
ok $httpd->wait_for(sub { $httpd->status('/hello') == 200 }), '... and the application is back';
is scalar(my @hellos = $httpd->apps('hello')), 1, '... once';

# ---- httpd's parent cannot fork

$mark = $httpd->mark;
ok limit($httpd->pid, 1), "no process more for httpd's parent";
kill 'KILL', $supervisor;
ok $httpd->logs(qr/\[door:crit\] .*Resource temporarily unavailable.*cannot start the supervisor, which launches the applications/,
    $mark), 'the supervisor ends: the log tells that there is no other';
ok $httpd->wait_for(sub { !$httpd->apps('(?:hello|other)') }), '... its applications have ended';
is $httpd->status('/static.txt'), 200, '... httpd serves files';
ok limit($httpd->pid, $soft), 'there is room again';
for my $name (qw(hello other)) {
    ok $httpd->wait_for(sub { $httpd->status("/$name") == 200 }, 60), "... and $name is back";
}
isnt $httpd->supervisor, $supervisor, '... by another supervisor';

# ---- nor when httpd restarts

$mark = $httpd->mark;
ok limit($httpd->pid, 1), "again no process more for httpd's parent";
kill 'KILL', $httpd->supervisor || die;
ok $httpd->logs(qr/\[door:crit\] .*cannot start the supervisor, which launches the applications/, $mark), '... nor a supervisor';
$mark = $httpd->mark;
kill 'USR1', $httpd->pid;
ok $httpd->logs(qr/cannot start the supervisor, which launches the applications; it is tried again/, $mark),
    'httpd restarts: the log tells that there is no supervisor';
ok !$httpd->ended(1), '... which does not end it';
ok limit($httpd->pid, $soft), 'there is room again';
for my $path (qw(static.txt hello other)) {
    ok $httpd->wait_for(sub { $httpd->status("/$path") == 200 }, 120), "... and $path is back";
}

ok $httpd->stop, 'httpd stops';
is_deeply [$httpd->processes(qr/./)], [], '... nothing is left';

done_testing;
