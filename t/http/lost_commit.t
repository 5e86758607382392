# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: pgsql-event
#
# A connection that breaks when PostgreSQL has done a COMMIT and its answer is
# on the way: what was changed is told to the client as if nothing had been.
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Server;
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;

my $base = AuthnToken::Test->new(name => 'database');
my ($direct) = $base->db_params =~ /port=(\d+)/ or die "no port\n";
my $port = AuthnToken::Server::free_port();
my $trap = $base->tmp . '/trap';
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 32,
    LocalPort => $port, ReuseAddr => 1) or die "port $port: $!\n";
my $test = $$;
my $relay = fork // die "fork: $!\n";
if (!$relay) {
    relay();
    POSIX::_exit(0);
}
close $listener;

# relay: passes bytes between httpd and PostgreSQL; the answer to the COMMIT
# that the file $trap waits for is kept, and its connection closed.
sub relay {
    my $select = IO::Select->new($listener);
    my (%peer, %is_httpd, %holds);

    # Not longer than the test lives, however that ends.
    while (getppid == $test) {
        for my $socket ($select->can_read(1)) {
            if ($socket == $listener) {
                my $httpd = $listener->accept or next;
                my $pgsql = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                    PeerPort => $direct) or next;
                $is_httpd{$httpd} = 1;
                @peer{ $httpd, $pgsql } = ($pgsql, $httpd);
                $select->add($httpd, $pgsql);
                next;
            }
            my $peer = $peer{$socket} or next;
            my $got = sysread $socket, my $bytes, 65_536;
            if (!$got || $holds{$socket}) {
                $select->remove($socket, $peer);
                delete @peer{ $socket, $peer };
                delete @holds{ $socket, $peer };
                close $_ for $socket, $peer;
                next;
            }
            if ($is_httpd{$socket} && $bytes =~ /COMMIT\0/ && unlink $trap) {
                $holds{$peer} = 1;
            }
            syswrite $peer, $bytes;
        }
    }
    return;
}

(my $params = $base->db_params) =~ s/port=\d+/port=$port/;
my $site = AuthnToken::Test->new(name => 'commits', table => 0,
    dbd => $params, conf => <<'CONF')->start;
AuthTokenAudit On
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<LocationMatch "^/(?:tokens|one|api)/">
    AuthType Token
    AuthName "api"
    AuthTokenCacheTTL 0
    Require valid-user
</LocationMatch>
<Location "/tokens/">
    SetHandler token-manage
</Location>
<Location "/one/">
    SetHandler token-manage
    AuthTokenMaxPerUser 1
</Location>
CONF

sub code_of { return $site->get('/api/', auth($_[0]))->code }

sub call {
    my ($method, $path, $token) = @_;
    my $answer = $site->request($method, $path, { auth($token),
        'Content-Type' => 'application/json' },
        $method eq 'POST' ? '{}' : undef);
    my $made = $answer->code =~ /^20[01]$/
        ? decode_json($answer->content)->{token} : undef;
    return ($answer->code, $made ? $site->secret($made, 'a token made') : '');
}

# losing($what, $work): what the work answers whose commit is done, and lost.
sub losing {
    my ($what, $work) = @_;

    open my $file, '>', $trap or die "$trap: $!\n";
    close $file;
    my @answer = $work->();
    ok !-e $trap, "$what: the answer to its commit is lost";
    unlink $trap;
    return @answer;
}

my $rows = sub { $base->dbh->selectrow_array('SELECT count(*) FROM'
    . ' auth_token') };
my ($login) = losing('login', sub { $site->login('alice', 'wonder-land') });
my $token = $login->{token};
is code_of($token), 200, 'login: the token is good';
is $rows->(), 1, '... and the only one';

my ($code, $heir) = losing('rotation', sub {
    call('POST', '/tokens/self/rotate', $token) });
is $code, 200, 'rotation: it is answered';
is code_of($heir), 200, '... with a good heir';
is $rows->(), 2, '... the only one';

# Of two the one that asks is used longer ago: it is evicted.
($code, my $further) = losing('further', sub {
    call('POST', '/one/', $heir) });
is $code, 201, 'further: it is answered, although its asker was evicted';
is code_of($further), 200, '... with a good token';
is code_of($heir), 401, '... and the other is evicted';
is $rows->(), 3, '... and there is one more';

($code) = losing('revocation', sub { call('DELETE', '/tokens/', $further) });
is $code, 204, 'revocation: it is answered';
is code_of($further), 401, '... and done';

# httpd writes last uses when it stops.
$site->done;
kill 'TERM', $relay;
waitpid $relay, 0;
finish();
