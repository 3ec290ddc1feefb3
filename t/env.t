# SPDX-License-Identifier: Apache-2.0
#
# The request as the application sees it: CGI/1.1 variables (RFC 3875) with the
# values that httpd's own CGI would give them.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use DoorTest;

plan tests => 70 + 3;

sub variables {
    my ($text) = @_;
    return { $text =~ /^([^=\n]+)=(.*)$/mg };
}

# Byte by byte: a client library would tidy the target up.
sub raw_env {
    my ($target, @headers) = @_;
    my $request = join "\r\n", "GET $target HTTP/1.1", 'Host: localhost', 'Connection: close',
        @headers, '', '';
    my $response = parse_response(raw_request($request));
    return variables($response->{body}) if $response->{status} == 200;
    return { STATUS => $response->{status} };
}

# ---- everything that is always there

my $port = port();
my $text = parse_response(raw_request("GET /kitchen/env?a=1&b=%20 HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\nAccept: text/x-test\r\nX-Own-Header: own value\r\n\r\n"))->{body};
my $env = variables($text);
my %want = (
    GATEWAY_INTERFACE => 'CGI/1.1',
    REQUEST_METHOD    => 'GET',
    REQUEST_URI       => '/kitchen/env?a=1&b=%20',
    REQUEST_SCHEME    => 'http',
    SCRIPT_NAME       => '/kitchen',
    PATH_INFO         => '/env',
    QUERY_STRING      => 'a=1&b=%20',
    REMOTE_ADDR       => '127.0.0.1',
    SERVER_ADDR       => '127.0.0.1',
    SERVER_NAME       => 'localhost',
    SERVER_PORT       => $port,
    SERVER_PROTOCOL   => 'HTTP/1.1',
    HTTP_HOST         => 'localhost',
    HTTP_ACCEPT       => 'text/x-test',
    HTTP_X_OWN_HEADER => 'own value',
    HTTP_CONNECTION   => 'close',
);
is $env->{$_}, $want{$_}, $_ for sort keys %want;
like $env->{SERVER_SOFTWARE}, qr{^Apache}, 'SERVER_SOFTWARE';
like $env->{REMOTE_PORT}, qr/^\d+$/, 'REMOTE_PORT';
like $env->{DOCUMENT_ROOT}, qr{/htdocs$}, 'DOCUMENT_ROOT';
ok !exists $env->{$_}, "no $_" for qw(CONTENT_LENGTH CONTENT_TYPE REMOTE_USER AUTH_TYPE
    HTTP_AUTHORIZATION HTTP_PROXY HTTP_CONTENT_LENGTH HTTP_CONTENT_TYPE);
my %count;
$count{$_}++ for $text =~ /^([^=\n]+)=/mg;
is_deeply [grep { $count{$_} > 1 } keys %count], [], "each once";

# ---- script name, path, query

is raw_env('/kitchen/env')->{QUERY_STRING}, '', 'without a query QUERY_STRING is empty';
is raw_env('/kitchen/env?')->{REQUEST_URI}, '/kitchen/env?', 'REQUEST_URI keeps a bare ?';
is raw_env('/kitchen/env?a?b')->{QUERY_STRING}, 'a?b', 'a query may hold a ?';
is raw_env('/kitchen/env?%61%2F')->{QUERY_STRING}, '%61%2F', 'a query is not decoded';
my $deep = raw_env('/deep/er/kitchen/env/x/y');
is $deep->{SCRIPT_NAME}, '/deep/er/kitchen', 'SCRIPT_NAME is the whole location';
is $deep->{PATH_INFO}, '/env/x/y', 'PATH_INFO is the rest';

my $encoded = raw_env('/kitchen/%65nv/%61%20b');
is $encoded->{SCRIPT_NAME}, '/kitchen', 'an encoded target: SCRIPT_NAME';
is $encoded->{PATH_INFO}, '/env/a b', '... PATH_INFO is decoded';
is $encoded->{REQUEST_URI}, '/kitchen/%65nv/%61%20b', '... REQUEST_URI is not';
is raw_env('/%6bitchen/env')->{SCRIPT_NAME}, '/kitchen', 'an encoded location is the same one';
is raw_env('/kitchen//env')->{PATH_INFO}, '/env', 'doubled slashes are one';
is raw_env('/kitchen/x/../env')->{PATH_INFO}, '/env', 'dots are resolved';
is raw_env('/hello/../kitchen/./env')->{SCRIPT_NAME}, '/kitchen',
    '... before the location is sought';
