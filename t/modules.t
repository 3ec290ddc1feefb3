# SPDX-License-Identifier: Apache-2.0
#
# A door among other modules: mod_cgid's variables are the measure for ours;
# mod_rewrite, mod_headers and mod_ssl stand in front.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET POST);
use DoorTest;

plan tests => 35;

sub variables { return { $_[0] =~ /^(\w+)=(.*)$/mg } }

# ---- the same request to a program behind mod_cgid and to a door

# A program's own, or its shell's: a request does not have these.
my %process = map { $_ => 1 } qw(PWD SHLVL _ PATH LD_LIBRARY_PATH LANG TZ);
# File names, of which a door has none; and what differs from one request to the next.
my %file = map { $_ => 1 } qw(SCRIPT_FILENAME PATH_TRANSLATED CONTEXT_PREFIX
    CONTEXT_DOCUMENT_ROOT REMOTE_PORT);

sub differences {
    my ($cgi, $door) = map { variables($_) } @_;
    s{/(?:script|door-by-script)(?=/|$)}{/APPLICATION} for values %$cgi, values %$door;
    s{\s+$}{} for values %$cgi, values %$door; # SERVER_SIGNATURE has a line's end
    delete @$_{ keys %process, keys %file } for $cgi, $door;
    my %all = (%$cgi, %$door);
    return [
        map { "$_: " . ($cgi->{$_} // 'none') . ' / ' . ($door->{$_} // 'none') }
        grep { ($cgi->{$_} // "\0") ne ($door->{$_} // "\0") } sort keys %all
    ];
}

my $auth = 'Basic YW5uYTpzZWNyZXQ=';
my %requests = (
    'a plain one'      => ['GET', '/env'],
    'a query'          => ['GET', '/env/a%20b/c?d=e%20f&g'],
    'an empty query'   => ['GET', '/env?'],
    'headers'          => ['GET', '/env', 'Accept: text/plain', 'X-Speed: fast', 'Cookie: a=b; c=d',
        'X-Two: 1', 'X-Two: 2', 'User-Agent: t', 'X-With.Dot: x', 'Proxy: evil'],
    'a body'           => ['POST', '/env', 'Content-Type: text/plain', 'Content-Length: 4'],
    'a chunked body'   => ['POST', '/env', 'Content-Type: text/plain', 'Transfer-Encoding: chunked'],
    'HTTP/1.0'         => ['GET', '/env', 'HTTP/1.0'],
    'a signature'      => ['GET', '/env/signed', 'X-Signed: 1'],
    'no signature'     => ['GET', '/env', 'X-Signed: 1'],
    'another Host'     => ['GET', '/env', 'Host: else.example:81'],
);
for my $what (sort keys %requests) {
    my ($method, $path, @headers) = @{ $requests{$what} };
    my $version = 'HTTP/1.1';
    @headers = grep { !/^HTTP/ || ($version = $_, 0)[1] } @headers;
    push @headers, 'Host: localhost' unless grep { /^Host/ } @headers;
    my $body = grep({ /^Transfer/ } @headers) ? "4\r\nbody\r\n0\r\n\r\n"
        : $method eq 'POST' ? 'body' : '';
    my @answers = map {
        parse_response(raw_request(join("\r\n", "$method $_$path $version", @headers,
            "Authorization: $auth", 'Connection: close', '', $body)))
    } '/script', '/door-by-script';
    is_deeply [map { $_->{status} } @answers], [200, 200], "$what: both answer";
    # mod_cgid never says how long a chunked body is; RFC 3875 wants it said.
    my @known = $what eq 'a chunked body' ? ('CONTENT_LENGTH: none / 4') : ();
    is_deeply differences(map { $_->{body} } @answers), \@known, '... and were told the same';
}

like GET('/door-by-script/env/signed', Authorization => $auth)->content,
    qr{^SERVER_SIGNATURE=<address>Apache.*</address>}m, 'ServerSignature On is told';

# ---- mod_rewrite

my $env = variables(GET('/old/env/x?a=1')->content);
is $env->{PATH_INFO}, '/env/x', 'RewriteRule with PT: PATH_INFO';
is $env->{SCRIPT_NAME}, '/kitchen', '... SCRIPT_NAME';
is $env->{QUERY_STRING}, 'from=old&a=1', '... QUERY_STRING';
is $env->{REQUEST_URI}, '/old/env/x?a=1', '... REQUEST_URI is what the client asked for';
is GET('/moved/env', redirect_ok => 0)->code, 302, 'with R: httpd answers itself';
is variables(GET('/with-rule/env')->content)->{DOOR_RULE}, 'env', 'with E: a variable';

# ---- mod_headers

my $answer = GET '/with-rule/env', 'X-Secret' => 'secret';
$env = variables($answer->content);
is $env->{HTTP_X_ADDED}, 'by httpd', 'RequestHeader set';
ok !exists $env->{HTTP_X_SECRET}, 'RequestHeader unset';
is $answer->header('X-Answered-By'), 'door', 'Header set';
is GET('/with-rule/nowhere')->header('X-Always'), 'yes', 'Header always, also with an error';

# ---- mod_ssl

SKIP: {
    skip 'no mod_ssl', 4 unless defined port('tls');
    $env = variables(curl('-k', 'https://127.0.0.1:' . port('tls') . '/kitchen/env'));
    is $env->{HTTPS}, 'on', 'mod_ssl: HTTPS';
    is $env->{REQUEST_SCHEME}, 'https', '... REQUEST_SCHEME';
    like $env->{SSL_PROTOCOL}, qr/^TLSv1/, '... SSLOptions +StdEnvVars';
    is $env->{SSL_SERVER_S_DN_CN}, 'localhost', '... the certificate\'s';
}
