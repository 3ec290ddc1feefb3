# SPDX-License-Identifier: Apache-2.0
#
# Relinked.pm: libfcgi's application, compiled with our headers and linked with
# -ldoor_fcgi; the same source behind mod_fcgid is in Peers.pm.
package Rows::Relinked;

use strict;
use warnings FATAL => 'all';

use Goals;
use Peers;

my $name = 'door_fcgi-relinked';
my @works = qw(tiny 64k post);

add_peers({
    name => $name, label => 'mod_door, libfcgi\'s program relinked, 32 threads', role => 'ours',
    works => \@works, source => ['fcgi.c', 'fcgi_threads.h'], conf => <<'CONF',
LoadModule door_module "@MOD_DOOR@"
DoorApp bench "@PROGRAMS@/fcgi_relinked none 32"@DOOR_ENV@
<Location />
    DoorHandler bench
</Location>
CONF
});
add_goal(
    works => ['tiny'], of => $name, says => 'requests/s of a relinked program, of the same behind mod_fcgid',
    figure => 'rate', against => 'mod_fcgid-32', least => 1.3,
);

1;
