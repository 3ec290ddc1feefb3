# SPDX-License-Identifier: Apache-2.0
#
# What the tests share: applications to start, kill and find again, waiting with
# a deadline, the error log since a mark, and requests byte by byte for what a
# well-behaved client would not send.

package DoorTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename qw(dirname);
use File::Spec ();
use IO::Select ();
use IO::Socket::INET ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use Apache::Test ();
use Waiting ();

our @EXPORT = qw(app_path app_pid app_alive start_app stop_app kill_app freeze_app wait_for wait_for_app in_time
    app_count app_descriptors_settle app_kib files_path child_descriptors child_kib child_private_kib door_callers mark_log log_since log_like base_url port mpm have_http2 pattern curl own_httpd
    raw_open raw_send raw_begins raw_rest raw_request parse_response ask_url read_response event_delays);

my $t = File::Spec->rel2abs(dirname(dirname(__FILE__)));
my $run = "$t/run";
my $bin = dirname($t) . '/build';

# Name of the door => the program behind it.  Two that only tests which kill
# them call: nothing else may depend on them.
my %program = (
    hello    => 'examples/hello',
    kitchen  => 'examples/kitchen',
    notes    => 'examples/notes',
    raw      => 'examples/raw',
    victim   => 'examples/kitchen',
    queue    => 'examples/kitchen',
    nonsense => 't/apps/nonsense',
    tokens   => 't/apps/tokens',
    'tokens-too' => 't/apps/tokens',
    mirror   => 't/apps/mirror',
);

# ---------------------------------------------------------------- applications

sub app_path { "$run/$_[0]" }

# Where kitchen's /file looks.
sub files_path { "$t/files" . (@_ ? "/$_[0]" : '') }

sub app_pid {
    my ($name) = @_;
    open my $file, '<', "$run/$name.pid" or return 0;
    my $pid = <$file> // 0;
    return $pid + 0;
}

