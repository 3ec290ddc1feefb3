#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# make install into a folder, then programs built against nothing but that, the
# way their authors would; make uninstall leaves nothing behind.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Find ();
use File::Temp ();
use Test::More;

my $build = abs_path($ENV{BUILD} // 'build');
my $make = $ENV{MAKE} // 'make';
my $cc = $ENV{CC} // 'cc';
my $apxs = $ENV{APXS} // 'apxs';
my $pkg_config = $ENV{PKG_CONFIG} // 'pkg-config';

# The caller's variables hold here too, or this would build anew; its job slots do not.
$ENV{MAKEFLAGS} =~ s/(?:^|\s)-?-j\S*|--jobserver-\S+//g if defined $ENV{MAKEFLAGS};
delete $ENV{MAKELEVEL};

# As another user's folder, which root then installs from, has been built: nothing is written to it.
sub stamps {
    return join '', map { "$_ " . (stat)[9] . "\n" } grep { -f } glob "$build/{,obj/,obj/module/,man/,conf/}*";
}

my $root = File::Temp->newdir("$build/install.XXXXXX");
my $prefix = '/opt/doors';
my @make = ($make, '-s', "BUILD=$build", "DESTDIR=$root", "PREFIX=$prefix");

sub files {
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub { push @found, $_ unless -d } }, "$root");
    return @found;
}

sub run_ok {
    my ($what, @command) = @_;
    my $output = qx{@command 2>&1};
    is $?, 0, $what or diag $output;
    return $output;
}

is system(@make, 'installed'), 0, 'all is built';
my $stamps = stamps();
is system(@make, 'install'), 0, 'make install';
is stamps(), $stamps, '... writes nothing where it was built';

chomp(my $modules = `$apxs -q LIBEXECDIR`);
for ("$modules/mod_door.so", map { "$prefix/$_" } qw(lib/libdoor.so lib/libdoor.so.1 lib/libdoor.a
    lib/libdoor_fcgi.so lib/libdoor_fcgi.so.1 lib/libdoor_fcgi.a lib/pkgconfig/libdoor_fcgi.pc
    include/door_fcgi/fcgiapp.h include/door_fcgi/fcgi_stdio.h include/door_fcgi/fcgio.h
    include/door_fcgi/fastcgi.h lib/mod_door/door_cgi
    lib/libdoor_app.so lib/libdoor_app.so.1 lib/libdoor_app.a lib/pkgconfig/libdoor.pc
    lib/pkgconfig/libdoor_app.pc include/libdoor/door.h include/libdoor/stropts.h
    include/libdoor/sys/door.h
    include/libdoor/thread.h include/libdoor/door_compat.h include/door_app.h
    bin/door-call share/man/man1/door-call.1 sbin/doorctl share/man/man8/doorctl.8
    share/man/man3/door_create.3 share/man/man3/door_unbind.3
    share/man/man8/mod_door.8 share/doc/mod_door/html/mod_door.html share/doc/mod_door/html/python/index.html)) {
    ok -s "$root$_", $_;
}
my @references = grep { !-l && `grep -c -F '$root' '$_'` > 0 } grep { !/\.a$/ } files();
is_deeply \@references, [], 'nothing installed knows of DESTDIR';

# What is installed may be moved as a whole: its pkg-config files know only where they are.
$ENV{PKG_CONFIG_PATH} = "$root$prefix/lib/pkgconfig";
$ENV{LD_LIBRARY_PATH} = "$root$prefix/lib";
my $flags = '-Wall -Wextra -Werror';
my $ask = "\$($pkg_config --cflags --libs libdoor)";
my $ask_app = "\$($pkg_config --cflags --libs libdoor_app)";

run_ok('a program as on illumos builds with pkg-config alone',
    "$cc $flags -o $root/doors scripts/t/doors.c $ask");
is run_ok('... and runs', "$root/doors $root/name"), "hello, client\n", '... as it should';

run_ok('... builds with strict ISO C flags too',
    "$cc -std=c11 -D_XOPEN_SOURCE=700 $flags -o $root/doors11 scripts/t/doors.c $ask");
run_ok('... and with the archive',
    "$cc $flags -o $root/static scripts/t/doors.c $ask -Wl,-Bstatic -ldoor -Wl,-Bdynamic");
run_ok('... which runs', "$root/static $root/name");
run_ok('... and as a static program', "$cc $flags -static -o $root/static scripts/t/doors.c $ask");
is run_ok('... which runs', "$root/static $root/name"), "hello, client\n", '... and opens doors';
run_ok('... and with _FORTIFY_SOURCE',
    "$cc -O2 -D_FORTIFY_SOURCE=2 $flags -o $root/fortified scripts/t/doors.c $ask");
run_ok('... which runs', "$root/fortified $root/name");

run_ok('the smallest application builds with pkg-config alone',
    "$cc $flags -o $root/hello door_app/examples/hello.c $ask_app");
like scalar(`ldd $root/hello`), qr{libdoor_app\.so\.1 => \Q$root\E},
    '... with the installed library';

run_ok("so do FastCGI programs, in C++ with libfcgi++'s streams",
    "c++ $flags -o $root/streams t/fcgi/streams.cc \$($pkg_config --cflags --libs libdoor_fcgi)");
like scalar(`ldd $root/streams`), qr{libdoor_fcgi\.so\.1 => \Q$root\E}, '... with the installed library';

