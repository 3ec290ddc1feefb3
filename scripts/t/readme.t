#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The README's httpd.conf, word by word, at the paths that it names, serves its
# application: in namespaces of its own, which end all that was started in them.
# So does one that leaves DefaultRuntimeDir to Debian, where nobody has made it.

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
my @apart = qw(unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private);

plan skip_all => 'needs root' if $> != 0;
plan skip_all => "the README's paths are Debian's" if $modules ne '/usr/lib/apache2/modules';
plan skip_all => 'no namespaces here' if system("@apart true 2>/dev/null") != 0;

# What is to be /srv.
my $srv = File::Temp->newdir('/tmp/mod_door-readme.XXXXXX');
chmod 0755, $srv;

sub write_file {
    my ($name, $text, $mode) = @_;
    open my $file, '>', "$srv/$name" or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
    chmod $mode // 0644, "$srv/$name" or die $!;
}

make_path("$srv/www/bin", "$srv/modules", "$srv/run");
File::Copy::copy($_, "$srv/modules/" . s{.*/}{}r) or die "$_: $!" for glob("$modules/*.so"), "$build/mod_door.so";
File::Copy::copy($_, "$srv/www/" . s{.*/}{}r) or die "$_: $!" for glob "$build/lib*.so*";
File::Copy::copy("$build/examples/hello", "$srv/www/bin/hello") or die $!;
chmod 0755, "$srv/www/bin/hello";
open my $readme, '<', 'README.md' or die $!;
my ($conf) = do { local $/; <$readme> } =~ /```apache\n(.*?)```/s;
write_file('www/httpd.conf', $conf);
write_file('www/debian.conf', $conf =~ s/^DoorRuntimeDir.*\n//mr);

# Runs shell commands as that user, where /srv, the modules, /run and the network are our own.
sub apart {
    my ($user, $commands) = @_;
    system 'rm', '-rf', glob("$srv/www/{run,error_log,httpd.pid}");
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    chown $uid, $gid, "$srv/www" or die $!;
    write_file('commands', <<"END");
httpd() { /usr/sbin/apache2 "\$@"; }
ask() { curl -s -m 60 -w ' %{http_code} %{time_total}\\n' http://127.0.0.1:8080/hello; }
ask_until_served() { for i in \$(seq 90); do case "\$(ask)" in *' 200 '*) echo served; return;; esac; sleep 1; done; }
$commands
END
    write_file('outside', <<"END");
set -e
mount --bind $srv /srv
mount --bind /srv/modules $modules
mount -t tmpfs -o mode=755 none /run
ip link set lo up
exec setpriv --reuid $user --regid $gid --init-groups sh /srv/commands
END
    return scalar `@apart sh $srv/outside 2>&1 </dev/null`;
}

my $serve = <<'END';
httpd -t -f /srv/www/httpd.conf
httpd -f /srv/www/httpd.conf
ask
httpd -f /srv/www/httpd.conf -k stop
END
for my $user (qw(root nobody)) {
    my $said = apart($user, $serve);
    like $said, qr/^Syntax OK$/m, "the README's httpd.conf as $user: the check";
    like $said, qr/^Well, hello to you too!\n 200 /m, '... the request' or diag $said;
}

# ---- Debian's DefaultRuntimeDir, which apachectl makes

my $debian = $serve =~ s/httpd\.conf/debian.conf/gr;
my $said = apart(root => "$debian\nls -d /run/apache2");
like $said, qr/^Well, hello to you too!\n 200 /m, 'a DefaultRuntimeDir that nobody has made, as root';
like $said, qr{^/run/apache2$}m, '... is made';

# So many lines of the log that tell of it.
my $lines = "grep -c supervisor /srv/www/error_log | sed 's/^/lines /'";
$said = apart(nobody => <<"END");
httpd -t -f /srv/www/debian.conf
httpd -f /srv/www/debian.conf
ask
sleep 15
$lines
cat /srv/www/error_log
httpd -f /srv/www/debian.conf -k stop
END
my $tells = qr{DefaultRuntimeDir /var/run/apache2: .*; applications need a directory .* as DoorRuntimeDir};
like $said, qr{\A(?:AH\S+: .*\n)*.*door: $tells\n(?:AH.*\n)*Syntax OK}, '... as a user who may not: httpd -t tells' or diag $said;
like $said, qr{^\[.*door: $tells}m, '... and the log';
like $said, qr{ 503 \d\.}, '... requests get 503 at once';
my ($count) = $said =~ /^lines (\d+)$/m;
cmp_ok $count, '<=', 4, '... it is tried again seldom';

done_testing;
