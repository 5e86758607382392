# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What a client can learn from the time a refusal takes: at a login, whether
# there is such a user or whether he is inactive; with a token, how much of it
# is a living one's.  All kinds are asked in one random order, one at a time, so
# that whatever else the machine does meets all alike; one kind is asked twice
# as often and cut in halves, whose difference is what chance alone makes.
# What is sent is made before, for the server is the slower the longer it has
# waited.  Nothing is judged here: docs/security.md says what the figures mean.
package Bench::Timing;

use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Process qw(run which);
use Bench::Client ();
use Bench::Report ();
use Bench::Sample ();
use Bench::Tokens ();
use List::Util qw(shuffle);

# Rows beside those asked for are of no use here.
my ($ROWS, $KNOWN) = (20_000, 2_000);
# httpd's file has these, every other one inactive; as long are the names that
# it has not.
my @USERS = (11 .. 30);
my @NOBODY = (31 .. 50);
# One address may ask for 100 unknown tokens in a minute; each is asked for
# twice, and a machine that stood still has forgotten them meanwhile.
my $BATCH = 45;
# Places of a login: how htpasswd hashes its file, and AuthTokenUnknownHash.
my $bcrypt = 'abcdefghijklmnopqrstuu5s0ZBUXlYQpBmqHxBpu1DBH2xJkmEGG';
my %place = (
    bcrypt5 => { crypt => [ '-B', '-C', 5 ] },
    bcrypt8 => { crypt => [ '-B', '-C', 8 ] },
    bcrypt8_like => { crypt => [ '-B', '-C', 8 ],
        hash => "\$2y\$08\$$bcrypt" },
    apr1_like => { crypt => ['-m'],
        hash => '$apr1$abcdefgh$UNfUdbs50/8x3KxGZyxFF.' },
);

my $places = join '', map { <<"CONF" } sort keys %place;
<Location "/$_/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile "conf/$_"
    AuthTokenLoginLimit 0 60s
    ${\unknown_hash($_)}
</Location>
CONF

my $more = <<"CONF";
$places
<Location "/django/">
    SetHandler token-login
    AuthTokenLoginProvider django
    AuthTokenLoginLimit 0 60s
</Location>
<VirtualHost 127.0.0.1:\@\@PORT\@\@>
    ServerName plain.test
</VirtualHost>
<VirtualHost 127.0.0.1:\@\@PORT\@\@>
    ServerName asks.test
    AuthTokenUserQuery "SELECT 1 FROM auth_user WHERE username = %s AND is_active"
</VirtualHost>
CONF

sub unknown_hash {
    my $hash = $place{ $_[0] }{hash};
    return $hash ? "AuthTokenUnknownHash \"$hash\"" : '';
}

# run_all(database =>, server => makes one, finish => ends it, samples =>): the
# two tables.
sub run_all {
    my $self = bless { @_, addresses => 0,
        kinds => Bench::Report->new('microseconds', 'samples', 'median',
            '95 of 100', 'mean'),
        pairs => Bench::Report->new('microseconds more than the first of each',
            'median', 'mean', 't', 'z of U', 'is longer') }, __PACKAGE__;
    my $database = $self->{database};
    my $name = $database->tokens($ROWS, $KNOWN);

    make_users($database->dbh($name));
    my $server = $self->{server}->(dbd => $database->params($name),
        more => $more);
    put_accounts("$server->{tmp}/conf/$_", @{ $place{$_}{crypt} })
        for keys %place;
    $server->start;
    my $n = $self->{samples};
    $self->logins($server, 'asks.test', 'bcrypt5', $n,
        'bcrypt 5, AuthTokenUserQuery', qw(wrong again unknown inactive both));
    $self->logins($server, 'plain.test', @$_, qw(wrong again unknown)) for
        [ 'bcrypt5', $n, 'bcrypt 5' ],
        [ 'bcrypt8', $n / 20, 'bcrypt 8' ],
        [ 'bcrypt8_like', $n / 10, 'bcrypt 8, AuthTokenUnknownHash of it' ],
        [ 'apr1_like', $n, 'apr1, AuthTokenUnknownHash of it' ];
    $self->logins($server, 'plain.test', 'django', $n / 80, 'provider django',
        qw(wrong again unknown inactive));
    $self->malformed($server);
    $self->guesses($server, 'a token', 4, \&Bench::Tokens::token,
        \&guess_token, 0, 8, 20, 29);
    $self->{finish}->($server);
    $server = $self->{server}->(dbd => $database->params($name),
        schema => 'drf');
    $server->start;
    $self->guesses($server, 'a key of DRF', 0, \&Bench::Tokens::django,
        \&guess_key, 0, 8, 20, 39);
    $self->{finish}->($server);
    return $self->{kinds}->text . "\n" . $self->{pairs}->text;
}

# --- who is there ---

