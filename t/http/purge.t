# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# AuthTokenPurge: rows dead for longer than it are removed, in many
# statements, those that are younger or still needed are not.
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use Test::More;

my $site = AuthnToken::Test->new(conf => "AuthTokenPurge 1h\n"
    . AuthnToken::Conf::default_text(1));
my $pg = AuthnToken::Test::database() eq 'pgsql';
$site->start;
my $live = $site->login('alice', 'wonder-land');
my $dead = $site->login('bob', 'builder');
my $dbh = $site->dbh;

sub at { return $pg ? "now() - interval '$_[0] s'" : time - $_[0] }

sub ids { return join ' ', sort map { substr $_, 0, 4 } @{
    $dbh->selectcol_arrayref('SELECT digest FROM auth_token') } }

# Rows copied from a dead one, 2,500 of each kind.
sub fill {
    my ($letter, $columns) = @_;
    my $number = $pg ? "lpad(i::text, 63, '0')" : "printf('%063d', i)";
    $dbh->do("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        . " WHERE i < 2500) INSERT INTO auth_token (digest, username, family,"
        . ' created_at, expires_at, revoked_at, superseded_at)'
        . " SELECT '$letter' || $number, 'x', '$letter', " . at(9000)
        . ", $columns FROM n");
    return;
}

fill('e', at(3700) . ', NULL, NULL');
fill('f', at(-9000) . ', ' . at(3700) . ', NULL');
$dbh->do("UPDATE auth_token SET digest = 'young' || substr(digest, 6)"
    . ', expires_at = ' . at(3500) . ' WHERE digest LIKE ?', {},
    "$dead->{id}%");
# Its family has one that lives.
$dbh->do("INSERT INTO auth_token (digest, username, family, created_at,"
    . " expires_at, superseded_at) SELECT 'old' || substr(digest, 4),"
    . ' username, family, created_at, ' . at(9000) . ', ' . at(9000)
    . ' FROM auth_token WHERE digest LIKE ?', {}, "$live->{id}%");
$site->restart;
ok poll(sub { ids() !~ /[ef]000/ }, 40), '5,000 dead rows are removed';
is ids(), join(' ', sort 'youn', 'old' . substr($live->{id}, 3, 1),
    substr $live->{id}, 0, 4),
    'the young, the living and what the living need stay';
$site->log_like(qr/:info\].* rows of tokens dead for longer than AuthTokenPurge removed/,
    'the log has the number');
is $site->get('/api/', Authorization => "Token $live->{token}")->code, 200,
    'the living is good';
$site->done;
finish();
