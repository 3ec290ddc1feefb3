# SPDX-License-Identifier: Apache-2.0
#
# An httpd of a test's own, in a directory of its own, for what would disturb
# the suite's: applications that it launches, restarts, and kill -9.
#
#     my $httpd = OwnHttpd->new(modules => $text, program => $path, build => $dir);
#     $httpd->configure("DoorApp ...");
#     $httpd->start;
#
# under => ['valgrind', ...] has it run by that, in one process unless has_children => 1.
#
# Whatever belongs to it names its directory, which is how leftovers are found.

package OwnHttpd;

use strict;
use warnings FATAL => 'all';

use File::Copy ();
use File::Path ();
use IO::Select ();
use IO::Socket::INET ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(CLOCK_BOOTTIME clock_gettime sleep time);

use Waiting ();

my $count = 0;

sub new {
    my ($class, %self) = @_;
    my $self = bless {prologue => '', arguments => [], %self}, $class;
    $count++;
    $self->{dir} //= "$self->{below}/own.$$.$count";
    File::Path::make_path(map { "$self->{dir}/$_" } qw(logs run bin htdocs));
    chmod 0755, $self->{dir};
    # Programs of its own: they can be replaced, and found among all processes.
    # Copies: whom they run as need not reach the build.
    File::Copy::copy($_, "$self->{dir}/" . s{.*/}{}r) for glob "$self->{build}/lib*.so*";
    $self->install($_) for qw(hello kitchen raw);
    open my $file, '>', "$self->{dir}/htdocs/static.txt" or die $!;
    print $file "static\n";
    $self->{port} //= free_port();
    return $self;
}

# Below those that the system gives to clients, and not another MPM's suite's, which may run
# beside this one: it is free also while httpd restarts.
my %given; # ports, to one that may not have started yet

