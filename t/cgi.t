# SPDX-License-Identifier: Apache-2.0
#
# CGI programs behind door_cgi, beside mod_cgid with the same ones; git's http-backend.

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
my $gateway = "$httpd->{build}/gateways/door_cgi";
mkdir "$dir/$_" or die "$_: $!" for qw(cgi cgi/sub cgi/plain git home);

sub program {
    my ($name, $text, $mode) = @_;
    open my $file, '>', "$dir/cgi/$name" or die "$name: $!";
    print $file $text;
    close $file or die;
    chmod $mode // 0755, "$dir/cgi/$name" or die;
}

my $sh = "#!/bin/sh\n";
my $plain = "printf 'Content-Type: text/plain\\r\\n\\r\\n'\n";
program(env => "$sh${plain}exec /usr/bin/env\n");
program('sub/env' => "$sh${plain}exec /usr/bin/env\n");
program(where => "$sh${plain}pwd; echo \$0; echo \$#\n");
program(echo => "$sh${plain}exec cat\n");
program(sum => "$sh${plain}exec sha256sum\n");
program(deaf => "$sh${plain}echo deaf\n");
program(status => "${sh}printf 'Status: 418 Teapot\\nX-A: 1\\nX-A: 2\\nContent-Type: text/x\\n\\nbody'\n");
program(local => "${sh}printf 'Location: /cgi-bin/env?local=1\\n\\n'\n");
program(away => "${sh}printf 'Location: http://example.com/\\n\\n'\n");
program(nothing => "${sh}exit 3\n");
program(nonsense => "${sh}echo nonsense; echo; echo body\n");
program(forged => "${sh}printf 'X-A: b\\nX B: c\\n\\nbody'\n");
program(unended => "${sh}printf 'Content-Type: text/plain\\n'\n");
program('bad-status' => "${sh}printf 'Status: 99\\n\\nbody'\n");
program(endless => "${sh}while :; do echo X-Header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done\n");
program(complains => "${sh}echo what is wrong >&2\n${plain}echo body\n");
program(slow => "${sh}${plain}echo one; for i in \$(seq 300); do test -e $dir/go && break; sleep 0.1; done; echo two\n");
program(big => "#!/usr/bin/perl\nprint qq{Content-Type: text/plain\\n\\n}; print 'x' x 65536 for 1 .. 320;\n");
program('nph-served' => "${sh}printf 'HTTP/1.0 203 Fine\\r\\nX-A: b\\r\\n\\r\\nbody'\n");
program('nph-framed' => "${sh}printf 'HTTP/1.0 200 Fine\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n'\n");
# Its children, too: they tell their numbers.
program(hangs => "${sh}echo \$\$ >$dir/hangs; sleep 300 & echo \$! >>$dir/hangs\n"
    . "sh -c 'trap \"\" TERM; echo \$\$ >>$dir/hangs; sleep 300; sleep 300'\n");
program(stalls => "${sh}${plain}echo one; echo \$\$ >$dir/stalls; exec sleep 300\n");
program(signals => "${sh}${plain}grep -E '^Sig(Blk|Ign)' /proc/self/status\n");
program(waits => "${sh}echo \$\$ >$dir/waits; exec sleep 60\n");
program(data => 'no program', 0644);
program(broken => "#!/no/such/interpreter\n");

my $server = (have_http2() ? "Protocols h2c http/1.1\n" : '') . <<"CONF";
DoorApp cgi "$gateway $dir/cgi" env=PATH=/usr/bin:/bin
DoorApp late "$gateway -t 1 $dir/cgi"
DoorApp one "$gateway $dir/cgi/env"
DoorApp files "$gateway -f $dir/cgi"
DoorApp git "$gateway /usr/lib/git-core/git-http-backend" env=PATH=/usr/bin:/bin
<Location /cgi-bin>
    DoorHandler cgi
    SetEnv FROM_HTTPD yes
</Location>
<Location /late>
    DoorHandler late
</Location>
<Location /impatient>
    DoorHandler cgi
    DoorTimeout 1
</Location>
<Location /one>
    DoorHandler one
</Location>
Alias /files "$dir/cgi"
<Directory "$dir/cgi">
    Require all granted
    <FilesMatch "^(env|where)\$">
        DoorHandler files
    </FilesMatch>
</Directory>
Alias /outside "$dir/htdocs"
<Directory "$dir/htdocs">
    Require all granted
    <Files "outside">
        DoorHandler files
    </Files>
</Directory>
DoorApp cgit "$gateway /usr/lib/cgit/cgit.cgi"
DoorApp gitweb "$gateway /usr/lib/cgi-bin/gitweb.cgi" env=PATH=/usr/bin:/bin
<Location /cgit>
    DoorHandler cgit
    SetEnv CGIT_CONFIG "$dir/cgitrc"
