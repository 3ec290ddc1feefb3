# SPDX-License-Identifier: Apache-2.0
#
# SetHandler door-status: its three forms; that its figures are right, whoever is killed or
# restarted; that nothing in it is anything but text; and what the access log can have.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET ();
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
$httpd->install('kitchen');
$httpd->install(hello => 'many');
$httpd->script(failing => "exit 3");

sub location {
    my ($path, $app, $more) = @_;
    return "<Location $path>\nDoorHandler $app\n@{[$more // '']}\n</Location>\n";
}

my $conf = <<"CONF" . location('/hello', 'hello') . location('/kitchen', 'kitchen')
LogLevel door:trace1
DoorApp hello $dir/bin/hello
DoorApp kitchen $dir/bin/kitchen
DoorApp narrow $dir/bin/kitchen
DoorApp many $dir/bin/many instances=11
DoorApp failing $dir/bin/failing backoff-min=60s backoff-max=60s
LogFormat "%U wait=%{mod_door-wait-us}n call=%{mod_door-call-us}n pid=%{mod_door-pid}n thread=%{mod_door-thread}n outcome=%{mod_door-outcome}n" story
CustomLog logs/story story
<Location /door-status>
    SetHandler door-status
</Location>
<Location /server-status>
    SetHandler server-status
</Location>
CONF
    . location('/hurried', 'kitchen', 'DoorTimeout 1')
    . location('/narrow', 'narrow', "DoorMaxConcurrent 1\nDoorQueueLength 1\nDoorQueueTimeout 20")
    . location('/failing', 'failing') . location('/missing', "$dir/run/nothing")
    . join('', map { location("/lengthy$_", "$dir/run/" . 'lengthy/' x 20 . $_) } 1, 2)
    . location('/bare', app_path('hello'));
$httpd->configure($conf);
ok $httpd->start, 'httpd starts';

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

sub report {
    my ($status, $body, $head) = $httpd->get('/door-status?format=json');
    return eval { decode_json($body) } // diag "no JSON: $status $head $body";
}

sub door {
    my ($name) = @_;
    my ($door) = grep { $_->{name} eq $name } @{report()->{doors}};
    return $door // {};
}

# What a process has so many of; -1 if it has not answered within the time that it is asked for.
sub count {
    my ($name, $what) = @_;
    return door($name)->{processes}[0]{$what} // -1;
}

# How many requests of a door have ended in that way.
sub outcome { door($_[0])->{outcomes}{$_[1]} // 0 }

sub raw {
    my ($request) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30) or return '';
    print $socket "$request HTTP/1.0\r\nHost: localhost\r\n\r\n";
    local $/;
    return <$socket> // '';
}

sub begin {
    my ($path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 60)
        or die "no connection: $!";
    print $socket "GET $path HTTP/1.0\r\nHost: localhost\r\n\r\n";
    return $socket;
}

# ---- its forms

