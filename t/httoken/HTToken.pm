# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# How the tests of t/httoken run the program: { exit, out, err } of one run,
# and the same run with --json, parsed. Which databases there are to run it
# on is known here too.

package HTToken;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use JSON::PP ();

our @EXPORT = qw(httoken httoken_json program scratch sqlite pgsql slurp
    token_id);

my $top = abs_path(dirname(__FILE__) . '/../..');
unshift @INC, "$top/t/lib";
require AuthnToken::Process;
require AuthnToken::Sanitizer;

my $program = abs_path($ENV{AUTHN_TOKEN_HTTOKEN} // "$top/httoken");

sub program { return $program }

# httoken(@arguments, { stdin, env, user })
sub httoken {
    my @arguments = @_;
    return AuthnToken::Process::run(AuthnToken::Sanitizer::program(),
        $program, @arguments);
}

sub httoken_json {
    my $run = httoken('--json', @_);
    $run->{json} = eval { JSON::PP->new->utf8->decode($run->{out}) };
    return $run;
}

# A directory that is gone afterwards; others may look into it.
sub scratch {
    my $dir = tempdir(CLEANUP => 1);
    chmod 0755, $dir;
    return $dir;
}

# Options for a database that does not have the table yet, and a sub that
# runs SQL in it and answers the first column of the first row.
sub sqlite {
    my $file = scratch() . '/tokens.db';
    return ([ '-f', $file ], sub {
        my ($sql) = @_;
        my $said = AuthnToken::Process::run('sqlite3', $file, $sql);
        die "sqlite3: $said->{err}" if $said->{exit};
        return $said->{out} =~ s/\n\z//r;
    }, $file);
}

sub pgsql {
    return if !eval { require AuthnToken::Postgres; 1 }
        || !AuthnToken::Postgres->available;
    my $pg = AuthnToken::Postgres->shared;
    my $name = $pg->create_database;
    return ([ '-d', 'pgsql', '-p', $pg->params($name) ], sub {
        my ($sql) = @_;
        my $dbh = $pg->dbh($name, user => 'authn_token');
        my $value = $sql =~ /^select/i ? $dbh->selectrow_array($sql)
            : $dbh->do($sql);
        $dbh->disconnect;
        return $value;
    }, $pg->params($name));
}

sub token_id {
    my ($token) = @_;
    require Digest::SHA;
    return substr Digest::SHA::sha256_hex($token), 0, 16;
}

sub slurp { return AuthnToken::Process::slurp(@_) }

1;
