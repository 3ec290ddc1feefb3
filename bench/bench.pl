#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# bench.pl BUILD: mod_door beside its peers.  Each peer is an httpd of its own
# with the same settings, and what stands behind it; all run at once, and are
# asked one after the other, round after round, so that whatever else the
# machine does meets all of them.  What is compared are ratios within a round.
#
#   QUICK=1        a minute: the tiny answer, two concurrencies
#   ROUNDS, SECONDS, WORKS, CONCURRENCY, PEERS    other than the default; lists with commas
#
# Writes BUILD/bench/results.json and results.md, and pictures if gnuplot is there.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path ();
use HTTP::Tiny ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my $bench = abs_path(dirname(__FILE__));
my $build = abs_path($ARGV[0] // 'build');
my $dir = "$build/bench/run";
my $quick = $ENV{QUICK};
my @works = split /,/, $ENV{WORKS} // ($quick ? 'tiny' : 'tiny,64k,1m,post,sleep,cpu');
my @concurrency = split /,/, $ENV{CONCURRENCY} // ($quick ? '1,32' : '1,8,32,128,512');
my $rounds = $ENV{ROUNDS} // 3;
my $seconds = $ENV{SECONDS} // 1;
my %wanted = map { $_ => 1 } split /,/, $ENV{PEERS} // '';

my $apxs = $ENV{APXS} // 'apxs';
sub apxs { chomp(my $value = `$apxs -q $_[0]`); return $value }
chomp(my $httpd = `bash -c '. $bench/../scripts/httpd.sh; httpd_program'`);
my $modules = apxs('LIBEXECDIR');
my $is_root = $> == 0;
my $user = 'nobody';
my @started;

sub say_now { local $| = 1; print STDERR @_ }

# ---------------------------------------------------------------- peers

my $peers_dir = "$build/bench/peers";

sub load { join '', map { "LoadModule ${_}_module \"$modules/mod_$_.so\"\n" } @_ }

# name, what it is, modules, configuration, programs beside httpd, works that it cannot do
my @peers = (
    {name => 'in-process', label => 'handler in httpd (the limit)',
        conf => "LoadModule inprocess_module \"$peers_dir/mod_inprocess.so\"\n"
            . "<Location />\nSetHandler inprocess\n</Location>\n"},
    {name => 'mod_door', label => 'mod_door, door_app',
        conf => "LoadModule door_module \"$build/mod_door.so\"\n"
            . "DoorApp bench $peers_dir/door\n<Location />\nDoorHandler bench\n</Location>\n"},
    {name => 'mod_door-raw', label => 'mod_door, bare door', only => ['tiny'],
        conf => "LoadModule door_module \"$build/mod_door.so\"\nDoorApp bench $peers_dir/raw\n"
            . "<Location />\nDoorHandler bench\nDoorProtocol raw\n</Location>\n"},
    {name => 'static', label => 'file, httpd\'s own handler', only => ['tiny', '64k', '1m'],
        conf => ''},
    {name => 'proxy_http-tcp', label => 'mod_proxy_http, libmicrohttpd epoll, TCP',
        modules => ['proxy', 'proxy_http'], program => ['http', 'epoll', '@PORT@'],
        conf => "<Proxy http://127.0.0.1:\@PORT\@ enablereuse=on>\n</Proxy>\n"
            . "ProxyPass / http://127.0.0.1:\@PORT\@/ enablereuse=on\n"},
    {name => 'proxy_http-unix', label => 'mod_proxy_http, libmicrohttpd threads, Unix socket',
        modules => ['proxy', 'proxy_http'], program => ['http', 'threads', '@DIR@/socket'],
        conf => "ProxyPass / unix:\@DIR\@/socket|http://localhost/ enablereuse=on\n"},
    {name => 'proxy_fcgi', label => 'mod_proxy_fcgi, libfcgi threads, reuse',
        modules => ['proxy', 'proxy_fcgi'], program => ['fcgi', '@DIR@/socket', '512'],
        conf => "ProxyPass / unix:\@DIR\@/socket|fcgi://localhost/ enablereuse=on max=512\n"},
    {name => 'proxy_fcgi-new', label => 'mod_proxy_fcgi, libfcgi threads, no reuse',
        modules => ['proxy', 'proxy_fcgi'], program => ['fcgi', '@DIR@/socket', '64'],
        conf => "ProxyPass / unix:\@DIR\@/socket|fcgi://localhost/\n"},
    {name => 'mod_fcgid', label => 'mod_fcgid, libfcgi, 32 processes', modules => ['fcgid'],
        conf => "FcgidIPCDir \@DIR\@/fcgid\nFcgidProcessTableFile \@DIR\@/fcgid.shm\n"
            . "FcgidMaxRequestLen 1000000000\nFcgidMaxProcesses 32\n"
            . "FcgidMaxProcessesPerClass 32\nFcgidMinProcessesPerClass 1\n"
            . "Alias / $peers_dir/fcgid-bin/\n<Directory $peers_dir/fcgid-bin>\n"
            . "SetHandler fcgid-script\nOptions +ExecCGI\n</Directory>\n",
        more => ['alias'], setup => \&fcgid_scripts},
    {name => 'mod_cgid', label => 'mod_cgid', modules => ['cgid'], only => ['tiny'],
        conf => "ScriptSock \@DIR\@/cgid\nScriptAlias / $peers_dir/cgi-bin/\n"
            . "<Directory $peers_dir/cgi-bin>\nRequire all granted\n</Directory>\n",
        more => ['alias'], setup => \&cgi_scripts},
    {name => 'mhd-door', label => 'libmicrohttpd, a door behind it, no httpd', only => ['tiny'],
        bare => ['http', 'door', '@PORT@'], program => ['raw']},
);

sub link_scripts {
    my ($folder, $program) = @_;
    mkdir "$peers_dir/$folder";
    for my $work (qw(tiny 64k 1m post sleep cpu)) {
        unlink "$peers_dir/$folder/$work";
        link "$peers_dir/$program", "$peers_dir/$folder/$work" or die "$folder/$work: $!";
    }
}
sub fcgid_scripts { link_scripts('fcgid-bin', 'fcgi') }
sub cgi_scripts { link_scripts('cgi-bin', 'cgi') }

sub free_port { IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport }

sub spawn {
    my ($peer, $env, @command) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        POSIX::setsid();
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', "$peer->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        @ENV{keys %$env} = values %$env;
        if ($is_root && $command[0] ne $httpd) {
            my ($uid, $gid) = (getpwnam $user)[2, 3];
            $) = "$gid $gid";
            $( = $gid;
            POSIX::setuid($uid);
        }
        exec @command or POSIX::_exit(127);
    }
    push @started, $pid;
    push @{$peer->{roots}}, $pid;
    return $pid;
}

