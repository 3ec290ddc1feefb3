# SPDX-License-Identifier: Apache-2.0
#
# Settings that no other test needs: every limit of a launched application, and the
# server's DoorBusyTimeout.  And httpd's scheduling, which is left alone.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

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

# The scheduling policies (sched(7); 0 is the default) of all threads of these processes.
sub policies {
    my %seen;
    for my $stat (map { glob "/proc/$_/task/*/stat" } @_) {
        open my $file, '<', $stat or next;
        $seen{(split ' ', (<$file> // '') =~ s/.*\) //r)[38] // next} = 1;
    }
    return join ' ', sort keys %seen;
}

$httpd->configure("DoorBusyTimeout 1s\n$apps");
like $httpd->check, qr/Syntax OK/, 'httpd takes the configuration';
ok $httpd->start, 'httpd starts';
is $httpd->status('/static.txt'), 200, 'a file is answered';
is $httpd->status("/$_"), 200, "$_ answers" for qw(limited hung/env patient/env);
is policies($httpd->children, $httpd->pid, $httpd->supervisor, $httpd->apps('hung')), 0,
    'who calls a door, and who answers, is scheduled as it was';

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
ok $httpd->logs(qr/hung\[$hung\]: no call has ended for \d+\.\d s while \d+ wait/, $mark),
    'DoorBusyTimeout: an application that hangs is noticed';
ok $httpd->wait_for(sub { my ($now) = $httpd->apps('hung'); $now && $now != $hung }), '... and replaced';
is_deeply [$httpd->apps('patient')], [$patient], '... but not one without that timeout';
unlike $httpd->since($mark), qr/patient\[\d+\]: no call has ended/, '... of which nothing is said';
kill 'CONT', $patient;
$httpd->end_load($_) for @loads;
is $httpd->status('/patient/env'), 200, '... and which goes on';
ok $httpd->stop, 'httpd stops';

done_testing;
