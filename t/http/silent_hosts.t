# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Databases of other hosts that take connections and are silent do not hold
# up what this one's tells of revocations.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;
use Test::More;

my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
    or die "no socket: $!\n";
my $port = $silent->sockport;
my $hosts = join '', map { <<"CONF" } 1 .. 3;
<VirtualHost *>
    ServerName silent$_
    DBDParams "host=127.0.0.1 port=$port dbname=d$_ user=u connect_timeout=90"
</VirtualHost>
CONF
my $site = AuthnToken::Test->new(name => 'silent hosts',
    conf => "DBDMin 0\nAuthTokenCacheTTL 1h\n"
        . AuthnToken::Conf::default_text(1)
        . "<VirtualHost *>\n    ServerName good\n</VirtualHost>\n$hosts")->start;
$site->allow_log(qr{dbd:error|does not answer: no connection});

# They are asked now, and wait.
my @asked;
ok poll(sub {
    push @asked, $silent->accept if IO::Select->new($silent)->can_read(0);
    return scalar @asked;
}, 20), 'a silent database is asked';
my $token = $site->login('alice', 'wonder-land')->{token};
is $site->get('/api/', auth($token))->code, 200, 'a token is known';
$site->httoken('revoke', substr sha256_hex($token), 0, 16);
ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 30),
    'it is refused while they are silent';

# Whoever waits for them may go.
close $_ for @asked, $silent;
$site->done;
finish();
