# SPDX-License-Identifier: Apache-2.0
#
# Which requests a door gets, whatever lies on disk and whatever else the
# configuration says of the same URL.  The files and rules of an httpd of its own.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use File::Path qw(make_path);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $docs = "$dir/htdocs";
my $modules = $httpd->{modules} =~ m{(\S+)/mod_alias\.so}  ? $1 =~ s/^"//r : '';
my $has_root = $> == 0;

sub write_file {
    my ($path, $text) = @_;
    make_path($path =~ s{/[^/]*$}{}r);
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die "$path: $!";
}

sub load { join '', map { -e "$modules/mod_$_.so" ? "<IfModule !mod_$_.c>\nLoadModule ${_}_module \"$modules/mod_$_.so\"\n</IfModule>\n" : '' } @_ }

sub host {
    my ($name, $text) = @_;
    return "<VirtualHost *:*>\nServerName $name.example\nDocumentRoot \"$docs\"\n$text</VirtualHost>\n";
}

sub at { my ($path, $text) = @_; "<Location \"$path\">\n$text\n</Location>\n" }

sub variables { return { $_[0] =~ /^([A-Za-z]\w*)=(.*)$/mg } }

# Of a virtual host: status, body, headers.
sub ask {
    my ($name, $path, @more) = @_;
    my $method = @more && $more[0] =~ /^[A-Z]+$/ ? shift @more : 'GET';
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30)
        or return (0, '', '');
    print $socket join "\r\n", "$method $path HTTP/1.0", "Host: $name.example", @more, '', '';
    local $/;
    my ($head, $body) = split /\r\n\r\n/, <$socket> // '', 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.[01] (\d+)};
    return ($status // 0, $body // '', $head // '');
}
sub status { (ask(@_))[0] }
sub body { (ask(@_))[1] }
sub env { variables(body(@_)) }

# ---- what lies on disk

make_path("$docs/app/sub", "$docs/match/abc", "$docs/closed/in", "$docs/Misspelt", "$docs/host");
write_file("$docs/file.txt", 'a file');
write_file("$docs/static/page.txt", 'a page');
write_file("$docs/.htaccess", <<'END');
RewriteEngine On
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^app/ /file.txt [L]
END
write_file("$docs/rules/.htaccess", "# rules\nHeader set X-Rule yes\n");
write_file("$dir/outside/alias/page.txt", 'an aliased page');
write_file("$dir/challenges/abcDEF-1", 'a challenge');
write_file("$docs/strict/file.door", 'a file');
write_file("$docs/loose/file.door", 'a file');

write_file("$dir/outside/file.door", 'a file');
write_file("$dir/outside/env/rules/.htaccess", "RewriteEngine On\nRewriteRule . /page.txt\n");

my $app = "DoorHandler app\n";
my $config = load(qw(speling negotiation proxy proxy_http actions vhost_alias)) . <<"CONF";
DoorApp app $dir/bin/kitchen
<Directory "$docs">
    AllowOverride All
    Require all granted
</Directory>
<Directory "$docs/closed">
    Require all denied
    Header set X-Directory closed
</Directory>
UseCanonicalName Off
Listen 127.0.0.1:@{[ $httpd->free_port ]}
CONF
$config .= host(plain => at('/app', $app) . at('/closed', $app) . at('/host/', $app)
        . "<LocationMatch \"^/match/\\w+\">\n$app</LocationMatch>\n"
        . "<LocationMatch \"^/ver/\">\n$app</LocationMatch>\n"
        . "<LocationMatch \"^/part\">\n$app</LocationMatch>\n"
        . "<Location ~ \"^/tilde/[a-z]+\">\n$app</Location>\n"
        . "<Location \"/wild/*\">\n$app</Location>\n"
        . "<Directory \"$docs/shut\">\nRequire all denied\nHeader set X-Rule yes\n</Directory>\n"
        . "<Directory \"$docs/shut/open\">\nRequire all granted\n</Directory>\n" . at('/shut/open', $app)
        . at('/rules', $app) . at('/said', "${app}Require all denied")
        . "<Directory \"$docs/said\">\nRequire ip 10\n</Directory>\n"
        . at('/views', "Options +MultiViews\n$app"));
$config .= host(spelling => "CheckSpelling On\n" . at('/app', $app) . at('/misspelt', $app));
$config .= host(hostspelling => "CheckSpelling On\n$app");
$config .= host(whole => at('/', $app) . at('/static', 'DoorHandler none')
        . "Alias /aliased \"$dir/outside/alias\"\n<Directory \"$dir/outside\">\nRequire all granted\n</Directory>\n");
