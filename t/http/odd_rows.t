# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Rows that were written by hand with what a column takes and a moment is
# not: a token that never ends has an end, one that is revoked at no moment is
# revoked, and neither stands in the way of others' revocations.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use Test::More;

my $is_pgsql = AuthnToken::Test::database() eq 'pgsql';
# What each takes: for ever, before all time, and a moment that is none.
my ($never, $before, @none) = $is_pgsql
    ? (q('infinity'), q('-infinity'), q('infinity'), q('-infinity'),
        q('0001-01-01 BC'), q('294276-12-31'), 'to_timestamp(0)')
    : ('9e999', '-9e999', q('now'), q(''), '0', '-1', '0.5', '9e999', 'x\'00\'');
my $site = AuthnToken::Test->new(name => 'odd rows')->start;
my $dbh = $site->dbh;

# code($login): what the token is answered.
sub code {
    my ($login) = @_;
    return $site->get('/api/', Authorization => "Token $login->{token}")->code;
}

# given($column, $value): a token that has not been asked for yet, with it.
sub given {
    my ($column, $value) = @_;
    my $login = $site->login('alice', 'wonder-land');
    $dbh->do("UPDATE auth_token SET $column = $value WHERE digest LIKE ?", {},
        "$login->{id}%");
    return $login;
}

is code(given(expires_at => $never)), 200, "a token that ends at $never is good";
is code(given(expires_at => $before)), 401, "one that ended at $before is not";
is code(given(revoked_at => $_)), 401, "a token revoked at $_ is refused"
    for @none;
is code(given(created_at => $_)), 200, "a token made at $_ is good"
    for $never, $before;
is code(given(last_used_at => $_)), 200, "a token last used at $_ is good"
    for $never, $before;

{
    my $login = $site->login('bob', 'builder');
    is code($login), 200, 'beside them a token is good';
    is $site->httoken('revoke', $login->{id})->{exit}, 0, 'it is revoked';
    ok poll(sub { code($login) == 401 }, 10),
        'and refused soon: the poll reads past such rows';
    my $list = $site->httoken('--json', 'list');
    is $list->{exit}, 0, 'httoken lists such rows';
    like $list->{out}, qr/"\Q$login->{id}\E"/, 'and those behind them';
}
finish();
