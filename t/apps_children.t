# SPDX-License-Identifier: Apache-2.0
#
# What launched applications leave behind, and how they are replaced: processes that
# they have started end with them, a call of a program that knows nothing of draining comes
# to its end, and a program is not run before it has been written.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy ();
use IO::Handle ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

sub app {
    my ($name, $options) = @_;
    return qq{DoorApp $name "$dir/bin/$name" @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n}
        . ($name eq 'mirror' ? "DoorProtocol raw\n" : '') . "</Location>\n";
}

# bin/NAME is a script that becomes this.
sub pids { $httpd->apps("$_[0]-app") }

sub are_gone { my @pids = @_; $httpd->wait_for(sub { !grep { DoorTest::alive($_) } @pids }) }

$httpd->install(hello => "$_-app") for qw(parent watched);
$httpd->script($_ => "trap '' TERM\nwhile :; do sleep 1; done") for qw(helper other);
$httpd->script(parent => "$dir/bin/helper &\nexec $dir/bin/parent-app");
$httpd->script(stubborn => "trap '' TERM\n$dir/bin/other &\n$dir/bin/hello &\nwhile :; do sleep 1; done");
$httpd->script(watched => "exec $dir/bin/watched-app");
mkdir "$dir/bin/far" or die $!; # as far from the libraries as it was built
File::Copy::copy("$httpd->{build}/t/apps/mirror", "$dir/bin/far/mirror-app") or die $!;
chmod 0755, "$dir/bin/far/mirror-app";
$httpd->script(mirror => "exec $dir/bin/far/mirror-app \"\$DOOR_PATH\"");
my $apps = app('parent') . app(stubborn => 'stop-timeout=1s') . app(watched => 'watch=on');
$httpd->configure($apps . app('mirror'));
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_"), 200, "$_ answers" for qw(parent stubborn watched mirror);

# ---- one that has started another process crashes

my @helpers;
# Each program that it runs has its name for a moment.
ok $httpd->wait_for(sub { (@helpers = $httpd->apps('helper')) == 1 }), 'an application has a child process';
$httpd->logs(qr/parent\[\d+\]: is up/) or die;
sleep 1.1; # it has been up for more than a moment
kill 'KILL', pids('parent');
ok are_gone(@helpers), '... which ends with it';
ok $httpd->wait_for(sub { $httpd->status('/parent') == 200 }), '... the next one serves';

# ---- a bare program has a call when it is replaced

{
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
    my ($old) = pids('far/mirror');
    print $socket "POST /mirror HTTP/1.0\r\nContent-Length: 4\r\n\r\nslow";
    sleep 0.5; # nothing tells that it is under way
    $httpd->configure($apps . app(mirror => 'umask=077'));
    ok $httpd->graceful, 'httpd restarts, and a bare program that has a call is another one';
    my $text = do { local $/; <$socket> } // '';
    like $text, qr{^HTTP/1\.1 200 .*\r\n\r\nslow\z}s, '... the call comes to its end';
    ok are_gone($old), '... and the old process then';
}

# ---- a program that is written bit by bit, while somebody looks every two seconds

for my $try (1 .. 5) {
    my ($old) = pids('watched');
    my $mark = $httpd->mark;
    my ($longest, $last) = (0, time);
    open my $file, '>', "$dir/bin/watched" or die $!;
    $file->autoflush(1);
    print $file "#!/bin/sh\n";
    for (1 .. 25) {
        sleep 0.2;
        print $file "# not yet\n";
        $longest = time - $last if time - $last > $longest;
        $last = time;
    }
    my $early = $httpd->since($mark);
    print $file "exec $dir/bin/watched-app\n";
    close $file or die $!;
    my $is_replaced = are_gone($old);
    my $serves = $httpd->wait_for(sub { pids('watched') == 1 && $httpd->status('/watched') == 200 });
    # If this process had to wait, it is as if the program had been there.
    next if $longest > 1.5 && $try < 5;
    unlike $early, qr/watched\[\d+\]: is replaced|watched.*ended before/,
        'watch=on: a program is not run while it is written';
    ok $is_replaced, '... but then';
    ok $serves, '... it serves';
    last;
}

# ---- nobody is left who could end them

{
    my @old;
    ok $httpd->wait_for(sub { (@old = ($httpd->apps('other'), $httpd->apps('stubborn'))) == 2 }),
        'an application and its child that do not listen to SIGTERM';
    kill 'KILL', $httpd->supervisor, $httpd->pid;
    ok $httpd->ended, "... their supervisor and httpd's parent are killed";
    ok $httpd->wait_for(sub { !$httpd->listens }), '... the ports get free';
    ok $httpd->start, '... httpd starts again';
    ok are_gone(@old), '... they are gone';
    is $httpd->status('/stubborn'), 200, '... and there is a new one';
}

ok $httpd->stop, 'httpd stops';
ok $httpd->wait_for(sub { !(my @left = $httpd->processes(qr/./)) }), '... nothing is left';
done_testing;
