# SPDX-License-Identifier: Apache-2.0
#
# Header fields: httpd's limits first, and where they are off, the runtime's: 431.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET ();
use Test::More;
use DoorTest;

my $httpd = own_httpd();
my $dir = $httpd->dir;

$httpd->install('kitchen');
$httpd->configure(<<"CONF");
LimitRequestFields 0
LimitRequestFieldSize 4000000
DoorApp kitchen $dir/bin/kitchen
<Location /kitchen>
    DoorHandler kitchen
</Location>
CONF
ok $httpd->start, 'httpd starts';

# The status for a request with these headers and two more.
sub status {
    my ($headers) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->{port},
        Timeout => 30) or die "cannot connect: $@";
    local $SIG{PIPE} = 'IGNORE';
    print $socket "GET /kitchen/env HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n$headers\r\n";
    my $line = <$socket> // '';
    return $line =~ m{^HTTP/1\.1 (\d+)} ? $1 : $line;
}

sub fields { join '', map { "X-$_: y\r\n" } 1 .. $_[0] }

is status(fields(998)), 200, 'as many header fields as the runtime takes';
is status(fields(999)), 431, '... one more';
is status(fields(5_000)), 431, '... many more';
is status('X: ' . 'y' x 1_000_000 . "\r\n"), 200, 'a long header field';
is status('X: ' . 'y' x 1_100_000 . "\r\n"), 431, '... too long';
is status(''), 200, '... and the next request is answered';
ok $httpd->stop, 'httpd stops';

done_testing;