$config .= host(rewriting => "RewriteEngine On\nRewriteRule ^/old/(.*) /app/\$1 [PT]\n"
        . "RewriteRule ^/app/(file\\.txt)\$ /\$1 [PT]\n" . at('/app', $app));
$config .= host(vhostalias => "VirtualDocumentRoot \"$docs\"\n" . at('/app', $app));
$config .= host(slashes => "MergeSlashes Off\n" . at('/app/sub', $app)
        . "<Directory \"$docs/match/abc\">\n$app</Directory>\n");
# Handlers within handlers.
$config .= host(inner => $app . at('/status', 'SetHandler server-status')
        . at('/both', "SetHandler server-status\nDoorHandler app")
        . at('/both-turned', "DoorHandler app\nSetHandler server-status")
        . at('/nothing', 'SetHandler none') . at('/proxied', "SetHandler \"proxy:http://127.0.0.1:$httpd->{port}/\"")
        . "<Directory \"$docs/static\">\nSetHandler default-handler\n</Directory>\n"
        . "<FilesMatch \"^file\\.txt\$\">\nSetHandler default-handler\n</FilesMatch>\n"
        . "ProxyPass /passed http://127.0.0.1:$httpd->{port}/file.txt\n"
        . "RewriteEngine On\nRewriteRule ^/.well-known/acme-challenge/(.*)\$ $dir/challenges/\$1 [END]\n"
        . "<Directory \"$dir/challenges\">\nRequire all granted\nSetHandler default-handler\n</Directory>\n");
$config .= host(inner_location => at('/', $app) . at('/status', 'SetHandler server-status')
        . at('/status/door', $app)
        . "<Directory \"$docs/static\">\nSetHandler default-handler\n</Directory>\n"
        . "RewriteEngine On\nRewriteRule ^/.well-known/acme-challenge/(.*)\$ $dir/challenges/\$1 [END]\n"
        . "<Directory \"$dir/challenges\">\nRequire all granted\n</Directory>\n"
        . at('/.well-known/acme-challenge', 'DoorHandler none'));
# What mod_dir looks up.
$config .= host(dir => at('/app', $app) . "DirectoryIndex /app/env\nFallbackResource /app/env\n");
$config .= host(front => at('/app', $app) . <<'CONF');
RewriteEngine On
RewriteCond %{DOCUMENT_ROOT}%{REQUEST_URI} !-f
RewriteCond %{REQUEST_URI} !^/app(/|$)
RewriteRule ^/(.*) /app/$1 [PT]
CONF
$config .= host(pathinfo => "<Directory \"$docs/strict\">\nAcceptPathInfo Off\n<Files file.door>\n$app</Files>\n</Directory>\n"
        . "<Directory \"$docs/loose\">\n<Files file.door>\n$app</Files>\n</Directory>\n"
        . "<Directory \"$docs/match\">\nAcceptPathInfo Off\n$app</Directory>\n"
        . at('/off', "AcceptPathInfo Off\n$app"));
$config .= host(translated => "DocumentRoot \"$dir/outside\"\nAlias /there \"$dir/outside\"\n"
        . "Alias /env/aliased \"$dir/challenges\"\n" . at('/app', $app)
        . "<Directory \"$dir/outside\">\nAllowOverride All\nRequire all granted\n<Files file.door>\n$app</Files>\n</Directory>\n");
$httpd->configure($config =~ s/\*:\*/127.0.0.1:$httpd->{port}/gr);
my $check = $httpd->check;
like $check, qr/Syntax OK/, 'httpd takes the configuration';
ok $httpd->start, 'httpd starts' or diag $httpd->log_text;
is status(plain => '/app/env'), 200, 'a door in a <Location> over a directory';

# ---- names that no file system takes

my $long = 'x' x 300;
is env(plain => "/app/env/$long")->{PATH_INFO}, "/env/$long", 'a segment of 300 bytes';
my $deep = '/a' x 3000;
is env(plain => "/app/env$deep")->{PATH_INFO}, "/env$deep", 'a path of 6,000 bytes';
chmod 0, "$docs/closed/in" or die;
like body(plain => '/closed/in/env'), qr{no /in/env in this kitchen},
    'a directory that httpd may not read is not in the way';
chmod 0755, "$docs/closed/in" or die;
is env(plain => '/host/env')->{SCRIPT_NAME}, '/host', 'a <Location> with a slash at its end';

