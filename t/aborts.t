# SPDX-License-Identifier: Apache-2.0
#
# Thousands of transfers that end in the middle leave threads, descriptors and
# memory where they were, in the application and in httpd.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use Socket qw(SOL_SOCKET SO_LINGER);
use DoorTest;

plan tests => 8;

my $piece = 'x' x 20_000;

# Aborts one after the other, each somewhere else.
sub abort_some {
    my ($count) = @_;
    for my $i (1 .. $count) {
        my $socket = raw_open();
        setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 if $i % 2;
        if ($i % 4 < 2) {
            raw_send($socket, "GET /kitchen/big?bytes=5000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
            sysread $socket, my $bytes, 1 + $i * 30 if $i % 3;
        } else {
            my $path = $i % 8 < 4 ? 'upload' : 'duplex';
            raw_send($socket, "POST /kitchen/$path HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Length: 5000000\r\n\r\n" . substr $piece, 0, $i * 10);
        }
        close $socket;
    }
    return wait_for(sub { GET('/kitchen/env')->is_success });
}

# They are gone within a second or so, but not before their threads have noticed.
sub settled {
    my ($what, $limit) = @_;
    return wait_for(sub { app_count('kitchen')->{$what} <= $limit }, 20);
}

ok abort_some(400), 'the first ones, for which everything is made';
my $before = app_count('kitchen');
my $callers = door_callers();
my $httpd = child_descriptors();
ok abort_some(1000), 'a thousand';
ok abort_some(1000), '... and another one';
ok settled('threads', $before->{threads} + 20), 'threads';
ok app_descriptors_settle('kitchen', $before, $callers, 20), 'descriptors';
ok settled('kib', $before->{kib} + 16 * 1024), 'memory';
ok wait_for(sub { child_descriptors() <= $httpd + 20 }, 20), "httpd's descriptors";
is GET('/kitchen/upload')->code, 200, 'it serves';
