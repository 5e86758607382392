#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: httoken leaves no token in the database or among its arguments,
# shows no parameter, says what failed with exit code 3, and works on httpd's
# file neither as root nor as a member of its group.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HTToken;
use POSIX ();
use Test::More;

plan skip_all => 'httoken is not built' if !-x program();

at_rest();
arguments();
failures();
parameters();
SKIP: {
    skip 'only root can give up root', 1 if $> != 0;
    my ($user) = grep { defined getpwnam $_ } qw(www-data nobody daemon);
    skip 'there is no other user', 1 if !defined $user;
    root($user);
    group($user);
}
done_testing();

sub at_rest {
    my ($where, undef, $file) = sqlite();
    httoken(@$where, 'init');
    is((stat $file)[2] & 0777, 0640, 'init makes the file with mode 0640');
    chomp(my $token = httoken(@$where, 'create', 'alice')->{out});
    my $bytes = join '', map { slurp($_) } glob "$file*";
    like($bytes, qr/alice/, 'the user is in the database');
    unlike($bytes, qr/\Q$token/, 'the token is not');
    my $random = substr $token, 4, 30;
    unlike($bytes, qr/\Q$random/, 'nor is its random part');
    my $seen = join '', map { httoken(@$where, @$_)->{out} } [ 'list' ],
        [ 'show', token_id($token) ], [ '--json', 'list' ];
    unlike($seen, qr/\Q$random/, 'no command shows it again');
    is_deeply([ glob "$file-*" ], [], 'no file is left beside it');
    return;
}

# While verify waits for its input, and after create has drawn a token.
sub arguments {
    my ($where) = sqlite();
    httoken(@$where, 'init');
    chomp(my $token = httoken(@$where, 'create', 'alice')->{out});
    my $pid = open my $to, '|-', program(), @$where, 'verify'
        or die "verify: $!\n";
    print {$to} $token;
    $to->flush if $to->can('flush');
    my $seen = slurp("/proc/$pid/cmdline") . slurp("/proc/$pid/environ");
    like($seen, qr/verify/, 'the arguments of verify are seen by others');
    unlike($seen, qr/\Q$token/, 'the token is not among them');
    close $to;
    is($?, 0, 'and it was read from stdin');
    return;
}

sub failures {
    my $dir = scratch();
    open my $out, '>', "$dir/text" or die "$dir/text: $!\n";
    print {$out} "This is no database at all.\n" x 100;
    close $out;
    my $run = httoken('-f', "$dir/text", 'list');
    is($run->{exit}, 3, 'a file that is no database: exit code 3');
    like($run->{err}, qr/the database refuses: file is not a database/,
        'in the words of the driver');
    $run = httoken('-f', "$dir/none/tokens.db", 'init');
    is($run->{exit}, 3, 'init in a missing directory: exit code 3');
    ok(!-e "$dir/none", 'it is not made');
    $run = httoken('-f', $dir, 'list');
    is($run->{exit}, 3, 'a directory is no database: exit code 3');
    my ($where) = sqlite();
    httoken(@$where, 'init');
    my $command = join ' ', program(), @$where;
    SKIP: {
        skip 'there is no /dev/full', 2 if !-c '/dev/full';
        my $said = qx($command create alice 2>&1 >/dev/full);
        is($? >> 8, 3, 'a token that cannot be printed: exit code 3');
        like($said, qr/should be revoked/, 'and what to do about it');
    }
    no_reader($where, 'SQLite');
    SKIP: {
        my ($server) = pgsql();
        skip 'there is no PostgreSQL', 5 if !$server;
        httoken(@$server, 'init');
        no_reader($server, 'PostgreSQL');
    }
    return;
}

# run_into($stdout, @arguments): exit code and stderr, with that for stdout.
sub run_into {
    my ($stdout, @arguments) = @_;
    my $pid = open(my $from, '-|') // die "fork: $!\n";
    if (!$pid) {
        local $SIG{PIPE} = 'DEFAULT';
        open STDERR, '>&', \*STDOUT or exit 126;
        $stdout ? open STDOUT, '>&', $stdout : POSIX::close(1)
            or exit 126;
        exec program(), @arguments or exit 127;
    }
    local $/;
    my $said = <$from>;
    close $from;
    return ($?, $said);
}

