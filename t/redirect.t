# SPDX-License-Identifier: Apache-2.0
#
# A local Location, and pages for errors that are requests of their own: what such a
# request has of the client's, and what the client sees of both answers.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Apache::TestRequest qw(GET POST);
use DoorTest;

my $docs = Apache::Test::vars('documentroot');

sub make_file {
    my ($path, $content) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $content;
    close $file or die;
}
make_file("$docs/plain.txt", "a plain file\n");
make_file(files_path('text'), "a file of the application's\n");

my $hello = "Well, hello to you too!\n";
my $next = "GET /hello?next HTTP/1.1\r\nHost: localhost\r\n\r\n";

sub head_of {
    my ($method, $path, @lines) = @_;
    return join "\r\n", "$method $path HTTP/1.1", 'Host: localhost', @lines, '', '';
}

sub chunks {
    my ($body, $size) = @_;
    my $text = '';
    for (my $at = 0; $at < length $body; $at += $size) {
        my $piece = substr $body, $at, $size;
        $text .= sprintf "%x\r\n%s\r\n", length $piece, $piece;
    }
    return $text;
}

# ---- HEAD

my @targets = ('/hello', '/plain.txt', '/kitchen/big?bytes=70000', '/kitchen/headers',
    '/kitchen/file?name=text', '/kitchen/redirect?to=/hello', '/nowhere');
my @redirects = map({ my $to = $_; map { "/kitchen/redirect?to=$to$_" } '', '&how=flushed' } @targets),
    map({ "/kitchen/redirect?to=/hello&how=$_" } qw(long file pipe));
for my $path (@redirects, '/sent-on/status?code=404') {
    my ($socket, $rest) = (raw_open(), '');
    raw_send($socket, head_of('HEAD', $path) . $next);
    my $answer = read_response($socket, \$rest, head => 1);
    like $answer->{status}, qr/^(?:200|404)$/, "HEAD $path: $answer->{status}";
    # What comes now is the next answer, or a body that must not be there.
    is eval { read_response($socket, \$rest)->{status} }, 200, '... and no body';
}
is raw_request(head_of('HEAD', '/kitchen/redirect?to=/kitchen/big?bytes=70000', 'Connection: close'))
    =~ /^Content-Length: 70000\r\n/mi, 1, 'HEAD tells the length of the answer that GET would get';
SKIP: {
    skip 'no HTTP/2', 2 * @redirects + 2 unless have_http2();
    for my $path (@redirects, '/sent-on/status?code=404') {
        my $text = curl('--http2-prior-knowledge', '-I', '-w', 'exit=%{exitcode}',
            base_url('h2') . $path);
        like $text, qr{^HTTP/2 (?:200|404)}, "HEAD $path over HTTP/2";
        like $text, qr/exit=0$/, '... is no protocol error';
    }
}
for my $path (grep { !/nowhere/ } @redirects) {
    is GET($path)->code, 200, "GET $path";
}
my $plain = GET '/kitchen/redirect?to=/plain.txt&how=long';
is $plain->content, "a plain file\n", 'the client gets the other body alone';
is $plain->header('Content-Type'), 'text/plain', '... and its type';

# ---- headers beside a local Location

for my $path ('/kitchen/redirect?to=/hello', '/kitchen/redirect?to=/hello&how=flushed',
    '/kitchen/redirect?to=/plain.txt', '/kitchen/redirect?to=/nowhere') {
    my $answer = GET $path;
    is $answer->header('Set-Cookie'), 'redirected=1; Path=/', "$path: its cookie is set";
    is $answer->header('Location'), undef, '... and it has no Location';
}

# ---- the body of a request that another one answers

