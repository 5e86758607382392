# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What mod_status shows of tokens: the numbers of all children together, for
# people and for programs.
# profiles: sqlite3-event pgsql-event sqlite3-prefork sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth make_token);
use Test::More;

my $conf = AuthnToken::Conf::default_text(1) . <<'CONF';
AuthTokenTable 100
<Location "/basic/">
    AuthType Token
    AuthName "basic"
    AuthTokenScheme Basic
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    Require valid-user
</Location>
<Location "/never/">
    AuthType Token
    AuthTokenCacheTTL 0
    Require valid-user
</Location>
<Location "/api-token-auth/">
    AuthTokenLoginLimit 2 60s
</Location>
<Location "/status">
    SetHandler server-status
</Location>
AliasMatch "^/(?:basic|never)/$" "@@DOCROOT@@/api/index.html"
CONF

# numbers($site): the lines for programs.
sub numbers {
    my ($site) = @_;
    my %value = $site->get('/status?auto')->content
        =~ /^AuthToken(\w+): (-?\d+)$/mg;
    return \%value;
}

my $site = AuthnToken::Test->new(conf => $conf)->start;
my %expected = (TableSlots => 104, map { $_ => 0 } qw(TableUsed Hits
    StaleHits NegativeHits Misses DatabaseErrors DatabasesDown Logins
    LoginsRefused Throttled RefusedMalformed RefusedUnknown RefusedExpired
    RefusedRevoked RefusedReuse RefusedNetwork RefusedPassword RefusedScope
    RefusedInactive));

# step($name, %more): what is there, after so much more of some.
sub step {
    my ($name, %more) = @_;
    $expected{$_} += $more{$_} for keys %more;
    is_deeply numbers($site), \%expected, $name;
    return;
}

step('a server that was just started has lines for all, with 0');

my $token = $site->login('alice', 'wonder-land')->{token};
my $other = $site->login('bob', 'builder')->{token};
step('a login is counted', Logins => 2);

$site->get('/api/', auth($token));
step('a first use is a miss, and takes a slot', Misses => 1, TableUsed => 1);
$site->get('/api/', auth($token)) for 1 .. 5;
step('further ones are hits', Hits => 5);

my $unknown = make_token();
$site->get('/api/', auth($unknown));
step('an unknown token is a miss, and takes no slot of the others',
    Misses => 1, RefusedUnknown => 1);
$site->get('/api/', auth($unknown)) for 1 .. 3;
step('the next time it is a negative hit', NegativeHits => 3,
    RefusedUnknown => 3);

$site->get('/api/', auth('abc')) for 1 .. 2;
$site->get('/api/', Authorization => 'Token a b');
step('malformed ones are refused, and neither hit nor miss',
    RefusedMalformed => 3);
$site->get('/api/');
step('a request without a credential is not counted');

$site->secret('not-the-one', 'a password');
$site->post('/api-token-auth/',
    { username => 'bob', password => 'not-the-one' }) for 1 .. 2;
step('logins with a wrong password are counted', LoginsRefused => 2);
is $site->post('/api-token-auth/',
    { username => 'bob', password => 'not-the-one' })->code, 429,
    'the third is throttled';
step('and counted as such', Throttled => 1);

require MIME::Base64;
$site->get('/basic/', Authorization => 'Basic '
    . MIME::Base64::encode_base64('bob:not-the-one', ''));
step('a wrong password in Basic is a refusal', RefusedPassword => 1);
$site->get('/basic/', Authorization => 'Basic '
    . MIME::Base64::encode_base64("x:$token", ''));
step('a token in Basic is a hit', Hits => 1);

