# SPDX-License-Identifier: Apache-2.0
#
# Launched applications are replaced, under load: by a restart, a new program,
# recycling.  No request fails because of it.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

sub app {
    my ($name, $command, $options) = @_;
    return qq{DoorApp $name "$command" @{[$options // '']}\n<Location /$name>\nDoorHandler $name\n}
        . ($name eq 'bare' ? "DoorProtocol raw\n" : '') . "</Location>\n";
}

# The pid of an application's process; that of its first if there are more.
sub pid_of { ($httpd->apps($_[0]))[0] // 0 }

# True once the application's process is another one, and that alone is left.
sub is_replaced {
    my ($name, $old, $seconds) = @_;
    return $httpd->wait_for(sub {
        my @now = $httpd->apps($name);
        return @now == 1 && $now[0] != $old;
    }, $seconds);
}

$httpd->install(hello => $_) for qw(kept changed watched touched recycled aged alone);
$httpd->install(raw => 'bare');
my $fixed = app(kept => "$dir/bin/kept") . app(watched => "$dir/bin/watched", 'watch=on')
    . app(touched => "$dir/bin/touched", "watch=$dir/logs/touch watch=logs/other")
    . app(recycled => "$dir/bin/recycled", 'max-requests=200')
    . app(aged => "$dir/bin/aged", 'max-age=1s instances=2')
    . app(alone => "$dir/bin/alone", 'overlap=off') . app(kitchen => "$dir/bin/kitchen");
my $changing = app(changed => "$dir/bin/changed") . app(bare => "$dir/bin/bare");

$httpd->configure($fixed . $changing);
ok $httpd->start, 'httpd starts';
my @names = qw(kept changed watched touched recycled aged alone bare);
is $httpd->status("/$_"), 200, "$_ answers" for @names;

my %load = map { $_ => $httpd->load("/$_", 2, 60) } @names;
my $control = $httpd->load('/static.txt', 1, 60);
sleep 0.5;

# ---- a restart replaces what has changed

my $kept = pid_of('kept');
my $changed = pid_of('changed');
my $bare = pid_of('bare');
$httpd->configure($fixed . app(changed => "$dir/bin/changed", 'env=A=b')
    . app(bare => "$dir/bin/bare", 'umask=077'));
ok $httpd->graceful, 'httpd restarts with another definition';
ok is_replaced(changed => $changed), '... the application is replaced';
ok is_replaced(bare => $bare), '... a bare program, too';
is pid_of('kept'), $kept, '... others stay';
$changed = pid_of('changed');
$httpd->install(hello => 'changed');
ok $httpd->graceful, 'httpd restarts, a program is another file';
ok is_replaced(changed => $changed), '... the application is replaced';
is pid_of('kept'), $kept, '... others stay';
$changed = pid_of('changed');
ok $httpd->graceful, 'httpd restarts, and nothing has changed';
sleep 0.5;
is pid_of('changed'), $changed, '... nothing is replaced';

# ---- without a restart

my $watched = pid_of('watched');
$httpd->install(hello => 'watched');
ok is_replaced(watched => $watched), 'watch=on: another program is noticed';
for my $file (qw(touch other touch)) {
    my $touched = pid_of('touched');
    open my $out, ">>", "$dir/logs/$file" or die $!;
    print $out "x\n";
    close $out or die $!;
    ok is_replaced(touched => $touched), "watch=PATH: $file is noticed";
}
ok $httpd->logs(qr/recycled\[\d+\]: is replaced: it has had max-requests calls/, 0, 90), 'max-requests';
ok $httpd->wait_for(sub { 4 <= (() = $httpd->log_text =~ /aged\[\d+\]: is replaced/g) }, 90),
    'max-age';
my $alone = pid_of('alone');
$httpd->install(hello => 'alone');
ok $httpd->graceful, 'overlap=off';
ok is_replaced(alone => $alone), '... is replaced';
ok $httpd->logs(qr/alone\[$alone\]: has left.*alone\[\d+\]: is up/s), '... one after the other';

# ---- one that is no good

my $mark = $httpd->mark;
$changed = pid_of('changed');
$httpd->script(changed => 'exit 7');
ok $httpd->graceful, 'httpd restarts, a program is broken';
ok $httpd->logs(qr/changed\[\d+\]: ended before it was up: exit code 7; the old process stays/, $mark),
    '... the log tells';
ok $httpd->logs(qr/changed\[\d+\]: .*failed 2 times \(exit code 7\)/, $mark), '... it is tried again later';
is pid_of('changed'), $changed, '... the old one stays';
unlink "$dir/bin/changed";
$mark = $httpd->mark;
ok $httpd->graceful, 'httpd restarts, a program is missing';
ok $httpd->logs(qr/httpd\.conf:\d+: DoorApp changed: cannot run.*it stays as it was/, $mark),
    '... the log tells, with the line';
is pid_of('changed'), $changed, '... the old one stays';
$httpd->install(hello => 'changed');
ok $httpd->graceful, 'httpd restarts, it is there again';
ok is_replaced(changed => $changed), '... and replaced';

# ---- a definition that comes, and goes

$httpd->install(hello => 'added');
my $current = $fixed . app(changed => "$dir/bin/changed", 'env=A=b');
$httpd->configure($current . app(added => "$dir/bin/added"));
my $bare_load = $httpd->end_load(delete $load{bare});
ok $httpd->graceful, 'httpd restarts with an application more and one less';
is $httpd->status('/added'), 200, '... the new one answers';
ok $httpd->wait_for(sub { !$httpd->apps('bare') }), '... the old one ends';
is $httpd->status('/bare'), 404, '... and is not found any more';

# ---- reload=always, and a restart that is not graceful

my $added = pid_of('added');
$kept = pid_of('kept');
ok $httpd->graceful, 'httpd restarts, and nothing has changed';
sleep 0.5;
is pid_of('added'), $added, '... nothing is replaced';
$httpd->configure($current . app(added => "$dir/bin/added", 'reload=always'));
ok $httpd->graceful, 'reload=always';
ok is_replaced(added => $added), '... is replaced all the same';
is pid_of('kept'), $kept, '... alone';

# ---- what runs is not cut off

my $kitchen = pid_of('kitchen');
# Comes to its end when the body does.
my $stream = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}");
print $stream "POST /kitchen/duplex HTTP/1.0\r\nContent-Length: 100010\r\n\r\n", 'x' x 100_000;
sysread $stream, my $begun, 10 or die;
$httpd->install(kitchen => 'kitchen');
ok $httpd->graceful, 'httpd restarts with a stream running';
ok $httpd->wait_for(sub { $httpd->apps('kitchen') == 2 }), '... two processes run';
is $httpd->status('/kitchen/env'), 200, '... one of which answers';
print $stream "its end.\n\n";
my $lines = $begun . do { local $/; <$stream> };
is $lines =~ s{.*\r\n\r\n}{}sr, "x" x 100_000 . "its end.\n\n", q{... the stream comes to its end};
ok is_replaced(kitchen => $kitchen), '... and the old process with it';

ok $httpd->wait_for(sub { !$httpd->zombies }), 'those that were replaced leave no zombies';

# ---- nothing was lost

$httpd->goes_on($load{$_}, 20) or die for sort keys %load;
for my $name (sort keys %load, 'bare') {
    my $statuses = $name eq 'bare' ? $bare_load : $httpd->end_load($load{$name});
    cmp_ok $statuses->{200}, '>', 20, "$name: requests under way";
    is_deeply [keys %$statuses], [200], '... all were answered' or diag explain $statuses;
}
is_deeply [keys %{$httpd->end_load($control)}], [200], 'and so were those for a file';

# ---- the end

$kept = pid_of('kept');
$mark = $httpd->mark;
kill 'HUP', $httpd->pid;
ok $httpd->logs(qr/resuming normal operations/, $mark), 'a restart that is not graceful';
is $httpd->status('/kept'), 200, '... and httpd serves';
is pid_of('kept'), $kept, '... with the same process';

$stream = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}");
print $stream "GET /kitchen/stream?lines=20&ms=100 HTTP/1.0\r\n\r\n";
IO::Select->new($stream)->can_read(30) or die;
ok $httpd->stop('WINCH'), 'graceful-stop, with a stream running';
$lines = do { local $/; <$stream> };
like $lines, qr/\b20\n\z/, '... which comes to its end';
is_deeply [$httpd->processes(qr/./)], [], '... nothing is left';
is_deeply [glob "$dir/run/*"], [], '... nor its directories';

done_testing;
