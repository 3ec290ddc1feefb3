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
use Errno qw(ENOTDIR);
use File::Path qw(make_path);
use DoorTest;

plan tests => 56;

my $docs = Apache::Test::vars('documentroot');
my $run = app_path('');
$run =~ s{/$}{};

# Doors that are released, and ways that lead out of them again.
make_path("$run/tenant", "$run/tenant-of-another", "$run/shared");
for my $dir (qw(tenant tenant-of-another shared tenant/below)) {
    make_path("$run/$dir");
    unlink "$run/$dir/door";
    link "$run/hello", "$run/$dir/door" or die "link: $!";
}
symlink '../kitchen', "$run/tenant/escape";
symlink '..', "$run/tenant/up";
symlink 'door', "$run/tenant/within";
symlink 'below', "$run/tenant/beside";

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

# Refused, not just out of order: the status and the log say which, and nobody has answered.
sub refused {
    my ($under, $text, $what, $code, $reason) = @_;
    my $mark = mark_log();
    my $answer = ask($under, $text);
    is $answer->code, $code, "$what: $code";
    unlike $answer->content, qr/Well, hello|SERVER_PROTOCOL/, '... no application has answered';
    like log_like($mark, $reason), qr/\[door:error\]|\.htaccess: Door/, '... the log says why';
}

my $not_allowed = qr/DoorAllow/;
my $a_link = qr/its name is a symbolic link, which is not followed there/;
my $no_directory = do { local $! = ENOTDIR; qr/\Q$!\E: DOOR\d{4}: door/ };

served('tenant', "DoorHandler $run/tenant/door", 'a released directory');
served('tenant', "DoorHandler $run/shared/door", '... the second one');
served('tenant', "DoorHandler \"$run/tenant/door\"", '... in quotes');

served('tenant', "DoorHandler $run/tenant/below/door", '... below it');
refused('tenant', "DoorHandler $run/kitchen", 'another door', 403, $not_allowed);
refused('tenant', "DoorHandler $run/tenant-of-another/door", 'a name that begins the same', 403,
    $not_allowed);
refused('tenant', "DoorHandler $run/tenant/../kitchen", 'out by dots', 500, qr/the path must be absolute/);
refused('tenant', "DoorHandler $run/tenant/up/kitchen", 'out by a linked directory', 503, $no_directory);
refused('tenant', "DoorHandler $run/tenant/beside/door", '... a link that does not lead out', 503,
    $no_directory);
refused('tenant', "DoorHandler $run/tenant/escape", 'out by a link', 503, $a_link);
refused('tenant', "DoorHandler $run/tenant/within", '... that does not lead out', 503, $a_link);
refused('tenant', "DoorHandler $run/tenant", 'the directory itself', 503, qr/run\/tenant/);
refused('tenant', "DoorHandler /etc/passwd", 'a file that is no door', 403, $not_allowed);
refused('tenant', "DoorHandler tenant/door", 'a relative path', 500, qr/the path must be absolute/);
refused('tenant/nothing', "DoorHandler $run/tenant/door", 'DoorAllow none takes it back', 403,
    $not_allowed);
refused('stranger', "DoorHandler $run/tenant/door", 'no DoorAllow: nothing is released', 403,
    $not_allowed);

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

# Their authors may name as many doors as they like, one after the other and at the same
# time: a child keeps 64 of them open.
SKIP: {
    skip 'needs /proc', 5 unless -d '/proc/self/fd';
    my $few = 64;
    my $many = 160;
    my $httpd = own_httpd(prologue => <<"CONF");
ServerLimit 1
ThreadLimit $many
StartServers 1
ThreadsPerChild $many
MaxRequestWorkers $many
CONF
    my $own = $httpd->dir('htdocs');
    make_path("$run/tenant/many", map { "$own/$_" } 1 .. $many);
    for my $number (1 .. $many) {
        link "$run/kitchen", "$run/tenant/many/$number" or die "link: $!";
        open my $file, '>', "$own/$number/.htaccess" or die;
        print $file "DoorHandler $run/tenant/many/$number\n";
        close $file or die;
    }
    $httpd->configure(qq{<Directory "$own">\nAllowOverride FileInfo\nDoorAllow $run/tenant/\n</Directory>});
    $httpd->start or die;
    my $child;
    wait_for(sub { ($child) = grep { $_ != $httpd->pid } $httpd->processes(qr/httpd\.conf/) }) or die;
    my $descriptors = sub { scalar(() = glob "/proc/$child/fd/*") };
    my $get = sub { scalar grep { $httpd->status("/$_/env") == 200 } @_ };
    is $get->(1 .. $few), $few, "$few doors of .htaccess files";
    my $before = $descriptors->();
    is $get->($few + 1 .. $many), $many - $few, '... as many others';
    # An open one has eight.  A closed one has six until the application has seen that it is,
    # of which it looks at two whenever another one comes: so as many again are half closed.
    my $settles = sub { wait_for(sub { $descriptors->() < $before + 9 * $few || !$get->(1 .. $many) }) };
    ok $settles->(), '... take the descriptors of the first ones';

    my @sockets = map {
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}") or die;
        print $socket "GET /$_/sleep?ms=3000 HTTP/1.0\r\n\r\n";
        $socket;
    } 1 .. $many;
    is scalar(grep { parse_response(raw_rest($_, 60))->{status} == 200 } @sockets), $many,
        '... all of them at the same time are served';
    $get->(1 .. $many) for 1 .. 6;
    ok $settles->(), '... and leave no more doors open';
}
unlink glob "$run/tenant*/*";
