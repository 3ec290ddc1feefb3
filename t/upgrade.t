# SPDX-License-Identifier: Apache-2.0
#
# mod_door is upgraded under load: another build of it has the module's file, or
# its own, and httpd restarts.  From then on only the new build's code runs, in
# httpd's parent, its children and the supervisor; nothing crashes, and no request
# fails because of a graceful restart.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(dirname);
use File::Copy ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep);
use DoorTest;

my $built = dirname($FindBin::Bin) . '/build';
my %build = (one => "$built/mod_door.so", two => "$built/t/mod_door.so");
my $httpd = own_httpd();
my $dir = $httpd->dir;
my $modules = $httpd->{modules};

# As installing does it: another file, that takes over the name.
sub put {
    my ($build, $name) = @_;
    File::Copy::copy($build{$build}, "$dir/$name.new") or die "$build: $!";
    rename "$dir/$name.new", "$dir/$name" or die $!;
}

$httpd->install(hello => $_) for qw(app alone);

sub configure {
    my ($name) = @_;
    $httpd->{modules} = $modules =~ s{(LoadModule door_module) \S+}{$1 "$dir/$name"}r;
    $httpd->configure(<<"CONF");
DoorApp app $dir/bin/app
DoorApp alone $dir/bin/alone overlap=off
<Location /app>
    DoorHandler app
</Location>
<Location /alone>
    DoorHandler alone
</Location>
<Location /door>
    DoorHandler @{[app_path('raw')]}
    DoorProtocol raw
</Location>
<Location /status>
    SetHandler server-status
</Location>
CONF
}

# The files that a process has of the module, as "DEVICE INODE".
sub modules_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/maps" or return ();
    my %seen = map { /^\S+ \S+ \S+ (\S+ \d+) +\Q$dir\E\/mod_door\S*\.so/ ? ($1 => 1) : () } <$file>;
    return sort keys %seen;
}

sub identity {
    my ($name) = @_;
    my ($device, $inode) = stat "$dir/$name" or die "$name: $!";
    return sprintf '%02x:%02x %d', $device >> 8 & 0xfff, $device & 0xff | $device >> 12 & 0xfff00, $inode;
}

