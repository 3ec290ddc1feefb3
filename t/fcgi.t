# SPDX-License-Identifier: Apache-2.0
#
# FastCGI programs behind door_fcgi: what a request and an answer become, both bodies as
# they come, roles, and programs that fail, hang, or are used up.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Copy ();
use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $build = $httpd->{build};
for my $program ("$build/gateways/door_fcgi", "$build/t/apps/fcgi_probe") {
    my $to = "$dir/bin/" . $program =~ s{.*/}{}r;
    File::Copy::copy($program, $to) or die "$program: $!";
    chmod 0755, $to;
}

sub write_file {
    my ($path, $text, $mode) = @_;
    open my $file, '>', "$dir/$path" or die "$path: $!";
    print $file $text;
    close $file or die $!;
    chmod $mode // 0644, "$dir/$path";
}

# The names of sockets are short.
my $tmp = File::Temp->newdir('/tmp/door_fcgi_t.XXXXXX');
mkdir "$dir/files";
write_file('files/report.txt', 'x' x 100_000);
write_file('htdocs/text.probe', "a file\n");
symlink '../htdocs/text.probe', "$dir/files/outside";
write_file('htdocs/page.php', <<'PHP');
<?php
header('X-Powered-By: tests');
if ($_SERVER['REQUEST_METHOD'] == 'POST')
    echo strlen(file_get_contents('php://input')), ' ', $_POST['name'] ?? '-', "\n";
else
    echo getmypid(), ' ', $_GET['q'] ?? '-', ' ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '-', "\n";
error_log('php says ' . ($_GET['q'] ?? 'nothing'));
PHP
write_file('htdocs/crash.php', "<?php\nposix_kill(getmypid(), 9);\n");
mkdir "$dir/htdocs/family";
write_file('htdocs/family/slow.script', "<?php\nusleep((int)\$_GET['ms'] * 1000);\necho getmypid(), \"\\n\";\n");
write_file('bin/fast.pl', <<'PERL', 0755);
#!/usr/bin/perl
use CGI::Fast;
my $count = 0;
while (my $q = CGI::Fast->new) {
    $count++;
    print $q->header(-type => 'text/plain', -status => '201 Made', -cookie => ['a=1', 'b=2']),
        "$count ", $q->param('q') // '-', ' ', $q->request_method, "\n";
}
PERL

