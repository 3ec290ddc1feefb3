# SPDX-License-Identifier: Apache-2.0
#
# The same answers over HTTP/2, many streams on one connection.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Digest::SHA qw(sha256_hex);
use DoorTest;

plan tests => 28, need { 'HTTP/2 needs a threaded MPM, mod_http2, and a curl that speaks it'
    => \&have_http2 };

my @curl = ('--http2-prior-knowledge');
my $base = base_url('h2');

is curl(@curl, '-w', '%{http_version} %{http_code}', "$base/hello"),
    "Well, hello to you too!\n2 200", 'HTTP/2: /hello';
is curl(@curl, "$base/kitchen/big?bytes=0"), '', '... an empty body';
is curl(@curl, "$base/kitchen/big?bytes=3000000"), pattern(3_000_000), '... a large one';
is curl(@curl, '--data-binary', 'some body', "$base/kitchen/echo"), 'some body',
    '... a request body';

my $sent = pattern(1 << 20);
my $file = app_path('h2.body');
open my $out, '>', $file or die;
print $out $sent;
close $out or die;
is curl(@curl, '--data-binary', "\@$file", "$base/kitchen/echo"), $sent, '... of 1 MiB';

like curl(@curl, '-I', "$base/kitchen/big?bytes=70000"), qr/^content-length: 70000\r$/m, '... HEAD';
like curl(@curl, "$base/kitchen/env"), qr/^SERVER_PROTOCOL=HTTP\/2/m, '... the application is told';
my $headers = curl(@curl, '-D', '-', '-o', '/dev/null', "$base/kitchen/headers");
cmp_ok scalar(() = $headers =~ /^set-cookie:/mgi), '>=', 2, '... repeated headers';
my @status = (@curl, '-o', '/dev/null', '-w', '%{http_code}');
is curl(@status, "$base/nonsense/random"), '502', '... nonsense is a bad gateway';
is curl(@status, "$base/missing"), '503', '... none: unavailable';
is curl(@status, "$base/impatient/sleep?ms=5000"), '504', '... late: timeout';

# ---- streams

is curl(@curl, "$base/kitchen/stream?lines=3&ms=50"), "line 1\nline 2\nline 3\n", 'a stream';
{
    my $delays = in_time(sub {
        open my $pipe, '-|', 'curl', '-sN', @curl, '--max-time', 60,
            "$base/kitchen/events?events=30&ms=100" or die;
        my @delays = event_delays(sub { sysread $pipe, my $bytes, 65_536; return $bytes });
        close $pipe;
        return \@delays;
    }, sub { @{$_[0]} == 30 && $_[0][26] < 0.5 });
    is scalar(@$delays), 30, 'events';
    # Under 50 ms, and ten times that where others use the machine; a few may be later.
    cmp_ok $delays->[26], '<', 0.5, '... come when they are written';
}
is curl(@curl, '-T', $file, "$base/kitchen/upload"),
    'bytes=' . length($sent) . ' sha256=' . sha256_hex($sent) . "\n", 'an upload';
is curl(@curl, '-T', $file, "$base/kitchen/duplex"), $sent, '... that comes back as it goes';
my $broken = curl(@curl, '-w', '%{http_code} %{exitcode}', '-o', '/dev/null',
    "$base/victim/die?after=100000");
like $broken, qr/^200 (?!0$)/, 'the application dies in mid-stream: the stream is reset';
start_app('victim');
wait_for_app('victim') or die;
my $late = in_time(sub { curl(@curl, '-w', ' %{http_code} %{exitcode}', "$base/impatient/stream?lines=2&ms=9000") },
    sub { $_[0] =~ /^line 1/ });
like $late, qr/^line 1\n 200 (?!0$)/, '... so it is when DoorTimeout ends it';
SKIP: {
    skip 'nghttp is not there', 5 unless `nghttp --version 2>/dev/null`;
    my $seen = `nghttp -v --no-dep $base/kitchen/trailers 2>&1`;
    like $seen, qr/x-after: the body/, 'trailers';
    my $short = substr $sent, 0, 20_000;
    open my $part, '>', $file or die;
    print $part $short;
    close $part or die;
    # Whether the application is told of them is left open: behind such a body they do not
    # always come.  Why is not proven.
    $seen = `nghttp -d $file --trailer 'x-sum: 7' $base/kitchen/upload 2>&1`;
    like $seen, qr/sha256=\Q@{[sha256_hex($short)]}/, '... behind a body whose length is told';
    $seen = `nghttp -v --no-dep $base/nonsense/trailers 2>&1`;
    like $seen, qr/x-before: yes.*x-behind: yes/s, '... the good ones among bad ones';
    unlike $seen, qr/x space|x-line|x-stolen/i, '... and none that is no field';
    unlike $seen, qr/\) (?:connection|te|keep-alive): /i, '... or concerns a connection';
}
like curl(@curl, '-D', '-', "$base/kitchen/hints"), qr{^HTTP/2 103.*^HTTP/2 200}ms, '103';

# A stream that the client resets, on a connection that it keeps.
{
    my $before = curl("$base/kitchen/gone?count");
    my $pid = fork // die;
    if (!$pid) {
        exec 'curl', '-s', @curl, '--max-time', '60', '-o', '/dev/null', "$base/kitchen/gone"
            or POSIX::_exit(127);
    }
    wait_for(sub { curl("$base/kitchen/gone?running") > 0 });
    kill 'TERM', $pid;
    waitpid $pid, 0;
    ok wait_for(sub { curl("$base/kitchen/gone?count") > $before }), 'a handler hears of a reset';
    is curl(@curl, "$base/hello"), "Well, hello to you too!\n", '... and httpd goes on';
}

# One connection, as many streams as curl runs at a time.
my @urls = map { "$base/kitchen/big?bytes=" . 10_007 * $_ } 1 .. 50;
my $all = curl(@curl, '--no-progress-meter', '--parallel', '--parallel-immediate',
    '-w', '%{size_download}\n', map { ('-o', '/dev/null', $_) } @urls);
is_deeply [sort { $a <=> $b } split /\n/, $all], [map { 10_007 * $_ } 1 .. 50],
    '50 streams at once';

my $h2load = `h2load --version 2>/dev/null` ? `h2load -n 600 -c 4 -m 20 $base/hello 2>&1` : '';
SKIP: {
    skip 'h2load is not there', 1 unless $h2load;
    like $h2load, qr/600 succeeded, 0 failed, 0 errored/, '600 requests on four connections';
}

unlink $file;
