# SPDX-License-Identifier: Apache-2.0
#
# Servers.pm: starts a peer, an httpd of its own and what stands behind it,
# looks whether it answers rightly, and ends it.
package Servers;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use File::Path ();
use HTTP::Tiny ();
use IO::Socket::INET ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use Setup;
use Works;

our @EXPORT = qw($settings start stop_all why_wrong spawn end_processes conf_lines free_port);

# The same for all.  wrk keeps its connections, and httpd closes kept connections when it finds all
# workers of a child busy, which wrk counts as errors.  Children take connections unevenly, so each
# of the two has a worker for every one of 512 connections, and some more for workers that are just
# done but not yet noted as idle; and all are there from the beginning.
our $settings = <<'CONF';
StartServers 2
ServerLimit 2
ThreadLimit 576
ThreadsPerChild 576
MaxRequestWorkers 1152
MaxSpareThreads 1152
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 30
LimitRequestBody 0
EnableSendfile On
LogLevel error
CONF

my %started; # pid => the signal that ends it
my $main = $$;

# Runs a command in a session of its own, without root's rights unless it is httpd.  How:
# log, env; stdin, a file; signal, if not SIGTERM ends it in order; descriptors, its limit of them.
sub spawn {
    my ($how, @command) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        POSIX::setsid();
        open STDIN,  '<',  $how->{stdin} // '/dev/null';
        open STDOUT, '>>', $how->{log};
        open STDERR, '>&', \*STDOUT;
        @ENV{keys %{$how->{env}}} = values %{$how->{env}};
        if ($is_root && $command[0] ne $httpd) {
            my ($uid, $gid) = (getpwnam $user)[2, 3];
            $) = "$gid $gid";
            $( = $gid;
            POSIX::setuid($uid);
        }
        no warnings 'exec';
        unshift @command, 'sh', '-c', "ulimit -n $how->{descriptors}; exec \"\$@\"", 'sh'
            if $how->{descriptors};
        exec @command or POSIX::_exit(127);
    }
    $started{$pid} = $how->{signal} // 'TERM';
    return $pid;
}

# Only children that nobody has waited for: their numbers cannot be others' by now.
sub end_processes {
    my @pids = grep { $started{$_} } @_;
    my $until = time + 20;
    kill $started{$_}, $_ for @pids;
    for my $pid (@pids) {
        while (waitpid($pid, WNOHANG) == 0) {
            kill 'KILL', $pid if time > $until;
            sleep 0.02;
        }
        delete $started{$pid};
    }
    return;
}

$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    local $?;
    end_processes(keys %started) if $$ == $main;
}

sub stop_all {
    end_processes(map { @{$_->{roots}} } @_);
    return;
}

# ---------------------------------------------------------------- starting

sub free_port { return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport }

# What stands for what in configurations and arguments.
sub fill {
    my ($peer, @texts) = @_;
    my %env = %{$peer->{env}};
    my %value = (
        PORT => $peer->{back_port}, DIR => $peer->{dir}, PROGRAMS => $programs,
        MOD_DOOR => $mod_door, GATEWAYS => $gateways, BUFFER => $peer->{buffer} // '',
        DOOR_ENV => join('', map { " env=$_=$env{$_}" } sort keys %env),
        FCGID_ENV => join('', map { "FcgidInitialEnv $_ $env{$_}\n" } sort keys %env),
    );
    return map { s/\@([A-Z_]+)\@/$value{$1}/gr } @texts;
}

