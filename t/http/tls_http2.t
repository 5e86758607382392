# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
#
# Over TLS, in HTTP/1.1 and HTTP/2, all is as in the clear: login, check and
# refusal; each challenge is a field of its own; and a body that nobody
# reads spoils neither the stream nor the connection.
use strict;
use warnings;

use AuthnToken::Process qw(poll run temp_dir which);
use AuthnToken::Test;
use JSON::PP ();
use Test::More;

my $curl = which('curl') or plan skip_all => 'no curl found';
my $version = run($curl, '-V')->{out};
plan skip_all => 'curl knows no HTTP/2' if $version !~ /\bHTTP2\b/;
delete @ENV{ grep { /proxy|^CURL_/i } keys %ENV };

my $home = temp_dir();
my $site = AuthnToken::Test->new(modules => [qw(ssl http2)],
    conf => <<'CONF');
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    AuthTokenScheme Token Bearer Basic
    Require valid-user
</Location>
<Location "/json/">
    AuthType Token
    AuthName "json"
    AuthTokenErrorBody json
    Require valid-user
</Location>
ScriptAliasMatch "^/(?:api|json)/env$" "@@TMP@@/cgi-bin/env"
Protocols h2c http/1.1
Listen 127.0.0.1:@@PORT2@@
<VirtualHost 127.0.0.1:@@PORT2@@>
    DocumentRoot "@@DOCROOT@@"
    SSLEngine On
    SSLCertificateFile "@@CERT@@"
    SSLCertificateKeyFile "@@KEY@@"
    Protocols h2 http/1.1
    MaxKeepAliveRequests 0
</VirtualHost>
CONF
for my $module (qw(ssl http2)) {
    next if $site->have_module($module);
    $site->discard;
    plan skip_all => "httpd has no mod_$module";
}
$site->allow_log(qr/\[ssl:warn\] /);
$site->start;

my $base = 'https://127.0.0.1:' . $site->port(2);
my $clear = 'http://127.0.0.1:' . $site->port;
my $body = JSON::PP::encode_json({ username => 'alice',
    password => 'wonder-land' });

# curl(@arguments): { exit, out, err, elapsed }
sub curl {
    return run($curl, '-s', '-S', '-k', @_, { timeout => 60,
        env => { HOME => $home } });
}

# answers($text): what curl -i printed: [ { version, status, fields, body } ]
sub answers {
    my ($text) = @_;
    my @answers;

    for my $part (split m{^(?=HTTP/[\d.]+ \d+)}m, $text) {
        my ($head, $rest) = split /\r\n\r\n/, $part, 2;
        my ($first, @lines) = split /\r\n/, $head;
        my ($version, $status) = $first =~ m{^HTTP/([\d.]+) (\d+)} or next;
        push @answers, { version => $version, status => $status,
            fields => [ map { [ lc $_->[0], $_->[1] ] }
                map { [ split /: ?/, $_, 2 ] } @lines ], body => $rest };
    }
    return @answers;
}

sub field {
    my ($answer, $name) = @_;
    return map { $_->[1] } grep { $_->[0] eq $name } @{ $answer->{fields} };
}

