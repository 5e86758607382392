# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A table that is partitioned by hash, as docs/scaling.md makes it: httoken
# and the module work on it as on any other, and what they send finds its rows
# by an index, those of one token in one partition.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use JSON::PP qw(decode_json);
use Test::More;

plan skip_all => 'a cluster whose log can be read needs initdb'
    if !AuthnToken::Postgres::program('initdb');

my $SOON = 10;
my $PARTITIONS = 16;

my $conf = AuthnToken::Conf::default_text(1) . <<'CONF';
AuthTokenCacheTTL 1h
AuthTokenFlushInterval 1s
AuthTokenPurge 1h
AuthTokenRotationGrace 1s
AuthTokenAudit On
DBDMax 2
<Location "/api-token-auth/">
    AuthTokenMaxPerUser 4
</Location>
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    AuthName "tokens"
    Require valid-user
</Location>
CONF

my $pg = AuthnToken::Postgres->new;
my $one = AuthnToken::Test->new(name => 'host 1', pg => $pg, table => 0,
    conf => $conf);
my $dbh = $one->dbh;

make_table();
my $two = AuthnToken::Test->new(name => 'host 2', pg => $pg, table => 0,
    conf => $conf, dbd => $one->db_params);
my $mark = $pg->log_mark;
$_->start for $one, $two;
tool();
requests();
quota();
upkeep();
backup();
plans();
$_->done for $one, $two;
$dbh->disconnect;
undef $_ for $one, $two;
undef $pg;
finish();

# --- the table ---

# The blocks of the manual that make it.
sub make_table {
    my $page = AuthnToken::Process::slurp(
        "$AuthnToken::Site::top/docs/scaling.md");
    my @blocks = $page =~ /^```sql\n(CREATE TABLE auth_token .*?|DO .*?)^```$/msg;

    is scalar @blocks, 2, 'the manual makes a table and its partitions';
    $dbh->do($_) for @blocks;
    for my $time (qw(first second)) {
        my $result = $one->httoken('init');
        is "$result->{exit}$result->{err}", '0', "httoken init, $time time";
    }
    my $indexes = $dbh->selectcol_arrayref(<<'SQL');
SELECT count(indexrelid) || ' ' || count(*) FILTER (WHERE indisunique) || ' '
    || count(*) FILTER (WHERE indpred IS NOT NULL)
FROM pg_inherits JOIN pg_index ON indrelid = pg_inherits.inhrelid
WHERE inhparent = 'auth_token'::regclass GROUP BY inhrelid
SQL
    is_deeply $indexes, [ ('6 1 2') x $PARTITIONS ],
        'each partition has six indexes: one unique, two partial';
    return;
}

# --- httoken ---

sub made {
    my ($user, @more) = @_;
    my ($token) = $one->httoken('create', $user, @more)->{out} =~ /(tok_\w+)/;
    $_->secret($token, "token of $user") for $one, $two;
    return { token => $token,
        id => substr Digest::SHA::sha256_hex($token), 0, 16 };
}

sub tool {
    my $token = made('tool', '-c', 'cli', '-e', '1d');

    like $one->httoken('show', $token->{id})->{out}, qr/^state +active$/m,
        'httoken create and show';
    like $one->httoken('list', 'tool')->{out}, qr/\Q$token->{id}\E/,
        'httoken list';
    is $one->httoken('verify', { stdin => "$token->{token}\n" })->{exit}, 0,
        'httoken verify';
    my ($heir) = $one->httoken('rotate', $token->{id})->{out} =~ /(tok_\w+)/;
    $_->secret($heir, 'heir of the tool') for $one, $two;
    is code_of($_, $heir), 200, $_->name . ': the heir of httoken is good'
        for $one, $two;
    is $one->httoken('revoke', '--user', 'tool')->{exit}, 0,
        'httoken revoke --user';
    is code_of($two, $token->{token}), 401, 'what it had rotated is refused';
    ok poll(sub { code_of($two, $heir) == 401 }, $SOON),
        'the poll sees its revocation';
    return;
}

