# SPDX-License-Identifier: Apache-2.0
#
# The guest book, launched by httpd, on a PostgreSQL of the test's own: what it
# shows and takes, how many connections it has, and what it makes of a database
# that fails.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Request ();
use HTTP::Request::Common qw(GET POST DELETE);
use JSON::PP qw(decode_json encode_json);
use LWP::UserAgent ();
use Test::More;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep);
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;
my $main = $$;

sub postgres {
    my ($what, $options) = @_;
    local $ENV{PG_OPTIONS} = $options // '';
    chomp(my $said = `bash '$FindBin::Bin/../postgres.sh' $what '$dir/pg'`);
    return $said;
}

END {
    local $?;
    postgres('stop') if defined $main && $$ == $main;
}

my $sockets = postgres('start', '-c max_connections=20 -c superuser_reserved_connections=1');
ok -S "$sockets/.s.PGSQL.5432", 'PostgreSQL runs' or diag `cat $dir/pg/*log`;

sub sql {
    my ($statement) = @_;
    open my $psql, '-|', 'psql', '-h', $sockets, '-U', 'postgres', '-qAtX', '-c', $statement or die;
    local $/;
    chomp(my $result = <$psql> // '');
    close $psql;
    return $result;
}

sub backends { sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'guestbook'}) }

$httpd->install('guestbook');
sql('CREATE ROLE guest LOGIN');
sql('CREATE DATABASE guestbook OWNER guest');
$httpd->configure(<<"CONF");
DoorApp guestbook $dir/bin/guestbook env=PGHOST=$sockets env=PGUSER=guest \\
    env=PGDATABASE=guestbook env=GUESTBOOK_FAULTS=1
<Location /guestbook>
    DoorHandler guestbook
</Location>
CONF
ok $httpd->start, 'httpd starts';

my $base = "http://127.0.0.1:$httpd->{port}/guestbook";
my $ua = LWP::UserAgent->new(requests_redirectable => [], timeout => 100);
sub ask { $ua->request($_[0]) }

# ---- the page

my $page = ask(GET "$base/");
is $page->code, 200, 'the page';
like $page->header('Content-Type'), qr{^text/html}, '... is HTML';
like $page->content, qr{<form class="new" method="post" action="/guestbook/">}, '... with a form';
my $posted = ask(POST "$base/", {name => '<Ann & "Bo">', message => "Hello\n<script>x</script>"});
is $posted->code, 303, 'the form is posted';
is $posted->header('Location'), '/guestbook/', '... and leads back';
$page = ask(GET "$base/");
like $page->content, qr{&lt;Ann &amp; &quot;Bo&quot;&gt;}, 'the entry is there, escaped';
like $page->content, qr{<p>Hello\r?\n&lt;script&gt;x&lt;/script&gt;</p>}, '... its message, too';
my ($id) = $page->content =~ m{/guestbook/entries/(\d+)/delete};
$posted = ask(POST "$base/", {name => ' ', message => 'kept <b>'});
is $posted->code, 400, 'an entry without a name';
like $posted->content, qr{role="alert">Please tell us your name.*kept &lt;b&gt;}s,
    '... says so, and keeps what was written';
is ask(POST "$base/", {name => 'x' x 201, message => 'y'})->code, 400, 'one that is too long';
is ask(POST "$base/", {name => "\xff\xfe", message => 'y'})->code, 400, 'one that is no UTF-8';
is ask(POST "$base/", {name => "a\0b", message => 'y'})->code, 400, 'one with a NUL';
is ask(POST "$base/entries/$id/delete")->code, 303, 'an entry is deleted';
unlike ask(GET "$base/")->content, qr{Ann}, '... and gone';

# ---- JSON

sub json { HTTP::Request->new(POST => "$base/entries", ['Content-Type' => 'application/json'], $_[0]) }

