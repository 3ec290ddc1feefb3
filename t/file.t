# SPDX-License-Identifier: Apache-2.0
#
# Responses by descriptor: files, parts of them, pipes.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET HEAD);
use Digest::MD5 qw(md5_hex);
use Time::HiRes qw(sleep);
use DoorTest;

sub make_file {
    my ($name, $content) = @_;
    open my $file, '>', files_path($name) or die "$name: $!";
    binmode $file;
    print $file $content;
    close $file or die;
    return $content;
}

my $text = join '', map { sprintf "%09d\n", $_ } 1 .. 200_000;
make_file('text', $text);
make_file('empty', '');
make_file('one', 'x');
my $kept = make_file('kept', join '', map { chr rand 256 } 1 .. 3_000_000);

plan tests => 40;

sub file { GET "/kitchen/file?name=$_[0]", @_[1 .. $#_] }

my $answer = file('text');
is $answer->code, 200, 'a file';
is md5_hex($answer->content), md5_hex($text), '... comes whole';
is $answer->header('Content-Length'), length $text, '... with its length';
is file('empty')->content, '', 'an empty one';
is file('one')->content, 'x', 'one byte';
is file('none')->code, 404, 'none';
is file('../conf/users')->code, 404, 'none elsewhere';
is file('text&offset=1000&length=500')->content, substr($text, 1000, 500), 'a part of it';
is file('text&offset=1999990')->content, substr($text, 1_999_990), 'its end';
is file('text&offset=2000000')->content, '', 'behind its end';
is file('text&offset=2000001')->code, 400, 'beyond it';
is file('text&offset=10&length=2000000')->code, 400, 'more than there is';

$answer = HEAD '/kitchen/file?name=text';
is $answer->header('Content-Length'), length $text, 'HEAD tells the length';

$answer = file('text', Range => 'bytes=1000000-1000099');
is $answer->code, 206, 'a range';
is $answer->content, substr($text, 1_000_000, 100), '... is the right one';
$answer = file('text&offset=500', Range => 'bytes=0-9,1999000-1999009');
is $answer->code, 206, 'ranges of a part';
like $answer->content, qr/\Q${\substr $text, 500, 10}\E.*\Q${\substr $text, 1_999_500, 10}\E/s,
    '... are the right ones';

$answer = GET '/deflated/file?name=text', 'Accept-Encoding' => 'gzip';
is $answer->header('Content-Encoding'), 'gzip', 'through DEFLATE';
is md5_hex($answer->decoded_content), md5_hex($text), '... it is the same';

# One open file, many requests at a time: each has its own place in it.
sub at_once {
    my ($path, @parts) = @_;
    my @pipes = map {
        my ($offset, $length) = @$_;
        open my $pipe, '-|', 'curl', '-sk', '--max-time', 100,
            "$path/kitchen/file?name=kept&kept=1&offset=$offset&length=$length" or die;
        binmode $pipe;
        [$pipe, $offset, $length];
    } @parts;
    my $right = 0;
    for (@pipes) {
        my ($pipe, $offset, $length) = @$_;
        local $/;
        my $content = <$pipe> // '';
        $right++ if $content eq substr $kept, $offset, $length;
        close $pipe;
    }
    return $right;
}

my @parts = map { [$_ * 1_009, 2_000_000 + $_ * 997] } 1 .. 24;
is at_once(base_url(), @parts), 24, 'one open file in 24 requests at once';
SKIP: {
    skip 'no mod_ssl', 1 unless defined port('tls');
    is at_once('https://127.0.0.1:' . port('tls'), @parts), 24, '... by TLS';
}
SKIP: {
    skip 'no HTTP/2', 1 unless have_http2();
    is curl('--http2-prior-knowledge', base_url('h2') . '/kitchen/file?name=text'), $text,
        'by HTTP/2';
}

# httpd need not be able to open it.
chmod 0, files_path('kept') or die;
is at_once(base_url(), @parts[0 .. 3]), 4, 'a file that httpd may not open';
chmod 0644, files_path('kept');

# The file gets shorter while it is sent: the client sees that something is missing.  DEFLATE
# reads it, and what it cannot make smaller has to wait for the client.
my $noise = do { open my $random, '<', '/dev/urandom' or die; read $random, my $bytes, 1 << 20; $bytes };
for (['', '/kitchen', 'z' x 60_000_000], ['tls', '/kitchen', 'z' x 60_000_000],
    ['', '/deflated', $noise x 60]) {
    my ($vhost, $path, $content) = @$_;
    SKIP: {
        skip 'no mod_ssl', 3 if $vhost && !defined port($vhost);
        make_file('shrinking', $content);
        my $url = ($vhost ? 'https' : 'http') . '://127.0.0.1:' . port($vhost || undef);
        # It waits while nobody takes what it has got.
        my @children = DoorTest::httpd_children();
        open my $client, '-|', 'curl', '-skN', '--max-time', 100, '-H', 'Accept-Encoding: gzip',
            "$url$path/file?name=shrinking" or die;
        sysread $client, my $first, 1000 or die;
        truncate files_path('shrinking'), 1_000 or die;
        1 while sysread $client, my $more, 1 << 20;
        close $client;
        isnt $?, 0, "a file that shrinks while it is sent: the client notices ($vhost $path)";
        is GET('/hello')->code, 200, '... and httpd goes on';
        is_deeply [grep { !DoorTest::alive($_) } @children], [], '... with the children that it had';
    }
}

# ---- pipes

is GET('/kitchen/pipe?bytes=0')->content, '', 'an empty pipe';
is GET('/kitchen/pipe?bytes=3000000')->content, pattern(3_000_000), 'a pipe';
is HEAD('/kitchen/pipe?bytes=3000000')->code, 200, 'HEAD of a pipe';

# One that stays silent is no answer in time, before its first byte or after.
for my $bytes (0, 100) {
    my $answer = parse_response(raw_request("GET /impatient/pipe?bytes=$bytes&ms=60000 HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\n\r\n", undef, 40));
    ok $answer->{status} == 504 || !$answer->{complete} && $answer->{body} eq pattern($bytes),
        "a pipe that stays silent after $bytes bytes: the response ends";
}

# Nothing stays open, in httpd or in the application.
my $before = app_count('kitchen');
my $callers = door_callers();
GET '/kitchen/file?name=text' for 1 .. 200;
GET '/kitchen/pipe?bytes=100' for 1 .. 50;
ok app_descriptors_settle('kitchen', $before, $callers, 20), 'the application closes what it has sent';
ok wait_for(sub { child_descriptors() < 150 }), '... and so does httpd';
for my $i (1 .. 30) {
    my $socket = raw_open();
    raw_send($socket, "GET /kitchen/file?name=text HTTP/1.1\r\nHost: localhost\r\n\r\n");
    close $socket;
}
ok wait_for(sub { child_descriptors() < 150 }), '... also for clients that go';
