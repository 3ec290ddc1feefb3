# SPDX-License-Identifier: Apache-2.0
#
# Ways around an application that says who may pass: subrequests, internal redirects, error
# documents, kept connections, HTTP/2.  None of them leads past it, and none loses a request.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use DoorTest;

plan skip_all => 'the MPM has no part in it' if mpm() ne 'event';

my $httpd = own_httpd();
my $dir = $httpd->dir;
$httpd->install('guard');

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>', "$dir/$path" or die "$path: $!";
    print $file $text;
    close $file or die;
}

write_file('rules', join '', map { "$_\n" } 'user bob ' . crypt('secret', '$5$salty$') . ' staff',
    'user ann ' . crypt('secret', '$5$salty$') . ' guests', 'shut /shut', 'shut /files/shut', 'shut /one/shut/',
    'area /one/staff staff');
mkdir "$dir/htdocs/$_" for qw(files files/shut files/own files/rewritten one one/shut one/staff tenant tenant/staff);
write_file("htdocs/files/$_", "the secret of $_\n") for qw(shut/page.html shut/index.html own/page.html own/index.html);
# One section for all of it: which of it may be had is the application's business.
write_file("htdocs/$_/page.html", "the secret of $_\n") for qw(one/shut one/staff);
write_file("htdocs/one/staff/index.html", "the secret of one/staff\n");
write_file('htdocs/one/all.shtml', join '', map { qq{<!--#include virtual="/one/$_" -->|} } qw(shut/page.html staff/page.html staff/));
write_file('htdocs/files/page.html', "a page\n");
write_file('htdocs/files/sorry.html', "sorry\n");
write_file('htdocs/files/all.shtml', join '', map { qq{<!--#include virtual="$_" -->|} }
    qw(/files/shut/page.html /files/own/page.html /files/page.html /private/env /files/shut/));
write_file('htdocs/files/own/.htaccess', <<'CONF');
AuthType Basic
AuthName own
DoorAuthenticator guard
Require valid-user
ErrorDocument 401 /files/sorry.html
CONF
write_file('htdocs/files/rewritten/.htaccess', <<'CONF');
RewriteEngine On
RewriteRule ^secret$ /files/own/page.html [L]
RewriteRule ^shut$ /files/shut/page.html [L]
RewriteRule ^door$ /private/env [L]
CONF

my $nonsense = app_path('nonsense');
$httpd->configure((have_http2() ? "Protocols h2c http/1.1\n" : '') . <<"CONF");
DoorApp kitchen $dir/bin/kitchen
DoorApp guard "$dir/bin/guard $dir/rules"
KeepAlive On
<Directory $dir/htdocs>
    Options +FollowSymLinks +Includes
    AllowOverride AuthConfig FileInfo
    DirectoryIndex index.html
    AddOutputFilter INCLUDES .shtml
    AddType text/html .shtml .html
    DoorAllow guard
    Require all granted
</Directory>
<Location /files/shut>
    DoorAccessChecker guard
</Location>
<Location /shut>
    DoorHandler kitchen
    DoorAccessChecker guard
    ErrorDocument 401 /shut/again
</Location>
<Location /private>
    DoorHandler kitchen
    AuthType Basic
    AuthName private
    DoorAuthenticator guard
    Require valid-user
</Location>
<Location /kept>
    DoorHandler kitchen
    AuthType Basic
    AuthName kept
    DoorAuthenticator guard
    Require valid-user
    ErrorDocument 401 /kept/env
</Location>
<Location /open>
    DoorHandler kitchen
</Location>
<Location /one>
    AuthType Basic
    AuthName one
    DoorAuthenticator guard
    DoorAuthorizer guard
    DoorAccessChecker guard
    Require valid-user
</Location>
<Location /each>
    DoorAccessChecker $nonsense
</Location>
<Directory $dir/htdocs/one>
    RewriteEngine On
    RewriteRule ^by-rule/(.*)\$ /one/\$1 [L]
</Directory>
RewriteEngine On
RewriteRule ^/to-private\$ /private/env [PT]
CONF
ok $httpd->start, 'httpd starts' or diag $httpd->log_text;
my $base = "http://127.0.0.1:$httpd->{port}";
my @bob = ('-H', 'Authorization: Basic ' . encode_base64('bob:secret', ''));

sub ask { my ($path, @options) = @_; return ask_url("$base$path", @options) }
sub status { ask(@_)->{status} }

# ---- subrequests and internal redirects

is status('/files/shut/page.html'), 401, 'a file that is shut';
is status('/files/shut/'), 401, '... its directory, whose index is a subrequest';
is status('/files/own/page.html'), 401, 'one that .htaccess keeps';
is status('/files/own/'), 401, '... its directory';
is ask('/files/own/', @bob)->{body}, "the secret of own/index.html\n", '... which the right one may have';
is ask('/files/own/page.html')->{body}, "sorry\n", '... the error document is another page';
my $included = ask('/files/all.shtml')->{body};
like $included, qr/a page/, 'SSI includes what is open';
unlike $included, qr/secret|REQUEST_URI/, '... and nothing else' or diag $included;
$included = ask('/files/all.shtml', @bob)->{body};
like $included, qr{the secret of own/page}, '... with a password what that opens';
unlike $included, qr{the secret of shut}, '... and not what is shut';
for (['secret', 401, 200], ['shut', 401, 401], ['door', 401, 200]) {
    my ($name, $without, $with) = @$_;
    is status("/files/rewritten/$name"), $without, "mod_rewrite leads to $name, and not past the guard";
    is status("/files/rewritten/$name", @bob), $with, '... but with a password';
}
is status('/to-private'), 401, 'a rule of the server, too';
like ask('/to-private', @bob)->{body}, qr/^REMOTE_USER=bob$/m, '... and the handler knows who it is';
is status('/open/redirect?to=/private/env'), status('/open/redirect?to=/open/env') == 404 ? 404 : 401, 'a local Location of an application';
my $answer = ask('/kept/echo');
is $answer->{status}, 401, 'an error document that is itself kept';
unlike $answer->{body}, qr/^REMOTE_ADDR=/m, '... stays so';
is status('/shut/x'), 401, '... and one that is shut, where nobody may pass';
for my $path ('//private/env', '/./private/env', '/open/../private/env', '/%70rivate/env', '/private;x/../private/env', '/private//env') {
    my $got = ask($path, '--path-as-is');
    unlike $got->{body}, qr/^REMOTE_ADDR=/m, "$path: no way past";
}

# Subrequests and redirects that stay in one section, of which the application makes several.
my @ann = ('-H', 'Authorization: Basic ' . encode_base64('ann:secret', ''));
is status('/one/staff/page.html', @bob), 200, 'one section, in which bob may have this';
is status('/one/staff/page.html', @ann), 401, '... and ann may not';
$included = ask('/one/all.shtml', @ann);
is $included->{status}, 200, '... but a page that includes it';
unlike $included->{body}, qr/secret/, '... without what it includes';
$included = ask('/one/all.shtml', @bob)->{body};
like $included, qr{the secret of one/staff.*the secret of one/staff}s, '... which bob sees';
unlike $included, qr{the secret of one/shut}, '... but for what is shut for all';
is status('/one/by-rule/staff/page.html', @ann), 401, 'a rewritten URL is another one';
is status('/one/by-rule/shut/page.html', @bob), 401, '... which may be shut';
is status('/one/by-rule/staff/page.html', @bob), 200, '... or not';

# ---- kept connections

sub connection {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30) or die $!;
    $socket->autoflush(1);
    return $socket;
}
my $yes = encode_base64('bob:secret', '');
for my $path ('/private/echo', '/shut/echo', '/files/own/page.html') {
    my ($socket, $rest) = (connection(), '');
    for my $length (0, 10, 300_000) {
        raw_send($socket, "POST $path HTTP/1.1\r\nHost: localhost\r\nContent-Length: $length\r\n\r\n" . 'GET / HTT' x ($length / 9) . 'x' x ($length % 9));
        is read_response($socket, \$rest)->{status}, 401, "$path: a POST of $length bytes that is refused";
        raw_send($socket, "GET /open/env HTTP/1.1\r\nHost: localhost\r\n\r\n");
        is eval { read_response($socket, \$rest)->{status} } // $@, 200, '... and the next request of that connection';
    }
    raw_send($socket, "POST $path HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        . "GET /open/env HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is read_response($socket, \$rest)->{status}, 401, '... in chunks';
    is eval { read_response($socket, \$rest)->{status} } // $@, 200, '... and what was sent along';
    ($socket, $rest) = (connection(), '');
    raw_send($socket, "POST $path HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
    is read_response($socket, \$rest)->{status}, 401, '... nobody is asked to send what is refused';
}
{
    my ($socket, $rest) = (connection(), '');
    for my $i (1 .. 3) {
        my $body = "body $i";
        raw_send($socket, "POST /private/echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic $yes\r\nContent-Length: 6\r\n\r\n$body");
        is read_response($socket, \$rest)->{body}, $body, 'a POST that is let in has its body';
        raw_send($socket, "POST /private/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n$body");
        is read_response($socket, \$rest)->{status}, 401, '... and the next one without a password has none of it';
    }
}
# A client that leaves while it is asked who it is, or while it is refused.
for my $sent ("POST /private/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\nsome",
    "POST /private/echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic $yes\r\nContent-Length: 900000\r\n\r\nsome") {
    for (1 .. 20) {
        my $socket = connection();
        raw_send($socket, $sent);
        close $socket;
    }
    is status('/private/env', @bob), 200, 'clients that leave: the next one is answered';
}

# ---- an application that talks nonsense

for my $path (qw(/each/ok /each/random)) {
    is status($path), 503, "$path: no answer, and nobody passes";
}

# ---- HTTP/2

SKIP: {
    skip 'no HTTP/2 here', 1 unless have_http2();
    my @curl = ('--http2-prior-knowledge', '-o', '/dev/null', '-w', '%{http_code} ');
    is curl(@curl, "$base/private/env"), '401 ', 'HTTP/2: no password';
    is curl(@curl, @bob, "$base/private/env"), '200 ', '... the right one';
    # The stream may be closed before curl has sent it all: then that is its error, whoever refuses.
    like curl(@curl, '-d', 'x' x 100_000, "$base/private/echo"), qr/^(?:401|000) $/, '... a POST that is refused';
    is curl('--http2-prior-knowledge', @bob, '-d', 'x' x 100_000, "$base/private/echo"), 'x' x 100_000, '... and one that is not';
    my $said = join '', `nghttp -ns @{[map { "$base/private/env?$_ $base/shut/x?$_" } 1 .. 20]} 2>&1`;
    my @codes = $said =~ m{^\s*\d+\s+\S+\s+\S+\s+\S+\s+(\d{3})\s}mg;
    is "@codes", join(' ', (401) x 40), '... forty at once' or diag $said;
}
ok $httpd->stop, 'httpd stops';
done_testing;
