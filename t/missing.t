# SPDX-License-Identifier: Apache-2.0
#
# No application at the door's path: 503, with a reason in the log, and service
# as soon as there is one.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use DoorTest;

plan tests => 13;

my $mark = mark_log();
my $answer = GET '/missing';
is $answer->code, 503, 'no file: service unavailable';
like $answer->content, qr/<html/i, "... on httpd's own page";
my $path = app_path('nobody-made-this');
my $line = log_like($mark, qr/\Q$path\E/);
like $line, qr/No such file or directory/, '... with path and reason in the log';
is scalar(() = log_since($mark) =~ /\Q$path\E/g), 1, '... once';
is POST('/missing', content => 'x' x 100_000)->code, 503, 'a POST gets the same';

$mark = mark_log();
is GET('/no-door')->code, 503, 'a file that is no door: unavailable';
like log_like($mark, qr/extra\.conf/), qr/\[door:error\]/, '... logged as an error';

# The application ends in good order, and comes back.
is GET('/victim/echo')->code, 200, 'an application that runs answers';
stop_app('victim');
$mark = mark_log();
is GET('/victim/echo')->code, 503, '... that has ended does not';
like log_like($mark, qr/run\/victim/), qr/\[door:error\]/, '... which is logged';
start_app('victim');
ok wait_for_app('victim'), '... that was started again';
ok wait_for(sub { GET('/victim/echo')->code == 200 }), '... answers, with httpd as it was';

# Replaced: another process has the name now; the old descriptor is of no use.
kill_app('victim');
start_app('victim');
wait_for_app('victim');
is GET('/victim/echo')->code, 200, 'a replaced application is found at the first request';