# The number of a closed descriptor was the database's: what was printed went
# there, or nowhere.
sub no_reader {
    my ($where, $name) = @_;
    my ($status, $said) = run_into(undef, @$where, 'create', 'alice');
    is($status, 3 << 8, "$name: a closed stdout is an error: exit code 3");
    like($said, qr/should be revoked/, 'and what to do about it');

    pipe my $reader, my $writer or die "pipe: $!\n";
    close $reader;
    ($status, $said) = run_into($writer, @$where, 'create', 'alice');
    is($status, 3 << 8, 'a pipe whose reader has left: exit code 3');
    like($said, qr/should be revoked/, 'and what to do about it');
    is(httoken_json(@$where, 'list')->{json}[0]{state}, 'active',
        'for the token is there');
    return;
}

# libpq quotes what it cannot read, which may be the password.
sub parameters {
    for my $params ('host=127.0.0.1 port=1 user=x password=hunter2',
        'password=a hunter2', 'hunter2', 'hunter2=x',
        'postgresql://u:p@hunter2@127.0.0.1/x',
        'host=hunter2.invalid password=hunter2',
        'host=127.0.0.1 port=1 sslmode=hunter2',
        'host=127.0.0.1 port=hunter2')
    {
        my $run = httoken('-d', 'pgsql', '-p', $params, 'list',
            { env => { PGCONNECT_TIMEOUT => 2 } });
        is($run->{exit}, 3, "no server at \"$params\": exit code 3");
        like($run->{err}, qr/\Ahttoken: cannot open the database: \w/,
            'with a reason');
        unlike($run->{err} . $run->{out}, qr/hunter2/, 'and no password');
    }
    my $run = httoken('-d', 'sqlite3', '-p', 'password=hunter2', 'list');
    unlike($run->{err}, qr/hunter2/,
        'nor where they were meant for another driver');
    my @database = pgsql();
    if (@database) {
        $run = httoken('-d', 'pgsql', '-p', $database[2]
                =~ s/dbname=\S+/dbname=missing/r, 'list');
        is($run->{exit}, 3, 'a missing database: exit code 3');
        like($run->{err}, qr/database "missing" does not exist/,
            'in the words of the server');
    }
    return;
}

sub owner {
    my ($path) = @_;
    return getpwuid((stat $path)[4]);
}

sub root {
    my ($user) = @_;
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    my $dir = scratch();
    my $file = "$dir/tokens.db";
    chown $uid, $gid, $dir or die "chown $dir: $!\n";
    my $run = httoken('-f', $file, 'init');
    is($run->{exit}, 0, "root makes a database in a directory of $user");
    is($run->{err}, '', 'without a note');
    is(owner($file), $user, "and it belongs to $user");
    is((stat $file)[5], $gid, 'and to his group');
    is(httoken('-f', $file, 'create', 'alice')->{exit}, 0,
        'root creates a token in it');

    chmod 0700, $dir;
    chown $uid, $gid, $dir;
    is(httoken('-f', $file, 'list')->{exit}, 0,
        'it can read where that user can');
    chown 0, 0, $dir;
    is(httoken('-f', $file, 'list')->{exit}, 3,
        'and cannot where he cannot: it is not root any more');

    my $own = scratch();
    $run = httoken('-f', "$own/tokens.db", 'init');
    is($run->{exit}, 0, 'in a directory of root it stays root');
    like($run->{err}, qr/note: .*tokens\.db belongs to root/, 'and says so');
    is(httoken('-f', "$own/tokens.db", 'list')->{err}, '',
        'but not with every command');
    return;
}

# A directory of another's that the group may write.
sub group {
    my ($user) = @_;
    my ($member) = grep { $_ ne $user && defined getpwnam $_ }
        qw(nobody daemon www-data);
    my $dir = scratch();
    my $file = "$dir/tokens.db";
    chown((getpwnam $user)[2], (getpwnam $member)[3], $dir)
        or die "chown $dir: $!\n";
    chmod 0770, $dir;
    httoken('-f', $file, 'init');
    chmod 0660, $file;
    for my $command ([ 'list' ], [ 'create', 'alice' ], [ 'init' ]) {
        my $run = httoken('-f', $file, @$command, { user => $member });
        is($run->{exit}, 3, "a member of the group cannot @$command");
        like($run->{err}, qr/^httoken: \Q$file\E belongs to user $user: /,
            'and hears who can');
        is_deeply([ glob "$file-*" ], [], 'and leaves nothing there');
    }
    is(httoken('-f', $file, 'list')->{exit}, 0, 'root can');
    is(httoken('-f', $file, 'list', { user => $user })->{exit}, 0,
        'and so can the owner');
    my $run = httoken('-f', "file:$file", 'list');
    is($run->{exit}, 3, 'a URI is refused');
    like($run->{err}, qr/: give the path of the file, not a URI$/,
        'and the path asked for');
    return;
}
