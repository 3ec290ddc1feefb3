# SPDX-License-Identifier: Apache-2.0
#
# The sample that has users, their passwords' hashes and their groups in PostgreSQL: who may
# pass, and that nobody may while there is no database.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw(encode_base64);
use Test::More;
use DoorTest;

plan skip_all => 'the MPM has no part in it' if mpm() ne 'event';
my $httpd = own_httpd();
plan skip_all => 'no libpq here' unless -x "$httpd->{build}/examples/guard_db";

my $dir = $httpd->dir;
my $main = $$;
$httpd->install('guard_db');

sub postgres {
    my ($what) = @_;
    chomp(my $said = `bash '$FindBin::Bin/../postgres.sh' $what '$dir/pg'`);
    return $said;
}

END {
    local $?;
    postgres('stop') if defined $main && $$ == $main;
}

my $sockets = postgres('start');
ok -S "$sockets/.s.PGSQL.5432", 'PostgreSQL runs' or BAIL_OUT(scalar `cat $dir/pg/*log`);

sub sql {
    my ($statement) = @_;
    open my $psql, '-|', 'psql', '-h', $sockets, '-U', 'postgres', '-qAtX', '-v', 'ON_ERROR_STOP=1', '-c', $statement or die;
    1 while <$psql>;
    return close $psql;
}

# As the sample's comment has them.
my $tables = <<'SQL';
CREATE TABLE guard_user (name text PRIMARY KEY, hash text NOT NULL);
CREATE TABLE guard_member (user_name text NOT NULL REFERENCES guard_user ON DELETE CASCADE,
                           group_name text NOT NULL, PRIMARY KEY (user_name, group_name));
CREATE TABLE guard_area (path text NOT NULL, group_name text NOT NULL,
                         PRIMARY KEY (path, group_name));
SQL
ok sql($tables), 'the tables';

my %password = (ann => 'secret of ann', bob => q{secret: of 'bob'}, eve => '');
for (sort keys %password) {
    my $hash = crypt $password{$_}, $_ eq 'eve' ? '$6$other$' : '$5$salty$';
    sql("INSERT INTO guard_user VALUES ('$_', '$hash')") or die;
}
sql(q{INSERT INTO guard_user VALUES ('locked', '!')});
sql(q{INSERT INTO guard_member VALUES ('bob', 'staff'), ('bob', 'cooks'), ('ann', 'guests'), ('ann', 'staff')});
sql(q{INSERT INTO guard_area VALUES ('/private/kitchen', 'cooks'), ('/private/kitchen', 'owners'),
    ('/private/kitchen/safe', 'owners'), ('/private/staff', 'staff')});

$httpd->configure(<<"CONF" . join '', map { "<Location /private/$_>\nDoorHandler kitchen\n</Location>\n" } qw(staff kitchen kitchens kitchen/safe));
DoorApp kitchen $dir/bin/kitchen
DoorApp guard $dir/bin/guard_db env=PGHOST=$sockets env=PGUSER=postgres
<Location /private>
    DoorHandler kitchen
    AuthType Basic
    AuthName private
    DoorAuthenticator guard
    DoorAuthorizer guard
    Require valid-user
</Location>
CONF
ok $httpd->start, 'httpd starts' or diag $httpd->log_text;
my $base = "http://127.0.0.1:$httpd->{port}";

sub ask {
    my ($path, $user) = @_;
    return ask_url("$base$path", defined $user ? ('-H', 'Authorization: Basic ' . encode_base64($user, '')) : ());
}
sub status { ask(@_)->{status} }

my ($ann, $bob) = map { "$_:$password{$_}" } qw(ann bob);
my $answer = ask('/private/env', $bob);
is $answer->{status}, 200, 'the right password';
like $answer->{body}, qr/^USER_GROUPS=cooks,staff$/m, '... and the groups are a variable';
is status('/private/env', 'eve:'), 200, 'an empty password';
is status('/private/env', $_), 401, 'not ' . ($_ // 'nobody')
    for undef, 'bob:wrong', 'bob:', 'nobody:', "nobody:$password{bob}", 'locked:', 'locked:!', "b\xff:x", "' OR 1=1 --:x", ':';
is status('/private/staff/env', $ann), 200, 'a group that has the area';
is status('/private/kitchen/env', $bob), 200, '... one of two';
is status('/private/kitchen/env', $ann), 401, 'not another group';
is status('/private/kitchen', $ann), 401, '... nor the area itself';
is status('/private/kitchens/env', $ann), 200, '... but what only begins alike';
is status('/private/kitchen/safe/env', $bob), 401, 'an area in an area: both count';
sql(q{INSERT INTO guard_member VALUES ('bob', 'owners')});
is status('/private/kitchen/safe/env', $bob), 200, '... and what the table says now';
sql(q{DELETE FROM guard_user WHERE name = 'ann'});
is status('/private/env', $ann), 401, 'a user who is no more';

# ---- connections that break, and a database that is not there

sql(q{SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = 'guard'});
is status('/private/env', $bob), 200, 'connections that were cut are made anew';
postgres('stop');
ok $httpd->wait_for(sub { status('/private/env', $bob) == 503 }), 'no database: nobody passes';
is status('/private/env', 'bob:wrong'), 503, '... nor is anybody told that he is wrong';
ok $httpd->logs(qr/guard_db: /), '... the log tells';
postgres('start');
ok $httpd->wait_for(sub { status('/private/env', $bob) == 200 }), 'it is there again';
sql('DROP TABLE guard_area');
is status('/private/env', $bob), 503, 'a table that is not there';

ok $httpd->stop, 'httpd stops';
done_testing;
