#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: installing once more, as an upgrade does, leaves what the
# administrator edited as it is, and says where the new text is; the directory
# for databases stays whose it is.
# profiles: unit

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
unshift @INC, "$top/t/lib";
require AuthnToken::Process;

my $module = $ENV{AUTHN_TOKEN_MODULE} // "$top/.libs/mod_authn_token.so";
my $httoken = $ENV{AUTHN_TOKEN_HTTOKEN} // "$top/httoken";
plan skip_all => 'nothing is built' if !-f $module || !-x $httoken;

for my $where ([ 'on Debian', '/etc/mods', 'IS_DEBIAN=1' ],
    [ 'elsewhere', '/usr/share/authn_token', 'IS_DEBIAN=' ])
{
    my ($name, $dir, @more) = @$where;
    upgrade($name, tempdir(CLEANUP => 1), $dir, 'MODS=/etc/mods', @more);
}
SKIP: {
    skip 'only root can give a directory away', 4 if $> != 0;
    state_directory(tempdir(CLEANUP => 1));
}
done_testing();

# install(@variables): with what is built already.
sub install {
    my $run = AuthnToken::Process::run('make', '-f', 'Makefile.apxs', '-o',
        'all', "MODULE=$module", "HTTOKEN=$httoken", @_, 'install',
        { dir => $top, env => { MAKEFLAGS => '' } });
    return $run->{exit} == 0 ? $run->{out} : die "install: $run->{err}";
}

sub slurp { return AuthnToken::Process::slurp(@_) }

sub append {
    my ($file, $text) = @_;
    open my $out, '>>', $file or die "$file: $!\n";
    print {$out} $text;
    close $out or die "$file: $!\n";
    return;
}

sub upgrade {
    my ($name, $root, $dir, @make) = @_;
    my $conf = "$root$dir/authn_token.conf";
    my $shipped = slurp("$top/conf/authn_token.conf");
    my $said = install("DESTDIR=$root", @make);

    is(slurp($conf), $shipped, "$name the example is installed");
    is((stat $conf)[2] & 0777, 0644, 'for all to read');
    unlike($said, qr/Kept/, 'and nothing was there before');
    install("DESTDIR=$root", @make);
    ok(!-e "$conf.new", 'what is equal needs no second file');

    my @files = grep { -f } $conf, "$root$dir/authn_token.load";
    my %old = map { append($_, "# ours\n"); $_ => slurp($_) } @files;
    $said = install("DESTDIR=$root", @make);
    for my $file (@files) {
        ok(slurp($file) eq $old{$file}, "$file stays as it was edited");
        ok(slurp("$file.new") . "# ours\n" eq $old{$file}, 'beside the new');
        like($said, qr/^Kept: \Q$file\E; .* \Q$file\E\.new$/m, 'it is told');
    }
    return;
}

# Where there is no DESTDIR, everything else is put below one by its names.
sub state_directory {
    my ($root) = @_;
    my $dir = "$root/state";
    my @make = ('DESTDIR=', "STATEDIR=$dir", 'HTTPD_USER=daemon',
        "PREFIX=$root/usr", "LIBEXECDIR=$root/modules", "MODS=$root/mods");

    install(@make);
    is(getpwuid((stat $dir)[4]), 'daemon', "the directory is httpd's user's");
    is((stat $dir)[2] & 0777, 0750, 'and nobody else looks into it');
    chown 0, 0, $dir or die "$dir: $!\n";
    chmod 0711, $dir or die "$dir: $!\n";
    install(@make);
    is((stat $dir)[4], 0, 'one that is there stays its owner\'s');
    is((stat $dir)[2] & 0777, 0711, 'with its mode');
    return;
}