for my $case ([ 'HTTP/2', $base, '2', '--http2' ],
    [ 'HTTP/1.1 over TLS', $base, '1.1', '--http1.1' ],
    [ 'HTTP/2 in the clear', $clear, '2', '--http2-prior-knowledge' ]) {
    my ($name, $url, $http, $option) = @$case;

    my ($answer) = answers(curl($option, '-i', '-H',
        'Content-Type: application/json', '-d', $body,
        "$url/api-token-auth/")->{out});
    is $answer->{version}, $http, "$name: is what is spoken";
    is $answer->{status}, 200, "$name: a login is answered";
    is_deeply [ field($answer, 'cache-control') ], ['no-store'],
        "$name: and not to be stored";
    my $token = JSON::PP::decode_json($answer->{body})->{token};
    $site->secret($token, "token of alice ($name)");
    $site->secret('wonder-land', 'password of alice');

    ($answer) = answers(curl($option, '-i', '-H',
        "Authorization: Token $token", "$url/api/env")->{out});
    is $answer->{status}, 200, "$name: the token is good";
    like $answer->{body}, qr/^REMOTE_USER=alice$/m, "$name: for its owner";
    is_deeply [ field($answer, 'vary') ], ['Authorization'],
        "$name: and the answer varies by it";

    ($answer) = answers(curl($option, '-i', '-H',
        'Authorization: Bearer tok_x', "$url/api/env")->{out});
    is $answer->{status}, 401, "$name: a wrong token is refused";
    is_deeply [ field($answer, 'www-authenticate') ], [ 'Token',
        'Bearer realm="api", error="invalid_token", error_description='
        . '"The token is unknown, expired or revoked"',
        'Basic realm="api", charset="UTF-8"' ],
        "$name: each challenge is a field of its own";
    ($answer) = answers(curl($option, '-i', "$url/json/env")->{out});
    is $answer->{body},
        '{"detail":"Authentication credentials were not provided."}',
        "$name: a refusal has its JSON body";
    is_deeply [ field($answer, 'content-type') ], ['application/json'],
        "$name: and its type";

    # curl 7.88 cannot use a connection twice that begins with HTTP/2 in the
    # clear, whatever the server.
    next if $url eq $clear;

    # A hundred on one connection.
    my @lines = split /\n/, curl($option, '-o', '/dev/null', '-w',
        '%{http_code} %{num_connects}\n', '-H', "Authorization: Token $token",
        "$url/api/data.json?[1-100]")->{out};
    is_deeply \@lines, [ '200 1', ('200 0') x 99 ],
        "$name: 100 checks on one connection";

    # As many at once, each a stream of its own.
    if ($http eq '2') {
        @lines = split /\n/, curl($option, '-Z', '--parallel-max', 50, '-o',
            '/dev/null', '-w', '%{http_code}\n', '-H',
            "Authorization: Token $token", "$url/api/data.json?[1-100]")
            ->{out};
        is_deeply [ sort @lines ], [ ('200') x 100 ],
            "$name: 100 checks at once";
    }

    # A body that nobody reads, then another request.
    for my $size (1_000_000, 10) {
        my $bytes = "an unread body of $size bytes";
        my $before = $site->log->lines('access', qr/"POST \S*env HTTP/);
        AuthnToken::Conf::put("$home/body", 'x' x $size);
        my $result = curl($option, '-o', '/dev/null', '-w',
            '%{http_code} %{num_connects}\n', '-H', 'Expect:',
            '--data-binary', "\@$home/body", "$url/api/env", '--next', '-s',
            '-S', '-k', $option, '-o', '/dev/null', '-w',
            '%{http_code} %{num_connects}\n', '-H',
            "Authorization: Token $token", "$url/api/data.json");
        my ($first, $second) = split /\n/, $result->{out};
        cmp_ok $result->{elapsed}, '<', 5, "$name, $bytes: no long wait";
        poll(sub { $site->log->lines('access', qr/"POST \S*env HTTP/)
            > $before }, 5);
        like(($site->log->lines('access', qr/"POST \S*env HTTP/))[-1],
            qr/" 401 /, "$name, $bytes: 401 is sent");
        if ($http eq '2') {
            # httpd resets the stream behind its answer (RFC 9113, 8.1), over
            # which curl before 8.0 may lose it; with mod_auth_basic, too.
            like $first, qr/^(?:401|000) 1$/, "$name, $bytes: refused";
            is $second, '200 0', "$name, $bytes: the connection goes on";
        }
        else {
            is $first, '401 1', "$name, $bytes: refused";
            is $second, $size > 100_000 ? '200 1' : '200 0',
                "$name, $bytes: the next request is good";
        }
    }
    ($answer) = answers(curl($option, '-I', '-H',
        "Authorization: Token $token", "$url/api/data.json")->{out});
    is $answer->{status}, 200, "$name: HEAD is answered";
}
finish();
