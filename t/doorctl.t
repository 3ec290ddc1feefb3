# SPDX-License-Identifier: Apache-2.0
#
# doorctl: what it shows, restarts, drains and starts, and whom it refuses.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Handle ();
use IO::Select ();
use IPC::Open2 qw(open2);
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $doorctl = "$httpd->{build}/doorctl";

# What it prints, in both ways; its exit status is in $code.
my $code;
sub doorctl {
    my (@arguments) = @_;
    my $command = join ' ', map { "'$_'" } $doorctl, '-d', "$dir/run", @arguments;
    my $said = `timeout 60 $command 2>&1`;
    $code = $? >> 8;
    return $said;
}

sub listed {
    my $all = JSON::PP->new->decode(doorctl('-j', 'list'));
    return { map { $_->{name} => $_ } @{$all->{applications}} };
}

sub pid_of { ($httpd->apps($_[0]))[0] // 0 }

sub app {
    my ($name, $options) = @_;
    return "DoorApp $name $dir/bin/$name @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n</Location>\n";
}

like doorctl('list'), qr/^doorctl: no httpd that runs has launched applications in \Q$dir\E\/run;/, 'no httpd runs';
is $code, 1, '... exit status';
like `$doorctl -d $dir/nowhere list 2>&1`, qr{^doorctl: \Q$dir\E/nowhere: No such file.*DoorRuntimeDir}, 'no directory';

$httpd->install(kitchen => $_) for qw(shop alone);
$httpd->install(hello => $_) for qw(pair);
$httpd->script(broken => 'echo "bad \"quote\""; exit 3');
my $conf = app(shop => 'stop-timeout=2s') . app(pair => 'instances=2') . app(alone => 'overlap=off')
    . app(broken => 'backoff-min=60') . "DoorTimeout 30\n";
$httpd->configure($conf);
ok $httpd->start, 'httpd starts';
is $httpd->status("/$_"), 200, "$_ answers" for qw(shop/env pair alone/env);
ok $httpd->wait_for(sub { -S "$dir/run/mod_door." . $httpd->supervisor . '/control' }), 'the supervisor has a door';

# ---- list

my $up = qr/^shop: up, 0 restarts, 0 crashes\n    pid @{[pid_of('shop')]} up, for \d+s, \d+ calls, 0 running, 0 waiting$/m;
# A call ends a moment after its answer has come.
ok $httpd->wait_for(sub { doorctl('list') =~ $up }), 'list shows what is up';
is $code, 0, '... exit status';
ok $httpd->wait_for(sub { (doorctl('list', 'broken')) =~ /^broken: (?:starting|backing off), .*\n    failed 2 times \(exit code 3\), next try in [\d.]+ s$/m }),
    '... and what has failed, and why';
unlike doorctl('list', 'broken'), qr/shop/, '... one alone';
my $listed = listed();
is $listed->{pair}{instances}, 2, 'as JSON: instances';
is scalar @{$listed->{pair}{processes}}, 2, '... processes';
is $listed->{shop}{processes}[0]{pid}, pid_of('shop'), '... pid';
is $listed->{shop}{state}, 'up', '... state';
cmp_ok $listed->{shop}{processes}[0]{calls}, '>=', 1, '... calls';
is $listed->{broken}{why}, 'exit code 3', '... why';
cmp_ok $listed->{broken}{retry_seconds}, '>', 1, '... when the next try is';

# ---- restart

sub restarts {
    my ($name, $path, $count) = @_;
    my %old = map { $_ => 1 } $httpd->apps($name);
    my $load = $httpd->load($path, 2);
    $httpd->goes_on($load, 5) or die;
    is doorctl('restart', $name), '', "restart $name";
    is $code, 0, '... is done';
    my @new = grep { !$old{$_} } $httpd->apps($name);
    is scalar @new, $count, '... with another process in the place of each';
    $httpd->goes_on($load, 5) or die;
    is_deeply [keys %{$httpd->end_load($load)}], [200], '... and no request has failed';
}
restarts('shop', '/shop/env', 1);
restarts('pair', '/pair', 2);
restarts('alone', '/alone/env', 1);
ok $httpd->logs(qr/shop\[\d+\]: is replaced: doorctl has asked for that/), '... the log tells';
is scalar(() = $httpd->log_text =~ /resuming normal operations/g), 1, '... httpd has not restarted';

my $mark = $httpd->mark;
like doorctl('restart', 'broken'), qr/broken has not come up: exit code 3/, 'one that does not come up';
is $code, 1, '... exit status';
ok $httpd->logs(qr/broken\[\d+\]: ended before it was up/, $mark), '... it has been tried at once';
my $old = pid_of('shop');
$httpd->script(shop => 'exit 4');
like doorctl('restart', 'shop'), qr/shop has not come up: exit code 4; the old process stays/, 'a new program that is wrong';
ok kill(0, $old), '... it is there';
is $httpd->status('/shop/env'), 200, '... it answers';
$httpd->install(kitchen => 'late');
my $takes_its_time = "while ! test -e $dir/go; do sleep 0.1; done\nexec $dir/bin/late";
$httpd->script(shop => $takes_its_time);
is doorctl('-n', 'restart', 'shop'), '', '... another one, which takes its time';
is $code, 0, '... is not waited for with -n';
like doorctl('restart', 'shop'), qr/shop is being started or replaced already/, '... one at a time';
is $code, 1, '... exit status';
open my $go, '>', "$dir/go" or die $!;
ok $httpd->wait_for(sub { my $app = listed()->{shop}; @{$app->{processes}} == 1 && $app->{processes}[0]{state} eq 'up' && !kill 0, $old }),
    '... until it has come up';
$httpd->install(kitchen => 'shop');
is doorctl('restart', 'shop'), '', '... and the first program again';
like doorctl('-n', 'restart', 'alone'), qr/^$/, 'without waiting';
ok $httpd->wait_for(sub { $httpd->status('/alone/env') == 200 }), '... it comes up';

# ---- drain and start

my $call = $httpd->hold('/shop/duplex');
is listed()->{shop}{processes}[0]{running}, 1, 'a call runs';
$mark = $httpd->mark;
my $began = time;
my $drained = pid_of('shop');
like doorctl('-w', 1, 'drain', 'shop'), qr/shop: not done yet, and goes on/, 'drain: waits for so long at most';
is $code, 3, '... exit status';
is $httpd->status('/shop/env'), 503, '... no new call is taken';
ok $httpd->logs(qr/DOOR0126: application shop: it has been drained, until doorctl start/, $mark), '... the log tells';
is listed()->{shop}{state}, 'drained', '... it is shown';
is listed()->{shop}{processes}[0]{state}, 'leaving', '... with the process that leaves';
like doorctl('drain', 'shop'), qr/shop is drained; doorctl start shop has it run again/, '... again';
like doorctl('restart', 'shop'), qr/shop is drained/, '... nor is it restarted';
sleep 0.1 while time - $began < 3; # longer than its stop-timeout
ok pid_of('shop'), '... the process stays';
ok $httpd->release($call), '... until its call has its answer';
ok $httpd->wait_for(sub { !pid_of('shop') }), '... and ends';
unlike $httpd->since($mark), qr/shop\[$drained\]: has not ended in time/, '... and is not killed';
is $httpd->status("/$_"), 200, "... $_ answers" for qw(pair alone/env);
ok $httpd->graceful, 'httpd restarts';
is $httpd->status('/shop/env'), 503, '... it stays down';
my $supervisor = $httpd->supervisor;
kill 'KILL', $supervisor;
ok $httpd->wait_for(sub { my $now = $httpd->supervisor; $now && $now != $supervisor && $httpd->status('/pair') == 200 }),
    'the supervisor is killed';
ok $httpd->wait_for(sub { (doorctl('list')) =~ /^shop: drained/m }), '... it stays down';
is $httpd->status('/shop/env'), 503, '... and is not there';
is pid_of('shop'), 0, '... no process runs';
is doorctl('start', 'shop'), '', 'start';
is $code, 0, '... is done';
is $httpd->status('/shop/env'), 200, '... it answers';
like doorctl('start', 'shop'), qr/shop is not drained/, '... again';
is doorctl('drain', 'pair'), '', 'drain waits for the end';
is scalar(my @left = $httpd->apps('pair')), 0, '... of all';

# Who waits hears of it when somebody else asks for the opposite.
my $waiting = "timeout 60 $doorctl -d $dir/run";
unlink "$dir/go" or die $!;
$httpd->script(shop => $takes_its_time);
open my $waiter, '-|', "$waiting restart shop 2>&1" or die $!;
ok $httpd->wait_for(sub { @{listed()->{shop}{processes}} == 2 }), 'one waits for a restart';
is doorctl('-n', 'drain', 'shop'), '', '... another one drains';
is <$waiter>, "doorctl: shop has been drained meanwhile\n", '... which is told';
close $waiter;
is $? >> 8, 1, '... exit status';
$httpd->install(kitchen => 'shop');
is doorctl('start', 'shop'), '', '... it is there again';
$call = $httpd->hold('/shop/duplex');
is listed()->{shop}{processes}[0]{running}, 1, '... and has a call';
open $waiter, '-|', "$waiting drain shop 2>&1" or die $!;
ok $httpd->wait_for(sub { listed()->{shop}{state} eq 'drained' }), '... one waits for its end';
is doorctl('-n', 'start', 'shop'), '', '... another one starts it';
is <$waiter>, "doorctl: shop has been started again meanwhile\n", '... which is told';
close $waiter;
ok $httpd->release($call), '... the call comes to its end';
ok $httpd->wait_for(sub { $httpd->status('/shop/env') == 200 }), '... it answers';

# ---- who is refused

like doorctl('restart', 'shpo'), qr/there is no application 'shpo'/, 'an unknown application';
is $code, 1, '... exit status';
my ($refusal) = doorctl('-j', 'restart', 'shpo') =~ /^(\{.*\})$/m;
like(JSON::PP->new->decode($refusal)->{error}, qr/no application/, '... as JSON');
my @misuses = ([], ['nonsense'], ['restart'], ['list', 'a', 'b'], map { ['-w', $_, 'list'] } 'x', 0, -1, 18_446_744_074, '9' x 30);
for my $arguments (@misuses) {
    doorctl(@$arguments);
    is $code, 2, "misuse: @$arguments";
}
like doorctl('restart', 'x' x 200), qr/there is no application/, 'a name that is too long';
my ($control) = glob "$dir/run/mod_door.*/control";
is +(stat $control)[2] & 0777, 0600, 'nobody else may call the door';
chmod 0, $control;
SKIP: {
    skip 'root may', 1 if $> == 0;
    like doorctl('list'), qr/permission denied: root and httpd's user/, '... who may not is told';
}
chmod 0600, $control;

unlike doorctl('list', "\e[2Jshop"), qr/\e/, 'what a terminal would obey is not printed';

# A supervisor that is stopped has a door all the same.
kill 'STOP', $httpd->supervisor;
my $asked = time;
like doorctl('-w', 2, 'list'), qr/the supervisor does not answer: .*timed out/, 'one that does not answer';
is $code, 1, '... exit status';
cmp_ok time - $asked, '<', 20, '... is not waited for longer than asked';
like doorctl('list'), qr/the supervisor does not answer/, '... nor for ever';
kill 'CONT', $httpd->supervisor;
ok $httpd->wait_for(sub { doorctl('list'); $code == 0 }), '... and answers again';

# Whatever comes, the supervisor goes on.
my $before = $httpd->supervisor;
is `$httpd->{build}/t/apps/ctl_nonsense $control 2>&1`, "2000 refused\n", 'nonsense is refused, and nothing else happens';
is join(' ', doorctl('list') =~ /^(\w+):/mg), 'alone broken pair shop', '... the supervisor answers, by name';
is $httpd->supervisor, $before, '... the same';
unlink $control or die $!;
ok $httpd->wait_for(sub { doorctl('list'); $code == 0 }), 'a name that was removed is there again';

# Signals that come meanwhile: processes end at any time.
$mark = $httpd->mark;
my $signalling = fork // die $!;
if ($signalling == 0) {
    1 while kill 'CHLD', $before;
    POSIX::_exit(0);
}
for (1 .. 8) {
    unlink $control or die $!;
    $httpd->wait_for(sub { -S $control }) or last;
}
kill 'KILL', $signalling;
waitpid $signalling, 0;
ok -S $control, '... and again, under signals';
unlike $httpd->since($mark), qr/DOOR0510/, '... which are nothing to warn of';

# A list of so many that the way back needs more memory, which cannot be had.
$httpd->configure($conf . join '', map { "DoorApp broken$_ $dir/bin/broken backoff-min=60 backoff-max=60\n" } 1 .. 50);
ok $httpd->graceful, 'many applications';
ok $httpd->wait_for(sub { doorctl('list') =~ /^broken50:/m }), '... are listed';
is doorctl('start', 'pair'), '', '... one of them is started';
my @launched = sort $httpd->apps('pair');
my $asking = open2(my $answers, my $lines, "$httpd->{build}/t/apps/ctl_list", $control);
$lines->autoflush(1);
sub list_of {
    my ($name) = @_;
    print $lines "$name\n";
    return IO::Select->new($answers)->can_read(60) ? scalar <$answers> : "nothing\n";
}
sub limit_memory {
    my ($limit) = @_;
    system('prlimit', '--pid', $httpd->supervisor, "--as=$limit:") == 0 or die 'prlimit';
    return;
}
is list_of('pair'), "result 0, 1 applications\n", '... another one asks';
open my $pages, '<', '/proc/' . $httpd->supervisor . '/statm' or die $!;
limit_memory((split ' ', <$pages>)[0] * POSIX::sysconf(POSIX::_SC_PAGESIZE()));
is list_of(''), "result 8, 0 applications\n", '... there is no memory for an answer';
is list_of('pair'), "result 0, 1 applications\n", '... but for a short one';
limit_memory('unlimited');
is list_of(''), "result 0, 54 applications\n", '... and for all when there is memory again';
kill 'KILL', $asking;
waitpid $asking, 0;
is_deeply [sort $httpd->apps('pair')], \@launched, '... what doorctl has started goes on';
$httpd->configure($conf);
ok $httpd->graceful, '... as before';
my $second = own_httpd();
$second->configure("DoorRuntimeDir $dir/run\nDoorApp other $second->{dir}/bin/hello\n");
ok $second->start, 'another httpd shares the directory';
ok $httpd->wait_for(sub { doorctl('list') =~ /several httpds have applications in .* -s: ?\d+ \d+/ }), '... and one is to be named';
like doorctl('-s', $before, 'list'), qr/^shop: /m, '... as with -s';
ok $second->stop, '... it stops';
my $long = $httpd->load('/shop/sleep?ms=60000', 1);
ok $httpd->wait_for(sub { listed()->{shop}{processes}[0]{running} == 1 }), 'a call that takes a minute';
is doorctl('-n', 'drain', 'shop'), '', '... is drained';
sleep 3; # longer than its stop-timeout
is listed()->{shop}{processes}[0]{running}, 1, '... and goes on';
$began = time;
ok $httpd->stop, 'httpd stops';
cmp_ok time - $began, '<', 20, '... does not wait for it';
$httpd->end_load($long);
doorctl('list');
is $code, 1, '... nobody answers';
is_deeply [glob "$dir/run/mod_door.*"], [], '... nothing is left';

done_testing;
