# SPDX-License-Identifier: Apache-2.0
#
# Chromium without a screen, driven by chromedriver (WebDriver, W3C).
#
#     my $browser = Browser->new(profile => $dir, port => $port_of_chromedriver);
#     $browser->go("http://127.0.0.1:8080/");
#     is $browser->script('return document.title'), 'Guest book';
#     $browser->close;
#
# Whoever starts chromedriver ends it.  What goes wrong dies.

package Browser;

use strict;
use warnings FATAL => 'all';

use HTTP::Tiny ();
use JSON::PP qw(decode_json encode_json);
use MIME::Base64 qw(decode_base64);

# arguments: of Chromium's command line, more than it needs here anyway.
sub new {
    my ($class, %how) = @_;
    my $self = bless {driver => "http://127.0.0.1:$how{port}", http => HTTP::Tiny->new(timeout => 150)}, $class;
    my @arguments = ('--headless=new', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars',
        '--no-first-run', "--user-data-dir=$how{profile}", @{$how{arguments} // []});
    push @arguments, '--no-sandbox' if $> == 0;
    my $session = $self->command(POST => '/session', {capabilities => {alwaysMatch =>
        {browserName => 'chrome', 'goog:chromeOptions' => {args => \@arguments}}}});
    $self->{session} = "/session/$session->{sessionId}";
    $self->in(POST => '/timeouts', {script => 120_000, pageLoad => 120_000});
    return $self;
}

# True once chromedriver listens there.
sub is_ready { my ($port) = @_; return HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port/status")->{success} }

sub close {
    my ($self) = @_;
    my $session = delete $self->{session} or return;
    $self->command(DELETE => $session);
    return;
}

sub command {
    my ($self, $method, $path, $arguments) = @_;
    my %content = $method eq 'POST'
        ? (headers => {'Content-Type' => 'application/json'}, content => encode_json($arguments // {})) : ();
    my $answer = $self->{http}->request($method, "$self->{driver}$path", \%content);
    my $value = eval { decode_json($answer->{content})->{value} };
    die "$path: $answer->{content}" unless $answer->{success};
    return $value;
}

# A command of the session.
sub in {
    my ($self, $method, $path, $arguments) = @_;
    return $self->command($method, "$self->{session}$path", $arguments);
}

sub go { my ($self, $url) = @_; $self->in(POST => '/url', {url => $url}); return }
sub url { $_[0]->in(GET => '/url') }
sub title { $_[0]->in(GET => '/title') }
sub size { my ($self, $width, $height) = @_; $self->in(POST => '/window/rect', {width => $width, height => $height}); return }

# The body of a function, with its arguments; later() has one more, to be called with the result.
sub script { my ($self, $text, @arguments) = @_; return $self->in(POST => '/execute/sync', {script => $text, args => \@arguments}) }
sub later { my ($self, $text, @arguments) = @_; return $self->in(POST => '/execute/async', {script => $text, args => \@arguments}) }

# By a CSS selector; typing into one that is for files is the way to choose a file.
sub element {
    my ($self, $css) = @_;
    my ($id) = values %{$self->in(POST => '/element', {using => 'css selector', value => $css})};
    return "/element/$id";
}
sub fill { my ($self, $css, $text) = @_; $self->in(POST => $self->element($css) . '/value', {text => $text}); return }
sub click { my ($self, $css) = @_; $self->in(POST => $self->element($css) . '/click'); return }

# What is to be seen, as the bytes of a PNG file.
sub picture { return decode_base64($_[0]->in(GET => '/screenshot')) }

1;
