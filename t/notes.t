# SPDX-License-Identifier: Apache-2.0
#
# What the runtime gives an application around its handlers, seen through httpd: files
# with conditions and ranges, pages for errors, redirects, a stream that is told to end.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET HEAD POST);
use DoorTest;

plan tests => 34, need { 'event: it is the same on all' => sub { mpm() eq 'event' } };

Apache::TestRequest::user_agent(requests_redirectable => 0);

my $text = join '', map { sprintf "%09d\n", $_ } 1 .. 20_000;
mkdir files_path('notes/sub');
for (['notes/page.html', $text], ['notes/sub/index.html', "index\n"], ['secret', "secret\n"]) {
    open my $file, '>', files_path($_->[0]) or die "$_->[0]: $!";
    print $file $_->[1];
    close $file or die;
}
symlink '../secret', files_path('notes/link');

# ---- files

my $page = GET '/notes/static/page.html';
is $page->code, 200, 'a file';
is $page->content, $text, '... comes whole';
is $page->header('Content-Length'), length $text, '... with its length';
is $page->header('Content-Type'), 'text/html; charset=utf-8', '... its type';
my ($tag, $date) = map { scalar $page->header($_) } qw(ETag Last-Modified);
is GET('/notes/static/page.html', 'If-None-Match' => $tag)->code, 304, '... a tag';
is GET('/notes/static/page.html', 'If-Modified-Since' => $date)->code, 304, '... and a date';
is GET('/notes/static/page.html', 'If-None-Match' => '"x"')->code, 200, 'another tag is another file';
my $part = GET '/notes/static/page.html', Range => 'bytes=100000-100009';
is $part->code, 206, 'a range of it';
is $part->content, substr($text, 100_000, 10), '... is the right one';
is GET('/notes/static/page.html', Range => 'bytes=0-9', 'If-Range' => $tag)->code, 206,
    '... if it is the file still';
my $head = HEAD '/notes/static/page.html';
is $head->header('Content-Length'), length $text, 'HEAD tells the length';
is $head->content, '', '... and no more';
is GET('/notes/static/sub/')->content, "index\n", 'a directory has an index';
my $sub = GET '/notes/static/sub?a=b';
is $sub->code, 308, '... where its slash is';
is $sub->header('Location'), '/notes/static/sub/?a=b', '... to which clients are sent';
is GET("/notes/static/$_")->code, 404, "$_: none" for 'link', 'none', '..%2fsecret', '.hidden';
my $up = raw_request("GET /notes/static/../../secret HTTP/1.0\r\n\r\n");
unlike $up, qr/^secret/m, 'no way up';

# ---- around handlers

is GET('/notes/notes')->header('X-Content-Type-Options'), 'nosniff', 'hooks run';
my $foreign = POST '/notes/notes', [text => 'x'], 'Sec-Fetch-Site' => 'cross-site';
is $foreign->code, 403, '... and refuse';
is $foreign->header('X-Content-Type-Options'), 'nosniff', '... with what others have set';
my $added = POST '/notes/notes', [text => 'x'];
is $added->code, 303, 'a form';
is $added->header('Location'), '/notes/notes', '... is answered by a page below the location';
is GET('/notes/notes/')->header('Location'), '/notes/notes', 'a slash too much is mended';
my $none = GET '/notes/nowhere';
is $none->code, 404, 'what is not there';
like $none->content, qr{<title>Not here</title>}, "... has the application's page";
is $none->header('X-Content-Type-Options'), 'nosniff', '... with what hooks have set';
my $method = POST '/notes/events';
is $method->code, 405, 'a method that is not there';
is $method->header('Allow'), 'GET, HEAD', '... and those that are';

# ---- a stream learns that the application is to end

my $stream = raw_open();
raw_send($stream, "GET /notes/events HTTP/1.0\r\n\r\n");
ok raw_begins($stream), 'a stream flows';
stop_app('notes');
like raw_rest($stream), qr/^event: end\r?$/m, '... and comes to its end with the application';
start_app('notes');
ok wait_for_app('notes'), 'which is there again';
