# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Requests that no honest client sends, byte for byte: each gets the answers
# written here, by httpd 2.4.71 or by us, and no other; none makes a user or a
# token of what is none; behind each of them a good token is still let in, and
# no log has the token or the password.  Bodies that are merely wrong are
# login_bodies.t's, values of the header auth.t's.
# profiles: sqlite3-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Test;
use Compress::Zlib ();
use MIME::Base64 qw(encode_base64);
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

my $site = AuthnToken::Test->new(name => 'hostile', modules => ['deflate'],
    conf => <<'CONF')->start;
TraceEnable Off
AuthTokenLoginLimit 0 60s
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/api-token-auth/inflate">
    SetInputFilter DEFLATE
</Location>
<Location "/api-token-auth/bomb">
    # mod_deflate's own limit out of the way
    DeflateInflateRatioLimit 100000
    SetInputFilter DEFLATE
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    AuthTokenScheme Token Bearer Basic
    Require valid-user
</Location>
ScriptAlias "/api/env" "@@TMP@@/cgi-bin/env"
CONF
my $where = '/api-token-auth/';
my $json = 'Content-Type: application/json';
my $form = 'Content-Type: application/x-www-form-urlencoded';
my $good = '{"username":"alice","password":"wonder-land"}';
my $token = $site->login('alice', 'wonder-land')->{token};
my $half = substr $token, 0, 20;
my $rest = substr $token, 20;
my $size = sprintf '%x', length $good;

# lives: what a good token is answered by now.
sub lives {
    return $site->get('/api/', Authorization => "Token $token")->code;
}

