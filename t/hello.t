# SPDX-License-Identifier: Apache-2.0
#
# The shortest way through: one door call per request, and who answers where.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET HEAD POST);
use DoorTest;

plan tests => 19;

my $hello = GET '/hello';
is $hello->code, 200, '/hello answers';
is $hello->content, "Well, hello to you too!\n", '... with its greeting';
is $hello->header('Content-Length'), length $hello->content, '... of known length';
like $hello->header('Content-Type'), qr{^text/plain\b}, '... as text';
like $hello->header("Server"), qr{^Apache}, "... from httpd";
like $hello->header("Date"), qr{ GMT$}, "... dated";

is GET('/hello/below/it')->content, $hello->content, 'so does all that is below';
is GET('/helloes')->code, 404, '... but not what only begins like it';
is GET('/hello/none')->code, 404, '... nor where the configuration takes the door away';
is POST('/hello', content => 'x')->content, $hello->content, 'a POST is answered';
is GET('/hello?a=b')->content, $hello->content, '... and a query';

my $head = HEAD '/hello';
is $head->code, 200, 'HEAD is answered';
is $head->content, '', '... without a body';
is $head->header('Content-Length'), $hello->header('Content-Length'), '... of the same length';

my $raw = GET '/raw';
is $raw->code, 200, 'a program on bare <door.h> answers';
like $raw->content, qr/Well, hello to you too!/, '... what the prototype says';
like $raw->header('Content-Type'), qr{^text/plain\b}, '... as text';
is POST('/raw', content => 'x' x 100)->code, 200, '... also with an argument';
is HEAD('/raw')->content, '', '... and to HEAD';