# make_users($dbh): Django's tables, as far as they are asked; with the users
# of httpd's files, those of other hashes, and the owners of keys.
sub make_users {
    my ($dbh) = @_;
    my $add = $dbh->prepare_cached('INSERT INTO auth_user VALUES (?, ?, ?, ?)');
    my $key = $dbh->prepare_cached(
        'INSERT INTO authtoken_token VALUES (?, now(), ?)');

    $dbh->begin_work;
    $dbh->do('CREATE TABLE auth_user (id integer PRIMARY KEY, username'
        . ' varchar(150) UNIQUE, password varchar(128), is_active boolean)');
    $dbh->do('CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY,'
        . ' created timestamptz, user_id integer UNIQUE)');
    for my $n (1 .. $KNOWN) {
        $add->execute($n, Bench::Tokens::user($n), '!', 't');
        $key->execute(Bench::Tokens::django($n), $n) if is_living($n);
    }
    my $update = $dbh->prepare(
        'UPDATE auth_user SET password = ?, is_active = ? WHERE id = ?');
    for my $n (@USERS) {
        $update->execute(django_hash($n), $n % 2, $n);
    }
    $dbh->do('DELETE FROM auth_user WHERE id IN (' . join(',', @NOBODY) . ')');
    $dbh->commit;
    $dbh->do("VACUUM ANALYZE $_") for qw(auth_user authtoken_token);
    $dbh->disconnect;
    return;
}

# is_living($n): nobody logs in or is refused in his name.
sub is_living { return $_[0] < $USERS[0] || $_[0] > $NOBODY[-1] }

# django_hash($n): Django's default, computed where it is quick.
sub django_hash {
    my ($n) = @_;
    my $made = run(which('python3'), '-c', 'import base64, hashlib, sys;'
        . 'print(base64.b64encode(hashlib.pbkdf2_hmac("sha256",'
        . 'sys.argv[1].encode(), b"salt", 1000000)).decode())',
        Bench::Tokens::password($n));
    die "python3: $made->{err}" if $made->{exit};
    return "pbkdf2_sha256\$1000000\$salt\$$made->{out}" =~ s/\s+\z//r;
}

sub put_accounts {
    my ($file, @kind) = @_;
    AuthnToken::Conf::put($file, join '', map {
        my $made = run(which('htpasswd'), '-nb', @kind,
            Bench::Tokens::user($_), Bench::Tokens::password($_));
        die "htpasswd: $made->{err}" if $made->{exit};
        $made->{out} =~ s/\s+\z/\n/r;
    } @USERS);
    return;
}

# --- the kinds of logins ---

sub one_of { return $_[ rand @_ ] }

sub active { return one_of(grep { $_ % 2 } @USERS) }
sub inactive { return one_of(grep { !($_ % 2) } @USERS) }

# Name and password.
my %who = (
    wrong => [ 'wrong password', sub { (active(), one_of(@NOBODY)) } ],
    again => [ 'wrong password, again', sub { (active(), one_of(@NOBODY)) } ],
    unknown => [ 'unknown user', sub { (one_of(@NOBODY)) x 2 } ],
    inactive => [ 'inactive user, right password',
        sub { my $n = inactive(); return ($n, $n) } ],
    both => [ 'inactive user, wrong password',
        sub { (inactive(), one_of(@NOBODY)) } ],
);

# login($place, $host, $who): a kind.
sub login {
    my ($place, $host, $who) = @_;
    my ($name, $draw) = @{ $who{$who} };
    return [ $name, sub {
        my ($user, $password) = $draw->();
        my $body = '{"username":"' . Bench::Tokens::user($user)
            . '","password":"' . Bench::Tokens::password($password) . '"}';
        return "POST /$place/ HTTP/1.1\r\nHost: $host\r\n"
            . "Content-Type: application/json\r\nContent-Length: "
            . length($body) . "\r\n\r\n$body";
    } ];
}

