# SPDX-License-Identifier: Apache-2.0
#
# Applications that httpd launches: what they get, what they say, how they are
# shown, and what becomes of those that do not come up.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file>;
}

# Says what it was given, prints this and that, and becomes kitchen.
$httpd->script(told => <<"SCRIPT");
env >$dir/told.env
{ pwd; umask; ulimit -n; ulimit -Hn; ulimit -c; } >$dir/told.limits
ls -l /proc/self/fd | cat >$dir/told.fds
printf '%s|' "\$@" >$dir/told.arguments
cut -d' ' -f1,5,6 /proc/\$\$/stat >$dir/told.session
cat >$dir/told.stdin
echo "to stdout"
echo "to stderr" >&2
echo "<3>an error"
printf 'escape \\033[31m and tab\\t.\\n'
awk 'BEGIN { while (i++ < 12000) printf "y"; print "" }'
exec $dir/bin/kitchen
SCRIPT
$httpd->script(slow => "sleep 1.5\nexec $dir/bin/hello");
$httpd->script(never => 'exec sleep 1000');
$httpd->script(broken => 'echo "what is wrong"; exit 3');
$httpd->script(flood => "yes flooding | head -n 200000\nexec $dir/bin/hello");

$httpd->configure(<<"CONF");
DoorApp told "$dir/bin/told 'one word' two" directory=$dir/htdocs umask=027 env=GREETING=hello \\
    env MORE=a=b RLimitNOFILE=100:200 RLimitCORE=0
DoorApp slow $dir/bin/slow
DoorApp never $dir/bin/never start-timeout=1s backoff-min=30
DoorApp broken $dir/bin/broken backoff-min=200ms backoff-max=400ms
DoorApp raw $dir/bin/raw
DoorApp flood $dir/bin/flood instances=2
DoorApp short "bin/hello"
<Location /told>
    DoorHandler told
</Location>
<Location /slow>
    DoorHandler slow
</Location>
<Location /never>
    DoorHandler never
</Location>
<Location /broken>
    DoorHandler broken
</Location>
<Location /raw>
    DoorHandler raw
    DoorProtocol raw
</Location>
<Location /flood>
    DoorHandler flood
</Location>
<Location /short>
    DoorHandler short
</Location>
<Location /status>
    SetHandler server-status
</Location>
CONF

like $httpd->check, qr/Syntax OK/, 'httpd takes the configuration';
my $began = time;
ok $httpd->start, 'httpd starts';

# ---- waiting for the start

my @waiting = map { $httpd->load('/slow', 1) } 1 .. 3;
is $httpd->status('/slow'), 200, 'a request waits for an application that starts';
cmp_ok time - $began, '>=', 1, '... as long as that takes';
my %early;
for my $load (@waiting) {
    my $statuses = $httpd->end_load($load);
    $early{$_} += $statuses->{$_} for keys %$statuses;
}
is_deeply [keys %early], [200], '... and none is lost' or diag explain \%early;

$began = time;
is $httpd->status('/never'), 503, 'one that does not come up in its start-timeout';
cmp_ok time - $began, '<', 25, '... is not waited for any longer';
ok $httpd->logs(qr/never\[\d+\]: has no door after 1\.0 s/), '... the log tells';

# ---- what it is given

is $httpd->body('/told/env') =~ /^SCRIPT_NAME=(.*)/m && $1, '/told', 'DoorHandler by name';
my %env = slurp("$dir/told.env") =~ /^(\w+)=(.*)$/mg;
delete @env{qw(PWD OLDPWD SHLVL _ ASAN_OPTIONS UBSAN_OPTIONS)};
my $user = getpwuid $<;
my $path = delete $env{DOOR_PATH};
is_deeply \%env, {
    PATH => '/usr/local/bin:/usr/bin:/bin', HOME => (getpwuid $<)[7], USER => $user,
    LOGNAME => $user, DOOR_APP => 'told', DOOR_APP_THREADS => 256, DOOR_APP_INSTANCES => 1,
    DOOR_READY_FD => 3, GREETING => 'hello', MORE => 'a=b',
}, 'a clean environment' or diag explain \%env;
like $path, qr{^\Q$dir\E/run/mod_door\.\d+/told\.\d+/door$}, '... with the path of its door';
my ($pwd, $umask, $soft, $hard, $core) = split /\n/, slurp("$dir/told.limits");
is $pwd, "$dir/htdocs", 'its directory';
is oct $umask, 027, 'its umask';
is "$soft $hard $core", '100 200 0', 'its limits';
my %fds = slurp("$dir/told.fds") =~ /(\d+) -> (\S+)$/mg;
is $fds{0}, '/dev/null', 'stdin is /dev/null';
is slurp("$dir/told.stdin"), '', '... and at its end';
like $fds{$_}, qr/^pipe:/, "descriptor $_ is a pipe" for 1, 2, 3;
is_deeply [grep { $_ > 3 && $fds{$_} !~ m{^/proc|^\Q$dir\E} } keys %fds], [],
    'it has no others' or diag explain \%fds;
