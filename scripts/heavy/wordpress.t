#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# WordPress behind door_fcgi, on a MariaDB of its own: it is installed, and Chromium logs in,
# writes a post, uploads a picture and turns pretty permalinks on.  Then its pages and Adminer's
# are asked for here, behind mod_fcgid, and behind mod_proxy_fcgi and php-fpm: the bytes are the
# same.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use HTTP::Tiny ();
use MIME::Base64 qw(decode_base64);
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use Browser ();
use OwnHttpd ();
use Waiting ();

my $build = abs_path($ENV{BUILD} // 'build');
my $apxs = $ENV{APXS} // 'apxs';
chomp(my ($modules, $sbin, $progname) = map { `$apxs -q $_` } qw(LIBEXECDIR SBINDIR PROGNAME));
my $user = $> == 0 ? 'nobody' : scalar getpwuid $>;
my @pids;
my $browser;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    local $?;
    eval { $browser->close } if $browser;
    kill 'TERM', reverse @pids;
    waitpid $_, 0 for @pids;
}

sub wait_for { return Waiting::wait_for($_[0], $_[1] // 120) }

sub start {
    my ($log, $is_user, @command) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        open STDIN,  '<', '/dev/null' or die;
        open STDOUT, '>', $log        or die;
        open STDERR, '>&', \*STDOUT   or die;
        unshift @command, 'setpriv', '--reuid', $user, '--regid', 'nogroup', '--clear-groups'
            if $is_user && $> == 0;
        exec @command or POSIX::_exit(127);
    }
    push @pids, $pid;
    return $pid;
}

sub spew {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die $!;
}

system('sh', 'scripts/debian_apps.sh', "$build/heavy/debian") == 0 or BAIL_OUT('no applications');
# Of the same build as php-cgi; as a package it would start a service.
my ($php) = `php-cgi -v` =~ /^PHP (\d+\.\d+)/m;
system('sh', 'scripts/debian_apps.sh', "$build/heavy/fpm", "php$php-fpm") == 0 or BAIL_OUT('no php-fpm');
my $dir = File::Temp->newdir('/tmp/mod_door-wp.XXXXXX');
chmod 0755, "$dir";
mkdir "$dir/$_" for qw(run logs bin tmp);
system 'cp', '-a', "$build/heavy/debian/usr/share", "$dir/share";
system 'cp', '-a', glob("$build/libdoor*.so*"), "$dir";
system 'cp', "$build/gateways/door_fcgi", "$dir/bin/";
my $root = "$dir/share/wordpress";
unlink "$root/.htaccess";

# ---- the database

system 'chown', '-R', $user, "$dir/share", "$dir/tmp" if $> == 0;
mkdir "$dir/db";
system 'chown', $user, "$dir/db" if $> == 0;
my @as = $> == 0 ? ("--user=$user") : ();
is system("mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --datadir=$dir/db @as >$dir/logs/db-install 2>&1"),
    0, 'a database' or BAIL_OUT(scalar `cat $dir/logs/db-install`);
start("$dir/logs/db", 0, 'mariadbd', '--no-defaults', "--datadir=$dir/db", "--socket=$dir/db/s", '--skip-networking',
    "--pid-file=$dir/db/pid", @as);
ok wait_for(sub { system("mariadb --no-defaults -u root -S $dir/db/s -e 'select 1' >$dir/logs/sql 2>&1") == 0 }), '... runs'
    or BAIL_OUT(scalar `cat $dir/logs/db`);
sub sql { my $said = `mariadb --no-defaults -u root -S $dir/db/s -N -e "$_[0]" wordpress 2>&1`; return $said }
system "mariadb --no-defaults -u root -S $dir/db/s -e \"create database wordpress; create user wp identified by 'secret'; grant all on wordpress.* to wp\"";

# ---- three servers

my ($port, $fcgid_port, $proxy_port) = map { OwnHttpd::free_port() } 1 .. 3;
my $base = "http://127.0.0.1:$port";
spew("$root/wp-config.php", join '', <<"PHP", map({ "define('${_}_KEY', 'k$_'); define('${_}_SALT', 's$_');\n" } qw(AUTH SECURE_AUTH LOGGED_IN NONCE)), <<'PHP');
<?php
define('DB_NAME', 'wordpress'); define('DB_USER', 'wp'); define('DB_PASSWORD', 'secret');
define('DB_HOST', 'localhost:$dir/db/s'); define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
define('WP_HOME', '$base'); define('WP_SITEURL', '$base');
define('DISABLE_WP_CRON', true); define('WP_HTTP_BLOCK_EXTERNAL', true); define('AUTOMATIC_UPDATER_DISABLED', true);
\$table_prefix = 'wp_';
PHP
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
PHP

sub httpd {
    my ($name, $port, $more, @modules) = @_;
    mkdir "$dir/$name";
    spew("$dir/$name/httpd.conf", join '', map({ -e "$modules/mod_$_.so" ? "LoadModule ${_}_module $modules/mod_$_.so\n" : '' }
        qw(mpm_event authz_core dir mime rewrite alias), @modules), <<"CONF", $more);
ServerRoot $dir/$name
ServerName localhost
Listen 127.0.0.1:$port
PidFile pid
ErrorLog $dir/logs/$name
TypesConfig /etc/mime.types
@{[$> == 0 ? "User $user\nGroup nogroup" : '']}
DocumentRoot $root
Alias /adminer $dir/share/adminer
DirectoryIndex index.php
<Directory $dir/share>
    Require all granted
    AllowOverride FileInfo
</Directory>
CONF
    system 'chown', $user, "$dir/$name" if $> == 0;
    start("$dir/logs/$name.console", 0, "$sbin/$progname", '-f', "$dir/$name/httpd.conf", '-DFOREGROUND');
}

httpd('door', $port, <<"CONF");
LoadModule door_module $build/mod_door.so
DoorRuntimeDir $dir/run
DoorApp wp "$dir/bin/door_fcgi --processes 4 --max-requests 100 /usr/bin/php-cgi" env=TMPDIR=$dir/tmp
<FilesMatch "\\.php\$">
    DoorHandler wp
</FilesMatch>
CONF
httpd('fcgid', $fcgid_port, <<"CONF", 'fcgid');
FcgidIPCDir $dir/fcgid
FcgidProcessTableFile $dir/fcgid/shm
FcgidWrapper /usr/bin/php-cgi .php
<FilesMatch "\\.php\$">
    SetHandler fcgid-script
    Options +ExecCGI
</FilesMatch>
CONF
spew("$dir/fpm.conf", <<"CONF");
[global]
error_log = $dir/tmp/fpm.log
[www]
listen = $dir/tmp/pool
pm = static
pm.max_children = 2
CONF
system 'cp', "$build/heavy/fpm/usr/sbin/php-fpm$php", "$dir/bin/php-fpm";
$ENV{PHP_INI_SCAN_DIR} = "/etc/php/$php/cgi/conf.d"; # as the others
start("$dir/logs/pool", 1, "$dir/bin/php-fpm", '-F', '-y', "$dir/fpm.conf", '-c', "/etc/php/$php/cgi/php.ini");
delete $ENV{PHP_INI_SCAN_DIR};
ok wait_for(sub { -S "$dir/tmp/pool" }), 'php-fpm runs' or diag scalar `cat $dir/logs/pool $dir/tmp/fpm.log`;
httpd('proxy', $proxy_port, <<"CONF", 'proxy', 'proxy_fcgi');
<FilesMatch "\\.php\$">
    SetHandler "proxy:unix:$dir/tmp/pool|fcgi://localhost"
</FilesMatch>
CONF

my $http = HTTP::Tiny->new(timeout => 120, max_redirect => 0);
sub get {
    my ($path, $at) = @_;
    return $http->get('http://127.0.0.1:' . ($at // $port) . $path);
}
ok wait_for(sub { get('/wp-admin/install.php')->{status} == 200 }), 'WordPress asks to be installed'
    or BAIL_OUT(join '', `cat $dir/logs/door*`);
my $installed = $http->post_form("$base/wp-admin/install.php?step=2", {weblog_title => 'Doors', user_name => 'admin',
    admin_password => 'secret', admin_password2 => 'secret', pw_weak => 1, admin_email => 'admin@example.org',
    blog_public => 0, language => ''});
like $installed->{content}, qr/Success!/, '... and is' or BAIL_OUT('no WordPress');
sql("update wp_options set option_value='0' where option_name='show_avatars'");

# ---- the browser

my $driver_port = OwnHttpd::free_port();
start("$dir/logs/driver", 0, 'chromedriver', "--port=$driver_port");
ok wait_for(sub { Browser::is_ready($driver_port) }), 'chromedriver runs';
$browser = Browser->new(profile => "$dir/profile", port => $driver_port,
    arguments => ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']);
sub go { $browser->go("$base$_[0]") }
sub script { $browser->script(@_) }
sub comes { my ($look) = @_; return wait_for(sub { eval { $look->() } }, 60) }

go('/wp-login.php');
# The page moves the focus when it is through with loading.
script(q{document.querySelector('#user_login').value = 'admin'; document.querySelector('#user_pass').value = 'secret'});
$browser->click('#wp-submit');
ok comes(sub { script(q{return document.querySelector('#wpadminbar') !== null}) }), 'Chromium logs in'
    or diag $browser->url;

go('/wp-admin/post-new.php');
ok comes(sub { script(q{return !!(window.wp && wp.data && wp.data.select('core/editor').getCurrentPostId())}) }),
    '... has the editor';
my $post = $browser->later(q{
    const done = arguments[arguments.length - 1], editor = wp.data.dispatch('core/editor');
    editor.editPost({title: 'Hello from Chromium', content: '<p>Written <b>here</b>.</p>', status: 'publish'});
    editor.savePost().then(() => done(wp.data.select('core/editor').getCurrentPostAttribute('link')),
        error => done(String(error)));
});
like $post, qr/^\Q$base\E/, '... and writes a post';

spew("$dir/picture.png", decode_base64('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='));
go('/wp-admin/media-new.php?browser-uploader');
$browser->fill('#async-upload', "$dir/picture.png");
$browser->click('#html-upload');
ok comes(sub { sql("select count(*) from wp_posts where post_type='attachment'") =~ /^1$/m }), '... uploads a picture';
my ($file) = sql("select guid from wp_posts where post_type='attachment'") =~ m{(/wp-content/\S+)};
my $picture = get($file // '/none');
is $picture->{content}, do { local (@ARGV, $/) = "$dir/picture.png"; <> }, '... which all can see';

go('/wp-admin/options-permalink.php');
script(q{document.querySelector("input[name=selection][value='/%postname%/']").click()});
$browser->click('#submit');
ok comes(sub { -s "$root/.htaccess" }), '... and turns pretty permalinks on';
my $page;
ok wait_for(sub { $page = get('/hello-from-chromium/'); $page->{status} == 200 }, 20), 'the post has such a one';
like $page->{content}, qr{Written <b>here</b>}, '... and is there';
$browser->close;

# ---- the others say the same

# Times, and what is made of them.
sub comparable {
    my ($answer) = @_;
    my %headers = %{$answer->{headers}};
    delete @headers{qw(date server connection keep-alive transfer-encoding content-length)};
    my $text = join "\n", $answer->{status}, map({ "$_: $headers{$_}" } sort keys %headers), $answer->{content};
    # WordPress's, Adminer's.
    return $text =~ s/\b[0-9a-f]{10}\b/NONCE/gr =~ s/\b\d{1,7}:\d{1,7}\b/TOKEN/gr =~ s/nonce[-=]"?[\w+\/=]+/NONCE/gr
        =~ s/adminer_(?:sid|key)=[^;"]*/COOKIE/gr;
}

# By curl: a request that names the same host whatever the port is.
sub ask {
    my ($at, $path) = @_;
    my $text = `curl -s -i -m 120 -H 'Host: 127.0.0.1:$port' 'http://127.0.0.1:$at$path'`;
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($status, @lines) = split /\r\n/, $head // '';
    my %headers; # repeated ones as one: that is the same
    for (@lines) {
        my ($name, $value) = /^([^:]+): (.*)/ or next;
        $headers{lc $name} = join ', ', grep { defined } $headers{lc $name}, $value;
    }
    return {status => $status // '', content => $body // '', headers => \%headers};
}

for my $path ('/', '/hello-from-chromium/', '/hello-from-chromium', '/?feed=rss2', '/?p=1', '/none/', '/wp-login.php',
    '/wp-json/wp/v2/posts', '/wp-admin/', '/wp-includes/css/dashicons.css', '/adminer/adminer/index.php',
    '/index.php/hello-from-chromium/', '/wp-admin/none.php', '/xmlrpc.php') {
    my ($ours, @others) = map {
        comparable(ask($_, $path));
    } $port, $fcgid_port, $proxy_port;
    ok $ours eq $others[0], "$path: as behind mod_fcgid" or spew_both($path, $ours, $others[0]);
    ok $ours eq $others[1], '... and mod_proxy_fcgi' or spew_both($path, $ours, $others[1]);
}

sub spew_both {
    my ($path, @texts) = @_;
    spew("$dir/logs/$_", $texts[$_]) for 0, 1;
    my @lines = `diff $dir/logs/0 $dir/logs/1`;
    diag join '', map { substr($_, 0, 300) . "\n" } grep { defined } @lines[0 .. 9];
}

unlike do { local (@ARGV, $/) = "$dir/logs/door"; <> }, qr/door:(?:error|crit)/, 'nothing is wrong in the log';
done_testing;
