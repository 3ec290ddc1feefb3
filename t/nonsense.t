# SPDX-License-Identifier: Apache-2.0
#
# Whatever an application answers that is no answer is a 502 for the client, one
# line in the log, and nothing of it is passed on.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

my @bad = (
    qw(/nothing /random /magic /version/0 /version/next /kind/request /kind/none),
    qw(/head-len/0 /head-len/less /head-len/more /head-len/max),
    qw(/field-count/0 /field-count/more /field-count/max /name-len /value-len),
    qw(/body-len/less /body-len/more /body-len/max),
    (map { "/cut/$_" } 0, 1, 8, 31, 32, 33, 40, 50, 55),
    qw(/header/cr /header/lf /header/crlf /header/nul),
    qw(/header/name-space /header/name-colon /header/name-crlf /header/name-empty),
    qw(/length/letters /length/empty /length/negative /length/plus /length/list),
    qw(/length/overflow /length/twice),
    (map { "/status/$_" } 0, 1, 99, 100, 101, 103, 199, 600, 999, 65535),
);

plan tests => 4 * @bad + 22;

my $nonsense = app_path('nonsense');
is GET('/nonsense/ok')->content, "fine\n", 'the application can answer well';

for my $path (@bad) {
    my $mark = mark_log();
    my $text = raw_request("GET /nonsense$path HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n");
    is parse_response($text)->{status}, 502, "$path: bad gateway";
    unlike $text, qr/x-bad|x-fine|stolen|^fine$/mi, '... and nothing of it';
    my $line = log_like($mark, qr/\Q$nonsense\E/);
    my $pid = app_pid('nonsense');
    like $line, qr/\[door:error\].*\b$pid\b/, '... the log has the door and the pid';
    is scalar(() = log_since($mark) =~ /\[door:error\]/g), 1, '... once';
}

# A kept connection is not upset.
{
    my ($socket, $rest) = (raw_open(), '');
    for my $path ('/nonsense/random', '/nonsense/header/crlf', '/nonsense/ok', '/hello') {
        raw_send($socket, "GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n");
        is read_response($socket, \$rest)->{status}, $path =~ /ok|hello/ ? 200 : 502,
            "on one connection: $path";
    }
}

# Less than it promised: the client must not take it for the whole.
{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, "GET /nonsense/length/more HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $text = raw_rest($socket, 12); # less than KeepAliveTimeout
    my $answer = parse_response($text);
    my $length = $answer->{headers}{'content-length'}[0] // 0;
    ok $answer->{status} == 502 || $length > length $answer->{body},
        'a body shorter than its Content-Length is seen to be short';
    pass '... and the connection was closed';
}

# More than it promised: what is over must not become the next response.
{
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, "GET /nonsense/length/less HTTP/1.1\r\nHost: localhost\r\n\r\n");
    my $first = read_response($socket, \$rest);
    is $rest, '', 'a body longer than its Content-Length: nothing is left over';
    ok $first->{status} == 502 || length($first->{body}) == $first->{headers}{'content-length'}[0],
        '... and its length is right';
    raw_send($socket, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    like raw_rest($socket), qr{^HTTP/1\.1 200 .*Well, hello|^\z}s,
        '... nor the next answer spoilt';
}

# Descriptors that come with an answer: refused or closed, never collected.
SKIP: {
    skip 'needs /proc', 2 unless -d '/proc/self/fd';
    my %status;
    $status{ GET('/nonsense/descriptors')->code }++ for 1 .. 3;
    my $before = child_descriptors();
    $status{ GET('/nonsense/descriptors')->code }++ for 1 .. 100;
    ok !grep({ !/^(?:200|502)$/ } keys %status), 'unasked descriptors: ' . join ' ', %status;
    ok wait_for(sub { child_descriptors() < $before + 40 }), '... do not pile up';
}

# The wrong protocol on either side.
is GET('/raw-as-app/x')->code, 502, 'a raw door as an application is no answer';
my $reversed = GET '/app-as-raw/x';
ok $reversed->code == 200 || $reversed->code == 502, 'an application as a raw door does no harm';

# It dies of it, three times: 502 each, and it is served again once it is back.
for my $path ('/exit', '/abort') {
    my $mark = mark_log();
    is GET("/nonsense$path")->code, 502, "$path in the middle of a call: bad gateway";
    like log_like($mark, qr/\Q$nonsense\E/), qr/\[door:error\]/, '... logged';
    start_app('nonsense');
    wait_for_app('nonsense');
    is GET('/nonsense/ok')->code, 200, '... and the next one is served';
}
is GET('/nonsense/hang')->code, 504, 'no answer at all: gateway timeout';
is GET('/nonsense/ok')->code, 200, '... and the next one is served';
