# SPDX-License-Identifier: Apache-2.0
#
# Peers.pm: who is compared, and how each is configured by somebody who wants it
# to win.  What all of them share, httpd's own settings, is in Servers.pm; further
# peers come from the files in Rows/.
#
#   name, label    in tables and pictures; in the first table
#   role           ours; limit; rival, unless it says otherwise; other, which has other settings or is
#                  far behind; reference, which is no choice for the same task.  Beside neighbours
#                  limit, ours and rivals are measured.
#   works          what it takes part in; concurrency: only with so many clients
#   modules        of httpd's, and of others, that it needs
#   conf           the part of httpd.conf that is its own
#   program        what runs beside httpd, with its arguments; in bench/peers, or an absolute path
#   programs       more of these, a list of lists
#   env            more of its environment
#   bare           instead of httpd: clients talk to this program
#   warm_up        it is asked for a while before it is measured
#   source         its application, to count its lines
#   colour         of its line in the pictures
#
# The others (epoll, no reuse, few processes) take part where they differ: a run is long enough.
# Replaced in conf and arguments: @NAME@ for each of Servers.pm's values.
package Peers;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

use Setup;

our @EXPORT = qw(add_peers peers_of all_peers source_lines fcgid fcgid_conf door_conf
    door_fcgi_conf in_process_conf);

my @requests = qw(tiny 64k 1m post sleep cpu steady);
my @large = qw(big upload slow);

# A libfcgi thread is held by a kept connection, busy or not: as many as httpd has workers.
my $fcgi_threads = 1152;

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

# Mod_fcgid with so many processes of that program; without one a Row says what they run.
sub fcgid_conf {
    my ($limit, $program) = @_;
    my $conf = $fcgid =~ s/\@LIMIT\@/$limit/gr;
    return $program ? $conf =~ s/\@PROGRAM\@/$program/gr : $conf =~ s/^Alias.*//msr;
}

