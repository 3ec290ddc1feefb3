# SPDX-License-Identifier: Apache-2.0
#
# Setup.pm: what this run is: where things lie, what was chosen, what the
# machine is.  And the few helpers that all the others use.
package Setup;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path ();
use File::Temp ();
use POSIX ();

our @EXPORT = qw($bench $build $programs $gateways $mod_door $dir $httpd $modules $user $is_root
    $asked $quick $rounds $seconds $large_mib $events_each $rate_connections
    settle slurp spew median say_now machine);

our $bench = abs_path(dirname(__FILE__) . '/..');
our $build = abs_path($ARGV[0] // 'build');
# What was said to have other than a whole run: "QUICK=1 PEERS=mod_door ".
our $asked = join '', map { "$_=$ENV{$_} " } grep { ($ENV{$_} // '') ne '' }
    qw(QUICK WORKS PEERS CONCURRENCY RATES ROUNDS SECONDS LARGE_MIB);
our $quick = $ENV{QUICK};
our $rounds = int($ENV{ROUNDS} || ($quick ? 1 : 3));
our $seconds = int($ENV{SECONDS} || 1);
our $large_mib = int($ENV{LARGE_MIB} || ($quick ? 128 : 1024));
our $events_each = $quick ? 10 : 30; # in a stream: one or three seconds
our $rate_connections = 32; # of what is asked at a fixed rate
our $is_root = $> == 0;
our $user = 'nobody';

sub say_now { local $| = 1; print STDERR @_; return }

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

sub spew {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!\n";
    print $file $text;
    close $file or die "$path: $!\n";
    return;
}

sub median {
    my @sorted = sort { $a <=> $b } grep { defined } @_;
    return undef unless @sorted;
    my $middle = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$middle] : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

# ---------------------------------------------------------------- where things lie

our ($httpd, $modules, $programs, $gateways, $mod_door, $dir);

sub user_can_reach {
    my ($path) = @_;
    return system('setpriv', '--reuid', $user, '--regid', 'nogroup', '--clear-groups', 'test', '-x',
        $path) == 0;
}

# Servers do not run as root, and may not be able to enter a folder of root's: then copies of
# the programs are run, as the same tree elsewhere.
sub place {
    return $build if !$is_root || user_can_reach("$build/bench/peers/door");
    my $copy = File::Temp::tempdir('/tmp/mod_door-bench.XXXXXX', CLEANUP => 1);
    chmod 0755, $copy or die "$copy: $!\n";
    File::Path::make_path("$copy/bench");
    system('cp', '-a', (map { glob "$build/$_" } 'mod_door.so', 'libdoor*.so*', 'gateways'), $copy) == 0 or die;
    system('cp', '-a', "$build/bench/peers", "$copy/bench") == 0 or die;
    return $copy;
}

# Fills in the names of httpd, its modules, what was built, and an empty folder to run in.
sub settle {
    my $apxs = $ENV{APXS} // 'apxs';
    chomp($modules = `$apxs -q LIBEXECDIR`);
    chomp($httpd = `APXS='$apxs' bash -c '. $bench/../scripts/httpd.sh; httpd_program'`);
    die "bench: no httpd found with $apxs\n" unless -x $httpd;
    my $place = place();
    ($programs, $mod_door, $dir) = ("$place/bench/peers", "$place/mod_door.so", "$place/bench/run");
    $gateways = "$place/gateways";
    File::Path::remove_tree($dir);
    File::Path::make_path($dir);
    return;
}

# ---------------------------------------------------------------- the machine

sub said { my ($line) = `$_[0] 2>/dev/null`; chomp($line //= ''); return $line }

sub package_version { return said("dpkg-query -W -f '\${Version}' $_[0]") || 'unknown' }

sub machine {
    my $info = slurp('/proc/cpuinfo');
    my ($processor) = $info =~ /^model name\s*:\s*(.*)/m;
    my $count = () = $info =~ /^processor/mg;
    my ($memory) = slurp('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m;
    return {
        date => POSIX::strftime('%Y-%m-%d', gmtime),
        commit => (said("git -C $bench rev-parse --short HEAD") || 'unknown')
            . (said("git -C $bench status --porcelain -uno") ? ' and changes' : ''),
        processor => $processor // 'unknown processor', processors => $count,
        memory_gib => sprintf('%.0f', $memory / 1024 / 1024),
        kernel => said('uname -srm'), load => (split ' ', slurp('/proc/loadavg'))[0],
        httpd => said("$httpd -v") =~ s/^Server version: //r,
        versions => {
            wrk => package_version('wrk'), libmicrohttpd => package_version('libmicrohttpd12'),
            libfcgi => package_version('libfcgi-dev'),
            mod_fcgid => package_version('libapache2-mod-fcgid'),
            PostgreSQL => package_version('postgresql-15'), gcc => said('cc -dumpfullversion'),
        },
    };
}

1;
