#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Bodies that token-login is sent: everything but a good one gets a clear
# error in JSON, no crash, and no answer that repeats what was sent.  After
# each the server must let in who comes next.
use strict;
use warnings;

use AuthnToken::Test;
use Compress::Zlib ();
use Test::More;

my $where = '/api-token-auth/';
my $json = JSON::PP->new->utf8->canonical;
my $type = 'application/json';
my $form = 'application/x-www-form-urlencoded';
my $multipart = 'multipart/form-data; boundary=b';
my $good = '{"username":"alice","password":"wonder-land"}';

my $site = AuthnToken::Test->new(name => 'bodies', modules => ['deflate'],
    conf => <<'CONF')->start;
AuthTokenLoginLimit 0 60s
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/api-token-auth/inflate">
    SetInputFilter DEFLATE
</Location>
<Location "/api-token-auth/limited">
    LimitRequestBody 100
</Location>
Listen 127.0.0.1:@@PORT2@@
<VirtualHost 127.0.0.1:@@PORT2@@>
    RequestReadTimeout body=1
</VirtualHost>
CONF
$site->secret('wonder-land', 'password of alice');
$site->secret('zauberwort', 'a password in a bad body');

# lives: whether somebody else can log in.
sub lives {
    my $response = $site->post($where, $good, 'Content-Type' => $type);
    my ($token) = $response->content =~ /"(tok_\w+)"/;
    $site->secret($token, 'a token') if $token;
    return $token ? 'and the server lives' : 'and the server is ill: '
        . $response->as_string;
}

# gives($name, $response, $status, $body): that status and that body, exactly
# or by pattern, in JSON, and a server that lives.
sub gives {
    my ($name, $response, $status, $body) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $content = $response ? $response->content : '';
    my ($token) = $content =~ /"(tok_\w+)"/;

    $site->secret($token, 'a token') if $token;
    # Exact bodies are compared; else the pattern stands for a match.
    my $seen = ref $body ? $content =~ $body ? $body : $content : $content;
    my $decoded = eval { $json->decode($content) };
    return is_deeply [ $response ? $response->code : 'no answer', $seen,
        ref $decoded, $response ? $response->header('Content-Type') : '',
        $response ? $response->header('Cache-Control') : '', lives() ],
        [ $status, $body, 'HASH', 'application/json', 'no-store',
            'and the server lives' ], $name;
}

# try_all($type, [name, body, status, answer]...)
sub try_all {
    my ($content_type, @cases) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $case (@cases) {
        my ($name, $body, $status, $answer) = @$case;
        gives($name, $site->post($where, $body,
            'Content-Type' => $content_type), $status, $answer);
    }
    return;
}

# field($name => $text, ...): the body that blames fields.
sub field {
    my @pairs = @_;
    my $body = '';
    while (my ($name, $text) = splice @pairs, 0, 2) {
        $body .= ($body ? ',' : '{') . $json->encode([$name]) =~ s/[\[\]]//gr
            . ':' . $json->encode([$text]);
    }
    return "$body}";
}

