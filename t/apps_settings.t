# SPDX-License-Identifier: Apache-2.0
#
# Settings that no other test needs: every limit of a launched application, the
# server's DoorBusyTimeout, and DoorBatchScheduling.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

$httpd->install(kitchen => $_) for qw(hung patient);
$httpd->script(limited => "cat /proc/self/limits >$dir/limits\nexec $dir/bin/hello");
# AddressSanitizer needs addresses without end.
my $memory = $ENV{ASAN_OPTIONS} ? 'max' : '1000000000:2000000000';
my $apps = join '', map { "<Location /$_>\nDoorHandler $_\n</Location>\n" } qw(limited hung patient);
$apps .= <<"CONF";
DoorApp limited $dir/bin/limited RLimitCPU=100:200 RLimitMEM=$memory \\
    RLimitNPROC=20000:20001 RLimitNOFILE=200 RLimitCORE=0:max RLimitFSIZE=2000000000000:3000000000000 \\
    RLimitSTACK=4194304:8388608
DoorApp hung $dir/bin/hung stop-timeout=1s
DoorApp patient $dir/bin/patient busy-timeout=0
DoorTimeout 30
CONF

# The scheduling policies (sched(7), 0 other, 3 batch) of these processes' first threads.
sub policies {
    my %seen;
    for my $pid (@_) {
        open my $file, '<', "/proc/$pid/stat" or next;
        $seen{(split ' ', (<$file> // '') =~ s/.*\) //r)[38] // next} = 1;
    }
    return join ' ', sort keys %seen;
}

# Those of httpd's children that have called a door.
sub callers {
    my ($of) = (@_, $httpd);
    return grep { my $pid = $_; grep { (readlink // '') =~ /memfd:door/ } glob "/proc/$pid/fd/*" } children($of);
}

sub children { (@_, $httpd)[0]->children }

# What it prints is its own scheduling policy, in the place of what it reads.
$httpd->script(policy => "cat >/dev/null\nsed 's/.*) //' /proc/self/stat | cut -d ' ' -f 39");
my ($mod_ext_filter) = map { m{LoadModule mime_module "(.*)/} } $httpd->{modules};
$apps .= <<"CONF";
LoadModule ext_filter_module $mod_ext_filter/mod_ext_filter.so
ExtFilterDefine policy mode=output cmd=$dir/bin/policy
<Location /hung/env>
    SetOutputFilter policy
</Location>
CONF

$httpd->configure("DoorBusyTimeout 1s\n$apps");
like $httpd->check, qr/Syntax OK/, 'httpd takes the configuration';
ok $httpd->start, 'httpd starts';
is $httpd->status('/static.txt'), 200, 'a file is answered';
is policies(children()), 0, "httpd's children are scheduled as they were, if no door is called";
is $httpd->body('/hung/env'), "0\n", '... what is started by one that has called a door, too';
is policies(callers()), 3, '... which itself is scheduled as SCHED_BATCH';
my %calls = map { $_ => 1 } callers();
is policies((grep { !$calls{$_} } children()), $httpd->pid, $httpd->supervisor, $httpd->apps('hung')), 0,
    '... as nobody else is';
is $httpd->status("/$_"), 200, "$_ answers" for qw(limited hung/env patient/env);

# ---- limits

open my $file, '<', "$dir/limits" or die $!;
my %limit = map { /^(Max [a-z ]+?)\s{2,}(\S+)\s+(\S+)/ ? ($1 => "$2 $3") : () } <$file>;
close $file;
is $limit{"Max $$_[0]"}, $$_[1], "limit: $$_[0]" for
    ['cpu time', '100 200'], ['address space', $memory eq 'max' ? 'unlimited unlimited' : '1000000000 2000000000'],
    ['processes', '20000 20001'], ['open files', '200 200'],
    ['file size', '2000000000000 3000000000000'], ['stack size', '4194304 8388608'];
like $limit{'Max core file size'}, qr/^0 (?:unlimited|\d+)$/, 'limit: core file size';

# ---- DoorBusyTimeout

my ($hung) = $httpd->apps('hung');
my ($patient) = $httpd->apps('patient');
my $mark = $httpd->mark;
kill 'STOP', $hung, $patient;
my @loads = map { $httpd->load("/$_/env", 1) } qw(hung patient);
ok $httpd->logs(qr/hung\[$hung\]: no call has ended for \d\.\d s while \d+ wait/, $mark),
    'DoorBusyTimeout: an application that hangs is noticed';
ok $httpd->wait_for(sub { my ($now) = $httpd->apps('hung'); $now && $now != $hung }), '... and replaced';
is_deeply [$httpd->apps('patient')], [$patient], '... but not one without that timeout';
unlike $httpd->since($mark), qr/patient\[\d+\]: no call has ended/, '... of which nothing is said';
kill 'CONT', $patient;
$httpd->end_load($_) for @loads;
is $httpd->status('/patient/env'), 200, '... and which goes on';
ok $httpd->stop, 'httpd stops';

# ---- beside a program that only computes

SKIP: {
    # Its listener does the waiting, and only threads that call look.
    skip 'not on event', 3 if mpm() eq 'event';
    skip 'needs two processors and taskset', 3 if (`nproc` // 1) < 2 || system 'taskset -c 1 true';
    my $modest = own_httpd(under => [qw(taskset -c 1 nice -n 19)], has_children => 1);
    $modest->configure("DoorApp app $modest->{dir}/bin/hello\n<Location /app>\nDoorHandler app\n</Location>\n");
    ok $modest->start, 'httpd has one processor, and gets little of it';
    my $hog = fork // die $!;
    if ($hog == 0) {
        my $test = getppid;
        alarm 300;
        exec 'taskset', '-c', 1, $^X, '-e', "1 while getppid == $test" or POSIX::_exit(127);
    }
    my $load = $modest->load('/app', 4);
    my %was_batch; # children; each decides for itself
    ok $modest->wait_for(sub {
        my @callers = callers($modest);
        $was_batch{$_} ||= policies($_) eq '3' for @callers;
        return grep { $was_batch{$_} && policies($_) eq '0' } @callers;
    }, 120), '... as one has to wait for somebody who computes, it has the default policy again';
    kill 'KILL', $hog;
    waitpid $hog, 0;
    $modest->end_load($load);
    ok $modest->stop, '... httpd stops';
}

# ---- the other way

$httpd->configure("DoorBatchScheduling Off\nDoorBusyTimeout 0\n$apps");
ok $httpd->start, 'DoorBatchScheduling Off';
is $httpd->status('/hung/env'), 200, '... an application answers';
is policies(children()), 0, "... httpd's children are scheduled as they were";
ok $httpd->stop, 'httpd stops';

done_testing;
