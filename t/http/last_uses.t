# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Last uses that the database was not told of are written when httpd stops or
# restarts; a database that is silent then does not hold it.
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;
use Time::HiRes qw(time);

my $conf = "AuthTokenFlushInterval 1h\n" . AuthnToken::Conf::default_text(1);
my $pg = AuthnToken::Test::database() eq 'pgsql';
my $resumed = qr/resuming normal operations/;

sub signal {
    my ($site, $name) = @_;
    $site->{log}->note_stop;
    kill $name, $site->pid;
    return;
}

my %way = (
    'a stop' => sub { $_[0]->stop },
    'a graceful stop' => sub {
        my ($site) = @_;
        signal($site, 'WINCH');
        poll(sub { !$site->pid }, 20);
    },
    'a restart' => sub {
        my ($site) = @_;
        my $before = () = $site->{log}->lines('error', $resumed);
        signal($site, 'HUP');
        poll(sub { $before < $site->{log}->lines('error', $resumed) }, 20);
    },
    'a graceful restart' => sub { $_[0]->graceful },
);
# prefork ends its children within a signal's handler where it is not asked
# gracefully; no statement is run there.
my @ways = sort grep { AuthnToken::Test::mpm() ne 'prefork' || /graceful/ }
    keys %way;

sub used_at {
    my ($site, $login) = @_;
    return ($site->dbh->selectrow_array('SELECT last_used_at FROM auth_token'
        . ' WHERE digest LIKE ?', {}, "$login->{id}%"))[0];
}

sub use_token {
    my ($site, $login) = @_;
    return $site->get('/api/', auth($login->{token}))->code;
}

for my $way (@ways) {
    my $site = AuthnToken::Test->new(name => $way, conf => $conf)->start;
    my @logins = map { $site->login('alice', 'wonder-land') } 1 .. 3;
    my $unused = $site->login('bob', 'builder');

    is use_token($site, $_), 200, "$way: a token is used" for @logins;
    is_deeply [ grep { defined } map { used_at($site, $_) } @logins ], [],
        "$way: its use is not written yet";
    ok $way{$way}->($site), "$way: it comes to its end";
    # A graceful restart does not wait for the children of before.
    ok poll(sub { 3 == grep { defined used_at($site, $_) } @logins }, 10),
        "$way: the last uses are written";
    is used_at($site, $unused), undef, "$way: and none that was not";
    $site->done;
}

# --- a database that is silent ---

if (AuthnToken::Test::mpm() ne 'prefork') {
    my $site = AuthnToken::Test->new(name => 'silent', conf => $conf)->start;
    my $login = $site->login('alice', 'wonder-land');
    my $dbh = $site->dbh;

    use_token($site, $login);
    $pg ? $site->pg->freeze($site->dbname) : $dbh->do('BEGIN IMMEDIATE');
    my $start = time;
    $site->expect_log(qr/:warn\].* httpd stops and the token database takes no last uses: .*; they are lost/);
    ok $site->stop, 'silent: httpd stops all the same';
    cmp_ok time - $start, '<', 5 * $AuthnToken::Process::patience,
        'silent: and soon';
    $pg ? $site->pg->thaw : $dbh->do('ROLLBACK');
    is used_at($site, $login), undef, 'silent: nothing was written';
    is $site->log_lines(qr/they are lost/), 1, 'silent: it is said once';
    $site->done;
}
# Two hosts with the same tokens would else lock each other's rows.
if ($pg) {
    my $site = AuthnToken::Test->new(name => 'order',
        conf => "AuthTokenTable 8\n$conf")->start;
    # One set of the table has them all, in the order in which they came.
    my @logins = map { $site->login('alice', 'wonder-land') } 1 .. 7;
    my $mark = $site->pg->log_mark;

    use_token($site, $_) for @logins;
    $site->stop;
    my ($flush) = grep { $_->{text} =~ /json_each_text/ }
        $site->pg->sent($mark);
    my @written = ($flush->{values} // '') =~ /"(\w{64})"/g;
    is scalar @written, 7, 'order: one statement writes all uses';
    is_deeply \@written, [ sort @written ], 'order: sorted by digest';
    $site->done;
}
finish();
