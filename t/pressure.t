# SPDX-License-Identifier: Apache-2.0
#
# The guest book under pressure: 50 clients, a database with 20 connections of which others
# hold some or all, and a limit of 5, 15 or 40.  Only what cannot be served is refused, and
# all is well when it is over.  With event all of it, with the other MPMs a part.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);
use DoorTest;

use constant {CONNECTIONS => 20, CLIENTS => 50, IDLE_MS => 1000};

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $main = $$;
my @limits = mpm() eq 'event' ? (5, 15, 40) : (15);
my @held = mpm() eq 'event' ? (0, 10, CONNECTIONS - 1, CONNECTIONS) : (CONNECTIONS - 1, CONNECTIONS);

sub postgres {
    my ($what) = @_;
    local $ENV{PG_OPTIONS} = '-c superuser_reserved_connections=3 -c max_connections=' . (CONNECTIONS + 3);
    chomp(my $said = `bash '$FindBin::Bin/../postgres.sh' $what '$dir/pg'`);
    return $said;
}

my @holders;

END {
    local $?;
    if (defined $main && $$ == $main) {
        kill 'TERM', @holders;
        postgres('stop');
    }
}

my $sockets = postgres('start');
ok -S "$sockets/.s.PGSQL.5432", 'PostgreSQL runs' or diag `cat $dir/pg/*log`;