# SIGSTOP, and waits until all its threads have stopped: that takes a moment.
sub freeze_app {
    my $pid = app_pid($_[0]);
    kill 'STOP', $pid or return 0;
    return wait_for(sub {
        for my $stat (glob "/proc/$pid/task/*/stat") {
            open my $file, '<', $stat or next;
            return 0 unless (<$file> // '') =~ /^\d+ \(.*\) T/;
        }
        return 1;
    });
}

# True once check->() is; gives up after so many seconds.
sub wait_for { return Waiting::wait_for($_[0], $_[1] // 60) }

# What has to come within a short time, though the machine may stand still for longer: what
# $try->() returns as soon as $is_good->() of it, or that of the fifth try.
sub in_time {
    my ($try, $is_good) = @_;
    my $result;
    for (1 .. 5) {
        $result = $try->();
        last if $is_good->($result);
    }
    return $result;
}

# A child of ours is a zombie until it is waited for: that one is not alive.
sub alive {
    my ($pid) = @_;
    return 0 unless $pid;
    waitpid $pid, WNOHANG;
    open my $stat, '<', "/proc/$pid/stat" or return kill 0, $pid;
    return 1 unless (<$stat> // ') Z ') =~ /\) Z /;
    # Its other threads may still have what was open.
    my @threads = glob "/proc/$pid/task/*";
    return @threads > 1;
}

# What has the door's name, to see when it is another one.
sub identity {
    my ($name) = @_;
    my @stat = stat app_path($name) or return '';
    return "@stat[0, 1, 10]";
}

my %identity;    # of each name before its application was started last

sub app_alive { alive(app_pid($_[0])) }

sub start_app {
    my ($name) = @_;
    # Of one that is about to end the listening socket may be the last to go.
    wait_for(sub { !app_alive($name) }, 10);
    $identity{$name} = identity($name);
    my $log = "$t/logs/$name.log";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN,  '<',  '/dev/null' or die;
        open STDOUT, '>>', $log        or die "$log: $!";
        open STDERR, '>&', \*STDOUT    or die;
        POSIX::setsid();
        $ENV{KITCHEN_FILES} = files_path();
        $ENV{NOTES_FILES} = files_path('notes');
        exec "$bin/$program{$name}", app_path($name) or POSIX::_exit(127);
    }
    open my $file, '>', "$run/$name.pid" or die "$name.pid: $!";
    print $file "$pid\n";
    close $file or die;
    return $pid;
}

# Until it has attached its door: the name is another one then, and no plain file.
sub wait_for_app {
    my ($name) = @_;
    my $pid = app_pid($name);
    my $attached = sub { -e app_path($name) && !-f _ && identity($name) ne $identity{$name} };
    return wait_for(sub { !alive($pid) || $attached->() }) && alive($pid);
}

sub end_app {
    my ($name, $signal) = @_;
    my $pid = app_pid($name) or return;
    kill $signal, $pid;
    wait_for(sub { !alive($pid) }) and return;
    kill 'KILL', $pid;
    wait_for(sub { !alive($pid) });
}

sub stop_app { end_app($_[0], 'TERM') }
sub kill_app { end_app($_[0], 'KILL') }

sub start_all {
    mkdir "$t/logs";
    mkdir $run, 0755;
    mkdir "$run/cache", 0755;
    mkdir files_path(), 0755;
    mkdir files_path('notes'), 0755;
    start_app($_) for sort keys %program;
    for my $name (sort keys %program) {
        wait_for_app($name) or die "Failed to start $name, see $t/logs/$name.log\n";
    }
}

# A test in which one of them has died fails, and says so, whatever else it has seen: what
# runs afterwards would fail of that.  Whoever kills one starts another one.
my $test = $$;
my %at_first;
$at_first{$_} = app_pid($_) for grep { app_alive($_) } keys %program;
END {
    if ($$ == $test && %at_first) {
        local $!;
        my $result = $?;
        for my $name (grep { app_pid($_) == $at_first{$_} && !app_alive($_) } sort keys %at_first) {
            print STDERR "# $name (pid $at_first{$name}) has died in this test, see $t/logs/$name.log\n";
            $result ||= 1;
        }
        $? = $result;
    }
}

# Of those that were started here: why one had ended before it was stopped.
sub say_what_died {
    for my $name (sort keys %program) {
        my $pid = app_pid($name);
        next unless $pid && waitpid($pid, WNOHANG) == $pid;
        print STDERR "$name (pid $pid) had ended: ",
            $? & 127 ? 'signal ' . ($? & 127) : 'exit ' . ($? >> 8), "\n";
    }
}

sub stop_all {
    say_what_died();
    stop_app($_) for sort keys %program;
    unlink glob "$run/*.pid";
}

# What an application has: { threads, descriptors, kib } (resident).
sub app_count {
    my ($name) = @_;
    my $pid = app_pid($name);
    my $threads = () = glob "/proc/$pid/task/*";
    my $descriptors = () = glob "/proc/$pid/fd/*";
    open my $status, '<', "/proc/$pid/status" or return {};
    my ($kib) = join('', <$status>) =~ /^VmRSS:\s+(\d+)/m;
    return { threads => $threads, descriptors => $descriptors, kib => $kib };
}

# True once it has about as many descriptors as when $before was taken by app_count(),
# but for what each further process of httpd that has begun to call it needs.
sub app_descriptors_settle {
    my ($name, $before, $callers, $more) = @_;
    return wait_for(sub {
        my $further = door_callers() - $callers;
        my $limit = $before->{descriptors} + $more + ($further > 0 ? 8 * $further : 0);
        return app_count($name)->{descriptors} <= $limit;
    });
}

# The memory of a process, shared parts by their share; 0 if it is gone.
sub process_kib {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/smaps_rollup" or return 0;
    my ($kib) = join('', <$file>) =~ /^Pss:\s+(\d+)/m;
    return $kib // 0;
}

# What it has for itself: not what an application has lent it.
sub process_private_kib {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/status" or return 0;
    my ($kib) = join('', <$file>) =~ /^RssAnon:\s+(\d+)/m;
    return $kib // 0;
}

sub app_kib { process_kib(app_pid($_[0])) }

# ---------------------------------------------------------------- httpd

sub mpm { $ENV{DOOR_TEST_MPM} // 'event' }

# Of the main server, or of a virtual host by the name in extra.conf.in.
sub port {
    my ($vhost) = @_;
    local $_;    # Apache::Test reads its files into it
    my $config = Apache::Test::config();
    return $vhost ? $config->{vhosts}{$vhost}{port} : $config->{vars}{port};
}

sub base_url { 'http://127.0.0.1:' . port(@_) }

# Where the error log ends now.
sub mark_log { -s "$t/logs/error_log" // 0 }

sub log_since {
    my ($mark) = @_;
    open my $log, '<', "$t/logs/error_log" or return '';
    seek $log, $mark, 0;
    local $/;
    return <$log> // '';
}

# The first line since the mark that matches; httpd may write it a moment after
# the client has its answer.
sub log_like {
    my ($mark, $regex) = @_;
    my $line = '';
    wait_for(sub {
        ($line) = grep { $_ =~ $regex } split /\n/, log_since($mark);
        return defined $line;
    });
    return $line // '';
}

# The processes that httpd's parent has made.
sub httpd_children {
    my $parent = Apache::Test::config()->server->pid;
    my @children;
    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $file, '<', $stat or next;
        my ($pid, $ppid) = (<$file> // '') =~ /^(\d+) \(.*\) \S (\d+)/ or next;
        push @children, $pid if $ppid == $parent;
    }
    return @children;
}

# Those that have called a door.
sub door_callers {
    return grep { my $pid = $_; grep { (readlink // '') =~ /memfd:door/ } glob "/proc/$pid/fd/*" }
        httpd_children();
}

# The most descriptors that any child of httpd has open; needs /proc.
sub child_descriptors {
    my $most = 0;
    for my $pid (httpd_children()) {
        my $count = () = glob "/proc/$pid/fd/*";
        $most = $count if $count > $most;
    }
    return $most;
}

# The most memory that any of them has.
sub child_kib {
    my $most = 0;
    for my $kib (map { process_kib($_) } httpd_children()) {
        $most = $kib if $kib > $most;
    }
    return $most;
}

# Private memory alone.
sub child_private_kib {
    my $most = 0;
    for my $kib (map { process_private_kib($_) } httpd_children()) {
        $most = $kib if $kib > $most;
    }
    return $most;
}

# ---------------------------------------------------------------- raw requests

sub raw_open {
    my ($vhost) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => port($vhost),
        Timeout => 60) or die "connect: $!";
    binmode $socket;
    $socket->autoflush(1);
    return $socket;
}

sub raw_send {
    my ($socket, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $deadline = time + 60;
    while (length $bytes and time < $deadline) {
        my $written = syswrite $socket, $bytes;
        return 0 unless defined $written;
        substr $bytes, 0, $written, '';
    }
    return !length $bytes;
}

# One read within the deadline: bytes, '' at the end, undef if it took too long.
sub raw_read {
    my ($socket, $deadline) = @_;
    my $left = $deadline - time;
    return undef unless $left > 0 and IO::Select->new($socket)->can_read($left);
    my $bytes = '';
    sysread $socket, $bytes, 65_536;
    return $bytes;
}

# True once there is something to read: whoever answers has begun.
sub raw_begins {
    my ($socket, $seconds) = @_;
    return scalar IO::Select->new($socket)->can_read($seconds // 60);
}

# Everything until the server closes; dies if it does not in time.
sub raw_rest {
    my ($socket, $seconds) = @_;
    my $deadline = time + ($seconds // 60);
    my $all = '';
    while (1) {
        my $bytes = raw_read($socket, $deadline);
        die "the server neither answers nor closes\n" unless defined $bytes;
        return $all if $bytes eq '';
        $all .= $bytes;
    }
}

# Sends the bytes on a connection of their own and returns what comes back.
sub raw_request {
    my ($bytes, $vhost, $seconds) = @_;
    my $socket = raw_open($vhost);
    raw_send($socket, $bytes);
    return raw_rest($socket, $seconds);
}

# The bytes in the chunks, and whether the last chunk was among them.
sub dechunk {
    my ($bytes) = @_;
    my ($body, $at) = ('', 0);
    while (1) {
        pos($bytes) = $at;
        $bytes =~ /\G([0-9a-fA-F]+)[^\r\n]*\r\n/gc or return ($body, 0);
        my ($size, $start) = (hex $1, pos $bytes);
        return ($body, 1) if $size == 0;
        $body .= substr $bytes, $start, $size;
        $at = $start + $size + 2;
        return ($body, 0) if $at > length $bytes;
    }
}

# { status, head, headers => { lower-case name => [values] }, body, complete }; head is the text.
sub parse_response {
    my ($text) = @_;
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($first, @lines) = split /\r\n/, $head // '';
    my ($status) = ($first // '') =~ m{^HTTP/1\.[01] (\d{3})};
    my %headers;
    for (@lines) {
        my ($name, $value) = /^([^:]+):\s*(.*)$/ or next;
        push @{ $headers{lc $name} }, $value;
    }
    $body //= '';
    my ($length) = @{ $headers{'content-length'} // [] };
    my ($coding) = @{ $headers{'transfer-encoding'} // [] };
    my $complete = !defined $length || length $body >= $length;
    ($body, $complete) = dechunk($body) if ($coding // '') eq 'chunked';
    return { status => $status // 0, head => $head // '', headers => \%headers, body => $body,
        complete => $complete ? 1 : 0 };
}

# One response of a kept connection, by Content-Length or chunks; $$rest keeps
# what came after it.
sub read_response {
    my ($socket, $rest, %option) = @_;
    my $deadline = time + 60;
    my $more = sub {
        my $bytes = raw_read($socket, $deadline);
        die "the server does not go on\n" unless defined $bytes and length $bytes;
        $$rest .= $bytes;
    };
    $more->() until $$rest =~ /\r\n\r\n/;
    $$rest =~ s/^(.*?\r\n\r\n)//s;
    my $response = parse_response($1);
    my $length = $response->{headers}{'content-length'}[0];
    if ($option{head} or $response->{status} =~ /^(?:1|204|304)/) {
        return $response;
    }
    if (defined $length) {
        $more->() while length $$rest < $length;
        $response->{body} = substr $$rest, 0, $length, '';
        return $response;
    }
    while (1) {
        $more->() until $$rest =~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/;
        my ($size, $line) = (hex $1, length $&);
        $more->() while length $$rest < $line + $size + 2;
        $response->{body} .= substr $$rest, $line, $size;
        substr $$rest, 0, $line + $size + 2, '';
        return $response if $size == 0;
    }
}

# How late each of kitchen's /events came, by the handler's clock, in seconds, the
# latest last.  $more->() reads what is there, '' at the end.
sub event_delays {
    my ($more) = @_;
    my ($text, @delays) = ('');
    while (length(my $bytes = $more->())) {
        my $now = time;
        $text .= $bytes;
        push @delays, $now - $1 while $text =~ s/^.*?data: ([\d.]+)\n\n//s;
    }
    @delays = sort { $a <=> $b } @delays;
    return @delays;
}

# ---------------------------------------------------------------- other clients

# curl's standard output; arguments as on its command line.
sub curl {
    open my $pipe, '-|', 'curl', '-s', '--max-time', '100', @_ or die "curl: $!";
    binmode $pipe;
    local $/;
    my $output = <$pipe>;
    close $pipe;
    return $output // '';
}

# An answer by curl, which reads bodies from files; as parse_response() has it.
sub ask_url {
    my ($url, @options) = @_;
    return parse_response(curl('--raw', '-i', '-H', 'Expect:', @options, $url));
}

sub have_http2 {
    return mpm() ne 'prefork'
        && defined port('h2')
        && `curl --version` =~ /\bHTTP2\b/;
}

# A test's own httpd, with the suite's modules; see OwnHttpd.
sub own_httpd {
    my $stage = dirname($t);
    my $modules = '';
    for my $path ("$stage/system.conf", "$stage/modules.conf") {
        open my $file, '<', $path or die "$path: $!";
        $modules .= join '', grep { !/^ServerRoot/ } <$file>;
    }
    # Its daemon outlives a parent that was killed.
    $modules =~ s{<IfModule !mod_cgid.c>.*?</IfModule>\n}{}s;
    require OwnHttpd;
    return OwnHttpd->new(program => Apache::Test::vars('httpd'), modules => $modules,
        build => $bin, below => $run, @_);
}

# The bytes that kitchen's /big sends.
sub pattern {
    my ($len) = @_;
    my $unit = join '', map { chr(ord('a') + $_ % 26) } 0 .. 25;
    return substr $unit x (1 + $len / 26), 0, $len;
}

1;
