#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# door-call: an application is tried out without httpd; and the sample notes, with it.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use IPC::Open3 qw(open3);
use POSIX qw(WNOHANG);
use Symbol qw(gensym);
use Test::More;
use Time::HiRes qw(sleep time);

my $build = abs_path($ENV{BUILD} // 'build');
my $dir = File::Temp->newdir;
my $door = "$dir/notes";
my $main = $$;
my $app;

END {
    local $?;
    if ($app && $$ == $main) {
        kill 'KILL', $app;
        waitpid $app, 0;
    }
}

# (exit status, what it prints, what it says on stderr)
sub door_call {
    my $pid = open3(my $in, my $out, my $err = gensym, "$build/door-call", @_);
    close $in;
    local $/;
    my ($printed, $said) = (scalar <$out>, scalar <$err>);
    waitpid $pid, 0;
    return ($? >> 8, $printed // '', $said // '');
}

# The response's status, headers and body.
sub response {
    my ($exit, $printed) = door_call(@_);
    my ($head, $body) = split /\n\n/, $printed, 2;
    my ($status) = ($head // '') =~ /^Status: (\d+)$/m;
    return { exit => $exit, status => $status, head => $head // '', body => $body // '' };
}

my ($exit, $printed, $said) = door_call($door, 'GET', '/notes');
is $exit, 1, 'nobody is there: 1';
like $said, qr/^door-call: \Q$door\E: No such file/, '... and why';

open my $file, '>', "$dir/style.css" or die;
print $file "p { color: red }\n" x 10_000;
close $file or die;

$app = fork // die "fork: $!";
if (!$app) {
    $ENV{NOTES_FILES} = "$dir";
    open STDERR, '>', "$dir/log" or POSIX::_exit(126);
    exec "$build/examples/notes", $door or POSIX::_exit(127);
}
my $deadline = time + 60;
sleep 0.02 until response($door, 'GET', '/notes')->{exit} == 0 || time > $deadline;

my $answer = response($door, 'GET', '/notes');
is $answer->{exit}, 0, 'a response: 0';
is $answer->{status}, 200, '... with its status';
like $answer->{head}, qr{^Content-Type: text/html; charset=utf-8$}m, '... its headers';
like $answer->{head}, qr/^X-Content-Type-Options: nosniff$/m, '... also what a hook has set';
like $answer->{body}, qr{^<!doctype html><title>Notes</title>\n.*</form>\n\z}s, '... and its body';

$answer = response('-d', 'text=milk+%26+eggs', $door, 'POST', '/notes');
is $answer->{status}, 303, 'a form is taken';
like $answer->{head}, qr{^Location: /notes$}m, '... and answered by another page';
like response($door, 'GET', '/notes')->{body}, qr/milk &amp; eggs/, '... which has what was sent';
$answer = response('-s', '/my app', $door, 'GET', 'https://www.example/my%20app/notes/1?x=y');
like $answer->{body}, qr{<p>milk &amp; eggs}, 'a whole URL, below a location';
$answer = response('-s', '/my app', $door, 'GET', '/my%20app/notes');
like $answer->{body}, qr{href="/my%20app/notes/1"}, '... which the application knows';

open my $form, '>', "$dir/form" or die;
print $form 'text=from+a+file';
close $form or die;
is response('-d', "\@$dir/form", $door, 'POST', '/notes')->{status}, 303, 'a body from a file';
like response($door, 'GET', '/notes/2')->{body}, qr/from a file/, '... arrives';
is response('-H', 'Content-Type: text/plain', '-d', 'x', $door, 'POST', '/notes')->{status}, 415,
    'a header can be another one';
$answer = response('-H', 'Sec-Fetch-Site: cross-site', '-d', 'text=x', $door, 'POST', '/notes');
is $answer->{status}, 403, 'a hook answers';
is $answer->{body}, "That form is not ours\n", '... in the place of the handler';

is do { local (@ARGV, $/) = "$dir/log"; <> }, "<5>another site's form from 127.0.0.1\n",
    '... and writes a log';

$answer = response($door, 'GET', '/notes/77');
is $answer->{status}, 404, 'a note that is not there';
like $answer->{body}, qr{<title>Not here</title>}, "... has the application's page";
unlike $answer->{body}, qr{A note}, '... alone';
is response($door, 'GET', '/notes/')->{status}, 308, 'a slash too much';
$answer = response($door, 'DELETE', '/notes');
is $answer->{status}, 405, 'a method that is not there';
like $answer->{head}, qr/^Allow: GET, HEAD, POST$/m, '... and those that are';

$answer = response($door, 'GET', '/static/style.css');
is $answer->{body}, "p { color: red }\n" x 10_000, 'a file comes whole';
like $answer->{head}, qr{^Content-Type: text/css}m, '... with its type';

for (['-H', 'x', $door, 'GET', '/'], [$door, 'GET'], [$door, 'GET', 'notes'], ['-x'],
    ['-s', '/app', $door, 'GET', '/notes']) {
    is((door_call(@$_))[0], 2, "door-call @$_[0 .. $#$_]: 2");
}
like +(door_call('-h'))[1], qr/^usage: /, 'it says how it is called';

# What it says of a stream, and that the stream ends with the application.
my $pid = open3(my $in, my $out, undef, "$build/door-call", $door, 'GET', '/events');
# It has opened its way to the server, of which there is no other sign here.
for ($deadline = time + 60; -d '/proc/self/fd' && time < $deadline;) {
    last if grep { (readlink // '') =~ /memfd:door/ } glob "/proc/$pid/fd/*";
    sleep 0.02;
}
sleep 0.5;
kill 'TERM', $app;
my $ended = 0;
for ($deadline = time + 60; !$ended && time < $deadline;) {
    $ended = waitpid $app, WNOHANG;
    sleep 0.05 unless $ended;
}
kill 'KILL', $app unless $ended;
ok $ended == $app && $? == 0, 'an application that is told to end does';
undef $app;
my $stream = do { local $/; <$out> };
waitpid $pid, 0;
like $stream, qr/^event: end$/m, '... and its stream has come to its end';
is((door_call($door, 'GET', '/notes'))[0], 1, 'nobody is there any more');

like qx{mandoc -Tlint -W warning door_app/tools/door-call.1 2>&1}, qr/\A\z/, 'the page is well-formed';

done_testing;
