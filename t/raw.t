# SPDX-License-Identifier: Apache-2.0
#
# DoorProtocol raw: the body is the argument, the result is the answer, and whatever
# stands in either is the program's and the client's affair.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Apache::TestRequest qw(GET POST);
use DoorTest;

sub mirror { POST('/mirror', content => $_[0]) }

# How often the program was called, and the descriptors that it was given.
sub counts { mirror('count')->content =~ /^calls=(\d+) descriptors=(\d+)$/ }

# A message of PROTOCOL.md without fields or body, of that kind.
sub message {
    my ($kind, $status, $body) = @_;
    return pack 'LSSLLSSLQ', 0x524f4f44, 1, $kind, 32, 0, $status // 0, 0, 0, 0;
}

is mirror('some bytes')->content, 'some bytes', 'the result is the answer';
is mirror('some bytes')->header('Content-Type'), 'text/plain', '... as text';
is mirror('')->content, '', '... none, too';
is mirror(pattern(300_000))->content, pattern(300_000), '... or many';

# ---- what would be messages of the other protocol

my %kind = (response => 2, part => 3, end => 4, read => 5, ack => 7, who => 8, busy => 9,
    status => 10);
for my $what (sort keys %kind) {
    for my $text (message($kind{$what}, $what eq 'response' ? 302 : 0), message($kind{$what}) . 'x' x 20_000) {
        my ($calls, $descriptors) = counts();
        my $answer = mirror($text);
        is $answer->code, 200, "$what, " . length($text) . ' bytes: is no message';
        is $answer->content, $text, '... but the answer';
        is_deeply [counts()], [$calls + 1, $descriptors], '... of one call, without a descriptor';
    }
}
{
    my @before = counts();
    my $answer = mirror('descriptor');
    is $answer->content, 'descriptor', 'a descriptor beside the result is no part of the answer';
    my $open = child_descriptors();
    mirror('descriptor') for 1 .. 60;
    ok wait_for(sub { child_descriptors() < $open + 30 }), '... and is closed';
}
done_testing;
