# SPDX-License-Identifier: Apache-2.0
#
# How many server threads an application has: no more than it was told, whatever becomes of
# those who call; mod_status tells, also while all of them are busy; and they go again.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

plan skip_all => 'it is the same with each MPM' if mpm() ne 'event';

my $httpd = own_httpd();
my $dir = $httpd->dir;
$httpd->install('kitchen');
$httpd->configure(<<"CONF");
ExtendedStatus On
DoorApp told $dir/bin/kitchen threads=2
DoorApp own "$dir/bin/kitchen --threads 3"
<Location /told>
    DoorHandler told
</Location>
<Location /hurried>
    DoorHandler told
    DoorTimeout 1
</Location>
<Location /own>
    DoorHandler own
</Location>
<Location /status>
    SetHandler server-status
</Location>
CONF
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_/threads"), 200, "$_ is up" for qw(told own);

sub auto { my %auto = $httpd->body('/status?auto') =~ /^DoorApp\.(\S+): (.*)$/mg; return \%auto }

sub ask {
    my ($path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 60)
        or die "no connection: $!";
    print $socket "GET $path HTTP/1.0\r\nHost: localhost\r\n\r\n";
    return $socket;
}

# So many requests at once; their statuses when all of them are over, as "200: 8".
sub begin {
    my ($count, $path) = @_;
    return [map { ask($path) } 1 .. $count];
}

sub finish {
    my ($sockets) = @_;
    my %count;
    for my $socket (@$sockets) {
        my ($status) = (<$socket> // '') =~ m{^HTTP/1\.[01] (\d+)};
        1 while <$socket>;
        $count{$status // 'none'}++;
    }
    return join ', ', map { "$_: $count{$_}" } sort keys %count;
}

# ---- the maximum

for (['told', 2], ['own', 3]) {
    my ($name, $max) = @$_;
    my ($seen, $what) = ('', "$max running, 2 waiting, $max threads, $max at most");
    my $answers;
    for (1 .. 5) { # those that run may end before anybody looks
        my $sockets = begin($max + 2, "/$name/sleep?ms=2500");
        $httpd->wait_for(sub {
            my $auto = auto();
            $seen = join ', ', map { ($auto->{"$name.0.$$_[0]"} // '?') . " $$_[1]" }
                ['Running', 'running'], ['Waiting', 'waiting'], ['Threads', 'threads'], ['ThreadsMax', 'at most'];
            return $seen eq $what;
        }, 5);
        $answers = finish($sockets);
        last if $seen eq $what;
    }
    is $seen, $what, "$name: all threads are taken, and mod_status tells";
    is $answers, '200: ' . ($max + 2), '... all are answered';
    like $httpd->body("/$name/threads"), qr/^threads=$max$/m, '... by so many';
}

# ---- handlers that outlive their requests

my $sockets = begin(6, '/hurried/sleep?ms=4000');
is finish($sockets), '504: 6', 'six requests time out';
my $seen;
ok $httpd->wait_for(sub { $seen = auto(); ($seen->{'told.0.Running'} // 0) == 2 }), '... two of them still run, and are shown';
is $seen->{'told.0.Threads'}, 2, '... there are no more threads';
is $httpd->status('/told/threads'), 200, '... and the next request is answered after them';
ok $httpd->wait_for(sub { $seen = auto(); ($seen->{'told.0.Running'} // 1) == 0 }), '... they have ended';
is $seen->{'told.0.ThreadsMax'}, 2, '... there never were more threads';

ok $httpd->stop, 'httpd stops';
done_testing;
