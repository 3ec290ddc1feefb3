#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# httpd with mod_door under valgrind, in one process (-X): requests of every
# kind, some of which fail.  No error, and nothing lost.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use Test::More;

use lib 't/lib';
use OwnHttpd;

my $build = abs_path($ENV{BUILD} // 'build');
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core mime deflate filter`;
$modules .= "LoadModule door_module \"$build/mod_door.so\"\n";
my $root = File::Temp->newdir('/tmp/mod_door-valgrind.XXXXXX');
chmod 0755, $root;
my $httpd = OwnHttpd->new(program => $program, modules => $modules, build => $build,
    below => "$root", prologue => $> == 0 ? "User nobody\nGroup nogroup\n" : '',
    under => ['valgrind', '--fair-sched=yes', '--leak-check=full', '--show-leak-kinds=definite',
        '--errors-for-leak-kinds=definite', "--log-file=$root/report.%p"]);
my $dir = $httpd->dir;
$httpd->configure(<<"CONF");
ServerLimit 1
DoorApp kitchen $dir/bin/kitchen
DoorTimeout 5
LimitRequestBody 50000000
<Location /kitchen>
    DoorHandler kitchen
</Location>
<Location /zipped>
    DoorHandler kitchen
    SetOutputFilter DEFLATE
    SetInputFilter DEFLATE
</Location>
<Location /limited>
    DoorHandler kitchen
    LimitRequestBody 100000
    ErrorDocument 413 /kitchen/upload
    ErrorDocument 502 /kitchen/redirect?to=/kitchen/env
</Location>
CONF
ok $httpd->start, 'httpd starts';
my $base = "http://127.0.0.1:$httpd->{port}";

sub curl {
    open my $pipe, '-|', 'curl', '-s', '--max-time', 60, @_ or die;
    local $/;
    my $said = <$pipe>;
    close $pipe;
    return $said // '';
}

sub status { curl('-o', '/dev/null', '-w', '%{http_code}', @_) }

ok $httpd->wait_for(sub { status("$base/kitchen/env") == 200 }, 60), 'it answers';
open my $file, '>', "$root/body" or die;
print $file map { pack 'N', $_ * 2654435761 % 2**32 } 1 .. 250_000;
close $file;
system "gzip -k $root/body";
is length curl("$base/kitchen/big?bytes=3000000"), 3_000_000, 'a long response';
is length curl('--compressed', "$base/zipped/big?bytes=300000"), 300_000, '... compressed';
like curl('--data-binary', "\@$root/body", "$base/kitchen/upload"), qr/^bytes=1000000 /, 'an upload';
is length curl('-H', 'Transfer-Encoding: chunked', '--data-binary', "\@$root/body",
    "$base/kitchen/duplex"), 1_000_000, '... in chunks, and back';
like curl('-F', "a=\@$root/body", "$base/kitchen/parts"), qr/bytes=1000000/, '... as a form';
like curl("$base/kitchen/stream?lines=5&ms=20"), qr/\b5\n/, 'a stream';
is length curl("$base/kitchen/pipe?bytes=300000"), 300_000, 'a pipe';
is status('-I', "$base/kitchen/big?bytes=100000"), 200, 'HEAD';
my @chunked = ('-H', 'Transfer-Encoding: chunked', '--data-binary', "\@$root/body");
like curl(@chunked, "$base/kitchen/redirect?to=/kitchen/upload"), qr/^bytes=0 /, 'a local Location';
is status(@chunked, "$base/limited/upload"), 413, "a body over the limit";
is status(@chunked, "$base/limited/env"), 200, '... that nobody reads';
like status(@chunked, "$base/limited/duplex"), qr/^(?:200|413)$/,
    '... that may be too long only when the response has begun';
is status("$base/limited/headers?more=2000&how=flushed"), 502, 'too many headers, and a door\'s page';
is status("$base/kitchen/headers?more=20&bytes=100000"), 502, 'too long ones';
like curl('-H', 'Content-Encoding: gzip', '--data-binary', "\@$root/body.gz", "$base/zipped/upload"),
    qr/^bytes=1000000 /, 'an upload that is compressed';
is status("$base/kitchen/sleep?ms=8000"), 504, 'one that is too slow';
status('--max-time', 1, "$base/kitchen/stream?lines=500&ms=50"); # the client goes
is status("$base/kitchen/die?after=0"), 502, 'the application dies';
is status("$base/kitchen/env"), 200, '... and is back';
status("$base/kitchen/die?after=300000"); # in mid-response
status("$base/kitchen/short?promise=100&bytes=10");
is status('--data-binary', "\@$root/body", "$base/kitchen/env"), 200, 'a body that nobody reads';
is status("$base/kitchen/nowhere"), 404, 'nowhere';
ok $httpd->stop, 'httpd stops';
for my $report (glob "$root/report.*") {
    open my $text, '<', $report or die;
    local $/;
    my $said = <$text>;
    next unless $said =~ /ERROR SUMMARY: (\d+)/; # an application's, before it was one
    is $1, 0, 'no error' or diag $said;
}

done_testing;