# The price: docs/mapping.md says it first.
is status(plain => '/closed/env'), 200, "<Directory>'s Require does not apply to a <Location>'s door";
unlike((ask(plain => '/closed/env'))[2], qr/^X-Directory/m, '... nor do its headers');
like $httpd->log_text, qr{DoorHandler app in <Location "/closed">: the Require of <Directory "\Q$docs\E/closed">},
    '... which a line at start says';
like $check, qr{DoorHandler app in <Location "/closed">: the Require of}, '... and httpd -t';
unlike $httpd->log_text, qr{in <Location "/host/">}, '... and none where there is no such rule';

unlike $httpd->log_text, qr{in <Location "/said">}, '... nor where the <Location> has its own';
unlike $httpd->log_text, qr{in <Location "/shut/open">: the Require}, '... nor where another <Directory> holds';
like $httpd->log_text, qr{in <Location "/shut/open">: the Header of <Directory "\Q$docs\E/shut">},
    '... of each kind for itself';
like $httpd->log_text, qr{in <Location "/rules">: the Header of \Q$docs\E/rules/\.htaccess},
    '... a rule in .htaccess is told';

# ---- .htaccess, spelling, variants

is env(plain => '/app/env')->{PATH_INFO}, '/env', "the DocumentRoot's .htaccess takes nothing away";
is status(spelling => "/app/env"), 200, 'CheckSpelling, a directory of that name';
like body(spelling => '/app'), qr{^/env}m, '... itself: the menu';
is status(spelling => '/misspelt/env'), 200, '... and one with a similar name';
like body(hostspelling => '/app'), qr{no /app in this kitchen}, '... in a host with a door';
like body(hostspelling => '/Ap'), qr{no /Ap in this kitchen}, '... also one that is like a directory';
is status(hostspelling => '/env'), 200, '... its other paths';
is status(plain => '/views/env'), 200, 'MultiViews';

my $env = env(plain => '/app/env');
is $env->{SCRIPT_NAME}, '/app', 'SCRIPT_NAME';
is $env->{SCRIPT_FILENAME}, "$docs/app", 'SCRIPT_FILENAME is DOCUMENT_ROOT with SCRIPT_NAME';
is $env->{PATH_TRANSLATED}, "$docs/env", 'PATH_TRANSLATED is DOCUMENT_ROOT with PATH_INFO';

# A file's: as a URL of its own.
for ('/file.door', '/there/file.door') {
    is env(translated => "$_/env/x%20y/z")->{PATH_TRANSLATED}, "$dir/outside/env/x y/z",
        "$_: PATH_TRANSLATED is what DocumentRoot has";
    is env(translated => "$_/env/aliased/x/y")->{PATH_TRANSLATED}, "$dir/challenges/x/y",
        '... or what an Alias says';
    is env(translated => "$_/env/rules/x")->{PATH_TRANSLATED}, "$dir/outside/env/rules/x",
        '... and a file also where an .htaccess would redirect it';
}
is env(translated => '/app/env/aliased/x')->{PATH_TRANSLATED}, "$dir/outside/env/aliased/x",
    '... but in a <Location>';

# ---- patterns

for ([plain => '/match/abc/env', '/match/abc'], [plain => '/match/def/env', '/match/def'],
    [plain => '/ver/env', '/ver'], [plain => '/parts/env', '/parts'],
    [plain => '/tilde/env/env', '/tilde/env'])
{
    my ($host, $path, $script) = @$_;
    is env($host, $path)->{SCRIPT_NAME}, $script, "$path: SCRIPT_NAME by the match";
    is env($host, $path)->{PATH_INFO}, '/env', '... PATH_INFO the rest';
}
like body(plain => '/wild/env'), qr{^/env}m, 'a wildcard matches all of the URL: PATH_INFO is empty';

# ---- MergeSlashes Off

$env = env(slashes => '/app//sub/env');
is $env->{SCRIPT_NAME}, '/app//sub', 'MergeSlashes Off: SCRIPT_NAME is what matched';
is $env->{PATH_INFO}, '/env', '... PATH_INFO the rest';
$env = env(slashes => '/match//abc/env');
is $env->{SCRIPT_NAME}, '/match//abc', '... in a <Directory>: SCRIPT_NAME';
is $env->{PATH_INFO}, '/env', '... PATH_INFO';

# ---- other modules that map URLs

