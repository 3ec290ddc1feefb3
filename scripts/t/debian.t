#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# debian/ says what the rest of the tree says: the version, the names that the libraries export,
# and all that `make install` puts in place.  That the packages work is tested by packages.t.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Find ();
use File::Temp ();
use Test::More;

use lib 'scripts';
use VersionMap qw(version_map);

my $build = abs_path($ENV{BUILD} // 'build');
my $make = $ENV{MAKE} // 'make';

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    return <$file>;
}

# ---- the version

my ($version) = slurp('Makefile') =~ /^VERSION\s*:=\s*(\S+)$/m;
like slurp('debian/changelog'), qr/\Amod-door \(\Q$version\E-\d+\) /, "debian/changelog begins with $version";

# ---- the names

my @open = map { ("$_\@Base", (s/_2$/64_2/r ne $_ ? s/_2$/64_2/r : $_ . 64) . '@Base') }
    qw(open openat creat __open_2 __openat_2);
for (['libdoor1', 'libdoor/libdoor.map', @open], ['libdoor-app1', 'door_app/libdoor_app.map'],
    ['libdoor-fcgi1', 'door_app/fcgi/libdoor_fcgi.map']) {
    my ($package, $map, @more) = @$_;
    my ($node, @names) = version_map($map);
    my @promised = map { "$_\@$node" } $node, @names;
    my @said = map { /^ (\S+) / ? $1 : () } split /\n/, slurp("debian/$package.symbols");
    is_deeply [sort @said], [sort @more, @promised],
        "debian/$package.symbols has the names of $map: scripts/symbols.pl adds them";
}

# ---- the files

# Names and patterns, as dh_install and dh_installman read them.
sub taken {
    return map { s{^debian/tmp/}{}r } grep { /\S/ && !/^#/ } map { s{^mod }{}r } map { split /\n/, slurp($_) }
        glob('debian/*.install'), glob('debian/*.manpages'), glob('debian/*.apache2');
}

my $root = File::Temp->newdir("$build/debian.XXXXXX");
local $ENV{MAKEFLAGS};
delete $ENV{$_} for qw(MAKEFLAGS MAKELEVEL MFLAGS);
is system($make, '-s', "BUILD=$build", "DESTDIR=$root", 'PREFIX=/usr', 'LIBDIR=/usr/lib/x', 'PC_PREFIX=/usr',
    'MODULE_DIR=/usr/lib/apache2/modules', 'CONF_DIR=/usr/share/mod_door',
    'DOCDIR=/usr/share/doc/libapache2-mod-door', 'install'), 0, 'make install';
my %missed;
File::Find::find({no_chdir => 1, wanted => sub { $missed{$_} = 1 unless -d }}, "$root");
for my $pattern (taken()) {
    next if $pattern =~ m{^usr/lib/python3};
    my @found = glob "$root/$pattern";
    ok scalar(grep { -e } @found), "there is $pattern";
    for my $found (@found) {
        delete $missed{$_} for grep { $_ eq $found || m{^\Q$found\E/} } keys %missed;
    }
}
is_deeply [map { substr $_, length "$root" } sort keys %missed], [], 'each file is in a package';
done_testing;