sub free_port {
    my %first = (worker => 800, prefork => 1_600);
    for (1 .. 100) {
        my $port = 30_300 + ($first{$ENV{DOOR_TEST_MPM} // ''} // 0) + int rand 800;
        next if $given{$port};
        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
            Listen => 1) or next;
        $given{$port} = 1;
        return $port;
    }
    die "no free port\n";
}

sub dir { $_[0]{dir} . (@_ > 1 ? "/$_[1]" : '') }

# A new file at bin/NAME, as a deployment makes it.
sub install {
    my ($self, $name, $as) = @_;
    my $to = $self->dir('bin/' . ($as // $name));
    File::Copy::copy("$self->{build}/examples/$name", "$to.new") or die "$name: $!";
    chmod 0755, "$to.new";
    rename "$to.new", $to or die $!;
    return $to;
}

# A shell script at bin/NAME.
sub script {
    my ($self, $name, $text) = @_;
    my $to = $self->dir("bin/$name");
    open my $file, '>', "$to.new" or die $!;
    print $file "#!/bin/sh\n$text\n";
    close $file or die $!;
    chmod 0755, "$to.new";
    rename "$to.new", $to or die $!;
    return $to;
}

sub configure {
    my ($self, $text) = @_;
    my $dir = $self->{dir};
    open my $file, '>', "$dir/httpd.conf" or die $!;
    print $file <<"CONF";
ServerRoot "$dir"
DefaultRuntimeDir "$dir/run"
PidFile run/httpd.pid
ServerName localhost
Listen 127.0.0.1:$self->{port}
DocumentRoot "$dir/htdocs"
ErrorLog @{[$self->{log} // 'logs/error_log']}
$self->{modules}
<IfModule mime_module>
    TypesConfig /dev/null
</IfModule>
<IfModule mpm_prefork_module>
    StartServers 4
    MaxRequestWorkers 64
</IfModule>
<IfModule !mpm_prefork_module>
    StartServers 2
    ThreadsPerChild 25
    MaxRequestWorkers 100
</IfModule>
$self->{prologue}
$text
CONF
    close $file or die $!;
    return $self;
}

sub command { (@{$_[0]{under} // []}, $_[0]{program}, '-d', $_[0]{dir}, '-f', "$_[0]{dir}/httpd.conf") }

# What httpd -t says; its exit status is in $?.
sub check {
    my ($self) = @_;
    my $command = join ' ', map { "'$_'" } $self->command;
    return scalar `$command -t 2>&1`;
}

# As a child of the test, which then sees its end.
sub start {
    my ($self) = @_;
    my $pid = fork // die $!;
    if ($pid == 0) {
        POSIX::setsid(); # prefork's parent signals its whole group
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/logs/console";
        open STDERR, '>&', \*STDOUT;
        %ENV = (PATH => $ENV{PATH}, map({ ($_ => $ENV{$_}) } grep { /SAN_OPTIONS/ } keys %ENV),
            NOT_FOR_APPLICATIONS => 'x');
        exec $self->command, $self->{under} && !$self->{has_children} ? '-X' : '-DFOREGROUND' or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    return $self->wait_for(sub { $self->listens || $self->ended(0) }) && exists $self->{pid};
}

sub listens { defined IO::Socket::INET->new(PeerAddr => "127.0.0.1:$_[0]{port}", Timeout => 5) }

sub pid { $_[0]{pid} }

# True once httpd has restarted, and no child of the old generation takes requests any more:
# those that it has go on.
sub graceful {
    my ($self) = @_;
    my $mark = $self->mark;
    my $now = ticks();
    kill 'USR1', $self->{pid};
    return 0 unless $self->logs(qr/resuming normal operations/, $mark);
    # Those that it has made while it was told, too.
    my @old = grep { (stat_of($_, 22) // $now + 1) <= $now } $self->children;
    return $self->wait_for(sub { !grep { $self->takes_requests($_) } @old });
}

# Whether that child may take a connection.  One with a single thread that has one does not,
# though it has the listening socket until it ends.
sub takes_requests {
    my ($self, $pid) = @_;
    my %has = map { (readlink // '') => 1 } glob "/proc/$pid/fd/*";
    return 0 unless $has{$self->listening_socket};
    my @threads = glob "/proc/$pid/task/*";
    return @threads > 1 || !grep { $has{$_} } $self->connections;
}

# How /proc calls the sockets of httpd's connections.
sub connections {
    my ($self) = @_;
    my $address = sprintf ':%04X', $self->{port};
    open my $file, '<', '/proc/net/tcp' or return;
    return map { (split)[1] =~ /$address$/ && (split)[3] ne '0A' ? 'socket:[' . (split)[9] . ']' : () } <$file>;
}

# How /proc calls the socket at which httpd listens.
sub listening_socket {
    my ($self) = @_;
    my $address = sprintf ':%04X', $self->{port};
    open my $file, '<', '/proc/net/tcp' or return 'none';
    while (<$file>) {
        my (undef, $local, undef, $state, @more) = split;
        return "socket:[$more[5]]" if $local =~ /$address$/ && $state eq '0A';
    }
    return 'none';
}

# What httpd's parent has forked, without the supervisor.
sub children {
    my ($self) = @_;
    my $supervisor = $self->supervisor;
    return grep { parent_of($_) == $self->{pid} && $_ != $supervisor } $self->processes(qr/httpd\.conf/);
}

# True if the process has ended within so many seconds.
sub ended {
    my ($self, $seconds) = @_;
    return 1 unless $self->{pid};
    return 0 unless $self->wait_for(sub { waitpid($self->{pid}, WNOHANG) != 0 }, $seconds);
    delete $self->{pid};
    return 1;
}

sub stop {
    my ($self, $signal) = @_;
    kill $signal // 'TERM', $self->{pid} if $self->{pid};
    my $ended = $self->ended(60);
    $self->end_leftovers unless $ended;
    return $ended;
}

sub end_leftovers {
    my ($self) = @_;
    kill 'KILL', $self->processes(qr/./);
    $self->ended(10);
}

sub DESTROY {
    my ($self) = @_;
    return if ($self->{creator} //= $$) != $$;
    local ($?, $!, $@);
    $self->stop if $self->{pid};
}

# ---- what there is

# Processes of it whose command line matches, the oldest one first: the system may give a
# younger one a smaller number.  No zombies, those have no command line.
sub processes {
    my ($self, $what) = @_;
    my (@pids, %started);
    for my $path (glob '/proc/[0-9]*/cmdline') {
        open my $file, '<', $path or next;
        local $/;
        my $line = (<$file> // '') =~ tr/\0/ /r;
        my ($pid) = $path =~ m{(\d+)};
        next if $pid == $$ || index($line, "$self->{dir}/") < 0 || $line !~ $what;
        $started{$pid} = stat_of($pid, 22) // next;
        push @pids, $pid;
    }
    @pids = sort { $started{$a} <=> $started{$b} || $a <=> $b } @pids;
    return @pids;
}

# What httpd or its supervisor has left unreaped.
sub zombies {
    my ($self) = @_;
    my %parent = map { $_ => 1 } $self->pid // 0, $self->supervisor;
    my @pids;
    for my $path (glob '/proc/[0-9]*/stat') {
        open my $file, '<', $path or next;
        my ($pid, $ppid) = (<$file> // '') =~ /^(\d+) \(.*\) Z (\d+)/ or next;
        push @pids, $pid if $parent{$ppid};
    }
    return @pids;
}

sub apps { my ($self, $name) = @_; $self->processes(qr{/bin/$name\b}) }

# A field of /proc/PID/stat by its number in proc(5), 3 or more; undef if the process is gone.
sub stat_of {
    my ($pid, $field) = @_;
    open my $file, '<', "/proc/$pid/stat" or return undef;
    my $line = <$file> // return undef;
    return (split ' ', $line =~ s/.*\) //sr)[$field - 3];
}

sub parent_of { stat_of($_[0], 4) // 0 }

# The time as /proc tells when a process has started.
sub ticks { int(clock_gettime(CLOCK_BOOTTIME) * POSIX::sysconf(POSIX::_SC_CLK_TCK())) }

sub supervisor {
    my ($self) = @_;
    # Of one that was killed the directory may still be there, and its number be another process's.
    my %ours = map { $_ => 1 } $self->processes(qr/./);
    my ($pid) = grep { $ours{$_} } map { -e "$_/lock" && m{(\d+)$} ? $1 : () } glob "$self->{dir}/run/mod_door.*";
    return $pid // 0;
}

# ---- the log

sub log_text {
    my ($self) = @_;
    open my $file, '<', "$self->{dir}/logs/error_log" or return '';
    local $/;
    return <$file> // '';
}

sub mark { -s "$_[0]{dir}/logs/error_log" // 0 }
sub since { substr $_[0]->log_text, $_[1] }

sub logs {
    my ($self, $what, $mark, $seconds) = @_;
    return $self->wait_for(sub { $self->since($mark // 0) =~ $what }, $seconds);
}

sub wait_for { my (undef, $check, $seconds) = @_; return Waiting::wait_for($check, $seconds // 60) }

# ---- requests

# One on a connection of its own: status, body, headers; status 0 if there is none.
sub get {
    my ($self, $path) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}", Timeout => 60)
        or return (0, '', '');
    print $socket "GET $path HTTP/1.0\r\nHost: localhost\r\n\r\n";
    local $/;
    my ($head, $body) = split /\r\n\r\n/, <$socket> // '', 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.[01] (\d+)};
    my ($length) = ($head // '') =~ m{^Content-Length: (\d+)}mi;
    $status = 0 if defined $length && $length != length($body // '');
    return ($status // 0, $body // '', $head // '');
}

# A call that runs until release(): the path's handler sends back what has come of the body.
# That is long enough for mod_reqtimeout to be patient with its end.
sub hold {
    my ($self, $path) = @_;
    my $line = 'x' x 999 . "\n";
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}", Timeout => 60) or die $!;
    print $socket "POST $path HTTP/1.0\r\nHost: localhost\r\nContent-Length: 100004\r\n\r\n", $line x 100;
    my $text = '';
    until ($text =~ /\r\n\r\nx/) {
        sysread $socket, $text, 65_536, length $text or die "no call: $text\n";
    }
    return {socket => $socket, text => $text, whole => $line x 100 . "end\n"};
}

# True if its answer is all there.
sub release {
    my ($self, $call) = @_;
    print {$call->{socket}} "end\n";
    local $/;
    my $text = $call->{text} . (readline($call->{socket}) // '');
    return $text =~ m{^HTTP/1\.\d 200 } && $text =~ s/.*?\r\n\r\n//sr eq $call->{whole};
}

sub status { ($_[0]->get($_[1]))[0] }
sub body { ($_[0]->get($_[1]))[1] }

# Clients that ask until they are stopped: each with a connection per request.
sub load {
    my ($self, $path, $clients, $per_second) = @_;
    pipe my $results, my $report or die $!;
    open my $progress, '+>>', undef or die $!;
    my ($stop, @pids) = (0);
    local $SIG{TERM} = sub { $stop = 1 }; # in time for each of them
    for (1 .. $clients) {
        my $pid = fork // die $!;
        if ($pid == 0) {
            my %statuses;
            my $next = time;
            my $parent = getppid;
            while (!$stop && getppid == $parent) {
                my ($status) = eval { $self->get($path) };
                next if $stop && !$status;
                $statuses{$status // 0}++;
                syswrite $progress, '.';
                $next += $clients / $per_second if $per_second;
                my $pause = $next - time;
                sleep $pause if $per_second && $pause > 0;
            }
            syswrite $report, join('', map { "$_ $statuses{$_}\n" } keys %statuses);
            POSIX::_exit(0);
        }
        push @pids, $pid;
    }
    close $report;
    return {pids => \@pids, results => $results, progress => $progress};
}

# True once they have had so many answers more.
sub goes_on {
    my ($self, $load, $more) = @_;
    my $enough = (-s $load->{progress}) + $more;
    return $self->wait_for(sub { -s $load->{progress} >= $enough }, 120);
}

# How many answers of each status there were.
sub end_load {
    my ($self, $load) = @_;
    kill 'TERM', @{$load->{pids}};
    my %statuses;
    my $results = $load->{results};
    while (<$results>) {
        my ($status, $times) = split;
        $statuses{$status} += $times;
    }
    waitpid $_, 0 for @{$load->{pids}};
    return \%statuses;
}

1;