</Location>
<Location /gitweb>
    DoorHandler gitweb
    SetEnv GITWEB_CONFIG "$dir/gitweb.conf"
    SetEnv HOME "$dir/home"
</Location>
<Location /git>
    DoorHandler git
    SetEnv GIT_PROJECT_ROOT "$dir/git"
    SetEnv GIT_HTTP_EXPORT_ALL 1
    SetEnv REMOTE_USER pusher
    SetEnv HOME "$dir/home"
    SetEnv GIT_CONFIG_COUNT 1
    SetEnv GIT_CONFIG_KEY_0 safe.directory
    SetEnv GIT_CONFIG_VALUE_0 "*"
</Location>
CONF
$httpd->configure($server);
ok $httpd->start, 'httpd starts' or diag $httpd->log_text;

my $base = "http://127.0.0.1:$httpd->{port}";

sub ask { my ($path, @options) = @_; return ask_url("$base$path", @options) }

sub variables { return { $_[0] =~ /^(\w+)=(.*)$/mg } }

# ---- which program, and what it is told

my $env = variables(ask('/cgi-bin/env/more/of%20it?a=b', '-H', 'X-Some: thing', '-H', 'Proxy: x')->{body});
is $env->{SCRIPT_NAME}, '/cgi-bin/env', 'SCRIPT_NAME has the name of the program';
is $env->{PATH_INFO}, '/more/of it', '... PATH_INFO the rest';
is $env->{PATH_TRANSLATED}, "$dir/htdocs/more/of it", '... PATH_TRANSLATED';
is $env->{SCRIPT_FILENAME}, "$dir/cgi/env", '... SCRIPT_FILENAME';
is $env->{QUERY_STRING}, 'a=b', '... QUERY_STRING';
is $env->{GATEWAY_INTERFACE}, 'CGI/1.1', '... GATEWAY_INTERFACE';
is $env->{HTTP_X_SOME}, 'thing', '... a header';
is $env->{FROM_HTTPD}, 'yes', '... SetEnv';
is $env->{PATH}, '/usr/bin:/bin', '... and PATH';
is_deeply [grep { exists $env->{$_} } qw(HTTP_PROXY DOOR_PATH DOOR_APP HOME)], [], '... nothing else';
is variables(ask('/cgi-bin/sub/env/x')->{body})->{SCRIPT_NAME}, '/cgi-bin/sub/env', 'a folder in it';
is ask('/cgi-bin/where?x')->{body}, "$dir/cgi\n$dir/cgi/where\n0\n", 'in its own folder, without arguments';
$env = variables(ask('/one/x/y')->{body});
is $env->{SCRIPT_NAME}, '/one', 'one program for all: SCRIPT_NAME';
is $env->{PATH_INFO}, '/x/y', '... PATH_INFO';
$env = variables(ask('/files/env/x')->{body});
is $env->{SCRIPT_NAME}, '/files/env', 'by file: SCRIPT_NAME';
is $env->{PATH_INFO}, '/x', '... PATH_INFO';
is $env->{SCRIPT_FILENAME}, "$dir/cgi/env", '... SCRIPT_FILENAME';
symlink "$dir/cgi/env", "$dir/htdocs/linked" or die;
open my $outside, '>', "$dir/htdocs/outside" or die;
print $outside "$sh${plain}echo outside\n";
close $outside;
chmod 0755, "$dir/htdocs/outside";
is ask('/outside/outside')->{status}, 403, '... not outside of its folder';
for (['/cgi-bin/nobody', 404], ['/cgi-bin/env%2f..%2fenv', 404], ['/cgi-bin/sub', 403], ['/cgi-bin/', 404],
    ['/cgi-bin', 403], ['/cgi-bin/data', 403], ['/cgi-bin/plain/none', 404],
    ['/cgi-bin/' . 'x' x 300, 404], ['/cgi-bin/sub/../env/../sub', 403])
{
    my ($path, $status) = @$_;
    is ask($path)->{status}, $status, substr($path, 0, 40) . ": $status";
}
like ask('/cgi-bin/signals')->{body}, qr/^SigBlk:\t0+\nSigIgn:\t0*[01]80000000\n|^SigBlk:\t0+\nSigIgn:\t0+\n/,
    'programs have no signals blocked or ignored';

# ---- what they say

