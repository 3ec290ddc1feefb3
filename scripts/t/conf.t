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

sub accepted {
    my ($text, $what) = @_;
    open my $file, '>', "$root/httpd.conf" or die;
    print $file $text;
    close $file or die;
    my $output = `$httpd -t -d $root -f $root/httpd.conf 2>&1`;
    is $?, 0, $what or diag $output;
    return $output;
}

my ($conf) = slurp('README.md') =~ /```apache\n(.*?)```/s;
$conf =~ s{^ServerRoot .*}{ServerRoot "$root"}m;
$conf =~ s{^(LoadModule door_module) .*}{$1 "$build/mod_door.so"}m;
$conf =~ s{/usr/lib/apache2/modules}{$modules}g;
accepted($conf, "httpd takes the README's configuration");

my $base = $conf =~ s{<Location.*}{}sr;
accepted($base . slurp('conf/door.conf'), '... and conf/door.conf');
my $all = slurp('conf/door.conf') =~ s/^#(?=\S|    \S)//mgr;
accepted($base . $all, '... also with its examples switched on');

my ($source) = slurp('README.md') =~ /```c\n(.*?)```/s;
my $sample = slurp('door_app/examples/hello.c') =~ s{\A/\*.*?\*/\n}{}sr;
is $source, $sample, "the README's application is door_app/examples/hello.c";
cmp_ok scalar(() = slurp('door_app/examples/hello.c') =~ /\n/g), '<', 30, '... under 30 lines';

like slurp('conf/door.load'), qr{^LoadModule door_module \S*mod_door\.so$}m,
    'conf/door.load loads it';

# A mistake is told with its line.
for (
    ['DoorHandler nowhere',   'a name without a slash'],
    ['DoorProtocol http',     'an unknown protocol'],
    ['DoorTimeout soon',      'a time that is none'],
    ['DoorTimeout -1',        'a negative time'],
    ['DoorHandler /a /b',     'too many arguments'],
) {
    my ($line, $what) = @$_;
    open my $file, '>', "$root/httpd.conf" or die;
    print $file "$base\n<Location /x>\n$line\n</Location>\n";
    close $file or die;
    my $output = `$httpd -t -d $root -f $root/httpd.conf 2>&1`;
    ok $? != 0 && $output =~ /line \d+.*\n?.*Door/, "refused: $what" or diag $output;
}

done_testing;
