# SPDX-License-Identifier: Apache-2.0
#
# DoorMaxConcurrent: two at a time, three in line for two seconds, nobody else.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use Time::HiRes qw(sleep time);
use DoorTest;

plan tests => 22;

sub start {
    my ($path) = @_;
    my $socket = raw_open();
    raw_send($socket, "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    return $socket;
}

sub answers { map { parse_response(raw_rest($_)) } @_ }

# httpd may still be making the children that it needs for what follows, and
# each takes its time; prefork has one connection in each.
ok wait_for(sub {
    my $start = time;
    answers(map { start('/kitchen/sleep?ms=300') } 1 .. 8);
    return time - $start < 0.6;
}), 'eight requests can be in httpd at once';

is GET('/queue/env')->code, 200, 'a request alone';

# Five are in; a sixth is turned away at once.
{
    my $start = time;
    my @sockets;
    for my $path ('/queue', '/queue', '/queue', '/queue-too', '/queue') {
        push @sockets, start("$path/sleep?ms=700");
        sleep 0.1;
    }
    my $asked = time;
    my $refused = GET '/queue/env';
    is $refused->code, 503, 'one too many';
    cmp_ok time - $asked, '<', 1.5, '... hears it at once';
    is $refused->header('Retry-After'), 2, '... and when to come again';
    is GET('/queue-too/env')->code, 503, '... wherever the door is used';
    my @answers = answers(@sockets);
    is scalar(grep { $_->{status} == 200 } @answers), 5, 'the five are answered';
    cmp_ok time - $start, '>', 2, '... two at a time';
    is GET('/queue/env')->code, 200, '... then there is room';
}

# First come, first served.
{
    my @sockets = map { my $s = start('/queue/sleep?ms=500'); sleep 0.1; $s } 1 .. 5;
    my @ended;
    for my $i (0 .. 4) {
        raw_rest($sockets[$i]);
        push @ended, time;
    }
    is_deeply \@ended, [sort { $a <=> $b } @ended], 'in their order';
}

# Nobody waits for ever.
{
    my @sockets = map { my $s = start('/queue/sleep?ms=2900'); sleep 0.1; $s } 1 .. 2;
    my $asked = time;
    my $waited = GET '/queue/env';
    is $waited->code, 503, 'the wait has an end';
    cmp_ok time - $asked, '>', 1.5, '... after DoorQueueTimeout';
    answers(@sockets);
}

# A call that timed out keeps its place until the handler is through.
{
    my @sockets = map { start('/queue/sleep?ms=8000') } 1 .. 2;
    my @answers = answers(@sockets);
    is scalar(grep { $_->{status} == 504 } @answers), 2, 'two time out';
    is GET('/queue/env')->code, 503, '... and their threads are busy';
    ok wait_for(sub { GET('/queue/env')->code == 200 }), '... until they are through';
}

# An application that does not even count cannot take more than its share.
{
    freeze_app('queue') or die;
    my @sockets = map { start('/queue/env') } 1 .. 5;
    sleep 1.4;    # a child that has not called yet asks the door for a second who serves it
    my $asked = time;
    is GET('/queue/env')->code, 503, 'stopped: those above the limit hear it at once';
    cmp_ok time - $asked, '<', 2.5, '... and not when DoorTimeout is over';
    kill 'CONT', app_pid('queue');
    answers(@sockets);
    ok wait_for(sub { GET('/queue/env')->code == 200 }), '... it goes on';
}

# Children that are killed with every place in their hands give them back.
{
    my $full = sub {
        my @sockets = map { my $s = start('/queue/sleep?ms=1500'); sleep 0.1; $s } 1 .. 5;
        return GET('/queue/env')->code, @sockets;
    };
    my ($code, @sockets) = $full->();
    is $code, 503, 'the door is full';
    kill 'KILL', door_callers();
    answers(@sockets);
    ok wait_for(sub { (eval { GET('/queue/env')->code } // 0) == 200 }),
        'httpd\'s children are killed: it has room again';
    ok wait_for(sub { my ($is_full, @again) = $full->(); answers(@again); $is_full == 503 }, 30),
        '... for as many as before';
    ok wait_for(sub { GET('/queue/env')->code == 200 }), '... and goes on';
}
