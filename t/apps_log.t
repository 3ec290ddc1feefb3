# SPDX-License-Identifier: Apache-2.0
#
# What launched applications print reaches the error log wherever that is, and
# a log that blocks, blocks nobody.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);
use DoorTest;

# An application that prints what is written to a named pipe.
sub start {
    my ($httpd) = @_;
    my $dir = $httpd->dir;
    system 'mkfifo', "$dir/say" unless -p "$dir/say";
    $httpd->script(says => "cat <>$dir/say &\nexec $dir/bin/kitchen");
    $httpd->configure(qq{DoorApp says $dir/bin/says\n<Location /says>\nDoorHandler says\n</Location>});
    return $httpd->start && $httpd->status('/says/env') == 200;
}

sub say_to {
    my ($httpd, $text) = @_;
    open my $pipe, '+<', $httpd->dir('say') or die $!;
    syswrite $pipe, $text;
    close $pipe;
}

# ---- a file, rotated

my $httpd = own_httpd();
my $dir = $httpd->dir;
ok start($httpd), 'the log is a file';
say_to($httpd, "before\n");
ok $httpd->logs(qr/says\[\d+\]: before$/m), '... lines reach it';
rename "$dir/logs/error_log", "$dir/logs/error_log.1" or die $!;
say_to($httpd, "between\n");
my $rotated = sub { open my $file, '<', "$dir/logs/error_log.1"; local $/; <$file> };
ok $httpd->wait_for(sub { $rotated->() =~ /: between$/m }), '... also when it is renamed';
ok $httpd->graceful, '... after a restart';
# The supervisor hears of it a moment later.
ok $httpd->wait_for(sub { say_to($httpd, "after\n"); $httpd->log_text =~ /says\[\d+\]: after$/m }), '... the new one';
say_to($httpd, "at last\n");
ok $httpd->logs(qr/says\[\d+\]: at last$/m), '... it stays with that';
unlike $rotated->(), qr/: at last$/m, '... alone';
ok $httpd->stop, 'httpd stops';

# ---- logs of their own

