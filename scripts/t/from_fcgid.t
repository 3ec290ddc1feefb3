#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# docs/from-mod_fcgid.md and what it rests on: each directive of mod_fcgid is there, each
# configuration is one that httpd takes, and each option of door_fcgi exists and is described.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Temp ();
use Test::More;

my $build = abs_path($ENV{BUILD} // 'build');
my $apxs = $ENV{APXS} // 'apxs';
chomp(my ($modules, $sbin, $httpd) = map { `$apxs -q $_` } qw(LIBEXECDIR SBINDIR PROGNAME));

sub slurp { my ($path) = @_; open my $file, '<', $path or die "$path: $!"; local $/; return <$file> }

my $doc = slurp('docs/from-mod_fcgid.md');
my $manual = slurp('docs/fastcgi.md');

# ---- each directive

# Of 2.3.9; what an installed one has besides is asked of that.
my @directives = map { "Fcgid$_" } qw(AccessChecker Authenticator Authorizer BusyScanInterval BusyTimeout
    CmdOptions ConnectTimeout ErrorScanInterval FixPathinfo IOTimeout IPCDir IdleScanInterval IdleTimeout
    InitialEnv MaxProcesses MaxProcessesPerClass MaxRequestInMem MaxRequestLen MaxRequestsPerProcess
    MinProcessesPerClass OutputBufferSize PassHeader ProcessLifeTime ProcessTableFile SpawnScore
    SpawnScoreUpLimit TerminationScore TimeScore Win32PreventOrphans Wrapper ZombieScanInterval);
if (-e "$modules/mod_fcgid.so") {
    push @directives, grep { !/Authoritative$/ } slurp("$modules/mod_fcgid.so") =~ /\0(Fcgid[A-Z]\w+)(?=\0)/g;
}
my %seen;
my @missing = grep { $doc !~ /`$_`/ } grep { !$seen{$_}++ } @directives;
is_deeply \@missing, [], 'each directive of mod_fcgid has its line';

# ---- each configuration

my $dir = File::Temp->newdir('/tmp/mod_door-fcgid.XXXXXX');
mkdir "$dir/htdocs";
my @blocks = map { $_ =~ /```apache\n(.*?)```/gs } $doc, $manual;
cmp_ok scalar(@blocks), '>=', 5, 'there are configurations';
for my $block (@blocks) {
    open my $file, '>', "$dir/httpd.conf" or die $!;
    print $file "ServerRoot $dir\nServerName localhost\nListen 127.0.0.1:1\nErrorLog error_log\n",
        map({ -e "$modules/mod_$_.so" ? "LoadModule ${_}_module $modules/mod_$_.so\n" : '' }
            qw(mpm_event authz_core authn_core authz_user auth_basic)),
        "LoadModule door_module $build/mod_door.so\nDocumentRoot $dir/htdocs\nDoorRuntimeDir $dir\n",
        $block;
    close $file or die $!;
    my ($name) = $block =~ /DoorApp (\w+)/;
    my $said = qx{$sbin/$httpd -t -f $dir/httpd.conf 2>&1};
    like $said, qr/^Syntax OK$/m, "httpd takes that of $name";
    for my $command ($block =~ m{"\S*/(door_\w+ [^"]*)"}g) {
        next unless $command =~ /^door_fcgi (.*)$/;
        my @options = $1 =~ /(--[a-z-]+)/g;
        ok !grep({ $manual !~ /`$_ / } @options), "... with options that there are: @options";
    }
}

# ---- each option

my $usage = qx{$build/gateways/door_fcgi --help};
is $?, 0, 'door_fcgi tells its options';
my @options = $usage =~ /^  (--[a-z-]+)/mg;
cmp_ok scalar(@options), '>=', 10, '... all of them';
is_deeply [sort $manual =~ /^\| `(--[a-z-]+)/mg], [sort @options], '... the manual has the same';
for my $wrong ('--processes 0', '--processes x', '--children -1', '--role any', '--queue-timeout 5x',
    '--abort-timeout ""', '--sendfile-root /nowhere', '--unknown', '') {
    qx{$build/gateways/door_fcgi $wrong 2>&1};
    is $? >> 8, 2, "door_fcgi $wrong: that is a mistake";
}

done_testing;
