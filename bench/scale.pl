#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# scale.pl BUILD: how the cost of mod_door and door_app grows: with clients, with
# server threads, with applications, and with httpd's children.  Each part has
# httpds of its own that differ in one thing; they run at once and are asked one
# after the other, round after round, so that whatever else the machine does
# meets all of them.
#
#   QUICK=1    under a minute; every row, but a single short round of the fewest
#   PARTS      abcd; which
#   ROUNDS, SECONDS    other than the default
#   FILL=1     puts the tables into bench/SCALE.md, too
#
# Writes BUILD/bench/scale.json and scale.md.  As root, so that it may raise the
# limit of descriptors and read what others' processes have.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use File::Path ();
use JSON::PP ();
use HTTP::Tiny ();
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use Setup;
use Servers;
use Costs;

my $parts = $ENV{PARTS} // 'abcd';
my $descriptors = 16384; # httpd's, the applications', and wrk's limit

settle();

# ---------------------------------------------------------------- an httpd

my @running;

my %conf = (
    door => sub {
        my ($apps) = @_;
        my $text = "LoadModule door_module \"$mod_door\"\n";
        $text .= "DoorApp app$_ $programs/door\n" for 0 .. $apps - 1;
        return $text . join '',
            map { "<Location /$_>\nDoorHandler app" . $_ % $apps . "\n</Location>\n" } 0 .. 9;
    },
    inprocess => sub {
        return "LoadModule inprocess_module \"$programs/mod_inprocess.so\"\n"
            . "<Location />\nSetHandler inprocess\n</Location>\n";
    },
);

# All children are there from the start: what is measured is not how they are made.
sub start_scaled {
    my ($name, %is) = @_;
    my $self = {name => $name, apps => 1, %is, dir => "$dir/$name", port => free_port()};
    File::Path::make_path("$self->{dir}/run");
    my $threads = $self->{children} * $self->{threads};
    my $owner = $is_root ? "User $user\nGroup nogroup\n" : '';
    spew("$self->{dir}/httpd.conf", <<"CONF" . $conf{$self->{handler}}->($self->{apps}));
LoadModule authz_core_module "$modules/mod_authz_core.so"
LoadModule mpm_event_module "$modules/mod_mpm_event.so"
ServerRoot "$self->{dir}"
DefaultRuntimeDir "$self->{dir}/run"
PidFile run/httpd.pid
Listen 127.0.0.1:$self->{port}
ListenBacklog 4096
ServerName localhost
ErrorLog log
LogLevel error
MaxKeepAliveRequests 0
KeepAliveTimeout 30
<Directory />
AllowOverride None
</Directory>
$owner
StartServers $self->{children}
ServerLimit $self->{children}
ThreadLimit $self->{threads}
ThreadsPerChild $self->{threads}
MinSpareThreads $threads
MaxSpareThreads $threads
MaxRequestWorkers $threads
CONF
    push @running, $self;
    $self->{roots} = [spawn({log => "$self->{dir}/log", descriptors => $descriptors}, $httpd, '-d',
        $self->{dir}, '-f', "$self->{dir}/httpd.conf", '-DFOREGROUND')];
    return $self;
}

sub wait_until_right {
    my ($self, @paths) = @_;
    my $http = HTTP::Tiny->new(timeout => 10);
    for my $path (@paths) {
        my $until = time + 30;
        until ((my $answer = $http->get("http://127.0.0.1:$self->{port}$path"))->{success}) {
            die "$self->{name}: $path says $answer->{status}, see $self->{dir}/log\n" if time > $until;
            sleep 0.1;
        }
    }
}

# ---------------------------------------------------------------- what it costs

