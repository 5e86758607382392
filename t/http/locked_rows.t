# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A row that somebody keeps locked: the last uses of others are written, its own
# is once the lock is gone, and no server process waits for it.  A lock on the
# whole table holds the last uses up, and nobody's lookup.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use Test::More;

my $conf = "AuthTokenFlushInterval 1s\n" . AuthnToken::Conf::default_text(1);
my $site = AuthnToken::Test->new(conf => $conf)->start;
my ($mine, $other) = map { $site->login('alice', 'wonder-land')->{token} }
    1 .. 2;

sub used_at {
    my ($token) = @_;
    return ($site->dbh->selectrow_array('SELECT last_used_at FROM auth_token'
        . ' WHERE digest = ?', {}, sha256_hex($token)))[0];
}

# Flushes that came to their end since $from.
sub flushed {
    my ($from) = @_;
    return scalar $site->pg->statements(qr/json_each_text/, $from);
}

my $holder = $site->dbh->clone;
$holder->begin_work;
$holder->do('SELECT 1 FROM auth_token WHERE digest = ? FOR UPDATE', {},
    sha256_hex($mine));
my $mark = $site->pg->log_mark;
is $site->get('/api/', auth($_))->code, 200, 'a token is used'
    for $mine, $other;
ok poll(sub { defined used_at($other) }, 20),
    'the use of a row that is not locked is written';
ok poll(sub { flushed($mark) > 2 }, 20), 'the other one is tried again';
is used_at($mine), undef, 'but waits';
is scalar $site->dbh->selectrow_array('SELECT count(*) FROM pg_stat_activity'
    . q( WHERE wait_event_type = 'Lock' AND datname = current_database())), 0,
    'no server process does';
$holder->rollback;
ok poll(sub { defined used_at($mine) }, 20),
    'it is written when the lock is gone';
$mark = $site->pg->log_mark;
is $site->get('/api/', auth($mine))->code, 200, 'it is used once more';
ok poll(sub { flushed($mark) }, 20), 'which is told';
$site->done;

# --- a table that may be read ---

$site = AuthnToken::Test->new(name => 'table', mpm_conf => <<'MPM',
StartServers 1
ServerLimit 1
ThreadsPerChild 16
MaxRequestWorkers 16
MinSpareThreads 1
MaxSpareThreads 16
MPM
    conf => "AuthTokenQueryTimeout 1s\nAuthTokenCacheTTL 0\n$conf")->start;
my $reader = $site->login('alice', 'wonder-land')->{token};
my %code;
my $read = sub { $code{ $site->get('/api/', auth($reader))->code }++ };
my $held_up = qr/:warn\].* takes no last uses or purges: no answer within/;

$site->expect_log($held_up);
$holder = $site->dbh->clone;
$holder->begin_work;
$holder->do('LOCK TABLE auth_token IN SHARE MODE');
ok poll(sub { $read->(); $site->log_lines($held_up) }, 30),
    'table: last uses are held up, which is said';
$read->() for 1 .. 20;
is_deeply [ keys %code ], [200], 'table: tokens are looked up all the same';
$holder->rollback;
ok poll(sub { $read->(); $site->log_lines(qr/takes last uses and purges again/) },
    30), 'table: they are written when the lock is gone';
$site->log_unlike(qr/does not answer/, 'table: the database answered all along');
$site->done;

# --- a statement of one's own, that answers nothing ---

$site = AuthnToken::Test->new(name => 'own', conf => <<'CONF' . $conf)->start;
AuthTokenQuery touch "UPDATE auth_token SET last_used_at = now() FROM \
    json_each_text((%s)::json) u WHERE digest = u.key::bpchar"
CONF
my $token = $site->login('alice', 'wonder-land')->{token};

is $site->get('/api/', auth($token))->code, 200, 'own: a token is used';
ok poll(sub { defined used_at($token) }, 20), 'own: its use is written';
$mark = $site->pg->log_mark;
is $site->get('/api/', auth($site->login('bob', 'builder')->{token}))->code,
    200, 'own: another is';
ok poll(sub { flushed($mark) }, 20), 'own: and written';
unlike $site->pg->log_text($mark), qr/"@{[ sha256_hex($token) ]}":/,
    'own: without the first one';
$site->done;
finish();
