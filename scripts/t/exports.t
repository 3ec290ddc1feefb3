#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# What the libraries show of themselves, shared or as archives: exactly what their
# version maps say, and open(2)'s family without a version.  Everything else in
# mod_door.so must stay out of httpd's way.

use strict;
use warnings FATAL => 'all';

use Test::More;

use lib 'scripts';
use VersionMap qw(version_map);

my $build = $ENV{BUILD} // 'build';

sub exported {
    my ($file) = @_;
    my @names;
    for (`nm -D --defined-only '$build/$file'`) {
        my ($kind, $name) = / ([A-Za-z]) (\S+)$/ or next;
        push @names, $name unless $kind eq 'A';    # the version itself
    }
    return [sort @names] unless grep { /@/ } @names;
    return [sort map { s/@.*// ? $_ : "$_ without a version" } @names];
}

# The same of an archive: what a program that is linked with it can collide with.
sub linkable {
    my ($file) = @_;
    return [sort map { / [A-TV-Zu] (\S+)$/ ? $1 : () } `nm -g --defined-only '$build/$file'`];
}

# Functions that a public header declares.
sub declared {
    my ($header) = @_;
    open my $file, '<', $header or die "$header: $!";
    local $/;
    my $text = <$file>;
    $text =~ s{/\*.*?\*/}{}gs;
    $text =~ s/^\s*#.*(?:\\\n.*)*$//mg;
    $text =~ s/^typedef\b[^;{]*(?:\{[^}]*\}[^;]*)?;//mg;
    # Those of <thread.h> are inline there, and symbols as well.
    return [sort $text =~ /^[a-z_][\w \t*]*?\b(\w+)\([^;{]*\)[^;{]*;/mg,
        $text =~ /^.*?LIBDOOR_THR_INLINE\b.*?\b(\w+)\(/mg];
}

my %map = (
    'mod_door.so'      => 'module/mod_door.map',
    'libdoor_app.so.1' => 'door_app/libdoor_app.map',
    'libdoor_fcgi.so.1' => 'door_app/fcgi/libdoor_fcgi.map',
);
my %headers = ('libdoor_app.so.1' => ['door_app/door_app.h']);
if (-e "$build/libdoor.so.1") {
    $map{'libdoor.so.1'} = 'libdoor/libdoor.map';
    $headers{'libdoor.so.1'} = [glob('libdoor/include/*.h'), 'compat/door_compat.h'];
}
# open(2)'s family is declared by the system; libc's versions must not stand before ours.
my @system = sort map { ($_, $_ =~ s/_2$/64_2/r =~ s/^(open|openat|creat)$/${1}64/r) }
    qw(open openat creat __open_2 __openat_2);

for my $file (sort keys %map) {
    my $exported = exported($file);
    my @unversioned = $file =~ /^libdoor\.so/ ? map { "$_ without a version" } @system : ();
    my (undef, @promised) = version_map($map{$file});
    is_deeply $exported, [sort @promised, @unversioned],
        "$file exports what $map{$file} says";
    if ($file =~ /^(lib\w+)/) {
        is_deeply linkable("$1.a"), [sort map { s/ without a version$//r } @$exported],
            '... and so does the archive';
    }
    next unless $headers{$file};
    my %declared = map { $_ => 1 } map { @{ declared($_) } } @{ $headers{$file} };
    is_deeply [grep { !$declared{$_} && !/ without a version$/ } @$exported], [],
        '... all of it from its headers';
    is_deeply [grep { !/ without a version$/ } @$exported], [sort keys %declared], '... and all of them';
}
is_deeply exported('mod_door.so'), ['door_module'], 'the module shows httpd one name';

# APR opens modules so that what one shows may be bound to by another: by another build, too.
is_deeply [grep { /\bdoor_module\b/ } `readelf -rW '$build/mod_door.so'`], [],
    "... and does not look itself for it among other files' names";
unlike scalar(`readelf -d '$build/mod_door.so'`), qr/NODELETE/, "... httpd's parent can unload it";

# What libfcgi's headers give to programs, ours do, but for writers on sockets, of which there
# are none, and for gets().
SKIP: {
    my $theirs = '/usr/include';
    skip 'no libfcgi here', 4 unless -e "$theirs/fcgiapp.h";
    my $names = sub {
        my ($header) = @_;
        open my $file, '<', $header or die "$header: $!";
        local $/;
        my $text = <$file> =~ s{/\*.*?\*/}{}gsr;
        my %name = map { $_ => 1 } $text =~ /\b(FCG[XI]_\w+|fcgi_\w+)\s*\(/g, $text =~ /^#\s*define\s+([a-z]\w*|FCG[IX]_\w+)/mg,
            $text =~ /^class (?:DLLAPI )?(\w+)/mg;
        return \%name;
    };
    my %left = map { $_ => 1 } qw(FCGX_CreateWriter FCGX_FreeStream FCGI_gets gets);
    # Nobody but the protocol's own code has these.
    my $inner = qr/^FCGI_(?:NULL_REQUEST_ID|HEADER_LEN|MAX_LENGTH)$/;
    for my $header (qw(fcgiapp.h fcgi_stdio.h fcgio.h fastcgi.h)) {
        my ($ours, $expected) = map { $names->("$_/$header") } 'door_app/fcgi', $theirs;
        is_deeply [grep { !$ours->{$_} && !$left{$_} && !/$inner/ } sort keys %$expected], [], "$header has all of libfcgi's";
    }
}

done_testing;
