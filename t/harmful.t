# SPDX-License-Identifier: Apache-2.0
#
# Descriptors that an application sends to do harm: their close(2) blocks, nothing
# ever comes from them, or there are too many.  Other requests go on, httpd stops as
# ever, and the log names the application.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Errno qw(EMFILE ENFILE);
use IO::Select ();
use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $user = getpwuid $>;
mkdir "$dir/bin/t";
my $harmful = $httpd->install('../t/apps/harmful' => 't/harmful');
# Few threads, all of one child unless it is prefork: all of httpd feels what happens to one.
$httpd->configure(<<"CONF");
DoorApp harmful $harmful
DoorApp kitchen $dir/bin/kitchen
DoorApp linked $dir/bin/hello
<Location /harmful>
    DoorHandler harmful
</Location>
<Location /kitchen>
    DoorHandler kitchen
</Location>
<Location /linked>
    DoorHandler linked
</Location>
<Location /bare>
    DoorHandler $dir/run/bare owner=$user
</Location>
<Location /bare-numbered>
    DoorHandler $dir/run/bare owner=#$>
</Location>
<Location /bare-of-another>
    DoorHandler $dir/run/bare owner=#4711
</Location>
<Location /hurried>
    DoorHandler harmful
    DoorTimeout 1
</Location>
DoorTimeout 60
EnableSendfile On
ServerLimit 8
MaxRequestWorkers 8
<IfModule mpm_prefork_module>
    StartServers 8
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers 1
    ServerLimit 1
    ThreadsPerChild 8
    MinSpareThreads 1
    MaxSpareThreads 8
</IfModule>
CONF
ok $httpd->start, 'httpd starts';
is $httpd->body('/harmful/x'), "fine\n", 'the application can answer well';
is $httpd->status('/kitchen/env'), 200, 'so can another one';

# A request that nobody waits for longer than that: what has come of the answer.
my %asked; # its handle: curl's pid
sub ask {
    my ($path, $seconds) = @_;
    my $pid = open my $curl, '-|', 'curl', '-sN', '--max-time', $seconds,
        "http://127.0.0.1:$httpd->{port}$path" or die $!;
    $asked{$curl} = $pid;
    return $curl;
}