# Whatever the query asks for, it says.
write_file('bin/liar.pl', <<'PERL', 0755);
#!/usr/bin/perl
use strict;
sub record { my ($type, $content, $id) = @_; return pack('CCnnCC', 1, $type, $id // 1, length $content, 0, 0) . $content }
my $head = "Content-Type: text/plain\r\n\r\n";
my $end = record(3, pack 'NCx3', 0, 0);
my %answer = (
    truth   => record(6, $head . 'true') . $end,
    http    => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    other   => record(6, $head, 2) . $end,
    cut     => substr(record(6, $head), 0, 20),
    unended => record(6, $head . 'not all'),
    empty   => $end,
    more    => record(6, $head . 'true') . $end . record(6, 'more'),
    long    => join('', map { record(6, 'X: ' . 'y' x 60_000 . "\r\n") } 1 .. 40) . record(6, $head) . $end,
    many    => join('', map { record(6, "X: y\r\n") } 1 .. 1200) . record(6, $head) . $end,
    overloaded => record(3, pack 'NCx3', 0, 2),
    role    => record(3, pack 'NCx3', 0, 3),
    short   => record(6, $head) . record(3, 'abc'),
    values  => record(10, "\x0e\x7fFCGI_MAX_CONNS", 0) . record(6, $head . 'true') . $end,
    params  => record(4, 'x'),
    padded  => pack('CCnnCC', 1, 6, 1, length $head, 200, 0) . $head . "\0" x 200 . record(6, 'true') . $end,
);
while (accept my $client, STDIN) {
    my $got = '';
    while (sysread $client, $got, 65_536, length $got) {
        next unless $got =~ /\x01\x05\x00\x01\x00\x00..\z/s;
        my ($what) = $got =~ /QUERY_STRING([a-z]+)/;
        syswrite $client, $answer{$what};
        $got = '';
        last unless $what =~ /truth|more|values|padded/;
    }
    close $client;
}
PERL

my $gateway = "$dir/bin/door_fcgi";
$httpd->configure(<<"CONF");
LogLevel info
DoorApp probe "$gateway --processes 2 --abort-timeout 1s --queue-length 2 --queue-timeout 60s --sendfile-root $dir/files $dir/bin/fcgi_probe" env=TMPDIR=$tmp stop-timeout=10s
DoorApp single "$gateway --processes 1 --abort-timeout 1s --max-requests 3 $dir/bin/fcgi_probe" env=TMPDIR=$tmp
DoorApp lone "$gateway --processes 1 --abort-timeout 1s $dir/bin/fcgi_probe" env=TMPDIR=$tmp
DoorApp friends "$gateway --role authorizer --processes 1 $dir/bin/fcgi_probe" env=TMPDIR=$tmp
DoorApp capitals "$gateway --role filter --processes 1 $dir/bin/fcgi_probe" env=TMPDIR=$tmp
DoorApp php "$gateway --processes 2 /usr/bin/php-cgi" env=TMPDIR=$tmp
DoorApp family "$gateway --children 3 /usr/bin/php-cgi" env=TMPDIR=$tmp
DoorApp fast "$gateway --processes 1 $dir/bin/fast.pl" env=TMPDIR=$tmp
DoorApp liar "$gateway --processes 1 $dir/bin/liar.pl" env=TMPDIR=$tmp
DoorApp missing "$gateway --processes 2 $dir/bin/none" env=TMPDIR=$tmp
DoorApp broken "$gateway --processes 1 /bin/false" env=TMPDIR=$tmp
<Location /probe>
    DoorHandler probe
</Location>
<Location /hasty>
    DoorHandler lone
    DoorTimeout 1
</Location>
<Location /lone>
    DoorHandler lone
</Location>
<Location /single>
    DoorHandler single
</Location>
<Location /friends>
    DoorHandler friends
    SetEnv REMOTE_USER friend
</Location>
<Location /strangers>
    DoorHandler friends
    SetEnv REMOTE_USER stranger
</Location>
SetEnvIf X-Asked-By (.*) ASKED_BY=\$1
<Location /guarded>
    DoorHandler probe
    DoorAccessChecker friends
    DoorAccessCheckerAuthoritative Off
    Require all granted
</Location>
<Location /strict>
    DoorHandler probe
    DoorAccessChecker friends
</Location>
<FilesMatch "\\.probe\$">
    DoorHandler capitals
</FilesMatch>
<FilesMatch "\\.php\$">
    DoorHandler php
</FilesMatch>
<Directory $dir/htdocs/family>
    DoorHandler family
</Directory>
<Location /fast>
    DoorHandler fast
</Location>
<Location /liar>
    DoorHandler liar
</Location>
<Location /missing>
    DoorHandler missing
</Location>
<Location /broken>
    DoorHandler broken
</Location>
CONF
ok $httpd->start, 'an httpd with FastCGI programs' or BAIL_OUT($httpd->log_text);
my $url = "http://127.0.0.1:$httpd->{port}";

# ---- a request and its answer

my ($status, $body, $head) = $httpd->get('/probe/env?a=b%20c');
is $status, 200, 'a program on libfcgi';
like $head, qr{^Content-Type: text/plain}m, '... its header';
like $body, qr{^PATH_INFO=/env$}m, '... its variables';
like $body, qr{^QUERY_STRING=a=b%20c$}m, '... the query';
like $body, qr{^FCGI_ROLE=RESPONDER$}m, '... the role';
is curl("$url/probe/echo", '--data-binary', 'what goes in'), 'what goes in', 'a body';
is length $httpd->body('/probe/big?3000000'), 3_000_000, 'a long answer';
write_file('upload', 'u' x 5_000_000);
is curl("$url/probe/echo", '--data-binary', "\@$dir/upload"), 'u' x 5_000_000, 'long both ways';
is curl("$url/probe/echo", '--data-binary', "\@$dir/upload", '-H', 'Transfer-Encoding: chunked'),
    'u' x 5_000_000, '... in chunks';
is curl('-I', '-o', '/dev/null', '-w', '%{http_code} %{size_download}', "$url/probe/big?9"), '200 0', 'HEAD';
my $long = 'v' x 4000;
like curl("$url/probe/env", map { ('-H', "X-Long-$_: $long") } 1 .. 20),
    qr{^HTTP_X_LONG_20=\Q$long\E$}m, 'more variables than one record has room for';

($status, $body, $head) = $httpd->get('/probe/head?Status:404|X-A:1|X-A:2');
is $status, 404, 'a status';
like $head, qr{^X-A: 1\r\nX-A: 2\r$}m, '... and repeated headers';
is $httpd->status('/probe/head?Location:http://example.org/'), 302, 'a Location is a redirect';
is $httpd->status('/probe/head?Location:http://example.org/|Status:301'), 301, '... of another status';
is $httpd->body('/probe/head?Location:/static.txt'), "static\n", '... within the server';
for my $nonsense ('no-header', 'Status:twenty', 'Status:99', 'Status:1000', 'Bad(Name:x') {
    is $httpd->status("/probe/head?$nonsense"), 502, "$nonsense is no answer";
}
my $mark = $httpd->mark;
is $httpd->status('/probe/nothing'), 502, 'nor is nothing';
ok $httpd->logs(qr/fcgi_probe|without an answer|no valid/, $mark), '... which is logged';
$mark = $httpd->mark;
is $httpd->status('/probe/stderr?said-by-the-program'), 200, 'its stderr';
ok $httpd->logs(qr/said-by-the-program/, $mark), '... is in the log';

# ---- files by descriptor

is length $httpd->body("/probe/head?X-Sendfile:$dir/files/report.txt|Content-Length:5"), 100_000,
    'X-Sendfile';
($status, $body, $head) = $httpd->get('/probe/head?X-Sendfile:report.txt|Content-Type:text/css');
is "$status " . length $body, '200 100000', '... by a relative name';
like $head, qr{^Content-Type: text/css}m, '... with the type that was said';
unlike $head, qr/Sendfile/, '... which no client is told';
is $httpd->status("/probe/head?X-Sendfile:$_"), 404, "... not $_"
    for "$dir/httpd.conf", '../httpd.conf', 'outside', 'none', '/', "$dir/files";

# ---- as it comes

{
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
    $socket->autoflush(1);
    print $socket "POST /probe/echo?lines HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    my $text = '';
    for my $line ("one\n", "two\n") {
        printf $socket "%x\r\n%s\r\n", length $line, $line;
        my $until = time + 30;
        while ($text !~ /\Q$line\E/ && time < $until) {
            sysread $socket, $text, 4096, length $text or last;
        }
        like $text, qr/\Q$line\E/, "a line is answered before the next one is sent";
    }
    print $socket "0\r\n\r\n";
}

# ---- who waits, and for how long

sub begin {
    my ($path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die $!;
    $socket->autoflush(1);
    print $socket "GET $path HTTP/1.0\r\n\r\n";
    return $socket;
}

sub code { my ($socket) = @_; local $/; return (<$socket> // '') =~ m{^HTTP/1.. (\d+)} ? $1 : 0 }

{
    my @running = map { $httpd->hold('/probe/echo?lines') } 1 .. 2;
    my @asking = map { begin('/probe/pid') } 1 .. 6;
    my @told;
    $httpd->wait_for(sub { (@told = IO::Select->new(@asking)->can_read(0)) >= 4 });
    is join(' ', map { code($_) } @told), '503 503 503 503', 'two run, two wait: the others are told at once';
    is scalar(grep { $httpd->release($_) } @running), 2, '... those that run come to their end';
    my %is_told = map { $_ => 1 } @told;
    is join(' ', map { $is_told{$_} ? () : code($_) } @asking), '200 200', '... and those that wait';
}

# Without a line of the gateway's own they wait in httpd, which costs the gateway no thread.
{
    my $running = $httpd->hold('/lone/echo?lines');
    my @waiting = map { begin('/lone/pid') } 1 .. 11;
    sleep 2;
    my ($pid) = grep { OwnHttpd::parent_of($_) == $httpd->supervisor }
        $httpd->processes(qr{door_fcgi --processes 1 --abort-timeout 1s \S+fcgi_probe});
    my @threads = glob "/proc/$pid/task/*";
    cmp_ok scalar(@threads), '<', 9, 'twelve ask for one process: no thread for each' or diag scalar @threads;
    my $kib = DoorTest::process_kib($pid);
    $kib += DoorTest::process_kib($_) for grep { OwnHttpd::parent_of($_) == $pid } $httpd->processes(qr{door_fcgi --processes 1 --abort});
    cmp_ok $kib, '<', 2048 + 64 * 12, '... and no memory, its keeper\'s included' unless $ENV{ASAN_OPTIONS};
    my %codes;
    $codes{code($_)}++ for @waiting;
    is_deeply \%codes, {503 => 11}, '... and who has waited long enough is told' or diag explain \%codes;
    ok $httpd->release($running), '... the one that runs comes to its end';
}

# ---- programs that are used up, or fail

my %pids;
for (1 .. 9) {
    my ($pid, $served) = split ' ', $httpd->body('/single/pid');
    $pids{$pid // 0}++;
}
is_deeply [values %pids], [3, 3, 3], 'each process has as many requests as it may';
$mark = $httpd->mark;
is $httpd->status('/probe/die'), 502, 'a program that ends in mid-request';
ok $httpd->logs(qr/exit status 3/, $mark), '... the log tells how';
ok $httpd->logs(qr/closed the connection in mid-request/, $mark), '... and what that was to the request';
is $httpd->status('/probe/pid'), 200, '... another one is there' for 1 .. 5;
isnt system("curl -s -o $dir/out '$url/probe/die-late?100'"), 0,
    'one that ends in the middle of its answer: the client sees that';
is $httpd->status('/single/die'), 502, 'the only one';
is $httpd->status('/single/pid'), 200, '... is there again';
for my $i (1 .. 5) {
    my ($pid) = split ' ', $httpd->body('/single/pid');
    kill 'KILL', $pid;
    $httpd->wait_for(sub { !kill 0, $pid });
    is $httpd->status('/single/pid'), 200, 'one that was killed between two requests is no failure';
}

my ($before) = split ' ', $httpd->body('/lone/pid');
$mark = $httpd->mark;
is $httpd->status('/hasty/sleep?600000'), 504, 'a program that goes on and on: its time is over';
ok $httpd->logs(qr/nobody waits for it/, $mark), '... and so is its life';
ok $httpd->wait_for(sub { !kill 0, $before }), '... really';
is $httpd->status('/lone/pid'), 200, '... there is another one';

($before) = split ' ', $httpd->body('/lone/pid');
$mark = $httpd->mark;
# The client must not be gone before the program has the request.
for my $patience (1 .. 5) {
    my $socket = begin('/lone/sleep?600000');
    sleep 0.5 * $patience;
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    close $socket;
    last if $httpd->wait_for(sub { !kill 0, $before }, 10);
}
ok !kill(0, $before), 'nor does one go on whose client has gone';
is $httpd->status('/lone/pid'), 200, '... the next client has its answer';

is $httpd->status('/missing/'), 503, 'a program that is not there';
ok $httpd->logs(qr/none cannot be started/), '... the log tells';
is $httpd->status('/broken/'), 503, 'one that ends at once' for 1 .. 2;
ok $httpd->logs(qr/failed \d times in a row/), '... is not started again and again';

# ---- what is no FastCGI, or not what was asked for

for my $truth (qw(truth values padded more)) {
    is $httpd->body("/liar?$truth"), 'true', "an answer: $truth";
}
for my $lie (qw(http other cut empty long many role short params)) {
    is $httpd->status("/liar?$lie"), 502, "none: $lie";
    is $httpd->body('/liar?truth'), 'true', '... and the next request has its own';
}
is $httpd->status('/liar?overloaded'), 503, 'a program that is overloaded';
is $httpd->status('/liar?unended'), 502, 'one that does not end its answer';

# ---- roles

($status, $body, $head) = $httpd->get('/friends/any');
is $status, 200, 'an authorizer lets one in';
like $head, qr/^Variable-PATH-INFO: ?\r$/m, '... and has not seen what is not for it';
is $httpd->status('/strangers/any'), 403, '... and another one not';
sub asked { return curl('-o', "$dir/out", '-w', '%{http_code}', '-H', "X-Asked-By: $_[1]", "$url$_[0]") }
is asked('/strict/env', 'friend'), 200, 'as DoorAccessChecker it lets one pass';
like do { local (@ARGV, $/) = "$dir/out"; <> }, qr{^ANSWERED=ACCESS_CHECKER$}m, '... it has been told what is asked';
is asked('/strict/env', 'stranger'), 401, '... and another one not';
is asked('/guarded/env', 'nobody'), 503, 'one that ends lets nobody pass';
is asked('/guarded/env', 'friend'), 200, '... and is there again';
is $httpd->body('/text.probe'), '7 bytes, A FILE' . "\n", 'a filter';
is curl("$url/text.probe", '-d', 'body, '), "7 bytes, body, A FILE\n", '... with a body';
is $httpd->status('/none.probe'), 404, '... without a file';

# ---- PHP

like $httpd->body('/page.php?q=hello'), qr{^\d+ hello /page.php -$}, 'PHP';
like $httpd->body('/page.php/below/it?q=1'), qr{^\d+ 1 /page.php /below/it$}, '... and PATH_INFO';
is curl("$url/page.php", '-d', 'name=value'), "10 value\n", '... a form';
is curl("$url/page.php", '-H', 'Content-Type: x/y', '--data-binary', "\@$dir/upload"), "5000000 -\n", '... an upload';
ok $httpd->logs(qr/php says hello/), '... its error_log';
is $httpd->status('/none.php'), 404, '... no script';
is $httpd->status('/crash.php'), 502, '... one that kills it';
%pids = map { (split ' ', $httpd->body('/page.php'))[0] => 1 } 1 .. 600;
cmp_ok scalar(keys %pids), '<=', 2, '... serves more requests than PHP itself would' or diag explain \%pids;

{
    my @running = map { begin('/family/slow.script?ms=1000') } 1 .. 9;
    my %answers;
    for (@running) {
        local $/;
        my ($code, $pid) = <$_> =~ /^HTTP\S+ (\d+).*?\r\n\r\n(.*)/s;
        $answers{"$code $pid"}++;
    }
    is scalar(keys %answers), 3, "PHP with children of its own: three" or diag explain \%answers;
    is scalar(grep { /^200 \d+$/ } keys %answers), 3, '... answer all';
    # One that is not through yet is left out once.
    cmp_ok((sort { $b <=> $a } values %answers)[0], '<=', 4, '... in turn');
}

# ---- Perl

($status, $body, $head) = $httpd->get('/fast/?q=1');
is "$status $body", "201 1 1 GET\n", 'Perl on CGI::Fast';
like $head, qr/^Set-Cookie: a=1\r\nSet-Cookie: b=2\r$/m, '... its cookies';
is $httpd->body('/fast/?q=2'), "2 2 GET\n", '... again, by the same process';

# ---- nothing outlives it

my ($left) = $httpd->body('/probe/leave') =~ /^(\d+)$/;
ok kill(0, $left), 'a process that a program has left in another session';
$httpd->body('/probe/die');
ok kill(0, $left), '... goes on when the program ends';
sub temporary { my @found = glob "$tmp/*"; return @found }

cmp_ok scalar(temporary()), '>=', 7, 'each gateway has a directory for its sockets';

my ($probe_gateway) = grep { my $pid = $_; OwnHttpd::parent_of($pid) == $httpd->supervisor }
    $httpd->processes(qr{door_fcgi --processes 2 --abort});
my ($family_gateway) = grep { OwnHttpd::parent_of($_) == $httpd->supervisor }
    $httpd->processes(qr{door_fcgi --children 3});
my @family = descendants($family_gateway);
cmp_ok scalar(@family), '>=', 5, 'a keeper, a program and its children';
kill 'KILL', $probe_gateway, $family_gateway;
ok $httpd->wait_for(sub { !kill 0, $left }), 'SIGKILL to the gateway ends that too';
ok $httpd->wait_for(sub { !grep { kill 0, $_ } @family }), '... and php-cgi with its children';
is $httpd->status('/probe/pid'), 200, 'it is started anew';

# The keeper killed: the gateway and its programs end.
like $httpd->body('/family/slow.script?ms=1'), qr/^\d+$/, 'PHP answers';
($family_gateway) = grep { OwnHttpd::parent_of($_) == $httpd->supervisor }
    $httpd->processes(qr{door_fcgi --children 3});
@family = descendants($family_gateway);
my ($keeper) = grep { OwnHttpd::parent_of($_) == $family_gateway } @family;
kill 'KILL', $keeper;
ok $httpd->wait_for(sub { !grep { kill 0, $_ } $family_gateway, @family }),
    'a keeper that is killed takes all with it';
ok $httpd->wait_for(sub { $httpd->body('/family/slow.script?ms=1') =~ /^\d+$/ }), '... and all is there again';

sub descendants {
    my ($of) = @_;
    my @found = map { m{(\d+)} && OwnHttpd::parent_of($1) == $of ? $1 : () } glob '/proc/[0-9]*/stat';
    return map { ($_, descendants($_)) } @found;
}

my @all = map { ($_, descendants($_)) } $httpd->supervisor;
cmp_ok scalar(@all), '>', 15, 'many processes';
ok $httpd->stop, 'httpd stops';
ok $httpd->wait_for(sub { !grep { kill 0, $_ } @all }), '... and all of them'
    or diag join "\n", map { `ps -o pid,ppid,args -p $_` } grep { kill 0, $_ } @all;
ok !temporary(), '... no directory is left' or diag join ' ', temporary();

done_testing;
