# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The example configuration that is installed: enabled as it is, it does
# nothing; with its lines uncommented, it works.
# profiles: sqlite3-event
use strict;
use warnings;

use AuthnToken::Test;
use Test::More;

my $example = AuthnToken::Process::slurp(
    "$AuthnToken::Site::top/conf/authn_token.conf");

{
    my $site = AuthnToken::Test->new(db => 'none', conf => $example,
        name => 'as it is');
    my ($exit, $text) = $site->configtest;
    is $exit, 0, 'as it is, the example passes configtest' or diag $text;
    $site->start;
    is $site->get('/api/')->code, 200, 'and protects nothing';
    is $site->post('/api-token-auth/',
        { username => 'admin', password => 'whatever' })->code, 404,
        'and issues nothing';
    is_deeply [ glob $site->tmp . '/db/*' ], [], 'and makes no database';
    $site->log_like(qr/no DBDriver: no job has a database to ask/,
        'and asks none');
    $site->done;
}

{
    # What the first comment says: "#" and one blank is text.
    (my $text = $example) =~ s/^#(?=\S| {4})//mg;
    $text =~ s{/var/lib/authn_token/}{\@\@TMP\@\@/db/}g;
    $text =~ s/^AuthTokenPrefix \Ktok$/acme/m;
    $text =~ s{/etc/apache2/htpasswd}{\@\@HTPASSWD\@\@}g;
    isnt $text, $example, 'the example has lines to uncomment';

    my $site = AuthnToken::Test->new(db => 'none', conf => $text,
        name => 'uncommented');
    (my $exit, $text) = $site->configtest;
    is $exit, 0, 'uncommented, the example passes configtest' or diag $text;
    $site->start;
    my $answer = $site->login('admin', 'whatever');
    like $answer->{token}, qr/^acme_\w{36}$/, 'a password becomes a token';
    is $answer->{scope}, 'read write', 'of the scope it names';
    is $site->get('/api/', Authorization => "Token $answer->{token}")->code,
        200, 'the token opens the door';
    is $site->get('/api/')->code, 401, 'without it, it is shut';
    ok -s $site->tmp . '/db/tokens.db', 'the database is where it says';
    $site->done;
}

finish();