# sends($name, $codes, $bytes, %opt): these answers and no more, a connection
# closed then, and a server that lives.  Codes that begin with "token" may
# give a token; no other answer has one, nor a password.
sub sends {
    my ($what, $codes, $bytes, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $may = $codes =~ s/^token //;
    my $raw = $site->raw($bytes, timeout => 20, half_close => 1, %opt);
    my @found = $raw->{bytes} =~ /"(tok_\w+)"/;
    my $leaked = $raw->{bytes} =~ /tok_|wonder/ && !$may ? 'a secret in it'
        : 'no secret in it';

    $site->secret($_, 'a token') for @found;
    return is_deeply [ join(' ', map { $_->code } @{ $raw->{responses} }),
        $raw->{closed}, $leaked, lives() ],
        [ $codes, 1, 'no secret in it', 200 ], $what;
}

# get(@lines): a request for what a token opens; the lines are as they are.
sub get {
    my (@lines) = @_;
    return join "\r\n", 'GET /api/ HTTP/1.1', 'Host: x', @lines, '', '';
}

# post($body, @lines): a login; its length is for the lines to say.
sub post {
    my ($body, @lines) = @_;
    return join("\r\n", "POST $where HTTP/1.1", 'Host: x',
        (grep { /^Content-Type:/ } @lines) ? () : $json, @lines, '', '')
        . $body;
}

sub sized { return post($_[0], 'Content-Length: ' . length $_[0], @_[1 .. $#_]) }
sub chunked { return post($_[0], 'Transfer-Encoding: chunked', @_[1 .. $#_]) }

my $auth = "Authorization: Token $token";
my $next = get($auth);

# --- the header ---

sends('a good token is let in', 200, get($auth));
sends('its name is in any case', 200, get("AUTHORIZATION: Token $token"));
sends('two lines are refused', 401, get($auth, $auth));
sends('two lines are refused, be the second empty', 401,
    get($auth, 'Authorization:'));
sends('two lines are refused, be the first another scheme', 401,
    get('Authorization: Digest x', $auth));
sends('a hundred lines are refused', 401, get(($auth) x 98));
sends('lines too many are bad', 400, get(($auth) x 101));
sends('a value on the next line is one value', 200,
    get("Authorization: Token\r\n $token"));
sends('a value behind a tab on the next line is one value', 200,
    get("Authorization: Token\r\n\t$token"));
sends('a value folded twice is one value', 200,
    get("Authorization:\r\n Token\r\n $token"));
sends('a token folded in two is refused', 401,
    get("Authorization: Token $half\r\n $rest"));
sends('an empty fold behind a good token is bad', 400, get("$auth\r\n "));
sends('a word in the fold behind a good token is refused', 401,
    get("$auth\r\n x"));
sends('a second header in a fold is refused', 401, get("$auth\r\n $auth"));
sends('a fold before the first header is bad', 400,
    "GET /api/ HTTP/1.1\r\n $auth\r\nHost: x\r\n\r\n");
sends('a tab before the scheme is stripped', 200,
    get("Authorization:\tToken $token"));
sends('a tab behind the token is stripped', 200, get("$auth\t"));
sends('a tab behind the scheme is refused', 401,
    get("Authorization: Token\t$token"));
sends('a tab behind the blank is refused', 401,
    get("Authorization: Token \t$token"));
sends('a byte that is no text is bad: ' . sprintf('%02x', ord), 400,
    get("Authorization: Token $half$_$rest"))
    for "\0", "\x01", "\x08", "\x0b", "\x1f", "\x7f", "\r";
sends('NUL behind the token is bad', 400, get("$auth\0"));
sends('NUL in the name is bad', 400, get("Authorization\0: Token $token"));
sends('a blank behind the name is bad', 400,
    get("Authorization : Token $token"));
sends('a name without a colon is bad', 400, get("Authorization Token $token"));
for my $bytes ("\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80") {
    my $shown = unpack 'H*', $bytes;
    sends("bytes that are no UTF-8 are refused: $shown", 401,
        get("Authorization: Token $bytes"));
    sends("and so they are behind a good token: $shown", 401,
        get("$auth$bytes"));
}
sends('UTF-8 is refused', 401, get("Authorization: Token \xc3\xa9"));
sends('8,000 bytes are refused', 401, get('Authorization: Token ' . 'a' x 8000));
sends('8,000 bytes of Basic are refused', 401,
    get('Authorization: Basic ' . 'YTph' x 2000));
sends('8,000 blanks before a token are passed over', 200,
    get('Authorization: Token ' . ' ' x 8000 . $token));
sends('9,000 bytes are bad', 400, get('Authorization: Token ' . 'a' x 9000));
sends('a good token for a proxy is refused here', 401,
    get("Proxy-Authorization: Token $token"));
sends('a longer name is another', 401, get("X-Authorization: Token $token"));
sends('a Basic pair with stray bits is refused', 401, get('Authorization: '
    . 'Basic ' . encode_base64("aa:$token", '') =~ s/(.)=*$/B==/r));
sends('HTTP/1.0 is answered', 200, "GET /api/ HTTP/1.0\r\n$auth\r\n\r\n");
sends('HTTP/0.9 is answered by a page without a head', '',
    "GET /api/\r\n\r\n");
unlike $site->raw("GET /api/\r\n\r\n", half_close => 1)->{bytes}, qr/INDEX/,
    'and by none that needs a token';
sends('each request of a connection has its own credential', '200 401 200 401',
    get($auth) . get() . get($auth) . get("Authorization: Token $half"));

# --- the request line ---

sends("$_ without a token is refused", 401,
    "GET $_ HTTP/1.1\r\nHost: x\r\n\r\n")
    for '/api/', '//api/', '/api//', '/./api/', '/x/../api/', '/%61pi/',
    '/api/%2e%2e/api/', 'http://x/api/', 'http://other.example/api/',
    'http://127.0.0.1:1/api/', 'HTTP://x/api/', '/api/?token=x', '/api/env/x';
$site->expect_log(qr/\[core:error\] .* AH10244: invalid URI path /);
sends("$_ is bad", 400, "GET $_ HTTP/1.1\r\nHost: x\r\n$auth\r\n\r\n")
    for '/../api/', '/api/%', '/api/%zz', '*', 'api/', '/api/ x',
    "/api/\x01", "http://\0/api/", 'http://x y/api/',
    'http://a:b@x/api/';
sends("$_ is nothing", 404, "GET $_ HTTP/1.1\r\nHost: x\r\n$auth\r\n\r\n")
    for '/api%2f', '/api/%00', '/API/';
sends('an absolute URI is answered', 200,
    "GET http://x/api/ HTTP/1.1\r\nHost: x\r\n$auth\r\n\r\n");
sends("TRACE is off: $_", 405, "TRACE $_ HTTP/1.1\r\nHost: x\r\n$auth\r\n\r\n")
    for '/api/', $where;
sends('CONNECT is not allowed', 405,
    "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n$auth\r\n\r\n");
sends('CONNECT to a path is bad', 400,
    "CONNECT /api/ HTTP/1.1\r\nHost: x\r\n$auth\r\n\r\n");
sends("$_ without a token is refused", 401,
    "$_ /api/ HTTP/1.1\r\nHost: x\r\n\r\n")
    for qw(HEAD POST PUT DELETE PATCH OPTIONS PROPFIND);
sends("$_ is not a login", 405,
    "$_ $where HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    for qw(GET PUT DELETE PROPFIND PATCH);
sends('no Host is bad', 400, "GET /api/ HTTP/1.1\r\n$auth\r\n\r\n");
sends('two Hosts are bad', 400, get('Host: y', $auth));
sends('10,000 bytes of path are too long', 414,
    'GET /api/' . 'a' x 10_000 . " HTTP/1.1\r\nHost: x\r\n$auth\r\n\r\n");

# --- where one request ends and the next begins ---

sends('a login and the next request are two', 'token 200 200',
    sized($good) . $next);
sends('a chunked login and the next request are two', 'token 200 200',
    chunked("$size\r\n$good\r\n0\r\n\r\n") . $next);
sends('chunks win over a length, and what follows is not read', 'token 200',
    chunked("$size\r\n$good\r\n0\r\n\r\n$next", 'Content-Length: 5'));
sends('chunks end where they say, whatever the length is', 400,
    chunked("0\r\n\r\n$next", 'Content-Length: ' . (5 + length $next)));
sends("two lengths are bad: $_", 400, post($good . $next,
    'Content-Length: ' . length $good, "Content-Length: $_"))
    for 0, 5, length $good;
sends("a length of '$_' is bad", 400, post($good . $next,
    "Content-Length: $_"))
    for '-1', '+45', '0x2d', '45abc', '4 5', '45,45', '', '4.5',
    "45\x0b", '9' x 30;
sends('a length too short is bad, and the rest is not read', 400,
    post($good, 'Content-Length: 10'));
sends('a length too long waits for nobody', 400,
    post($good, 'Content-Length: 100'));
sends("Transfer-Encoding: $_ is bad", 400, post("$size\r\n$good\r\n0\r\n\r\n"
    . $next, "Transfer-Encoding: $_"))
    for 'xchunked', 'identity', 'chunked, identity',
    "\x0bchunked", 'chunked;q=1', '';
# httpd looks at the last one alone, and ends the body where it says.
sends("Transfer-Encoding: $_ is chunked", 'token 200 200',
    post("$size\r\n$good\r\n0\r\n\r\n$next", "Transfer-Encoding: $_"))
    for 'chunked, chunked', 'identity, chunked', 'gzip, chunked';
sends('two encodings are bad', 400, chunked("0\r\n\r\n$next",
    'Transfer-Encoding: identity'));
sends("a chunk of the size '$_' is bad", 400, chunked("$_\r\n$good\r\n0\r\n\r\n"
    . $next))
    for "0x$size", "+$size", "-$size", '', ';a=b', 'g', "$size $size",
    "\x0b$size";
sends('a chunk whose size has 40 digits is too large', 413,
    chunked('1' x 40 . "\r\n$good\r\n0\r\n\r\n"));
sends('a chunk of 8 EiB that is not there is bad', 400,
    chunked("7fffffffffffffff\r\n$good\r\n0\r\n\r\n"));
sends('an extension of a chunk is passed over', 'token 200 200',
    chunked("$size;a=\"b;c\";d\r\n$good\r\n0;x\r\n\r\n") . $next);
sends('an extension of 10,000 bytes is too large', 413,
    chunked("$size;" . 'a' x 10_000 . "\r\n$good\r\n0\r\n\r\n"));
sends('a chunk longer than it says is bad', 400,
    chunked("5\r\n$good\r\n0\r\n\r\n"));
sends('a token in a trailer is none', 401, "POST /api/env HTTP/1.1\r\nHost: x"
    . "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n$auth\r\n\r\n");
sends('a token in a trailer of a login is passed over', 'token 200',
    chunked("$size\r\n$good\r\n0\r\n$auth\r\n\r\n", 'Connection: close'));
sends('a second request in a refused body is not read', 401,
    "POST /api/env HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    . "Content-Length: 5\r\n\r\n0\r\n\r\n$next");

# --- bodies ---

{
    my $fields = 'username=alice&password=wonder-land';
    sends('10,000 fields are too large', 413,
        sized($fields . '&a=b' x 10_000, $form));
    sends('8,000 fields are read', 'token 200',
        sized($fields . '&a' x 8_000, $form));
    sends('16,000 empty fields are read', 'token 200',
        sized($fields . '&' x 16_000, $form));
    sends('8,000 fields with a fault in the last give no token', 400,
        sized($fields . '&a' x 8_000 . '=%', $form));
    sends('a name of 16,000 bytes is refused', 400,
        sized('password=wonder-land&username=' . 'a' x 16_000, $form));
    sends('1,000 objects in each other are passed over', 'token 200',
        sized($good =~ s/\}$/',"a":' . '{"a":' x 1000 . 1 . '}' x 1001/er));
    sends('1,000 lists in each other are no password', 400,
        sized('{"username":"alice","password":' . '[' x 1000 . ']' x 1000
            . '}'));
    sends('a name that forges a line of the log is refused', 400,
        sized('{"username":"a\n[x] [core:error] [pid 1] x","password":"x"}'));
    sends('a name that clears the screen of who reads the log is refused', 400,
        sized('{"username":"a\u001b[2J","password":"x"}'));
    sends("a client that does so to who lists tokens is refused: $_", 400,
        sized($good =~ s/\}/,"client":"x${_}2J"}/r))
        for '\u001b[', '\u009b', "\xc2\x9b";
    sends('1,000 open lists are bad', 400, sized('[' x 1000));
    sends('16,000 open objects are bad', 400, sized('{"":' x 4_000));
}

# A body byte by byte, and one that stops.
{
    my $connection = $site->connection;
    for my $byte (split //, sized($good, 'Connection: close')) {
        $connection->write($byte);
        select undef, undef, undef, 0.002;
    }
    my $response = $connection->read('POST', 10);
    my ($new) = ($response ? $response->content : '') =~ /"(tok_\w+)"/;
    $site->secret($new, 'a token') if $new;
    ok $new, 'a login byte by byte is read';
    ok $connection->closed(5), 'and the connection is closed';

    my @many = map { $site->connection } 1 .. 20;
    $_->write(post(substr($good, 0, 20), 'Content-Length: ' . length $good))
        for @many;
    is lives(), 200, 'twenty logins that stop hold nobody up';
    # The last of them not even politely.
    setsockopt $many[-1]{socket}, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
    $_->close for @many;
    is lives(), 200, 'nor when they are gone';
}

# --- bombs ---

# memory: the most that any process of the server had resident, in kB.
sub memory {
    my $most = 0;
    for my $pid ($site->pid, AuthnToken::Process::children($site->pid)) {
        my ($kb) = AuthnToken::Process::slurp("/proc/$pid/status")
            =~ /^VmHWM:\s+(\d+)/m;
        $most = $kb if ($kb // 0) > $most;
    }
    return $most;
}

# zipped($path, $body, @lines): a login whose body httpd inflates.
sub zipped {
    my ($path, $body, @lines) = @_;
    return sized($body, 'Content-Encoding: gzip', @lines)
        =~ s/^POST \S+/POST $where$path/r;
}

{
    my $zip = Compress::Zlib::memGzip($good);
    my $bomb = Compress::Zlib::memGzip(' ' x 10_000_000);
    my $before;

    cmp_ok length $bomb, '<', 16_384, '10 MB fit into 16 KiB';
    sends('what is compressed is read', 'token 200 200',
        zipped('inflate', $zip) . $next);
    sends('what is compressed is read beside a bomb', 'token 200',
        zipped('bomb', $zip));
    $before = memory();
    sends('a bomb is too large', 413, zipped('bomb', $bomb)) for 1 .. 5;
    sends('a bomb behind a login is too large', 413,
        zipped('bomb', Compress::Zlib::memGzip($good . ' ' x 10_000_000)));
    sends('a bomb in chunks is too large', 413,
        chunked(sprintf("%x\r\n", length $bomb) . "$bomb\r\n0\r\n\r\n",
            'Content-Encoding: gzip') =~ s/^POST \S+/POST ${where}bomb/r);
    cmp_ok memory() - $before, '<', 4_096, 'and costs less than 4 MB'
        if !$ENV{AUTHN_TOKEN_SANITIZE};
    $site->expect_log(qr/\[deflate:\w+\] .* $_: /)
        for qw(AH02649 AH02481 AH01394 AH01387);
    sends('a bomb is no body to mod_deflate', 400, zipped('inflate', $bomb));
    sends('a bomb in a bomb is no JSON', 400,
        zipped('bomb', Compress::Zlib::memGzip($bomb)));
    sends('a body compressed twice is no JSON', 400,
        zipped('inflate', Compress::Zlib::memGzip($zip),
            'Content-Encoding: gzip'));
    sends('a body cut off is bad', 400, zipped('inflate', substr $zip, 0, 30));
    sends('a body with a wrong checksum is bad', 400,
        zipped('inflate', substr($zip, 0, -8) . 'abcdefgh'));
    sends('what is not compressed is bad', 400, zipped('inflate', $good));
    sends('a bomb is no JSON where nobody inflates', 400,
        sized($bomb, 'Content-Encoding: gzip'));
}

finish();
