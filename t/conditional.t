# SPDX-License-Identifier: Apache-2.0
#
# Conditional requests: httpd compares what the application said of its answer
# with what the client has, as for a file.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET HEAD);
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

plan tests => 2 * @cases + 7;

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

# Without validators there is nothing to compare.
is GET('/hello', 'If-None-Match' => $etag)->code, 200, 'an answer without a tag is sent';
is GET('/hello', 'If-Modified-Since' => $then)->code, 200, '... also without a date';
is GET('/kitchen/status?code=404', 'If-None-Match' => '*')->code, 404,
    'an error is no cached copy';
