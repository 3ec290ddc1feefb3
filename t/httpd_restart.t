# SPDX-License-Identifier: Apache-2.0
#
# httpd restarts with streams running: a graceful restart lets them come to
# their end, any other one ends them, and its children go at once.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use Time::HiRes qw(sleep time);
use DoorTest;

plan tests => 20;

# Of the tests before this one nobody is to be counted.
wait_for(sub { GET('/kitchen/gone?running')->content == 0 }) or die;
my $gone = gone();
my $parent = Apache::Test::config()->server->pid;

sub begin {
    my ($request, $body) = @_;
    my $socket = raw_open();
    raw_send($socket, "$request HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . (defined $body ? "Content-Length: 500000\r\n\r\n$body" : "\r\n"));
    return $socket;
}

sub gone { GET('/kitchen/gone?count')->content + 0 }

sub serves { (eval { GET('/kitchen/env')->code } // 0) == 200 }

sub restarted { log_like($_[0], qr/resuming normal operations/) }

# Streams of each kind, all of which are running; two of so many lines.
sub streams {
    my ($lines) = @_;
    wait_for(sub { GET('/kitchen/gone?running')->content == 0 }) or die;
    my @sockets = (
        begin("GET /kitchen/stream?lines=$lines&ms=100"),
        begin("GET /kitchen/stream?lines=$lines&ms=100"),
        begin('GET /kitchen/gone'),
        begin('POST /kitchen/upload', 'some'),
        begin('POST /kitchen/duplex', 'some'),
        begin('GET /kitchen/sleep?ms=1200'),
        begin('GET /kitchen/big?bytes=300000000'),
    );
    raw_begins($sockets[$_]) or die for 0, 1, 6;
    wait_for(sub { GET('/kitchen/gone?running')->content > 0 }) or die;
    sleep 0.4; # nothing tells of the others
    return @sockets;
}

# ---- graceful

for my $round (1, 2) {
    my @sockets = streams(15);
    my $mark = mark_log();
    kill 'USR1', $parent;
    like restarted($mark), qr/resuming/, 'a graceful restart';
    ok wait_for(\&serves), '... serves';
    for my $i (0, 1) {
        my $answer = parse_response(raw_rest($sockets[$i]));
        like $answer->{body}, qr/^line 15$/m, '... a stream goes on to its end';
    }
    is parse_response(raw_rest($sockets[5]))->{status}, 200, '... and so does a slow answer';
    close $_ for @sockets;
}

# ---- at once

{
    my @sockets = streams(600);
    push @sockets, begin('GET /kitchen/sleep?ms=20000');
    my $mark = mark_log();
    sleep 0.4;
    my $before = time;
    kill 'HUP', $parent;
    like restarted($mark), qr/resuming/, 'a restart';
    cmp_ok time - $before, '<', 10, '... does not wait for streams';
    ok wait_for(\&serves), '... serves';
    is parse_response(raw_rest($sockets[0]))->{complete}, 0, '... a stream has been cut';
    unlike log_since($mark), qr/sending a SIGKILL|could not make child/, '... no child had to be killed';
    unlike raw_rest($sockets[-1]), qr{^HTTP/1\.1 504}, '... a call that has been cut was not late';
    SKIP: {
        skip 'a child of prefork ends in the middle of its request', 1 if mpm() eq 'prefork';
        like log_like($mark, qr/kitchen.*process of httpd ends/), qr/\[door:info\]/, '... the log says why it ended';
    }
    unlike log_since($mark), qr/DoorTimeout|start-timeout|\[door:error\]/,
        '... and that nothing was wrong with the application';
    close $_ for @sockets;
}
ok wait_for(sub { gone() == $gone + 3 }), 'each handler has heard that its client went';
is app_alive('kitchen'), 1, '... and lives';