is raw_env('/kitchen/env/%2e%2e/env')->{PATH_INFO}, '/env', '... encoded ones too';
is raw_env('/kitchen/env/%e2%82%ac')->{PATH_INFO}, "/env/\xe2\x82\xac", 'bytes beyond ASCII arrive';
is raw_env("http://localhost:$port/kitchen/env")->{PATH_INFO}, '/env', 'an absolute target works';

# Rules on decoded paths cannot be slipped past.
is raw_env('/kitchen/env/secret')->{STATUS}, 403, 'a forbidden path is forbidden';
is raw_env('/kitchen/env/%73ecret')->{STATUS}, 403, '... encoded';
is raw_env('/kitchen/env/x/../secret')->{STATUS}, 403, '... on a detour';
is raw_env('/kitchen/env//secret')->{STATUS}, 403, '... with slashes';

# ---- the body's variables

my $post = POST '/kitchen/env', content => 'abc', 'Content-Type' => 'text/x-sent';
my $sent = variables($post->content);
is $sent->{REQUEST_METHOD}, 'POST', 'POST';
is $sent->{CONTENT_LENGTH}, 3, 'CONTENT_LENGTH';
is $sent->{CONTENT_TYPE}, 'text/x-sent', 'CONTENT_TYPE';

# ---- headers

is raw_env('/kitchen/env', 'X-Two: a', 'X-Two: b')->{HTTP_X_TWO}, 'a, b',
    'repeated headers are joined';
is raw_env('/kitchen/env', 'X-Empty:')->{HTTP_X_EMPTY}, '', 'an empty header is there';
is raw_env('/kitchen/env', 'Proxy: evil:1')->{HTTP_PROXY}, undef, 'Proxy never becomes HTTP_PROXY';
is raw_env('/kitchen/env', 'proxy: evil:1')->{HTTP_PROXY}, undef, '... in small letters';
is raw_env('/kitchen/env', 'X_Y: z')->{HTTP_X_Y}, undef,
    'no variable for a name with an underscore';
my $shadow = raw_env('/kitchen/env', 'X-Y: real', 'X_Y: forged');
is $shadow->{HTTP_X_Y}, 'real', '... so it forges none';

# ---- authorization

my $basic = 'Authorization: Basic ' . 'YW5uYTpzZWNyZXQ=';
is raw_env('/kitchen/env', $basic)->{HTTP_AUTHORIZATION}, undef, 'Authorization stays with httpd';
is raw_env('/with-auth/env', $basic)->{HTTP_AUTHORIZATION}, 'Basic YW5uYTpzZWNyZXQ=',
    '... unless CGIPassAuth is on';
is raw_env('/kitchen/env', 'Proxy-Authorization: Basic eA==')->{HTTP_PROXY_AUTHORIZATION}, undef,
    "a proxy's credentials too";

is raw_env('/with-user/env')->{STATUS}, 401, 'without a password: 401';
my $user = raw_env('/with-user/env', $basic);
is $user->{REMOTE_USER}, 'anna', 'REMOTE_USER';
is $user->{AUTH_TYPE}, 'Basic', 'AUTH_TYPE';
is $user->{HTTP_AUTHORIZATION}, undef, '... and the password is not told';

# ---- other modules

my $set = raw_env('/with-env/env', 'X-Speed: fast');
is $set->{DOOR_COLOUR}, 'green', 'SetEnv';
is $set->{DOOR_EMPTY}, '', '... an empty one';
is $set->{DOOR_SPEED}, 'fast', 'SetEnvIf';
is raw_env('/kitchen/env')->{DOOR_COLOUR}, undef, '... only where it is said';

$set = raw_env('/door-by-script/env', $basic);
is $set->{DOOR_SHAPE_OF_IT}, 'round', 'a name becomes one that a shell can have';
is $set->{_DOORS}, 'yes', '... also at its start';
is $set->{SERVER_SIGNATURE}, '', 'SERVER_SIGNATURE is there';

is raw_env('/kitchen/env', 'X-Client-IP: 192.0.2.7')->{REMOTE_ADDR}, '192.0.2.7',
    "REMOTE_ADDR is the user agent's, after mod_remoteip";

my $old = parse_response(raw_request("GET /kitchen/env HTTP/1.0\r\n\r\n"));
is variables($old->{body})->{SERVER_PROTOCOL}, 'HTTP/1.0', 'HTTP/1.0 is served, and told';
