#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
#
# docs/directives.md beside the code: the same directives, and the same options of DoorApp;
# each may stand where the manual says, which httpd is asked; the defaults are the code's;
# each has an example (scripts/docs/config.t has httpd read them).  And what is made of it:
# the page and the manual page.

use strict;
use warnings FATAL => 'all';

use lib 'scripts/docs', 't/lib';
use Cwd qw(abs_path);
use Docs qw(base_config blocks sections slug slurp);
use File::Path qw(make_path);
use File::Temp ();
use OwnHttpd ();
use Test::More;
use Waiting qw(wait_for);

my $manual = 'docs/directives.md';
my $build = abs_path($ENV{BUILD} // 'build');
my $apxs = $ENV{APXS} // 'apxs';
chomp(my $httpd = `. scripts/httpd.sh && httpd_program`);
chomp(my $modules = `$apxs -q LIBEXECDIR`);

my @sections = grep { $_->{field}{Syntax} } sections($manual);
my %manual = map { $_->{name} => $_ } @sections;

# ---- the code's table of commands

my %code;
for my $source (map { slurp($_) } 'mod_door.c', glob 'module/*.c') {
    while ($source =~ /AP_INIT_(\w+)\(\s*"(Door\w+)",\s*\w+,\s*(?:NULL|\(void \*\)\w+),\s*([A-Z_| ]+),/g) {
        $code{$2} = {kind => $1, where => {map { $_ => 1 } split / *\| */, $3}};
    }
}
cmp_ok scalar(keys %code), '>=', 17, 'the code has directives';
is_deeply [grep { /^Door/ } sort keys %manual], [sort keys %code], '... and the manual has the same';
my $access = slurp('module/access.c');
for (['Require door', 'AUTHZ_PROVIDER_GROUP'], ['AuthBasicProvider door', 'AUTHN_PROVIDER_GROUP']) {
    my ($name, $group) = @$_;
    is !!$manual{$name}, !!($access =~ /ap_register_auth_provider\([^;]*$group,\s*"door"/), "... $name, too";
}
is !!$manual{'SetHandler door-status'}, !!(join('', map { slurp($_) } glob 'module/*.c') =~ /"door-status"/),
    '... and the handler';
my %listed = map { $_ => 1 } slurp($manual) =~ /^\[([\w -]+)\]\(#[\w-]+\),?$/mg;
is_deeply [sort keys %listed], [sort keys %manual], '... and all of them in its list';

my %override = (OR_FILEINFO => 'FileInfo', OR_AUTHCFG => 'AuthConfig');
for my $name (sort keys %code) {
    my %field = %{ $manual{$name}{field} // {} };
    is_deeply [grep { !$field{$_} } qw(Description Syntax Default Context Status Module)], [],
        "$name: the table is whole";
    my ($override) = grep { defined } map { $override{$_} } keys %{ $code{$name}{where} };
    is $field{Override}, $override, '... the override';
    like $field{Syntax}, qr/^`$name /, '... the syntax';
    like $field{Syntax}, qr/On\|Off/, '... of a flag' if $code{$name}{kind} eq 'FLAG';
    like $field{Syntax}, qr/\.\.\./, '... of a list' if $code{$name}{kind} =~ /^(?:ITERATE|RAW)/;
    like $manual{$name}{text}, qr/^```apache\n(?:.*\n)*?\s*$name /m, '... an example';
}
for my $name (grep { !$code{$_} } sort keys %manual) {
    like $manual{$name}{text}, qr/^```apache\n(?:.*\n)*?\s*$name\b/m, "$name: an example";
}

# ---- where each may stand

my %sample = (
    DoorApp => 'x /bin/true', DoorHandler => '/nowhere/x', DoorAllow => 'none', DoorProtocol => 'raw',
    DoorTimeout => '5', DoorMaxConcurrent => '5', DoorQueueLength => '5', DoorQueueTimeout => '5',
    DoorBusyTimeout => '5', DoorRuntimeDir => '/tmp',
    map({ ($_ => '/nowhere/x') } qw(DoorAuthenticator DoorAuthorizer DoorAccessChecker)),
    map({ ($_ => 'On') } grep { $code{$_}{kind} eq 'FLAG' } keys %code),
);
my %context = (
    'server config' => ['', ''],
    'virtual host' => ["<VirtualHost *:1>\n", "</VirtualHost>\n"],
    'directory' => ["<Location /x>\n", "</Location>\n"],
);
my $not_here = qr/cannot occur within|not allowed/;
my $root = File::Temp->newdir('/tmp/mod_door-manual.XXXXXX');
chmod 0755, $root;
mkdir "$root/htdocs" or die $!;
my $base = base_config($root, $modules, "$build/mod_door.so");

sub write_file {
    my ($path, $text) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die $!;
}

for my $name (sort keys %code) {
    my @accepted = grep {
        my ($before, $after) = @{ $context{$_} };
        write_file("$root/httpd.conf", "$base$before$name $sample{$name}\n$after");
        `$httpd -t -f $root/httpd.conf 2>&1` !~ $not_here;
    } sort keys %context;
    my @said = grep { $_ ne '.htaccess' } sort split /, /, $manual{$name}{field}{Context};
    is_deeply \@accepted, \@said, "$name: where it may stand";
}

# .htaccess files are read by requests: one for each directive and each AllowOverride.
my @trials = map { my $name = $_; map { [$name, $_] } qw(FileInfo AuthConfig Limit) } sort keys %code;
my $port = OwnHttpd::free_port();
my $conf = $base =~ s/^Listen .*/Listen 127.0.0.1:$port/mr;
for (@trials) {
    my ($name, $override) = @$_;
    my $dir = "$root/htdocs/$name-$override";
    make_path($dir);
    write_file("$dir/.htaccess", "$name $sample{$name}\n");
    $conf .= "<Directory $dir>\nAllowOverride $override\n</Directory>\n";
}
write_file("$root/httpd.conf", $conf . ($> == 0 ? "User nobody\nGroup " . getgrgid((getpwnam 'nobody')[3]) . "\n" : ''));
my $main = $$;
my $pid;
END {
    local $?;
    if ($pid && $$ == $main) {
        kill 'TERM', $pid;
        wait_for(sub { !kill 0, $pid });
    }
}
is system("$httpd -f $root/httpd.conf"), 0, 'httpd runs for .htaccess files';
wait_for(sub { -s "$root/httpd.pid" });
($pid) = slurp("$root/httpd.pid") =~ /^(\d+)$/m;
for (@trials) {
    my ($name, $override) = @$_;
    my $url = "http://127.0.0.1:$port/$name-$override/";
    my $answer = `curl -sS -o /dev/null -w '%{http_code}' -m 20 '$url' 2>&1`;
    my $log = slurp("$root/error_log");
    my $is_refused = $log =~ m{/$name-$override/\.htaccess: $name not allowed here} ? 1 : 0;
    my $may = ($manual{$name}{field}{Override} // '') eq $override;
    is "$is_refused $answer", $may ? '0 ' . ($answer ne '500' ? $answer : 'not 500') : '1 500',
        "$name in .htaccess with AllowOverride $override: " . ($may ? 'taken' : 'refused');
}

# ---- the options of DoorApp

my $options = slurp('module/app_options.c');
my ($set) = $options =~ /\} options\[\] = \{\n(.*?)^\};/ms;
my ($rlimits) = $options =~ /\} rlimits\[\] = \{\n(.*?)^\};/ms;
my %option = map { $_ => 1 } "$set$rlimits" =~ /\{"([\w-]+)",/g;
my %described = $manual{DoorApp}{text} =~ /^\| `([\w-]+)=` \| (.*?) \|/mg;
is_deeply [sort keys %described], [sort keys %option], 'the options of DoorApp are those of the code';
my ($example) = $manual{DoorApp}{text} =~ /```apache\n(.*?)```/s;
is_deeply [grep { $example !~ /[ "]\Q$_\E=/ } sort keys %option], [], '... and each has an example';

# ---- the defaults

# A number, of nanoseconds if it is a time.
sub number {
    my ($text) = @_;
    my %unit = ('' => 1, ns => 1, ms => 1e6, s => 1e9, mi => 60e9, h => 3600e9);
    my ($number, $unit) = $text =~ /(\d+)(ms|mi|s|h|)\b/ or return $text;
    return oct $number if $number =~ /^0\d/;
    return $number * $unit{$unit};
}

# What a pattern finds in a source; products are multiplied.
sub found {
    my ($file, $pattern, $unit) = @_;
    my ($value) = slurp($file) =~ $pattern or return "nothing in $file";
    my $product = 1;
    $product *= /^0\d/ ? oct : $_ for grep { /\d/ } split /\s*\*\s*/, $value =~ s/ll\b//gr;
    return $product * ($unit // 1);
}

my $definitions = 'module/definitions.c';
my %default = (
    'instances=' => found($definitions, qr/\.instances = (\d+)/),
    'umask=' => found($definitions, qr/\.umask = (\d+)/),
    'threads=' => found('module/said_app.h', qr/MOD_DOOR_THREADS_DEFAULT (\d+)/),
    'start-timeout=' => found($definitions, qr/\.start_ns = ([\d *l]+)/),
    'stop-timeout=' => found($definitions, qr/\.stop_ns = ([\d *l]+)/),
    'backoff-min=' => found($definitions, qr/\.backoff_min_ns = ([\d *l]+)/),
    'backoff-max=' => found($definitions, qr/\.backoff_max_ns = ([\d *l]+)/),
    DoorQueueLength => found('module/settings.h', qr/MOD_DOOR_QUEUE_LEN\s+(\d+)/),
    DoorQueueTimeout => found('module/settings.h', qr/MOD_DOOR_QUEUE_TIMEOUT apr_time_from_sec\((\d+)\)/, 1e9),
    DoorBusyTimeout => found($definitions, qr/busy_timeout = apr_time_from_sec\((\d+)\)/, 1e9),
);
for my $name (sort keys %default) {
    my $said = $name =~ /^(.*)=$/ ? $described{$1} : $manual{$name}{field}{Default};
    is number($said // ''), $default{$name}, "$name: the default is the code's";
}
like slurp($definitions), qr/\.has_overlap = 1/, 'overlap= is on' if $described{overlap} eq '`on`';

# ---- what is made of it

my $html = slurp("$build/docs/mod_door.html");
my @lost = grep { my $slug = slug($_); $html !~ /<h2 id="\Q$slug\E">/ } keys %manual;
is_deeply \@lost, [], 'mod_door.html has each directive';
is_deeply [grep { $html !~ /<code>\Q$_\E=<\/code>/ } sort keys %option], [], '... and each option';
my @dead = grep { !m{^https?://} && !m{^#} && !-e "$build/docs/" . s/#.*//r } $html =~ /(?:href|src)="([^"]*)"/g;
is_deeply \@dead, [], '... and its links lead somewhere';
my $said = `mandoc -Tlint -W error $build/man/mod_door.8 2>&1`;
is $?, 0, 'mod_door(8) is well-formed' or diag $said;
my $page = `mandoc -Tutf8 -Owidth=78 $build/man/mod_door.8 | col -b`;
is_deeply [grep { $page !~ /^ +\Q$_\E$/m } sort keys %manual], [], '... and has each directive';
is_deeply [grep { $page !~ /^ +\Q$_\E=/m } sort keys %option], [], '... and each option';
is_deeply [grep { length > 100 } split /\n/, $page], [], '... in lines that fit';

done_testing;