is env(whole => '/env')->{PATH_INFO}, '/env', '<Location />';
is body(whole => '/static/page.txt'), 'a page', '... with a <Location> that is taken out';
like body(whole => '/aliased/page.txt'), qr{no /aliased/page.txt in}, '... an Alias as before: its URLs are the door\'s';
is env(rewriting => '/old/env')->{PATH_INFO}, '/env', 'RewriteRule with PT into a door';
is env(rewriting => "/old/env/$long")->{PATH_INFO}, "/env/$long", '... maps nothing onto the disk either';
is body(rewriting => '/app/file.txt'), 'a file', '... and out of a door';
is env(vhostalias => "/app/env/$long")->{PATH_INFO}, "/env/$long", 'mod_vhost_alias comes after it';
is status(plain => '/app/env', 'TRACE'), 200, 'TRACE is answered by httpd';
unlike body(plain => '/app/env', 'TRACE'), qr/^SCRIPT_NAME=/m, '... alone';

# ---- SetHandler within DoorHandler

is env(inner => '/env')->{PATH_INFO}, '/env', 'a host with a door';
like body(inner => '/status?auto'), qr/^Total Accesses/m, '... SetHandler in a <Location> of it';
is env(inner => '/both/env')->{SCRIPT_NAME}, '/both', '... both in one: DoorHandler wins';
is env(inner => '/both-turned/env')->{PATH_INFO}, '/env', '... whichever comes first';
like body(inner => '/nothing/env'), qr{URL was not found}, '... SetHandler none takes the door away, too';
is env(inner => '/proxied')->{SERVER_NAME} // 'none', 'none', '... SetHandler proxy:';
is body(inner => '/static/page.txt'), 'a page', '... SetHandler in a <Directory> of it';
is body(inner => '/file.txt'), 'a file', '... in <Files>';
is body(inner => '/passed'), 'a file', '... ProxyPass';
is body(inner => '/.well-known/acme-challenge/abcDEF-1'), 'a challenge', "... certbot's challenge";
is env(inner_location => '/env')->{PATH_INFO}, '/env', '<Location /> with a door';
like body(inner_location => '/status?auto'), qr/^Total Accesses/m, '... SetHandler in a <Location> in it';
is env(inner_location => '/status/door/env')->{PATH_INFO}, '/env', '... and a door in that again';
like body(inner_location => '/static/page.txt'), qr{no /static/page.txt in}, "... a <Directory>'s SetHandler does not beat it";
is body(inner_location => '/.well-known/acme-challenge/abcDEF-1'), 'a challenge',
    "... certbot's challenge with DoorHandler none";

# ---- mod_dir

is status(dir => '/file.txt'), 200, 'a file';
is status(dir => '/app/env'), 200, 'a door';
$env = env(dir => '/static/?x=1');
is $env->{SCRIPT_NAME}, '/app', 'DirectoryIndex /app/env: SCRIPT_NAME';
is $env->{REQUEST_URI}, '/static/?x=1', '... REQUEST_URI is what was asked for';
is $env->{QUERY_STRING}, 'x=1', '... QUERY_STRING';
$env = env(dir => '/missing/page?x=1');
is $env->{SCRIPT_NAME}, '/app', 'FallbackResource /app/env: SCRIPT_NAME';
is $env->{REQUEST_URI}, '/missing/page?x=1', '... REQUEST_URI';
is env(dir => '/missing/page', 'POST')->{REQUEST_METHOD}, 'POST', '... REQUEST_METHOD';
is env(dir => '/static/none')->{SCRIPT_NAME}, '/app', '... in a directory that is there';
is env(front => '/env?x=1')->{PATH_INFO}, '/env', 'RewriteRule in its stead: PATH_INFO';
is env(front => '/env?x=1')->{REQUEST_URI}, '/env?x=1', '... REQUEST_URI';
is body(front => '/file.txt'), 'a file', '... files are served';

# ---- AcceptPathInfo

is status(pathinfo => '/strict/file.door/env'), 404, 'AcceptPathInfo Off, <Files>: a path behind it';
is status(pathinfo => '/loose/file.door/env'), 200, '... not said';
is status(pathinfo => '/match/env'), 200, 'AcceptPathInfo Off, <Directory>: a name in it';
is status(pathinfo => '/match/env/more'), 404, '... and a path behind that';
is status(pathinfo => '/off/env/more'), 200, '... not in a <Location>: no file is looked for';

ok $httpd->stop, 'httpd stops';

done_testing;
