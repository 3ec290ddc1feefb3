# SPDX-License-Identifier: Apache-2.0
#
# Forms: fields and files as browsers send them, in pieces of any size.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(sha256_hex);
use HTTP::Request::Common ();
use Test::More;
use Apache::TestRequest qw(GET POST);
use DoorTest;

is GET('/kitchen/form?a=1&b=two+words&c=%C3%A9')->content, "a=1\nb=two words\nc=\xc3\xa9\n",
    "a query's fields";
is POST('/kitchen/form?a=1', content => 'b=2&c=%26')->content, "a=1\nb=2\nc=&\n",
    "... and a form's";
is POST('/kitchen/form', content => join '&', map { "a=$_" } 1 .. 1001)->code, 413,
    'too many fields';
is POST('/kitchen/form', content => 'a=' . 'x' x 1_000_001)->code, 413, 'too long';
is POST('/kitchen/form', content_type => 'text/plain', content => 'a=1')->code, 415,
    'sent in another way';

# ---- files

# The request's head and body, and what the application is to say.
sub form_of {
    my (@files) = @_;
    my $request = HTTP::Request::Common::POST('http://localhost/',
        Content_Type => 'form-data',
        Content      => [map { ($$_[0] => [undef, $$_[1], Content_Type => $$_[2], Content => $$_[3]]) } @files]);
    my $expected = join '', map {
        sprintf "%s %s %s bytes=%d sha256=%s\n", @$_[0 .. 2], length $$_[3], sha256_hex($$_[3])
    } @files;
    return ($request->header('Content-Type'), $request->content, $expected);
}

sub send_chunked {
    my ($type, $body, $next) = @_;
    my $socket = raw_open();
    my $text = "POST /kitchen/parts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        . "Content-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (my $at = 0; $at < length $body;) {
        my $piece = substr $body, $at, $next->();
        $text .= sprintf "%x\r\n%s\r\n", length $piece, $piece;
        $at += length $piece;
    }
    raw_send($socket, "${text}0\r\n\r\n");
    return parse_response(raw_rest($socket));
}

srand 7;
# Bytes that look like a delimiter all the time.
my $tricky = join '', map { ("\r\n", '--', "\r", "\n", '-', 'xYzZY')[int rand 6] } 1 .. 60_000;
my ($type, $body, $expected) = form_of(
    ['one', 'a.txt', 'text/plain', "short\r\n"],
    ['empty', 'b.txt', 'text/plain', ''],
    ['big', 'c.bin', 'application/octet-stream', pattern(3_000_000)],
    ['tricky', 'd.bin', 'image/png', $tricky],
);
is POST('/kitchen/parts', content_type => $type, content => $body)->content, $expected,
    'files, with a length';
is send_chunked($type, $body, sub { 65_536 })->{body}, $expected, '... in chunks';
is send_chunked($type, $body, sub { 1 + int rand 40_000 })->{body}, $expected, '... of any size';
($type, $body, $expected) = form_of(['tricky', 'd.bin', 'image/png', substr $tricky, 0, 3000],
    ['two', 'e.txt', 'text/plain', 'x' x 500]);
is send_chunked($type, $body, sub { 1 })->{body}, $expected, '... of one byte';
is send_chunked($type, $body, sub { 1 + int rand 3 })->{body}, $expected, '... or a few';

# ---- that break off

my $half = substr $body, 0, length($body) / 2;
is POST('/kitchen/parts', content_type => $type, content => $half)->code, 400, 'half of it';
is POST('/kitchen/parts', content_type => 'multipart/form-data', content => $body)->code, 400,
    'no boundary';
is POST('/kitchen/parts', content_type => 'text/plain', content => $body)->code, 415, 'no form';
is GET('/kitchen/env')->code, 200, 'the application is there';

done_testing;