# The processes that there are, each with its start: the number alone may be another one's later.
sub with_start { map { $_ => OwnHttpd::stat_of($_, 22) // -1 } @_ }

sub still_there {
    my (%start) = @_;
    return grep { (OwnHttpd::stat_of($_, 22) // -2) == $start{$_} } keys %start;
}

# True once a child of httpd has the connection.
sub is_accepted {
    my ($socket) = @_;
    my ($here, $there) = map { sprintf ':%04X', $_ } $httpd->{port}, $socket->sockport;
    return $httpd->wait_for(sub {
        open my $file, '<', '/proc/net/tcp' or die $!;
        return scalar grep { $_->[1] =~ /$here$/ && $_->[2] =~ /$there$/ && $_->[9] } map { [split] } <$file>;
    });
}

# Everything that httpd's parent has forked, and runs on.
sub children { grep { OwnHttpd::parent_of($_) == $httpd->pid } $httpd->processes(qr/./) }

sub all_have {
    my ($identity) = @_;
    return $httpd->wait_for(sub {
        my @children = children();
        return @children > 1 && !grep { join(' ', modules_of($_)) ne $identity } @children;
    }, 60);
}

sub build_that_answers { $httpd->body('/status?auto') =~ /^DoorBuild: (.*)$/m ? $1 : '' }

put(one => 'mod_door.so');
configure('mod_door.so');
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_"), 200, "$_ answers" for qw(app alone door static.txt);
my $before = build_that_answers();
isnt $before, '', 'the status page names the build';

# Each with the file's name, the build that it becomes, and how httpd is told.
for my $upgrade (
    ['mod_door.so', 'two', 'USR1', 'the same path, graceful'],
    ['mod_door.so', 'one', 'HUP',  'the same path, restart'],
    ['mod_door2.so', 'two', 'USR1', 'another path, graceful'],
    ['mod_door.so', 'one', 'USR1', 'and back again'],
    ['mod_door2.so', 'two', 'HUP', 'another path, restart'],
) {
    my ($name, $build, $signal, $what) = @$upgrade;
    my $mark = $httpd->mark;
    my $supervisor = $httpd->supervisor;
    my %old = with_start($supervisor, ($httpd->apps('app'))[0]);
    my %load = map { $_ => $httpd->load("/$_", 2, 60) } qw(app door static.txt);
    $httpd->goes_on($load{$_}, 5) for keys %load;
    # In a child of the old build, which has yet to hear what for.
    my $late = $signal eq 'USR1'
        && (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port}) or die $!);
    print $late "GET /app HTTP/1.0\r\n" and $late->flush if $late;
    is_accepted($late) or die "httpd does not accept\n" if $late;
    sleep 0.3;
    put($build, $name);
    configure($name);
    kill $signal, $httpd->pid;
    ok $httpd->logs(qr/resuming normal operations/, $mark), "$what: httpd restarts";
    if ($late) {
        ok $httpd->wait_for(sub { build_that_answers() ne $before }), '... another build answers';
        # prefork gives up a request that it has not read, whoever answers it.
        if (mpm() ne 'prefork') {
            is scalar(still_there(%old)), 2, '... what an old child needs is there';
            print $late "\r\n";
            like join('', <$late>), qr{^HTTP/1.1 200 }, '... its last request is answered';
        }
        close $late;
    }
    ok all_have(identity($name)), '... soon all that it has forked have the new file, and no other';
    is join(' ', modules_of($httpd->pid)), identity($name), '... and so has its parent';
    $httpd->goes_on($load{$_}, 20) for keys %load;
    for my $path (sort keys %load) {
        my $statuses = $httpd->end_load($load{$path});
        next if $signal eq 'HUP'; # which cuts off what runs
        is_deeply [keys %$statuses], [200], "... no request of /$path has failed" or diag explain $statuses;
    }
    my $now = build_that_answers();
    isnt $now, $before, '... the other build answers';
    $before = $now;
    ok $httpd->wait_for(sub { !still_there(%old) }),
        '... the old supervisor has ended, and its applications';
    isnt $httpd->supervisor, 0, '... there is another one';
    is scalar(() = $httpd->apps($_)), 1, "... $_ runs once" for qw(app alone);
    is $httpd->status('/alone'), 200, '... an application that must not overlap answers';
    unlike $httpd->since($mark), qr/exit signal|long lost child|emerg|\bcrit\b/, '... nothing has crashed';
}

# The same build again: what runs is not disturbed.
{
    my $supervisor = $httpd->supervisor;
    my @apps = map { $httpd->apps($_) } qw(app alone);
    ok $httpd->graceful, 'a restart without an upgrade';
    ok all_have(identity('mod_door2.so')), '... comes to its end';
    is $httpd->supervisor, $supervisor, '... the supervisor stays';
    is_deeply [map { $httpd->apps($_) } qw(app alone)], \@apps, '... and so do the applications';
}

# A supervisor that dies while nobody of ours is there to see it.
{
    my $supervisor = $httpd->supervisor;
    kill 'STOP', $supervisor;
    my $mark = $httpd->mark;
    kill 'USR1', $httpd->pid;
    kill 'KILL', $supervisor;
    ok $httpd->logs(qr/resuming normal operations/, $mark), 'the supervisor dies during a restart';
    ok $httpd->wait_for(sub { $httpd->status('/app') == 200 }), '... there is another one';
}
ok $httpd->stop, 'httpd stops';
is_deeply [$httpd->processes(qr/./)], [], '... of what was launched nothing is left';

# One process is parent and child: its configuration goes while threads of ours run.
{
    my $single = own_httpd(under => ['env', 'LD_DEBUG=files', "LD_DEBUG_OUTPUT=$dir/linker"]);
    $single->configure("DoorApp app $single->{dir}/bin/hello\n<Location /app>\nDoorHandler app\n</Location>\n");
    ok $single->start, 'httpd -X starts';
    is $single->status('/app'), 200, '... serves';
    my $pid = $single->pid;
    kill 'TERM', $pid;
    ok $single->ended(60), '... ends';
    is $?, 0, '... well';
    open my $file, '<', "$dir/linker.$pid" or die $!;
    is scalar(grep { m{/mod_door\.so.*destroying link map} } <$file>), 1,
        '... the module was unloaded when the configuration was read the second time, not then';
}

done_testing;