like run_ok('the client runs', "$root$prefix/bin/door-call -h"), qr/^usage: door-call /,
    '... and needs no library of ours';

my $page = `cd $root$prefix/share/man && mandoc -Tascii man3/door_unbind.3 2>&1`;
like $page, qr/tie a server thread to a private door/, 'a page that leads to another shows that';

open my $lean, '>', "$root/lean.c" or die;
print $lean "#include <door.h>\n",
    'int lean(int d, const char *s) { return strlen(s) && !fattach(d, s) && !fdetach(s); }', "\n";
close $lean or die;
run_ok('a program that includes no more than <door.h> is good modern C',
    "$cc -Werror=implicit-function-declaration $flags -c -o /dev/null $root/lean.c $ask");

open my $source, '>', "$root/headers.c" or die;
print $source "#include <$_>\n" for qw(sys/door.h door.h stropts.h thread.h synch.h ucred.h door_app.h);
close $source or die;
for my $language (qw(c c++)) {
    run_ok("the headers are good $language",
        "$cc -x $language $flags -c -o /dev/null $root/headers.c $ask_app");
}

# ---- libraries elsewhere: Debian's folders for each architecture, or a system's own

for (["LIBDIR=$prefix/lib/x86_64-linux-gnu", "$prefix/lib/x86_64-linux-gnu", "$root/there$prefix"],
    ['LIBDIR=/other/lib', '/other/lib', "$root/there$prefix"],
    ["PC_PREFIX=$prefix", "$prefix/lib", $prefix]) {
    my ($how, $libs, $where) = @$_;
    is system(@make, "DESTDIR=$root/there", $how, 'install'), 0, "make install $how";
    ok -s "$root/there$libs/$_", "... $_" for qw(libdoor.so.1 mod_door/door_fcgi pkgconfig/libdoor_app.pc);
    local $ENV{PKG_CONFIG_PATH} = "$root/there$libs/pkgconfig";
    my ($include) = `$pkg_config --variable=includedir libdoor_app`;
    chomp $include;
    is abs_path($include) // $include, ($where eq $prefix ? '' : abs_path("$root/there")) . "$prefix/include",
        '... where its headers are';
    my ($lib) = `$pkg_config --variable=libdir libdoor_app`;
    chomp $lib;
    is abs_path($lib) // $lib, $how =~ /LIBDIR=.opt/ ? abs_path("$root/there$libs") : $libs, '... and libraries';
    system 'rm', '-rf', "$root/there";
}

# ---- another httpd

{
    my ($other, $object) = ("$root/apxs", "$root/module/obj/module/status.o");
    open my $script, '>', $other or die $!;
    chomp(my $real = `command -v $apxs 2>/dev/null`);
    print $script "#!/bin/sh\nexec $real \"\$@\"\n";
    close $script or die $!;
    chmod 0755, $other;
    # How often it is compiled.
    my $compiled = sub { scalar(() = qx{@make -s --trace BUILD=$root/module @_ $object 2>&1} =~ m{ -c -o \Q$object\E }g) };
    is $compiled->("APXS=$apxs"), 1, 'a part of the module is compiled';
    is $compiled->("APXS=$apxs"), 0, '... once';
    is $compiled->("APXS=$other"), 1, "... again for another httpd's apxs";
    system 'rm', '-rf', "$root/module", $other;
}

# ---- a module's configuration is the administrator's

sub slurp { my ($path) = @_; open my $file, '<', $path or return ''; local $/; return <$file> }

sub add_line {
    my ($path) = @_;
    open my $file, '>>', $path or die "$path: $!";
    print $file "DoorApp shop /srv/shop\n";
    close $file or die "$path: $!";
}

my ($conf_dir) = grep { -e "$root$_/door.conf" } `$apxs -q SYSCONFDIR` =~ s{\n}{/mods-available}r,
    "$prefix/share/mod_door";
my $conf = "$root$conf_dir/door.conf";
like slurp("$root$conf_dir/door.load"), qr{^LoadModule door_module \Q$modules\E/mod_door\.so$}m,
    'door.load names the module where it is';
is_deeply [grep { !/^\s*(?:#|$|<\/?IfModule)/ } split /\n/, slurp($conf)], [],
    'door.conf changes nothing of the server';
add_line($conf);
my $mine = slurp($conf);
like run_ok('make install again', "@make install"), qr{\Q$conf\E is kept}, '... says what it keeps';
is slurp($conf), $mine, "... an administrator's door.conf";
like run_ok('make uninstall', "@make uninstall"), qr{\Q$conf\E has been changed}, '... says so, too';
is slurp($conf), $mine, '... and keeps it';
ok !-e "$root$conf_dir/door.load", '... not what nobody has changed';
unlink $conf or die;
run_ok('make install', "@make install");
ok -s $conf, '... brings one where there is none';

# ---- an httpd that is too old

like scalar(qx{@make BUILD=$root/old CPPFLAGS=-DMODULE_MAGIC_NUMBER_MAJOR=20120210 $root/old/obj/mod_door.o 2>&1}),
    qr/error.*needs httpd 2\.4\.47/, 'the module does not build for an httpd before 2.4.47';
system 'rm', '-rf', "$root/old";

unlink glob("$root/.door-placeholder.*"), map { "$root/$_" } qw(doors doors11 static fortified hello streams lean.c headers.c);
is system(@make, 'uninstall'), 0, 'make uninstall';
is_deeply [files()], [], '... leaves nothing';

done_testing;
