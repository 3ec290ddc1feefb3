# SPDX-License-Identifier: Apache-2.0
#
# Applications that say whether requests may pass: each combination beside mod_fcgid with
# a program that has the same rules; then what mod_fcgid does not have, or does otherwise.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use DoorTest;

plan skip_all => 'the MPM has no part in it' if mpm() ne 'event';

my $httpd = own_httpd();
my $dir = $httpd->dir;
my ($modules) = $httpd->{modules} =~ m{"?(/\S+)/mod_alias\.so};
my $has_fcgid = -e "$modules/mod_fcgid.so" && eval { require FCGI; 1 };
$httpd->install('guard');
# In front of mod_auth_basic: it asks in the order in which they are loaded.
$httpd->{modules} = "LoadModule fcgid_module $modules/mod_fcgid.so\n$httpd->{modules}" if $has_fcgid;

sub write_file {
    my ($path, $text, $mode) = @_;
    open my $file, '>', $path or die "$path: $!";
    print $file $text;
    close $file or die;
    chmod $mode // 0644, $path or die;
}

my %password = (ann => 'secret of ann', bob => 'secret: of bob', eve => '');
my $salt = '$5$saltysalt$';
my $users = join '', map { "user $_ " . crypt($password{$_}, $salt) . ($_ eq 'bob' ? " staff,cooks\n" : " guests\n") }
    sort keys %password;
my $rules = $users . join '', map { "area /$_/area staff\nshut /$_/shut\n" } qw(d f g h);
write_file("$dir/rules", $rules);
# Whom httpd itself knows: another one, and another password of one of them.
write_file("$dir/users", join '', map { "$_:" . crypt("$_ elsewhere", $salt) . "\n" } qw(zoe ann));

# The same rules as examples/guard.c.
write_file("$dir/twin.pl", <<'END' =~ s/DIR/$dir/r, 0755);
#!/usr/bin/perl
use strict;
use FCGI;
my %env;
my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
my (%hash, %groups, @areas, @shut);
open my $rules, '<', 'DIR/rules' or die;
while (<$rules>) {
    my @word = split;
    if ($word[0] eq 'user') { ($hash{$word[1]}, $groups{$word[1]}) = @word[2, 3] }
    if ($word[0] eq 'area') { push @areas, [@word[1, 2]] }
    if ($word[0] eq 'shut') { push @shut, $word[1] }
}
while ($request->Accept >= 0) {
    my ($path) = $env{REQUEST_URI} =~ /^([^?]*)/;
    my ($role, $user, $may, $variable) = ($env{FCGI_APACHE_ROLE}, $env{REMOTE_USER} // '', 0, '');
    if ($role eq 'AUTHENTICATOR') {
        $may = exists $hash{$user} && crypt($env{REMOTE_PASSWD}, $hash{$user}) eq $hash{$user};
        $variable = "USER_GROUPS: $groups{$user}" if $may;
    } elsif ($role eq 'AUTHORIZER') {
        $may = !grep { my ($area, $group) = @$_;
            $path =~ m{^\Q$area\E(/|$)} && !grep { $_ eq $group } split /,/, $groups{$user} // '' } @areas;
        $variable = 'AUTHORIZED: yes';
    } elsif ($role eq 'ACCESS_CHECKER') {
        $may = !grep { $path =~ m{^\Q$_\E(/|$)} } @shut;
        $variable = 'CHECKED: yes';
    }
    print $may ? "Status: 200 OK\r\nVariable-$variable\r\n\r\n" : "Status: 403 Forbidden\r\n\r\n";
}
END

my $basic = "AuthType Basic\nAuthName here\n";
my $file = "AuthBasicProvider file\nAuthUserFile $dir/users\n";
# Settings by their names.
my %settings = (
    authn         => "${basic}DoorAuthenticator guard\nRequire valid-user\n",
    authn_on      => "${basic}DoorAuthenticator guard\nDoorAuthenticatorAuthoritative On\n${file}Require valid-user\n",
    authn_off     => "${basic}DoorAuthenticator guard\nDoorAuthenticatorAuthoritative Off\n${file}Require valid-user\n",
    authn_user    => "${basic}DoorAuthenticator guard\nRequire user ann\n",
    authz         => "${basic}${file}DoorAuthorizer guard\nRequire valid-user\n",
    authz_off     => "${basic}${file}DoorAuthorizer guard\nDoorAuthorizerAuthoritative Off\nRequire user zoe\n",
    both          => "${basic}DoorAuthenticator guard\nDoorAuthorizer guard\nRequire valid-user\n",
    both_off      => "${basic}DoorAuthenticator guard\nDoorAuthenticatorAuthoritative Off\n${file}"
        . "DoorAuthorizer guard\nDoorAuthorizerAuthoritative Off\nRequire user zoe bob\n",
    access        => "DoorAccessChecker guard\n",
    access_off    => "DoorAccessChecker guard\nDoorAccessCheckerAuthoritative Off\n",
    access_denied => "DoorAccessChecker guard\nRequire all denied\n",
    all           => "${basic}DoorAuthenticator guard\nDoorAuthorizer guard\nDoorAccessChecker guard\nRequire valid-user\n",
    unneeded      => "${basic}DoorAuthenticator guard\nRequire all granted\n",
);

sub twin { $_[0] =~ s/Door(Authenticator|Authorizer|AccessChecker)/Fcgid$1/gr =~ s/ guard$/ $dir\/twin.pl/gmr }

# At each of the places area and shut have rules.
sub places {
    my ($root, $text) = @_;
    return join '', map {
        my $settings = $text->($settings{$_});
        my $name = $_;
        map { "<Location /$root/$_$name>\nDoorHandler kitchen\n$settings</Location>\n" } ('', 'area/', 'shut/');
    } sort keys %settings;
}

my $kitchen = "DoorHandler kitchen\n";
sub at { my ($path, $text) = @_; "<Location $path>\n$kitchen$text</Location>\n" }

my $config = "LoadModule auth_digest_module $modules/mod_auth_digest.so\n"
    . "DoorApp kitchen $dir/bin/kitchen\nDoorApp guard \"$dir/bin/guard $dir/rules\"\n"
    . "DoorApp blind \"$dir/bin/guard $dir/no-rules\"\n"
    . "DoorApp misled \"$dir/bin/guard $dir/bin\"\n" . places(d => sub { $_[0] });
$config .= "FcgidIPCDir $dir/run\nFcgidProcessTableFile $dir/run/fcgid\n"
    . "FcgidMinProcessesPerClass 1\nFcgidMaxProcesses 4\n" . places(f => \&twin) if $has_fcgid;
# The same program, behind the gateway.
$config .= "DoorApp twin \"$httpd->{build}/gateways/door_fcgi $dir/twin.pl\"\n"
    . places(g => sub { $_[0] =~ s/ guard$/ twin/gmr }) if $has_fcgid;
# A program that ends at once, behind it.
$config .= "DoorApp dead \"$httpd->{build}/gateways/door_fcgi /bin/false\"\n"
    . at('/h/dead', "DoorTimeout 1\nDoorAccessChecker dead\nDoorAccessCheckerAuthoritative Off\n");
# What gives no answer, with everybody else ready to let in.
my %mute = (
    gone    => "$dir/run/nobody",
    foreign => 'kitchen',
    blind   => 'blind',
    misled  => 'misled', # a directory can be opened, and not be read
    frozen  => "$dir/run/frozen",
);
for (sort keys %mute) {
    my $off = "DoorTimeout 1\n${basic}${file}Require valid-user\n";
    $config .= at("/h/authn_$_", "${off}DoorAuthenticator $mute{$_}\nDoorAuthenticatorAuthoritative Off\n")
        . at("/h/authz_$_", "${off}DoorAuthorizer $mute{$_}\nDoorAuthorizerAuthoritative Off\n")
        . at("/h/access_$_", "DoorTimeout 1\nDoorAccessChecker $mute{$_}\nDoorAccessCheckerAuthoritative Off\n")
        . at("/h/any_$_", "DoorTimeout 1\n${basic}${file}DoorAccessChecker $mute{$_}\nSatisfy Any\nRequire valid-user\n")
        . at("/h/any_open_$_", "DoorTimeout 1\nDoorAccessChecker $mute{$_}\nSatisfy Any\n")
        . at("/h/provider_$_", "DoorTimeout 1\n${basic}AuthBasicProvider door file\nAuthUserFile $dir/users\n"
            . "DoorAuthenticator $mute{$_}\nRequire valid-user\n")
        . at("/h/provider_off_$_", "DoorTimeout 1\n${basic}AuthBasicProvider door\nAuthBasicAuthoritative Off\n"
            . "DoorAuthenticator $mute{$_}\nRequire valid-user\n")
        . at("/h/require_$_", "DoorTimeout 1\n${basic}${file}<RequireAny>\nRequire door $mute{$_}\nRequire valid-user\n</RequireAny>\n");
}
$config .= at('/h/provider', "${basic}AuthBasicProvider door file\nAuthUserFile $dir/users\nDoorAuthenticator guard\nRequire valid-user\n")
    . at('/h/shut/any', "${basic}${file}DoorAccessChecker guard\nSatisfy Any\nRequire valid-user\n")
    . at('/h/any', "${basic}${file}DoorAccessChecker guard\nSatisfy Any\nRequire valid-user\n")
    . at('/h/nobody', "${basic}AuthBasicProvider door\nRequire valid-user\n")
    . at('/h/area/require', "${basic}DoorAuthenticator guard\nRequire door guard\n")
    . at('/h/require', "${basic}DoorAuthenticator guard\nRequire door guard\n")
    . at('/h/not', "${basic}DoorAuthenticator guard\n<RequireAll>\nRequire valid-user\nRequire not door guard\n</RequireAll>\n")
    . at('/h/inner', "${basic}DoorAuthenticator guard\nRequire valid-user\n")
    . at('/h/inner/open', "DoorAuthenticator none\nRequire all granted\n")
    . "<Directory $dir/htdocs/tenant>\nAllowOverride AuthConfig\nRequire all granted\n</Directory>\n"
    . "<Directory $dir/htdocs/tenant/released>\nDoorAllow guard\n</Directory>\n";
for my $name (qw(released kept)) {
    mkdir "$dir/htdocs/tenant";
    mkdir "$dir/htdocs/tenant/$name";
    write_file("$dir/htdocs/tenant/$name/page.txt", 'a page');
    write_file("$dir/htdocs/tenant/$name/.htaccess", "${basic}DoorAuthenticator guard\nRequire valid-user\n");
}
mkdir "$dir/htdocs/tenant/require";
write_file("$dir/htdocs/tenant/require/page.txt", 'a page');
write_file("$dir/htdocs/tenant/require/.htaccess", "${basic}${file}Require door guard\n");

$httpd->configure($config);
like $httpd->check, qr/Syntax OK/, 'httpd takes the configuration' or diag $httpd->check;
# An application that is there and does nothing.
my $frozen = fork // die $!;
if (!$frozen) {
    open STDIN, '<', '/dev/null';
    exec "$dir/bin/guard", "$dir/rules", "$dir/run/frozen" or POSIX::_exit(127);
}
ok $httpd->wait_for(sub { -S "$dir/run/frozen" }), 'an application that will not answer';
ok $httpd->start, 'httpd starts' or diag $httpd->log_text;
kill 'STOP', $frozen;

END {
    kill 'KILL', $frozen if $frozen;
}

# An answer: status, what else the client sees, the variables that the handler sees.
sub ask {
    my ($path, $user, @more) = @_;
    my @headers = defined $user ? 'Authorization: Basic ' . encode_base64($user, '') : ();
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$httpd->{port}", Timeout => 30) or die $!;
    my $body = join '', @more;
    print $socket join("\r\n", (@more ? 'POST' : 'GET') . " $path HTTP/1.0", 'Host: localhost', @headers,
        (@more ? 'Content-Length: ' . length $body : ()), '', $body);
    local $/;
    my $answer = parse_response(<$socket> // '');
    my %variable = ($answer->{body} // '') =~ /^(\w+)=(.*)$/mg;
    return {
        status => $answer->{status} // 0, body => $answer->{body}, passed => exists $variable{REQUEST_URI},
        headers => {map { $_ => $answer->{headers}{$_} }
            grep { !/^(date|content-length|connection|content-type|last-modified|etag|accept-ranges)$/ } keys %{$answer->{headers}}},
        variables => {map { $_ => $variable{$_} }
            grep { /^(USER_GROUPS|AUTHORIZED|CHECKED|REMOTE_USER|AUTH_TYPE|REMOTE_PASSWD|FCGI_\w+)$/ } keys %variable},
    };
}
sub status { ask(@_)->{status} }

my @users = (undef, map({ "$_:$password{$_}" } sort keys %password), 'ann:wrong', 'ann:ann elsewhere',
    'zoe:zoe elsewhere', 'nobody:x', ':', 'noColon');

# ---- beside mod_fcgid

SKIP: {
    skip 'no mod_fcgid, or no FCGI for Perl, here', 1 unless $has_fcgid;
    my $compared = 0;
    for my $name (sort keys %settings) {
        for my $place ('', 'area/', 'shut/') {
            my @differ;
            for my $user (@users) {
                my $ours = ask("/d/$place$name/env", $user);
                my $theirs = ask("/f/$place$name/env", $user);
                my $gateway = ask("/g/$place$name/env", $user);
                delete $_->{body} for $ours, $theirs, $gateway;
                push @differ, 'door_fcgi, ' . ($user // 'nobody') . ': ' . eq_deeply_text($gateway)
                    if eq_deeply_text($ours) ne eq_deeply_text($gateway);
                # It tells the client its variables, and whom Authoritative Off has let pass a refusal.
                delete $theirs->{headers}{$_} for grep { /^variable-/ } keys %{$theirs->{headers}};
                $theirs->{status} = 200 if $theirs->{status} == 403 && $ours->{status} == 200 && $theirs->{passed};
                $compared++;
                next if eq_deeply_text($ours) eq eq_deeply_text($theirs);
                push @differ, ($user // 'nobody') . ': ' . eq_deeply_text($ours) . ' and ' . eq_deeply_text($theirs);
            }
            is join("\n", @differ), '', "$place$name: as with mod_fcgid";
        }
    }
    cmp_ok $compared, '>', 300, 'all of them';
}

sub eq_deeply_text {
    my ($data) = @_;
    return $data // 'undef' unless ref $data;
    return '[' . join(',', map { eq_deeply_text($_) } @$data) . ']' if ref $data eq 'ARRAY';
    return '{' . join(',', map { "$_=" . eq_deeply_text($data->{$_}) } sort keys %$data) . '}';
}

# ---- what they say, in so many words

my $bob = "bob:$password{bob}";
my $ann = "ann:$password{ann}";
my $answer = ask('/d/authn/env', $bob);
is $answer->{status}, 200, 'the right password';
is $answer->{variables}{USER_GROUPS}, 'staff,cooks', '... and a variable for the handler';
is_deeply [grep { exists $answer->{variables}{$_} } qw(REMOTE_PASSWD FCGI_APACHE_ROLE)], [],
    '... but no password';
is status('/d/authn/env', 'bob:wrong'), 401, 'another one';
is status('/d/authn/env'), 401, 'none';
is status('/d/area/both/env', $ann), 401, 'the wrong group';
is status('/d/area/both/env', $bob), 200, '... and the right one';
is status('/d/shut/access/env'), 401, 'a path that is shut';
is ask('/d/all/echo', $bob, 'the body')->{body}, 'the body', 'the body stays to be read';
is ask('/d/all/echo', $bob, 'x' x 300_000)->{body}, 'x' x 300_000, '... a long one, too';
is status('/d/all/env', $bob, 'x' x 300_000), 200, '... or not to be';

# ---- nobody answers

for my $name (sort keys %mute) {
    my $mark = $httpd->mark;
    is status("/h/authn_$name/env", 'zoe:zoe elsewhere'), 503, "$name: DoorAuthenticator";
    ok $httpd->logs(qr/no answer, so the request is refused/, $mark), '... which the log tells';
    is status("/h/authz_$name/env", 'zoe:zoe elsewhere'), 503, '... DoorAuthorizer';
    is status("/h/access_$name/env"), 503, '... DoorAccessChecker';
    is status("/h/any_$name/env", 'zoe:zoe elsewhere'), 503, '... with Satisfy Any';
    is status("/h/any_open_$name/env"), 503, '... and no Require';
    is status("/h/provider_$name/env", 'zoe:zoe elsewhere'), 500, '... AuthBasicProvider door';
    is status("/h/provider_off_$name/env", 'zoe:zoe elsewhere'), 401, '... with AuthBasicAuthoritative Off';
    is status("/h/require_$name/env", 'zoe:zoe elsewhere'), 500, '... Require door';
}

is status('/h/dead/env'), 503, 'a FastCGI program that is not there: DoorAccessChecker';

# ---- providers

$answer = ask('/h/provider/env', $bob);
is $answer->{status}, 200, 'AuthBasicProvider door';
is $answer->{variables}{USER_GROUPS}, 'staff,cooks', '... and a variable';
is status('/h/provider/env', 'bob:wrong'), 401, '... another password';
is status('/h/nobody/env', $bob), 500, '... with no DoorAuthenticator';
is status('/h/require/env', $ann), 200, 'Require door';
is status('/h/area/require/env', $bob), 200, '... in the right group';
is status('/h/area/require/env', $ann), 401, '... and not';
is status('/h/not/env', $bob), 401, 'Require not door';
is status('/h/inner/env'), 401, 'DoorAuthenticator';
is status('/h/inner/open/env'), 200, '... is taken out by none';

# ---- Satisfy Any

is status('/h/any/env'), 200, 'Satisfy Any: whom DoorAccessChecker lets in needs no password';
is status('/h/shut/any/env'), 401, '... whom it refuses does';
is status('/h/shut/any/env', 'zoe:zoe elsewhere'), 200, '... and passes with it';

# ---- .htaccess

is status('/tenant/released/page.txt', $bob), 200, 'in .htaccess, with DoorAllow';
is status('/tenant/released/page.txt', 'bob:wrong'), 401, '... another password';
is status('/tenant/kept/page.txt', $bob), 403, '... without DoorAllow';
is status('/tenant/require/page.txt', 'zoe:zoe elsewhere'), 500, '... Require door without DoorAllow';

# ---- what is no configuration

for (['DoorAuthenticator', "${basic}DoorAuthenticator no-such\n", qr/there is no DoorApp of that name/],
    ['Require', "Require door\n", qr/Require door needs one argument: the name of an application/],
    ['Require', "Require door no-such\n", qr/there is no DoorApp of that name/],
    ['name', "DoorAuthorizer .x\n", qr/neither a door's path nor the name/])
{
    my ($what, $text, $said) = @$_;
    my $other = own_httpd();
    $other->configure("DoorApp kitchen $dir/bin/kitchen\n" . at('/x', $text));
    like $other->check, $said, "$what: $said";
}

ok $httpd->stop, 'httpd stops';
done_testing;
