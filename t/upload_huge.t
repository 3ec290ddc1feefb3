# SPDX-License-Identifier: Apache-2.0
#
# An upload of 10 GiB, of known length and in chunks, passes through in constant
# memory and without a file.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

plan tests => 12;

my $mib = 1 << 20;
my $piece = pattern($mib);

# The SHA-256 of 1,024 of these pieces.
my $gib_sha256 = 'a3d14cce239192545543dd564aa41691ca87c60fe199e8424e10ed30501a53f3';

# The files with something in them that the processes which pass it on have open, but
# for logs and what they had before.
my %had_before;

sub files {
    my @found;
    for my $pid (app_pid('kitchen'), door_callers()) {
        for my $fd (glob "/proc/$pid/fd/*") {
            my $to = readlink $fd // '';
            push @found, $to if -f $fd && -s _ && $to !~ m{memfd:|/logs/} && !$had_before{$to};
        }
    }
    return @found;
}

# Sends so many MiB and looks from time to time; what came back, and what it saw.
sub upload {
    my ($path, $count, $is_chunked) = @_;
    my ($most_app, $most_httpd, %files) = (0, 0);
    my $socket = raw_open();
    raw_send($socket, "POST $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . ($is_chunked ? "Transfer-Encoding: chunked\r\n\r\n"
            : 'Content-Length: ' . $count * $mib . "\r\n\r\n"));
    my $bytes = $is_chunked ? sprintf("%x\r\n%s\r\n", $mib, $piece) : $piece;
    for my $sent (1 .. $count) {
        raw_send($socket, $bytes) or last;
        next if $sent % 256;
        my ($app, $httpd) = (app_kib('kitchen'), child_kib());
        $most_app = $app if $app > $most_app;
        $most_httpd = $httpd if $httpd > $most_httpd;
        $files{$_} = 1 for files();
    }
    raw_send($socket, "0\r\n\r\n") if $is_chunked;
    return (parse_response(raw_rest($socket, 60)), $most_app, $most_httpd, [sort keys %files]);
}

# What everybody needs for a long body is there after a short one.
upload('/kitchen/upload', 64, $_) for 0, 1;
my ($app, $httpd) = (app_kib('kitchen'), child_kib());
%had_before = map { $_ => 1 } files();

my $count = 10 * 1024;
for my $is_chunked (0, 1) {
    my ($answer, $most_app, $most_httpd, $files) = upload('/kitchen/upload?count', $count, $is_chunked);
    is $answer->{body}, 'bytes=' . $count * $mib . "\n", "$count MiB" . ($is_chunked ? ', in chunks' : '');
    cmp_ok $most_app, '<', $app + 8 * 1024, "... the application's memory stays as it was";
    cmp_ok $most_httpd, '<', $httpd + 8 * 1024, "... and httpd's";
    is_deeply $files, [], '... nothing is written to a file';
}

for my $is_chunked (0, 1) {
    my ($answer) = upload('/kitchen/upload', 1024, $is_chunked);
    is $answer->{body}, 'bytes=' . 1024 * $mib . " sha256=$gib_sha256\n",
        '1 GiB arrives as it was sent' . ($is_chunked ? ', in chunks' : '');
}

is GET('/kitchen/env')->code, 200, 'it serves';
is app_alive('kitchen'), 1, '... as the process it was';