my $main = $$;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    local $?;
    @started = () if $$ != $main;
    kill 'TERM', @started;
    my $until = time + 20;
    for my $pid (@started) {
        while (waitpid($pid, WNOHANG) == 0) {
            kill 'KILL', $pid if time > $until;
            sleep 0.02;
        }
    }
}

sub start {
    my ($peer) = @_;
    $peer->{dir} = "$dir/$peer->{name}";
    File::Path::make_path("$peer->{dir}/run", "$peer->{dir}/htdocs");
    chown +(getpwnam $user)[2, 3], $peer->{dir} if $is_root;
    $peer->{setup}->() if $peer->{setup};
    my $back = free_port();
    my $fill = sub { map { s/\@PORT\@/$back/gr =~ s/\@DIR\@/$peer->{dir}/gr } @_ };
    if ($peer->{program} && $peer->{bare}) { # raw makes its door where it is told
        my $name = "$peer->{dir}/door";
        open my $file, '>', $name or die;
        close $file;
        chown +(getpwnam $user)[2, 3], $name if $is_root;
        spawn($peer, {DOOR_PATH => $name}, "$peers_dir/raw");
        sleep 0.3;
        $peer->{port} = $back;
        my ($program, @arguments) = $fill->(@{$peer->{bare}});
        spawn($peer, {DOOR_NAME => $name}, "$peers_dir/$program", @arguments);
        return;
    }
    if ($peer->{program}) {
        my ($program, @arguments) = $fill->(@{$peer->{program}});
        spawn($peer, {}, "$peers_dir/$program", @arguments);
    }
    $peer->{port} = free_port();
    for (['tiny', "Well, hello to you too!\n"], ['64k', 'x' x 65536], ['1m', 'x' x 1048576]) {
        open my $file, '>', "$peer->{dir}/htdocs/$$_[0]" or die;
        print $file $$_[1];
    }
    open my $conf, '>', "$peer->{dir}/httpd.conf" or die;
    my $owner = $is_root ? "User $user\nGroup nogroup\n" : '';
    print $conf load('authz_core', 'mpm_event', @{$peer->{modules} // []}, @{$peer->{more} // []}),
        <<"CONF", $fill->($peer->{conf});
ServerRoot "$peer->{dir}"
DefaultRuntimeDir "$peer->{dir}/run"
PidFile run/httpd.pid
Listen 127.0.0.1:$peer->{port}
ServerName localhost
ErrorLog log
LogLevel error
DocumentRoot "$peer->{dir}/htdocs"
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 30
EnableSendfile On
<Directory />
AllowOverride None
</Directory>
$owner
StartServers 2
ServerLimit 8
ThreadsPerChild 64
MinSpareThreads 64
MaxSpareThreads 512
MaxRequestWorkers 512
CONF
    close $conf;
    spawn($peer, {}, $httpd, '-d', $peer->{dir}, '-f', "$peer->{dir}/httpd.conf", '-DFOREGROUND');
}

sub works_of {
    my ($peer) = @_;
    return @works unless $peer->{only};
    my %can = map { $_ => 1 } @{$peer->{only}};
    return grep { $can{$_} } @works;
}

# Every answer is looked at before it is timed.
my %expected = (tiny => 24, '64k' => 65536, '1m' => 1048576, sleep => 24, cpu => 24);

sub is_right {
    my ($peer, $work) = @_;
    my $http = HTTP::Tiny->new(timeout => 10);
    my $url = "http://127.0.0.1:$peer->{port}/$work";
    my $answer = $work eq 'post' ? $http->post($url, {content => 'p' x 65536}) : $http->get($url);
    return 0 unless $answer->{success};
    return $answer->{content} eq "65536\n" if $work eq 'post';
    return length $answer->{content} == $expected{$work};
}

# ---------------------------------------------------------------- what it costs

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

# All processes of the peer: those it was started with, and what they have started.
sub processes {
    my ($peer) = @_;
    my %parent;
    for (glob '/proc/[0-9]*/stat') {
        my ($pid, $ppid) = slurp($_) =~ /^(\d+) \(.*\) \S (\d+)/s or next;
        $parent{$pid} = $ppid;
    }
    my %own = map { $_ => 1 } @{$peer->{roots}};
    my $more = 1;
    while ($more) {
        $more = 0;
        for (grep { !$own{$_} && $own{$parent{$_}} } keys %parent) {
            $own{$_} = 1;
            $more = 1;
        }
    }
    return keys %own;
}

# CPU time in seconds and context switches so far.
sub costs {
    my ($peer) = @_;
    my ($ticks, $switches) = (0, 0);
    for my $pid (processes($peer)) {
        my @field = split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr;
        next if @field < 15; # it has ended
        $ticks += $_ for @field[11 .. 14];
        for (glob "/proc/$pid/task/*/status") {
            my $status = slurp($_);
            $switches += $1 while $status =~ /ctxt_switches:\s+(\d+)/g;
        }
    }
    return ($ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK()), $switches);
}

sub size {
    my ($peer) = @_;
    my ($pss, $threads, $count) = (0, 0, 0);
    for my $pid (processes($peer)) {
        $pss += $1 if slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s+(\d+)/m;
        $threads += $1 if slurp("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m;
        $count++;
    }
    return ($pss, $threads, $count);
}

# ---------------------------------------------------------------- one sample

sub sample {
    my ($peer, $work, $clients) = @_;
    my ($cpu, $switches) = costs($peer);
    my $command = "wrk -t1 -c$clients -d${seconds}s --timeout 10s -s $bench/report.lua"
        . " http://127.0.0.1:$peer->{port}/$work";
    my $said = `$command 2>&1`;
    my ($cpu_after, $switches_after) = costs($peer);
    my ($requests, $us, $p50, $p99, $p999, $errors) = $said =~ /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)/m
        or return {rate => 0, errors => 1};
    my ($pss, $threads, $count) = size($peer);
    return {rate => $requests / ($us / 1e6), p50 => $p50, p99 => $p99, p999 => $p999,
        errors => $errors, cpu => $requests ? ($cpu_after - $cpu) * 1e6 / $requests : 0,
        switches => $requests ? ($switches_after - $switches) / $requests : 0,
        pss => $pss, threads => $threads, processes => $count};
}

sub median {
    my @sorted = sort { $a <=> $b } grep { defined } @_;
    return 0 unless @sorted;
    return @sorted % 2 ? $sorted[@sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}

# ---------------------------------------------------------------- the run

File::Path::remove_tree($dir);
File::Path::make_path($dir);
@peers = grep { $wanted{$_->{name}} } @peers if %wanted;
for my $peer (@peers) {
    if (grep { !-e "$modules/mod_$_.so" } @{$peer->{modules} // []}) {
        say_now("$peer->{name}: left out, its module is not installed\n");
        $peer->{absent} = 1;
        next;
    }
    start($peer);
}
@peers = grep { !$_->{absent} } @peers;
sleep 1.5;
for my $peer (@peers) {
    for my $work (works_of($peer)) {
        my $until = time + 10;
        my $right = 0;
        sleep 0.1 until ($right = is_right($peer, $work)) || time > $until;
        die "$peer->{name}: /$work is not answered rightly, see $peer->{dir}/log\n" unless $right;
    }
    ($peer->{idle}) = size($peer);
}

my (%samples, $done);
$done = 0;
my $total = 0;
$total += $rounds * @concurrency * works_of($_) for @peers;
for my $work (@works) {
    for my $clients (@concurrency) {
        say_now("/$work, $clients clients, $done of $total samples done\n") unless -t STDERR;
        for my $round (1 .. $rounds) {
            for my $peer (@peers) {
                next unless grep { $_ eq $work } works_of($peer);
                push @{$samples{$work}{$clients}{$peer->{name}}}, sample($peer, $work, $clients);
                $done++;
                say_now(sprintf "\r%d of %d: %s c=%d %-20s", $done, $total, $work, $clients,
                    $peer->{name}) if -t STDERR;
            }
        }
    }
}
say_now("\n");

# ---------------------------------------------------------------- the tables

chomp(my $kernel = `uname -srm`);
chomp(my $version = `$httpd -v | head -n 1`);
chomp(my $commit = `git -C $bench rev-parse --short HEAD 2>/dev/null`);
my ($processor) = slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.*)/m;
my $processors = () = slurp('/proc/cpuinfo') =~ /^processor/mg;
my %summary;
my $md = "# Results\n\n" . POSIX::strftime('%Y-%m-%d', gmtime)
    . ", commit $commit. $processors processors (@{[$processor // '?']}), $kernel.\n"
    . ($version =~ s/Server version: //r) . ", event MPM, 64 threads per child, at most 512; "
    . "one `wrk` thread, kept connections; $rounds rounds of $seconds s, interleaved; medians.\n"
    . "\"of in-process\" is the median of the ratios within a round.\n\n";
for my $work (@works) {
    for my $clients (@concurrency) {
        my $cell = $samples{$work}{$clients};
        my $limit = $cell->{'in-process'};
        $md .= "## /$work, $clients " . ($clients == 1 ? 'client' : 'clients') . "\n\n"
            . "| | requests/s | of in-process | p50 ms | p99 ms | p99.9 ms | CPU us | of in-process"
            . " | switches | PSS MiB | threads | errors |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        for my $peer (@peers) {
            my $list = $cell->{$peer->{name}} or next;
            my %m = map { my $key = $_; $key => median(map { $_->{$key} } @$list) }
                qw(rate p50 p99 p999 cpu switches pss threads);
            $m{errors} = 0;
            $m{errors} += $_->{errors} for @$list;
            $m{share} = median(map { $limit && $limit->[$_]{rate} ? $list->[$_]{rate} / $limit->[$_]{rate} : 0 } 0 .. $#$list);
            $m{cpu_share} = median(map { $limit && $limit->[$_]{cpu} ? $list->[$_]{cpu} / $limit->[$_]{cpu} : 0 } 0 .. $#$list);
            $summary{$work}{$clients}{$peer->{name}} = \%m;
            $md .= sprintf "| %s | %d | %.2f | %.2f | %.2f | %.2f | %.1f | %.2f | %.1f | %.1f | %d | %d |\n",
                $peer->{label}, $m{rate}, $m{share}, $m{p50} / 1000, $m{p99} / 1000, $m{p999} / 1000,
                $m{cpu}, $m{cpu_share}, $m{switches}, $m{pss} / 1024, $m{threads}, $m{errors};
        }
        $md .= "\n";
    }
}
$md .= "## Memory when idle\n\nPSS of httpd and application together, after one request of each kind.\n\n| | MiB |\n|---|--:|\n"
    . join('', map { sprintf "| %s | %.1f |\n", $_->{label}, $_->{idle} / 1024 } @peers) . "\n";

# ---------------------------------------------------------------- pictures

sub plot {
    my ($name, $title, $axis, $work, $value) = @_;
    open my $gnuplot, '|-', 'gnuplot' or return;
    my @lines = grep { $summary{$work}{$concurrency[0]}{$_->{name}} } @peers;
    print $gnuplot "set terminal svg size 800,480 font 'sans-serif,12' background '#ffffff'\n"
        . "set output '$build/bench/$name.svg'\nset title '$title'\nset logscale x 2\n"
        . "set xlabel 'concurrent clients'\nset ylabel '$axis'\nset yrange [0:*]\nset grid y\n"
        . "set key outside right\nset xtics (" . join(',', @concurrency) . ")\nplot "
        . join(', ', map { "'-' with linespoints lw 2 title '$_->{name}' noenhanced" } @lines) . "\n";
    for my $peer (@lines) {
        print $gnuplot "$_ ", $value->($summary{$work}{$_}{$peer->{name}}), "\n" for @concurrency;
        print $gnuplot "e\n";
    }
    close $gnuplot;
    $md .= "![$title]($name.svg)\n\n";
}
if (@concurrency > 1 && `sh -c "command -v gnuplot"`) {
    for my $work (@works) {
        plot("rate-$work", "/$work", 'requests/s', $work, sub { $_[0]{rate} });
    }
    plot('memory-tiny', '/tiny', 'PSS, MiB', 'tiny', sub { $_[0]{pss} / 1024 })
        if grep { $_ eq 'tiny' } @works;
}

for (['results.md', $md], ['results.json', JSON::PP->new->canonical->pretty->encode(\%summary)]) {
    open my $file, '>', "$build/bench/$$_[0]" or die;
    print $file $$_[1];
}
print $md;