my $required = 'This field is required.';
my $blank = 'This field may not be blank.';
my $null = 'This field may not be null.';
my $text = 'Not a valid string.';
my $nul = 'Null characters are not allowed.';
my $once = 'This field may be given only once.';
my $both = field(username => $required, password => $required);
my $token = qr/\A\{"token":"tok_\w{36}",/;
my $no_login = field(non_field_errors =>
    'Unable to log in with provided credentials.');
my $no_json = qr/\A\{"detail":"JSON parse error - (?!.*zauberwort)[^"]+"\}\z/;
my $no_form = qr/\A\{"detail":"Form parse error - (?!.*zauberwort)[^"]+"\}\z/;
my $no_parts =
    qr/\A\{"detail":"Multipart form parse error - (?!.*zauberw)[^"]+"\}\z/;
my $no_boundary = '{"detail":"Multipart form parse error - Invalid boundary '
    . 'in multipart: None"}';
my $unread = '{"detail":"The body could not be read."}';
my $too_large = '{"detail":"The body may have 16384 bytes."}';

sub unsupported {
    my ($name) = @_;
    return qq({"detail":"Unsupported media type \\"$name\\" in request."});
}

# Fields in JSON.
try_all($type,
    [ 'no password is said so', '{"username":"alice"}', 400,
        field(password => $required) ],
    [ 'no username is said so', '{"password":"zauberwort"}', 400,
        field(username => $required) ],
    [ 'an empty object lacks both', '{}', 400, $both ],
    [ 'an empty body lacks both', '', 400, $both ],
    [ 'unknown names are passed over', '{"user":"alice","Username":"alice"}',
        400, $both ],
    [ 'an empty password is blank', '{"username":"alice","password":""}', 400,
        field(password => $blank) ],
    [ 'an empty username is blank', '{"username":"","password":"x"}', 400,
        field(username => $blank) ],
    [ 'a username of blanks is blank',
        '{"username":" \t\r\n ","password":"x"}', 400,
        field(username => $blank) ],
    [ 'a password of blanks is wrong',
        '{"username":"alice","password":"  "}', 400, $no_login ],
    [ 'null is said so', '{"username":null,"password":null}', 400,
        field(username => $null, password => $null) ],
    [ 'true and false are no text', '{"username":true,"password":false}', 400,
        field(username => $text, password => $text) ],
    [ 'a list and an object are no text',
        '{"username":["alice"],"password":{"a":"zauberwort"}}', 400,
        field(username => $text, password => $text) ],
    [ 'numbers are text', '{"username":1,"password":2.5}', 400, $no_login ],
    [ 'a large number is text',
        '{"username":"alice","password":9223372036854775807}', 400,
        $no_login ],
    [ 'U+0000 in a name is said so',
        '{"username":"alice\u0000","password":"x"}', 400,
        field(username => $nul) ],
    [ 'U+0000 in a password is said so',
        '{"username":"alice","password":"wonder-land\u0000zauberwort"}', 400,
        field(password => $nul) ],
    [ 'U+0000 in a client, scope and expires_in is said so',
        '{"client":"\u0000","scope":"\u0000","expires_in":"6\u0000",'
        . '"username":"alice",'
        . '"password":"x"}', 400, field(client => $nul, scope => $nul,
            expires_in => $nul) ],
    [ 'U+0000 in an unknown value does not matter',
        '{"username":"alice","password":"wonder-land","x":"\u0000"}', 200,
        $token ],
    [ 'unknown values of all types do not matter', '{"a":[1,{"b":null}],'
        . '"username":"alice","password":"wonder-land","c":true}', 200,
        $token ],
    [ 'a character past U+FFFF is one',
        '{"username":"alice","password":"\ud83d\udd11"}', 400, $no_login ],
);

# What is JSON, but no object.
try_all($type, map {
    my ($body, $name) = @$_;
    [ "$name is no dictionary", $body, 400, field(non_field_errors =>
        "Invalid data. Expected a dictionary, but got $name.") ]
} [ '[]', 'list' ], [ '[{"username":"alice"}]', 'list' ],
    [ '"zauberwort"', 'str' ], [ '42', 'int' ], [ '4.2', 'float' ],
    [ 'true', 'bool' ], [ 'false', 'bool' ]);
try_all($type, [ 'null is no data', 'null', 400,
    field(non_field_errors => 'No data provided') ]);

# What is no JSON: the answer never quotes it.
try_all($type, map {
    my ($name, $body) = @$_;
    [ "$name is a parse error", $body, 400, $no_json ]
} [ 'garbage', 'zauberwort' ], [ 'a form under the type of JSON',
        'username=alice&password=wonder-land' ],
    [ 'white space', " \r\n " ], [ 'a trailing comma',
        '{"username":"alice","password":"zauberwort",}' ],
    [ 'a truncated object', '{"username":"alice","password":"zauberwort"' ],
    [ 'a truncated string', '{"username":"alice","password":"zauberwort' ],
    [ 'a truncated escape', '{"username":"\u00' ],
    [ 'a second value', "$good zauberwort" ], [ 'a second object', $good x 2 ],
    [ 'bad UTF-8', "{\"username\":\"alice\xff\",\"password\":\"x\"}" ],
    [ 'overlong UTF-8', "{\"username\":\"\xc0\xafalice\",\"password\":\"x\"}" ],
    [ 'a surrogate in UTF-8', "{\"username\":\"\xed\xa0\x80\"}" ],
    [ 'a lone surrogate', '{"username":"\ud800","password":"x"}' ],
    [ 'a byte order mark', "\xef\xbb\xbf$good" ],
    [ 'UTF-16', join '', map { "$_\0" } split //, $good ],
    [ 'NaN', '{"username":NaN,"password":"x"}' ],
    [ 'Infinity', '{"username":-Infinity,"password":"x"}' ],
    [ 'a number past all bounds', '{"username":1e999,"password":"x"}' ],
    [ 'an integer past all bounds', '{"username":' . '9' x 100 . '}' ],
    [ 'single quotes', "{'username':'alice','password':'zauberwort'}" ],
    [ 'a comment', "{\"username\":\"alice\"/* zauberwort */}" ],
    [ 'a name without quotes', '{username:"alice"}' ],
    [ 'a raw NUL byte', "{\"username\":\"al\0ice\",\"password\":\"x\"}" ],
    [ 'a raw line feed in a string', "{\"username\":\"a\nb\"}" ],
    [ 'U+0000 in a name', '{"username\u0000":"alice","password":"x"}' ],
    [ 'a name given twice', '{"username":"alice","password":"zauberwort",'
        . '"password":"wonder-land"}' ],
    [ 'a name given twice, once with escapes', '{"username":"alice",'
        . '"password":"zauberwort","pass\u0077ord":"wonder-land"}' ],
    [ 'an unknown name given twice', '{"a":1,"a":2}' ],
    [ 'a list 3000 deep', '[' x 3000 . ']' x 3000 ],
    [ 'an object 2500 deep', '{"a":' x 2500 . '1' . '}' x 2500 ],
    [ 'a body of brackets', '[' x 16_384 ],
    [ 'a body of quotes', '"' x 16_384 ],
    [ 'a body of NUL', "\0" x 16_384 ]);
try_all($type, [ 'a value 1000 deep is no text', '{"username":' . '[' x 1000
    . ']' x 1000 . ',"password":"x"}', 400, field(username => $text) ]);

# Forms.
try_all($form,
    [ 'an empty form lacks both', '', 400, $both ],
    [ 'a form of separators lacks both', '&&&=&=x&', 400, $both ],
    [ 'a form without a password lacks it', 'username=alice', 400,
        field(password => $required) ],
    [ 'a form with empty values is blank', 'username=&password', 400,
        field(username => $blank, password => $blank) ],
    [ 'a name of escaped blanks is blank', 'username=+%20%09&password=x', 400,
        field(username => $blank) ],
    [ 'a username given twice in a form is refused',
        'username=alice&username=alice&password=wonder-land', 400,
        field(username => $once) ],
    [ 'a password given twice in a form is refused, also under an escape',
        'username=alice&password=zauberwort&%70assword=wonder-land', 400,
        field(password => $once) ],
    [ 'a name given twice with nothing once is refused',
        'username=alice&password=&password=wonder-land', 400,
        field(password => $once) ],
    [ 'unknown names given twice do not matter',
        'a=1&a=2&username=alice&password=wonder-land', 200, $token ],
    [ '%00 in a password is said so',
        'username=alice&password=wonder-land%00zauberwort', 400,
        field(password => $nul) ],
    [ 'a name with %00 behind is another name',
        'username%00=alice&password=x', 400, field(username => $required) ],
    [ 'a raw NUL byte is a parse error', "username=alice\0&password=zauberwort",
        400, $no_form ],
    [ 'bad UTF-8 in a form is a parse error',
        'username=alice&password=zauberwort%FF', 400, $no_form ],
    [ 'raw bad UTF-8 in a form is a parse error',
        "username=alice&password=zauberwort\xff", 400, $no_form ],
    [ '%zz is a parse error', 'username=alice&password=zauberwort%zz', 400,
        $no_form ],
    [ '% at the end is a parse error', 'username=alice&password=zauberwort%',
        400, $no_form ],
    [ '%4 at the end is a parse error', 'username=alice&password=zauberwort%4',
        400, $no_form ],
    [ 'a semicolon separates nothing', 'username=alice;password=wonder-land',
        400, field(password => $required) ],
    [ 'a blank is a blank and a plus is one',
        'username=alice &password=wonder-land', 200, $token ],
    [ 'an equals sign may stand in a value',
        'username=alice&password=a=b', 400, $no_login ],
    [ 'JSON under the type of a form lacks both', $good, 400, $both ],
    [ '5000 parameters are read',
        'a=&' x 5000 . 'username=alice&password=wonder-land', 200, $token ],
    [ '10000 parameters are too many bytes',
        'a=&' x 10_000 . 'username=alice&password=wonder-land', 413,
        $too_large ],
);

# part($head, $value): one part; multipart(@parts): a body.
sub part {
    my ($head, $value) = @_;
    return "--b\r\nContent-Disposition: form-data; $head\r\n\r\n$value\r\n";
}

sub multipart {
    my (@parts) = @_;
    return join '', @parts, "--b--\r\n";
}

my @alice = (part('name="username"', 'alice'),
    part('name="password"', 'wonder-land'));
my $name = part('name="username"', 'alice');
my $whole = multipart(@alice);

# Boundaries.
for my $case (
    [ 'no boundary', 'multipart/form-data' ],
    [ 'no boundary but a charset', 'multipart/form-data; charset=utf-8' ],
    [ 'an empty boundary', 'multipart/form-data; boundary=' ],
    [ 'an empty boundary in quotes', 'multipart/form-data; boundary=""' ],
    [ 'a boundary whose quote is open', 'multipart/form-data; boundary="b' ],
    [ 'a boundary of 71 characters',
        'multipart/form-data; boundary=' . 'b' x 71 ],
    [ 'a boundary that ends with a blank',
        'multipart/form-data; boundary="b "' ],
    [ 'a boundary with a bad character',
        'multipart/form-data; boundary="b<b"' ],
    [ 'a boundary beyond ASCII', "multipart/form-data; boundary=b\xe9" ],
    [ 'a boundary within another parameter',
        'multipart/form-data; x="; boundary=b"' ],
    [ 'a boundary under a longer name', 'multipart/form-data; xboundary=b' ],
    [ 'a word behind a quoted boundary',
        'multipart/form-data; boundary="b"b' ],
) {
    my ($what, $content_type) = @$case;
    try_all($content_type,
        [ "$what is an error", $whole, 400, $no_boundary ]);
}
try_all('multipart/form-data; boundary=' . 'b' x 70,
    [ 'a boundary of 70 characters is read',
        $whole =~ s/--b/'--' . 'b' x 70/ger, 200, $token ]);

# Multipart bodies.
try_all($multipart,
    [ 'an empty multipart body lacks both', '', 400, $both ],
    [ 'a multipart body without parts lacks both', multipart(), 400, $both ],
    [ 'one part lacks the other', multipart($name), 400,
        field(password => $required) ],
    [ 'an empty part is blank',
        multipart($name, part('name="password"', '')), 400,
        field(password => $blank) ],
    [ 'a file is no text', multipart($name, part('name="password"; '
        . 'filename="a.txt"', 'wonder-land')), 400,
        field(password => $text) ],
    [ 'a file with an encoded name is no text', multipart($name,
        part("name=\"password\"; filename*=utf-8''a", 'wonder-land')), 400,
        field(password => $text) ],
    [ 'a part given twice is refused', multipart(@alice, $name), 400,
        field(username => $once) ],
    [ 'a part with NUL in its value is said so', multipart($name,
        part('name="password"', "wonder-land\0zauberwort")), 400,
        field(password => $nul) ],
    [ 'a part with a name in a token is read', multipart(
        part('name=username', 'alice'), part('name=password', 'wonder-land')),
        200, $token ],
    [ 'a disposition in another case is read', $whole =~
        s/Content-Disposition: form-data/content-disposition:FORM-DATA/gr,
        200, $token ],
    [ 'more headers of a part are passed over', $whole =~
        s/\r\n\r\n/\r\nContent-Type: text\/plain; charset=utf-8\r\n\r\n/gr,
        200, $token ],
    [ 'text behind the end is passed over', "$whole\r\nzauberwort", 200,
        $token ],
    [ 'the end needs no line of its own', $whole =~ s/\r\n\z//r, 200, $token ],
    [ 'the boundary within a line is text', multipart($name,
        part('name="password"', 'x--b--y')), 400, $no_login ],
    [ 'lines of a value stay its own', multipart($name,
        part('name="password"', "\r\nwonder-land\r\n")), 400, $no_login ],
    [ 'a nested multipart is text', multipart($name, "--b\r\n"
        . "Content-Disposition: form-data; name=\"password\"\r\n"
        . "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"
        . "Content-Disposition: form-data; name=\"password\"\r\n\r\n"
        . "wonder-land\r\n--c--\r\n\r\n"), 400, $no_login ],
    [ 'escapes in a multipart value are text', multipart($name,
        part('name="password"', 'wonder%2Dland')), 400, $no_login ],
);
try_all($multipart, map {
    my ($what, $body) = @$_;
    [ "$what is a parse error", $body, 400, $no_parts ]
} [ 'JSON under the type of multipart', $good ],
    [ 'a preamble', "zauberwort\r\n$whole" ],
    [ 'another boundary', $whole =~ s/--b/--c/gr ],
    [ 'a longer boundary', $whole =~ s/--b/--bb/gr ],
    [ 'an end that is missing', $whole =~ s/--b--\r\n\z//r ],
    [ 'an end with one dash', $whole =~ s/--b--\r\n\z/--b-\r\n/r ],
    [ 'an end with another boundary', $whole =~ s/--b--\r\n\z/--c--\r\n/r ],
    [ 'a body cut in its value', substr($whole, 0, 70) ],
    [ 'a body cut in its head', substr($whole, 0, 20) ],
    [ 'a body cut in its first boundary', '--' ],
    [ 'a first boundary alone', '--b' ],
    [ 'lines that end in LF', $whole =~ s/\r\n/\n/gr ],
    [ 'blanks behind a boundary', $whole =~ s/--b\r/--b x\r/r ],
    [ 'a part without an empty line', "--b\r\nContent-Disposition: form-data; "
        . "name=\"username\"\r\n--b--\r\n" ],
    [ 'a part without a head', "--b\r\n\r\nzauberwort\r\n--b--\r\n" ],
    [ 'a part without a name', multipart(part('x=y', 'zauberwort')) ],
    [ 'a part whose name has an open quote',
        multipart(part('name="username', 'zauberwort')) ],
    [ 'a part that is no form-data', $whole =~ s/form-data/attachment/r ],
    [ 'a part with two dispositions', $whole =~ s/(Content-D.*?\r\n)/$1$1/r ],
    [ "NUL in a part's head", multipart(part("name=\"user\0name\"", 'x')) ],
    [ "bad UTF-8 in a part's value",
        multipart($name, part('name="password"', "zauberwort\xff")) ]);

# Content types.
for my $case (
    [ 'text/plain' ], [ 'application/xml' ], [ 'application/vnd.api+json' ],
    [ 'text/json' ], [ 'application/jsonx' ], [ 'application' ],
    [ 'multipart/mixed; boundary=b' ], [ '*/*' ],
    [ 'application/json, text/plain' ],
    [ 'text/x; a="b\\c"', 'text/x; a=\"b\\\\c\"' ],
    [ "text/caf\xc3\xa9" ], [ 'x' x 2000 ],
) {
    my ($content_type, $shown) = @$case;
    my $short = substr $content_type, 0, 30;
    try_all($content_type, [ "the type $short is not supported", $good, 415,
        unsupported($shown // $content_type) ]);
}
try_all("text/plain\xff", [ 'a type that is not UTF-8 is not supported',
    $good, 415, qr/\A\{"detail":"Unsupported media type .*\}\z/ ]);
for my $content_type ('application/json;charset=latin1',
    'APPLICATION/JSON ; charset="utf-8"', 'application/json;') {
    try_all($content_type, [ "the type $content_type is JSON", $good, 200,
        $token ]);
}
try_all('application/X-WWW-Form-URLencoded;charset=iso-8859-1',
    [ 'a form may name its charset', 'username=alice&password=wonder-land',
        200, $token ]);

# head(@lines): a request's head, of a connection that is closed.
sub head {
    my (@lines) = @_;
    return join "\r\n", "POST $where HTTP/1.1", 'Host: x', 'Connection: close',
        @lines, '', '';
}

# raw_gives($name, $bytes, $status, $body): as gives, of raw bytes; the
# whole exchange.
sub raw_gives {
    my ($what, $bytes, $status, $body, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $raw = $site->raw($bytes, timeout => 10, %opt);
    gives($what, $raw->{responses}[-1], $status, $body);
    return $raw;
}

raw_gives('a body without a Content-Type is not supported',
    head('Content-Length: 2') . '{}', 415, unsupported(''));
raw_gives('a chunked body without a Content-Type is not supported',
    head('Transfer-Encoding: chunked') . "2\r\n{}\r\n0\r\n\r\n", 415,
    unsupported(''));
raw_gives('no body and no Content-Type lack both', head(), 400, $both);
raw_gives('an empty body without a Content-Type lacks both',
    head('Content-Length: 0'), 400, $both);
raw_gives('two Content-Types are none', head("Content-Type: $type",
    'Content-Type: text/plain', 'Content-Length: 2') . '{}', 415,
    unsupported("$type, text/plain"));
raw_gives('JSON in gzip is a parse error', head("Content-Type: $type",
    'Content-Encoding: gzip', 'Content-Length: ' . length
        Compress::Zlib::memGzip($good)) . Compress::Zlib::memGzip($good),
    400, $no_json);

# Sizes.
{
    my $padded = $good . ' ' x (16_384 - length $good);
    my $json_head = head("Content-Type: $type", 'Transfer-Encoding: chunked');
    my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
        $padded =~ /(.{1,1000})/gs;

    try_all($type,
        [ 'a body of 16384 bytes is read', $padded, 200, $token ],
        [ 'a body of 16385 bytes is too large', "$padded ", 413, $too_large ]);
    try_all($form, [ 'a form of 16385 bytes is too large', 'username=alice&'
        . 'password=wonder-land&a=' . 'a' x 16_347, 413, $too_large ]);
    try_all($multipart, [ 'a multipart body of 16384 bytes is read', $whole
        . ' ' x (16_384 - length $whole), 200, $token ]);
    raw_gives('a body of 16384 bytes in chunks is read',
        "$json_head${chunks}0\r\n\r\n", 200, $token);
    raw_gives('a body of 16385 bytes in chunks is too large',
        "$json_head${chunks}1\r\n \r\n0\r\n\r\n", 413, $too_large);
    raw_gives('a body without an end in chunks is too large',
        $json_head . ("4000\r\n" . ' ' x 16_384 . "\r\n") x 20, 413,
        $too_large);
    my $raw = raw_gives('a body that is said to be too large is not waited for',
        head("Content-Type: $type", 'Content-Length: 9223372036854775807'),
        413, $too_large);
    cmp_ok $raw->{elapsed}, '<', 2, 'the answer comes at once';
    ok $raw->{closed}, 'and the connection is closed';
    raw_gives('a megabyte is too large', head("Content-Type: $type",
        'Content-Length: 1048576') . 'x' x 1_048_576, 413, $too_large);
}

# Chunks.
{
    my $head = head("Content-Type: $type", 'Transfer-Encoding: chunked');
    my $size = sprintf '%x', length $good;
    my $whole = "$size\r\n$good\r\n0\r\n\r\n";

    raw_gives('a body in one chunk is read', "$head$whole", 200, $token);
    raw_gives('a body in chunks of one byte is read', $head
        . join('', map { "1\r\n$_\r\n" } split //, $good) . "0\r\n\r\n", 200,
        $token);
    raw_gives('a chunk with an extension is read', $head
        . "$size;a=b\r\n$good\r\n0\r\n\r\n", 200, $token);
    raw_gives('trailers are passed over', $head
        . "$size\r\n$good\r\n0\r\nX-A: b\r\n\r\n", 200, $token);
    raw_gives('an empty chunked body lacks both', "${head}0\r\n\r\n", 400,
        $both);
    raw_gives('chunks win over a Content-Length', head("Content-Type: $type",
        'Content-Length: 5', 'Transfer-Encoding: chunked') . $whole, 200,
        $token);
    raw_gives('a chunk cut off is no body', "$head$size\r\n{\"user", 400,
        $unread, half_close => 1);
    raw_gives('chunks without the last one are no body',
        "$head$size\r\n$good\r\n", 400, $unread, half_close => 1);
    raw_gives('a body cut off is no body', head("Content-Type: $type",
        'Content-Length: 100') . $good, 400, $unread, half_close => 1);

    # httpd has answered these itself when we hear of it.
    for my $case ([ 'a chunk size that is no number', 400,
            "zz\r\n$good\r\n0\r\n\r\n" ],
        [ 'a negative chunk size', 400, "-1\r\n$good\r\n0\r\n\r\n" ],
        [ 'a chunk size past all bounds', 413, "ffffffffffffffff\r\n$good" ],
        [ 'a bad size behind a good chunk', 400,
            "$size\r\n$good\r\nzauberwort\r\n" ]) {
        my ($what, $status, $body) = @$case;
        my $raw = $site->raw("$head$body", timeout => 10);
        my $response = $raw->{responses}[0];
        is_deeply [ $response && $response->code, $raw->{closed}, lives() ],
            [ $status, 1, 'and the server lives' ], "$what gives $status";
        unlike $raw->{bytes}, qr/tok_|zauberwort/, "$what: and no token";
    }

    # Half a request, and nobody there any more.
    for my $bytes (head("Content-Type: $type", 'Content-Length: 100') . '{"u',
        "$head$size\r\n{", $head) {
        my $connection = $site->connection;
        $connection->write($bytes);
        $connection->close;
    }
    is lives(), 'and the server lives',
        'clients that go away leave a server that lives';
}

# Expect: 100-continue
{
    my @expect = ("Content-Type: $type", 'Expect: 100-continue');
    my $connection = $site->connection;
    $connection->write(head(@expect, 'Content-Length: ' . length $good));
    my $response = $connection->read('POST');
    is $response && $response->code, 100,
        'who waits for 100 Continue is told to go on';
    $connection->write($good);
    gives('and is answered then', $connection->read('POST'), 200, $token);
    $connection->close;

    for my $case (
        [ 'too large a body', 413, $too_large,
            head(@expect, 'Content-Length: 16385') ],
        [ 'a type that is not supported', 415, unsupported('text/x'),
            head('Content-Type: text/x', 'Expect: 100-continue',
                'Content-Length: 5') ],
        [ 'an Accept that is not', 406,
            '{"detail":"Could not satisfy the request Accept header."}',
            head(@expect, 'Content-Length: 5', 'Accept: text/html') ],
        [ 'a method that is not allowed', 405,
            '{"detail":"Method \"PUT\" not allowed."}',
            head(@expect, 'Content-Length: 5') =~ s/^POST/PUT/r ],
    ) {
        my ($what, $status, $body, $bytes) = @$case;
        my $raw = raw_gives("$what is refused", $bytes, $status, $body);
        is scalar @{ $raw->{responses} }, 1, "$what: without a 100 before";
        ok $raw->{closed}, "$what: and the connection is closed";
        cmp_ok $raw->{elapsed}, '<', 2, "$what: at once";
    }
}

# Bodies that other modules handle.
{
    my $gzip = Compress::Zlib::memGzip($good);
    # mod_deflate has a limit of its own, for larger ones.
    my $bomb = Compress::Zlib::memGzip($good . join ' ', 1 .. 6000);
    my %headers = ('Content-Type' => $type, 'Content-Encoding' => 'gzip');

    cmp_ok length $bomb, '<', 16_384, 'thirty thousand bytes fit into fewer';
    gives('a body that httpd inflates is read',
        $site->post("${where}inflate", $gzip, %headers), 200, $token);
    gives('and is bounded as it comes out',
        $site->post("${where}inflate", $bomb, %headers), 413, $too_large);
    my $response = $site->post("${where}limited", $good . ' ' x 100,
        'Content-Type' => $type);
    is_deeply [ $response->code, lives() ], [ 413, 'and the server lives' ],
        'a smaller LimitRequestBody holds';
    $site->allow_log(qr/AH01588: Requested content-length of \d+ is larger/);

    my $connection = $site->connection($site->port(2));
    $connection->write(head("Content-Type: $type", 'Content-Length: 100')
        . '{');
    $response = $connection->read('POST', 10);
    is $response && $response->code, 408,
        'who stops in the middle of a body is sent away';
    is lives(), 'and the server lives', 'and others are not held up';
}

# No row but those of the good logins.
{
    my $dbh = $site->dbh;
    my ($rows) = $dbh->selectrow_array(
        q{SELECT count(*) FROM auth_token WHERE username <> 'alice'});
    $dbh->disconnect;
    is $rows, 0, 'nobody else got a token by all this';
}

finish();
