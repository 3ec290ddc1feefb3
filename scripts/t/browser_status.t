#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The status page in a real browser: its figures move without a reload, what clients send
# is text, and it can be read on a phone and in the dark.  SCREENSHOTS=DIR keeps pictures
# there.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use HTTP::Tiny ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Browser ();
use OwnHttpd ();
use Waiting qw(wait_for);

my $build = abs_path($ENV{BUILD} // 'build');
my $me = $$;
my @pids;

END {
    local $?;
    if ($$ == $me) {
        kill 'TERM', @pids;
        waitpid $_, 0 for @pids;
    }
}

sub start {
    my ($run) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        $run->();
        POSIX::_exit(127);
    }
    push @pids, $pid;
}

# ---- an httpd and a browser

my $root = File::Temp->newdir('/tmp/mod_door-status.XXXXXX');
chmod 0755, $root;
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core authz_host mime`;
my $httpd = OwnHttpd->new(program => $program, build => $build, below => "$root",
    modules => "${modules}LoadModule door_module \"$build/mod_door.so\"\n",
    prologue => $> == 0 ? "User www-data\nGroup www-data\n" : '');
my $dir = $httpd->dir;
$httpd->install('kitchen');
$httpd->configure(<<"CONF");
DoorApp hello $dir/bin/hello
DoorApp kitchen $dir/bin/kitchen
<Location /hello>
    DoorHandler hello
</Location>
<Location /kitchen>
    DoorHandler kitchen
</Location>
<Location /door-status>
    Require local
    SetHandler door-status
</Location>
CONF
ok $httpd->start, 'httpd starts';

my $driver_port = OwnHttpd::free_port();
start(sub {
    open STDIN,  '<', '/dev/null'        or die;
    open STDOUT, '>', "$root/driver.log" or die;
    open STDERR, '>&', \*STDOUT          or die;
    exec 'chromedriver', "--port=$driver_port";
});
ok wait_for(sub { Browser::is_ready($driver_port) }), 'chromedriver runs';
my $browser = Browser->new(profile => "$root/profile", port => $driver_port);

sub script { $browser->script(@_) }
sub fact { script('return document.querySelector(arguments[0]).textContent', qq{[data-door="$_[0]"] [data-fact="$_[1]"]}) }
sub requests { (eval { fact('hello', 'requests') } // '0') =~ tr/0-9//cdr || 0 }
sub complaints { join "\n", map { $_->{message} } @{$browser->in(POST => '/se/log', {type => 'browser'})} }

sub media {
    $browser->in(POST => '/goog/cdp/execute', {cmd => 'Emulation.setEmulatedMedia',
        params => {features => [{name => 'prefers-color-scheme', value => $_[0]}]}});
}

sub picture {
    my ($name) = @_;
    my $png = $browser->picture;
    is substr($png, 1, 3), 'PNG', "a picture: $name";
    return unless $ENV{SCREENSHOTS};
    open my $file, '>:raw', "$ENV{SCREENSHOTS}/$name.png" or die;
    print $file $png;
    close $file;
}

# ---- under load

# At a pace that leaves the browser some time.
for my $path ('/hello', '/hello', '/kitchen/sleep?ms=20') {
    start(sub {
        $SIG{TERM} = 'DEFAULT';
        while (getppid == $me) {
            $httpd->get($path);
            sleep 0.005;
        }
    });
}
$browser->size(1100, 1000);
$browser->go("http://127.0.0.1:$httpd->{port}/door-status");
is $browser->title, 'Doors', 'the page';
ok wait_for(sub { requests() > 0 }), '... has figures';
script('window.isTheSame = true');
my $first = requests();
ok wait_for(sub { requests() > $first + 100 }), '... which move';
ok wait_for(sub { fact('hello', 'now') =~ /[1-9]/ && fact('hello', 'p50') =~ /s$/ }), '... rates and times, too';
ok script('return window.isTheSame === true'), '... without a reload';
like script(q{return document.querySelector('[data-door="hello"] svg').getAttribute('aria-label')}),
    qr{^requests/s in the last 10 minutes, at most}, '... a chart can be read aloud';

$httpd->get('/kitchen/%3Cimg%20src=x%20onerror=%22document.title=1%22%3E');
$httpd->get('/kitchen/sleep?ms=1500');
my $kitchen = sub { script(q{return document.querySelector('[data-door="kitchen"]').textContent}) };
ok wait_for(sub { $kitchen->() =~ m{/kitchen/sleep\d*[1-9]\.\d s} }), 'a slow request is shown' or diag $kitchen->();
is script(q{return document.querySelectorAll('#doors img, #doors script').length}), 0, '... as text is';
is $browser->title, 'Doors', '... and does nothing';

# ---- who looks at it

$browser->click('#pause');
my ($paused, $later);
for (1 .. 5) {
    sleep 3; # what was asked for may still come
    $paused = requests();
    sleep 3;
    $later = requests();
    last if $later == $paused;
}
is $later, $paused, 'Pause: nothing moves';
$browser->click('#pause');
ok wait_for(sub { requests() > $paused }), '... until it is told to go on';
picture('door-status');
media('dark');
my $background = sub { script('return getComputedStyle(document.body).backgroundColor') };
my $dark = $background->();
picture('door-status-dark');
media('light');
isnt $background->(), $dark, 'dark and light differ';
$browser->size(400, 900);
cmp_ok script('return document.documentElement.scrollWidth'), '<=', script('return window.innerWidth'),
    'a narrow window: nothing sticks out';
picture('door-status-phone');
is complaints(), '', 'the browser has nothing to complain of';

# ---- when httpd is gone

ok $httpd->stop, 'httpd stops';
ok wait_for(sub { script(q{return document.getElementById('trouble').textContent}) =~ /^There are no new figures/ }),
    '... and the page says that nothing new comes';
$browser->close;
done_testing;
