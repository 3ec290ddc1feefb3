#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# httpd takes every configuration that the documents show: each fenced block with "apache",
# alone, behind the modules that it may need.

use strict;
use warnings FATAL => 'all';

use lib 'scripts/docs';
use Cwd qw(abs_path);
use Docs qw(base_config blocks manual_files);
use File::Temp ();
use Test::More;

my $build = abs_path($ENV{BUILD} // 'build');
my $apxs = $ENV{APXS} // 'apxs';
chomp(my $httpd = `. scripts/httpd.sh && httpd_program`);
chomp(my $modules = `$apxs -q LIBEXECDIR`);

my $root = File::Temp->newdir('/tmp/mod_door-docs.XXXXXX');
mkdir "$root/$_" or die $! for qw(htdocs logs);
my $base = base_config($root, $modules, "$build/mod_door.so");

# What httpd -t says; its exit status is in $?.
sub checked {
    my ($text) = @_;
    open my $file, '>', "$root/httpd.conf" or die $!;
    print $file $text;
    close $file or die $!;
    return scalar `$httpd -t -f $root/httpd.conf 2>&1`;
}

# A whole configuration has its own modules.
sub whole {
    my ($text) = @_;
    return $base . $text unless $text =~ /^LoadModule/m;
    $text =~ s{^ServerRoot .*}{ServerRoot "$root"}m;
    $text =~ s{^(LoadModule door_module) .*}{$1 "$build/mod_door.so"}m;
    return $text =~ s{/usr/lib/apache2/modules}{$modules}gr;
}

like checked($base . "DoorApp\n"), qr/DoorApp/, 'a mistake is seen';
isnt $?, 0, '... and told';

my $count = 0;
for my $block (map { blocks($_) } manual_files()) {
    next unless $block->{language} eq 'apache';
    my $said = checked(whole($block->{text}));
    is $?, 0, "$block->{file}:$block->{line}" or diag $said;
    $count++;
}
cmp_ok $count, '>', 30, 'there are configurations';

done_testing;
