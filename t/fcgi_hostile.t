# SPDX-License-Identifier: Apache-2.0
#
# door_fcgi between programs and clients that do their worst: endless answers, connections
# that close at each byte, signals to each of its processes, directories that are cleaned
# up.  Whatever it was, the next request is answered, and nothing stays.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy ();
use File::Path ();
use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep);
use DoorTest;

plan skip_all => 'the MPM has no part in it' if mpm() ne 'event';

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $tmp = File::Temp->newdir('/tmp/door_fcgi_h.XXXXXX');
for my $program (qw(gateways/door_fcgi t/apps/fcgi_probe)) {
    my $to = "$dir/bin/" . $program =~ s{.*/}{}r;
    File::Copy::copy("$httpd->{build}/$program", $to) or die "$program: $!";
    chmod 0755, $to;
}

# It does what the query says: WHAT, or WHAT=NUMBER.
open my $file, '>', "$dir/bin/foe.pl" or die $!;
print $file <<'PERL';
#!/usr/bin/perl
use strict;
$SIG{PIPE} = 'IGNORE';
sub record { my ($type, $content, $id) = @_; return pack('CCnnCC', 1, $type, $id // 1, length $content, 0, 0) . $content }
my $head = "Content-Type: text/plain\r\n\r\n";
my $end = record(3, pack 'NCx3', 0, 0);
my $truth = record(6, $head . 'true') . $end;
sub forever { my ($client, $bytes) = @_; 1 while syswrite $client, $bytes }
my %do = (
    truth   => sub { syswrite $_[0], $truth },
    torn    => sub { syswrite $_[0], record(6, "Status: 403\r\nStatus: 200\r\n\r\n") . $end },
    stderr  => sub { forever($_[0], record(7, "it never ends\n" x 100)) },
    silent_stderr => sub { forever($_[0], record(7, '')) },
    headers => sub { forever($_[0], record(6, "X-Header: value\r\n" x 100)) },
    line    => sub { forever($_[0], record(6, 'x' x 30_000)) },
    values  => sub { forever($_[0], record(10, '', 0)) },
    empty   => sub { forever($_[0], record(6, '')) },
    dribble => sub { syswrite $_[0], record(6, $head); while (syswrite $_[0], record(6, 'x')) { select undef, undef, undef, 0.1 } },
    slow_head => sub { for my $byte (split //, record(6, $head x 50)) { syswrite $_[0], $byte or last; select undef, undef, undef, 0.1 } },
    body    => sub { syswrite $_[0], record(6, $head); forever($_[0], record(6, 'x' x 60_000)) },
    half    => sub { syswrite $_[0], record(6, $head . 'half'); shutdown $_[0], 1; sleep 30 if sysread $_[0], my $rest, 1; },
    deaf    => sub { shutdown $_[0], 0; syswrite $_[0], $truth },
    hang    => sub { sleep 600 },
    stop    => sub { kill 'STOP', $$ },
    length  => sub { syswrite $_[0], record(6, $head) . pack('CCnnCC', 1, 6, 1, 65_535, 255, 255) . 'ten bytes.' },
    end     => sub { syswrite $_[0], record(6, $head) . record(3, "\0" x $_[1]) },
    close   => sub { syswrite $_[0], substr $truth, 0, $_[1] },
);
while (accept my $client, STDIN) {
    my $got = '';
    while (sysread $client, $got, 65_536, length $got) {
        next unless $got =~ /QUERY_STRING([a-z_]+)(?:=(\d+))?/;
        my ($what, $number) = ($1, $2);
        last if $what eq 'early' && length $got >= $number; # before it has read all
        # A question has no body: it ends with its variables.
        my $last = ord(substr $got, 9, 1) == 2 ? "\x04" : "\x05";
        next unless $got =~ /\x01$last\x00\x01\x00\x00..\z/s || $what eq 'deaf';
        $do{$what}->($client, $number) if $do{$what};
        $got = '';
        last unless $what eq 'truth';
    }
    close $client;
}
PERL
close $file or die;
chmod 0755, "$dir/bin/foe.pl";

my $gateway = "$dir/bin/door_fcgi --abort-timeout 500ms --stop-timeout 2s";
mkdir "$tmp/closed", 0555;
$httpd->configure(<<"CONF");
LogLevel info
DoorApp foe "$gateway --processes 1 $dir/bin/foe.pl" env=TMPDIR=$tmp stop-timeout=8s
DoorApp pair "$gateway --processes 2 --queue-length 4 $dir/bin/fcgi_probe" env=TMPDIR=$tmp stop-timeout=8s
DoorApp nowhere "$gateway --processes 1 $dir/bin/fcgi_probe" env=TMPDIR=$tmp/closed
<Location /foe>
    DoorHandler foe
    DoorTimeout 1
</Location>
# For what comes to its end by itself, however slow the machine is.
<Location /calm>
    DoorHandler foe
    DoorTimeout 60
</Location>
<Location /pair>
    DoorHandler pair
    DoorTimeout 60
</Location>
<Location /asked>
    DoorHandler pair
    DoorTimeout 1
    DoorAccessChecker foe
    DoorAccessCheckerAuthoritative Off
</Location>
<Location /hasty>
    DoorHandler pair
    DoorTimeout 1
</Location>
<Location /nowhere>
    DoorHandler nowhere
    DoorTimeout 2
</Location>
CONF
ok $httpd->start, 'an httpd with FastCGI programs' or BAIL_OUT($httpd->log_text);
my $url = "http://127.0.0.1:$httpd->{port}";

sub descendants {
    my ($of) = @_;
    my @found = map { m{(\d+)} && OwnHttpd::parent_of($1) == $of ? $1 : () } glob '/proc/[0-9]*/stat';
    return map { ($_, descendants($_)) } @found;
}
sub gateway_of {
    my ($what) = @_;
    my ($pid) = grep { OwnHttpd::parent_of($_) == $httpd->supervisor } $httpd->processes($what);
    return $pid // 0;
}
# But for what each further process of httpd that has called needs.
sub descriptors {
    my @found = map { readlink // '' } glob "/proc/$_[0]/fd/*";
    return @found - 6 * grep { /memfd:door/ } @found;
}
# That takes a moment for each thread.
sub freeze {
    kill 'STOP', @_;
    return $httpd->wait_for(sub {
        for my $stat (map { glob "/proc/$_/task/*/stat" } @_) {
            open my $file, '<', $stat or next;
            return 0 unless (<$file> // '') =~ /\) T /;
        }
        return 1;
    });
}
sub begin {
    my ($path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
    syswrite $socket, "GET $path HTTP/1.0\r\n\r\n";
    return $socket;
}
sub code { my ($socket) = @_; local $/; return (<$socket> // '') =~ m{^HTTP/1.. (\d+)} ? $1 : 0 }
sub is_well { my ($path) = @_; return $httpd->wait_for(sub { $httpd->body($path) =~ /^(?:true|\d+ \d+)$/ }) }

is $httpd->body('/calm/?truth'), 'true', 'a program that can answer';
my $foe = gateway_of(qr{door_fcgi .*foe\.pl});
my $before = descriptors($foe);

# ---- a program that does not come to an end

for (['stderr', 504], ['silent_stderr', 504], ['headers', '50[24]'], ['line', '50[24]'], ['values', 504], ['empty', 504],
    ['slow_head', 504], ['hang', 504], ['stop', 504], ['length', 502], ['half', 502], ['dribble', 0], ['body', 0]) {
    my ($what, $status) = @$_;
    # 0: it goes on until the client leaves.
    my $path = $status eq 502 || !$status ? 'calm' : 'foe';
    my $said = curl('-o', '/dev/null', '-w', '%{http_code} %{exitcode}', '-m', $status ? 100 : 3, "$url/$path/?$what");
    $status ? like($said, qr/^$status 0$/, "$what: $status") : is($said, '200 28', "$what: the client leaves");
    ok is_well('/calm/?truth'), '... and the next request has its own answer' or diag $httpd->log_text;
}

# ---- one that is asked whether a request may pass

ok is_well('/asked/pid?truth'), 'a program that lets requests pass';
for my $what (qw(hang stop torn body)) {
    is $httpd->status("/asked/pid?$what"), 503, "... $what: nobody passes";
    ok is_well('/asked/pid?truth'), '... but the next one' or diag $httpd->log_text;
}
# In KiB.
my ($most) = do { local (@ARGV, $/) = "/proc/$foe/status"; <> } =~ /^VmHWM:\s+(\d+)/m;
cmp_ok $most, '<', 60_000, '... and nobody keeps the body, which never ends, of what is no page';
is $httpd->status('/calm/?torn'), 200, 'of a response with two statuses the last one counts, as in httpd';

# ---- one that closes the connection at each point

my %ends;
my $whole = 8 + 34 + 16; # what truth has
for my $sent (0 .. $whole) {
    my $answer = ask_url("$url/calm/?close=$sent");
    $ends{$sent == $whole ? $answer->{body} : $answer->{status}}++;
    $ends{other}++ unless $httpd->body('/calm/?truth') eq 'true';
}
is delete $ends{true}, 1, 'a connection that closes behind the answer';
is_deeply [grep { !/^(?:200|502|0)$/ } keys %ends], [], '... before: no answer, or one that breaks off' or diag explain \%ends;
my $is_whole = 0;
for my $read (0 .. 40) {
    my $answer = ask_url("$url/calm/?early=" . 20 * $read);
    $is_whole++ if $answer->{status} == 200;
    $is_whole++ unless $httpd->body('/calm/?truth') eq 'true';
}
is $is_whole, 0, 'one that closes before it has read the request: 502, and the next one is answered';
for my $len (0, 1, 7, 9, 300) {
    is $httpd->status("/calm/?end=$len"), 502, "an end of $len bytes";
    is $httpd->body('/calm/?truth'), 'true', '... and the next request has its own answer';
}
open my $large, '>', "$dir/large" or die $!;
print $large 'x' x 3_000_000;
close $large;
like curl('-w', '%{http_code}', '-H', 'Expect:', '-T', "$dir/large", "$url/calm/?deaf"), qr/(?:200|502)$/, 'one that does not read the body';
ok is_well('/calm/?truth'), '... and the next request is answered';

# ---- clients that leave at each point

my $request = "POST /pair/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200\r\n\r\n" . 'b' x 200;
for my $sent (map { 9 * $_ } 1 .. length($request) / 9) {
    for my $is_reset (0, 1) {
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
        syswrite $socket, substr $request, 0, $sent;
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $is_reset;
        close $socket;
    }
}
ok is_well('/pair/pid'), 'clients that leave at each point of a request: the next one is answered' or diag $httpd->log_text;
for my $read (0, 1, 1_000, 100_000, 1_000_000) {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
    syswrite $socket, "GET /pair/big?100000000 HTTP/1.0\r\n\r\n";
    my $got = 0;
    while ($got < $read) { $got += sysread($socket, my $some, 65_536) || last }
    close $socket;
}
ok is_well('/pair/pid'), '... of an answer, too';
# A slow body keeps its process, and nobody else's.
my $slow = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
$slow->autoflush(1);
print $slow "POST /pair/echo?lines HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n";
for (1 .. 4) {
    print $slow "a line...\n";
    like $httpd->body('/pair/pid'), qr/^\d+ \d+$/, 'beside a slow body others are answered';
    sleep 0.2;
}
my $text = '';
sysread $slow, $text, 65_536, length $text or last while $text !~ /(?:a line\.\.\.\n.*){4}/s;
is parse_response($text =~ /\r\n0\r\n\r\n\z/ ? $text : "$text\r\n0\r\n\r\n")->{status}, 200, '... and it has its answer';
close $slow;

# ---- one request more than there is room for

{
    my @running = map { $httpd->hold('/pair/echo?lines') } 1 .. 2;
    my @sockets = map { begin('/pair/pid') } 1 .. 5; # four wait
    my @told;
    $httpd->wait_for(sub { @told = IO::Select->new(@sockets)->can_read(0) });
    is scalar(grep { $httpd->release($_) } @running), 2, 'two run, four wait: all come to their end';
    my %codes;
    $codes{code($_)}++ for @sockets;
    is_deeply \%codes, {200 => 4, 503 => 1}, '... and one too many';
    is scalar @told, 1, '... is told at once';
}

# ---- signals

my $pair = gateway_of(qr{door_fcgi .*--processes 2 });
my ($keeper) = grep { OwnHttpd::parent_of($_) == $pair } descendants($pair);
my @programs;
ok $httpd->wait_for(sub { 2 == (@programs = grep { OwnHttpd::parent_of($_) == $keeper } descendants($pair)) }), 'two programs';
for my $point ('idle', 'busy') {
    my $client;
    if ($point eq 'busy') {
        $client = $httpd->hold('/pair/echo?lines');
    }
    freeze($pair);
    # 503 if the call before it is still counted: then it has waited in line.
    like $httpd->status('/hasty/pid'), qr/^50[34]$/, "$point: the gateway is stopped";
    kill 'CONT', $pair;
    ok is_well('/pair/pid'), '... and goes on';
    ok $httpd->release($client), '... with what it had' if $client;
    @programs = grep { OwnHttpd::parent_of($_) == $keeper } descendants($pair);
    freeze(@programs);
    # Together: the place of one that has not answered is soon another's.
    my @asking = map { begin('/hasty/pid') } 1 .. 2;
    is_deeply [map { code($_) } @asking], [504, 504], "$point: its programs are stopped";
    ok is_well('/pair/pid'), '... others take their places';
    ok $httpd->wait_for(sub { !grep { kill 0, $_ } @programs }), '... and they end';
    freeze($keeper);
    @programs = grep { OwnHttpd::parent_of($_) == $keeper } descendants($pair);
    ok is_well('/pair/pid'), "$point: the keeper is stopped: the programs answer";
    kill 'KILL', @programs;
    # Each finds one that has gone; another one cannot be started now.
    like $httpd->status('/hasty/pid'), qr/^50[234]$/, '... while there are any';
    kill 'CONT', $keeper;
    ok is_well('/pair/pid'), '... and it goes on';
}

# Something cleans TMPDIR up.
File::Path::remove_tree(glob "$tmp/door_fcgi.*");
@programs = grep { OwnHttpd::parent_of($_) == $keeper } descendants($pair);
kill 'KILL', @programs;
$httpd->wait_for(sub { !grep { kill 0, $_ } @programs });
ok is_well('/pair/pid'), 'the directory of the sockets is gone: it is made anew';
my ($made) = grep { -d } glob "$tmp/door_fcgi.*";
is sprintf('%o', (stat $made)[2] & 0777), '700', '... for its user alone';

my $mark = $httpd->mark;
is $httpd->status('/nowhere/pid'), 503, 'a TMPDIR in which nothing can be made';
ok $httpd->logs(qr/door_fcgi: \S+fcgi_probe: Permission denied/), '... which the log tells';

# ---- nothing is left

ok $httpd->wait_for(sub { descriptors($foe) <= $before + 4 }), 'no descriptors have stayed'
    or diag join "\n", $before, map { readlink // '' } glob "/proc/$foe/fd/*";
is gateway_of(qr{door_fcgi .*foe\.pl}), $foe, '... and it is the process that it was';

# A stopped keeper hears of the end.
my ($left) = $httpd->body('/pair/leave') =~ /^(\d+)$/;
ok kill(0, $left), 'a process that a program has left in another session';
my @all = ($pair, descendants($pair), $left);
freeze($keeper);
kill 'KILL', $pair;
ok $httpd->wait_for(sub { !grep { kill 0, $_ } @all }), 'the gateway is killed while its keeper is stopped: both end, and all programs'
    or diag map { `ps -o pid,ppid,stat,args -p $_` } grep { kill 0, $_ } @all;
ok $httpd->wait_for(sub { !-e $made }), '... their directory is gone';
ok is_well('/pair/pid'), '... and all is there again';
$pair = gateway_of(qr{door_fcgi .*--processes 2 });
@all = map { ($_, descendants($_)) } $httpd->supervisor;
my @keepers = grep { my $parent = OwnHttpd::parent_of($_); $parent == $pair || $parent == $foe } @all;
freeze(@keepers);
ok $httpd->stop, 'httpd stops, though the keepers are stopped';
ok $httpd->wait_for(sub { !grep { kill 0, $_ } @all }), '... and all that there was'
    or diag map { `ps -o pid,ppid,stat,args -p $_` } grep { kill 0, $_ } @all;
kill 'CONT', grep { kill 0, $_ } @keepers;
is_deeply [grep { -d && !/closed/ } glob "$tmp/*"], [], '... no directory is left';

done_testing;