# Its processes: httpd's own, the supervisor among them, and the applications'.
sub parts {
    my ($self) = @_;
    my %found = (httpd => [], app => []);
    for my $pid (processes($self)) {
        my $is_app = (readlink "/proc/$pid/exe" // '') eq "$programs/door";
        push @{$found{$is_app ? 'app' : 'httpd'}}, $pid;
    }
    return \%found;
}

# KiB, threads and descriptors of these processes together; a channel of libdoor has one memory file.
sub size_of {
    my ($pids) = @_;
    my %size = (pss => 0, threads => 0, processes => scalar @$pids, fds => 0, memory_files => 0);
    for my $pid (@$pids) {
        $size{pss} += pss_of($pid);
        $size{threads} += $1 if slurp("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m;
        for (glob "/proc/$pid/fd/*") {
            my $what = readlink // next;
            $size{fds}++;
            $size{memory_files}++ if $what =~ /memfd:door/;
        }
    }
    return \%size;
}

sub wrk {
    my ($self, $clients, @arguments) = @_;
    my $said = `ulimit -n $descriptors; wrk -t1 -c$clients -d${seconds}s --timeout 10s \\
        -s $bench/scale.lua http://127.0.0.1:$self->{port} -- @arguments 2>&1`;
    my @result = $said =~ /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)/m;
    die "wrk: $said" unless @result;
    return @result;
}

sub sample {
    my ($self, $clients, @paths) = @_;
    my $before = parts($self);
    my %cpu = map { $_ => cpu_of(@{$before->{$_}}) } keys %$before;
    my ($requests, $us, $p50, $p99, $broken, $refused) = wrk($self, $clients, @paths);
    my $after = parts($self);
    my %sample = (rate => $requests / ($us / 1e6), p50 => $p50, p99 => $p99, broken => $broken,
        refused => $refused);
    for my $part (keys %$after) {
        my $used = cpu_of(@{$after->{$part}}) - $cpu{$part};
        $sample{"${part}_cpu"} = $requests ? $used * 1e6 / $requests : 0;
        my $size = size_of($after->{$part});
        $sample{"${part}_$_"} = $size->{$_} for keys %$size;
    }
    return \%sample;
}

# Medians of the rounds; errors are added up: connections that broke, and statuses that are errors.
sub summary {
    my ($samples) = @_;
    my %row;
    for my $key (keys %{$samples->[0]}) {
        $row{$key} = median(map { $_->{$key} } @$samples);
    }
    for my $error ('broken', 'refused') {
        $row{$error} = 0;
        $row{$error} += $_->{$error} for @$samples;
    }
    $row{errors} = $row{broken} . ($row{refused} ? " and $row{refused} statuses" : '');
    return \%row;
}

# Asks all of them in turn: {name}{clients} of their medians.
sub measure {
    my ($what, $instances, $clients, @paths) = @_;
    my %rows;
    wait_until_right($_, @paths) for @$instances;
    for my $count (@$clients) {
        print STDERR "$what, $count clients\n";
        my %samples;
        for (1 .. $rounds) {
            push @{$samples{$_->{name}}}, sample($_, $count, @paths) for @$instances;
        }
        $rows{$_->{name}}{$count} = summary($samples{$_->{name}}) for @$instances;
    }
    return \%rows;
}

# ---------------------------------------------------------------- the parts

my %table;

sub row { join('', map { "| $_ " } @_) . "|\n" }
sub head { row(@_) . '|--:' x @_ . "|\n" }
sub mib { sprintf '%.1f', $_[0] / 1024 }
sub ms { sprintf '%.1f', $_[0] / 1000 }
sub whole { sprintf '%.0f', $_[0] }

# "ours : the handler inside httpd"
sub both { my ($how, $key, @rows) = @_; join ' : ', map { $how->($_->{$key}) } @rows }

sub clients {
    my $door = start_scaled('a-door', handler => 'door', children => 8, threads => 256);
    my $limit = start_scaled('a-inprocess', handler => 'inprocess', children => 8, threads => 256);
    my @clients = $quick ? (1, 32, 512, 2000) : (1, 8, 32, 128, 512, 1000, 2000);
    my $rows = measure('a', [$limit, $door], \@clients, '/0/tiny');
    my $md = head('clients', 'requests/s', 'share', 'p99 ms', 'CPU us of httpd', 'of the application',
        'MiB of httpd', 'of the application', 'its threads', 'its descriptors', 'errors');
    for my $count (@clients) {
        my ($d, $l) = map { $rows->{$_}{$count} } 'a-door', 'a-inprocess';
        $md .= row($count, both(\&whole, rate => $d, $l), sprintf('%.2f', $d->{rate} / $l->{rate}),
            both(\&ms, p99 => $d, $l), both(\&whole, httpd_cpu => $d, $l), whole($d->{app_cpu}),
            both(\&mib, httpd_pss => $d, $l), mib($d->{app_pss}), $d->{app_threads}, $d->{app_fds},
            "$d->{errors} : $l->{errors}");
    }
    return ($rows, "`/tiny`, 8 children of 256 threads; mod_door : the handler inside httpd.\n\n$md");
}

# N clients of a handler that sleeps 10 ms: N calls run at once.
sub threads {
    my $door = start_scaled('b-door', handler => 'door', children => 4, threads => 128);
    my $limit = start_scaled('b-inprocess', handler => 'inprocess', children => 4, threads => 128);
    my @clients = $quick ? (1, 16, 256) : (1, 4, 16, 64, 128, 256);
    my $rows = measure('b', [$limit, $door], \@clients, '/0/sleep');
    my $first = $rows->{'b-door'}{1};
    my $md = head('clients', 'threads of the application', 'requests/s', 'p99 ms', 'CPU us of httpd',
        'of the application', 'MiB of httpd', 'of the application', 'KiB for each further thread');
    for my $count (@clients) {
        my ($d, $l) = map { $rows->{$_}{$count} } 'b-door', 'b-inprocess';
        my $more = $d->{app_threads} - $first->{app_threads};
        $md .= row($count, $d->{app_threads}, both(\&whole, rate => $d, $l), both(\&ms, p99 => $d, $l),
            both(\&whole, httpd_cpu => $d, $l), whole($d->{app_cpu}), both(\&mib, httpd_pss => $d, $l),
            mib($d->{app_pss}),
            $more > 0 ? sprintf('%.1f', ($d->{app_pss} - $first->{app_pss}) / $more) : '');
    }
    return ($rows, "`/sleep` (10 ms), 4 children of 128 threads; mod_door : the handler inside httpd.\n\n$md");
}

sub applications {
    my @instances = map { start_scaled("c-$_", handler => 'door', apps => $_, children => 4, threads => 128) }
        1, 10;
    my @clients = $quick ? (32) : (32, 128);
    my @paths = map { "/$_/tiny" } 0 .. 9;
    my $rows = measure('c', \@instances, \@clients, @paths);
    my $md = head('clients', 'applications', 'requests/s', 'p99 ms', 'CPU us of httpd',
        'of the applications', 'MiB of httpd', 'of the applications', 'their threads',
        'their descriptors', 'httpd\'s descriptors', 'errors');
    for my $count (@clients) {
        for my $apps (1, 10) {
            my $r = $rows->{"c-$apps"}{$count};
            $md .= row($count, $apps, whole($r->{rate}), ms($r->{p99}), whole($r->{httpd_cpu}),
                whole($r->{app_cpu}), mib($r->{httpd_pss}), mib($r->{app_pss}), $r->{app_threads},
                $r->{app_fds}, $r->{httpd_fds}, $r->{errors});
        }
    }
    return ($rows, "`/tiny` below ten locations in turn, 4 children of 128 threads.\n\n$md");
}

# Kept connections stay with the few children that took them; closed ones come to all.
# Until the application has a channel from each, and one to its response door.
sub reach_all_children {
    my ($self, @paths) = @_;
    for (1 .. 20) {
        wrk($self, 64, '-close', @paths);
        return if size_of(parts($self)->{app})->{memory_files} >= 2 * $self->{children};
    }
    die "$self->{name}: some children got no request, or not all of them a long answer\n";
}

# Long answers, so that the response doors are in use.
sub children {
    my @shapes = ([2, 192], [24, 16], [24, 64]);
    my @instances = map { start_scaled("d-$$_[0]x$$_[1]", handler => 'door', children => $$_[0],
        threads => $$_[1]) } @shapes;
    my @paths = ('/0/tiny', '/0/1m');
    wait_until_right($_, @paths) for @instances;
    reach_all_children($_, @paths) for @instances;
    my $rows = measure('d', \@instances, [128], @paths);
    my $md = head('children', 'threads each', 'requests/s', 'p99 ms', 'CPU us of httpd',
        'of the application', 'MiB of httpd', 'of the application', 'its threads', 'its channels',
        'its descriptors', 'httpd\'s descriptors', 'errors');
    for (@shapes) {
        my $r = $rows->{"d-$$_[0]x$$_[1]"}{128};
        $md .= row(@$_, whole($r->{rate}), ms($r->{p99}), whole($r->{httpd_cpu}), whole($r->{app_cpu}),
            mib($r->{httpd_pss}), mib($r->{app_pss}), $r->{app_threads}, $r->{app_memory_files},
            $r->{app_fds}, $r->{httpd_fds}, $r->{errors});
    }
    return ($rows, "`/tiny` and `/1m` in turn, 128 clients, after each child has served some: it has a"
        . " channel to the application, and the application one to its response door.\n\n$md");
}

# ---------------------------------------------------------------- the run

my $machine = machine();
my %results;
for (['a', 'Clients', \&clients], ['b', 'Server threads', \&threads],
    ['c', 'Applications', \&applications], ['d', 'Children of httpd', \&children]) {
    my ($letter, $title, $measure) = @$_;
    next if index($parts, $letter) < 0;
    ($results{$letter}, my $md) = $measure->();
    $table{$letter} = "**$title.** $md";
    stop_all(@running);
    @running = ();
}

$table{head} = "$machine->{date}, commit $machine->{commit}. $machine->{processors} processors"
    . " ($machine->{processor}), $machine->{kernel}. $machine->{httpd}"
    . ", event MPM; one `wrk` thread, kept connections; medians of $rounds rounds of $seconds s,"
    . " interleaved. CPU is per request; MiB are PSS after"
    . " the round, of httpd with its supervisor; errors are connections that broke. Load average"
    . " of the machine before: $machine->{load}.\n";

my $md = join "\n", map { $table{$_} } grep { $table{$_} } 'head', 'a' .. 'd';
spew("$build/bench/scale.md", $md);
spew("$build/bench/scale.json", JSON::PP->new->canonical->pretty->encode(\%results));
if ($ENV{FILL}) {
    my $page = slurp("$bench/SCALE.md");
    $page =~ s/(<!-- scale:$_ -->\n).*?(?=<!-- end -->)/$1$table{$_}/s for keys %table;
    spew("$bench/SCALE.md", $page);
}
print $md;
