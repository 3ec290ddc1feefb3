#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# The open-loop client counts from when a request was due: what a server was late for while it
# stalled is seen, and not only the few requests that it was serving then.

use strict;
use warnings FATAL => 'all';

use IO::Select ();
use IO::Socket::INET ();
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $client = ($ENV{BUILD} // 'build') . '/bench/open_loop';
plan skip_all => 'it is for Linux' if $^O ne 'linux';

my @servers;
my $test = $$;

END {
    if ($$ == $test) {
        local $?;
        for (@servers) { kill 'KILL', $_; waitpid $_, 0 }
    }
}

# One process for all connections, so that a stall meets each of them.  What $answer returns for
# a request's number is sent; after undef the connection is closed.
sub serve {
    my ($listener, $answer) = @_;
    my ($select, $number, %said) = (IO::Select->new($listener), 0);
    alarm 60;
    while (1) {
        for my $ready ($select->can_read) {
            if ($ready == $listener) {
                $select->add($listener->accept);
                next;
            }
            my $got = sysread $ready, $said{$ready}, 4096, length($said{$ready} // '');
            my $text = $got ? '' : undef;
            $text = $answer->($number++) if $got && $said{$ready} =~ s/\A.*?\r\n\r\n//s;
            if (defined $text) {
                syswrite $ready, $text;
            } else {
                $select->remove($ready);
                delete $said{$ready};
                close $ready;
            }
        }
    }
}

# Its port.
sub start_server {
    my ($answer) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die $!;
    my $pid = fork // die $!;
    if ($pid == 0) {
        serve($listener, $answer);
        POSIX::_exit(0);
    }
    push @servers, $pid;
    return $listener->sockport;
}

sub ask {
    my $said = `$client @_ 2>&1`;
    return $? == 0 ? decode_json($said) : {failed => $said};
}

my $right = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
my $chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";

# ---------------------------------------------------------------- a stall of 300 ms

my $result;
for (1 .. 5) {
    my $stalls = start_server(sub {
        my ($number) = @_;
        sleep 0.3 if $number == 1000;
        return $number % 2 ? $right : $chunked;
    });
    $result = ask($stalls, '/', 1000, 4, 2);
    # Or the machine has had a stall of its own.
    last if ($result->{rate} // 0) > 800 && $result->{p50} < 100_000 && !$result->{errors};
}
is $result->{requests}, 2000, 'a rate of 1,000 for two seconds are 2,000 requests';
is $result->{errors}, 0, 'all are answered';
cmp_ok $result->{rate}, '>', 800, 'at about that rate';
cmp_ok $result->{rate}, '<', 1001, 'and no faster';

# 300 of the 2,000 were due meanwhile, with latencies of 0 to 300 ms; only four were under way.
cmp_ok $result->{p50}, '<', 100_000, 'most have not seen the stall';
cmp_ok $result->{p90}, '>', 60_000, 'the one in ten that was due late in it has';
cmp_ok $result->{p99}, '>', 200_000, 'so has the one in a hundred';
cmp_ok $result->{p999}, '>', 250_000, 'and the one in a thousand';
cmp_ok $result->{max}, '>', 290_000, 'the longest is that of the stall';

# ---------------------------------------------------------------- what goes wrong

my $closes = start_server(sub { $_[0] % 100 == 50 ? undef : $right });
$result = ask($closes, '/', 500, 4, 1);
is $result->{requests}, 500, 'connections that end do not end the run';
is $result->{errors}, 5, 'what was asked on them are errors';

my $fails = start_server(sub { $_[0] % 10 ? $right : $right =~ s/200 OK/503 No/r });
$result = ask($fails, '/', 500, 4, 1);
is $result->{errors}, 50, 'so are other statuses';

my $hangs = start_server(sub { $_[0] < 90 ? $right : '' });
my $began = time;
$result = ask($hangs, '/', 100, 2, 1);
cmp_ok time - $began, '<', 20, 'a server that answers no more does not hold the client';
is $result->{errors}, 10, 'what it has not answered are errors';
cmp_ok $result->{max}, '>', 1_500_000, 'and have waited until the end';

my $nobody = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
like ask($nobody, '/', 10, 1, 1)->{failed}, qr/cannot connect to 127\.0\.0\.1:$nobody/,
    'where nobody listens it says so';
like ask($nobody, '/', 0, 1, 1)->{failed}, qr/^usage:/, 'a rate of nothing is none';

done_testing;
