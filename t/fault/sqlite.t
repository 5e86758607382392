# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# SQLite's file is locked, changed, moved, replaced, read-only, and has no
# room.
# profiles: sqlite3-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Process qw(poll run);
use AuthnToken::Server ();
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

my $site = fault_site(name => 'file');
my $dir = $site->tmp . '/db';
my $small = run('mount', '-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', $dir)
    ->{exit} == 0;
AuthnToken::Process::own(AuthnToken::Server::user(), $dir);
END { run('umount', '-l', $dir) if $small }

$site->start;
my $file = $site->db_params;
my $pace = AuthnToken::Pace->start($site, fresh => 2000);

# move($from, $to): the file and what belongs to it.
sub move {
    my ($from, $to) = @_;
    for my $end ('', '-wal', '-shm') {
        unlink "$to$end";
        rename "$from$end", "$to$end" or die "$from$end: $!\n" if -e "$from$end";
    }
    return;
}

rehearse($pace, 'locked for 3 s', sub {
    my $dbh = $site->dbh;
    $dbh->do('BEGIN EXCLUSIVE');
    $pace->span(3);
    $dbh->do('ROLLBACK');
    return;
}, spares => [qw(good fresh)], bites => ['login']);

rehearse($pace, 'schema changed', sub {
    my $dbh = $site->dbh;
    for my $change ('ALTER TABLE auth_token ADD COLUMN note text',
        'CREATE INDEX other ON auth_token (client)', 'VACUUM',
        'DROP INDEX other', 'ALTER TABLE auth_token DROP COLUMN note') {
        $dbh->do($change);
        $pace->more(12);
    }
    return;
}, spares => [qw(good fresh login)]);

rehearse($pace, 'table away for 2 s', sub {
    my $dbh = $site->dbh;
    $dbh->do('ALTER TABLE auth_token RENAME TO away');
    $pace->span(2);
    $dbh->do('ALTER TABLE away RENAME TO auth_token');
    return;
}, bites => [qw(fresh login)]);

rehearse($pace, 'file moved away for 2 s', sub {
    move($file, "$file.away");
    $pace->span(2);
    move("$file.away", $file);
    return;
}, bites => [qw(fresh login)]);

rehearse($pace, 'file replaced by a copy of it', sub {
    # Nothing is written meanwhile; what waits for that is in the old file
    # first.
    my $holder = $site->dbh;
    $holder->do('BEGIN IMMEDIATE');
    $site->dbh->do("VACUUM INTO '$file.copy'");
    AuthnToken::Process::own(AuthnToken::Server::user(), "$file.copy");
    $pace->span(1);
    unlink "$file-wal", "$file-shm";
    rename "$file.copy", $file or die "$file: $!\n";
    $holder->do('ROLLBACK');
    return;
});

# What httoken does, it does to the new file.
my ($late) = $site->httoken('create', 'dave')->{out} =~ /(tok_\w+)/;
$site->secret($late, 'token of dave');
is $site->get('/api/', auth($late))->code, 200,
    'replaced: a token that httoken made is good';
is $site->httoken('revoke', '--user', 'dave')->{exit}, 0,
    'replaced: it is revoked';
ok poll(sub { $site->get('/api/', auth($late))->code == 401 }, 15),
    'replaced: and refused soon';

SKIP: {
    skip 'only root starts httpd as another user', 10 if $> != 0;
    rehearse($pace, 'read-only while httpd restarts', sub {
        chmod 0555, $dir;
        chmod 0444, glob "$file*";
        $site->graceful;
        $pace->span(2);
        chmod 0755, $dir;
        chmod 0640, glob "$file*";
        return;
    });
}

SKIP: {
    skip 'no small file system can be mounted', 10 if !$small;
    rehearse($pace, 'disk full for 3 s', sub {
        open my $fh, '>', "$dir/ballast" or die "$dir: $!\n";
        1 while syswrite $fh, 'x' x 4096;
        close $fh;
        $pace->span(3);
        unlink "$dir/ballast";
        return;
    }, spares => [qw(good fresh)]);
}

# Whatever it went through, the file is whole.
is $site->dbh->selectrow_array('PRAGMA integrity_check'), 'ok',
    'the file is whole';
end_pace($pace, $site);
finish();
