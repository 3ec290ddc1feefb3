#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Two nodes, each an httpd with mod_door and an application, behind the balancer
# of conf/balancer.cfg: one is taken away under load, in order, by kill -9, and by
# its network.  Every request has a number, and each node's forensic log says when
# it began one and when it was through: so what was lost, and what ran twice, is
# counted request by request.
#
# Each node, and the balancer with its clients, has a network namespace of this
# run's own.  The outer process makes them, runs this file again inside the
# balancer's, and removes them with all that runs in them, however that ends.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use OwnHttpd;

my $inside = $ENV{TWO_NODES};
my $run = $inside // "mod_door-$$";
my %address = (a => '10.0.1.2', b => '10.0.1.3');

# ---------------------------------------------------------------- outside

# Whatever runs in namespaces of that name is this run's.
sub remove_namespaces {
    my ($name) = @_;
    my @spaces = grep { /^\Q$name\E-\w+$/ } map { (split)[0] // () } `ip netns list 2>/dev/null`;
    my $until = time + 10;
    while (my @pids = map { `ip netns pids $_` =~ /\d+/g } @spaces) {
        kill 'KILL', @pids;
        last if time > $until;
        sleep 0.05;
    }
    system 'ip', 'netns', 'delete', $_ for @spaces;
}

# What a run that was killed itself has left; its number is in the name.
sub remove_leftovers {
    my %dead = map { $_ => 1 } grep { $_ eq $run || !kill 0, m/(\d+)$/ }
        map { /^(mod_door-\d+)-\w+/ ? $1 : () } `ip netns list 2>/dev/null`;
    remove_namespaces($_) for keys %dead;
}

# The balancer's has a bridge, as if it were on the switch.  Says what does not work.
sub make_namespaces {
    my @commands = ("ip netns add $run-lb", "ip -n $run-lb link set lo up",
        "ip -n $run-lb link add name lan type bridge", "ip -n $run-lb link set lan up",
        "ip -n $run-lb address add 10.0.1.1/24 dev lan");
    for (sort keys %address) {
        push @commands, "ip netns add $run-$_", "ip -n $run-$_ link set lo up",
            "ip link add name port-$_ netns $run-lb type veth peer name lan netns $run-$_",
            "ip -n $run-lb link set port-$_ master lan up",
            "ip -n $run-$_ address add $address{$_}/24 dev lan", "ip -n $run-$_ link set lan up";
    }
    for my $command (@commands) {
        my $said = `$command 2>&1`;
        return "$command: $said" if $? != 0;
    }
    return;
}

sub skip_loudly {
    diag "SKIPPED: two nodes are not tested: $_[0]";
    plan skip_all => $_[0];
}

my $outer = $inside ? 0 : $$;

END {
    if ($$ == $outer) {
        local $?;
        local $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
        remove_namespaces($run);
    }
}

if ($outer) {
    skip_loudly('namespaces need root') if $> != 0;
    `sh -c 'command -v $_'` or skip_loudly("no $_") for 'ip', 'haproxy';
    remove_leftovers();
    my $problem = make_namespaces();
    skip_loudly($problem) if defined $problem;
    my $root = File::Temp->newdir('/tmp/mod_door-nodes.XXXXXX');
    chmod 0755, $root;
    my $parent = getppid;
    my $pid = fork // die $!;
    if ($pid == 0) {
        @ENV{'TWO_NODES', 'TWO_NODES_DIR'} = ($run, "$root");
        exec 'ip', 'netns', 'exec', "$run-lb", $^X, $0 or POSIX::_exit(127);
    }
    $SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
    sleep 0.05 while waitpid($pid, POSIX::WNOHANG) == 0 && getppid == $parent;
    exit($? ? 1 : 0);
}

# ---------------------------------------------------------------- the nodes

{
    package Node;
    our @ISA = ('OwnHttpd');
    use Time::HiRes qw(sleep);

    sub command {
        my ($self) = @_;
        return ('ip', 'netns', 'exec', $self->{space}, $self->SUPER::command);
    }

    sub listens { defined IO::Socket::INET->new(PeerAddr => "$_[0]{address}:80", Timeout => 1) }

    # {number}: 1 for a request that was begun, 2 for one that is through.  Numbers that
    # were begun twice are in {twice}.
    sub requests {
        my ($self) = @_;
        my (%number, %state, %twice);
        open my $file, '<', $self->dir('logs/forensic') or return ({}, {});
        while (<$file>) {
            if (/^\+([^|]+)\|\w+ \S+[?&]number=([\w.]+)/) {
                $twice{$2} = 1 if $state{$2};
                $number{$1} = $2;
                $state{$2} = 1;
            } elsif (/^-(\S+)/ && defined $number{$1}) {
                $state{$number{$1}} = 2;
            }
        }
        return (\%state, \%twice);
    }
}

my $build = abs_path($ENV{BUILD} // 'build');
chomp(my $program = `. scripts/httpd.sh && httpd_program`);
my $modules = `. scripts/httpd.sh && load_modules mpm_event unixd authz_core log_forensic`;
$modules .= "LoadModule door_module \"$build/mod_door.so\"\n";
my $root = $ENV{TWO_NODES_DIR};

sub make_node {
    my ($name) = @_;
    my $node = Node->new(program => $program, modules => $modules, build => $build,
        below => $root, dir => "$root/$name", space => "$run-$name", address => $address{$name},
        prologue => "User www-data\nGroup www-data\n");
    my $dir = $node->dir;
    $node->configure(<<"CONF");
Listen $address{$name}:80
ServerLimit 2
ThreadLimit 4
ThreadsPerChild 4
MinSpareThreads 1
MaxSpareThreads 8
MaxRequestWorkers 8
ForensicLog logs/forensic
DoorApp kitchen $dir/bin/kitchen
DoorApp hello $dir/bin/hello
<Location /kitchen>
DoorHandler kitchen
</Location>
<Location /alive>
DoorHandler hello
</Location>
CONF
    return $node;
}

my %node = map { $_ => make_node($_) } sort keys %address;

# ---------------------------------------------------------------- the balancer

my $socket = "$root/admin.sock";

sub start_balancer {
    open my $from, '<', 'conf/balancer.cfg' or die $!;
    my $text = do { local $/; <$from> };
    $text =~ s{/run/haproxy/admin.sock}{$socket}g;
    $text =~ s/maxconn 120/maxconn 6/g or die 'no maxconn'; # more clients than a node can serve
    open my $to, '>', "$root/balancer.cfg" or die $!;
    print $to $text;
    close $to or die $!;
    my $said = `haproxy -c -f $root/balancer.cfg 2>&1`;
    is $?, 0, 'haproxy takes conf/balancer.cfg' or BAIL_OUT($said);
    my $pid = fork // die $!;
    if ($pid == 0) {
        open STDOUT, '>', "$root/balancer.log" or die $!;
        open STDERR, '>&', \*STDOUT or die $!;
        exec 'haproxy', '-db', '-f', "$root/balancer.cfg" or POSIX::_exit(127);
    }
    return $pid;
}

sub administer {
    my ($what) = @_;
    my $admin = IO::Socket::UNIX->new(Peer => $socket) or return '';
    print $admin "$what\n";
    local $/;
    return <$admin> // '';
}

# A column of a node's line in "show stat".
sub stat_of {
    my ($name, $column) = @_;
    my ($head, @lines) = split /\n/, administer('show stat');
    my @names = split /,/, ($head // '') =~ s/^# //r;
    for (@lines) {
        my %value;
        @value{@names} = split /,/, $_, -1;
        return $value{$column} if $value{pxname} eq 'nodes' && $value{svname} eq $name;
    }
    return '';
}

sub wait_for { $node{a}->wait_for(@_) }
sub is_up { my ($name) = @_; wait_for(sub { stat_of($name, 'status') =~ /^UP/ }, 30) }

# ---------------------------------------------------------------- the clients

my $client_count = 24;

# The status of one answer that is whole, or 0; the connection goes if it cannot be used again.
sub ask {
    my ($connection, $method, $path) = @_;
    $$connection //= IO::Socket::INET->new(PeerAddr => '127.0.0.1:80') or return 0;
    my $body = $method eq 'POST' ? 'x=1' : '';
    my $length = $method eq 'POST' ? "Content-Length: 3\r\n" : '';
    local $SIG{PIPE} = 'IGNORE';
    print {$$connection} "$method $path HTTP/1.1\r\nHost: site\r\n$length\r\n$body";
    $$connection->flush;
    my ($text, $status) = ('', 0);
    while (sysread $$connection, $text, 65536, length $text) {
        my ($head, $rest) = $text =~ /^(.*?\r\n\r\n)(.*)/s or next;
        my ($expected) = $head =~ /^Content-Length: (\d+)/mi or last;
        next if length $rest < $expected;
        ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
        undef $$connection if $head =~ /^Connection: close/mi;
        return $status;
    }
    undef $$connection;
    return 0;
}

# One client: half of them keep their connections; every other request is a POST.
sub run_client {
    my ($phase, $client) = @_;
    my ($stop, $connection) = (0);
    my $parent = getppid;
    # The request that is under way still gets its answer, or the alarm ends all.
    POSIX::sigaction(POSIX::SIGTERM, POSIX::SigAction->new(sub { $stop = 1 }, POSIX::SigSet->new,
        POSIX::SA_RESTART));
    open my $results, '>', "$root/results.$phase.$client" or die $!;
    for (my $i = 1; !$stop && getppid == $parent; $i++) {
        my $method = ($i + $client) % 2 ? 'GET' : 'POST';
        my $number = "$phase.$client.$i";
        my $began = time;
        alarm 60;
        my $status = ask(\$connection, $method, "/kitchen/sleep?ms=20&number=$number");
        printf $results "%s %s %d %.3f\n", $number, $method, $status, time - $began;
        undef $connection if $client % 2;
        sleep 0.02 if !$status; # nobody there: no busy loop
    }
    close $results or die $!;
}

sub start_clients {
    my ($phase) = @_;
    my @pids;
    for my $client (1 .. $client_count) {
        my $pid = fork // die $!;
        if ($pid == 0) {
            eval { run_client($phase, $client) };
            warn $@ if $@;
            POSIX::_exit($@ ? 1 : 0);
        }
        push @pids, $pid;
    }
    return \@pids;
}

# Ends the load: {number} => [method, status, seconds].
sub results {
    my ($phase, $pids) = @_;
    kill 'TERM', @$pids;
    my %result;
    my $failed = 0;
    for (@$pids) {
        waitpid $_, 0;
        $failed++ if $?;
    }
    is $failed, 0, "$phase: the clients have ended";
    for my $client (1 .. $client_count) {
        open my $file, '<', "$root/results.$phase.$client" or die $!;
        while (<$file>) {
            my ($number, @what) = split;
            $result{$number} = \@what;
        }
    }
    return \%result;
}

# How many requests of this phase a node has begun so far.
sub begun { my ($name, $phase) = @_; scalar grep { /^$phase\./ } keys %{($node{$name}->requests)[0]} }

sub both_work {
    my ($phase) = @_;
    ok wait_for(sub { begun('a', $phase) > 50 && begun('b', $phase) > 50 }), "$phase: both nodes work";
}

# The other one goes on.
sub b_works {
    my ($phase) = @_;
    my $so_far = begun('b', $phase);
    ok wait_for(sub { begun('b', $phase) > $so_far + 200 }), "$phase: ... the other one works";
}

# What must be so whatever was taken away.
sub look_at {
    my ($phase, $result) = @_;
    my ($in_a, $twice_a, $in_b, $twice_b);
    my @answered = grep { $result->{$_}[1] == 200 } keys %$result;
    my @failed = grep { $result->{$_}[1] != 200 } sort keys %$result;
    my $has_run = sub {
        my ($number) = @_;
        # httpd notes a request's end after its last byte: kill -9 may come between the two.
        my $least = $phase eq 'killed' ? 1 : 2;
        return ($in_a->{$number} // 0) >= $least || ($in_b->{$number} // 0) == 2;
    };
    ok wait_for(sub {
        ($in_a, $twice_a) = $node{a}->requests;
        ($in_b, $twice_b) = $node{b}->requests;
        return !grep { !$has_run->($_) } @answered;
    }), "$phase: what was answered had run to its end";
    my @running = grep { /^$phase\./ && $in_a->{$_} == 1 } keys %$in_a;
    my @again = grep { $in_b->{$_} } @running;

    is_deeply [grep { $result->{$_}[0] eq 'GET' } @failed], [], '... every GET is answered';
    is_deeply [grep { $in_a->{$_} && $in_b->{$_} || $twice_a->{$_} || $twice_b->{$_} }
        grep { $result->{$_}[0] eq 'POST' } keys %$result], [], '... no POST began twice';
    # What is cut off goes on to its end, and nobody hears of it.
    is_deeply [grep { /^$phase\./ && $in_a->{$_} == 2 && $in_b->{$_} } keys %$in_a], [],
        '... nothing ran again that had ended' if $phase ne 'cut';
    my ($slowest) = sort { $b <=> $a } map { $$_[2] } values %$result;
    diag sprintf '%s: %d requests; %d had begun in the node and not ended, %d of them were asked of'
        . ' the other; %d POST failed, %d of them unknown to the node; slowest %.1f s',
        $phase, scalar keys %$result, scalar @running, scalar @again, scalar @failed,
        scalar(grep { !$in_a->{$_} } @failed), $slowest;
    return (\@failed, \@running);
}

# ---------------------------------------------------------------- the test

ok $node{$_}->start, "node $_ starts" for sort keys %node;
my $balancer = start_balancer();
ok is_up($_), "the balancer finds node $_" or BAIL_OUT(`tail -n 5 $root/balancer.log`)
    for sort keys %node;
my $connection;
is ask(\$connection, GET => '/kitchen/sleep?ms=1'), 200, 'a request is answered' or BAIL_OUT('none is');

# ---- in order

my $clients = start_clients('drained');
both_work('drained');
administer('set server nodes/a state drain');
ok wait_for(sub { stat_of('a', 'scur') eq '0' }), 'drained: the node gets no more requests';
ok $node{a}->stop('WINCH'), '... its httpd has stopped, as by apachectl graceful-stop';
b_works('drained');
my ($failed, $running) = look_at('drained', results('drained', $clients));
is_deeply $failed, [], 'drained: nothing has failed';
is_deeply $running, [], '... nor was left half done';
ok $node{a}->start, 'the node is back';
administer('set server nodes/a state ready');
ok is_up('a'), '... the balancer sees it';

# ---- kill -9

$clients = start_clients('killed');
both_work('killed');
my @httpd = $node{a}->processes(qr/httpd\.conf/);
ok wait_for(sub { 3 <= grep { $_ == 1 } values %{($node{a}->requests)[0]} }), 'killed: the node is busy';
kill 'KILL', @httpd;
ok $node{a}->ended(10), "killed: the node's httpd";
b_works('killed');
($failed, $running) = look_at('killed', results('killed', $clients));
cmp_ok scalar @$running, '>', 0, 'killed: requests were running in it';
cmp_ok scalar @$failed, '<=', $client_count, '... a client has lost one at most';
ok wait_for(sub { !$node{a}->processes(qr/./) }), '... its applications have ended, too';
ok $node{a}->start, 'the node is back';
ok is_up('a'), '... the balancer sees it';

# ---- its network

$clients = start_clients('cut');
both_work('cut');
system 'ip', '-n', "$run-a", 'link', 'set', 'lan', 'down';
ok wait_for(sub { stat_of('a', 'status') =~ /^DOWN/ }, 30), 'cut: the balancer misses the node';
b_works('cut');
sleep 6; # what was under way there is given up by then
($failed, $running) = look_at('cut', results('cut', $clients));
cmp_ok scalar @$failed, '<=', $client_count, 'cut: a client has lost one at most';
system 'ip', '-n', "$run-a", 'link', 'set', 'lan', 'up';
ok is_up('a'), 'the network is back, and the balancer sees the node';
$clients = start_clients('after');
both_work('after');
($failed) = look_at('after', results('after', $clients));
is_deeply $failed, [], 'after: nothing fails';

kill 'TERM', $balancer;
waitpid $balancer, 0;
ok $node{$_}->stop, "node $_ stops" for sort keys %node;
done_testing;
