# SPDX-License-Identifier: Apache-2.0
#
# DoorMaxConcurrent: two at a time, three in line for six seconds, nobody else.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use IO::Select ();
use JSON::PP qw(decode_json);
use Time::HiRes qw(time);
use DoorTest;

plan tests => 20;

sub start {
    my ($path) = @_;
    my $socket = raw_open();
    raw_send($socket, "GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    return $socket;
}

sub answers { map { parse_response(raw_rest($_)) } @_ }

# Seven at once, which are two too many, by both of the door's locations.
sub seven {
    my ($what) = @_;
    return map { start($_ % 2 ? "/queue/$what" : "/queue-too/$what") } 1 .. 7;
}

# So many answers as they come; those connections are taken out of @$sockets.
sub first_answers {
    my ($count, $sockets) = @_;
    my $select = IO::Select->new(@$sockets);
    my @answers;
    while (@answers < $count) {
        my ($socket) = $select->can_read(30) or last;
        push @answers, answers($socket);
        $select->remove($socket);
    }
    @$sockets = $select->handles;
    return @answers;
}

sub statuses { join ' ', map { $_->{status} } @_ }

# Seven at once, and the answers of those two; their start comes first.
sub fill {
    my ($start, @sockets, @refused);
    for (1 .. 5) {
        $start = time;
        @sockets = seven('sleep?ms=1500');
        @refused = first_answers(2, \@sockets);
        last if time - $start < 1.5;
        # It may be that not all seven came while the first ones ran.
        answers(@sockets) if $_ < 5;
    }
    return ($start, \@refused, @sockets);
}

# True once so many run in the door, and so many wait for it.
sub has_come_to {
    my ($running, $waiting) = @_;
    my $door = app_path('queue');
    return wait_for(sub {
        my ($seen) = grep { $_->{name} eq $door } @{decode_json(GET('/door-status?format=json')->content)->{doors}};
        my $process = $seen->{processes}[0];
        return ($process->{running} // -1) == $running && ($process->{waiting} // -1) == $waiting;
    }, 2);
}

# When the handler of this answer ran, by its own clock.
sub ran_at { $_[0]{body} =~ /^data: (\S+)/m ? $1 : 0 }

# httpd may still be making the children that it needs for what follows, and
# each takes its time; prefork has one connection in each.
ok wait_for(sub {
    my $start = time;
    answers(map { start('/kitchen/sleep?ms=1000') } 1 .. 8);
    return time - $start < 1.9;
}, 60), 'eight requests can be in httpd at once';

is GET('/queue/env')->code, 200, 'a request alone';

# Five are in; whoever comes last is turned away at once.
{
    my ($start, $refused, @sockets) = fill();
    is statuses(@$refused), '503 503', 'two too many hear it before anybody is through';
    is $refused->[0]{headers}{'retry-after'}[0], 6, '... and when to come again';
    is statuses(answers(@sockets)), '200 200 200 200 200', 'the five are answered';
    cmp_ok time - $start, '>', 4, '... two at a time';
    is GET('/queue/env')->code, 200, '... then there is room';
}

# First come, first served: one place is taken for long, the others share the other.
{
    my @long = map { start("/queue/events?$_") } 'events=40&ms=100', 'events=2&ms=1500';
    raw_begins($_) or die for @long;
    my @ran = map { ran_at($_) }
        answers(map { my $s = start('/queue/events?events=2&ms=50'); has_come_to(2, $_); $s } 1 .. 3);
    answers(@long);
    ok $ran[0] < $ran[1] && $ran[1] < $ran[2], 'in their order' or diag "@ran";
}

# Nobody waits for ever.  A call that timed out keeps its place until the handler is through.
{
    my $start = time;
    my @sockets = map { start('/queue/sleep?ms=10000') } 1 .. 2;
    has_come_to(2, 0);
    my $asked = time;
    is GET('/queue/env')->code, 503, 'the wait has an end';
    cmp_ok time - $asked, '>', 5.5, '... after DoorQueueTimeout';
    is statuses(answers(@sockets)), '504 504', 'two time out';
    my ($next) = answers(start('/queue/events?events=1&ms=0'));
    is $next->{status}, 200, '... the next one is served';
    cmp_ok ran_at($next) - $start, '>=', 10, '... when they are through';
}

# An application that does not even count cannot take more than its share.
{
    freeze_app('queue') or die;
    my @sockets = seven('env');
    is statuses(first_answers(2, \@sockets)), '503 503',
        'stopped: those above the limit hear it before DoorTimeout is over';
    kill 'CONT', app_pid('queue');
    answers(@sockets);
    ok wait_for(sub { GET('/queue/env')->code == 200 }), '... it goes on';
}

# Children that are killed with every place in their hands give them back.
{
    my (undef, $refused, @sockets) = fill();
    is statuses(@$refused), '503 503', 'the door is full';
    kill 'KILL', door_callers();
    answers(@sockets);
    ok wait_for(sub { (eval { GET('/queue/env')->code } // 0) == 200 }),
        'httpd\'s children are killed: it has room again';
    my ($seen, $ms) = ('', 300);
    ok wait_for(sub {
        $seen = eval { join ' ', sort split / /, statuses(answers(seven("sleep?ms=$ms"))) } // '';
        $ms += 100; # all seven are to come while the first ones run
        return $seen eq '200 200 200 200 200 503 503';
    }, 60), '... for as many as before' or diag $seen;
    ok wait_for(sub { GET('/queue/env')->code == 200 }), '... and goes on';
}

is app_alive('queue'), 1, 'the application is the one that it was';