my ($pid, $group, $session) = split ' ', slurp("$dir/told.session");
is "$group $session", "$pid $pid", 'a session and a group of its own';
is slurp("$dir/told.arguments"), 'one word|two|', 'arguments with quotes';

# ---- what it prints

for (
    ['to stdout', 'stdout'], ['to stderr', 'stderr'],
    ['escape \\\\x1b\[31m and tab', 'control characters, escaped'],
) {
    ok $httpd->logs(qr/\[door:warn\] .*told\[$pid\]: $$_[0]/), "in the log: $$_[1]";
}
ok $httpd->logs(qr/\[door:error\] .*told\[$pid\]: an error/), '... a level';
ok $httpd->logs(qr/told\[$pid\]: y{7000,8000} \[\.\.\.\]/), '... a long line, cut';

is $httpd->status('/flood'), 200, 'one that floods the log answers';
ok $httpd->logs(qr/flood\[\d+\]: over \d+ lines in a second/), '... the flood is limited';
cmp_ok scalar(() = $httpd->log_text =~ /flooding/g), '<', 100_000, '... in fact';

# ---- other programs

is $httpd->status('/raw'), 200, 'a program on bare <door.h>';
is $httpd->status('/short'), 200, 'a command relative to ServerRoot';

# ---- a crash loop

is $httpd->status('/broken'), 503, 'one that ends before it is up';
ok $httpd->logs(qr/broken\[\d+\]: ended before it was up: exit code 3/), '... and why';
ok $httpd->logs(qr/broken\[\d+\]: what is wrong/), '... and what it said';
ok $httpd->logs(qr/broken\[\d+\]: .*failed 4 times \(exit code 3\), next try in 0\.4 s/), '... waits longer each time';
$began = time;
my $tries = () = $httpd->log_text =~ /broken\[\d+\]: ended/g;
my ($status, $body, $head) = $httpd->get('/broken');
cmp_ok time - $began, '<', 5, '... requests do not wait for it';
like $head, qr/^Retry-After: \d+\r?$/m, '... and are told when to come again';
sleep 2;
$tries = (() = $httpd->log_text =~ /broken\[\d+\]: ended/g) - $tries;
cmp_ok $tries, '<', 5 * (time - $began) + 2, '... few tries are made'; # one in 0.4 s
$httpd->install(hello => 'broken');
ok $httpd->wait_for(sub { $httpd->status('/broken') == 200 }), '... until it is repaired';

# ---- mod_status

my $status_page = $httpd->body('/status');
like $status_page, qr{<h2>Door applications</h2>}, 'mod_status shows them';
like $status_page, qr{<b>told</b>.*?up, 0 restarts, 0 crashes}s, '... their state';
my %auto = $httpd->body('/status?auto') =~ /^DoorApp\.(\S+): (.*)$/mg;
is $auto{'told.State'}, 'up', '... for programs';
is $auto{'told.0.Pid'}, $pid, '... the pid';
cmp_ok $auto{'told.0.Calls'}, '>=', 1, '... calls';
is $auto{'told.0.Running'}, 0, '... running';
is $auto{'told.0.Waiting'}, 0, '... waiting';
cmp_ok $auto{'told.0.Threads'}, '>=', 1, '... threads';
cmp_ok $auto{'told.0.ThreadsMax'}, '>=', $auto{'told.0.Threads'}, '... and the most there were';
cmp_ok $auto{'raw.0.Threads'}, '>=', 1, '... of a bare program, too';
cmp_ok $auto{'broken.Crashes'}, '>=', 4, '... crashes';
like $auto{'broken.LastCrash'}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, '... the last one';
like $auto{'never.State'}, qr/backing off|starting/, '... and who is not up';
ok exists $auto{'flood.1.Pid'}, '... each instance';

# ---- the end

ok $httpd->wait_for(sub { $httpd->apps('(?:kitchen|hello|raw|never)') >= 6 }), 'all run';
ok $httpd->stop, 'httpd stops';
is_deeply [$httpd->processes(qr/./)], [], '... nothing is left of it';
is_deeply [glob "$dir/run/*"], [], '... nor its directories';

done_testing;