# --- the module ---

sub code_of { return $_[0]->get('/api/', auth($_[1]))->code }

sub new_token {
    my ($user, $password) = @_;
    my $login = $one->login($user, $password);
    $two->secret($login->{token}, "token of $user");
    return $login;
}

sub manage {
    my ($method, $path, $token) = @_;
    my $response = $one->request($method, "/tokens/$path",
        { auth($token), 'Content-Type' => 'application/json' },
        $method eq 'POST' ? '{}' : undef);
    die "$method $path: ", $response->as_string if $response->code >= 300;
    return length $response->content ? decode_json($response->content) : 1;
}

sub requests {
    my ($old, $bystander) = map { new_token('alice', 'wonder-land') } 1 .. 2;

    is code_of($_, $old->{token}), 200, $_->name . ': a login is good'
        for $one, $two;
    is scalar @{ manage('GET', '', $old->{token})->{tokens} }, 2,
        'both are in the list';
    my $new = manage('POST', 'self/rotate', $old->{token});
    $_->secret($new->{token}, 'heir of alice') for $one, $two;
    is code_of($_, $new->{token}), 200, $_->name . ': the heir is good'
        for $one, $two;
    $two->expect_log(
        qr/:warn\].* token \Q$old->{id}\E .* after it had been rotated/);
    ok poll(sub { code_of($two, $old->{token}) == 401 }, $SOON),
        'the poll sees the rotation; past the grace it is reuse';
    is code_of($two, $new->{token}), 401, 'the family is dead at once';
    ok poll(sub { code_of($one, $new->{token}) == 401 }, $SOON),
        'and soon on the other host';
    manage('DELETE', 'self', $bystander->{token});
    ok poll(sub { code_of($two, $bystander->{token}) == 401 }, $SOON),
        'a revocation crosses';
    return;
}

sub quota {
    my @logins = map { new_token('bob', 'builder') } 1 .. 6;
    my @codes = map { code_of($one, $_->{token}) } @logins;

    is "@{[ sort @codes ]}", "200 200 200 200 401 401",
        "AuthTokenMaxPerUser evicts two";
    manage('DELETE', '', $logins[5]{token});
    is code_of($one, $logins[4]{token}), 401, 'all of a user are revoked';
    is scalar $dbh->selectrow_array('SELECT count(*) FROM auth_token_event'
        . q{ WHERE username = 'bob'}), 12, 'and each event is a row';
    return;
}

sub used {
    return scalar $dbh->selectrow_array('SELECT count(*) FROM auth_token'
        . ' WHERE digest LIKE ? AND last_used_at IS NOT NULL', {},
        "$_[0]{id}%");
}

# Rows that are dead for long enough.
sub dead {
    my ($count) = @_;
    $dbh->do(<<"SQL");
INSERT INTO auth_token (digest, username, family, created_at, expires_at,
    superseded_at, revoked_at)
SELECT d, 'dead', left(d, 16), now() - interval '9 h', now() - interval '2 h',
    CASE WHEN i % 3 = 1 THEN now() - interval '2 h' END,
    CASE WHEN i % 3 = 2 THEN now() - interval '2 h' END
FROM (SELECT i, encode(sha256(('dead ' || i)::bytea), 'hex') d
    FROM generate_series(1, $count) i) x
SQL
    return;
}

sub upkeep {
    my $token = new_token('alice', 'wonder-land');

    code_of($one, $token->{token});
    ok poll(sub { used($token) }, $SOON), 'a last use is written';
    dead(3000);
    $_->restart for $one, $two;
    ok poll(sub { !$dbh->selectrow_array('SELECT count(*) FROM auth_token'
        . q{ WHERE username = 'dead'}) }, 40), 'dead rows are removed';
    is code_of($one, $token->{token}), 200, 'and the living is good';
    return;
}

# --- how PostgreSQL goes about them ---

