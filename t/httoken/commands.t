#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: each command of httoken does on SQLite and on PostgreSQL what its
# manual page says, for people and for programs.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HTToken;
use Test::More;

plan skip_all => 'httoken is not built' if !-x program();

my $DATE = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;
my $TOKEN = qr/tok_[0-9A-Za-z]{36}/;

subtest 'SQLite' => sub { all_commands(sqlite()) };
subtest 'PostgreSQL' => sub {
    my @database = pgsql();
    plan skip_all => 'there is no PostgreSQL' if !@database;
    all_commands(@database);
};
done_testing();

sub all_commands {
    my ($where, $sql, $params) = @_;
    init($where, $params);
    my $token = create($where, $sql);
    verify($where, $sql, $token);
    list_and_show($where, $sql, $token);
    networks($where, $sql);
    revoke($where, $token);
    strangers($where, $sql);
    rotate($where);
    purge($where, $sql);
    events($where, $sql);
    return;
}

sub told {
    my ($run, $exit, $err, $name) = @_;
    is($run->{exit}, $exit, "$name: exit code $exit");
    like($run->{err}, $err, "$name: the reason is told");
    return;
}

sub init {
    my ($where, $params) = @_;
    if ($where->[0] eq '-f') {
        told(httoken(@$where, 'list'), 3,
            qr/\A\Qhttoken: $params: no such file\E/,
            'a missing file is no database');
        ok(!-e $params, 'and it is not made by looking');
        open my $out, '>', $params or die "$params: $!\n";
        close $out;
    }
    for my $command ([ 'list' ], [ 'create', 'alice' ],
        [ 'show', '0' x 16 ], [ 'revoke', '0' x 16 ],
        [ 'revoke', '--user', 'alice' ])
    {
        told(httoken(@$where, @$command), 3,
            qr/no table auth_token .*"httoken init"/,
            "@$command before init is refused");
    }
    unlink $params if $where->[0] eq '-f';
    my $run = httoken(@$where, 'init');
    is($run->{exit}, 0, 'init is done');
    is($run->{out}, "The table auth_token is made.\n", 'and says so');
    unlike($run->{err}, qr/NOTICE|exists/, 'without a word of the driver');
    $run = httoken('init', @$where);
    is($run->{exit}, 0, 'init again is done');
    is($run->{out}, "The table auth_token was there already.\n",
        'and says that it was there');
    is($run->{err}, '', 'without a NOTICE') if $where->[0] ne '-f';
    is_deeply(httoken_json(@$where, 'init')->{json},
        { table => 'auth_token', made => JSON::PP::false() },
        'with --json it is an object');
    return;
}

sub create {
    my ($where, $sql) = @_;
    my $run = httoken(@$where, 'create', 'alice', '-c', 'git',
        '-s', 'read  write', '-s', 'push', '-e', '12h');
    is($run->{exit}, 0, 'create is done');
    like($run->{out}, qr/\A$TOKEN\n\z/, 'the token stands alone on stdout');
    chomp(my $token = $run->{out});
    my $id = token_id($token);
    like($run->{err}, qr/\Ahttoken: token $id of alice, good until $DATE/,
        'its id and its end on stderr');
    unlike($run->{err}, qr/\Q$token/, 'and not the token');
    is($sql->("SELECT username || '/' || client || '/' || scope || '/' ||"
            . " networks || '/' || family FROM auth_token"),
        "alice/git/read write push//$id", 'the row has what was asked for');
    is($sql->(where_lifetime($where, 43200)), 1, 'and the lifetime');

    $run = httoken_json(@$where, '--prefix', 'acme', 'create', 'bøb');
    is_deeply([ sort keys %{ $run->{json} } ],
        [qw(client expires id networks scope token user)],
        'with --json it is one object');
    is($run->{err}, '', 'and nothing on stderr');
    like($run->{json}{token}, qr/\Aacme_/, 'a prefix is taken');
    is($run->{json}{client}, 'httoken', 'the client is httoken by default');
    is($run->{json}{id}, token_id($run->{json}{token}), 'the id is right');
    is($sql->(where_lifetime($where, 30 * 86400)), 1,
        'the lifetime is 30 days by default');
    is(httoken(@$where, 'verify', { stdin => "$run->{json}{token}\n" })
            ->{out}, "-  -  malformed\n", 'another prefix is malformed');
    is(httoken(@$where, 'verify', '--prefix', 'acme',
            { stdin => "$run->{json}{token}\n" })->{exit}, 0,
        'verify takes a prefix too');
    return $token;
}