my @ways = (
    'a local Location'           => '/kitchen/redirect?to=/kitchen/upload',
    '... that is flushed'        => '/kitchen/redirect?to=/kitchen/upload&how=flushed',
    '... twice'                  => '/kitchen/redirect?to=/kitchen/redirect?to=/kitchen/upload',
    'DoorErrorOverride'          => '/sent-on/status?code=403',
    'an application that breaks' => '/sent-on-nonsense/random',
    'no application'             => '/sent-on-missing',
    'an error before the door is called' => '/sent-on-denied',
    '... a door is not what is denied'     => '/sent-on-denied-file',
    '... for a page with a limit'        => '/sent-on-denied-limited',
);
my $none = qr/^bytes=0 sha256=/;
while (my ($what, $path) = splice @ways, 0, 2) {
    for my $bytes (5, 20_000, 200_000) {
        for my $framing ('chunked', 'length') {
            my $body = pattern($bytes);
            my $text = head_of('POST', $path, $framing eq 'chunked' ? 'Transfer-Encoding: chunked'
                : "Content-Length: $bytes") . ($framing eq 'chunked' ? chunks($body, 10_000)
                . "0\r\n\r\n" : $body);
            my ($socket, $rest) = (raw_open(), '');
            raw_send($socket, $text . $next);
            like read_response($socket, \$rest)->{body}, $none,
                "$what: $bytes bytes ($framing) are not the other request's";
            # The connection goes on behind the body, or it ends.
            my $answer = eval { read_response($socket, \$rest) };
            ok !defined $answer || $answer->{body} eq $hello, '... nor the next one\'s';
        }
    }
}
{
    my $text = POST('/kitchen/redirect?to=/kitchen/env', content => 'abc')->content;
    unlike $text, qr/^(?:CONTENT_LENGTH|HTTP_TRANSFER_ENCODING)=/m, 'no length of a body is told';
    like $text, qr/^REQUEST_METHOD=GET$/m, '... and the method is GET';
}
# A client that waits for a 100 (Continue) which nobody sends.
{
    my $socket = raw_open();
    raw_send($socket, head_of('POST', '/kitchen/redirect?to=/kitchen/upload',
        'Content-Length: 5', 'Expect: 100-continue'));
    my $text = raw_rest($socket, 30);
    like $text, qr{^HTTP/1\.1 200 .*^Connection: close\r.*bytes=0}smi,
        'Expect: 100-continue: no body, and the connection ends';
}
SKIP: {
    skip 'no HTTP/2, or no nghttp', 3 unless have_http2() && `nghttp --version 2>/dev/null`;
    my $file = app_path('redirect.body');
    make_file($file, pattern(200_000));
    for my $path ('/kitchen/redirect?to=/kitchen/upload', '/sent-on/status?code=403') {
        # curl drops an answer that comes before it has sent all.
        my $url = base_url('h2') . $path;
        like `nghttp -d '$file' '$url'`, $none, "$path over HTTP/2: likewise";
    }
    is curl('--http2-prior-knowledge', base_url('h2') . '/hello'), $hello, '... and httpd goes on';
    unlink $file;
}

# ---- a body over LimitRequestBody that the handler does not read

for my $path ('/drop-limited/env', '/drop-limited/stream?lines=3&ms=0',
    '/drop-limited/big?bytes=100000', '/drop-limited/status?code=403',
    '/drop-limited/redirect?to=/hello', '/drop-limited/redirect?to=/plain.txt',
    '/drop-limited/upload', '/drop-limited/echo', '/drop-limited/duplex', '/limited/env', '/raw-limited') {
    for my $bytes (110_000, 700_000) {
        my $socket = raw_open();
        raw_send($socket, head_of('POST', $path, 'Transfer-Encoding: chunked')
            . chunks(pattern($bytes), 50_000) . "0\r\n\r\n");
        my $text = raw_rest($socket);
        is scalar(() = $text =~ m{^HTTP/1\.1 \d}mg), 1, "$path, $bytes bytes: one answer";
        my $answer = parse_response($text);
        ok $answer->{complete} && $answer->{body} !~ m{<title>.*(?:line 1|SERVER_NAME|Well|status)}s,
            '... whole, and not two' or diag $text;
    }
}

for my $framing ('chunked', 'length') {
    my $body = pattern(200_000);
    my $text = raw_request(head_of('POST', '/sent-on-limited/upload', $framing eq 'chunked'
        ? 'Transfer-Encoding: chunked' : 'Content-Length: 200000')
        . ($framing eq 'chunked' ? chunks($body, 10_000) . "0\r\n\r\n" : $body));
    is scalar(() = $text =~ m{^HTTP/1\.1 413}mg), 1, "over the limit ($framing), and a door's page";
    like $text, qr/\r\n\r\nbytes=0 [^\r]+\z/, '... for which there is no body';
}

# ---- what the page for an error says of its status

for ([404, 404, 'says nothing of its status, after a local Location'], [410, 200, 'says 200'],
    [411, 404, 'says 404'], [412, 412, 'says nothing of its status, and is flushed']) {
    my ($error, $status, $what) = @$_;
    is GET("/sent-on/status?code=$error")->code, $status, "a page for $error that $what: $status";
    my $head = raw_request(head_of('HEAD', "/sent-on/status?code=$error", 'Connection: close'));
    like $head, qr{^HTTP/1\.1 $status [^\r]+\r\n}, '... and to HEAD';
}
unlink "$docs/plain.txt";
done_testing;