my $answer = ask('/cgi-bin/status');
is $answer->{status}, 418, 'Status';
is_deeply [$answer->{head} =~ /^X-A: (.*)\r$/mg], [1, 2], '... repeated headers';
is $answer->{body}, 'body', '... the body';
like ask('/cgi-bin/local')->{body}, qr/^QUERY_STRING=local=1$/m, 'a local Location';
$answer = ask('/cgi-bin/away');
is $answer->{status}, 302, 'any other Location';
like $answer->{head}, qr{^Location: http://example.com/\r?$}m, '... is told';
$answer = ask('/cgi-bin/nph-served');
is $answer->{status}, 203, 'nph-: the status line';
like $answer->{head}, qr/^X-A: b\r?$/m, '... headers';
is $answer->{body}, 'body', '... and the body';
for my $name (qw(nothing nonsense forged unended bad-status endless nph-framed broken)) {
    my $mark = $httpd->mark;
    $answer = ask("/cgi-bin/$name");
    is $answer->{status}, 500, "$name: 500";
    unlike $answer->{head}, qr/^X-A/m, '... nothing of it is passed on';
    ok $httpd->logs(qr{door_cgi: .*\Q$dir/cgi/$name\E}, $mark), '... and the log tells';
}
my $mark = $httpd->mark;
is ask('/cgi-bin/complains')->{body}, "body\n", 'stderr is not the response';
ok $httpd->logs(qr/what is wrong/, $mark), '... and in the log';
is length ask('/cgi-bin/big')->{body}, 320 * 65_536, '20 MiB';
like ask('/cgi-bin/deaf')->{head}, qr/^Content-Length: 5\r?$/m, 'a short response goes in one piece';
is ask('/cgi-bin/status', '-I')->{body}, '', 'HEAD';

# ---- bodies

is ask('/cgi-bin/echo', '-d', 'some body')->{body}, 'some body', 'a body';
is ask('/cgi-bin/echo')->{body}, '', '... none';
is ask('/cgi-bin/deaf', '-d', 'x' x 60_000)->{body}, "deaf\n", '... that nobody reads';
my $large = "$dir/large";
open my $file, '>', $large or die;
print $file pattern(5_000_000);
close $file;
is ask('/cgi-bin/sum', '-T', $large)->{body}, sha256_hex(pattern(5_000_000)) . "  -\n", '5 MB';
is ask('/cgi-bin/echo', '-T', $large)->{body}, pattern(5_000_000), '... and back';
is ask('/cgi-bin/sum', '-T', $large, '-H', 'Transfer-Encoding: chunked')->{body},
    sha256_hex(pattern(5_000_000)) . "  -\n", '... in chunks';
is ask('/cgi-bin/deaf', '-T', $large)->{body}, "deaf\n", '... that nobody reads';

# Both ways at once: each piece comes back before the next one is sent.
{
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30);
    print $socket "POST /cgi-bin/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n";
    my ($text, $times) = ('', 0);
    for my $i (1 .. 5) {
        print $socket "6\r\npiece$i\r\n";
        sysread $socket, $text, 65_536, length $text until $text =~ /piece$i/ || $text =~ /\r\n0\r\n/;
        $times++ if $text =~ /piece$i/;
        sleep 0.1;
    }
    print $socket "0\r\n\r\n";
    sysread $socket, $text, 65_536, length $text or last while 1;
    is $times, 5, 'each piece comes back at once';
    is parse_response($text)->{body}, join('', map { "piece$_" } 1 .. 5), '... and nothing is missing';
}
{
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30);
    print $socket "GET /cgi-bin/slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    my $text = '';
    sysread $socket, $text, 65_536, length $text until $text =~ /one/;
    unlike $text, qr/two/, 'what is said goes when the program pauses';
    open my $go, '>', "$dir/go" or die;
    sysread $socket, $text, 65_536, length $text or last while 1;
    like $text, qr/two/, '... and the rest later';
}

SKIP: {
    skip 'no HTTP/2 here', 2 unless have_http2();
    is curl('--http2-prior-knowledge', '-T', $large, "$base/cgi-bin/echo"), pattern(5_000_000), 'HTTP/2: and back';
    is curl('--http2-prior-knowledge', "$base/cgi-bin/slow"), "one\ntwo\n", '... without a body';
}

# The gateway dies while it waits for a body.
{
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30);
    print $socket "POST /cgi-bin/waits HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Length: 7\r\n\r\nhalf";
    ok $httpd->wait_for(sub { -s "$dir/waits" }), 'a program that takes its time, before its body has come';
    sleep 0.2;
    my ($pid) = $httpd->processes(qr{door_cgi \S+/cgi $});
    my ($text, $since) = ('', time);
    kill 'KILL', $pid;
    sysread $socket, $text, 65_536, length $text or last while 1;
    like $text, qr{^HTTP/1.1 502 }, '... whose gateway is killed: 502';
    cmp_ok time - $since, '<', 20, '... before the body or a time-out comes';
    kill 'KILL', numbers('waits', 1);
    ok $httpd->wait_for(sub { ask('/cgi-bin/env')->{status} == 200 }), '... and there is another one';
}

