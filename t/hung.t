# SPDX-License-Identifier: Apache-2.0
#
# What is taken for hanging, and what is not: a long call, a slow client, calls of an httpd
# child that was killed.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my @names = qw(alone up down endless said late);

mkdir "$dir/bin/t"; # its libraries are two folders up
$httpd->install('../t/apps/crowd' => "t/$_") for qw(pair bare);
$httpd->install(kitchen => $_) for @names;

sub conf {
    my ($umask) = @_;
    my %options = (alone => 'busy-timeout=1s', up => 'busy-timeout=1s threads=1',
        down => 'busy-timeout=1s threads=1', endless => 'threads=1',
        said => 'busy-timeout=1s threads=1 stop-timeout=1s', late => 'busy-timeout=1s threads=1 stop-timeout=1s');
    my %timeout = (endless => 0, said => 0, late => 1);
    return "DoorBusyTimeout 1s\n" . join('', map { "DoorApp $_ $dir/bin/$_ $options{$_}\n"
            . "<Location /$_>\nDoorHandler $_\nDoorTimeout @{[$timeout{$_} // 20]}\n</Location>\n" } @names)
        . "DoorApp pair $dir/bin/t/pair instances=2\nDoorApp bare $dir/bin/t/bare overlap=off umask=$umask\n"
        . join '', map { "<Location /$_>\nDoorHandler $_\nDoorProtocol raw\n</Location>\n" } qw(pair bare);
}

# A connection with a request, whose answer is not read yet; a body of $length bytes, of which
# these go along.
sub start {
    my ($path, $length, $body) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30) or die;
    setsockopt $socket, IO::Socket::SOL_SOCKET, IO::Socket::SO_RCVBUF, pack 'i', 65536;
    print $socket defined $length ? "POST $path HTTP/1.0\r\nContent-Length: $length\r\n\r\n$body"
        : "GET $path HTTP/1.0\r\n\r\n";
    $socket->flush;
    return $socket;
}

sub rest { my ($socket) = @_; local $/; return scalar(<$socket>) // '' }

sub status_of { rest($_[0]) =~ m{^HTTP/1\.\d (\d+)} ? $1 : 0 }

sub raw { rest(start("/$_[0]", length $_[1], $_[1])) =~ s/.*\r\n\r\n//sr }

sub pid_of { ($httpd->apps($_[0] eq 'bare' ? 't/bare' : $_[0]))[0] // 0 }

$httpd->configure(conf('022'));
ok $httpd->start, 'httpd starts';
ok $httpd->wait_for(sub { $httpd->status("/$_/env") == 200 }), "$_ answers" for @names;
ok $httpd->wait_for(sub { raw($_, 0) =~ /^pid=/ }), "$_ answers" for qw(pair bare);
my %pid = map { $_ => pid_of($_) } @names, 'bare';
my $mark = $httpd->mark;

# ---- what takes long

# One call that may take that long, and nobody else; a time without end, and others that wait.
my @long = map { start($_) } '/alone/sleep?ms=3500', '/endless/sleep?ms=3500', '/endless/env';
# Clients that send and receive slowly, and others that wait.
my $upload = start('/up/upload?count', 1_000_000, 'x' x 900_000);
my $download = start('/down/big?bytes=6000000');
sysread $download, my $begun, 1000 or die;
sleep 0.3;
my @wait = map { start("/$_/env") } qw(up down);
# Hangs by what is said of it: others wait, and it has no time or has had it.
my @hang = map { start($_) } '/said/sleep?ms=20000', '/late/sleep?ms=20000';
sleep 0.3;
my %load = map { $_ => $httpd->load("/$_/env", 2, 20) } qw(said late);
sleep 2.5;
print $upload 'x' x 100_000;
$upload->flush;
like rest($upload), qr/bytes=1000000\b/, 'a slow upload';
is length(($begun . rest($download)) =~ s/.*?\r\n\r\n//sr), 6_000_000, 'a slow download';
is status_of($_), 200, '... and who has waited' for @wait;
is status_of($_), 200, 'a long call is answered' for @long;
is pid_of($_), $pid{$_}, "... $_ is the process that it was" for qw(alone endless up down);
for my $name (qw(said late)) {
    ok $httpd->logs(qr/$name\[$pid{$name}\]: no call has ended for \d+\.\d s while \d+ wait/, $mark),
        "one that hangs is noticed: $name";
    ok $httpd->wait_for(sub { (pid_of($name) || $pid{$name}) != $pid{$name} }), '... and replaced';
    $httpd->end_load($load{$name});
}
unlike $httpd->since($mark), qr/(?:alone|endless|up|down)\[\d+\]: no call has ended/, 'nobody else hangs';

# ---- httpd's children are killed, each with calls

my $kitchen_call = start('/alone/sleep?ms=1000');
my @first = map { start("/pair", 3, 700) } 1 .. 6;
push @first, start('/bare', 3, 700), $kitchen_call;
sleep 0.4;
kill 'KILL', grep { OwnHttpd::parent_of($_) == $httpd->pid && $_ != $httpd->supervisor }
    $httpd->processes(qr/./);
rest($_) for @first;
ok $httpd->wait_for(sub { eval { $httpd->status('/alone/env') == 200 } }), "httpd's children are killed";
$mark = $httpd->mark;
my $began = time;
# By turns, if both are thought to be idle.
my %served;
# httpd's parent has to hear of each child that it is gone.
ok $httpd->wait_for(sub {
    %served = ();
    $served{raw(pair => 1)}++ for 1 .. 20;
    return join(' ', values %served) eq '10 10';
}), '... two instances get the same' or diag explain \%served;
$httpd->configure(conf('077'));
ok $httpd->graceful, '... httpd restarts';
ok $httpd->wait_for(sub { my @now = $httpd->apps('t/bare'); @now == 1 && $now[0] != $pid{bare} }),
    '... a bare program that has no call any more is told to end';
unlike $httpd->since($mark), qr/bare\[$pid{bare}\]: .*stop-timeout/, '... before its stop-timeout';
sleep 1 while time - $began < 3;
is pid_of('alone'), $pid{alone}, '... and one that is idle is not said to hang';

ok $httpd->stop, 'httpd stops';
done_testing;
