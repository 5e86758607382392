# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Wrong tokens are cheap: what is none by its form is never asked of the
# database, what is unknown is asked once in a while, and neither pushes out
# what is known to be good.  PostgreSQL's own log says what it was asked.
# profiles: pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth make_token);
use Digest::SHA qw(sha256_hex);
use Test::More;

sub asked {
    my ($site, $from) = @_;
    return scalar $site->pg->lookups($site->dbname, $from);
}

# All that this database is asked, but for the poll.
sub asked_anything {
    my ($site, $from) = @_;
    my $db = $site->dbname;
    return scalar grep { !/revoked_at >=/ }
        $site->pg->statements(qr/ \Q$db\E LOG: /, $from);
}

for my $mpm (qw(event prefork)) {
    my $site = AuthnToken::Test->new(db => 'pgsql', mpm => $mpm,
        name => $mpm)->start;
    my $good = $site->login('alice', 'wonder-land')->{token};
    my $unknown = $site->secret(make_token(), 'an unknown token');
    my $mark = $site->pg->log_mark;

    is $site->get('/api/', auth($unknown))->code, 401,
        "$mpm: an unknown token is refused";
    is asked($site, $mark), 1, "$mpm: after the database was asked";
    is $site->get('/api/', auth($unknown))->code, 401,
        "$mpm: a second time it is refused";
    is asked($site, $mark), 1, "$mpm: and nobody was asked";
    my @held;
    for (1 .. 6) {
        my $connection = $site->connection;
        push @held, $connection;
        is $connection->request('GET', '/api/', { auth($unknown) })->code,
            401, "$mpm: connection $_ is refused";
    }
    is asked($site, $mark), 1, "$mpm: by no child was the database asked";
    $_->close for @held;
    like(($site->access_lines(qr{GET /api/.* 401 }))[-1], qr/- unknown$/,
        "$mpm: the reason is the same from the table");

    ok poll(sub {
        $site->get('/api/', auth($unknown));
        return asked($site, $mark) > 1;
    }, 20), "$mpm: after a while it is asked again";

    # What is no token by its form.
    $site->get('/api/', auth($good));
    my $wrong = substr($good, 0, -1) . ($good =~ /a$/ ? 'b' : 'a');
    $mark = $site->pg->log_mark;
    for my $case ([ $wrong => 'a wrong checksum' ],
        [ lc $good => 'lower case' ], [ "x$good" => 'another prefix' ],
        [ substr($good, 0, 39) => 'a shorter one' ],
        [ "${good}0" => 'a longer one' ], [ 'abc' => 'a word' ],
        [ "$good $good" => 'two' ], [ "';--" => 'SQL' ],
        [ 'a' x 4000 => '4000 bytes' ], [ "\xff" => 'not ASCII' ]) {
        is $site->get('/api/', auth($case->[0]))->code, 401,
            "$mpm: $case->[1] is refused" for 1 .. 2;
    }
    is asked_anything($site, $mark), 0,
        "$mpm: what is no token by its form costs no statement at all";
    $site->done;
}

{
    my $site = AuthnToken::Test->new(db => 'pgsql', name => 'issued later')
        ->start;
    my $token = $site->secret(make_token(), 'a token issued later');
    my $digest = sha256_hex($token);

    is $site->get('/api/', auth($token))->code, 401,
        'a token is unknown before it is issued';
    $site->dbh->do('INSERT INTO auth_token (digest, username, family,'
        . ' created_at, expires_at)'
        . " VALUES (?, 'dave', ?, now(), now() + interval '1 h')", {},
        $digest, substr $digest, 0, 16);
    ok poll(sub { $site->get('/api/', auth($token))->code == 200 }, 20),
        'issued behind our back, it is good a few seconds later';
    is $site->get('/api/', auth($token))->code, 200,
        'and stays good, whatever was known before';
    my ($other) = $site->httoken('create', 'carol')->{out} =~ /(\w+)/;
    $site->secret($other, 'token of carol');
    is $site->get('/api/', auth($other))->code, 200,
        'a token that httoken has just made is good at once';
    my $login = $site->login('bob', 'builder')->{token};
    is $site->get('/api/', auth($login))->code, 200,
        'so is one that the login has just issued';
    $site->done;
}

# Fewer slots than wrong tokens: the good ones stay.
{
    my $site = AuthnToken::Test->new(db => 'pgsql', name => 'flood',
        conf => "AuthTokenTable 8\n" . AuthnToken::Conf::default_text(1))
        ->start;
    my @good = map { $site->login('alice', 'wonder-land')->{token} } 1 .. 8;

    $site->get('/api/', auth($_)) for @good;
    my $mark = $site->pg->log_mark;
    $site->get('/api/', auth(make_token())) for 1 .. 90;
    is asked($site, $mark), 90, '90 unknown tokens are asked for';
    $mark = $site->pg->log_mark;
    is_deeply [ map { $site->get('/api/', auth($_))->code } @good ],
        [ (200) x 8 ], 'the good ones are still good';
    is asked($site, $mark), 0, 'and none of them was pushed out';
    $site->done;
}

finish();