sub fcgid {
    my ($limit, %more) = @_;
    my $program = delete $more{program} // 'fcgi';
    return {
        name => "mod_fcgid-$limit", label => "mod_fcgid, libfcgi, $limit processes",
        modules => ['fcgid', 'alias'], source => ["$program.c", 'fcgi_threads.h'], warm_up => 1,
        %more,
        conf => fcgid_conf($limit, $program) . ($more{conf} // ''),
    };
}

# An application of ours; whatever it is given is in a handler's place.
sub door_conf {
    my ($program, $more) = @_;
    return <<"CONF" . ($more // '') . "</Location>\n";
LoadModule door_module "\@MOD_DOOR\@"
DoorApp bench \@PROGRAMS\@/$program\@DOOR_ENV\@
<Location />
    DoorHandler bench
CONF
}

# A FastCGI program behind our gateway: "--processes 8", and the program's path.  Where it
# answers, its own line or section, may be another one.
sub door_fcgi_conf {
    my ($how, $program, $section) = @_;
    $section //= 'Location /';
    return <<"CONF" . ($section =~ /^(\w+)/ ? "</$1>\n" : '');
LoadModule door_module "\@MOD_DOOR\@"
DoorApp bench "\@GATEWAYS\@/door_fcgi $how $program"\@DOOR_ENV\@
<$section>
    DoorHandler bench
CONF
}

sub door_fcgi {
    my ($count, %more) = @_;
    return {
        name => "door_fcgi-$count", label => "mod_door, door_fcgi, libfcgi, $count processes",
        role => 'ours', source => ['fcgi.c', 'fcgi_threads.h'],
        conf => door_fcgi_conf("--processes $count", '@PROGRAMS@/fcgi'), %more,
    };
}

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

sub in_process_conf {
    my ($handler) = @_;
    return <<"CONF";
LoadModule inprocess_module "\@PROGRAMS\@/mod_inprocess.so"
<Location />
    SetHandler $handler
</Location>
CONF
}

my @peers = (
    {
        name => 'in-process', label => 'handler in httpd (the limit)',
        role => 'limit', works => [@requests, @large, 'events', 'file'],
        source => ['mod_inprocess.c'], conf => in_process_conf('inprocess'),
    },
    {
        name => 'in-process-flush', label => 'handler in httpd, a FLUSH behind it as mod_door has it',
        role => 'reference', works => ['tiny', 'post', 'steady'], source => ['mod_inprocess.c'],
        conf => in_process_conf('inprocess-flush'),
    },
    {
        name => 'mod_door', label => 'mod_door, door_app', role => 'ours', source => ['door.c'],
        works => [@requests, @large, 'events', 'file'], conf => door_conf('door'),
    },
    {
        name => 'mod_door', label => 'mod_door, a connection per thread', role => 'ours',
        source => ['door_db.c'], works => ['db'], conf => door_conf('door_db'),
    },
    {
        name => 'mod_door-raw', label => 'mod_door, bare door', role => 'reference',
        works => ['tiny', 'steady'], source => ['raw.c'],
        conf => door_conf('raw', "    DoorProtocol raw\n"),
    },
    {
        name => 'static', label => 'file, httpd\'s own handler', role => 'reference',
        works => ['tiny', '64k', '1m', 'file'], source => [], conf => '',
    },
    {
        name => 'proxy_http-tcp', label => 'mod_proxy_http, libmicrohttpd threads, TCP', @http,
        works => [@requests, @large, 'events', 'file'],
        program => ['http', 'threads', '@PORT@'], conf => $http_tcp,
    },
    {
        name => 'proxy_http-tcp-epoll', label => 'mod_proxy_http, libmicrohttpd epoll, TCP', @http,
        role => 'other', works => ['tiny', '64k', '1m', 'cpu', 'big'],
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
        role => 'other', works => ['tiny'], program => ['http', 'epoll', '@DIR@/socket'],
        conf => $http_unix,
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
        role => 'other', works => ['tiny', 'sleep'], program => ['fcgi', '@DIR@/socket', 512],
        conf => $fcgi_reuse =~ s/ enablereuse=on//gr,
    },
    door_fcgi(8, role => 'other', works => ['tiny', 'sleep', 'cpu']),
    door_fcgi(32, works => [@requests, @large]),
    fcgid(8, role => 'other', works => ['tiny', 'sleep', 'cpu']),
    fcgid(32, works => [@requests, @large]),
    fcgid(8, works => ['db'], program => 'fcgi_db', label => 'mod_fcgid, 8 processes'),
    fcgid(32, works => ['db'], program => 'fcgi_db', label => 'mod_fcgid, 32 processes'),
    # A stream holds a process; and what comes is passed on only if nothing is to be collected.
    fcgid(128, works => ['events'], conf => "FcgidOutputBufferSize 0\n"),
    fcgid(128, role => 'other', works => ['events'], name => 'mod_fcgid-buffer',
        label => 'mod_fcgid, 128 processes, its buffer as it is'),
    {
        name => 'mod_cgid', label => 'mod_cgid', role => 'other', modules => ['cgid', 'alias'],
        source => ['cgi.c'], works => ['tiny', 'events'], concurrency => [1, 32, 100], conf => $cgid,
        forgets_switches => 1,
    },
    {
        name => 'mhd-door', label => 'libmicrohttpd, a door behind it, no httpd',
        works => ['tiny'], role => 'reference', source => ['http_door.c', 'http_listen.h', 'raw.c'],
        bare => ['http_door', '@PORT@'], program => ['raw'],
    },
);

my %wanted = map { $_ => 1 } split /,/, $ENV{PEERS} // '';

sub add_peers { push @peers, @_; return }

sub all_peers { return grep { !%wanted || $wanted{$_->{name}} } @peers }

sub is_asked {
    my ($peer, $work) = @_;
    return 0 if $work->{neighbour} && ($peer->{role} // 'rival') !~ /^(limit|ours|rival)$/;
    return scalar grep { $_ eq $work->{base} } @{$peer->{works}};
}

# Both proxies' buffer is 8 KiB; for bodies they get what the others have.
sub peers_of {
    my ($work) = @_;
    my $buffer = $work->{has_body} ? "ProxyIOBufferSize 65536\n" : '';
    return map { +{role => 'rival', %$_, buffer => $buffer} } grep { is_asked($_, $work) } all_peers();
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
