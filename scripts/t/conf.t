#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# What the documentation shows is what works: httpd accepts conf/ and the
# README's configuration, and the README's application is the sample.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use Test::More;

my $build = abs_path($ENV{BUILD} // 'build');
my $apxs = $ENV{APXS} // 'apxs';
chomp(my $httpd = `. scripts/httpd.sh && httpd_program`);
chomp(my $modules = `$apxs -q LIBEXECDIR`);

my $root = File::Temp->newdir("$build/conf.XXXXXX");

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return <$file>;
}

# What httpd -t says of a configuration; its exit status is in $?.
sub checked {
    my ($text) = @_;
    open my $file, '>', "$root/httpd.conf" or die;
    print $file $text;
    close $file or die;
    return scalar `$httpd -t -d $root -f $root/httpd.conf 2>&1`;
}

sub accepted {
    my ($text, $what) = @_;
    my $output = checked($text);
    is $?, 0, $what or diag $output;
}

sub refused {
    my ($text, $complaint, $what) = @_;
    my $output = checked($text);
    ok $? != 0 && $output =~ $complaint, "refused: $what" or diag $output;
}

my ($conf) = slurp('README.md') =~ /```apache\n(.*?)```/s;
$conf =~ s{^ServerRoot .*}{ServerRoot "$root"}m;
$conf =~ s{^(LoadModule door_module) .*}{$1 "$build/mod_door.so"}m;
$conf =~ s{/usr/lib/apache2/modules}{$modules}g;
$conf =~ s{/srv/www/bin}{$build/examples};
accepted($conf, "httpd takes the README's configuration");

my $base = $conf =~ s{DoorApp.*}{}sr;
accepted($base . slurp('conf/door.conf'), '... and conf/door.conf');
my $all = slurp('conf/door.conf') =~ s/^#(?=\S|    \S)//mgr;
my $me = getpwuid $>;
$all =~ s{/usr/local/bin/door-hello|/srv/shop/bin/shop}{$build/examples/hello}g;
$all =~ s{user=shop group=shop}{user=$me};
accepted("${base}LoadModule authz_host_module \"$modules/mod_authz_host.so\"\n" . $all, '... also with its examples switched on');

my ($source) = slurp('README.md') =~ /```c\n(.*?)```/s;
my $sample = slurp('door_app/examples/hello.c') =~ s{\A/\*.*?\*/\n}{}sr;
is $source, $sample, "the README's application is door_app/examples/hello.c";
cmp_ok scalar(() = slurp('door_app/examples/hello.c') =~ /\n/g), '<', 30, '... under 30 lines';

like slurp('conf/door.load'), qr{^LoadModule door_module \S*mod_door\.so$}m,
    'conf/door.load loads it';

# A mistake is told with its line.
for (
    ['DoorHandler a*b',       'a name that none can have'],
    ['DoorProtocol http',     'an unknown protocol'],
    ['DoorTimeout soon',      'a time that is none'],
    ['DoorTimeout -1',        'a negative time'],
    ['DoorHandler /a /b',     'too many arguments'],
) {
    my ($line, $what) = @$_;
    refused("$base\n<Location /x>\n$line\n</Location>\n", qr/line \d+.*\n?.*Door/, $what);
}

refused("$base\nDoorApp x /bin/true $_\n", qr/DoorApp x: \Q$_\E must be 1 to \d+/, $_)
    for qw(threads=0 threads=many threads=1000000);
refused("$base\nDoorApp x /bin/true env=DOOR_APP_THREADS=3\n", qr/cannot set a variable that mod_door sets itself/,
    'the number of threads is no variable');

# So is one that only shows when the whole configuration is read.
for (
    ["DoorHandler /a\nDoorMaxConcurrent 2\n</Location>\n<Location /y>\nDoorHandler /a\n"
            . 'DoorMaxConcurrent 3',
        'DoorMaxConcurrent has another value elsewhere', 'two limits of one door'],
    ["DoorHandler /a\nDoorQueueLength 2", 'DoorQueueLength needs a DoorMaxConcurrent',
        'a line without a limit'],
    ["DoorHandler /a\nDoorQueueTimeout 2", 'DoorQueueTimeout needs a DoorMaxConcurrent',
        'a wait without a limit'],
    ['DoorHandler nowhere', 'DoorHandler nowhere: there is no DoorApp', 'an unknown application'],
    ['DoorMaxConcurrent 2', 'DoorMaxConcurrent must stand beside a DoorHandler',
        'a limit without a door'],
) {
    my ($lines, $complaint, $what) = @$_;
    refused("$base\n<Location /x>\n$lines\n</Location>\n", qr/httpd.conf:\d+: $complaint/, $what);
}

done_testing;
