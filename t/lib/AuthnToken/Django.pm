# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A Django site of a test, in the same database as the test's httpd: a script
# of t/http that makes its tables by Django's own migrations, and may serve it.
package AuthnToken::Django;

use strict;
use warnings;

use AuthnToken::Postgres ();
use AuthnToken::Process qw(poll run which);
use AuthnToken::Server ();
use AuthnToken::Site ();
use File::Temp ();
use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical;

# python(@modules): a Python 3 that has them, or undef.
sub python {
    my $import = 'import ' . join ', ', @_;
    my ($python) = grep { defined && !run($_, '-c', $import)->{exit} }
        '/usr/bin/python3', which('python3');
    return $python;
}

# database($site): Django's settings for it.
sub database {
    my ($site) = @_;
    my $pg = $site->pg;
    return $pg
        ? { ENGINE => 'django.db.backends.postgresql', HOST => $pg->host,
            PORT => $pg->port, NAME => $site->dbname,
            USER => AuthnToken::Postgres::ROLE }
        : { ENGINE => 'django.db.backends.sqlite3', NAME => $site->db_params,
            OPTIONS => { timeout => 20 } };
}

# make($site, $script, \%task, %env): runs t/http/$script to its end with the
# task as JSON on standard input; what it answered.
sub make {
    my ($site, $script, $task, %env) = @_;
    my $result = run(python('django'), '-W', 'ignore',
        "$AuthnToken::Site::top/t/http/$script",
        { stdin => $json->encode($task), timeout => 120,
            user => $site->pg ? undef : AuthnToken::Server::user(),
            env => env($site, %env) });
    die "$script: $result->{err}" if $result->{exit};
    return $json->decode($result->{out});
}

sub env {
    my ($site, %env) = @_;
    return { DJANGO_DATABASE => $json->encode(database($site)),
        PYTHONDONTWRITEBYTECODE => 1, %env };
}

# serve($site, $script, \%task, %env): the same, and then a server, until the
# object is gone.
sub serve {
    my ($class, $site, $script, $task, %env) = @_;
    my $self = bless { port => AuthnToken::Server::free_port(),
        map { $_ => File::Temp->new } qw(in out err) }, $class;

    print { $self->{in} } $json->encode($task);
    $self->{in}->flush;
    chmod 0644, "$self->{in}";
    $self->{process} = AuthnToken::Process->spawn(
        command => [ python('django'), '-W', 'ignore',
            "$AuthnToken::Site::top/t/http/$script", $self->{port} ],
        user => $site->pg ? undef : AuthnToken::Server::user(),
        env => env($site, %env), in => "$self->{in}", out => "$self->{out}",
        err => "$self->{err}");
    poll(sub { AuthnToken::Process::slurp("$self->{out}") =~ /\n/ || !$self->{process}->alive },
        120);
    die "$script: " . AuthnToken::Process::slurp("$self->{err}") if !$self->{process}->alive;
    return $self;
}

sub url { return "http://127.0.0.1:$_[0]{port}$_[1]" }

1;
