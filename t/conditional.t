# SPDX-License-Identifier: Apache-2.0
#
# Conditional requests: httpd compares what the application said of its answer
# with what the client has, as for a file.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET HEAD POST);
use DoorTest;

my ($url, $etag, $then) = ('/nonsense/validated', '"v1"', 'Sun, 06 Nov 1994 08:49:37 GMT');
my $earlier = 'Sun, 06 Nov 1994 08:49:36 GMT';

my @cases = (
    [200, 'no condition'],
    [304, 'the same tag',              'If-None-Match' => $etag],
    [304, 'one of several tags',       'If-None-Match' => "\"v0\", $etag"],
    [304, 'any tag',                   'If-None-Match' => '*'],
    [200, 'another tag',               'If-None-Match' => '"v2"'],
    [304, 'not changed since',         'If-Modified-Since' => $then],
    [200, 'changed since',             'If-Modified-Since' => $earlier],
    [200, 'a date that is none',       'If-Modified-Since' => 'yesterday'],
    [200, 'the tag outweighs the date', 'If-None-Match' => '"v2"', 'If-Modified-Since' => $then],
    [200, 'If-Match: the same',        'If-Match' => $etag],
    [412, 'If-Match: another',         'If-Match' => '"v2"'],
    [200, 'If-Unmodified-Since: so it is', 'If-Unmodified-Since' => $then],
    [412, '... it is not',             'If-Unmodified-Since' => $earlier],
);

plan tests => 2 * @cases + 11 + 24;

for (@cases) {
    my ($status, $what, @headers) = @$_;
    is GET($url, @headers)->code, $status, "$what: $status";
    is HEAD($url, @headers)->code, $status, '... and HEAD';
}

my $same = GET $url, 'If-None-Match' => $etag;
is $same->content, '', '304 has no body';
is $same->header('ETag'), $etag, '... but the tag';
is GET($url)->content, "fine\n", '200 has its body';
is GET($url)->header('Last-Modified'), $then, '... and its date';

# What a POST has done is done: its answer is no copy that the client may have.
for my $condition (['If-None-Match' => $etag], ['If-Modified-Since' => $then],
    ['If-Match' => '"v2"'], ['If-Unmodified-Since' => $earlier]) {
    my $answer = POST $url, @$condition, content => 'x';
    is $answer->code . ' ' . $answer->content, "200 fine\n", "POST, $condition->[0]";
}

# Without validators there is nothing to compare.
is GET('/hello', 'If-None-Match' => $etag)->code, 200, 'an answer without a tag is sent';
is GET('/hello', 'If-Modified-Since' => $then)->code, 200, '... also without a date';
is GET('/kitchen/status?code=404', 'If-None-Match' => '*')->code, 404,
    'an error is no cached copy';

# ---- what other modules have to do with it: an answer like any other

for my $case ([304, 'If-None-Match' => $etag], [412, 'If-Match' => '"v2"']) {
    my ($status, @condition) = @$case;
    for my $method (\&GET, \&HEAD) {
        my $answer = $method->('/conditional/validated', @condition);
        is $answer->code, $status, "$status: " . $answer->request->method;
        is $answer->header('X-Set'), 'yes', '... Header set';
        is $answer->header('X-Always'), 'yes', '... Header always set';
        is $answer->header('ETag'), $etag, '... the tag';
    }
}
{
    my ($socket, $rest) = (raw_open(), '');
    my @lines = ("Host: localhost\r\nIf-Match: \"v2\"\r\n\r\n", "Host: localhost\r\n\r\n");
    raw_send($socket, "GET /conditional/validated HTTP/1.1\r\n$lines[0]"
        . "GET /conditional/validated HTTP/1.1\r\n$lines[1]");
    is read_response($socket, \$rest)->{body}, '', '412 has no body, as with a file';
    is read_response($socket, \$rest)->{body}, "fine\n", '... and what comes next is the next answer';
}
{
    my $again = sub { GET '/cached/validated', 'Cache-Control' => 'max-age=0', @_ };
    is GET('/cached/validated')->content, "fine\n", 'a cache stores it';
    for my $turn (1, 2) {
        my $answer = $again->();
        is $answer->code, 200, 'the cache asks whether it is still the same: the client gets all';
        is $answer->content, "fine\n", '... of it';
    }
    is $again->('If-None-Match' => $etag)->code, 304, '... unless it has it';
}