sub finish { my ($curl) = @_; local $/; my $text = <$curl> // ''; close $curl; return $text }

# Whether more has come.
sub begins {
    my ($curl) = @_;
    return IO::Select->new($curl)->can_read(0) && (sysread($curl, my $piece, 65_536) // 0) > 0;
}

# The client goes, whatever has come.
sub give_up { my ($curl) = @_; kill TERM => $asked{$curl}; close $curl }

# The most that any child has of a kind of thing in /proc.
sub most {
    my ($what) = @_;
    my $most = 0;
    for my $pid ($httpd->children) {
        my $count = () = glob "/proc/$pid/$what/*";
        $most = $count if $count > $most;
    }
    return $most;
}

# Whether others are served, however slow the machine is.
sub others_are_served {
    my ($what) = @_;
    is finish(ask('/static.txt', 60)), "static\n", "$what: a file is served";
    like finish(ask('/kitchen/stream?lines=2&ms=1', 60)), qr/^line 1\nline 2\n/,
        '... and another application, also by its response door';
}

# ---- close(2) takes a day

my $mark = $httpd->mark;
my @curls = map { ask('/harmful/lingering', 100) } 1 .. 24;
is scalar(grep { finish($_) eq 'x' } @curls), 24, 'lingering sockets: all answers are there';
others_are_served('lingering sockets');

$mark = $httpd->mark;
my $threads = most('task');
@curls = map { ask('/harmful/nested', 10) } 1 .. 64;
finish($_) for @curls;
SKIP: {
    skip 'each child of prefork has its own', 2 if mpm() eq 'prefork';
    like finish(ask('/harmful/nested', 60)), qr/503/, 'sockets that hide one: at last it is not called';
    ok $httpd->logs(qr/\[door:error\] .*application harmful.*that it has sent cannot be/, $mark),
        '... the log names it';
}
cmp_ok most('task'), '<=', $threads + 24, '... few threads wait for it';
others_are_served('sockets that hide one');

ok $httpd->stop, 'httpd stops';
unlike $httpd->since($mark), qr/SIGKILL/, '... by itself';

# ---- handed over later

ok $httpd->start, 'httpd starts again';
is $httpd->status('/kitchen/env'), 200, '... and serves';
$threads = most('task');
@curls = map { ask('/harmful/late-nested', 10) } 1 .. 64;
finish($_) for @curls;
cmp_ok most('task'), '<=', $threads + 24, 'sockets that hide one, later: few threads wait for them';
others_are_served('sockets that hide one, later');
ok $httpd->stop, 'httpd stops';

# ---- nothing ever comes

ok $httpd->start, 'httpd starts again';
for my $path ('/harmful/silent-pipe', '/harmful/silent-socket') {
    @curls = map { ask($path, 100) } 1 .. 24;
    my $begun = 0;
    # Whichever of them httpd's few threads have taken.
    ok $httpd->wait_for(sub { $begun += grep { begins($_) } @curls; $begun >= 4 }), "$path: what there is has come";
    give_up($_) for @curls;
    others_are_served($path);
}
my $began = time;
is in_time(sub { finish(ask('/hurried/silent-pipe', 50)) }, sub { $_[0] eq 'x' }), 'x', 'a silent pipe';
cmp_ok time - $began, '<', 45, '... is given up after DoorTimeout';
$began = time;
is in_time(sub { finish(ask('/hurried/error-queue', 50)) }, sub { $_[0] eq 'x' }), 'x',
    'a socket that is readable and has nothing';
cmp_ok time - $began, '<', 45, '... is given up after DoorTimeout';
@curls = map { ask('/harmful/silent-pipe', 100) } 1 .. 2;
push @curls, map { ask('/harmful/error-queue', 100) } 1 .. 2;
sleep 1;
$mark = $httpd->mark;
$began = time;
ok $httpd->stop, 'httpd stops while some wait for what is silent';
cmp_ok time - $began, '<', 30, '... soon';
unlike $httpd->since($mark), qr/SIGKILL/, '... by itself';
finish($_) for @curls;

# ---- too many

ok $httpd->start, 'httpd starts again';
is $httpd->status('/harmful/x'), 200, '... and serves';
$mark = $httpd->mark;
my $descriptors = most('fd');
is $httpd->body('/harmful/many'), (EMFILE + 0) . "\n", 'with the answer: EMFILE';
$httpd->status('/harmful/many') for 1 .. 50;
ok $httpd->wait_for(sub { most('fd') <= $descriptors + 20 }), '... none is kept';
is $httpd->body('/harmful/many-back'), (ENFILE + 0) . "\n", 'on the response door: ENFILE';
$httpd->status('/harmful/many-back') for 1 .. 20;
ok $httpd->wait_for(sub { most('fd') <= $descriptors + 24 }), '... none is kept';
is $httpd->body('/harmful/x'), "fine\n", '... the application is served on';

# One at a time, and many: they go when they have been sent, not with the request.
for my $bytes (10, 20_000) {
    my $path = "$dir/part.$bytes";
    open my $file, '>', $path or die $!;
    print $file 'x' x $bytes;
    close $file or die $!;
    my $curl = ask("/harmful/parts?$path", 60);
    my ($text, $wanted) = ('', 500 * $bytes);
    while (length $text < $wanted && sysread $curl, my $piece, 65_536) {
        $text .= $piece;
    }
    is length $text, $wanted, "500 files of $bytes bytes: all of it comes";
    ok $httpd->wait_for(sub { most('fd') <= $descriptors + 60 }), '... their descriptors are not kept';
    give_up($curl);
}

# ---- heads without end

is $httpd->body('/harmful/hints?5'), "0\n", 'early hints of 500,000 bytes';
$mark = $httpd->mark;
is $httpd->status('/harmful/hints?12'), 502, '... of more than 1 MiB';
ok $httpd->logs(qr/\[door:error\] .*1 MiB of them/, $mark), '... the log says why';
is $httpd->status('/harmful/second-try'), 502, 'a response that begins badly does not begin again';
is $httpd->body('/harmful/x'), "fine\n", '... the application is served on';

# ---- what belongs to no disk, and where our code lies

SKIP: {
    my $file = '/sys/kernel/mm/transparent_hugepage/enabled';
    open my $text, '<', $file or skip "no $file", 1;
    is $httpd->body("/harmful/file?$file"), substr(<$text>, 0, 8), 'a file without a device';
}
is $httpd->body('/harmful/info'), "0 0\n", 'door_info() of the response door tells no address';

# ---- another one's door

{
    my ($own) = glob "$dir/run/mod_door.*/linked.*/door";
    my ($others) = glob "$dir/run/mod_door.*/kitchen.*/door";
    # No request has gone there: the door is opened now.
    unlink $own or die $!;
    symlink $others, $own or die $!;
    unlike $httpd->body('/linked/env'), qr/SCRIPT_NAME/,
        'a link to another application\'s door is not followed';
}
{
    my $pid = fork // die $!;
    if (!$pid) {
        open STDERR, '>>', "$dir/logs/bare";
        exec "$dir/bin/hello", "$dir/run/bare" or POSIX::_exit(127);
    }
    ok $httpd->wait_for(sub { $httpd->status('/bare') == 200 }), 'a door that its owner has attached';
    is $httpd->status('/bare-numbered'), 200, '... by number';
    $mark = $httpd->mark;
    is $httpd->status('/bare-of-another'), 503, '... and one that must be another user\'s';
    ok $httpd->logs(qr{\[door:error\] .*run/bare.*another user has attached}, $mark),
        '... the log says why';
    is $httpd->status('/bare'), 200, '... the others serve on';
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

ok $httpd->stop, 'httpd stops';
is_deeply [$httpd->processes(qr/./)], [], '... nothing is left';

done_testing;
