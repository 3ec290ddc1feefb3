# SPDX-License-Identifier: Apache-2.0
#
# Peers.pm: who is compared, and how each is configured by somebody who wants it
# to win.  What all of them share, httpd's own settings, is in Servers.pm.
#
#   name, label    in tables and pictures; in the first table
#   works          what it takes part in; concurrency: only with so many clients
#   modules        of httpd's, and of others, that it needs
#   conf           the part of httpd.conf that is its own
#   program        what runs beside httpd, with its arguments
#   bare           instead of httpd: clients talk to this program
#   warm_up        it is asked for a while before it is measured
#   source         its application, to count its lines
#
# The variations (epoll, no reuse, few processes) take part where they differ: a run is long enough.
# Replaced in conf and arguments: @NAME@ for each of Servers.pm's values.
package Peers;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Setup;

our @EXPORT = qw(peers_of all_peers path_of source_lines);

my @requests = qw(tiny 64k 1m post sleep cpu);
my @large = qw(big upload slow);

# A libfcgi thread is held by a kept connection, busy or not: as many as httpd has workers.
my $fcgi_threads = 1152;

# Both proxies' buffer is 8 KiB; for bodies they get what the others have.
my %has_body = map { $_ => 1 } qw(64k 1m post big file upload slow);

# mod_fcgid starts a process per second once it has started ten, if its scores are left alone.
my $fcgid = <<'CONF';
FcgidIPCDir @DIR@/fcgid
FcgidProcessTableFile @DIR@/fcgid.shm
FcgidMaxRequestLen 2147483647
FcgidMaxProcesses @LIMIT@
FcgidMaxProcessesPerClass @LIMIT@
FcgidMinProcessesPerClass 1
FcgidSpawnScoreUpLimit 100000
@FCGID_ENV@
Alias / @PROGRAMS@/@PROGRAM@/
<Directory @PROGRAMS@>
    SetHandler fcgid-script
    Options +ExecCGI
</Directory>
CONF

