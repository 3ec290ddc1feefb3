# SPDX-License-Identifier: Apache-2.0
#
# FastCGI programs that are linked with -ldoor_fcgi in place of -lfcgi, beside the same
# sources with libfcgi behind mod_fcgid; filters, which that does not have, behind door_fcgi.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

plan skip_all => 'the MPM has no part in it' if mpm() ne 'event';

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $ours = "$httpd->{build}/t/door_fcgi";
my $theirs = "$httpd->{build}/t/fcgi";
my ($modules) = $httpd->{modules} =~ m{"?(/\S+)/mod_alias\.so};
my $has_fcgid = -e "$modules/mod_fcgid.so" && -x "$theirs/threads";

my $config = <<"CONF";
LimitRequestBody 0
DoorApp threads "$ours/threads"
DoorApp stdio "$ours/stdio"
DoorApp streams "$ours/streams"
DoorApp filter "$ours/filter" env=DOOR_FCGI_ROLE=filter
DoorApp guard "$ours/filter" env=DOOR_FCGI_ROLE=authorizer
DoorApp confused "$ours/filter" env=DOOR_FCGI_ROLE=judge
DoorApp their_filter "$httpd->{build}/gateways/door_fcgi --role filter $theirs/filter"
<Location /d/threads>
    DoorHandler threads
</Location>
<Location /d/stdio>
    DoorHandler stdio
</Location>
<Location /d/streams>
    DoorHandler streams
</Location>
<FilesMatch "\\.ours\$">
    DoorHandler filter
</FilesMatch>
<FilesMatch "\\.theirs\$">
    DoorHandler their_filter
</FilesMatch>
<Location /d/guard>
    DoorHandler guard
</Location>
<Location /d/confused>
    DoorHandler confused
</Location>
<Location /guarded>
    DoorAccessChecker threads
</Location>
CONF
$config .= <<"CONF" if $has_fcgid;
LoadModule fcgid_module $modules/mod_fcgid.so
FcgidIPCDir $dir/run
FcgidProcessTableFile $dir/run/fcgid
FcgidMaxRequestLen 100000000
<Location /f>
    SetHandler fcgid-script
    Options ExecCGI
</Location>
Alias /f/threads "$dir/htdocs/threads"
Alias /f/stdio "$dir/htdocs/stdio"
Alias /f/streams "$dir/htdocs/streams"
<Directory "$dir/htdocs">
    Require all granted
</Directory>
CONF
# mod_fcgid runs the file that the URL is mapped to.
for my $name (qw(threads stdio streams)) {
    next unless $has_fcgid;
    open my $in, '<', "$theirs/$name" or die;
    open my $out, '>', "$dir/htdocs/$name" or die;
    local $/;
    print $out scalar <$in>;
    close $out;
    chmod 0755, "$dir/htdocs/$name";
}
$httpd->configure($config);
ok $httpd->start, 'httpd starts' or diag $httpd->log_text;
my $base = "http://127.0.0.1:$httpd->{port}";

sub ask { my ($path, @options) = @_; return ask_url("$base$path", @options) }

# What a client can tell two answers apart by, but for the time and how the body is framed.
sub seen {
    my ($path, @options) = @_;
    my $answer = ask($path, @options);
    my $headers = $answer->{headers};
    delete @$headers{qw(date server transfer-encoding content-length connection keep-alive last-modified etag)};
    return {status => $answer->{status}, body => $answer->{body},
        headers => {map { $_ => join ', ', @{$headers->{$_}} } keys %$headers}};
}

my $large = "$dir/large";
open my $file, '>', $large or die;
print $file join '', map { "line $_ of a large body\n" } 1 .. 200_000;
close $file;

# ---- beside libfcgi, but for large bodies to and fro, in which mod_fcgid gets stuck

SKIP: {
    skip 'no mod_fcgid, or no libfcgi, here', 1 unless $has_fcgid;
    for (['threads?vars'], ['threads?bare'], ['threads?nothing'], ['threads?nonsense'], ['threads?status=418'],
        ['threads?status=204'], ['threads?local'], ['threads?slow'], ['threads?after'], ['threads?big=5000'],
        ['threads?unread'], ['threads?unread', '-d', 'x' x 3000], ['threads?unread', '-T', $large],
        ['threads?echo'], ['threads?echo', '-d', 'a body'], ['threads?echo', '-d', 'x' x 30_000],
        ['threads?echo', '-d', 'nul', '-H', 'Content-Type: x/y'], ['threads?upload', '-T', $large],
        ['threads?upload', '-d', "a\nb"], ['threads?status=418', '-I'],
        ['stdio?one'], ['stdio?two', '-d', "first line\nthe rest"], ['stdio?three', '-d', "a line\n" x 4000],
        map({ my $room = $_; map { my $body = $_; map { ["streams?$room$_", @$body] }
            qw(words peek unget lines bytes echo) } [], ['-d', "some words,\nand a \xff line"], ['-d', "line\n" x 5000] }
            '', 'room-'),
        ['streams?numbers'], ['streams?room-numbers'], ['streams?closed'], ['streams?attach', '-d', 'two words'])
    {
        my ($query, @options) = @$_;
        my $here = seen("/d/$query", @options);
        my $there = seen("/f/$query", @options);
        # What names the place, or mod_fcgid has made up: the length of no body, a hop's header.
        s{^(?:SCRIPT_\w+|REQUEST_URI|REMOTE_PORT|PATH\w*|UNIQUE_ID|CONTEXT_\w+|DOCUMENT_ROOT|HTTP_ACCEPT_ENCODING|LD_LIBRARY_PATH|SERVER_SIGNATURE|CONTENT_LENGTH|HTTP_CONNECTION)=[^\n]*\n}{}mg
            for $here->{body}, $there->{body};
        delete @$_{qw(body headers)} for $here->{status} >= 500 ? ($here, $there) : ();
        for ($here, $there) {
            $_->{body} = length($_->{body}) . ' bytes, ' . sha256_hex($_->{body}) if length($_->{body} // '') > 2000;
        }
        my $what = "$query @{[map { substr $_, 0, 20 } @options]}";
        is_deeply $here, $there, $what;
    }
}

# ---- filters

SKIP: {
    skip 'no libfcgi here', 1 unless -x "$theirs/filter";
    for my $name (qw(ours theirs)) {
        open my $text, '>', "$dir/htdocs/text.$name" or die;
        print $text map { "line $_ of the file, which is rather longer than what is read at a time\n" } 1 .. 3000;
        close $text;
        open my $empty, '>', "$dir/htdocs/empty.$name" or die;
        open my $sparse, '>', "$dir/htdocs/sparse.$name" or die;
        truncate $sparse, 50_000_000 or die;
        utime 1_000_000_000, 1_000_000_000, glob "$dir/htdocs/*.$name";
    }
    for (['text', 'vars'], ['text', 'both', '-d', 'the body, '], ['text', 'both'],
        ['text', 'twice'], ['text', 'lines'], ['text', 'nothing'], ['empty', 'both', '-d', 'a body'],
        ['sparse', 'big'], ['text', 'both', '-T', $large], ['none', 'both'])
    {
        my ($file, $query, @options) = @$_;
        my ($here, $there) = map { seen("/$file.$_?$query", @options) } qw(ours theirs);
        delete @$_{qw(body headers)} for $here->{status} >= 400 ? ($here, $there) : ();
        $_->{body} = length $_->{body} > 2000 ? sha256_hex($_->{body}) : $_->{body} for grep { exists $_->{body} } $here, $there;
        is_deeply $here, $there, "a filter: $file?$query @{[map { substr $_, 0, 20 } @options]}"
            or diag explain $here, $there;
    }
    like ask('/text.ours?both', '-d', 'a body')->{body}, qr/^A BODY\[0 0 0\]LINE 1 OF THE FILE/, '... of both';
    is ask('/none.ours?both')->{status}, 404, '... of nothing';
    # With libfcgi the file is lost then.
    like ask('/text.ours?early', '-d', 'a body')->{body}, qr/^\[1 -5 -1\]\[0 -5 0\]LINE 1 OF THE FILE/, '... too early, and then in time';
}
is ask('/d/guard?vars', '-d', 'a body')->{body}, "AUTHORIZER none none 0\n[1 -5 -1]0", 'an authorizer has no body';
is ask('/d/confused?vars')->{status}, 503, 'a role that there is not';
ok $httpd->logs(qr/DOOR_FCGI_ROLE: responder, authorizer or filter/), '... which the log tells';

# ---- what only we have

my $answer = ask('/d/threads?echo', '-T', $large);
is length $answer->{body}, -s $large, 'a body, to and fro';
is ask('/d/threads?big=20000')->{body}, 'x' x 20_000_000, '20 MB';
my $huge = "$dir/huge";
open $file, '>', $huge or die;
truncate $file, 1 << 30 or die;
close $file;
is ask('/d/threads?count', '-T', $huge)->{body}, (1 << 30) . "\n", '1 GiB';
unlink $huge;
my $mark = $httpd->mark;
is ask('/d/threads?exit')->{status}, 502, 'a program that exits in mid-request';
ok $httpd->logs(qr/exits in mid-request/, $mark), '... what it has said is in the log';
ok $httpd->wait_for(sub { ask('/d/threads?bare')->{status} == 200 }), '... and it is there again';
like curl('-w', '\n%{exitcode}', "$base/d/threads?abort"), qr/^some\n18$/, 'one that dies in mid-response';
ok $httpd->wait_for(sub { ask('/d/threads?bare')->{status} == 200 }), '... and it is there again';
$mark = $httpd->mark;
is ask('/d/threads?nothing')->{status}, 500, 'no response';
ok $httpd->logs(qr/no valid response/, $mark), '... which the log tells';
is ask('/guarded/static.txt?bare')->{status}, 404, 'a question: yes';
is ask('/guarded/static.txt?status=403')->{status}, 401, '... no';
is ask('/guarded/static.txt?nonsense')->{status}, 503, '... no answer';

# More at once than there are threads that accept: they wait.
{
    my $since = time;
    my @pids = map { my $pid = fork // die $!; if (!$pid) { my $ok = ask('/d/threads?slow')->{body} eq "one\ntwo\n"; POSIX::_exit(!$ok) } $pid } 1 .. 12;
    my $failed = 0;
    waitpid($_, 0), $failed += $? != 0 for @pids;
    is $failed, 0, 'twelve at once with four threads';
    cmp_ok time - $since, '>', 0.8, '... in three rounds';
}
# A client that leaves: the next one is answered.
{
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30);
    print $socket "GET /d/threads?big=10000000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    sysread $socket, my $some, 10_000;
    close $socket;
    is ask('/d/threads?bare')->{status}, 200, 'a client that leaves';
}
# Clients that leave while they wait: nothing is done for them.
{
    my $mark = $httpd->mark;
    my @sockets = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30) } 1 .. 40;
    print $_ "GET /d/threads?heard HTTP/1.1\r\nHost: localhost\r\n\r\n" for @sockets;
    my $heard = sub { scalar(() = $httpd->since($mark) =~ /heard$/mg) };
    ok $httpd->wait_for(sub { $heard->() >= 4 }), 'forty at once with four threads';
    close $_ for @sockets;
    is ask('/d/threads?bare')->{status}, 200, '... leave: the next one is answered';
    cmp_ok $heard->(), '<', 40, '... and some of them were not heard any more';
}
# One that ends by itself: what it has begun is answered, what waits in its line is told.
{
    my @accepted = map {
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30) or die $!;
        raw_send($socket, "GET /d/threads?slow HTTP/1.0\r\nHost: localhost\r\n\r\n");
        raw_begins($socket) or die "no answer\n";
        $socket;
    } 1 .. 3;
    my @pids = map { my $n = $_; my $pid = fork // die $!; if (!$pid) {
        sleep 0.05 * $n;
        my $answer = ask($n == 0 ? '/d/threads?shutdown' : '/d/threads?slow');
        POSIX::_exit($answer->{status} == 200 && $answer->{body} eq "one\ntwo\n" ? 1
            : $answer->{status} == 503 && $answer->{headers}{'retry-after'} ? 2 : 3) } $pid } 0 .. 8;
    my %ends;
    $ends{parse_response(raw_rest($_))->{body} eq "one\ntwo\n" ? 1 : 3}++ for @accepted;
    waitpid($_, 0), $ends{$? >> 8}++ for @pids;
    ok !exists $ends{3}, 'FCGX_ShutdownPending()' or diag explain \%ends;
    cmp_ok $ends{1} // 0, '>=', 4, '... what was accepted is answered';
    ok $httpd->wait_for(sub { ask('/d/threads?bare')->{status} == 200 }), '... it is there again';
}
# A graceful restart replaces it while it is asked.
{
    my $load = $httpd->load('/d/threads?vars', 4);
    ok $httpd->goes_on($load, 40), 'requests go on';
    utime undef, undef, "$ours/threads";
    my ($before) = $httpd->processes(qr{door_fcgi/threads});
    $httpd->configure($config =~ s/(DoorApp threads "[^"]*")/$1 env=NEW=yes/r);
    $httpd->graceful;
    ok $httpd->wait_for(sub { ask('/d/threads?bare')->{status} == 200 }), '... through a restart';
    ok $httpd->goes_on($load, 40), '... and on';
    my $statuses = $httpd->end_load($load);
    is_deeply [grep { $_ ne '200' && $_ ne '0' } sort keys %$statuses], [], '... none fails';
}
# As a CGI program, without a door.
my $text = `env -i QUERY_STRING=cgi $ours/stdio 2>/dev/null`;
like $text, qr{^Content-type: text/plain\r\n\r\nquery cgi, count more\n}, 'a CGI program, where there is no door';

ok $httpd->stop, 'httpd stops';
done_testing;
