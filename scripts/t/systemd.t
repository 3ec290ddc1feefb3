#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The units of docs/systemd: systemd reads them without complaint, and an httpd that has no more
# than the capabilities and files of that drop-in launches, replaces and ends an application of
# another user.  There is no systemd to do so here: setpriv and namespaces do.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Copy ();
use File::Path qw(make_path);
use File::Temp ();
use Test::More;

my $build = abs_path($ENV{BUILD} // 'build');
my $apxs = $ENV{APXS} // 'apxs';
chomp(my $modules = `$apxs -q LIBEXECDIR`);
chomp(my $httpd = `. scripts/httpd.sh && httpd_program`);
my @apart = qw(unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private);

my $dir = File::Temp->newdir('/srv/mod_door-systemd.XXXXXX');
chmod 0755, "$dir";

sub put {
    my ($name, $text, $mode) = @_;
    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file $text;
    close $file or die $!;
    chmod $mode // 0644, "$dir/$name";
}

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return <$file>;
}

# ---- what systemd says

SKIP: {
    skip 'no systemd-analyze', 4 unless grep { -x "$_/systemd-analyze" } split /:/, $ENV{PATH};
    make_path("$dir/units/apache2.service.d");
    # What Debian's says of this, with programs that are there.
    put('units/apache2.service', <<'UNIT');
[Unit]
Description=The Apache HTTP Server
[Service]
Type=forking
ExecStart=/bin/true
KillMode=mixed
PrivateTmp=true
UNIT
    File::Copy::copy('docs/systemd/apache2.conf', "$dir/units/apache2.service.d/mod_door.conf") or die $!;
    put('units/shop.service', slurp('docs/systemd/shop.service') =~ s{/srv/shop/bin/shop}{/bin/true}r);
    for my $unit (qw(apache2 shop)) {
        my $said = `SYSTEMD_UNIT_PATH=$dir/units: systemd-analyze verify --man=no $dir/units/$unit.service 2>&1`;
        is $?, 0, "$unit.service" or diag $said;
        unlike $said, qr{\Q$dir\E|Unknown|Failed to parse}, '... without a word' or diag $said;
    }
}

# ---- what mod_door makes of it

SKIP: {
    skip 'needs root', 6 if $> != 0;
    skip 'no namespaces here', 6 if system("@apart true 2>/dev/null") != 0;
    my @capabilities = map { split ' ' } slurp('docs/systemd/apache2.conf') =~ /^CapabilityBoundingSet=(.*)/mg;
    my $bounding = join ',', '-all', map { '+' . lc(s/^CAP_//r) } @capabilities;
    cmp_ok scalar(@capabilities), '>', 5, 'capabilities are named';
    make_path(map { "$dir/$_" } qw(bin run logs));
    File::Copy::copy($_, "$dir/" . s{.*/}{}r) or die $! for glob("$build/lib*.so*"), "$build/mod_door.so";
    File::Copy::copy("$build/examples/kitchen", "$dir/bin/kitchen") or die $!;
    chmod 0755, "$dir/bin/kitchen";
    put('httpd.conf', <<"CONF");
ServerRoot $dir
ServerName localhost
Listen 127.0.0.1:80
PidFile logs/pid
ErrorLog logs/error
@{[map { -e "$modules/mod_$_.so" ? "LoadModule ${_}_module $modules/mod_$_.so\n" : '' } qw(mpm_event authz_core)]}
LoadModule door_module $dir/mod_door.so
User www-data
Group www-data
DoorRuntimeDir $dir/run
DoorApp kitchen $dir/bin/kitchen user=nobody group=nogroup RLimitNOFILE=1000:4096
<Location /kitchen>
    DoorHandler kitchen
</Location>
CONF
    put('inside', <<"SH");
set -eu
ip link set lo up
for read_only in /usr /etc /boot; do mount --bind -o ro \$read_only \$read_only; done
mount -t tmpfs none /tmp
exec setpriv --no-new-privs --bounding-set $bounding sh $dir/as-root
SH
    put('as-root', <<"SH");
ask() { curl -s -m 60 -w ' %{http_code}\\n' http://127.0.0.1\$1; }
pid_of() { sed -n "s/.*kitchen\\[\\([0-9]*\\)\\].*/\\1/p" $dir/logs/error | tail -n 1; }
grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status
ulimit -n 8192
$httpd -f $dir/httpd.conf
ask '/kitchen/status?code=200'
first=\$(pgrep -u nobody -f bin/kitchen)
echo "user of \$first: \$(stat -c %U /proc/\$first)"
grep '^Max open files' /proc/\$first/limits
cp $dir/bin/kitchen $dir/bin/new && mv $dir/bin/new $dir/bin/kitchen
$httpd -f $dir/httpd.conf -k graceful
for i in \$(seq 600); do kill -0 \$first 2>/dev/null || break; sleep 0.1; done
test -z "\$first" || kill -0 \$first 2>/dev/null || echo 'the first has gone'
ask '/kitchen/status?code=200'
$httpd -f $dir/httpd.conf -k stop
for i in \$(seq 600); do pgrep -f bin/kitchen >/dev/null || break; sleep 0.1; done
pgrep -f bin/kitchen || echo 'all have gone'
SH
    my $said = `@apart sh $dir/inside 2>&1 </dev/null`;
    my $complaints = slurp("$dir/logs/error");
    diag $said, $complaints if $said !~ /^status 200/m;
    like $said, qr/^NoNewPrivs:\s*1$/m, 'no new privileges';
    is scalar(() = $said =~ /^status 200\n 200$/mg), 2, 'the application answers, before and after a restart';
    like $said, qr/^user of \d+: nobody$/m, '... as its user';
    like $said, qr/^Max open files +4096 +4096 /m, '... with its limit';
    like $said, qr/^the first has gone$/m, '... is replaced';
    like $said, qr/^all have gone$/m, '... and ended';
}
done_testing;