my @ids;
for my $i (1 .. 25) {
    my $added = ask(json(encode_json({name => "name $i", message => qq{"$i" \\ </p>\x{e9}}})));
    push @ids, decode_json($added->content)->{id};
    is $added->code, 201, 'an entry is added' if $i == 1;
    is $added->header('Location'), "/guestbook/entries/$ids[0]", '... and has a place' if $i == 1;
}
my $list = decode_json(ask(GET "$base/entries")->content);
is_deeply [map { $_->{id} } @$list], [reverse @ids[15 .. 24]], 'the newest ten';
is $list->[0]{message}, qq{"25" \\ </p>\x{e9}}, '... as they were';
is_deeply [map { $_->{id} } @{decode_json(ask(GET "$base/entries?page=3")->content)}],
    [reverse @ids[0 .. 4]], '... the oldest';
like ask(GET "$base/?page=2")->content, qr{rel="prev" href="/guestbook/\?page=1".*rel="next" href="/guestbook/\?page=3"}s,
    'pages lead to each other';
my $beyond = ask(GET "$base/?page=99");
is $beyond->code, 303, 'a page that is none';
my ($last) = ($beyond->header('Location') // '') =~ /page=(\d+)$/;
my $there = ask(GET "$base/?page=$last");
like $there->content, qr{<article>}, '... leads to one with entries';
unlike $there->content, qr{rel="next"}, '... the last';
is decode_json(ask(GET "$base/entries/$ids[0]")->content)->{name}, 'name 1', 'one entry';
is ask(DELETE "$base/entries/$ids[0]")->code, 204, 'it is deleted';
is ask(DELETE "$base/entries/$ids[0]")->code, 404, '... once';
is ask(GET "$base/entries/$ids[0]")->code, 404, '... and gone';
is ask(GET "$base/entries/nonsense")->code, 400, 'an id that is none';
is ask(json('{"name": "x"}'))->code, 400, 'an entry without a message';
is ask(json('{nonsense'))->code, 400, 'no JSON';
is ask(json('[' x 70_000))->code, 413, 'too much of it';
is ask(HTTP::Request->new(PUT => "$base/entries"))->code, 405, 'another method';
is ask(POST "$base/", Content_Type => 'text/plain', Content => 'x')->code, 415, 'no form';
is ask(GET "$base/nowhere")->code, 404, 'no such page';

# ---- connections

sub threads { ask(GET "$base/connections")->content =~ m{<tr class="thread"><td>(\d+)</td><td>(\d+)</td>}g }

ask(GET "$base/entries") for 1 .. 50;
cmp_ok backends(), '<=', 5, 'one client: a connection, or a few';
# A thread in reserve may connect meanwhile.
ok $httpd->wait_for(sub {
    my %backend = threads();
    my @connected = split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'guestbook'});
    return join(' ', sort grep { $_ } values %backend) eq join ' ', sort @connected;
}), '/connections tells what PostgreSQL does';
my $load = $httpd->load('/guestbook/entries', 8);
$httpd->goes_on($load, 500) or die;
my $statuses = $httpd->end_load($load);
is_deeply [keys %$statuses], [200], '8 clients' or diag explain $statuses;
# A thread may not be through with the request before.
cmp_ok backends(), '<=', 16, '... no more connections than requests at once';
sub connections { return map { $_ => 1 } split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'guestbook'}) }
my %before = connections();
ask(GET "$base/entries") for 1 .. 50;
my %now = connections();
cmp_ok scalar(grep { $before{$_} } keys %now), '>=', 1, '... and they are used again';
cmp_ok scalar(grep { !$before{$_} } keys %now), '<=', 2, '... by all but a thread in reserve';

# ---- faults

sub cut { sql(q{SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = 'guestbook'}) }

# Asks until it has been answered well a few times in a row; the statuses before.
sub recovers {
    my %seen;
    my $ok = $httpd->wait_for(sub {
        my $code = ask(GET "$base/entries")->code;
        $seen{$code}++ unless $code == 200;
        return $code == 200;
    });
    return $ok ? join ' ', sort keys %seen : 'never';
}

cut();
like recovers(), qr/^(?:503)?$/, 'connections are cut: the next request has another';

