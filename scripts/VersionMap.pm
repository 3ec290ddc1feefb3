# SPDX-License-Identifier: Apache-2.0
#
# What a library's version map (libdoor.map ...) says.

package VersionMap;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

our @EXPORT_OK = qw(version_map);

# The version's name, and the names that programs may use, in the map's order.
sub version_map {
    my ($path) = @_;
    open my $file, '<', $path or die "$path: $!";
    local $/;
    my $text = <$file>;
    my ($version) = $text =~ /^(\w+) \{/m;
    $text =~ s{/\*.*?\*/|#[^\n]*}{}gs;
    my @names;
    push @names, $1 =~ /(\w+);/g while $text =~ /global:(.*?)(?:local:|\})/gs;
    return ($version, @names);
}

1;