my $moment = $site->pg ? "now() - interval '1h'" : 1;
for my $case ([ revoked_at => 'Revoked' ], [ superseded_at => 'Reuse' ],
    [ expires_at => 'Expired' ]) {
    my ($column, $reason) = @$case;
    my $each = $site->login('alice', 'wonder-land')->{token};
    my $id = substr Digest::SHA::sha256_hex($each), 0, 16;

    $site->dbh->do("UPDATE auth_token SET $column = $moment"
        . ' WHERE digest LIKE ?', {}, "$id%");
    $site->expect_log(qr/token $id of user alice.* was used from/)
        if $reason eq 'Reuse';
    is $site->get('/never/', auth($each))->code, 401,
        "a token is refused by $column";
    # The poll may have come first: then it was the table that knew.
    my $now = numbers($site);
    is $now->{"Refused$reason"}, 1, "and counted as $reason";
    $expected{$_} = $now->{$_} for qw(Hits Misses TableUsed);
    step("and as nothing else ($reason)", Logins => 1,
        "Refused$reason" => 1);
}

my $page = $site->get('/status')->content;
like $page, qr{<h2>Tokens \(mod_authn_token\)</h2>\n<dl>},
    'the page for people has a part about tokens';
like $page, qr{<dt>104 slots in the table</dt>}, 'with its slots';
like $page, qr{<dt>$expected{Hits} answered by the table</dt>}, 'the hits';
like $page, qr{<dt>4 refused: unknown</dt>\n}, 'and the refusals by reason';
unlike $page, qr/\Q$token\E/, 'and no token';
is scalar(() = $page =~ /<dl>/g), scalar(() = $page =~ m{</dl>}g),
    'its lists are closed';

my $before = numbers($site);
$site->get('/api/', auth($token)) for 1 .. 30;
cmp_ok scalar(() = $site->child_pids), '>', 1, 'there are several children';
is numbers($site)->{Hits} - $before->{Hits}, 30,
    'the numbers are those of all children together';

$site->graceful;
is numbers($site)->{$_}, 0, "a graceful restart begins anew: $_"
    for qw(Hits Misses TableUsed Logins);
$site->done;

# --- a database that is down ---

SKIP: {
    skip 'no PostgreSQL here', 1 if !AuthnToken::Postgres::available();
    my $pg = AuthnToken::Postgres->new;
    my $down = AuthnToken::Test->new(db => 'pgsql', pg => $pg,
        name => 'down', conf => $conf)->start;
    my $known = $down->login('alice', 'wonder-land')->{token};

    $down->allow_log(qr/\[dbd:/, qr/the token database does not answer/);
    is $down->get('/never/', auth($known))->code, 200, 'a token is good';
    is numbers($down)->{DatabasesDown}, 0, 'no database is down';
    $pg->stop;
    is $down->get('/never/', auth($known))->code, 200,
        'with the database down it is good from the table';
    my $now = numbers($down);
    is $now->{StaleHits}, 1, 'which is a stale hit';
    is $now->{DatabaseErrors}, 1, 'and a question without an answer';
    is $down->get('/api/', auth(make_token()))->code, 503,
        'what is not there is a 503';
    is numbers($down)->{DatabaseErrors}, 2, 'and counted';
    is numbers($down)->{DatabasesDown}, 1, 'a database is down';

    # A child that leaves takes its verdict with it.
    my ($first) = $down->child_pids;
    kill 'KILL', $_ for $down->child_pids;
    poll(sub { !kill 0, $first }, 10);
    $pg->start;
    ok poll(sub {
        $down->get('/never/', auth($known));
        my $open = numbers($down)->{DatabasesDown};
        return defined $open && $open == 0;
    }, 20), 'with the database back it is not, killed children or no';
    $down->done;
}

# --- no table ---

{
    (my $none = $conf) =~ s/AuthTokenTable \K100/0/;
    my $bare = AuthnToken::Test->new(name => 'no table', conf => $none)
        ->start;
    my $token = $bare->login('alice', 'wonder-land')->{token};
    $bare->get('/api/', auth($token)) for 1 .. 3;
    my $now = numbers($bare);
    is_deeply [ @$now{qw(TableSlots TableUsed Hits Misses)} ],
        [ 0, 0, 0, 3 ], 'without a table all are misses';
    $bare->done;
}

finish();