sub where_lifetime {
    my ($where, $seconds) = @_;
    my $length = $where->[0] eq '-f' ? 'expires_at - created_at'
        : 'extract(epoch FROM expires_at - created_at)';
    return "SELECT count(*) FROM auth_token WHERE $length = $seconds";
}

sub verify {
    my ($where, $sql, $token) = @_;
    my $id = token_id($token);
    for my $end ("\n", '', "\r\n") {
        my $run = httoken(@$where, 'verify', { stdin => "$token$end" });
        is($run->{exit}, 0, 'a good token is verified');
        is($run->{out}, "$id  alice  active\n", 'with id, user and state');
    }
    is_deeply(httoken_json(@$where, 'verify', { stdin => $token })->{json},
        { id => $id, user => 'alice', networks => '', state => 'active' },
        'with --json it is an object');

    my $unknown = 'tok_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17';
    my $run = httoken(@$where, 'verify', { stdin => "$unknown\n" });
    is($run->{exit}, 1, 'an unknown token is refused');
    is($run->{out}, token_id($unknown) . "  -  unknown\n", 'as unknown');
    my %malformed = ('nothing' => '', 'an empty line' => "\n",
        'a wrong checksum' => substr($token, 0, -1) . '!',
        'something behind it' => "$token x\n", 'a blank before it' =>
            " $token", 'a long line' => 'x' x 5000 . "\n$token\n",
        'two in a line' => "$token$token\n", 'a NUL' => "$token\0\n");
    for my $what (sort keys %malformed) {
        $run = httoken(@$where, 'verify', { stdin => $malformed{$what} });
        is($run->{exit}, 1, "$what is refused");
        is($run->{out}, "-  -  malformed\n", "$what is malformed");
    }
    my $past = $where->[0] eq '-f' ? 'created_at' : 'created_at';
    $sql->("UPDATE auth_token SET expires_at = $past"
            . " WHERE username = 'alice'");
    $run = httoken(@$where, 'verify', { stdin => $token });
    is($run->{exit}, 1, 'an expired token is refused');
    is($run->{out}, "$id  alice  expired\n", 'as expired');
    $sql->($where->[0] eq '-f'
        ? 'UPDATE auth_token SET expires_at = expires_at + 43200'
        : "UPDATE auth_token SET expires_at = expires_at + '12 hours'");
    $sql->('UPDATE auth_token SET superseded_at = created_at'
            . " WHERE username = 'alice'");
    $run = httoken(@$where, 'verify', { stdin => $token });
    is($run->{out}, "$id  alice  superseded\n", 'superseded is another word');
    is($run->{exit}, 1, 'and refused');
    $sql->('UPDATE auth_token SET superseded_at = NULL');
    return;
}

# Last, with a user of its own.
sub rotate {
    my ($where) = @_;
    my $old = httoken_json(@$where, 'create', 'carol', '-c', 'rot', '-s',
        'read', '-e', '1000', '-n', '192.0.2.0/24')->{json};
    my $run = httoken_json(@$where, 'rotate', $old->{id});
    is($run->{exit}, 0, 'rotate is done');
    my $heir = $run->{json};
    isnt($heir->{token}, $old->{token}, 'the heir is another token');
    is($heir->{id}, token_id($heir->{token}), 'its id is its digest\'s');
    is_deeply([ @$heir{qw(client scope)} ], [ 'rot', 'read' ],
        'it is like the old one');
    my $shown = httoken_json(@$where, 'show', $heir->{id})->{json};
    is($shown->{networks}, '192.0.2.0/24', 'bound as it was');
    is(httoken_json(@$where, 'show', $old->{id})->{json}{state}, 'superseded',
        'the old one is superseded');
    is(httoken(@$where, 'verify', { stdin => $heir->{token} })->{exit}, 0,
        'the heir is good');
    $run = httoken(@$where, 'rotate', $old->{id});
    is($run->{exit}, 1, 'a superseded token has no second heir');
    is($run->{out}, '', 'nothing is printed');
    like($run->{err}, qr/cannot be rotated: it is not active/, 'but why');
    is(httoken(@$where, 'rotate', 'f' x 16)->{exit}, 1,
        'an unknown one has none');
    return;
}

