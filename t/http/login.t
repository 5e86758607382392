#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The handler token-login when all goes as it should, and when somebody is not
# let in: the answers' exact bytes and headers, what the token is good for,
# what is left of it in the database.  Bodies that are none: login_bodies.t.
use strict;
use warnings;

use AuthnToken::Process qw(run poll which);
use AuthnToken::Test;
use Compress::Zlib ();
use Digest::SHA qw(sha1_base64 sha256_hex);
use Encode qw(encode_utf8);
use MIME::Base64 qw(encode_base64);
use POSIX qw(strftime);
use Test::More;
use Time::Local qw(timegm);

use constant NOT_LOGGED_IN => '{"non_field_errors":["Unable to log in with '
    . 'provided credentials."]}';
use constant DOWN =>
    '{"detail":"The database does not answer. Try again later."}';

my $day = 86_400;
my $where = '/api-token-auth/';
my $json = JSON::PP->new->utf8->canonical;
my $base62 = join '', 0 .. 9, 'A' .. 'Z', 'a' .. 'z';

# sha($name, $password): a line of a password file.
sub sha {
    my ($name, $password) = @_;
    return encode_utf8($name) . ':{SHA}'
        . sha1_base64(encode_utf8($password)) . "=\n";
}

my $zoe = "zo\x{eb}";
my $zoes = "p\x{e4}ss w\x{f6}rd \x{1f511}";
my %more = ($zoe => $zoes, long => 'p' x 1024, 'n' x 255 => 'long-name',
    blanks => ' two blanks ', ':colons' => 'a:b:c:d', 12345 => 67890);
my $more = join '', map { sha($_, $more{$_}) } sort keys %more;

my $conf = <<'CONF';
AuthTokenLoginLimit 0 60s
CustomLog "@@TMP@@/logs/user_log" "%u" env=!harness_probe
KeepAlive On
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/short/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenLifetime 2h
    AuthTokenScope read write admin:all
</Location>
<Location "/more/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@TMP@@/conf/more
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    Require valid-user
</Location>
# A site that is protected as a whole.
<Location "/open-site/">
    AuthType Token
    AuthName "site"
    Require all granted
</Location>
<Location "/open-site/login/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/closed-site/">
    AuthType Token
    AuthTokenScheme Token Basic
    AuthName "site"
    Require valid-user
</Location>
<Location "/closed-site/login/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    Require all granted
</Location>
CONF

my $site = AuthnToken::Test->new(name => 'login', conf => $conf,
    files => { 'conf/more' => $more })->start;

