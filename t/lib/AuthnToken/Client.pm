# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The requests a test puts to its site, through the agent of
# Apache::TestRequest or, where the bytes matter, through a socket (Raw).  It
# adds nothing the test did not ask for: no redirect is followed, no
# credential made up.  The site (url, port, secret, config) is Site's.
package AuthnToken::Client;

use strict;
use warnings;

use Apache::TestRequest ();
use AuthnToken::Process ();
use AuthnToken::Raw ();
use Carp qw(croak);
use HTTP::Request ();
use JSON::PP ();
use URI ();

my $json = JSON::PP->new->utf8->canonical;

# agent: LWP as Apache::TestRequest makes it, HTTP/1.1, and no connection is
# kept from one request to the next.
sub agent {
    my ($self) = @_;

    if (!$self->{agent}) {
        no warnings 'redefine';
        local *Apache::Test::config = sub { return $self->{config} };
        Apache::TestRequest::install_http11();
        $self->{agent} = Apache::TestRequest->new(
            agent => 'harness/1.0',
            ssl_opts => { verify_hostname => 0, SSL_verify_mode => 0 });
        $self->{agent}->timeout(60 * $AuthnToken::Process::patience);
    }
    return $self->{agent};
}

# request($method, $path, \%headers, $body): an HTTP::Response; no redirect
# is followed and no credential made up.  A header's value may be a list: so
# many lines.  A body that is a hash goes as JSON, a list as a form.
sub request {
    my ($self, $method, $path, $headers, $body) = @_;
    my $request = HTTP::Request->new($method, $self->url($path));
    no warnings 'once';
    local @LWP::Protocol::http::EXTRA_SOCK_OPTS = (SendTE => 0,
        MaxLineLength => 0, MaxHeaderLines => 0);

    for my $name (sort keys %{ $headers || {} }) {
        $request->push_header($name => $headers->{$name});
    }
    if (ref $body eq 'HASH') {
        $request->init_header('Content-Type' => 'application/json');
        $body = $json->encode($body);
    }
    elsif (ref $body eq 'ARRAY') {
        my $form = URI->new('http:');
        $form->query_form($body);
        $request->init_header(
            'Content-Type' => 'application/x-www-form-urlencoded');
        $body = $form->query;
    }
    if (defined $body) {
        $request->content($body);
        $request->init_header('Content-Length' => length $body);
    }
    elsif ($method =~ /^(?:POST|PUT)$/) {
        $request->init_header('Content-Length' => 0);
    }
    return $self->agent->simple_request($request);
}

# get, head, options, delete($path, %headers);
# post, put, patch($path, $body, %headers)
for my $method (qw(get head options delete)) {
    no strict 'refs';
    *$method = sub {
        my ($self, $path, %headers) = @_;
        return $self->request(uc $method, $path, \%headers);
    };
}

for my $method (qw(post put patch)) {
    no strict 'refs';
    *$method = sub {
        my ($self, $path, $body, %headers) = @_;
        return $self->request(uc $method, $path, \%headers, $body);
    };
}

# json($response): its body decoded; dies when it is no JSON.
sub json {
    my ($self, $response) = @_;
    return $json->decode($response->content);
}

# raw($bytes, timeout => 2, until => qr//, half_close => 0, port => n):
# { bytes, closed, elapsed, responses }.
sub raw {
    my ($self, $bytes, %opt) = @_;
    my $port = delete $opt{port} // $self->port;
    return AuthnToken::Raw->exchange($port, $bytes, %opt);
}

# connection($port): an AuthnToken::Raw, for several requests on one socket.
sub connection {
    my ($self, $port) = @_;
    return AuthnToken::Raw->new($port // $self->port);
}

# login($user, $password, %more): the decoded answer of a good login; %more
# are further members of the body, path => another login location.
sub login {
    my ($self, $user, $password, %more) = @_;
    my $path = delete $more{path} // '/api-token-auth/';

    $self->secret($password, "password of $user");
    my $response = $self->post($path,
        { username => $user, password => $password, %more });
    croak "login of $user: ", $response->status_line, ' ', $response->content
        if $response->code != 200;
    my $answer = $self->json($response);
    $self->secret($answer->{token}, "token of $user");
    # As it travels in a Basic header.
    $self->secret("$user:$_", "Basic credential of $user")
        for $password, $answer->{token};
    return $answer;
}

1;