# plan_of($statement, $mode): as text, of the table as it stands.
sub plan_of {
    my ($statement, $mode) = @_;

    $dbh->do("SET plan_cache_mode = $mode");
    $dbh->do("PREPARE it$statement->{types} AS $statement->{text}");
    my $plan = join "\n", @{ $dbh->selectcol_arrayref(
        "EXPLAIN (COSTS OFF) EXECUTE it$statement->{values}") };
    $dbh->do('DEALLOCATE it');
    return $plan;
}

sub partitions {
    my %seen = map { $_ => 1 } $_[0] =~ / on (auth_token_\d+)\b(?!_)/g;
    return scalar keys %seen;
}

# docs/database.md's dump of one database, put into another.
sub backup {
    my ($pattern) = AuthnToken::Process::slurp(
        "$AuthnToken::Site::top/docs/database.md") =~ /`pg_dump -t ('.*?')`/;
    my $tables = 'SELECT (SELECT count(*) FROM auth_token),'
        . ' (SELECT count(*) FROM auth_token_event)';
    my @from = $dbh->selectrow_array($tables);
    my $name = $pg->create_database;
    my ($dump, $psql) = map { AuthnToken::Postgres::program($_) }
        qw(pg_dump psql);
    my ($old, $new) = map { "'" . $pg->params($_, user => 'postgres') . "'" }
        $one->dbname, $name;
    my $said = qx($dump -t $pattern $old | $psql -qX -v ON_ERROR_STOP=1 $new);
    is $?, 0, 'a dump goes into another database' or diag $said;

    my $copy = $pg->dbh($name);
    my @to = eval { $copy->selectrow_array($tables) };
    cmp_ok $from[0], '>', 0, 'there were tokens';
    cmp_ok $from[1], '>', 0, 'and events';
    is "@to", "@from", 'and all are in it';
    $copy->disconnect;
    return;
}

# Rows enough that an index is worth it.
sub plans {
    $dbh->do(<<'SQL');
INSERT INTO auth_token (digest, username, family, created_at, expires_at,
    superseded_at, revoked_at)
SELECT d, 'user' || i, left(d, 16), now(), now() + interval '1 day',
    CASE WHEN i % 9 = 1 THEN now() - interval '9 h' END,
    CASE WHEN i % 9 = 2 THEN now() - interval '9 h' END
FROM (SELECT i, encode(sha256(('live ' || i)::bytea), 'hex') d
    FROM generate_series(1, 100000) i) x
SQL
    $dbh->do('ANALYZE auth_token');
    my @all = $pg->sent($mark);
    for my $statement (@all) {
        my $text = $statement->{text};
        next if $text !~ /\bauth_token\b/ || $text =~ /^INSERT.*VALUES|to_regc/;
        my $plan = plan_of($statement, 'force_custom_plan');
        my $short = substr $text =~ s/.*?(UPDATE|DELETE|WHERE)/$1/r, 0, 60;
        unlike $plan, qr/Seq Scan on auth_token/, "by an index: $short"
            or diag $text;
        next if $text !~ /WHERE digest = \(\$\d+\)::bpchar/
            || $text =~ /WHERE family/;
        is partitions($plan), 1, 'in one partition';
        like plan_of($statement, 'force_generic_plan'),
            qr/Subplans Removed: @{[ $PARTITIONS - 1 ]}/, 'kept, too'
            if $text =~ /^SELECT/;
    }
    my ($poll) = AuthnToken::Process::slurp(
        "$AuthnToken::Site::top/docs/scaling.md") =~
        /AuthTokenQuery poll "(.*?)"/s;
    unlike plan_of({ types => '(varchar, varchar)', values => q{('1', '1')},
        text => $poll =~ s/\\\n//gr =~ s/%s/\$1/r =~ s/%s/\$2/r },
        'force_custom_plan'), qr/Seq Scan|superseded/,
        "the manual's poll of revocations alone";
    cmp_ok scalar @all, '>=', 18, 'the statements were found';
    return;
}
