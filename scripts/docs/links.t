#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# Every link between documents leads somewhere: to a file that is there, and where it
# names a heading, to that heading.  Every document of the manual is reached from its index.

use strict;
use warnings FATAL => 'all';

use lib 'scripts/docs';
use Docs qw(anchors links manual_files markdown_files slug);
use File::Basename qw(dirname);
use File::Spec::Functions qw(abs2rel canonpath catfile rel2abs);
use Test::More;

# That this test sees what it is for.
is slug('Who waits'), 'who-waits', 'a heading becomes an anchor';
is slug('`make check`: 2 parts'), 'make-check-2-parts', '... without what is no word';

# The path from the top, of a link in that file.
sub resolve {
    my ($from, $link) = @_;
    my @parts;
    for (split m{/}, catfile(dirname($from), $link)) {
        if ($_ eq '..') { pop @parts } elsif ($_ ne '.' && $_ ne '') { push @parts, $_ }
    }
    return join '/', @parts;
}

is resolve('docs/python/README.md', '../../bench/NOTES.md'), 'bench/NOTES.md', 'a link is followed from its file';

my (%leads_to, $count);
for my $file (markdown_files()) {
    my @lost;
    for my $link (links($file)) {
        next if $link =~ m{^\w+://|^mailto:};
        my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
        my $target = $path eq '' ? $file : resolve($file, $path);
        $leads_to{$file}{$target} = 1;
        $count++;
        if (!-e $target) {
            push @lost, $link;
        } elsif (defined $anchor && $target =~ /\.md$/ && !grep { $_ eq $anchor } anchors($target)) {
            push @lost, $link;
        }
    }
    is_deeply \@lost, [], "$file: its links lead somewhere";
}
cmp_ok $count, '>', 100, 'there are links';

for my $file (grep { m{^docs/} && $_ ne 'docs/README.md' } manual_files()) {
    ok $leads_to{'docs/README.md'}{$file}, "$file is in the manual's index";
}
ok $leads_to{'README.md'}{'docs/README.md'}, 'the README leads to the index';

done_testing;
