#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Debian's packages on a small Debian of their own, in namespaces, so that nothing of it is left:
# built without a network, looked at by lintian, installed, upgraded while requests come in,
# tested by debian/tests, removed and purged.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Find ();
use File::Temp ();
use IO::Socket::INET ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $build = abs_path($ENV{BUILD} // 'build');
my $machine = "$build/machine.tar";
my ($new, $old) = ("$build/deb", "$build/deb-0.1.99");
my @apart = qw(unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private);

unless (@ARGV) {
    plan skip_all => 'needs root' if $> != 0;
    plan skip_all => 'no namespaces here' if system("@apart true 2>/dev/null") != 0;
    system('bash', 'scripts/machine.sh', $machine,
        qw(apache2 curl gcc libc6-dev libpython3-stdlib pkg-config procps python3)) == 0
        or BAIL_OUT('no Debian to install them on');
    exec @apart, $^X, $0, 'apart' or die "unshare: $!";
}

my $root = "$build/machine";

sub must { system(@_) == 0 or BAIL_OUT("@_") }

sub unpack_machine {
    mkdir $root;
    must('mount', '-t', 'tmpfs', '-o', 'size=3g,mode=755', 'none', $root);
    must('tar', '-xf', $machine, '-C', $root);
    must(qw(mount --bind /dev), "$root/dev");
    must(qw(mount -t tmpfs none), "$root/$_") for qw(dev/shm run);
    mkdir "$root/run/lock";
    must(qw(mount -t proc none), "$root/proc");
    must(qw(ip link set lo up));
}

# What a command says there; its status is in $?.
sub there {
    my ($command) = @_;
    open my $pipe, '-|', 'chroot', $root, 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root',
        'LC_ALL=C.UTF-8', 'DEBIAN_FRONTEND=noninteractive', 'AUTOPKGTEST_TMP=/tests', 'sh', '-c',
        "exec 2>&1 </dev/null; $command" or die $!;
    my $said = do { local $/; <$pipe> } // '';
    close $pipe;
    return $said;
}

sub works {
    my ($command, $what) = @_;
    my $said = there($command);
    is $?, 0, $what or diag $said;
    return $said;
}

# We are process 1 here: those whose parents have ended are ours.
sub wait_for {
    my ($check) = @_;
    my $deadline = time + 60;
    until ($check->()) {
        return 0 if time > $deadline;
        1 while waitpid(-1, POSIX::WNOHANG()) > 0;
        sleep 0.1;
    }
    return 1;
}

# Every name there but those of logs, of caches, of what dpkg itself notes, and of what a2enconf
# does of the sample's configuration.
sub names {
    my %names;
    File::Find::find({no_chdir => 1, wanted => sub {
        my $name = substr $_, length $root;
        $File::Find::prune = $name =~ m{^/(?:proc|dev|run|debs|tests)$}
            || $name =~ m{^/var/(?:log|cache/ldconfig|cache/debconf|lib/dpkg|lib/apache2/conf)$};
        $names{$name} = 1 unless $File::Find::prune;
    }}, $root);
    return \%names;
}

sub put {
    my ($name, $text) = @_;
    open my $file, '>', "$root/$name" or die "$name: $!";
    print $file $text;
    close $file or die $!;
}

sub get { scalar `curl -s -m 20 'http://127.0.0.1$_[0]'` }

sub builds { get('/server-status?auto') =~ /^DoorBuild: (\S+)$/m ? $1 : '' }

# ---- requests that come in all the time, each on a connection of its own

my $greeting = "Well, hello to you too!\n";

# ok: answered; refused: nobody listened; lost: anything else.
sub request {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:80', Timeout => 20) or return 'refused';
    local $SIG{PIPE} = 'IGNORE';
    print $socket "GET /hello HTTP/1.0\r\n\r\n";
    my $answer = do { local $/; <$socket> } // '';
    return 'ok' if $answer =~ m{\AHTTP/1\.1 200 .*\r\n\r\n\Q$greeting\E\z}s;
    return 'lost: ' . ($answer =~ /\A([^\r]*)/ ? $1 : '');
}

# What became of the requests of four clients while the function ran, and for a second on either side.
sub under_load {
    my ($function) = @_;
    pipe my $in, my $out or die $!;
    my @clients = map {
        my $pid = fork // die $!;
        if (!$pid) {
            my ($stop, %count) = (0);
            $SIG{TERM} = sub { $stop = 1 };
            my $until = time + 120;
            until ($stop || time > $until) { $count{request()}++ }
            syswrite $out, join '', map { "$_\t$count{$_}\n" } keys %count;
            POSIX::_exit(0);
        }
        $pid;
    } 1 .. 4;
    close $out;
    sleep 1;
    $function->();
    sleep 1;
    kill 'TERM', @clients;
    waitpid $_, 0 for @clients;
    my %sum = (ok => 0);
    while (<$in>) {
        chomp;
        my ($kind, $count) = split /\t/;
        $sum{$kind} += $count;
    }
    return \%sum;
}

sub told { my ($sum) = @_; return join ', ', map { "$sum->{$_} $_" } sort keys %$sum }

# ---- built, and looked at

for ([$new], [$old, '0.1.99']) {
    my $said = `bash scripts/deb.sh @$_ 2>&1`;
    is $?, 0, "the packages of $_->[0]" or diag($said), BAIL_OUT('there are none');
}
# Only what is uploaded to Debian closes a bug.
my $lintian = `lintian --fail-on warning,error --suppress-tags initial-upload-closes-no-bugs $new/*.changes 2>&1`;
is $?, 0, 'lintian has nothing to say' or diag $lintian;

# ---- installed

unpack_machine();
# There is no init system, without which Debian's scripts do not touch a service unless told so.
put('usr/sbin/policy-rc.d', "#!/bin/sh\nexit 0\n");
chmod 0755, "$root/usr/sbin/policy-rc.d";
my $before = names();
mkdir "$root/$_" for qw(debs debs/new debs/old srv/hello);
must("cp $new/*.deb $root/debs/new");
must("cp $old/*.deb $root/debs/old");
must(qw(rm -f), glob("$root/debs/*/*-dbgsym_*"));
must(qw(cp -R debian/tests), "$root/tests");

works('dpkg -i /debs/old/*.deb', 'installed');
works('a2enmod -q door status', 'a2enmod door');
like there('ls -l /etc/apache2/mods-enabled/door.load'), qr{-> ../mods-available/door\.load},
    '... switches it on';
works('cc -o /srv/hello/hello /usr/share/doc/libdoor-app-dev/examples/hello.c '
        . '$(pkg-config --cflags --libs libdoor_app)', 'the sample builds');
put('etc/apache2/conf-available/hello.conf', <<'CONF');
ServerName localhost
DoorApp hello /srv/hello/hello
<Location /hello>
    DoorHandler hello
</Location>
CONF
works('a2enconf -q hello && apachectl configtest', 'a configuration');
there('pgrep apache2') ne '' or works('apachectl start', 'Apache starts');
works('apachectl graceful', 'Apache has it');
ok wait_for(sub { get('/hello') eq $greeting }), 'the sample answers';
like builds(), qr/^0\.1\.99-/, '... by the older module';

# ---- upgraded

my $said;
my $sum = under_load(sub {
    $said = works('dpkg -i /debs/new/*.deb', 'upgraded');
    ok wait_for(sub { builds() =~ /^0\.2\.0-/ }), '... to the newer module' or diag $said;
});
diag "while it was upgraded: ", told($sum);
cmp_ok $sum->{ok}, '>', 100, '... and requests were answered';
is_deeply [grep { $_ ne 'ok' } keys %$sum], [], '... each of them';

# ---- debian/tests

for my $test (qw(module gateways python libraries)) {
    works("/tests/$test", "debian/tests/$test");
}

# ---- removed, purged

my @packages = sort map { m{/([^_/]+)_[^/]*$} } glob "$root/debs/new/*.deb";
works('a2disconf -q hello && apachectl graceful', 'the sample is taken out');
works("dpkg -r @packages", 'removed');
ok wait_for(sub { there('pgrep -f mod[_]door') eq '' }), '... nothing of it runs' or diag there('ps axf');
isnt there('pgrep apache2'), '', '... Apache does';
works('apachectl configtest', '... with what is left of its configuration');
ok -e "$root/etc/apache2/mods-available/door.conf", '... the configuration stays';
ok !-e "$root/usr/lib/apache2/modules/mod_door.so", '... the module does not';
works("dpkg -P @packages", 'purged');
must('rm', '-r', "$root/srv/hello", "$root/etc/apache2/conf-available/hello.conf");
my $after = names();
delete @{$after}{map { "/var/lib/apache2/module/disabled_by_$_" } qw(admin maint)}; # a2dismod's folders
is_deeply [grep { !$before->{$_} } sort keys %$after], [], '... nothing is left';
is_deeply [grep { !$after->{$_} } sort keys %$before], [], '... and nothing else has gone';
done_testing;
