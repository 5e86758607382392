# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Behind mod_cache no user ever gets another user's answer, with the header
# forwarded or taken away, in both of mod_cache's modes.
use strict;
use warnings;

use AuthnToken::Test;
use Test::More;

my $conf = <<'CONF';
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
CacheQuickHandler QUICK
CacheRoot "@@TMP@@/run"
CacheEnable disk "/"
CacheHeader On
CacheIgnoreNoLastMod On
CacheDefaultExpire 3600
<LocationMatch "^/(on|off|optional)/">
    AuthType Token
    AuthName "api"
    Require valid-user
    Header set X-User "expr=%{REMOTE_USER}"
    Header set Cache-Control "max-age=3600"
</LocationMatch>
<Location "/off/">
    AuthTokenForward Off
</Location>
<Location "/optional/">
    Require all granted
</Location>
<Location "/public/">
    Header set Cache-Control "max-age=3600"
    Require all granted
</Location>
AliasMatch "^/(?:on|off|optional|public)/(.*)" "@@DOCROOT@@/api/$1"
CONF

for my $quick (qw(On Off)) {
    (my $text = $conf) =~ s/QUICK/$quick/;
    my $site = AuthnToken::Test->new(modules => [qw(cache cache_disk)],
        name => "CacheQuickHandler $quick", conf => $text)->start;
    my %token = map { $_->[0] => $site->login(@$_)->{token} }
        [ alice => 'wonder-land' ], [ bob => 'builder' ];

    for my $dir (qw(on off optional)) {
        for my $round (1 .. 2) {
            for my $user (qw(alice bob)) {
                my $response = $site->get("/$dir/data.json",
                    Authorization => "Token $token{$user}");
                is $response->header('X-User'), $user,
                    "$quick, /$dir/, round $round: $user gets his own";
            }
            my $response = $site->get("/$dir/data.json");
            if ($dir eq 'optional') {
                isnt $response->header('X-User') // '', 'alice',
                    "$quick, /$dir/: nobody gets nobody's";
                isnt $response->header('X-User') // '', 'bob',
                    "$quick, /$dir/: and not the other's";
            }
            else {
                is $response->code, 401,
                    "$quick, /$dir/, round $round: nobody gets nothing";
            }
            is $site->get("/$dir/data.json",
                Authorization => 'Token x')->code, 401,
                "$quick, /$dir/, round $round: a bad token gets nothing";
        }
    }
    $site->get('/public/data.json') for 1 .. 2;
    like $site->get('/public/data.json')->header('X-Cache') // '', qr/HIT/,
        "$quick: what needs no token is cached all the same";
    $site->done;
}
finish();