sub fcgid {
    my ($limit, %more) = @_;
    my $program = delete $more{program} // 'fcgi';
    my $conf = $fcgid =~ s/\@LIMIT\@/$limit/gr =~ s/\@PROGRAM\@/$program/gr;
    return {
        name => "mod_fcgid-$limit", label => "mod_fcgid, libfcgi, $limit processes",
        modules => ['fcgid', 'alias'], source => ["$program.c", 'fcgi_threads.h'], warm_up => 1,
        %more,
        conf => $conf . ($more{conf} // ''),
    };
}

my $door = <<'CONF';
LoadModule door_module "@MOD_DOOR@"
DoorApp bench @PROGRAMS@/@PROGRAM@@DOOR_ENV@
<Location />
    DoorHandler bench
</Location>
CONF

my $door_fcgi = <<'CONF';
LoadModule door_module "@MOD_DOOR@"
DoorApp bench "@GATEWAYS@/door_fcgi @HOW@ @PROGRAM@"@DOOR_ENV@
CONF

sub door_fcgi {
    my ($count, %more) = @_;
    return {
        name => "door_fcgi-$count", label => "mod_door, door_fcgi, libfcgi, $count processes",
        source => ['fcgi.c', 'fcgi_threads.h'],
        conf => "$door_fcgi<Location />\n    DoorHandler bench\n</Location>\n"
            =~ s/\@HOW\@/--processes $count/r =~ s{\@PROGRAM\@}{\@PROGRAMS\@/fcgi}r,
        %more,
    };
}

# PHP as Debian has it: the program, its opcode cache, eight processes, for each the same page.
my $php = '/usr/bin/php-cgi';

sub door_php {
    my ($how, $name, $label) = @_;
    return {
        name => $name, label => $label, works => ['php'], source => [],
        conf => "$door_fcgi<FilesMatch \"\\.php\$\">\n    DoorHandler bench\n</FilesMatch>\n"
            =~ s/\@HOW\@/$how/r =~ s/\@PROGRAM\@/$php/r,
    };
}

my $fcgid_php = $fcgid =~ s/\@LIMIT\@/8/gr =~ s/^Alias.*//msr . <<"CONF";
FcgidInitialEnv PHP_FCGI_MAX_REQUESTS 0
FcgidWrapper $php .php
<FilesMatch "\\.php\$">
    SetHandler fcgid-script
    Options +ExecCGI
</FilesMatch>
CONF

my $http_tcp = 'ProxyPass / http://127.0.0.1:@PORT@/ enablereuse=on' . "\n\@BUFFER\@";
my $http_unix = 'ProxyPass / unix:@DIR@/socket|http://localhost/ enablereuse=on' . "\n\@BUFFER\@";
my @http = (modules => ['proxy', 'proxy_http'], source => ['http.c', 'http_listen.h']);

# An event is passed on at once, anything else when it is ready.
my $fcgi_reuse = <<'CONF';
ProxyPass /events- unix:@DIR@/socket|fcgi://localhost/events- enablereuse=on flushpackets=on
ProxyPass / unix:@DIR@/socket|fcgi://localhost/ enablereuse=on
@BUFFER@
CONF
my @fcgi = (modules => ['proxy', 'proxy_fcgi'], source => ['fcgi.c', 'fcgi_threads.h']);

my $cgid = <<'CONF';
ScriptSock @DIR@/cgid
ScriptAlias / @PROGRAMS@/cgi/
CONF

my @peers = (
    {
        name => 'in-process', label => 'handler in httpd (the limit)',
        works => [@requests, @large, 'events', 'file'], source => ['mod_inprocess.c'],
        conf => <<'CONF',
LoadModule inprocess_module "@PROGRAMS@/mod_inprocess.so"
<Location />
    SetHandler inprocess
</Location>
CONF
    },
    {
        name => 'mod_door', label => 'mod_door, door_app', source => ['door.c'],
        works => [@requests, @large, 'events', 'file'], conf => $door =~ s/\@PROGRAM\@/door/r,
    },
    {
        name => 'mod_door', label => 'mod_door, a connection per thread', source => ['door_db.c'],
        works => ['db'], conf => $door =~ s/\@PROGRAM\@/door_db/r,
    },
    {
        name => 'mod_door-raw', label => 'mod_door, bare door', works => ['tiny'],
        source => ['raw.c'],
        conf => $door =~ s/\@PROGRAM\@/raw/r =~ s/(DoorHandler bench\n)/$1    DoorProtocol raw\n/r,
    },
    {
        name => 'static', label => 'file, httpd\'s own handler',
        works => ['tiny', '64k', '1m', 'file'], source => [], conf => '',
    },
    {
        name => 'proxy_http-tcp', label => 'mod_proxy_http, libmicrohttpd threads, TCP', @http,
        works => [@requests, @large, 'events', 'file'],
        program => ['http', 'threads', '@PORT@'], conf => $http_tcp,
    },
    {
        name => 'proxy_http-tcp-epoll', label => 'mod_proxy_http, libmicrohttpd epoll, TCP', @http,
        works => ['tiny', '64k', '1m', 'cpu', 'big'],
        program => ['http', 'epoll', '@PORT@'], conf => $http_tcp,
    },
    {
        name => 'proxy_http-unix', label => 'mod_proxy_http, libmicrohttpd threads, Unix socket',
        @http, works => [@requests, @large, 'events', 'file'],
        program => ['http', 'threads', '@DIR@/socket'], conf => $http_unix,
    },
    {
        name => 'proxy_http-unix-epoll',
        label => 'mod_proxy_http, libmicrohttpd epoll, Unix socket', @http,
        works => ['tiny'], program => ['http', 'epoll', '@DIR@/socket'], conf => $http_unix,
    },
    {
        name => 'proxy_fcgi', label => 'mod_proxy_fcgi, libfcgi threads, reuse', @fcgi,
        works => [@requests, @large, 'events'],
        program => ['fcgi', '@DIR@/socket', $fcgi_threads], conf => $fcgi_reuse,
    },
    {
        name => 'proxy_fcgi', label => 'mod_proxy_fcgi, libfcgi threads, a connection per thread',
        @fcgi, source => ['fcgi_db.c', 'fcgi_threads.h'], works => ['db'],
        program => ['fcgi_db', '@DIR@/socket', $fcgi_threads], conf => $fcgi_reuse,
    },
    {
        name => 'proxy_fcgi-new', label => 'mod_proxy_fcgi, libfcgi threads, no reuse', @fcgi,
        works => ['tiny', 'sleep'], program => ['fcgi', '@DIR@/socket', 512],
        conf => $fcgi_reuse =~ s/ enablereuse=on//gr,
    },
    door_fcgi(8, works => ['tiny', 'sleep', 'cpu']),
    door_fcgi(32, works => [@requests, @large]),
    door_php('--processes 8', 'door_fcgi-php', 'mod_door, door_fcgi, php-cgi'),
    door_php('--children 8', 'door_fcgi-php-children', 'mod_door, door_fcgi, php-cgi with children'),
    {
        name => 'mod_fcgid-php', label => 'mod_fcgid, php-cgi', works => ['php'], source => [],
        modules => ['fcgid'], warm_up => 1, conf => $fcgid_php,
    },
    {
        name => 'proxy_fcgi-php', label => 'mod_proxy_fcgi, php-cgi with children, no reuse',
        works => ['php'], source => [], modules => ['proxy', 'proxy_fcgi'],
        program => ['php_pool', '@DIR@/socket', 8], conf => <<'CONF',
ProxyFCGIBackendType GENERIC
<FilesMatch "\.php$">
    SetHandler "proxy:unix:@DIR@/socket|fcgi://localhost"
</FilesMatch>
CONF
    },
    fcgid(8, works => ['tiny', 'sleep', 'cpu']),
    fcgid(32, works => [@requests, @large]),
    fcgid(8, works => ['db'], program => 'fcgi_db', label => 'mod_fcgid, 8 processes'),
    fcgid(32, works => ['db'], program => 'fcgi_db', label => 'mod_fcgid, 32 processes'),
    # A stream holds a process; and what comes is passed on only if nothing is to be collected.
    fcgid(128, works => ['events'], conf => "FcgidOutputBufferSize 0\n"),
    fcgid(128, works => ['events'], name => 'mod_fcgid-buffer',
        label => 'mod_fcgid, 128 processes, its buffer as it is'),
    {
        name => 'mod_cgid', label => 'mod_cgid', modules => ['cgid', 'alias'], source => ['cgi.c'],
        works => ['tiny', 'events'], concurrency => [1, 32, 100], conf => $cgid,
        forgets_switches => 1,
    },
    {
        name => 'mhd-door', label => 'libmicrohttpd, a door behind it, no httpd',
        works => ['tiny'], source => ['http_door.c', 'http_listen.h', 'raw.c'],
        bare => ['http_door', '@PORT@'], program => ['raw'],
    },
);

my %wanted = map { $_ => 1 } split /,/, $ENV{PEERS} // '';
@peers = grep { $wanted{$_->{name}} } @peers if %wanted;

sub all_peers { return @peers }

sub peers_of {
    my ($work) = @_;
    return map { +{%$_, buffer => $has_body{$work} ? "ProxyIOBufferSize 65536\n" : ''} }
        grep { grep { $_ eq $work } @{$_->{works}} } @peers;
}

# What is asked for; n, where the path says how much.
my %path = (
    big => "/big-$large_mib", slow => "/big-$large_mib", upload => '/post',
    events => "/events-$events_each", php => '/page.php',
);

sub path_of {
    my ($work, $n) = @_;
    my $path = $path{$work} // "/$work";
    return defined $n ? $path =~ s/-\d+$/-$n/r : $path;
}

# Lines that are neither empty nor comments.
sub source_lines {
    my ($peer) = @_;
    my $lines = 0;
    for my $name (@{$peer->{source}}) {
        my $text = slurp("$bench/peers/$name") =~ s{/\*.*?\*/}{}gsr;
        $lines += () = $text =~ /^.*\S.*$/mg;
    }
    return $lines;
}

1;