sub list_and_show {
    my ($where, $sql, $token) = @_;
    my $id = token_id($token);
    $sql->($where->[0] eq '-f'
        ? "UPDATE auth_token SET created_at = created_at - 10 WHERE"
            . " username = 'alice'"
        : "UPDATE auth_token SET created_at = created_at - interval '10 s'"
            . " WHERE username = 'alice'");
    my $run = httoken(@$where, 'list');
    my ($head, @rows) = split /\n/, $run->{out};
    is($head =~ s/ +/ /gr,
        'ID USER CLIENT SCOPE CREATED EXPIRES LAST-USED STATE',
        'list has a head');
    is(scalar @rows, 2, 'and a row for each token');
    like($rows[0], qr/^[0-9a-f]{16}  bøb    httoken  - /,
        'the newest first, aligned by characters');
    like($rows[1], qr/^$id  alice  git +read write push  $DATE  $DATE  -/,
        'what is empty is a dash');
    like($run->{out}, qr/ active\n\z/, 'the last word is the state');
    is(httoken(@$where, 'list', 'alice')->{out} =~ tr/\n//, 2,
        'list USER lists his own');
    is(httoken(@$where, 'list', 'nobody')->{out} =~ tr/\n//, 1,
        'an unknown user has an empty list');
    is(httoken(@$where, 'list', 'nobody')->{exit}, 0, 'which is no error');
    is_deeply(httoken_json(@$where, 'list', 'nobody')->{json}, [],
        'and with --json an empty array');
    my $list = httoken_json(@$where, 'list')->{json};
    is(join(' ', map { $_->{user} } @$list), "b\x{f8}b alice",
        'with --json it is an array in the same order');
    is_deeply([ sort keys %{ $list->[0] } ],
        [qw(client created expires id last_used networks revoked scope state
            superseded user)], 'of objects with these names');
    is_deeply([ @{ $list->[1] }{qw(id scope last_used state)} ],
        [ $id, 'read write push', undef, 'active' ], 'and these values');
    like($list->[1]{created}, qr/\A$DATE\z/, 'dates are RFC 3339');

    $run = httoken(@$where, 'show', $id);
    is($run->{exit}, 0, 'show is done');
    like($run->{out}, qr/\Aid +$id\nuser +alice\nclient +git\n/,
        'a fact a line');
    is_deeply(httoken_json(@$where, 'show', $id)->{json}, $list->[1],
        'with --json it is the list\'s object');
    told(httoken(@$where, 'show', '0' x 16), 1,
        qr/there is no token 0{16}$/, 'show of no token');
    told(httoken(@$where, 'show', uc 'abcdef0123456789'), 1,
        qr/an ID is 16 of the digits/, 'show of no id');
    return;
}