# ---- time

sub numbers {
    my ($name, $count) = @_;
    my @pids;
    $httpd->wait_for(sub { (@pids = written($name)) >= $count });
    return @pids;
}

sub written {
    my ($name) = @_;
    open my $in, '<', "$dir/$name" or return;
    chomp(my @pids = <$in>);
    return @pids;
}

sub all_end {
    my @pids = @_;
    return $httpd->wait_for(sub { !grep { -e "/proc/$_/stat" && state($_) ne 'Z' } @pids });
}

sub state {
    open my $stat, '<', "/proc/$_[0]/stat" or return 'Z';
    return (<$stat> // ') Z') =~ /\) (\S)/ ? $1 : 'Z';
}

for (['/late/hangs', 504], ['/impatient/hangs', 504]) {
    my ($path, $status) = @$_;
    # Within its second it has to come so far that there is something to end.
    my ($got, @pids) = @{in_time(sub {
        unlink "$dir/hangs";
        return [ask($path)->{status}, written('hangs')];
    }, sub { @{$_[0]} == 1 + 3 })};
    is $got, $status, "$path: $status";
    is @pids, 3, '... a program and its children';
    ok all_end(@pids), '... all end, whatever they ignore';
}
# The client leaves.
{
    unlink "$dir/stalls";
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30);
    print $socket "GET /cgi-bin/stalls HTTP/1.1\r\nHost: localhost\r\n\r\n";
    my $text = '';
    sysread $socket, $text, 65_536, length $text until $text =~ /one/;
    my @pids = numbers('stalls', 1);
    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0);
    close $socket;
    ok @pids && all_end(@pids), 'a client that leaves ends the program';
}
{
    my $text = in_time(sub {
        unlink "$dir/stalls";
        return curl('-i', '-w', '\n%{exitcode}', "$base/late/stalls");
    }, sub { $_[0] =~ /one/ });
    like $text, qr/one\n/, 'a program that stalls: what it has said';
    like $text, qr/\n18$/, '... and the client sees that something is missing';
    ok all_end(numbers('stalls', 1)), '... it is ended';
}

# ---- git

sub git {
    my ($where, @words) = @_;
    local %ENV = (PATH => $ENV{PATH}, HOME => "$dir/home", GIT_TERMINAL_PROMPT => 0, LANG => 'C',
        map({ ("GIT_${_}_NAME" => 'A', "GIT_${_}_EMAIL" => 'a@example.com') } qw(AUTHOR COMMITTER)));
    my $pid = open my $pipe, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        chdir $where or POSIX::_exit(126);
        exec 'git', @words or POSIX::_exit(127);
    }
    local $/;
    my $text = <$pipe> // '';
    close $pipe;
    diag $text if $?;
    return $? == 0;
}

SKIP: {
    skip 'no git here', 7 unless -x '/usr/lib/git-core/git-http-backend';
    ok git($dir, qw(init -q --bare git/repo)), 'git: a repository';
    ok git("$dir/git/repo", qw(config http.receivepack true)), '... that takes pushes';
    ok git($dir, qw(clone -q), "$base/git/repo", 'first'), '... is cloned';
    open my $large_file, '>', "$dir/first/large" or die;
    my $seed = 1;
    print $large_file pack 'N*', map { $seed = ($seed * 1_103_515_245 + 12_345) & 0x7fffffff } 1 .. 400_000;
    close $large_file;
    ok git("$dir/first", qw(add large)) && git("$dir/first", qw(commit -q -m one)), '... a commit of 1.6 MB';
    # More than http.postBuffer: in chunks.
    ok git("$dir/first", qw(push -q origin HEAD)), '... is pushed';
    ok git($dir, qw(clone -q), "$base/git/repo", 'second'), '... and cloned';
    is -s "$dir/second/large", -s "$dir/first/large", '... with all that is in it';
}
for (['/usr/lib/cgit/cgit.cgi', 'cgitrc', "virtual-root=/cgit\nscan-path=$dir/git\n", '/cgit/repo/log/'],
    ['/usr/lib/cgi-bin/gitweb.cgi', 'gitweb.conf', "\$projectroot = '$dir/git';\n1;\n", '/gitweb?p=repo;a=log'])
{
    my ($program, $name, $text, $path) = @$_;
    SKIP: {
        skip "no $program here", 2 unless -x $program;
        open my $settings, '>', "$dir/$name" or die;
        print $settings $text;
        close $settings;
        $answer = ask($path);
        is $answer->{status}, 200, "$program";
        like $answer->{body}, qr{>\s*one\s*<}, '... shows the commit';
    }
}

ok $httpd->stop, 'httpd stops';
done_testing;
