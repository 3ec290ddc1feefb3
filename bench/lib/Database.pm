# SPDX-License-Identifier: Apache-2.0
#
# Database.pm: a private PostgreSQL with pgbench's tables, and pgbench itself as
# the limit: what the server gives to a client that does nothing else.
package Database;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use File::Path ();
use Time::HiRes qw(sleep time);

use Servers;
use Setup;

our @EXPORT = qw(start_database stop_database environment backends postmaster pgbench_command);

use constant SCALE => 10;

my ($bin, $postmaster, $sockets);

# Room for a connection of each thread that any peer may have.
my $options = '-c max_connections=1500 -c shared_buffers=256MB';

sub psql {
    my ($sql) = @_;
    my $said = `$bin/psql -h $sockets -U postgres -X -At -c "$sql" 2>/dev/null`;
    return $? == 0 ? $said : undef;
}

sub start_database {
    my $home = "$dir/database";
    chomp($bin = `pg_config --bindir`);
    File::Path::make_path($home);
    chown +(getpwnam $user)[2, 3], $home if $is_root;
    # The script comes as stdin: the user may not be able to read it.
    $postmaster = spawn({log => "$dir/database.log", stdin => "$bench/../scripts/postgres.sh",
            env => {PG_OPTIONS => $options}, signal => 'INT'}, 'bash', '-s', '--', 'run', $home);
    my $until = time + 60;
    until (defined $sockets && defined psql('SELECT 1')) {
        return "PostgreSQL does not come up, see $dir/database.log" if time > $until;
        sleep 0.2;
        chomp($sockets = slurp("$home/sockets")) if -s "$home/sockets";
    }
    my $make = "$bin/pgbench -h $sockets -U postgres -i -q -s @{[SCALE]} postgres";
    system("$make >>$dir/database.log 2>&1") == 0
        or return "pgbench cannot make its tables, see $dir/database.log";
    psql('SELECT count(*) FROM pgbench_accounts');
    return;
}

sub stop_database {
    end_processes($postmaster);
    return;
}

sub environment {
    my ($peer) = @_;
    return {PGHOST => $sockets, PGUSER => 'postgres', PGDATABASE => 'postgres',
        PGAPPNAME => "bench-$peer->{name}"};
}

sub postmaster { return $postmaster }

# The process ids of PostgreSQL's ends of the peer's connections.
sub backends {
    my ($peer) = @_;
    my $name = $peer->{is_pgbench} ? 'pgbench' : "bench-$peer->{name}";
    my $sql = "SELECT pid FROM pg_stat_activity WHERE application_name = '$name'";
    return split /\n/, psql($sql) // '';
}

sub pgbench_command {
    my ($clients, $for_s) = @_;
    my $jobs = $clients > 1 ? 2 : 1;
    return "$bin/pgbench -h $sockets -U postgres -n -S -M prepared -s @{[SCALE]}"
        . " -c $clients -j $jobs -T $for_s postgres";
}

1;
