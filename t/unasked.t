# SPDX-License-Identifier: Apache-2.0
#
# Guards that keep nobody out are named when httpd starts.  No others are.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use DoorTest;

plan skip_all => 'the MPM has no part in it' if mpm() ne 'event';

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $file = "AuthType Basic\nAuthName here\nAuthBasicProvider file\nAuthUserFile $dir/users\n";
my $app = "DoorApp guard $dir/bin/hello\n";

# The lines that httpd -t warns of.
sub warned {
    my ($text) = @_;
    $httpd->configure($app . $text);
    my $said = $httpd->check;
    like $said, qr/Syntax OK/, 'httpd takes it' or diag $text;
    open my $conf, '<', $httpd->dir('httpd.conf') or die $!;
    chomp(my @lines = <$conf>);
    return [map { $lines[$_ - 1] } $said =~ /DOOR0209\S* \S+:(\d+):/g];
}

sub at { my ($path, $text) = @_; return "<Location $path>\n$text</Location>\n" }

my $user = "Require valid-user\n";
my $open = "Require all granted\n";
my $authz = "DoorAuthorizer guard\n";
my $authn = "DoorAuthenticator guard\n";
my $checker = "DoorAccessChecker guard\n";
my $any = "Satisfy Any\n";
# As Debian's own configuration has it.
my $shut = "<Directory />\nRequire all denied\n</Directory>\n<Directory /var/www/>\nRequire all granted\n</Directory>\n<FilesMatch \"^\\.ht\">\nRequire all denied\n</FilesMatch>\n";

my %silent = (
    'a user is needed'           => at('/a', $file . $authn . $authz . $user),
    'an outer one'               => at('/', $file . $user) . at('/a', $authz),
    'an inner one'               => at('/a', $file . $authz . $open) . at('/a/b', $user),
    'in a section for a pattern' => at('/a', $file . $authz) . "<LocationMatch ^/a>\n$user</LocationMatch>\n",
    'in <RequireAll>'            => at('/a', "$file$authz<RequireAll>\n$open$user</RequireAll>\n"),
    'in <If>'                    => at('/a', "$file$authz$open<If \"true\">\n$user</If>\n"),
    'an own kind'                => at('/a', $file . $authz . "Require door guard\n"),
    'an expression'              => at('/a', $file . $authz . "Require expr %{REMOTE_USER} != 'x'\n"),
    '.htaccess'                  => "<Directory $dir/htdocs>\nAllowOverride AuthConfig\n$file$authz</Directory>\n",
    'merged'                     => "<Directory $dir>\n$user</Directory>\n" . at('/a', "$file${authz}AuthMerging And\n$open"),
    'of a virtual host'          => "<VirtualHost *:1>
" . at('/', $file . $authz) . at('/a', $user) . "</VirtualHost>
",
    'a virtual host inherits'    => at('/', $file . $authz) . "<VirtualHost *:1>
" . at('/a', $user) . "</VirtualHost>
",
    'a checker'                  => at('/a', $checker) . at('/b', $checker . $open),
    'a checker or a password'    => at('/a', $file . $checker . $any . $user),
    'a checker or an address'    => at('/a', $checker . $any . "Require ip 10.0.0.0/8\n"),
    'a checker or nothing'       => at('/a', $checker . $any . "Require all denied\n"),
    'a checker and Satisfy All'  => at('/a', $checker . "Satisfy All\n" . $open),
    'an address or a password'   => at('/a', "$file${authn}Order deny,allow\nDeny from all\n$any$user"),
    'encryption or a password'   => at('/a', "$file${authn}SSLRequireSSL\n$any$user"),
    'none'                       => at('/a', "DoorAuthorizer none\n$open"),
    'an alias'                   => "<AuthnProviderAlias door other>\n$authn</AuthnProviderAlias>\n",
);
is_deeply warned($shut . $silent{$_}), [], "silent: $_" for sort keys %silent;
is_deeply warned("<Directory />\nRequire all denied\n</Directory>\n" . at('/a', $checker . $any)), [],
    'silent: a checker opens what is denied to all further out';

my @named = (
    ['Require all granted', at('/a', $file . $authn . $authz . $open), $authn, $authz],
    ['... beside others', at('/a', $file . $authz . $user . $open), $authz],
    ['... before <RequireAll>', at('/a', "$file$open<RequireAll>\n$user</RequireAll>\n$authz"), $authz],
    ['no Require', at('/a', $file . $authz), $authz],
    ['none that needs a user', at('/a', $file . $authz . "Require ip 10.0.0.0/8\n"), $authz],
    ['one elsewhere', at('/a', $file . $authz) . at('/b', $user), $authz],
    ['one in another virtual host', "<VirtualHost *:1>\n" . at('/a', $file . $authz) . "</VirtualHost>\n"
        . "<VirtualHost *:2>\n" . at('/a', $user) . "</VirtualHost>\n", $authz],
    ['Satisfy Any', at('/a', $file . $authn . $any . $user), $authn],
    ['Satisfy Any: a checker', at('/a', $checker . $any), $checker],
    ['... with all granted', at('/a', $checker . $any . $open), $checker],
);
for (@named) {
    my ($what, $text, @lines) = @$_;
    chomp @lines;
    is_deeply warned($shut . $text), \@lines, "named: $what";
}

$httpd->configure($app . at('/a', $authz));
ok $httpd->start, 'httpd starts';
ok $httpd->logs(qr/resuming normal operations/), '... all of it';
is scalar(() = $httpd->log_text =~ /DOOR0209/g), 1, '... and says it once' or diag $httpd->log_text;
ok $httpd->stop, 'httpd stops';
done_testing;
