#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The demo's guest book and its status page in a real browser: Chromium without a screen, driven by
# chromedriver (WebDriver, W3C).  SCREENSHOTS=DIR keeps pictures there.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use HTTP::Tiny ();
use JSON::PP qw(decode_json encode_json);
use MIME::Base64 qw(decode_base64);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use OwnHttpd ();

my $build = abs_path($ENV{BUILD} // 'build');
my @pids;

END {
    local $?;
    kill 'TERM', @pids;
    waitpid $_, 0 for @pids;
}

sub wait_for {
    my ($check, $seconds) = @_;
    my $deadline = time + ($seconds // 60);
    until ($check->()) {
        return 0 if time > $deadline;
        sleep 0.05;
    }
    return 1;
}

sub start {
    my ($log, @command) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        $SIG{INT} = 'DEFAULT';
        open STDIN,  '<', '/dev/null' or die;
        open STDOUT, '>', $log        or die;
        open STDERR, '>&', \*STDOUT   or die;
        exec @command or POSIX::_exit(127);
    }
    push @pids, $pid;
    return $pid;
}

# ---- the demo, in a folder of its own

my $dir = File::Temp->newdir("$build/browser.XXXXXX");
symlink "$build/$_", "$dir/$_"
    for 'mod_door.so', 'examples', map { "lib$_.so.1" } qw(door door_app);
chmod 0755, "$dir";
my $port = OwnHttpd::free_port();
start("$dir/output", 'bash', 'scripts/demo.sh', "$dir", $port);
my $base = "http://127.0.0.1:$port/guestbook/";
my $http = HTTP::Tiny->new(timeout => 60);
ok wait_for(sub { $http->get($base)->{success} }), 'the demo runs'
    or BAIL_OUT(join '', `cat $dir/output`);

# ---- the browser

my $driver_port = OwnHttpd::free_port();
my $driver = "http://127.0.0.1:$driver_port";
start("$dir/driver.log", 'chromedriver', "--port=$driver_port");
ok wait_for(sub { $http->get("$driver/status")->{success} }), 'chromedriver runs';

sub command {
    my ($method, $path, $arguments) = @_;
    my %content = $method eq 'POST'
        ? (headers => {'Content-Type' => 'application/json'},
            content => encode_json($arguments // {}))
        : ();
    my $answer = $http->request($method, "$driver$path", \%content);
    my $value = eval { decode_json($answer->{content})->{value} };
    die "$path: $answer->{content}" unless $answer->{success};
    return $value;
}

my @arguments = ('--headless=new', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars',
    '--no-first-run', "--user-data-dir=$dir/profile");
push @arguments, '--no-sandbox' if $> == 0;
my $session = command(POST => '/session', {capabilities => {alwaysMatch =>
    {browserName => 'chrome', 'goog:chromeOptions' => {args => \@arguments}}}});
my $at = "/session/$session->{sessionId}";
ok $session->{sessionId}, 'Chromium runs';

sub script { command(POST => "$at/execute/sync", {script => $_[0], args => []}) }

# The page may still be on its way when a click has been made.
sub shows {
    my ($look, $expected, $name) = @_;
    my $seen = '';
    wait_for(sub { $seen = eval { $look->() } // ''; return $seen eq $expected }, 30);
    is $seen, $expected, $name;
}

sub element {
    my ($css) = @_;
    my $found = command(POST => "$at/element", {using => 'css selector', value => $css});
    return "$at/element/" . (values %$found)[0];
}

sub picture {
    my ($name) = @_;
    my $png = decode_base64(command(GET => "$at/screenshot"));
    is substr($png, 1, 3), 'PNG', "a picture: $name";
    return unless $ENV{SCREENSHOTS};
    open my $file, '>', "$ENV{SCREENSHOTS}/$name.png" or die;
    binmode $file;
    print $file $png;
    close $file;
}

# A client that goes on until it is stopped, at a pace that leaves the browser some time.
sub ask_always {
    my ($path) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        $SIG{TERM} = 'DEFAULT';
        while (getppid != 1) {
            $http->get("http://127.0.0.1:$port$path");
            sleep 0.005;
        }
        POSIX::_exit(0);
    }
    push @pids, $pid;
    return $pid;
}

sub raw_get { $http->get("http://127.0.0.1:$port$_[0]") }

sub size { command(POST => "$at/window/rect", {width => $_[0], height => $_[1]}) }

sub sign {
    my ($name, $message) = @_;
    command(POST => element('input[name=name]') . '/value', {text => $name});
    command(POST => element('textarea[name=message]') . '/value', {text => $message});
    command(POST => element('form.new button') . '/click');
}

size(1100, 900);
command(POST => "$at/url", {url => $base});
is command(GET => "$at/title"), 'Guest book', 'the page';
sign('Grace', "A door is a procedure call.\nIt returns.");
shows sub { command(GET => "$at/url") }, $base, 'the form is filled in and sent: back on the page';
shows sub { script(q{return document.querySelector('article strong').textContent}) }, 'Grace',
    '... a name';
is script(q{return document.querySelector('article p').textContent}),
    "A door is a procedure call.\nIt returns.", '... and a message';
my $evil = q{<img src=x onerror="document.title='evil'">};
sign('Mallory', $evil);
shows sub { script(q{return document.querySelector('article p').textContent}) }, $evil,
    'what looks like HTML is text';
is command(GET => "$at/title"), 'Guest book', '... and does nothing';
command(POST => element('article button.quiet') . '/click');
shows sub { script(q{return document.querySelector('article strong').textContent}) }, 'Grace',
    'it is deleted';
sign('Ada', 'I could not find the pool. There is none?');
shows sub { script(q{return document.querySelector('article strong').textContent}) }, 'Ada',
    'and another one';
picture('guestbook');

# The browser itself refuses what the form must not have; nothing is sent.
command(POST => element('form.new button') . '/click');
is script(q{return document.querySelectorAll('article').length}), 2, 'an empty form is not sent';

# ---- on a phone

size(400, 800);
command(POST => "$at/url", {url => $base});
cmp_ok script('return document.documentElement.scrollWidth'), '<=',
    script('return window.innerWidth'), 'a narrow window: nothing sticks out';
picture('guestbook-phone');

# ---- connections

system "wrk -c6 -t1 -d1s $base >$dir/wrk.log 2>&1";
size(1100, 900);
sub column { script(qq{return Array.from(document.querySelectorAll('tr.$_[0]'),
    row => row.children[$_[1]].textContent).sort().join(' ')}) }
# The last requests of the others may still run, and connect.
ok wait_for(sub {
    command(POST => "$at/url", {url => "${base}connections"});
    return column('thread', 1) eq column('backend', 0);
}, 20), 'threads have the connections that there are';
cmp_ok scalar(split ' ', column('thread', 1)), '>', 1, '... several';
picture('guestbook-connections');

# ---- the status page

sub fact { script(qq{return document.querySelector('[data-door="$_[0]"] [data-fact="$_[1]"]').textContent}) }
sub media { command(POST => "$at/goog/cdp/execute", {cmd => 'Emulation.setEmulatedMedia',
    params => {features => [{name => 'prefers-color-scheme', value => $_[0]}]}}) }
sub errors { join "\n", map { $_->{message} } @{command(POST => "$at/se/log", {type => 'browser'})} }

my @load = map { ask_always($_) } '/hello', '/hello', '/kitchen/sleep?ms=20';
errors();
size(1100, 1200);
command(POST => "$at/url", {url => "http://127.0.0.1:$port/door-status"});
is command(GET => "$at/title"), 'Doors', 'the status page';
my $requests = sub { (eval { fact('hello', 'requests') } // '0') =~ tr/0-9//cdr || 0 };
ok wait_for(sub { $requests->() > 0 }, 30), '... has figures';
script('window.isTheSame = true');
my $first = $requests->();
ok wait_for(sub { $requests->() > $first + 100 }, 30), '... which move under load';
ok wait_for(sub { fact('hello', 'now') =~ /[1-9]/ && fact('hello', 'p50') =~ /s$/ }, 30), '... rates and times, too';
ok script('return window.isTheSame === true'), '... without a reload';
like script(q{return document.querySelector('[data-door="hello"] svg').getAttribute('aria-label')}),
    qr{^requests/s in the last 10 minutes, at most}, '... a chart can be read aloud';
raw_get('/kitchen/%3Cimg%20src=x%20onerror=%22document.title=1%22%3E');
raw_get('/kitchen/sleep?ms=1500');
ok wait_for(sub { script(q{return document.querySelector('[data-door="kitchen"]').textContent}) =~ m{/kitchen/sleep.*?1\.5 s} }, 30),
    'a slow request is shown';
is script(q{return document.querySelectorAll('#doors img, #doors script').length}), 0, '... as text is';
is command(GET => "$at/title"), 'Doors', '... and does nothing';
command(POST => element('#pause') . '/click');
my $paused;
sleep 3;
sleep 3; # what was asked for may still come
$paused = $requests->();
sleep 3;
is $requests->(), $paused, 'Pause: nothing moves';
command(POST => element('#pause') . '/click');
ok wait_for(sub { $requests->() > $paused }, 30), '... until it is told to go on';
kill 'TERM', @load;
waitpid $_, 0 for @load;
@pids = grep { my $pid = $_; !grep { $_ == $pid } @load } @pids;
picture('door-status');
media('dark');
my $background = sub { script('return getComputedStyle(document.body).backgroundColor') };
my $dark = $background->();
picture('door-status-dark');
media('light');
isnt $background->(), $dark, 'dark and light differ';
size(400, 900);
cmp_ok script('return document.documentElement.scrollWidth'), '<=',
    script('return window.innerWidth'), 'a narrow window: nothing sticks out';
picture('door-status-phone');
is errors(), '', 'the browser has nothing to complain of';

command(DELETE => $at);
done_testing;
