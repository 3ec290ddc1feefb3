#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# An application hands httpd a file of a file system of its own, which never
# answers: reading it, asking about it and closing it all wait for ever.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use OwnHttpd;

plan skip_all => 'needs root and FUSE' if $> != 0 || !-w '/dev/fuse';

my $build = abs_path($ENV{BUILD} // 'build');
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core mime`;
$modules .= "LoadModule door_module \"$build/mod_door.so\"\n";
plan skip_all => 'the applications of the suite are not built' unless -x "$build/t/apps/harmful";

my $root = File::Temp->newdir('/tmp/mod_door-fs.XXXXXX');
chmod 0755, $root;
my $httpd = OwnHttpd->new(program => $program, modules => $modules, build => $build,
    below => "$root", prologue => "User www-data\nGroup www-data\n");
my $dir = $httpd->dir;
mkdir "$dir/bin/t";
my $harmful = $httpd->install('../t/apps/harmful' => 't/harmful');
$httpd->configure(<<"CONF");
DoorApp harmful $harmful user=root group=root stop-timeout=1s
<Location /harmful>
    DoorHandler harmful
</Location>
DoorTimeout 2
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MaxRequestWorkers 8
MinSpareThreads 1
MaxSpareThreads 8
CONF
ok $httpd->start, 'httpd starts';
ok $httpd->wait_for(sub { $httpd->body('/harmful/x') eq "fine\n" }), 'the application answers';
if ($httpd->log_text =~ /no FUSE/) {
    diag 'SKIPPED: no file system can be mounted here';
    $httpd->stop;
    done_testing;
    exit;
}

my $mark = $httpd->mark;
my @curls = map {
    open my $curl, '-|', 'curl', '-s', '--max-time', 20,
        "http://127.0.0.1:$httpd->{port}/harmful/silent-file" or die $!;
    $curl;
} 1 .. 24;
for my $curl (@curls) {
    local $/;
    my $text = <$curl> // '';
    close $curl;
    unlike $text, qr/^.{8}\z/s, 'nothing of it comes' if $curl == $curls[0];
}
is $httpd->body('/static.txt'), "static\n", 'a file is served meanwhile';
is $httpd->status('/harmful/x'), 503, 'at last the application is not called';
ok $httpd->logs(qr/application harmful.*that it has sent cannot be read or closed/, $mark),
    '... the log says why';
my ($child) = grep { OwnHttpd::parent_of($_) == $httpd->pid && $_ != $httpd->supervisor }
    $httpd->processes(qr/-DFOREGROUND/);
my $threads = () = glob "/proc/$child/task/*";
cmp_ok $threads, '<', 40, '... and few threads wait';

# Its end is the file system's, too: of the process that serves that at first.
kill 'KILL', $_ for reverse $httpd->apps('t/harmful');
ok $httpd->wait_for(sub { $httpd->status('/harmful/x') == 200 }), 'once it has ended the next is called';
my $began = time;
ok $httpd->stop, 'httpd stops';
cmp_ok time - $began, '<', 20, '... soon';

done_testing;
