# SPDX-License-Identifier: Apache-2.0
#
# Php.pm: PHP as Debian has it: the program, its opcode cache, eight processes, for each the
# same pages: one that only says something, and one with a row of PostgreSQL's, over a
# connection that the process keeps.
package Rows::Php;

use strict;
use warnings FATAL => 'all';

use Goals;
use Peers;
use Works;

my $greeting = "Well, hello to you too!\n";
my $php = '/usr/bin/php-cgi';
my $pages = 'FilesMatch "\.php$"';
my @works = qw(php php-db);

add_work(
    name => 'php', title => '/page.php: 24 bytes from PHP, 8 processes', path => '/page.php',
    clients => [1, 8, 32], answer => $greeting, limit => 'mod_fcgid-php',
    files => {'page.php' => "<?php echo \"Well, hello to you too!\\n\";\n"},
    about => 'There is no limit: the shares are those of mod_fcgid.',
);
add_work(
    name => 'php-db', title => '/account.php: a page with one row from PostgreSQL, by PHP, 8 processes',
    path => '/account.php?aid=@N@', n => 123456, check_n => 123456, needs => 'database',
    clients => [1, 8, 32], limit => 'mod_fcgid-php',
    answer => "<!DOCTYPE html>\n<title>Account 123456</title>\n<p>Branch 2, balance 0\n",
    files => {'account.php' => <<'PHP'},
<?php
$database = pg_pconnect('');
$aid = (int)($_GET['aid'] ?? 0);
$found = pg_query_params($database, 'SELECT bid, abalance FROM pgbench_accounts WHERE aid = $1', [$aid]);
[$branch, $balance] = pg_fetch_row($found);
echo "<!DOCTYPE html>\n<title>Account $aid</title>\n<p>Branch $branch, balance $balance\n";
PHP
    about => 'There is no limit: the shares are those of mod_fcgid.',
);

sub door_php {
    my ($how, $name, $label) = @_;
    return {
        name => $name, label => $label, role => 'ours', works => \@works, source => [],
        conf => door_fcgi_conf($how, $php, $pages),
    };
}

add_peers(
    door_php('--processes 8', 'door_fcgi-php', 'mod_door, door_fcgi, php-cgi'),
    door_php('--children 8', 'door_fcgi-php-children',
        'mod_door, door_fcgi, php-cgi with children'),
    {
        name => 'mod_fcgid-php', label => 'mod_fcgid, php-cgi', works => \@works, source => [],
        modules => ['fcgid'], warm_up => 1, conf => fcgid_conf(8) . <<"CONF",
FcgidInitialEnv PHP_FCGI_MAX_REQUESTS 0
FcgidWrapper $php .php
<$pages>
    SetHandler fcgid-script
    Options +ExecCGI
</FilesMatch>
CONF
    },
    {
        name => 'proxy_fcgi-php', label => 'mod_proxy_fcgi, php-fpm, no reuse',
        works => \@works, source => [], modules => ['proxy', 'proxy_fcgi'],
        program => ['php_fpm', '@DIR@/socket', 8], conf => <<"CONF",
<$pages>
    SetHandler "proxy:unix:\@DIR\@/socket|fcgi://localhost"
</FilesMatch>
CONF
    },
);

add_goal(
    works => \@works, of => 'door_fcgi-php', says => "requests/s of door_fcgi, of $_", figure => 'rate',
    against => $_, least => 1,
) for qw(mod_fcgid-php proxy_fcgi-php);

1;
