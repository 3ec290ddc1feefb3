# SPDX-License-Identifier: Apache-2.0
#
# Response headers: repeated ones stay apart and in order, and what belongs to
# the connection is httpd's alone.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Apache::Test qw(-withtestmore);
use Apache::TestRequest qw(GET);
use IO::Select ();
use DoorTest;

plan tests => 24 + 5 + 4 * 6 + 5 + 2 * 4 + 4;

my $text = raw_request("GET /kitchen/headers HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n");
my $answer = parse_response($text);
is $answer->{status}, 200, 'the application sets headers';
my %headers = %{ $answer->{headers} };
my @own = grep { /^x-/ } keys %headers;
cmp_ok scalar @own, '>=', 1, 'its own ones arrive';
my ($repeated) = grep { @{ $headers{$_} } > 1 } sort keys %headers;
ok $repeated, 'a repeated one arrives repeated';
cmp_ok scalar @{ $headers{'set-cookie'} // [] }, '>=', 2, '... cookies among them';
is scalar @{ $headers{'content-type'} }, 1, 'there is one Content-Type';
is scalar @{ $headers{date} }, 1, '... and one Date';
is scalar @{ $headers{server} }, 1, '... and one Server';

# Fields of the connection: legal in the answer, but not to be passed on.
my $hop = parse_response(raw_request("GET /nonsense/hop-by-hop HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: close\r\n\r\n"));
is $hop->{status}, 200, 'hop-by-hop fields make no error';
is $hop->{body}, "fine\n", '... and do not touch the body';
ok !exists $hop->{headers}{$_}, "$_ is dropped" for qw(keep-alive transfer-encoding te trailer
    upgrade proxy-thing proxy-authenticate proxy-connection x-private);
is $hop->{headers}{'x-public'}[0], '1', 'the others stay';
is_deeply $hop->{headers}{connection}, ['close'], "Connection is httpd's";

# A length that the application calls the connection's business is no length of its answer.
{
    my $answer = parse_response(raw_request("GET /nonsense/length/private HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\n\r\n"));
    is "$answer->{status} $answer->{body}", "200 fine\n", 'Connection: Content-Length: it is not looked at';
    is $answer->{headers}{'content-length'}[0], 5, "... the length is httpd's";
}

# The application's "Connection: close" is none of the client's business.
{
    my ($socket, $rest) = (raw_open(), '');
    my $request = "GET /nonsense/hop-by-hop HTTP/1.1\r\nHost: localhost\r\n\r\n";
    raw_send($socket, $request);
    my $first = read_response($socket, \$rest);
    ok !grep({ /close/i } @{ $first->{headers}{connection} // [] }), 'the connection is kept';
    raw_send($socket, $request);
    is read_response($socket, \$rest)->{status}, 200, '... and used again';
}

# ---- as many, and as long, as a client's may be

# LWP has limits of its own.
sub ask {
    return parse_response(raw_request("GET $_[0] HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\n\r\n"));
}
for (['/nonsense/fields/1000', 'x-long', 1000], ['/nonsense/head/1000000', 'x-long', 1],
    ['/kitchen/headers?more=900', 'x-more', 900],
    ['/kitchen/headers?more=900&how=flushed', 'x-more', 900],
    ['/kitchen/headers?more=100&bytes=10000&how=flushed', 'x-more', 100]) {
    my ($path, $name, $count) = @$_;
    is scalar @{ ask($path)->{headers}{$name} // [] }, $count, "$path: there they are";
}
for my $path ('/nonsense/fields/1001', '/nonsense/head/1100000', '/nonsense/fields/100000',
    '/kitchen/headers?more=1001', '/kitchen/headers?more=1001&how=flushed',
    '/kitchen/headers?more=110&bytes=10000&how=flushed') {
    my $mark = mark_log();
    my $answer = ask($path);
    is $answer->{status}, 502, "$path: bad gateway";
    ok !grep({ /^x-/ } keys %{ $answer->{headers} }), '... and none of them';
    my $line = log_like($mark, qr/\[door:error\]/);
    like $line, qr/over 1,000 header fields, or 1 MiB of them/, '... the log says why';
    is scalar(() = log_since($mark) =~ /\[door:error\]/g), 1, '... once';
}

# Lists that httpd compares word by word may be shorter.
for my $name ('Connection', 'Vary') {
    is ask("/nonsense/list/$name/8000")->{status}, 200, "8,000 bytes of $name";
    is ask("/nonsense/lists/$name/8100")->{status}, 200, '... also in many fields';
}

# ---- neither costs httpd as much memory as the application has taken

# The most private memory that any child had meanwhile, in KiB.
sub most_memory {
    my ($path) = @_;
    my $most = 0;
    my @command = ('curl', '-s', '--max-time', 60, '-o', '/dev/null', '-w', '%{http_code}',
        '-H', 'Accept-Encoding: gzip', base_url() . $path);
    open my $pipe, '-|', @command or die "curl: $!";
    my $look = sub { my $kib = child_private_kib(); $most = $kib if $kib > $most };
    $look->() until IO::Select->new($pipe)->can_read(0.002);
    my $status = <$pipe>;
    close $pipe;
    return ($most, $status);
}
GET('/nonsense-deflated/body/1000', 'Accept-Encoding' => 'gzip') for 1 .. 3;
my $before = child_private_kib();
for (['/kitchen/headers?more=60&bytes=1000000&how=flushed', 502], ['/nonsense/head/60000000', 502],
    ['/nonsense/lists/Connection/900000', 502], ['/nonsense/list/Connection/900000', 502],
    ['/nonsense/lists/Vary/900000', 502], ['/nonsense/list/Vary/900000', 502],
    ['/nonsense-deflated/body/80000000', 200]) {
    my ($path, $wanted) = @$_;
    my ($most, $status) = most_memory($path);
    is $status, $wanted, "$path: $status" if $path =~ /nonsense/;
    cmp_ok $most - $before, '<', 24 * 1024, "$path: $status, httpd has copied no 60 MB";
}