# A refused login ends its connection, so each has one, which is there before
# the clock starts.
sub logins {
    my ($self, $server, $host, $place, $samples, $name, @who) = @_;
    my @kinds = map { login($place, $host, $_) } @who;
    my @times = map { [] } @kinds;
    my @plan = map { [ $_, $kinds[$_][1]->() ] }
        shuffle((0 .. $#kinds) x $samples);

    push @{ $times[ $_->[0] ] }, ask(Bench::Client->new($server->port),
        $_->[1], 400) for @plan;
    $self->report("login, $name", \@times, map { $_->[0] } @kinds);
    return;
}

# ask($client, $request, $status): how long it took, in seconds.
sub ask {
    my ($client, $request, $wanted) = @_;
    my ($time) = $client->times($request);

    die "$time->[0] instead of $wanted for: $request\n"
        if $time->[0] != $wanted;
    return $time->[1];
}

# --- the kinds of tokens ---

my @letters = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');

sub some_living { return $NOBODY[-1] + 1 + int rand($KNOWN - $NOBODY[-1]) }

# after($text, $shared, $length, @letters): so much of the text, then another
# character, then any.
sub after {
    my ($text, $shared, $length, @from) = @_;
    my $other = substr $text, $shared, 1;
    return substr($text, 0, $shared) . one_of(grep { $_ ne $other } @from)
        . join '', map { one_of(@from) } $shared + 2 .. $length;
}

# Well-formed: with the checksum that it should have.
sub guess_token {
    my ($shared) = @_;
    my $random = substr Bench::Tokens::token(some_living()), 4, 30;
    return Bench::Tokens::seal(after($random, $shared, 30, @letters));
}

sub guess_malformed {
    my ($shared) = @_;
    return after(Bench::Tokens::token(some_living()), $shared, 40,
        @letters);
}

sub guess_key {
    my ($shared) = @_;
    return after(Bench::Tokens::django(some_living()), $shared, 40,
        0 .. 9, 'a' .. 'f');
}

# malformed: what its form alone refuses.
sub malformed {
    my ($self, $server) = @_;
    my @shared = (0, 0, 8, 20, 39);
    my $client = Bench::Client->new($server->port);
    my @times = map { [] } @shared;
    my @plan = map { [ $_, $server->request('token',
        'Token ' . guess_malformed($shared[$_])) ] }
        shuffle((0 .. $#shared) x $self->{samples});

    push @{ $times[ $_->[0] ] }, ask($client, $_->[1], 401) for @plan;
    $self->report('token, malformed', \@times, shared_names(@shared));
    return;
}

sub shared_names {
    my ($first, $again, @more) = @_;
    return ("$first shared", "$again shared, again",
        map { "$_ shared" } @more);
}

# guesses($server, $name, $prefix, $live, $guess, @shared): of well-formed
# ones, each asked of the database first, and of the table when it has become
# known as unknown; the living ones are in the table all the while.
sub guesses {
    my ($self, $server, $name, $prefix, $live, $guess, @shared) = @_;
    my @kinds = ($shared[0], @shared);
    my @plan = shuffle((0 .. $#kinds) x $self->{samples});
    my @times = map { [] } 1 .. 2 * @kinds;
    my $request = sub { $server->request('token', "Token $_[0]") };
    my @living = map { $request->($live->($_)) } grep { is_living($_) }
        1 .. $KNOWN;

    Bench::Client::one_by_one($server->port, @living);
    my $before = $server->status;
    while (my @now = splice @plan, 0, $BATCH) {
        my @ask = map { [ $_, $request->(fresh($guess, $kinds[$_])) ] } @now;
        my $client = $self->next_client($server);
        ask($client, $living[0], 200);
        push @{ $times[ $_->[0] ] }, ask($client, $_->[1], 401) for @ask;
        push @{ $times[ @kinds + $_->[0] ] }, ask($client, $_->[1], 401)
            for shuffle @ask;
    }
    check_ways($before, $server->status, @kinds * $self->{samples});
    my @names = shared_names(map { $prefix ? $_ + $prefix : $_ } @kinds);
    $self->report("$name, not cached", [ @times[ 0 .. $#kinds ] ], @names);
    $self->report("$name, cached", [ @times[ @kinds .. $#times ] ], @names);
    return;
}

# fresh($guess, $shared): one that was not asked for before.
my %asked;
sub fresh {
    my ($guess, $shared) = @_;
    my $text;

    1 while $asked{ $text = $guess->($shared) }++;
    return $text;
}

# next_client: from an address of its own.
sub next_client {
    my ($self, $server) = @_;
    my $n = $self->{addresses}++;
    return Bench::Client->new($server->port,
        local => sprintf '127.0.%d.%d', 1 + $n / 200, 1 + $n % 200);
}

# check_ways: that each was asked of the database once and of the table once.
sub check_ways {
    my ($before, $after, $wanted) = @_;
    for my $way (qw(AuthTokenMisses AuthTokenNegativeHits)) {
        my $count = $after->{$way} - $before->{$way};
        die "$way: $count instead of $wanted\n"
            if abs($count - $wanted) > 0.02 * $wanted;
    }
    return;
}

# --- what came of it ---

# report($name, \@times, @kinds): each kind, and each beside the first.
sub report {
    my ($self, $name, $times, @kinds) = @_;
    my $us = sub { return sprintf '%.1f', 1e6 * $_[0] };

    for my $i (0 .. $#kinds) {
        $self->{kinds}->row("$name: $kinds[$i]", scalar @{ $times->[$i] },
            map { $us->($_) } Bench::Sample::describe(@{ $times->[$i] }));
    }
    for my $i (1 .. $#kinds) {
        my $pair = Bench::Sample::compare($times->[0], $times->[$i]);
        $self->{pairs}->row("$name: $kinds[$i]",
            (map { sprintf '%+.1f', 1e6 * $_ } @$pair{qw(medians means)}),
            (map { sprintf '%+.1f', $_ } @$pair{qw(t z)}),
            sprintf '%.3f', $pair->{slower});
    }
    return;
}

1;