sub sql {
    my ($statement, $database) = @_;
    open my $psql, '-|', 'psql', '-h', $sockets, '-U', 'postgres', '-d', $database // 'postgres', '-qAtX',
        '-c', $statement or die;
    local $/;
    chomp(my $result = <$psql> // '');
    close $psql;
    return $result;
}

my $ours = q{FROM pg_stat_activity WHERE application_name = 'guestbook'};
my $theirs = q{FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(6%' AND pid <> pg_backend_pid()};
sub connections { sql("SELECT count(*) $ours") || 0 }
sub cut { sql("SELECT pg_terminate_backend(pid, 30000) $ours") }

# Others have so many connections; whoever has just left may still have its place.
sub hold {
    my ($count) = @_;
    sql("SELECT pg_terminate_backend(pid, 30000) $theirs");
    kill 'TERM', @holders;
    waitpid $_, 0 for @holders;
    @holders = ();
    return $httpd->wait_for(sub {
        cut() if $count > CONNECTIONS - 2; # what threads have got meanwhile
        @holders = grep { waitpid($_, WNOHANG) == 0 } @holders;
        while (@holders < $count) {
            my $pid = fork // die;
            if ($pid == 0) {
                open STDERR, '>', '/dev/null';
                exec 'psql', '-h', $sockets, '-U', 'guest', '-d', 'guestbook', '-qAtXc',
                    'SELECT pg_sleep(600)' or POSIX::_exit(127);
            }
            push @holders, $pid;
        }
        return (sql("SELECT count(*) $theirs") || 0) == $count;
    }, 60);
}

$httpd->install('guestbook');
sql('CREATE ROLE guest LOGIN');
sql('CREATE DATABASE guestbook OWNER guest');

sub configure {
    my ($max) = @_;
    my $idle = IDLE_MS;
    $httpd->configure(<<"CONF");
DoorApp guestbook "$dir/bin/guestbook --idle $idle" env=PGHOST=$sockets env=PGUSER=guest \\
    env=PGDATABASE=guestbook env=GUESTBOOK_FAULTS=1
<Location /guestbook>
    DoorHandler guestbook
    DoorMaxConcurrent $max
    DoorQueueLength 100
    DoorQueueTimeout 60s
</Location>
CONF
}

# ---- the clients

my ($number, %posted) = (0); # of each entry: the status

sub begin {
    my ($at) = @_;
    my $request = "GET /guestbook/entries HTTP/1.0\r\n\r\n";
    if (++$number % 10 == 0) {
        my $body = qq({"name":"peak","message":"$number"});
        $request = "POST /guestbook/entries HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: "
            . length($body) . "\r\n\r\n$body";
    } elsif ($number % 2) {
        $request = "GET /guestbook/slow HTTP/1.0\r\n\r\n";
    }
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 60)
        or die "no connection: $!";
    print $socket $request;
    $socket->flush;
    $at->{fileno $socket} = {number => $number, socket => $socket, said => ''};
    return $socket;
}

# They come again as soon as they are answered, for so long; the statuses, and the most
# connections that were seen.  $meanwhile->() is called from time to time, once at least, when
# there has been an answer to each kind of request.
sub peak {
    my ($seconds, $meanwhile) = @_;
    my (%at, %count);
    my $goes_on = $meanwhile ? 1 : 0;
    my $select = IO::Select->new;
    $select->add(begin(\%at)) for 1 .. CLIENTS;
    my ($until, $sample, $most) = (time + $seconds, time, 0);
    while ($select->count) {
        my @ready = $select->can_read(60) or die 'no answer for a minute';
        for my $socket (@ready) {
            my $one = $at{fileno $socket};
            next if sysread $socket, $one->{said}, 65536, length $one->{said};
            my ($status) = $one->{said} =~ m{^HTTP/1\.\d (\d+)};
            $count{$status // 'none'}++;
            $posted{$one->{number}} = $status // 'none' if $one->{number} % 10 == 0;
            $select->remove($socket);
            delete $at{fileno $socket};
            close $socket;
            $select->add(begin(\%at)) if time < $until || $goes_on && time < $until + 30;
        }
        next if time < $sample + 0.2;
        $sample = time;
        my $now = connections();
        if ($now > $most) { # whoever has just left may still be counted
            sleep 0.1;
            my $again = connections();
            $now = $again if $again < $now;
            $most = $now if $now > $most;
        }
        if ($meanwhile && $count{200} && $count{201} && (time < $until || $goes_on)) {
            $meanwhile->();
            $goes_on = 0;
        }
    }
    return (join(', ', map { "$_: $count{$_}" } sort keys %count), $most);
}

sub singly {
    my %count;
    $count{$httpd->status('/guestbook/entries')}++ for 1 .. 30;
    return join ', ', map { "$_: $count{$_}" } sort keys %count;
}

sub is_served { $httpd->wait_for(sub { $httpd->status('/guestbook/entries') == 200 }) }

# ---- the peaks

my $is_first = 1;
for my $max (@limits) {
    my ($before) = $httpd->apps('guestbook');
    configure($max);
    ok $is_first ? $httpd->start : $httpd->graceful, "at most $max: httpd starts";
    $is_first = 0;
    ok $httpd->wait_for(sub { my @apps = $httpd->apps('guestbook'); @apps == 1 && $apps[0] != ($before // 0) }),
        '... with one process';
    is_served();
    for my $held (@held) {
        my $free = CONNECTIONS - $held;
        cut();
        ok hold($held), "at most $max, others have $held of " . CONNECTIONS;
        is_served() if $free; # what was cut may still have its place for a moment
        is $httpd->status('/guestbook/entries'), $free ? 200 : 503, '... a request';
        my ($statuses, $most) = peak(1);
        like $statuses, $free ? qr/^200: \d+, 201: \d+$/ : qr/^503: \d+$/,
            $free ? '... a peak: each request is served' : '... a peak: each request is refused';
        cmp_ok $most, '<=', $max < $free ? $max : $free, '... with no more connections';
        hold(0) if !$free;
        ok is_served(), '... it is over' if !$free;
        is singly(), '200: 30', '... and each of 30 is served';
    }
    my ($statuses) = peak(1.5, \&cut);
    like $statuses, qr/^200: \d+, 201: \d+(, 503: \d+)?$/, "at most $max, connections are cut";
    ok is_served(), '... it is over';
    is singly(), '200: 30', '... and each of 30 is served';
    if ($max == $limits[-1]) {
        ($statuses) = peak(1.5, sub { postgres('stop'); postgres('start') });
        like $statuses, qr/^200: \d+, 201: \d+(, 503: \d+)?$/, "at most $max, the database starts anew";
        ok is_served(), '... it is over';
        is singly(), '200: 30', '... and each of 30 is served';
    }
    ok $httpd->wait_for(sub { connections() <= 3 }), '... connections that nobody needs are closed';
}

my %stored = map { m{(\d+)\|(\d+)} }
    split /\n/, sql(q{SELECT message, count(*) FROM entries WHERE name = 'peak' GROUP BY 1}, 'guestbook');
is_deeply [grep { $stored{$_} != 1 } keys %stored], [], 'nothing is written twice';
is_deeply [grep { $posted{$_} eq '201' && !$stored{$_} } keys %posted], [], '... nothing is lost';
cmp_ok scalar(keys %stored), '>', 10, '... of what there is';
ok $httpd->stop, 'httpd stops';

done_testing;
