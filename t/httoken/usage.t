#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: a command line that is wrong is refused with its reason, before
# any database is opened.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HTToken;
use Test::More;

plan skip_all => 'httoken is not built' if !-x program();

my $dir = scratch();
my $file = "$dir/tokens.db";
httoken('-f', $file, 'init');
my @f = ('-f', $file);

my @refused = (
    [ 'no command', qr/a command is missing/, @f ],
    [ 'an unknown command', qr/frobnicate is no command/, @f, 'frobnicate' ],
    [ 'an unknown option', qr/invalid option/, @f, '-z', 'list' ],
    [ 'an option without its value', qr/missing argument/i, 'list', '-f' ],
    [ 'no database', qr/which database\?/, 'list' ],
    [ 'a driver without parameters', qr/which database\?/,
        '-d', 'sqlite3', 'list' ],
    [ 'parameters without a driver', qr/which database\?/,
        '-p', $file, 'list' ],
    [ 'two databases', qr/one or the other/, @f, '-d', 'pgsql', '-p', 'x',
        'list' ],
    [ 'a driver we have no statements for',
        qr/-d mysql: .*pgsql and sqlite3/, '-d', 'mysql', '-p', 'x', 'list' ],
    [ 'init with an argument', qr/init takes no argument/, @f, 'init', 'x' ],
    [ 'create without a user', qr/create takes one argument/, @f, 'create' ],
    [ 'create with two users', qr/create takes one argument/,
        @f, 'create', 'a', 'b' ],
    [ 'list with two users', qr/list takes one argument or none/,
        @f, 'list', 'a', 'b' ],
    [ 'show without an id', qr/show takes one argument/, @f, 'show' ],
    [ 'purge with an id', qr/purge takes no/, @f, 'purge', 'x' ],
    [ 'an age that is none', qr/--age soon: an age is a number/, @f, 'purge',
        '--age', 'soon' ],
    [ 'an age elsewhere', qr/--age is for purge/, @f, 'list', '--age', '1h' ],
    [ 'verify with the token on the command line', qr/verify takes no/,
        @f, 'verify', 'x' ],
    [ 'revoke without anything', qr/an ID or --user USER/, @f, 'revoke' ],
    [ 'revoke with both', qr/an ID or --user USER/,
        @f, 'revoke', '0' x 16, '--user', 'a' ],
    [ '--print elsewhere', qr/--print is for init/, @f, 'list', '--print' ],
    [ '-c elsewhere', qr/-c, -s, -e and -n are for create/,
        @f, 'list', '-c', 'x' ],
    [ '-n elsewhere', qr/-c, -s, -e and -n are for create/,
        @f, 'list', '-n', '::1' ],
    [ '--user elsewhere', qr/--user is for revoke/,
        @f, 'list', '--user', 'x' ],
    [ 'an empty user', qr/USER must be 1 to 255/, @f, 'create', '' ],
    [ 'a user of 256 bytes', qr/USER must be 1 to 255/,
        @f, 'create', 'u' x 256 ],
    [ 'a user with a newline', qr/USER must be/, @f, 'create', "a\nb" ],
    [ 'a user in Latin-1', qr/USER must be/, @f, 'create', "\xe4" ],
    [ 'a client of 101 bytes', qr/-c CLIENT must be 0 to 100/,
        @f, 'create', 'a', '-c', 'c' x 101 ],
    [ 'a client with a TAB', qr/-c CLIENT must be/,
        @f, 'create', 'a', '-c', "a\tb" ],
    [ 'a scope with a quotation mark', qr/-s: a word of a scope/,
        @f, 'create', 'a', '-s', 'a"b' ],
    [ 'a scope in UTF-8', qr/-s: a word of a scope/,
        @f, 'create', 'a', '-s', "\xc3\xa4" ],
    [ 'a scope that is too long', qr/-s: .*at most 1000/,
        @f, 'create', 'a', '-s', 's' x 1001 ],
    [ 'a lifetime of nothing', qr/-e 0: a lifetime/,
        @f, 'create', 'a', '-e', '0' ],
    [ 'a lifetime in weeks', qr/-e 2w: a lifetime/,
        @f, 'create', 'a', '-e', '2w' ],
    [ 'a lifetime past ten years', qr/-e 3661d: .*ten years/,
        @f, 'create', 'a', '-e', '3661d' ],
    (map { [ "networks \"$_\"", qr/-n \Q$_\E: networks are .*at most 16/,
        @f, 'create', 'a', '-n', $_ ] }
        '', ' ', ',', 'localhost', '10.1', '10.0.0.0/255.0.0.0',
        '10.0.0.0/33', '::/129', '10.0.0.0/8 x', '::ffff:10.0.0.1',
        join(',', ('::1') x 17)),
    [ 'networks that are too many in all', qr/-n ::1: networks are/,
        @f, 'create', 'a', '-n', join(',', ('::1') x 16), '-n', '::1' ],
    [ 'networks of which the second are none', qr/-n : networks are/,
        @f, 'create', 'a', '-n', '::1', '-n', '' ],
    (map { [ "$$_[0] given twice", qr/$$_[1] is given twice/, @$_[2 .. $#$_] ] }
        [ 'a file', '--file', @f, @f, 'list' ],
        [ 'a driver', '--driver', '-d', 'pgsql', '-d', 'sqlite3', '-p', $file,
            'list' ],
        [ 'parameters', '--params', '-d', 'sqlite3', '-p', 'x', '-p', $file,
            'list' ],
        [ 'a prefix', '--prefix', @f, '--prefix', 'a', '--prefix=b', 'list' ],
        [ 'a client', '--client', @f, 'create', 'a', '-c', 'x', '--client=y' ],
        [ 'a lifetime', '--lifetime', @f, 'create', 'a', '-e1d', '-e', '1d' ],
        [ 'a user', '--user', @f, 'revoke', '--user', 'a', '--user', 'b' ],
        [ 'an age', '--age', @f, 'purge', '--age', '1d', '--age', '2d' ]),
    [ 'a bad prefix', qr/--prefix a_b: .*1 to 16/,
        @f, '--prefix', 'a_b', 'create', 'a' ],
);
for my $case (@refused) {
    my ($name, $reason, @arguments) = @$case;
    my $run = httoken(@arguments);
    is($run->{exit}, 2, "$name: exit code 2");
    like($run->{err}, $reason, "$name: the reason is told");
    is($run->{out}, '', "$name: nothing on stdout");
}
is(httoken_json(@f, 'list')->{out}, "[]\n", 'none of them made a token');

my $help = httoken('--help');
is($help->{exit}, 0, '--help is no error');
like($help->{out}, qr/\Ausage: httoken /, 'and goes to stdout');
is(httoken('-h')->{out}, $help->{out}, '-h is the same');

for my $order ([ @f, 'create', 'a', '-e', '1h' ],
    [ 'create', @f, '-e', '1h', 'a' ], [ '-e', '1h', 'create', 'a', @f ],
    [ "--file=$file", 'create', '--lifetime=1h', 'a' ])
{
    is(httoken(@$order)->{exit}, 0,
        "options may stand anywhere: @$order[0, 1]");
}
is(httoken(@f, 'create', '--', '-x')->{exit}, 0,
    'a user may begin with a dash, behind --');
is(httoken(@f, 'create', 'u' x 255, '-c', 'c' x 100, '-s', 's' x 1000,
        '-e', '3660d')->{exit}, 0, 'everything may have its greatest length');
is(httoken(@f, '--json', 'create', 'a', '--json', '-s', 'x', '-s', 'y', '-n',
        '::1', '-n', '::2')->{exit}, 0, 'scopes and networks add up');
is(httoken(@f, 'create', 'a', '-c', '')->{exit}, 0,
    'a client may be empty');
done_testing();
