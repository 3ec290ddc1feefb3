# SPDX-License-Identifier: Apache-2.0
#
# Where DoorHandler may stand, what it covers, and what SCRIPT_NAME is there.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use DoorTest;

plan tests => 26;

my $docs = Apache::Test::vars('documentroot');

sub make {
    my ($path, $text) = @_;
    my $at = $docs;
    my @parts = split m{/}, $path;
    pop @parts;
    for (@parts) {
        $at .= "/$_";
        mkdir $at;
    }
    open my $file, '>', "$docs/$path" or die "$path: $!";
    print $file $text;
    close $file or die;
}

sub variables { return { $_[0] =~ /^([^=\n]+)=(.*)$/mg } }

make('dir/index.html', 'a file');
make('dir/sub/page', 'a file');
make('files/env.door', 'a file');
make('files/other.txt', 'another file');

# ---- <Directory>

my $answer = GET '/dir/env';
is $answer->code, 200, '<Directory>: a path in it';
my $env = variables($answer->content);
is $env->{SCRIPT_NAME}, '/dir', '... SCRIPT_NAME is where it is';
is $env->{PATH_INFO}, '/env', '... PATH_INFO the rest';
is GET('/dir/sub/page')->code, 404, '... its files too: the application knows none';
is GET('/files/other.txt')->content, 'another file', '... not what is beside it';

# ---- <Files>

$answer = GET '/files/env.door/env';
is $answer->code, 200, '<Files>: what comes after the file';
$env = variables($answer->content);
is $env->{SCRIPT_NAME}, '/files/env.door', '... SCRIPT_NAME is the file';
is $env->{PATH_INFO}, '/env', '... PATH_INFO the rest';
is GET('/files/none.door')->code, 404, '... not for others';

# ---- <Location>s in one another, patterns

is GET('/hello/none/x')->code, 404, 'DoorHandler none';
is GET('/overridden/status?code=404')->content, "httpd's own page", 'DoorErrorOverride';
is GET('/overridden/inner/status?code=404')->content, "httpd's own page", '... holds in an inner section';
like GET('/match/abc')->content, qr/^Well/, '<LocationMatch>';
is GET('/match/')->code, 404, '... only what matches';

# ---- virtual hosts

sub on {
    my ($host, $path) = @_;
    my $request = "GET $path HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n";
    return parse_response(raw_request($request, 'doors'));
}

like on('one.example', '/')->{body}, qr/^Well/, '<VirtualHost> one: the whole host';
like on('one.example', '/any/where')->{body}, qr/^Well/, '... everywhere';
$answer = on('two.example', '/env');
is $answer->{status}, 200, 'two: DoorHandler outside of a <Location>';
$env = variables($answer->{body});
is $env->{SCRIPT_NAME}, '', '... SCRIPT_NAME is empty';
is $env->{PATH_INFO}, '/env', '... PATH_INFO is all';
is $env->{SERVER_NAME}, 'two.example', '... SERVER_NAME is the host';
is $env->{SERVER_PORT}, port('doors'), '... SERVER_PORT its port';
like on('two.example', '/other')->{body}, qr/^Well/, '... a <Location> in it overrides';
like on('two.example', '/hello')->{body}, qr{^Well}, "... the main server's hold here, as ever";
is GET('/any/where')->code, 404, '... nor theirs here';

# ---- what comes before the door

is GET('/admin/x')->code, 403, 'Require is asked first';
is GET('/index.html')->code, 200, 'files are served as ever';