# answers($response, $status, $body, $name): exactly that body, and the
# headers that every answer of a login has.
sub answers {
    my ($response, $status, $body, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply [ $response->code, $response->content,
        map { scalar $response->header($_) }
            qw(Content-Type Content-Length Cache-Control Allow) ],
        [ $status, $body, 'application/json', length $body, 'no-store',
            'POST, OPTIONS' ], $name;
}

# lets_in($response, $name): a token is answered; the decoded answer.
sub lets_in {
    my ($response, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $answer = eval { $json->decode($response->content) } // {};

    $site->secret($answer->{token}, 'a token') if $answer->{token};
    like $answer->{token} // $response->as_string,
        qr/\Atok_[0-9A-Za-z]{36}\z/, $name;
    return $answer;
}

# has_error($response, $field, $text, $name): one field's error alone.
sub has_error {
    my ($response, $field, $text, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return answers($response, 400, $json->encode({ $field => [$text] }),
        $name);
}

# seconds($date): of an RFC 3339 date in UTC; undef when it is none.
sub seconds {
    my ($date) = @_;
    my ($year, $month, @rest) = $date =~
        /\A(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\z/ or return;
    return timegm(reverse(@rest), $month - 1, $year);
}

# ends_in($answer, $seconds, $name): that long from now, within 5 seconds.
sub ends_in {
    my ($answer, $seconds, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $left = (seconds($answer->{expires} // '') // 0) - time;
    return ok(abs($left - $seconds) <= 5, $name)
        || diag("expires $answer->{expires}: $left s left, not $seconds");
}

sub basic {
    my ($user, $password) = @_;
    return 'Basic ' . encode_base64("$user:$password", '');
}

# row($answer): the token's row.
sub row {
    my ($answer) = @_;
    my $dbh = $site->dbh;
    my $row = $dbh->selectrow_hashref(
        'SELECT * FROM auth_token WHERE digest = ?', {},
        sha256_hex($answer->{token}));
    $dbh->disconnect;
    return $row;
}

sub count {
    my $dbh = $site->dbh;
    my ($count) = $dbh->selectrow_array('SELECT count(*) FROM auth_token');
    $dbh->disconnect;
    return $count;
}

my @alice = (username => 'alice', password => 'wonder-land');
$site->secret($AuthnToken::Conf::user{$_}, "password of $_")
    for keys %AuthnToken::Conf::user;

# The answer.
{
    my $response = $site->post($where, {@alice});
    my $answer = lets_in($response, 'a good password gives a token');
    my $token = $answer->{token};

    answers($response, 200, $response->content,
        'the answer has the headers of every answer');
    like $response->content, qr/\A\{"token":"tok_\w{36}","id":"[0-9a-f]{16}",
        "client":"harness","scope":"","expires":"[0-9TZ:-]{20}"\}\z/x,
        'its members are token, id, client, scope and expires, in this order';
    is $response->header('Pragma'), 'no-cache',
        'old caches are told not to store it either';
    is $response->header('WWW-Authenticate'), undef,
        'and there is no challenge';
    is $answer->{id}, substr(sha256_hex($token), 0, 16),
        'the id is the first 16 hex digits of the SHA-256 of the token';
    ends_in($answer, 30 * $day, 'it ends 30 days from now');

    my ($random, $check) = $token =~ /\Atok_(.{30})(.{6})\z/;
    my $crc = Compress::Zlib::crc32($random);
    my $digits = '';
    for (1 .. 6) {
        $digits = substr($base62, $crc % 62, 1) . $digits;
        $crc = int($crc / 62);
    }
    is $check, $digits, 'its last six characters are the CRC-32 of the 30';

    is $site->get('/api/', Authorization => "Token $token")->code, 200,
        'it opens the door';
    is $site->get('/api/')->code, 401, 'which is shut without it';
    $site->log_like(qr/authn_token:notice\] .* token $answer->{id} issued /
        . 'to user alice, client harness',
        'the log says that it was issued, by its id');
    ok poll(sub { AuthnToken::Process::slurp($site->tmp . '/logs/user_log')
        =~ /^alice$/m }), 'the access log names the user';

    my $second = lets_in($site->post($where, {@alice}),
        'a second login gives a token');
    isnt $second->{token}, $token, 'which is another one';
    isnt $second->{id}, $answer->{id}, 'with another id';
    is $site->get('/api/', Authorization => "Token $_")->code, 200,
        'both are good' for $token, $second->{token};
}

# The three forms, as the clients write them.
my @forms = (
    [ 'JSON as HTTPie writes it', 'application/json',
        '{"username": "alice", "password": "wonder-land"}',
        Accept => 'application/json, */*;q=0.5' ],
    [ 'JSON as fetch() writes it', 'text/plain',
        '{"username":"alice","password":"wonder-land"}',
        'Content-Type' => 'application/json' ],
    [ 'JSON with its charset', 'application/json; charset=utf-8',
        '{"username":"alice","password":"wonder-land"}' ],
    [ 'JSON with escapes', 'application/json',
        '{"user\u006eame":"\u0061lice","password":"wonder\u002dland"}' ],
    [ 'JSON with white space around it', 'application/json',
        "\r\n\t {\n \"username\" : \"alice\",\"password\" :"
            . "\"wonder-land\"}\n" ],
    [ 'JSON under a type in upper case', 'Application/JSON',
        '{"username":"alice","password":"wonder-land"}' ],
    [ 'a form as curl -d writes it', 'application/x-www-form-urlencoded',
        'username=alice&password=wonder-land' ],
    [ 'a form as HTTPie writes it',
        'application/x-www-form-urlencoded; charset=utf-8',
        'username=alice&password=wonder-land' ],
    [ 'a form with escapes and blanks around the name',
        'application/x-www-form-urlencoded',
        'username=+%61lice%20&password=wonder%2Dl%61nd' ],
    [ 'a form with unknown and empty pairs',
        'application/x-www-form-urlencoded',
        '&&a=b&=c&username=alice&d&password=wonder-land&' ],
    [ 'multipart as requests writes it', 'multipart/form-data; '
        . 'boundary=be40e67a0ff1be944e1ca786755cdfeb',
        parts('be40e67a0ff1be944e1ca786755cdfeb', @alice) ],
    [ 'multipart as curl -F writes it', 'multipart/form-data; '
        . 'boundary=------------------------fad98b170f2c2b42',
        parts('------------------------fad98b170f2c2b42', @alice) ],
    [ 'multipart as browsers write it', 'multipart/form-data; '
        . 'boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW',
        parts('----WebKitFormBoundary7MA4YWxkTrZu0gW', @alice) ],
    [ 'multipart with a quoted boundary and a charset',
        'Multipart/Form-Data; charset=utf-8; BOUNDARY="b (1): x"',
        parts('b (1): x', @alice) ],
    [ 'multipart with an unknown file beside the fields',
        'multipart/form-data; boundary=b', "--b\r\nContent-Disposition: "
            . "form-data; name=\"avatar\"; filename=\"a.png\"\r\n"
            . "Content-Type: image/png\r\n\r\n\x89PNG\r\n\x00\xff\r\n"
            . parts('b', @alice) ],
);

# parts($boundary, %field): a multipart body.
sub parts {
    my ($boundary, @fields) = @_;
    my $body = '';
    while (my ($name, $value) = splice @fields, 0, 2) {
        $body .= "--$boundary\r\nContent-Disposition: form-data; "
            . "name=\"$name\"\r\n\r\n$value\r\n";
    }
    return "$body--$boundary--\r\n";
}

for my $form (@forms) {
    my ($name, $type, $body, %headers) = @$form;
    my $answer = lets_in($site->post($where, $body, 'Content-Type' => $type,
        %headers), "$name gives a token");
    my $row = $answer->{token} ? row($answer) : {};
    is $row->{username}, 'alice', "$name: it is the user's";
}

# The clients themselves.
my @input = qw(username=alice password=wonder-land);
my @commands = (
    [ 'http', '--ignore-stdin', '--body', 'POST', 'URL', @input ],
    [ 'http', '--ignore-stdin', '--body', '--form', 'POST', 'URL', @input ],
    [ 'http', '--ignore-stdin', '--body', '--multipart', 'POST', 'URL',
        @input ],
    [ 'curl', '-s', 'URL', map { ('-d', $_) } @input ],
    [ 'curl', '-s', 'URL', map { ('-F', $_) } @input ],
    [ 'curl', '-s', 'URL', '--json',
        '{"username":"alice","password":"wonder-land"}' ],
    [ 'curl', '-s', 'URL', '-H', 'Transfer-Encoding: chunked',
        map { ('-d', $_) } @input ],
    [ 'curl', '-s', 'URL', '-H', 'Expect: 100-continue',
        map { ('-d', $_) } @input ],
);
for my $command (@commands) {
    my ($program, @rest) = @$command;
    my $name = join ' ', $program, grep { /^-/ && !/^--ig|^-s/ } @rest;
  SKIP: {
        skip "no $program here", 2 if !which($program);
        my $result = run($program,
            map { $_ eq 'URL' ? $site->url($where) : $_ } @rest);
        my $answer = eval { $json->decode($result->{out}) } // {};
        $site->secret($answer->{token}, "token of $name")
            if $answer->{token};
        like $answer->{token} // $result->{out} . $result->{err},
            qr/\Atok_/, "$name gets a token";
        is $answer->{client}, $program eq 'http' ? 'HTTPie' : 'curl',
            "$name is named by its User-Agent";
    }
}

# Names and passwords of every shape.
{
    my $try = sub {
        my ($user, $password) = @_;
        $site->secret(encode_utf8($password), 'a password of more');
        return $site->post('/more/',
            { username => $user, password => $password });
    };
    my $answer = lets_in($try->($zoe, $zoes),
        'a name and a password beyond ASCII give a token');
    $answer = lets_in($site->post('/more/', [ username => encode_utf8($zoe),
        password => encode_utf8($zoes) ]), 'and in a form');
    is $site->get('/api/', Authorization => "Token $answer->{token}")->code,
        200, 'which is good';
    is Encode::decode_utf8(row($answer)->{username}), $zoe,
        'the row has the name in UTF-8'
        if AuthnToken::Test::database() eq 'sqlite3';
    lets_in($try->('long', 'p' x 1024), 'a password of 1024 bytes is read');
    lets_in($try->('n' x 255, 'long-name'), 'a name of 255 bytes is read');
    lets_in($try->('blanks', ' two blanks '),
        'blanks around a password belong to it');
    answers($try->('blanks', 'two blanks'), 400, NOT_LOGGED_IN,
        'without them it is wrong');
    lets_in($try->('  blanks ', ' two blanks '),
        'blanks around a name do not belong to it');
    lets_in($site->post('/more/', '{"username":12345,"password":67890}',
        'Content-Type' => 'application/json'), 'numbers are read as text');
}

# Who is not let in: nothing tells one reason from another.
{
    my $before = count();
    my @refused = (
        [ 'a wrong password', 'alice', 'wrong-password' ],
        [ 'an unknown user', 'mallory', 'wrong-password' ],
        [ "another user's password", 'bob', 'wonder-land' ],
        [ 'a password with a blank behind', 'alice', 'wonder-land ' ],
        [ 'a password in another case', 'alice', 'Wonder-Land' ],
        [ 'a blank password', 'alice', ' ' ],
        [ 'a password of 1025 bytes', 'alice', 'p' x 1025 ],
        [ 'a password of 5000 bytes', 'alice', 'q' x 5000 ],
        [ 'a name of 256 bytes', 'n' x 256, 'long-name' ],
        [ 'a name of 300 bytes', 'n' x 300, 'wrong-password' ],
        [ 'a name in another case', 'ALICE', 'wonder-land' ],
        [ 'a name with a line feed', "alice\nbob", 'wonder-land' ],
        [ 'a name with a colon', 'alice:x', 'wonder-land' ],
        [ 'a name like a comment', '#alice', 'wonder-land' ],
    );
    my $first;
    for my $case (@refused) {
        my ($name, $user, $password) = @$case;
        $site->secret($password, $name) if $password =~ /\S{4}/;
        my $response = $site->post($where,
            { username => $user, password => $password });
        answers($response, 400, NOT_LOGGED_IN, "$name is refused");
        $response->remove_header('Date', 'Expires', 'Client-Date',
            'Client-Peer', 'Client-Response-Num');
        $first //= $response->as_string;
        is $response->as_string, $first, "$name: the answer is the same";
    }
    is count(), $before, 'and no row was written for any of them';
    $site->log_like(qr/authn_token:info\] .* login of user mallory refused: /
        . 'wrong name or password', 'the log names who was refused, and why');
    $site->log_like(qr/login of user alice\\+nbob refused/,
        'and escapes the name');
    answers($site->post('/more/', { username => 'long',
        password => 'p' x 1024 . 'x' }), 400, NOT_LOGGED_IN,
        'a password of 1025 bytes is not cut to its good beginning');
}

# client
{
    my @clients = (
        [ 'curl/7.88.1', 'curl' ],
        [ 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101', 'Mozilla' ],
        [ 'python-requests/2.28.1', 'python-requests' ],
        [ 'Backup (nightly)', 'Backup' ],
        [ 'app;v=2', 'app' ],
        [ 'a' x 100 . '/1', 'a' x 100 ],
        [ 'a' x 101 . '/1', 'unknown' ],
        [ '/1.0', 'unknown' ],
        [ "\xff\xfe/1.0", 'unknown' ],
        [ '', 'unknown' ],
    );
    for my $case (@clients) {
        my ($agent, $client) = @$case;
        my $shown = length $agent > 40 ? length($agent) . ' bytes'
            : $agent =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
        my $answer = lets_in($site->post($where, {@alice},
            'User-Agent' => $agent), "User-Agent '$shown' gets a token");
        is $answer->{client}, $client, "the client of '$shown' is "
            . substr $client, 0, 20;
    }
    my $connection = $site->connection;
    my $response = $connection->request('POST', $where,
        { 'Content-Type' => 'application/json' },
        '{"username":"alice","password":"wonder-land"}');
    is lets_in($response, 'no User-Agent gets a token')->{client}, 'unknown',
        'its client is unknown';
    $connection->close;

    my $phone = "Zo\x{eb}\x{2019}s phone";
    my $answer = lets_in($site->post($where, {@alice, client => " $phone "}),
        'a client may be named');
    is $answer->{client}, $phone, 'it is answered, without blanks around it';
    is $site->post($where, [ @alice, client => 'laptop' ])->content
        =~ /"client":"laptop"/, 1, 'in a form, too';
    is lets_in($site->post($where, {@alice, client => '  '}),
        'a blank client is none')->{client}, 'harness', 'so it is named';
    lets_in($site->post($where, {@alice, client => 'c' x 100}),
        'a client of 100 bytes is read');
    has_error($site->post($where, {@alice, client => 'c' x 101}), 'client',
        'Ensure this field has no more than 100 bytes.',
        'a client of 101 bytes is refused');
    has_error($site->post($where, {@alice, client => "a\tb"}), 'client',
        'Control characters are not allowed.',
        'a client with a control character is refused');
    has_error($site->post($where, {@alice, client => undef}), 'client',
        'This field may not be null.', 'a client null is refused');
    has_error($site->post($where, {@alice, client => ['a']}), 'client',
        'Not a valid string.', 'a list of clients is refused');
}

# scope
{
    my $ask = sub {
        my ($scope, $path) = @_;
        return $site->post($path // '/short/', {@alice, scope => $scope});
    };
    my @scopes = (
        [ 'read', 'read' ], [ 'write read', 'write read' ],
        [ ' read  admin:all ', 'read admin:all' ], [ 'read read', 'read' ],
        [ '', 'read write admin:all' ], [ '  ', 'read write admin:all' ],
    );
    is lets_in($site->post('/short/', {@alice}), 'who asks for no scope')
        ->{scope}, 'read write admin:all', 'gets all of it';
    for my $case (@scopes) {
        my ($asked, $given) = @$case;
        my $answer = lets_in($ask->($asked), "scope '$asked' is allowed");
        is $answer->{scope}, $given, "scope '$asked' gives '$given'";
        is row($answer)->{scope}, $given, "and so says the row";
    }
    has_error($ask->('delete'), 'scope', '"delete" is not a valid choice.',
        'a scope outside of what is allowed is refused');
    has_error($ask->('read delete'), 'scope',
        '"delete" is not a valid choice.', 'also beside one that is allowed');
    has_error($ask->('READ'), 'scope', '"READ" is not a valid choice.',
        'a scope in another case is another scope');
    has_error($ask->('rea'), 'scope', '"rea" is not a valid choice.',
        'the beginning of a scope is another scope');
    has_error($ask->("read\twrite"), 'scope',
        "\"read\twrite\" is not a valid choice.",
        'a tab does not separate scopes');
    has_error($ask->(['read']), 'scope', 'Not a valid string.',
        'a list of scopes is refused');
    has_error($ask->(undef), 'scope', 'This field may not be null.',
        'a scope null is refused');
    has_error($ask->('read', $where), 'scope',
        '"read" is not a valid choice.',
        'where no scope is allowed, none can be asked for');
    is lets_in($ask->('', $where), 'but for the empty one')->{scope}, '',
        'which is what one has';
}

# expires_in
{
    my $ask = sub {
        my ($seconds, $path) = @_;
        return $site->post($path // '/short/',
            {@alice, expires_in => $seconds});
    };
    ends_in(lets_in($site->post('/short/', {@alice}),
        'who asks for no time gets a token'), 7200,
        'that ends after AuthTokenLifetime');
    ends_in(lets_in($ask->(60), 'expires_in 60 gets a token'), 60,
        'that ends in a minute');
    ends_in(lets_in($ask->(' 600 '), 'it may be text'), 600,
        'and ends in ten minutes');
    ends_in(lets_in($site->post('/short/', [ @alice, expires_in => 60 ]),
        'and in a form'), 60, 'where it ends in a minute');
    ends_in(lets_in($ask->(9000), 'expires_in past the lifetime is no error'),
        7200, 'but does not lengthen it');
    ends_in(lets_in($ask->(300_000_000), 'nor are ten years'), 7200,
        'which do not either');
    my $row = row(lets_in($ask->(120), 'expires_in 120 gets a token'));
    is seconds_of($row, 'expires_at') - seconds_of($row, 'created_at'), 120,
        'and the row ends 120 seconds after it was created';
    my $number = 'A number of seconds from 1 to 316224000 is required.';
    for my $bad (0, -1, 1.5, '0x10', '1h', 'soon', '1e3', '') {
        has_error($ask->($bad), 'expires_in', $number,
            "expires_in '$bad' is refused");
    }
    has_error($ask->(JSON::PP::true()), 'expires_in', 'Not a valid string.',
        'expires_in true is refused');
    has_error($ask->(undef), 'expires_in', 'This field may not be null.',
        'expires_in null is refused');
    my $huge = $site->post('/short/', '{"username":"alice",'
        . '"password":"wonder-land","expires_in":9000000000000000000}',
        'Content-Type' => 'application/json');
    if ($huge->code == 200) {
        ends_in(lets_in($huge, 'a huge expires_in'), 7200,
            'does not lengthen it');
    }
    else {
        is $huge->code, 400, 'a huge expires_in does not lengthen it';
    }
    answers($site->post('/short/', { scope => 'x', expires_in => 'x',
        client => "\x01" }), 400, '{"username":["This field is required."],'
        . '"password":["This field is required."],'
        . '"client":["Control characters are not allowed."],'
        . '"scope":["\"x\" is not a valid choice."],'
        . '"expires_in":["A number of seconds from 1 to 316224000 is '
        . 'required."]}',
        'all that is wrong is said at once');
}

# seconds_of($row, $column): on PostgreSQL, where it is a timestamp, too.
sub seconds_of {
    my ($row, $column) = @_;
    return $row->{$column} if $row->{$column} =~ /\A\d+\z/;
    my $dbh = $site->dbh;
    my ($seconds) = $dbh->selectrow_array(
        'SELECT floor(extract(epoch FROM ?::timestamptz))::bigint', {},
        $row->{$column});
    $dbh->disconnect;
    return $seconds;
}

# At rest.
{
    my $answer = $site->login('bob', 'builder', client => 'my laptop');
    my $token = $answer->{token};
    my $row = row($answer);
    my ($random) = $token =~ /_(.*)/;

    is $row->{digest}, sha256_hex($token), 'the row has the digest';
    is_deeply { map { $_ => $row->{$_} }
        qw(username client scope networks family) },
        { username => 'bob', client => 'my laptop', scope => '',
            networks => '', family => $answer->{id} },
        'the user, the client, and a family named by its first token';
    is_deeply [ map { $row->{$_} }
        qw(last_used_at superseded_at revoked_at idle_timeout) ],
        [ undef, undef, undef, undef ],
        'it was not used, nor superseded, nor revoked';
    ok abs(seconds_of($row, 'created_at') - time) <= 5, 'it is of now';
    is seconds_of($row, 'expires_at'), seconds($answer->{expires}),
        'and ends when the answer says';

    my $dbh = $site->dbh;
    my $rows = $dbh->selectall_arrayref('SELECT * FROM auth_token');
    $dbh->disconnect;
    my $text = join "\n", map { join "\t", map { $_ // '' } @$_ } @$rows;
    cmp_ok scalar(@$rows), '>', 20, 'there are rows';
    is index($text, $random), -1, 'no column of any of them has the token';
    unlike $text, qr/tok_/, 'or one like it';
    unlike $text, qr/wonder-land|builder/, 'or a password';
  SKIP: {
        skip 'only SQLite has a file of its own', 2
            if AuthnToken::Test::database() ne 'sqlite3';
        my $bytes = join '', map { AuthnToken::Process::slurp($_) }
            glob $site->tmp . '/db/*';
        cmp_ok index($bytes, sha256_hex($token)), '>=', 0,
            'the digest is in the bytes of the SQLite files';
        unlike $bytes, qr/tok_|\Q$random\E|builder/, 'the token is not';
    }
}

# Methods.
{
    my $response = $site->options($where);
    is_deeply [ $response->code, $response->content,
        map { scalar $response->header($_) }
            qw(Content-Length Cache-Control Allow) ],
        [ 200, '', 0, 'no-store', 'POST, OPTIONS' ],
        'OPTIONS is 200, without a body';
    for my $method (qw(GET PUT PATCH DELETE PROPFIND FOO)) {
        $response = $site->request($method, $where);
        answers($response, 405,
            qq({"detail":"Method \\"$method\\" not allowed."}),
            "$method is not allowed");
    }
    $response = $site->put($where, { @alice });
    answers($response, 405, '{"detail":"Method \"PUT\" not allowed."}',
        'nor is PUT with a body');
    $response = $site->get("$where?username=alice&password=x");
    is $response->code, 405, 'nor is GET with credentials in its query';
    $response = $site->head($where);
    is_deeply [ $response->code, $response->content,
        map { scalar $response->header($_) }
            qw(Content-Type Cache-Control Allow) ],
        [ 405, '', 'application/json', 'no-store', 'POST, OPTIONS' ],
        'nor is HEAD, which has no body';
    has_both_missing($site->post("$where?username=alice&password=x", {}),
        'POST does not read its query');
}
sub has_both_missing {
    my ($response, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return answers($response, 400, '{"username":["This field is required."],'
        . '"password":["This field is required."]}', $name);
}

# Accept.
{
    my @accepts = (
        [ 200, '*/*' ], [ 200, 'application/json' ], [ 200, 'application/*' ],
        [ 200, 'application/json, */*;q=0.5' ], [ 200, '' ],
        [ 200, 'text/html, application/xhtml+xml, */*;q=0.8' ],
        [ 200, 'Application/JSON' ], [ 200, 'application/json; indent=4' ],
        [ 200, 'application/json;q=0.1' ], [ 200, 'text/html,,*/*;q=0.001' ],
        [ 200, 'text/html;level=1 , application/json ; q=1' ],
        [ 406, 'text/html' ], [ 406, 'application/xml' ], [ 406, 'text/*' ],
        [ 406, 'application/jsonp' ], [ 406, 'text/json' ],
        [ 406, 'application/json;q=0' ], [ 406, 'application/json; Q=0.000' ],
        [ 406, '*/*;q=0' ], [ 406, 'text/html, */*;q=0.0' ],
        [ 406, 'application/json;q=0 , text/html' ],
        [ 406, 'application/json;q=0, */*;q=0.1' ],
        [ 406, 'application/problem+json' ], [ 406, 'json' ],
    );
    for my $case (@accepts) {
        my ($status, $accept) = @$case;
        my $response = $site->post($where, {@alice}, Accept => $accept);
        if ($status == 200) {
            lets_in($response, "Accept '$accept' gets a token");
        }
        else {
            answers($response, 406, '{"detail":"Could not satisfy the '
                . 'request Accept header."}', "Accept '$accept' gets 406");
        }
    }
    is $site->get($where, Accept => 'text/html')->code, 406,
        'Accept is looked at before the method';
    is $site->post($where, 'x', Accept => 'text/html',
        'Content-Type' => 'text/plain')->code, 406, 'and before the body';
    my $connection = $site->connection;
    is $connection->request('POST', $where,
        { 'Content-Type' => 'application/json' },
        '{"username":"alice","password":"wonder-land"}')->code, 200,
        'no Accept at all is served';
}

# Authorization.
{
    my $stale = 'tok_' . 'A' x 36;
    my @headers = (
        [ 'a stale Token', "Token $stale" ],
        [ 'a stale Bearer', "Bearer $stale" ],
        [ 'a Token that is none', 'Token x y' ],
        [ 'a bad Basic', basic('alice', 'old-password') ],
        [ 'Basic that is not Base64', 'Basic ???' ],
        [ "another user's good Basic", basic('bob', 'builder') ],
        [ 'an unknown scheme', 'Digest username="alice"' ],
    );
    for my $path ($where, '/open-site/login/', '/closed-site/login/') {
        for my $case (@headers) {
            my ($name, $value) = @$case;
            my $response = $site->post($path, {@alice},
                Authorization => $value);
            my $answer = lets_in($response, "$path: $name does not matter");
            is row($answer)->{username}, 'alice', "$path: $name is not used"
                if $answer->{token};
        }
        answers($site->post($path, { username => 'alice', password => 'no' },
            Authorization => basic('alice', 'wonder-land')), 400,
            NOT_LOGGED_IN, "$path: nor does a good Basic let anybody in");
        is $site->get($path, Authorization => "Token $stale")->code, 405,
            "$path: a stale Token and GET is 405 still";
    }
    is $site->get('/open-site/', Authorization => "Token $stale")->code, 401,
        'beside the login a stale token is refused';
    is $site->get('/closed-site/')->code, 401, 'and so is none at all';
}

# One connection.
{
    my $connection = $site->connection;
    my %type = ('Content-Type' => 'application/json');
    my $good = '{"username":"alice","password":"wonder-land"}';
    my @course = (
        [ 200, 'POST', {%type}, $good ], [ 405, 'GET', {} ],
        [ 406, 'POST', { %type, Accept => 'text/html' }, $good ],
        [ 405, 'PUT', {%type}, $good ], [ 200, 'OPTIONS', {} ],
        [ 415, 'POST', { 'Content-Type' => 'text/x' }, 'short' ],
        [ 415, 'POST', { 'Content-Type' => 'text/x' }, 'x' x 16_384 ],
        [ 200, 'POST', {%type}, $good ],
    );
    for my $n (0 .. $#course) {
        my ($status, $method, $headers, $body) = @{ $course[$n] };
        my $response = $connection->request($method, $where, $headers, $body);
        is $response && $response->code, $status, 'request ' . ($n + 1)
            . " on one connection, $method, is answered with $status";
        lets_in($response, 'and a token') if $method eq 'POST'
            && $status == 200;
    }
    my $bad = $connection->request('POST', $where, \%type, '{');
    is $bad && $bad->code, 400, 'a bad body is answered with 400';
    ok $connection->closed(2), 'and closes the connection, as any 400 does';
    $connection->close;

    my $length = length $good;
    my $raw = $site->raw(join('', map { "POST $where HTTP/1.1\r\nHost: x\r\n"
        . "Content-Type: application/json\r\nContent-Length: $length\r\n"
        . ($_ == 3 ? "Connection: close\r\n" : '') . "\r\n$good" } 1 .. 3),
        timeout => 10);
    is_deeply [ map { $_->code } @{ $raw->{responses} } ], [ 200, 200, 200 ],
        'three logins sent at once are answered';
    my %tokens = map { (lets_in($_, 'each with a token')->{token} // '') => 1 }
        @{ $raw->{responses} };
    is scalar(keys %tokens), 3, 'of its own';
    $raw = $site->raw("POST $where HTTP/1.0\r\nContent-Type: "
        . "application/json\r\nContent-Length: $length\r\n\r\n$good");
    ok $raw->{closed}, 'HTTP/1.0 is answered, and the connection closed';
    lets_in($raw->{responses}[0], 'with a token');
}

$site->done;

# A database that is not there.
{
    my $pgsql = AuthnToken::Test::database() eq 'pgsql';
    my $down = AuthnToken::Test->new(name => 'a login without its database',
        $pgsql ? (dbd => 'host=127.0.0.1 port='
            . AuthnToken::Server::free_port()
            . ' dbname=none user=none connect_timeout=2') : (),
        conf => $conf);
    my $db = $down->tmp . '/db';
    AuthnToken::Conf::put($down->tmp . '/conf/more', '');
    chmod 0, $db or die "$db: $!\n";
    $down->allow_log(qr/\[dbd:(?:error|crit)\]/,
        qr/the token database does not answer: /);
    if (!$pgsql) {
        $down->expect_log(qr/authn_token:error\] .* cannot make the table /
            . 'auth_token in .*: unable to open database file; ');
        # Once the directory can be written to, for a second at most.
        $down->allow_log(qr/stores no token: no such table: auth_token /);
    }
    $down->start;
    $down->secret('wonder-land', 'password of alice');

    my $response = $down->post($where, {@alice});
    answers($response, 503, DOWN, 'a database that is down gives 503');
    is $response->header('Retry-After'), 2, 'and says when to come back';
    answers($down->post($where, {@alice, password => 'no'}), 400,
        NOT_LOGGED_IN, 'a wrong password is refused without it');
    answers($down->post($where, 'x', 'Content-Type' => 'text/plain'), 415,
        '{"detail":"Unsupported media type \"text/plain\" in request."}',
        'and so is a body that is none');
    $down->expect_log(qr/authn_token:error\] .* the token database does not /
        . 'answer: .*; tokens not checked lately get 503 until it does');
    chmod 0755, $db or die "$db: $!\n";
    if (!$pgsql) {
        ok poll(sub { $down->post($where, {@alice})->code == 200 }, 10),
            'when it is back, logins are served without a restart';
        # Each child that said the one says the other.
        ok poll(sub {
            $down->post($where, {@alice});
            return scalar $down->{log}->lines('error',
                qr/authn_token:notice\] .* the token database answers again/);
        }, 10), 'and the log says so';
    }
    $down->done;
}

finish();
