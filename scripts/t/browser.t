#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The demo's guest book in a real browser: Chromium without a screen, driven by
# chromedriver (WebDriver, W3C).  SCREENSHOTS=DIR keeps pictures there.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use HTTP::Tiny ();
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Browser ();
use OwnHttpd ();
use Waiting qw(wait_for);

my $build = abs_path($ENV{BUILD} // 'build');
my @pids;

END {
    local $?;
    kill 'TERM', @pids;
    waitpid $_, 0 for @pids;
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
    for 'mod_door.so', 'examples', 'gateways', map { "lib$_.so.1" } qw(door door_app);
chmod 0755, "$dir";
my $port = OwnHttpd::free_port();
start("$dir/output", 'bash', 'scripts/demo.sh', "$dir", $port);
my $base = "http://127.0.0.1:$port/guestbook/";
my $http = HTTP::Tiny->new(timeout => 60);
ok wait_for(sub { $http->get($base)->{success} }), 'the demo runs'
    or BAIL_OUT(join '', `cat $dir/output`);

# ---- the browser

my $driver_port = OwnHttpd::free_port();
start("$dir/driver.log", 'chromedriver', "--port=$driver_port");
ok wait_for(sub { Browser::is_ready($driver_port) }), 'chromedriver runs';
my $browser = Browser->new(profile => "$dir/profile", port => $driver_port);
ok $browser, 'Chromium runs';

sub script { $browser->script(@_) }

# The page may still be on its way when a click has been made.
sub shows {
    my ($look, $expected, $name) = @_;
    my $seen = '';
    wait_for(sub { $seen = eval { $look->() } // ''; return $seen eq $expected }, 30);
    is $seen, $expected, $name;
}

sub picture {
    my ($name) = @_;
    my $png = $browser->picture;
    is substr($png, 1, 3), 'PNG', "a picture: $name";
    return unless $ENV{SCREENSHOTS};
    open my $file, '>', "$ENV{SCREENSHOTS}/$name.png" or die;
    binmode $file;
    print $file $png;
    close $file;
}

sub sign {
    my ($name, $message) = @_;
    $browser->fill('input[name=name]', $name);
    $browser->fill('textarea[name=message]', $message);
    $browser->click('form.new button');
}

$browser->size(1100, 900);
$browser->go($base);
is $browser->title, 'Guest book', 'the page';
sign('Grace', "A door is a procedure call.\nIt returns.");
shows sub { $browser->url }, $base, 'the form is filled in and sent: back on the page';
shows sub { script(q{return document.querySelector('article strong').textContent}) }, 'Grace',
    '... a name';
is script(q{return document.querySelector('article p').textContent}),
    "A door is a procedure call.\nIt returns.", '... and a message';
my $evil = q{<img src=x onerror="document.title='evil'">};
sign('Mallory', $evil);
shows sub { script(q{return document.querySelector('article p').textContent}) }, $evil,
    'what looks like HTML is text';
is $browser->title, 'Guest book', '... and does nothing';
$browser->click('article button.quiet');
shows sub { script(q{return document.querySelector('article strong').textContent}) }, 'Grace',
    'it is deleted';
sign('Ada', 'I could not find the pool. There is none?');
shows sub { script(q{return document.querySelector('article strong').textContent}) }, 'Ada',
    'and another one';
picture('guestbook');

# The browser itself refuses what the form must not have; nothing is sent.
$browser->click('form.new button');
is script(q{return document.querySelectorAll('article').length}), 2, 'an empty form is not sent';

# ---- on a phone

$browser->size(400, 800);
$browser->go($base);
cmp_ok script('return document.documentElement.scrollWidth'), '<=',
    script('return window.innerWidth'), 'a narrow window: nothing sticks out';
picture('guestbook-phone');

# ---- connections

$browser->size(1100, 900);
sub column { script(qq{return Array.from(document.querySelectorAll('tr.$_[0]'),
    row => row.children[$_[1]].textContent).sort().join(' ')}) }
my $are_the_same;
for (1 .. 5) {
    system "wrk -c6 -t1 -d1s $base >$dir/wrk.log 2>&1";
    # The last requests of the others may still run, and connect.
    $are_the_same = wait_for(sub {
        $browser->go("${base}connections");
        return column('thread', 1) eq column('backend', 0);
    }, 20);
    last if (() = split ' ', column('thread', 1)) > 1; # or those that had no calls have closed theirs
}
ok $are_the_same, 'threads have the connections that there are';
cmp_ok scalar(split ' ', column('thread', 1)), '>', 1, '... several';
picture('guestbook-connections');

$browser->close;
done_testing;