sub conf_lines {
    my ($peer) = @_;
    my ($conf) = fill({%$peer, back_port => 1, dir => '', env => {}}, $peer->{conf} // '');
    my $lines = () = $conf =~ /^.*\S.*$/mg;
    return $lines + @{$peer->{modules} // []};
}

sub write_files {
    my ($peer, $work) = @_;
    my %files = (%{$work->{files} // {}}, %{$peer->{files} // {}});
    spew("$peer->{dir}/htdocs/$_", $files{$_}) for keys %files;
    link $peer->{env}{BENCH_FILE}, "$peer->{dir}/htdocs/file" if $peer->{env}{BENCH_FILE};
    return;
}

sub write_conf {
    my ($peer) = @_;
    my ($own) = fill($peer, $peer->{conf});
    my $owner = $is_root ? "User $user\nGroup nogroup\n" : '';
    my $load = join '', map { "LoadModule ${_}_module \"$modules/mod_$_.so\"\n" }
        'authz_core', 'mpm_event', @{$peer->{modules} // []};
    spew("$peer->{dir}/httpd.conf", $load . $owner . $settings . <<"CONF" . $own);
ServerRoot "$peer->{dir}"
DefaultRuntimeDir "$peer->{dir}/run"
PidFile run/httpd.pid
Listen 127.0.0.1:$peer->{port}
ServerName localhost
ErrorLog log
DocumentRoot "$peer->{dir}/htdocs"
<Directory />
    AllowOverride None
</Directory>
CONF
    return;
}

# raw makes its door where it is told, and libmicrohttpd's program calls it.
sub start_bare {
    my ($peer) = @_;
    my $door = "$peer->{dir}/door";
    spew($door, '');
    chown +(getpwnam $user)[2, 3], $door if $is_root;
    push @{$peer->{roots}},
        spawn({log => "$peer->{dir}/log", env => {DOOR_PATH => $door}},
        "$programs/$peer->{program}[0]");
    sleep 0.3;
    $peer->{port} = $peer->{back_port};
    my ($program, @arguments) = fill($peer, @{$peer->{bare}});
    push @{$peer->{roots}},
        spawn({log => "$peer->{dir}/log", env => {DOOR_NAME => $door}}, "$programs/$program",
        @arguments);
    return;
}

# env is what the application is to find in its environment.
sub start {
    my ($peer, $work, $env) = @_;
    for (@{$peer->{modules} // []}) {
        return "mod_$_ is not installed" unless -e "$modules/mod_$_.so";
    }
    @$peer{qw(dir roots back_port)} = ("$dir/$work->{name}/$peer->{name}", [], free_port());
    $peer->{env} = {%$env, %{$peer->{env} // {}}};
    File::Path::make_path("$peer->{dir}/run", "$peer->{dir}/htdocs");
    chown +(getpwnam $user)[2, 3], $peer->{dir} if $is_root;
    if ($peer->{bare}) {
        start_bare($peer);
        return;
    }
    my $how = {log => "$peer->{dir}/log", env => $peer->{env}};
    for ($peer->{program} // (), @{$peer->{programs} // []}) {
        my ($program, @arguments) = fill($peer, @$_);
        $program = "$programs/$program" unless $program =~ m{^/};
        push @{$peer->{roots}}, spawn($how, $program, @arguments);
    }
    $peer->{port} = free_port();
    write_files($peer, $work);
    write_conf($peer);
    push @{$peer->{roots}}, spawn($how, $httpd, '-d', $peer->{dir}, '-f',
        "$peer->{dir}/httpd.conf", '-DFOREGROUND');
    return;
}

# ---------------------------------------------------------------- checking

sub ask {
    my ($peer, $work) = @_;
    if (($work->{needs} // '') eq 'file') {
        my $said = `$build/bench/client get $peer->{port} /file $large_mib`;
        return $said =~ /^RESULT .* 0$/m ? '' : "not all of it came";
    }
    my $url = "http://127.0.0.1:$peer->{port}" . path_of($work, $work->{check_n});
    my $http = HTTP::Tiny->new(timeout => 10);
    my $answer = ($work->{method} // 'GET') eq 'POST' ? $http->post($url, {content => 'p' x 65536})
        : $http->get($url);
    return "status $answer->{status}" unless $answer->{success};
    my $is_right = ref $work->{answer} ? $answer->{content} =~ $work->{answer}
        : $answer->{content} eq $work->{answer};
    return $is_right ? '' : length($answer->{content}) . ' bytes that are not the answer';
}

sub last_line {
    my ($peer) = @_;
    my ($line) = slurp("$peer->{dir}/log") =~ /(.+)\n?\z/ or return '';
    return "; its log ends with: $line";
}

# Nothing if the peer answers as it should, otherwise what is wrong; it may still be starting.
sub why_wrong {
    my ($peer, $work) = @_;
    my $until = time + 10;
    my $wrong;
    while ($wrong = ask($peer, $work)) {
        return $wrong . last_line($peer) if time > $until;
        sleep 0.1;
    }
    return;
}

1;
