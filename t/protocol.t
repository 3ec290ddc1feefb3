# SPDX-License-Identifier: Apache-2.0
#
# Requests that are wrong, odd or hostile: httpd refuses them or the application
# gets them intact; never anything between.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

sub status { parse_response(raw_request($_[0]))->{status} }

my $close = "Host: localhost\r\nConnection: close\r\n";
my $get = "GET /kitchen/echo HTTP/1.1\r\n$close";
my $post = "POST /kitchen/echo HTTP/1.1\r\n$close";
my $long = 'x' x 8_000;

my @refused = (
    [400, 'no Host in HTTP/1.1'        => "GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n"],
    [400, 'two lengths',
        "${post}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"],
    [400, 'a length of letters'        => "${post}Content-Length: three\r\n\r\nabc"],
    [400, 'a negative length'          => "${post}Content-Length: -1\r\n\r\nabc"],
    [400, 'a space in a header name'   => "${get}X Bad: 1\r\n\r\n"],
    [400, 'a NUL in a header'          => "${get}X-Bad: a\0b\r\n\r\n"],
    [400, 'a control in the target'    => "GET /kitchen/echo\x01 HTTP/1.1\r\n${close}\r\n"],
    [404, 'a NUL in the path'          => "GET /kitchen/echo%00x HTTP/1.1\r\n${close}\r\n"],
    [400, 'a broken escape'            => "GET /kitchen/%zz HTTP/1.1\r\n${close}\r\n"],
    [404, 'an encoded slash'           => "GET /kitchen%2fecho HTTP/1.1\r\n${close}\r\n"],
    [400, 'above the top'              => "GET /../../kitchen/echo HTTP/1.1\r\n${close}\r\n"],
    [400, 'an unknown transfer coding' => "${post}Transfer-Encoding: magic\r\n\r\n"],
);
my @served = (
    ['a folded header'      => "${get}X-Folded: a\r\n b\r\n\r\n"],
    ['60 headers'           => "${get}" . join('', map { "X-H$_: $_\r\n" } 1 .. 60) . "\r\n"],
    ['a header of 8,000'    => "${get}X-Long: $long\r\n\r\n"],
    ['95 headers of 8,000'  => "${get}" . join('', map { "X-H$_: $long\r\n" } 1 .. 95) . "\r\n"],
    ['a query of 8,000'     => "GET /kitchen/echo?" . 'q' x 8_000 . " HTTP/1.1\r\n${close}\r\n"],
    ['bytes beyond ASCII'   => "${get}X-Bytes: \xff\xfe\x80\r\n\r\n"],
    ['empty lines in front' => "\r\n\r\nGET /kitchen/echo HTTP/1.1\r\n${close}\r\n"],
);

plan tests => @refused + @served + 7;

is status($_->[2]), $_->[0], "refused: $_->[1]" for @refused;
is status($_->[1]), 200, "served: $_->[0]" for @served;

# Both lengths: what smuggles requests past a proxy.  Chunks win, then it ends.
{
    my $text = raw_request("POST /kitchen/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        . "GET /kitchen/status?code=418 HTTP/1.1\r\n$close\r\n");
    my $answer = parse_response($text);
    ok $answer->{status} == 400 || $answer->{body} =~ /^abc/,
        'both lengths: chunks count, or it is refused';
    unlike $text, qr/\n0\r\n\r\n.*abc/s, '... and are not read twice';
}

like raw_request("TRACE /kitchen/echo HTTP/1.1\r\n$close\r\n"), qr{^HTTP/1\.1 (?:200|405)},
    'TRACE stays with httpd';
my $options = parse_response(raw_request("OPTIONS /kitchen/echo HTTP/1.1\r\n$close\r\n"));
is $options->{status}, 200, 'OPTIONS is answered';

my $star = parse_response(raw_request("OPTIONS * HTTP/1.1\r\n$close\r\n"));
is $star->{status}, 200, 'OPTIONS * too';

# Connections that say nothing, or half a line.
my @silent = map { my $socket = raw_open(); raw_send($socket, $_); $socket } '', 'GET', "GET /hel",
    "GET /hello HTTP/1.1\r\nHos";
close $_ for @silent;
is GET('/hello')->code, 200, 'after broken-off requests the next is served';
is GET('/kitchen/echo')->code, 200, '... by every application';