$httpd = own_httpd();
$dir = $httpd->dir;
sub slurp { my ($path) = @_; open my $file, '<', $path or return ''; local $/; return <$file> // '' }
sub conf {
    my ($httpd, %outputs) = @_;
    my $dir = $httpd->dir;
    my $conf = "<VirtualHost *:1>\nServerName shop.example\nErrorLog logs/shop_error_log\n</VirtualHost>\n";
    for my $name (sort keys %outputs) {
        system 'mkfifo', "$dir/say-$name" unless -p "$dir/say-$name";
        $httpd->script($name => "cat <>$dir/say-$name &\nexec $dir/bin/hello")
            unless -e "$dir/bin/$name";
        $conf .= qq{DoorApp $name $dir/bin/$name $outputs{$name}\n<Location /$name>\nDoorHandler $name\n</Location>\n};
    }
    return $conf;
}
sub say_as {
    my ($name, $text) = @_;
    open my $pipe, '+<', "$dir/say-$name" or die $!;
    syswrite $pipe, $text;
    close $pipe;
}
sub comes { my ($file, $what) = @_; $httpd->wait_for(sub { slurp("$dir/logs/$file") =~ $what }) }

$httpd->script(logger => "exec cat >>$dir/logs/program_log");
my %outputs = (file => 'output=logs/file_log', program => qq{"output=|$dir/bin/logger"},
    host => 'output=vhost:shop.example', server => '');
$httpd->configure(conf($httpd, %outputs, wrong => 'output=vhost:nobodys.example'));
like $httpd->check, qr/DoorApp wrong: output=vhost:nobodys\.example: there is no virtual host/,
    'output=: a virtual host that is not there';
$httpd->configure(conf($httpd, %outputs));
ok $httpd->start, '... a file, a program, a virtual host';
is $httpd->status("/$_"), 200, "... $_ answers" for sort keys %outputs;
say_as($_ => "{\"by\": \"$_\"}\n<3>bad\n") for sort keys %outputs;
ok comes("${_}_log", qr/^\{"by": "$_"\}\nbad\n\z/), "... a $_ has what it prints, as it prints it"
    for qw(file program);
ok comes('shop_error_log', qr/^\[.*\[door:warn\].* host\[\d+\]: \{"by": "host"\}\n.*\[door:error\].*bad\n\z/),
    '... a virtual host has it as its own lines';
ok $httpd->logs(qr/server\[\d+\]: \{"by": "server"\}$/m), "... the server's log has those of others";
unlike $httpd->log_text, qr/"by": "(?:file|program|host)"/, '... and not these';
ok $httpd->logs(qr/file\[\d+\]: is up/), "... but what the supervisor says of them";
say_as(file => 'x' x 20_000 . "\nend\n");
ok comes('file_log', qr/^end$/m), '... a long line';
is slurp("$dir/logs/file_log") =~ tr/x//, 20_000, '... loses nothing';
my ($pid) = $httpd->log_text =~ /file\[(\d+)\]: is up/;
rename "$dir/logs/file_log", "$dir/logs/file_log.1" or die $!;
ok $httpd->graceful, '... httpd restarts, a log is rotated';
# The supervisor hears of it a moment later.
ok $httpd->wait_for(sub { say_as($_ => "after\n"); slurp("$dir/logs/${_}_log") =~ /^after$/m }),
    "... $_: goes on in the new one" for qw(file program);
unlike slurp("$dir/logs/file_log"), qr/by/, '... with nothing of the old one';
$httpd->configure(conf($httpd, %outputs, file => ''));
ok $httpd->graceful, '... and without output=';
ok $httpd->wait_for(sub { say_as(file => "again\n"); $httpd->log_text =~ /file\[\d+\]: again$/m }),
    "... it is in the server's log";
like $httpd->log_text, qr/file\[$pid\]: again$/m, '... from the same process';
ok $httpd->stop, 'httpd stops';

# ---- one of them blocks

$httpd = own_httpd();
$dir = $httpd->dir;
$httpd->script(logger => 'exec sleep 300');
$httpd->configure(conf($httpd, deaf => qq{"output=|$dir/bin/logger"}, server => ''));
ok $httpd->start, 'output= of a program that reads nothing';
is $httpd->status("/$_"), 200, "... $_ answers" for qw(deaf server);
say_as(deaf => join '', map { 'x' x 999 . "\n" } 1 .. 60) for 1 .. 4;
say_as(server => "still here\n");
ok $httpd->logs(qr/server\[\d+\]: still here$/m), "... others' lines are written";
ok $httpd->logs(qr/lines dropped, the log did not take them/), '... the log tells that some got lost';
is $httpd->status('/deaf'), 200, '... it goes on to answer';
ok $httpd->stop, 'httpd stops';

# ---- one of them prints without an end

$httpd = own_httpd();
$dir = $httpd->dir;
my $flood = 'while :; do echo x; done & ';
$httpd->script(flood => $flood x 3 . "exec $dir/bin/hello");
$httpd->configure("DoorApp flood $dir/bin/flood output=logs/flood_log\nDoorApp raw $dir/bin/raw\n");
ok $httpd->start, 'output= of one that prints without an end';
ok $httpd->wait_for(sub { $httpd->log_text =~ /lines dropped, the log did not take them/ && $httpd->apps('raw') }),
    '... more than is written';
my $told = sub { scalar(() = $httpd->log_text =~ /lines dropped, the log did not take them/g) };
my $began_flood = time - 1; # there may be one in the second that has begun
my $before = $told->();
sleep 3;
cmp_ok $told->() - $before, '<=', time - $began_flood, '... which is told once a second';
for my $round (1 .. 5) {
    my $of = ($httpd->apps('raw'))[0];
    kill 'KILL', $of;
    ok $httpd->wait_for(sub { my ($next) = $httpd->apps('raw'); $next && $next != $of }), "... another application ends: $round";
    ok $httpd->logs(qr/raw\[$of\]: ended.*signal 9/), '... the log tells';
}
ok $httpd->stop, 'httpd stops';

# ---- the access log

$httpd = own_httpd();
$dir = $httpd->dir;
$httpd->configure(<<"CONF");
DoorApp kitchen $dir/bin/kitchen
LogFormat "%U %{door-dish}n %{door-eater}n %>s" fields
CustomLog logs/access_log fields
<Location /kitchen>
    DoorHandler kitchen
</Location>
CONF
ok $httpd->start, 'a LogFormat with fields of the application';
my @answers = map { [$httpd->get("/kitchen/$_")] } 'logged?dish=soup', 'logged?dish=stew&eater=Ann',
    'logged', 'logged?dish=' . 'x' x 1025;
is $_->[0], 200, '... answers' for @answers;
unlike join('', map { "$_->[1]$_->[2]" } @answers), qr/soup|stew|Ann|door-/, '... no client gets them';
like $answers[3][1], qr/^dish: Invalid argument/, '... one that is too long is refused';
my $accesses = sub { open my $file, '<', "$dir/logs/access_log"; local $/; <$file> // '' };
ok $httpd->wait_for(sub { (() = $accesses->() =~ /\n/g) >= 4 }), '... the log is written';
is $accesses->(), "/kitchen/logged soup - 200\n/kitchen/logged stew Ann 200\n"
    . "/kitchen/logged - - 200\n/kitchen/logged - - 200\n", '... with them';
ok $httpd->stop, 'httpd stops';

# ---- a program

$httpd = own_httpd(log => '"|/bin/sh bin/logger"');
$dir = $httpd->dir;
$httpd->script(logger => "exec cat >>$dir/logs/error_log");
ok start($httpd), 'the log is a program';
say_to($httpd, "before\n");
ok $httpd->logs(qr/says\[\d+\]: before$/m), '... lines reach it';
ok $httpd->graceful, '... httpd restarts';
say_to($httpd, "after\n");
ok $httpd->logs(qr/says\[\d+\]: after$/m), '... also after a restart';
ok $httpd->stop, 'httpd stops';

# ---- one that does not read

$httpd = own_httpd(log => '"|/bin/sleep 600"');
$dir = $httpd->dir;
ok start($httpd), 'the log is a program that does not read';
my $line = ('x' x 1000) . "\n";
say_to($httpd, $line x 50) for 1 .. 40;
is $httpd->status('/says/env'), 200, '... the application answers, whatever it prints';
my ($old) = $httpd->apps('kitchen');
kill 'KILL', $old;
ok $httpd->wait_for(sub { my ($new) = $httpd->apps('kitchen');
    $new && $new != $old && $httpd->status('/says/env') == 200 }), '... and is started again';
kill 'KILL', $httpd->processes(qr/sleep 600/);
my $began = time;
ok $httpd->stop, 'httpd stops';
cmp_ok time - $began, '<', 30, '... in time';
kill 'KILL', $httpd->processes(qr/./);

done_testing;