# Here nobody comes from anywhere: they are shown and not judged.
sub networks {
    my ($where, $sql) = @_;
    my $run = httoken_json(@$where, 'create', 'carol', '-n',
        ' 10.0.0.0/8,192.0.2.1 ', '--networks=2001:db8::/32');
    my $wanted = '10.0.0.0/8 192.0.2.1 2001:db8::/32';
    is($run->{exit}, 0, 'create with networks is done');
    is($run->{json}{networks}, $wanted, 'they are told');
    is($sql->("SELECT networks FROM auth_token WHERE username = 'carol'"),
        $wanted, 'and stored, with one blank between');
    my $id = $run->{json}{id};
    my $stdin = { stdin => "$run->{json}{token}\n" };

    like(httoken(@$where, 'show', $id)->{out},
        qr/^state +active\nnetworks +\Q$wanted\E$/m,
        'show has them, and the token is active');
    is(httoken_json(@$where, 'show', $id)->{json}{networks}, $wanted,
        'so has its JSON');
    is(httoken_json(@$where, 'list', 'carol')->{json}[0]{networks}, $wanted,
        'and that of list');
    like(httoken(@$where, 'list', 'carol')->{out}, qr/ active\n\z/,
        'a list for people has the state alone');
    $run = httoken(@$where, 'verify', $stdin);
    is($run->{exit}, 0, 'verify takes it for good');
    is($run->{out}, "$id  carol  active  $wanted\n", 'and says where');
    is(httoken_json(@$where, 'verify', $stdin)->{json}{networks}, $wanted,
        'in JSON, too');
    $sql->("UPDATE auth_token SET networks = 'no' || char(27) || '[2J'"
            . " WHERE username = 'carol'") if $where->[0] eq '-f';
    $sql->("UPDATE auth_token SET networks = E'no\\x1b[2J'"
            . " WHERE username = 'carol'") if $where->[0] ne '-f';
    like(httoken(@$where, $_->[0], @$_[1 .. $#$_], $stdin)->{out},
        qr/no\?\[2J/, "$_->[0] prints no control character of theirs")
        for [ 'show', $id ], ['verify'];
    $sql->("DELETE FROM auth_token WHERE username = 'carol'");
    return;
}

sub revoke {
    my ($where, $token) = @_;
    my $id = token_id($token);
    told(httoken(@$where, 'revoke', '0' x 16), 1, qr/there is no token/,
        'revoke of no token');
    my $run = httoken(@$where, 'revoke', $id);
    is($run->{exit}, 0, 'revoke is done');
    is($run->{out}, "Token $id is revoked.\n", 'and says so');
    $run = httoken(@$where, 'revoke', $id);
    is($run->{exit}, 0, 'revoke again is done');
    is($run->{out}, "Token $id was revoked already.\n", 'and says so');
    is(httoken(@$where, 'verify', { stdin => $token })->{out},
        "$id  alice  revoked\n", 'the token is revoked');
    like(httoken(@$where, 'show', $id)->{out}, qr/^revoked +$DATE$/m,
        'show says when');
    httoken(@$where, 'create', 'alice');
    $run = httoken(@$where, 'revoke', '--user', 'alice');
    is($run->{out}, "1 token revoked.\n",
        'revoke --user revokes what is not yet revoked');
    is_deeply(httoken_json(@$where, 'revoke', '--user', 'alice')->{json},
        { revoked => 0 }, 'and none the second time');
    is(httoken_json(@$where, 'list', "b\xc3\xb8b")->{json}[0]{state},
        'active', 'nor those of another user');
    return;
}

# Rows that others wrote must not drive the terminal.
sub strangers {
    my ($where, $sql) = @_;
    $sql->("UPDATE auth_token SET client = '\e[2J\x{c2}\x{9b}x'")
        if $where->[0] eq '-f';
    $sql->("UPDATE auth_token SET client = E'\\x1b[2J\\u009bx'")
        if $where->[0] ne '-f';
    my $run = httoken(@$where, 'list');
    like($run->{out}, qr/\?\[2J\?\?x/, 'control characters are not printed');
    unlike($run->{out}, qr/\e|\x{c2}\x{9b}/, 'of neither kind');
    return;
}

sub purge {
    my ($where, $sql) = @_;
    my $pg = $where->[0] eq '-d';
    my $ago = $pg ? "now() - interval '%d s'" : 'strftime(\'%%s\') - %d';
    my $old = httoken_json(@$where, 'create', 'dave')->{json}{id};
    my $young = httoken_json(@$where, 'create', 'dave')->{json}{id};
    $sql->("UPDATE auth_token SET expires_at = " . sprintf($ago, 40 * 86400)
        . " WHERE digest LIKE '$old%'");
    $sql->("UPDATE auth_token SET revoked_at = " . sprintf($ago, 7200)
        . " WHERE digest LIKE '$young%'");
    is(httoken(@$where, 'purge')->{out}, "1 row removed.\n",
        'purge removes what is dead for longer than 30 days');
    is(httoken(@$where, 'show', $old)->{exit}, 1, 'that one');
    is(httoken(@$where, 'show', $young)->{exit}, 0, 'the other stays');
    is_deeply(httoken_json(@$where, 'purge', '--age', '1h')->{json},
        { removed => 1 }, 'or for as long as is said');
    is(httoken(@$where, 'purge', '--age', '1h')->{out}, "0 rows removed.\n",
        'and none the second time');
    return;
}

sub events {
    my ($where, $sql) = @_;
    my $old = httoken_json(@$where, 'create', 'erin', '-c', 'prog')->{json}{id};
    my $heir = httoken_json(@$where, 'rotate', $old)->{json}{id};
    httoken(@$where, 'revoke', $heir);
    httoken(@$where, 'revoke', $heir);
    my $count = sub {
        return $sql->('SELECT count(*) FROM auth_token_event WHERE'
            . " username = 'erin' AND client = 'prog' AND address = ''"
            . " AND event = '$_[0]' AND id = '$_[1]'");
    };
    is($count->(@$_), 1, "one event: @$_") for [ issued => $old ],
        [ rotated => $old ], [ issued => $heir ], [ revoked => $heir ];
    is($sql->("SELECT count(*) FROM auth_token_event WHERE username = 'erin'"),
        4, 'and no other');
    $sql->('DROP TABLE auth_token_event');
    is(httoken(@$where, 'create', 'erin')->{exit}, 0,
        'without that table there are tokens all the same');
    is(httoken(@$where, 'revoke', '--user', 'erin')->{exit}, 0,
        'and they can be revoked');
    httoken(@$where, 'init');
    is($sql->('SELECT count(*) FROM auth_token_event'), 0, 'init makes it');
    return;
}
