#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# A Plack application, by its own FastCGI handler, and a C++ program on libfcgi's streams,
# behind door_fcgi and behind mod_fcgid: the bytes are the same.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use OwnHttpd ();

my $build = abs_path($ENV{BUILD} // 'build');
my $apxs = $ENV{APXS} // 'apxs';
chomp(my ($modules, $sbin, $progname) = map { `$apxs -q $_` } qw(LIBEXECDIR SBINDIR PROGNAME));
my @pids;
$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    local $?;
    kill 'TERM', @pids;
    waitpid $_, 0 for @pids;
}

my $dir = File::Temp->newdir('/tmp/mod_door-plack.XXXXXX');
chmod 0755, "$dir";
mkdir "$dir/$_" for qw(run logs bin htdocs htdocs/plack htdocs/cpp);
system 'cp', '-a', glob("$build/libdoor*.so*"), "$dir";
system 'cp', "$build/gateways/door_fcgi", "$dir/bin/";

sub spew {
    my ($path, $text, $mode) = @_;
    open my $file, '>', "$dir/$path" or die "$path: $!";
    print $file $text;
    close $file or die $!;
    chmod $mode // 0644, "$dir/$path";
}

spew('bin/app.fcgi', <<'PERL', 0755);
#!/usr/bin/perl
use strict;
use Plack::Handler::FCGI;
use Plack::Request;
Plack::Handler::FCGI->new(nproc => 1, manager => undef)->run(sub {
    my $request = Plack::Request->new(shift);
    return [302, [Location => $request->base . 'elsewhere'], []] if $request->path_info eq '/moved';
    return [404, ['Content-Type' => 'text/plain'], ['nothing here']] if $request->path_info eq '/none';
    return sub {
        my $writer = $_[0]->([200, ['Content-Type' => 'text/plain', 'X-Many' => 1, 'X-Many' => 2]]);
        $writer->write("$_\n") for $request->method, $request->base, $request->path_info,
            join('&', map { "$_=" . $request->param($_) } sort $request->param), length $request->content;
        $writer->close;
    };
});
PERL
spew('app.cc', <<'CPP');
#include <fcgio.h>
#include <iostream>
#include <iterator>
#include <string>

int main()
{
    FCGX_Request request;

    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        fcgi_streambuf in_buffer(request.in), out_buffer(request.out);
        std::istream in(&in_buffer);
        std::ostream out(&out_buffer);
        std::string body((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());

        out << "Content-Type: text/plain\r\n\r\n" << FCGX_GetParam("REQUEST_METHOD", request.envp) << ' '
            << FCGX_GetParam("QUERY_STRING", request.envp) << ' ' << body.size() << '\n' << body;
    }
}
CPP
is system("c++ -o $dir/bin/app $dir/app.cc -lfcgi++ -lfcgi"), 0, 'a C++ program';

sub start {
    my ($name, $port, $conf, @more) = @_;
    mkdir "$dir/$name";
    chown +(getpwnam 'nobody')[2, 3], "$dir/$name" if $> == 0;
    spew("$name/httpd.conf", join '', map({ -e "$modules/mod_$_.so" ? "LoadModule ${_}_module $modules/mod_$_.so\n" : '' }
        qw(mpm_event authz_core alias), @more), <<"CONF", $conf);
ServerRoot $dir/$name
ServerName localhost
Listen 127.0.0.1:$port
PidFile pid
ErrorLog $dir/logs/$name
@{[$> == 0 ? "User nobody\nGroup nogroup" : '']}
DocumentRoot $dir/htdocs
CONF
    my $pid = fork // die $!;
    if ($pid == 0) {
        open STDOUT, '>', "$dir/logs/console.$name";
        open STDERR, '>&', \*STDOUT;
        exec "$sbin/$progname", '-f', "$dir/$name/httpd.conf", '-DFOREGROUND' or POSIX::_exit(127);
    }
    push @pids, $pid;
}

my ($port, $fcgid_port) = map { OwnHttpd::free_port() } 1 .. 2;
start('door', $port, <<"CONF");
LoadModule door_module $build/mod_door.so
DoorRuntimeDir $dir/run
DoorApp plack "$dir/bin/door_fcgi --processes 2 $dir/bin/app.fcgi"
DoorApp cpp "$dir/bin/door_fcgi --processes 2 $dir/bin/app"
<Location /plack>
    DoorHandler plack
</Location>
<Location /cpp>
    DoorHandler cpp
</Location>
CONF
start('fcgid', $fcgid_port, <<"CONF", 'fcgid');
FcgidIPCDir $dir/fcgid
FcgidProcessTableFile $dir/fcgid/shm
FcgidMaxRequestLen 100000000
ScriptAlias /plack $dir/bin/app.fcgi
ScriptAlias /cpp $dir/bin/app
<Directory $dir/bin>
    SetHandler fcgid-script
    Options +ExecCGI
</Directory>
CONF

# Without the date, and how the body is framed.
sub ask {
    my ($at, $path, @more) = @_;
    my $text = `curl -s -i -m 60 -H Expect: -H 'Host: 127.0.0.1:$port' @more 'http://127.0.0.1:$at$path'`;
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my @lines = grep { !/^(?:Date|Server|Transfer-Encoding|Content-Length|Connection|Vary):/ } split /\r\n/, $head // '';
    s/^(X-Many: 1), 2$/$1\nX-Many: 2/ for @lines;
    return join "\n", sort(@lines), '', $body // '';
}

for my $at ($port, $fcgid_port) {
    my $until = time + 60;
    sleep 0.1 until ask($at, '/cpp') =~ m{^HTTP/1.1 200}m || time > $until;
}
spew('upload', 'u' x 3_000_000);
for ('/plack/path?a=1&b=2', '/plack/moved', '/plack/none', '/plack', '/cpp?x=y', '/cpp/below') {
    like ask($port, $_), qr{^HTTP/1.1 (?:200|302|404)}m, "$_ is answered";
    is ask($port, $_), ask($fcgid_port, $_), '... as behind mod_fcgid';
}
for my $path ('/plack/form', '/cpp') {
    my @form = ('-d', 'a=b');
    is ask($port, $path, @form), ask($fcgid_port, $path, @form), "a form to $path";
    my @upload = ('--data-binary', "\@$dir/upload", '-H', 'Content-Type:x/y');
    ok ask($port, $path, @upload) eq ask($fcgid_port, $path, @upload), '... and an upload';
}
done_testing;