my ($status, $page, $head) = $httpd->get('/door-status');
is $status, 200, 'the page for people';
like $head, qr{^Content-Type: text/html; charset=utf-8\r?$}mi, '... is HTML';
like $head, qr/^Cache-Control: no-store\r?$/mi, '... is not to be stored';
my ($policy) = $head =~ /^Content-Security-Policy: (.*?)\r?$/mi;
my ($nonce) = ($policy // '') =~ /script-src 'nonce-(\w{32})'/;
like $policy, qr/default-src 'none'/, '... may load nothing';
like $page, qr/<script nonce="\Q$nonce\E">/, '... but has its own script';
unlike $page, qr/\@NONCE\@/, '... whose number is put in everywhere';
isnt +($httpd->get('/door-status'))[2] =~ /nonce-(\w+)/ ? $1 : '', $nonce, '... another one each time';
my @external = $page =~ m{((?:src|href|action)\s*=\s*"?(?:https?:)?//[^">]*|\@import|url\()}g;
is_deeply \@external, [], '... and names nothing elsewhere';
is $httpd->status('/door-status?format=html'), 200, 'it can be asked for by name';
($status, undef, $head) = $httpd->get('/door-status?format=json');
like $head, qr{^Content-Type: application/json\r?$}mi, 'JSON says that it is';
($status, my $refusal) = $httpd->get('/door-status?format=xml');
is $status, 400, 'a form that there is not';
like $refusal, qr/html, json or prometheus/, '... which ones there are';
my $answer = raw('POST /door-status');
like $answer, qr{^HTTP/1\.1 405 }, 'POST is refused';
like $answer, qr{^Allow: (?=.*\bGET\b)(?=.*\bHEAD\b)(?!.*POST)}m, '... GET is what it takes';
like raw("$_ /door-status"), qr{^HTTP/1\.1 405 }, "... so is $_" for qw(PUT DELETE);
like raw('HEAD /door-status?format=json'), qr{^HTTP/1\.1 200 .*\r\n\r\n\z}s, 'HEAD has no body';

# ---- counters

is $httpd->status('/hello'), 200, 'an application answers';
ok $httpd->wait_for(sub { outcome('hello', 'answered') == 1 }), '... which is counted';
my @children;
for my $client (1 .. 8) {
    my $pid = fork // die $!;
    if ($pid == 0) {
        my $wrong = grep { $httpd->status('/hello') != 200 } 1 .. 100;
        POSIX::_exit($wrong > 0);
    }
    push @children, $pid;
}
my $wrong = grep { waitpid($_, 0); $? != 0 } @children;
is $wrong, 0, 'eight clients at once have their answers';
my $hello;
ok $httpd->wait_for(sub {
    $hello = door('hello');
    return $hello->{outcomes}{answered} == 801 && $hello->{latency}{count} >= 801
        && ($hello->{processes}[0]{threads_max} // 0) > 0;
}), '... each was counted once' or diag explain $hello;
is $hello->{latency}{count}, 801, '... and its time';
cmp_ok $hello->{latency}{p50}, '<=', $hello->{latency}{p99}, '... half of them took no longer than nearly all';
my $steps = 0;
$steps += $_ for @{$hello->{history}{requests}};
is $steps, 801, '... and the history has them';
cmp_ok $hello->{requests_per_second}{minute}, '>', 0, '... so there is a rate';
is $hello->{state}, 'up', 'the application is up';
is $hello->{processes}[0]{pid}, ($httpd->apps('hello'))[0], '... its process is that one';
cmp_ok $hello->{processes}[0]{calls}, '>=', 801, '... which has had the calls';
cmp_ok $hello->{processes}[0]{threads_max}, '>', 0, '... on threads';
cmp_ok $hello->{processes}[0]{memory_bytes}, '>', 100_000, '... with memory' if -r "/proc/$$/stat";

# ---- a door at a path, and one that is not there

is $httpd->status('/bare'), 200, 'a door at a path answers';
my $bare = door(app_path('hello'));
is $bare->{kind}, 'door', '... and is there';
is $bare->{state}, 'up', '... up';
is $bare->{processes}[0]{pid}, app_pid('hello'), '... with its pid';
freeze_app('hello');
is door(app_path('hello'))->{state}, 'unknown', '... of one that is stopped nobody knows';
kill 'CONT', app_pid('hello');
ok $httpd->wait_for(sub { door(app_path('hello'))->{state} eq 'up' }), '... up again';
my %named = map { $_->{name} => 1 } @{report()->{doors}};
is $httpd->status("/lengthy$_"), 503, 'a door with a long path' for 1, 2;
is scalar(grep { !$named{$_->{name}}++ } @{report()->{doors}}), 2, '... two have two names';
is $httpd->status('/missing'), 503, 'a door that is missing';
my $missing = door("$dir/run/nothing");
is $missing->{outcomes}{not_running}, 1, '... is counted as one';
is $missing->{state}, 'down', '... and shown as one';

# ---- processes that do not answer: all are asked at the same time

my @many;
ok $httpd->wait_for(sub { @many = sort { $a->{index} <=> $b->{index} } @{door('many')->{processes}}; @many == 11 }),
    'an application has eleven processes';
kill 'STOP', map { $_->{pid} } @many[0 .. 9];
sub known_in {
    my ($form, $body) = @_;
    return $body =~ /^DoorApp\.many\.(\d+)\.Threads: [1-9]/mg if $form !~ /json/;
    my ($app) = grep { $_->{name} eq 'many' } @{decode_json($body)->{doors}};
    return map { $_->{index} } grep { defined $_->{threads} } @{$app->{processes}};
}

for my $form ('/door-status?format=json', '/server-status?auto') {
    my $began = time;
    my $body = $httpd->body($form);
    cmp_ok time - $began, '<', 20, "$form: ten of them are stopped, and it is there soon"; # ten times as long as it may take
    # A busy machine may not let the last one answer at once.
    ok $httpd->wait_for(sub { join(' ', known_in($form, $httpd->body($form))) eq '10' }),
        '... the last one is asked all the same' or diag $httpd->body($form);
}
ok $httpd->wait_for(sub { door(app_path('hello'))->{state} eq 'up' }, 10), '... and so is a door at a path';
kill 'CONT', map { $_->{pid} } @many;

# ---- time, and texts of clients

is $httpd->status('/kitchen/sleep?ms=700&secret=1'), 200, 'a slow request';
raw('GET /kitchen/%3Cscript%3Ealert(1)%3C/script%3E%22%5C%0A');
raw('GET /kitchen/sleep/%FF%FE?ms=900');
my $kitchen;
ok $httpd->wait_for(sub { $kitchen = door('kitchen'); ($kitchen->{latency}{count} // 0) == 3 }), 'all have ended';
my %slowest = map { $_->{path} => $_ } @{$kitchen->{slowest}};
my $slow = $slowest{'/kitchen/sleep'};
cmp_ok $slow->{seconds}, '>=', .7, '... it is among the slowest, with its time, and without its query';
cmp_ok $slow->{wait_seconds}, '<', $slow->{seconds} - .69, '... which it has not waited';
is $slow->{status}, 200, '... with its status';
is $slow->{pid}, $kitchen->{processes}[0]{pid}, '... and its pid';
ok $slowest{'/kitchen/%3Cscript%3Ealert(1)%3C/script%3E%22%5C%0A'}, 'a path with HTML in it is no HTML'
    or diag explain [keys %slowest];
my $text = $httpd->body('/door-status?format=json') . $httpd->body('/door-status?format=prometheus');
unlike $text, qr/<script|secret|[^\n\x20-\x7e]/, '... nowhere, nor is there a query, or a byte that is no text';
cmp_ok $kitchen->{latency_recent}{p99}, '>', .6, 'nearly all includes the slow one';

# ---- errors by their kind, and who waits

is $httpd->status('/hurried/sleep?ms=6000'), 504, 'one that is late';
ok $httpd->wait_for(sub { outcome('kitchen', 'timed_out') == 1 }), '... is counted';
ok $httpd->wait_for(sub { count('kitchen', 'abandoned') == 1 }), '... and is known to run for nobody';
is $httpd->status('/kitchen/status?code=503'), 503, 'an error of the application';
ok $httpd->wait_for(sub { outcome('kitchen', 'answered_5xx') == 1 }), '... is its own';
is $httpd->status('/narrow/threads'), 200, 'an application with one thread';
my (@sockets, @statuses, $runs, $waits, $narrow);
for (1 .. 5) { # the first one may end before the third one comes
    @sockets = begin('/narrow/sleep?ms=3000');
    $runs = $httpd->wait_for(sub { count('narrow', 'running') == 1 }, 3);
    push @sockets, begin('/narrow/sleep?ms=1500');
    $waits = $httpd->wait_for(sub { count('narrow', 'waiting') == 1 }, 3);
    push @sockets, begin('/narrow/sleep?ms=1500');
    @statuses = sort map { local $/; (<$_> // '') =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'none' } @sockets;
    last if "@statuses" ne '200 200 200';
}
ok $runs, '... has one request running';
ok $waits, '... and one waiting';
is_deeply \@statuses, [200, 200, 503], '... and a third one is too many';
ok $httpd->wait_for(sub { $narrow = door('narrow'); $narrow->{outcomes}{busy} == 1 }), '... which is counted';
my ($longest) = sort { $b <=> $a } map { $_->{wait_seconds} } @{$narrow->{slowest}};
cmp_ok $longest, '>', .7, '... the second one is known to have waited';
cmp_ok $narrow->{wait_seconds_sum}, '>', .7, '... and the sum has it';

# ---- the access log, and the error log

my @lines = grep { m{^/narrow/sleep } && /outcome=answered/ } split /\n/, slurp("$dir/logs/story");
my ($waited) = grep { /wait=(\d+)/ && $1 > 700_000 } @lines;
like $waited, qr/ call=(?:1[5-9]|[2-9]\d)\d{5} /, 'the access log: it has waited, and then run';
like $waited, qr/ pid=$narrow->{processes}[0]{pid} thread=1 /, '... in that process, on its one thread';
# Within one try of a call, which lasts a quarter of a second, only the application knows.
my (@calls, @waits);
for (1 .. 10) { # they may also come one after the other
    my $before = length slurp("$dir/logs/story");
    @sockets = map { begin('/narrow/sleep?ms=200') } 1 .. 2;
    @statuses = map { local $/; (<$_> // '') =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'none' } @sockets;
    $httpd->wait_for(sub {
        my $new = substr slurp("$dir/logs/story"), $before;
        @calls = $new =~ m{^/narrow/sleep .* call=(\d+) .*\n}mg;
        @waits = $new =~ m{^/narrow/sleep wait=(\d+) .*\n}mg;
        return @calls == 2;
    });
    last if "@statuses" ne '200 200' || grep { $_ < 200_000 } @calls;
    last if grep { $_ > 100_000 && $_ < 250_000 } @waits;
}
is_deeply \@statuses, [200, 200], 'one waits for another one that is quick';
is scalar(grep { $_ >= 200_000 } @calls), 2, '... both ran for as long as they did' or diag slurp("$dir/logs/story");
ok scalar(grep { $_ > 100_000 } @waits), '... one of them has waited for the other' or diag "@waits";
like slurp("$dir/logs/story"), qr{^/missing .* outcome=not_running$}m, '... how it ended without a call';
ok $httpd->logs(qr/door narrow, pid \d+, thread 1: answered, status 200, waited \d+ us, ran [1-9]\d{6} us/),
    'the error log tells the story';

# ---- a client that goes

my $gone = begin('/kitchen/events?ms=50&events=1000');
sysread $gone, my $some, 100;
close $gone;
ok $httpd->wait_for(sub { outcome('kitchen', 'client_gone') == 1 }), 'a client has gone in mid-response';

# ---- what becomes of processes

my $pid = ($httpd->apps('hello'))[0];
sleep 1.1; # it has been up for more than a moment
kill 'KILL', $pid;
ok $httpd->wait_for(sub {
    my $door = door('hello');
    $door->{state} eq 'up' && @{$door->{processes}} && ($door->{processes}[0]{pid} // $pid) != $pid;
}), 'a killed process has another one in its place';
$hello = door('hello');
is $hello->{crashes}, 1, '... a crash';
is $hello->{restarts}, 1, '... a restart';
my ($end) = grep { $_->{text} =~ /^ended/ } @{$hello->{events}};
like $end->{text}, qr/signal 9/, '... and why';
is $end->{pid}, $pid, '... of which process';
cmp_ok abs($end->{time} - time), '<', 60, '... and when';
my $failing;
ok $httpd->wait_for(sub {
    $failing = door('failing');
    $failing->{state} eq 'backing off' && ($failing->{next_try_seconds} // 0) > 1;
}), 'an application that fails waits for its next try';
cmp_ok $failing->{next_try_seconds}, '<=', 60, '... which comes';
like $failing->{events}[0]{text}, qr/exit code 3/, '... and why';
is scalar @{$failing->{processes}}, 0, '... it has no process';

# A child that is killed has its requests with it.
my $before = outcome('hello', 'answered');
$httpd->wait_for(sub { count('kitchen', 'running') == 0 }); # the one that was late
my $socket = begin('/kitchen/sleep?ms=2500');
ok $httpd->wait_for(sub { count('kitchen', 'running') == 1 }, 5), 'a request runs';
kill 'KILL', $httpd->children;
ok $httpd->wait_for(sub { eval { count('kitchen', 'running') == 0 } }), 'its child is killed: it does not for ever'
    or diag explain door('kitchen')->{processes};
is outcome('hello', 'answered'), $before, '... the figures are what they were';
is $httpd->status('/hello'), 200, '... and go on';
ok $httpd->wait_for(sub { outcome('hello', 'answered') == $before + 1 }), '... from there';

ok $httpd->graceful, 'httpd restarts gracefully';
is outcome('hello', 'answered'), $before + 1, '... the figures stay';
is $httpd->status('/hello'), 200, '... new children answer';
ok $httpd->wait_for(sub { outcome('hello', 'answered') == $before + 2 }), '... and count in the same place';

# ---- Prometheus

my $metrics = '';
$httpd->wait_for(sub { # with the answer of the process
    $metrics = $httpd->body('/door-status?format=prometheus');
    return $metrics =~ /^mod_door_process_threads\{.*"hello".*\} [1-9]/m;
}, 10);
open my $file, '>', "$dir/metrics" or die $!;
print $file $metrics;
close $file;
open my $script, '>', "$dir/parse.py" or die $!;
print $script <<'PYTHON';
import sys
from prometheus_client.parser import text_string_to_metric_families as families
seen = {}
for family in families(open(sys.argv[1]).read()):
    assert family.documentation, family.name
    assert family.type in ('counter', 'gauge', 'histogram'), family
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, key
        assert family.type != 'counter' or sample.name.endswith('_total'), sample.name
        seen[key] = sample.value
        if sample.name in ('mod_door_requests_total', 'mod_door_state',
                'mod_door_request_duration_seconds_count', 'mod_door_process_threads'):
            print(sample.name, *[value for _, value in key[1]], '%g' % sample.value)
    if family.type == 'histogram':
        last = {}
        for sample in family.samples:
            if sample.name.endswith('_bucket'):
                assert sample.value >= last.get(sample.labels['door'], 0), sample
                last[sample.labels['door']] = sample.value
            elif sample.name.endswith('_count'):
                assert sample.value == last[sample.labels['door']], sample
PYTHON
close $script;
SKIP: {
    skip 'needs python3-prometheus-client', 5
        if system('/usr/bin/python3 -c "import prometheus_client" 2>/dev/null') != 0;
    my $parsed = `/usr/bin/python3 $dir/parse.py $dir/metrics 2>&1`;
    is $?, 0, 'the parser of Prometheus reads the figures' or diag $parsed;
    my $answers = $before + 2;
    like $parsed, qr/^mod_door_requests_total hello answered $answers$/m, '... a counter';
    like $parsed, qr/^mod_door_request_duration_seconds_count hello \d{3}$/m, '... a histogram';
    like $parsed, qr/^mod_door_state failing backing off 1$/m, '... a state';
    like $parsed, qr/^mod_door_process_threads hello 0 [1-9]\d*$/m, '... a process';
}

ok $httpd->stop, 'httpd stops';
done_testing;
