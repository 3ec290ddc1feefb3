# SPDX-License-Identifier: Apache-2.0
#
# The last file of all: in the whole run no child of httpd crashed, and the
# applications that nobody killed are alive.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

plan tests => 4;

my $log = log_since(0);
# Killed are those that a test kills.
my @crashes = grep { !/exit signal Killed/ } grep { /exit signal|AH0005[12]|Assertion|Segmentation|core dumped/ } split /\n/, $log;
is_deeply \@crashes, [], 'no child of httpd has crashed';
# What is wrong in an .htaccess file is an alert; the tests write such files.
my @loud = grep { /\[[a-z0-9_]*:(?:emerg|alert|crit)\]/ && !/\.htaccess: / } split /\n/, $log;
is_deeply \@loud, [], '... and nothing was critical';
is_deeply [grep { !app_alive($_) } qw(hello kitchen raw)], [], 'the samples have lived through it';
is GET('/hello')->code, 200, '... and serve';
