# SPDX-License-Identifier: Apache-2.0
#
# Php.pm: PHP as Debian has it: the program, its opcode cache, eight processes,
# for each the same page.
package Rows::Php;

use strict;
use warnings FATAL => 'all';

use Peers;
use Works;

my $greeting = "Well, hello to you too!\n";
my $php = '/usr/bin/php-cgi';
my $pages = 'FilesMatch "\.php$"';

add_work(
    name => 'php', title => '/page.php: 24 bytes from PHP, 8 processes', path => '/page.php',
    clients => [1, 8, 32], answer => $greeting, limit => 'mod_fcgid-php',
    files => {'page.php' => "<?php echo \"Well, hello to you too!\\n\";\n"},
    about => 'There is no limit: the shares are those of mod_fcgid.',
);

sub door_php {
    my ($how, $name, $label) = @_;
    return {
        name => $name, label => $label, role => 'ours', works => ['php'], source => [],
        conf => door_fcgi_conf($how, $php, $pages),
    };
}

add_peers(
    door_php('--processes 8', 'door_fcgi-php', 'mod_door, door_fcgi, php-cgi'),
    door_php('--children 8', 'door_fcgi-php-children',
        'mod_door, door_fcgi, php-cgi with children'),
    {
        name => 'mod_fcgid-php', label => 'mod_fcgid, php-cgi', works => ['php'], source => [],
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
        name => 'proxy_fcgi-php', label => 'mod_proxy_fcgi, php-cgi with children, no reuse',
        works => ['php'], source => [], modules => ['proxy', 'proxy_fcgi'],
        program => ['php_pool', '@DIR@/socket', 8], conf => <<"CONF",
ProxyFCGIBackendType GENERIC
<$pages>
    SetHandler "proxy:unix:\@DIR\@/socket|fcgi://localhost"
</FilesMatch>
CONF
    },
);

1;
