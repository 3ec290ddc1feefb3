# SPDX-License-Identifier: Apache-2.0
#
# Applications, and httpd's children, that have no descriptors left: a request is
# answered whole, or turned away before its handler runs, and the log tells the
# reason by its name.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

plan skip_all => 'needs prlimit' unless `prlimit --version 2>/dev/null`;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my @limits = (20, 24, 32, 40);
my $apps = '';
for my $limit (@limits) {
    $httpd->install(kitchen => "kitchen$limit");
    $apps .= "DoorApp kitchen$limit $dir/bin/kitchen$limit RLimitNOFILE=$limit\n"
        . "<Location /kitchen$limit>\n DoorHandler kitchen$limit\n"
        . " DoorMaxConcurrent 200\n DoorQueueTimeout 60\n</Location>\n"; # however slow it is
}
# Each is called first when httpd has no descriptors left.
my @late = map { "late$_" } 0 .. 23;
$httpd->install(kitchen => 'late');
$apps .= "DoorApp $_ $dir/bin/late\n<Location /$_>\n DoorHandler $_\n</Location>\n" for @late;
$httpd->install(kitchen => 'small');
$apps .= "DoorApp small $dir/bin/small\n<Location /small>\n DoorHandler small\n</Location>\n";
$httpd->configure(<<"CONF");
$apps
<Directory />
    AllowOverride None
</Directory>
<Location /server-status>
    SetHandler server-status
</Location>
DoorTimeout 60
CONF
ok $httpd->start, 'httpd starts';

my $whole = join '', map { "line $_\n" } 1 .. 4;

# So many clients at once, each asks a few times: how often each outcome was seen.
sub outcomes {
    my ($path, $clients, $times) = @_;
    my @pipes = map {
        pipe my $read, my $write or die $!;
        my $pid = fork // die $!;
        if (!$pid) {
            for (1 .. $times) {
                my ($status, $body) = eval { $httpd->get($path) };
                $status //= 0;
                $status = 'cut' if $status == 200 && $body ne $whole;
                syswrite $write, "$status\n";
            }
            POSIX::_exit(0);
        }
        [$read, $pid];
    } 1 .. $clients;
    my %seen;
    for (@pipes) {
        my ($read, $pid) = @$_;
        while (<$read>) { chomp; $seen{$_}++ }
        waitpid $pid, 0;
    }
    return \%seen;
}

for my $limit (@limits) {
    my $name = "kitchen$limit";
    my $mark = $httpd->mark;
    my $seen = outcomes("/$name/stream?lines=4&ms=5", 24, 4);
    my %rest = %$seen;
    delete @rest{200, 503};
    is_deeply \%rest, {}, "$limit descriptors: answered whole, or not at all" or diag explain $seen;
    my $log = $httpd->since($mark);
    my @lines = grep { /\[door:error\]/ && /application $name/ } split /\n/, $log;
    my @others = grep { !/\(24\)Too many open files/ } @lines;
    is_deeply \@others, [], '... the log tells why';
    next unless $seen->{503};
    ok scalar(@lines), '... if there was anything to tell';
    diag "$limit: ", join ', ', map { "$seen->{$_} x $_" } sort keys %$seen;
}

# A request that was not taken is no call.
my $status = $httpd->body('/server-status?auto');
my @calls = $status =~ /^DoorApp\.\w+\.0\.Calls: (\d+)/mg;
ok !grep({ $_ > 96 } @calls), 'no more calls are counted than were made' or diag "@calls";

# ---- an application that cannot make the memory that a door shares

my ($small) = $httpd->apps('small');
is system('prlimit', '--pid', $small, '--fsize=1000000:'), 0, 'only small files for an application';
my $mark = $httpd->mark;
my $code = `curl -s -o /dev/null -w '%{http_code}' --max-time 50 http://127.0.0.1:$httpd->{port}/small/env`;
is $code, 503, '... the request is turned away at once';
ok $httpd->logs(qr/DOOR0135\S* application small.* cannot be opened or called/, $mark), '... the log tells why'
    or diag $httpd->since($mark);
system 'prlimit', '--pid', $small, '--fsize=unlimited:';
is $httpd->status('/small/env'), 200, '... and it serves when it can';

# ---- httpd's children have no more descriptors

# The process may have so many descriptors more.
sub leave_room {
    my ($pid, $count) = @_;
    my %is = map { (m{(\d+)$}) => 1 } glob "/proc/$pid/fd/*";
    my $limit = 0;
    for (; $count > 0; $limit++) {
        $count-- unless $is{$limit};
    }
    system 'prlimit', '--pid', $pid, "--nofile=$limit:";
}

$mark = $httpd->mark;
my %seen;
for my $more (0 .. $#late) {
    leave_room($_, 1 + 2 * $more) for $httpd->children; # the connection, and so many
    my ($code, $body) = $httpd->get("/$late[$more]/stream?lines=4&ms=5");
    $code = 'cut' if $code == 200 && $body ne $whole;
    $seen{$code}++;
}
cmp_ok $seen{503} // 0, '>=', 3, "httpd's children have few descriptors: some are turned away"
    or diag explain \%seen;
cmp_ok $seen{200} // 0, '>=', 1, '... some are answered' or diag $httpd->since($mark);
is_deeply [grep { $_ ne '200' && $_ ne '503' } keys %seen], [], '... none else' or diag explain \%seen;
my @lines = grep { /\[door:error\]/ && /application late/ } split /\n/, $httpd->since($mark);
is_deeply [grep { !/\(24\)Too many open files/ } @lines], [], '... the log tells why';

ok $httpd->stop, 'httpd stops';
is_deeply [$httpd->processes(qr/./)], [], '... nothing is left';

done_testing;
