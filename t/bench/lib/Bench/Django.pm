# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Django REST framework under gunicorn, with a database of its own in the
# cluster of the others: two workers of eight threads, connections kept.
package Bench::Django;

use strict;
use warnings;

use AuthnToken::Postgres ();
use AuthnToken::Process qw(poll run which);
use AuthnToken::Server ();
use Bench::Client ();
use Bench::Tokens ();
use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();

my $dir = Cwd::abs_path(dirname(__FILE__) . '/../..');

# new($database, $rows, $known): it runs.
sub new {
    my ($class, $database, $rows, $known) = @_;
    my $pg = $database->{pg};
    my $name = $pg->create_database('django');
    my %env = (PYTHONDONTWRITEBYTECODE => 1, PYTHONPATH => $dir,
        BENCH_DATABASE => "$pg->{dir} $pg->{port} $name "
            . AuthnToken::Postgres::ROLE);
    my $port = AuthnToken::Server::free_port();
    my $log = File::Temp->new;

    my ($python) = grep { defined && !run($_, '-c',
        'import gunicorn, psycopg2, rest_framework')->{exit} }
        which('python3'), '/usr/bin/python3';
    die "no python3 has gunicorn, psycopg2 and rest_framework\n"
        if !$python;
    my $made = run($python, "$dir/drf.py", 'migrate', '-v', '0',
        { env => \%env, timeout => 120 });
    die "migrate: $made->{out}$made->{err}" if $made->{exit};
    $database->django($name, $rows, $known);
    my $self = bless { port => $port, log => $log,
        name => $name }, $class;
    $self->{process} = AuthnToken::Process->spawn(command => [
        $python, qw(-m gunicorn --workers 2 --threads 8 --keep-alive 60
        --log-level warning --bind), "127.0.0.1:$port", 'drf:application' ],
        env => \%env, out => "$log");
    poll(sub { !$self->{process}->alive || $self->answers }, 60);
    die 'gunicorn did not start: ', AuthnToken::Process::slurp("$log")
        if !$self->answers;
    return $self;
}

sub answers {
    my ($self) = @_;
    return eval {
        my $client = Bench::Client->new($self->{port});
        $client->send(Bench::Client::request('/token/file.txt',
            Bench::Tokens::django_header(1)))->{200};
    };
}

# name: of its database.
sub name { return $_[0]{name} }

sub url { return "http://127.0.0.1:$_[0]{port}/token/file.txt" }

sub discard { return $_[0]{process}->end('TERM', 10) }

sub complaints { return AuthnToken::Process::slurp("$_[0]{log}") }

1;
