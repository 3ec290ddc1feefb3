# SPDX-License-Identifier: Apache-2.0
#
# .htaccess files may name only the doors that the server's configuration has
# released for their directory: httpd's rights are not their author's.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use File::Path qw(make_path);
use DoorTest;

plan tests => 25;

my $docs = Apache::Test::vars('documentroot');
my $run = app_path('');
$run =~ s{/$}{};

# Doors that are released, and ways that lead out of them again.
make_path("$run/tenant", "$run/tenant-of-another", "$run/shared");
for my $dir (qw(tenant tenant-of-another shared)) {
    unlink "$run/$dir/door";
    link "$run/hello", "$run/$dir/door" or die "link: $!";
}
symlink '../kitchen', "$run/tenant/escape";
symlink '..', "$run/tenant/up";
symlink 'door', "$run/tenant/within";

# Writes an .htaccess file in a directory of its own and asks for a page there.
my $count = 0;

sub ask {
    my ($under, $text) = @_;
    my $dir = "$under/" . ++$count;
    make_path("$docs/$dir");
    open my $file, '>', "$docs/$dir/.htaccess" or die;
    print $file "$text\n";
    close $file or die;
    return GET "/$dir/x";
}

sub served { is ask($_[0], $_[1])->content, "Well, hello to you too!\n", $_[2] }

sub refused {
    my ($under, $text, $what) = @_;
    my $mark = mark_log();
    my $code = ask($under, $text)->code;
    cmp_ok $code, '>=', 403, "$what: $code";
    return log_since($mark);
}

served('tenant', "DoorHandler $run/tenant/door", 'a released directory');
served('tenant', "DoorHandler $run/shared/door", '... the second one');
served('tenant', "DoorHandler \"$run/tenant/door\"", '... in quotes');

like refused('tenant', "DoorHandler $run/kitchen", 'another door'), qr{run/kitchen},
    '... is in the log';
refused('tenant', "DoorHandler $run/tenant-of-another/door", 'a name that begins the same');
refused('tenant', "DoorHandler $run/tenant/../kitchen", 'out by dots');
refused('tenant', "DoorHandler $run/tenant/up/kitchen", 'out by a linked directory');
refused('tenant', "DoorHandler $run/tenant/escape", 'out by a link');
refused('tenant', "DoorHandler $run/tenant", 'the directory itself');
refused('tenant', "DoorHandler /etc/passwd", 'a file that is no door');
refused('tenant', "DoorHandler tenant/door", 'a relative path that is not released');
refused('tenant/nothing', "DoorHandler $run/tenant/door", 'DoorAllow none takes it back');

refused('stranger', "DoorHandler $run/tenant/door", 'no DoorAllow: nothing is released');

# What may be in such a file at all.
is ask('tenant', "DoorAllow /")->code, 500, 'DoorAllow is not for .htaccess';
is ask('tenant', "DoorAllow $run\nDoorHandler $run/kitchen")->code, 500,
    '... also beside a handler';
is ask('tenant', "DoorTimeout 0\nDoorHandler $run/tenant/door")->code, 500, 'nor is DoorTimeout';
is ask('powerless', "DoorHandler $run/tenant/door")->code, 404, 'AllowOverride None: not read';

my $mark = mark_log();
is ask('tenant', "DoorHandler")->code, 500, 'a directive without its argument';
like log_like($mark, qr/DoorHandler/), qr/\.htaccess/, '... is told in the log';

# It may turn off what the server's configuration has turned on.
{
    make_path("$docs/tenant/served");
    open my $page, '>', "$docs/tenant/served/page.txt" or die;
    print $page 'a page';
    close $page or die;
    open my $file, '>', "$docs/tenant/served/.htaccess" or die;
    print $file "DoorHandler none\n";
    close $file or die;
    is GET('/tenant/served/page.txt')->content, 'a page', 'DoorHandler none';
}

# The check is made for the request, not once: a link that is bent later.
{
    symlink 'door', "$run/tenant/changes";
    my $text = "DoorHandler $run/tenant/changes";
    my $before = ask('tenant', $text);
    ok $before->code == 200 || $before->code >= 403,
        'a link within what is released: ' . $before->code;
    unlink "$run/tenant/changes";
    symlink '../kitchen', "$run/tenant/changes";
    cmp_ok GET("/tenant/$count/env")->code, '>=', 403, '... is refused once it leads out';
}

is GET('/hello')->code, 200, "the server's own configuration needs no DoorAllow";
is GET('/kitchen/echo')->code, 200, '... for any door';
unlink glob "$run/tenant*/*";