is ask(POST "$base/fault")->code, 500, 'a handler leaves a transaction open';
is ask(json(encode_json({name => 'after', message => 'the fault'})))->code, 201 for 1 .. 10;
my $in = "psql -h $sockets -U postgres -d guestbook -qAtX -c";
chomp(my $after = `$in "SELECT count(*) FROM entries WHERE name = 'after'"`);
chomp(my $nobody = `$in "SELECT count(*) FROM entries WHERE name = 'nobody'"`);
is "$after $nobody", '10 0', '... which the next request is not part of';

# In the middle of it: what was answered with 201 is there once, nothing is there twice.
my $writer = fork // die;
if ($writer == 0) {
    my %done;
    for my $i (1 .. 300) {
        my $code = ask(json(encode_json({name => 'writer', message => "number $i"})))->code;
        $done{$i} = $code;
    }
    open my $file, '>', "$dir/done" or die;
    print $file join '', map { "$_ $done{$_}\n" } keys %done;
    close $file;
    POSIX::_exit(0);
}
for (1 .. 15) {
    sleep 0.05;
    cut();
}
waitpid $writer, 0;
my %done = map { chomp; split } do { open my $file, '<', "$dir/done" or die; <$file> };
my %stored = map { m{number (\d+)\|(\d+)} } split /\n/,
    `$in "SELECT message, count(*) FROM entries WHERE name = 'writer' GROUP BY 1"`;
is_deeply [grep { $stored{$_} != 1 } keys %stored], [], 'nothing is written twice';
is_deeply [grep { $done{$_} == 201 && !$stored{$_} } keys %done], [], '... nothing is lost';
is_deeply [grep { $_ != 201 && $_ != 503 } values %done], [], '... the rest is told';
cmp_ok scalar(grep { $_ == 201 } values %done), '>', 200, '... and that is little';

my $mark = $httpd->mark;
postgres('stop');
is ask(GET "$base/")->code, 503, 'the database is down: 503';
ok $httpd->logs(qr/guestbook\[\d+\]: door_app: .*cannot connect: /, $mark), '... the log tells';
postgres('start', '-c max_connections=6 -c superuser_reserved_connections=3');
like recovers(), qr/^(?:503)?$/, 'it is up again: requests are answered';

# Full: the others have all the connections that there are.
cut();
ok $httpd->wait_for(sub { cut(); backends() == 0 }), 'none of its connections is left';
my @holders;

# A connection that has just ended may still have its place.
sub hold {
    @holders = grep { waitpid($_, WNOHANG) == 0 } @holders;
    return if @holders == 3;
    my $pid = fork // die;
    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        exec 'psql', '-h', $sockets, '-U', 'guest', '-d', 'guestbook', '-qAtXc',
            'SELECT pg_sleep(600)' or POSIX::_exit(127);
    }
    push @holders, $pid;
}

my $held = q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'};
ok $httpd->wait_for(sub { cut(); hold(); return (sql($held) || 0) == 3 }, 60), 'others have all the connections';
is ask(GET "$base/entries")->code, 503, 'too many clients: 503';
ok $httpd->logs(qr/cannot connect: .*(?:too many clients|remaining connection slots)/, $mark),
    '... the log tells';
kill 'TERM', @holders;
waitpid $_, 0 for @holders;
sql(q{SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'
    AND pid <> pg_backend_pid()});
like recovers(), qr/^(?:503)?$/, '... until some leave';

# Down when the application starts.
postgres('stop');
my ($old) = $httpd->apps('guestbook');
kill 'TERM', $old;
ok $httpd->wait_for(sub { my ($new) = $httpd->apps('guestbook'); $new && $new != $old }),
    'it starts without its database';
is ask(GET "$base/")->code, 503, '... and says so';
postgres('start');
like recovers(), qr/^(?:503)?$/, '... and answers when that is there';
chomp($after = `$in "SELECT count(*) FROM entries WHERE name = 'after'"`);
is $after, 10, '... with all that it had';

ok $httpd->stop, 'httpd stops';
ok $httpd->wait_for(sub { backends() == 0 }), '... and the connections are closed';

done_testing;
