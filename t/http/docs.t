# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The manual tells the truth: its examples run, its links lead somewhere, and
# every message of the module is explained. A fenced block marked "apache"
# passes configtest (one that begins with "# .htaccess" is put into such a
# file and asked for), "sh" is run, "json" is JSON; "console" and the rest are
# only read. In both, what the reader would adapt is put in its place here:
#     /var/lib/authn_token/                the site's directory for databases
#     conf/htpasswd, /etc/apache2/htpasswd the site's password file
#     /var/www/                            its document root
#     http://localhost/                    its address
# profiles: sqlite3-event
use strict;
use warnings;

use AuthnToken::Process qw(run);
use AuthnToken::Test;
use File::Basename qw(dirname);
use JSON::PP ();
use Test::More;

my $top = $AuthnToken::Site::top;
my @pages = map { s{^\Q$top\E/}{}r } glob "$top/*.md $top/docs/*.md";
my @blocks = map { blocks($_) } @pages;

sub page { return AuthnToken::Process::slurp("$top/$_[0]") }

# blocks($page): { page, line, kind, text } of each fenced block.
sub blocks {
    my ($page) = @_;
    my (@found, $open);
    my $line = 0;

    for my $text (split /^/, page($page)) {
        $line++;
        if ($text =~ /^```(\w*)$/) {
            push @found, $open if $open;
            $open = $open ? undef
                : { page => $page, line => $line, kind => $1, text => '' };
        }
        elsif ($open) {
            $open->{text} .= $text;
        }
    }
    die "$page: the block of line $open->{line} does not end\n" if $open;
    return @found;
}

sub of_kind {
    my ($kind, $page) = @_;
    return grep { $_->{kind} eq $kind && (!$page || $_->{page} eq $page) }
        @blocks;
}

sub is_htaccess { return $_[0]{text} =~ /\A# \.htaccess\n/ }

# adapt($text): with the site's placeholders.
sub adapt {
    my ($text) = @_;
    $text =~ s{/var/lib/authn_token/}{\@\@TMP\@\@/db/}g;
    $text =~ s{(?:/etc/apache2|conf)/htpasswd}{\@\@HTPASSWD\@\@}g;
    $text =~ s{/var/www/}{\@\@DOCROOT\@\@/}g;
    return $text;
}

sub check_configurations {
    my @apache = grep { !is_htaccess($_) } of_kind('apache');
    my $site = AuthnToken::Test->new(name => 'examples', conf => '',
        modules => [qw(proxy_http cache)]);

    cmp_ok scalar @apache, '>', 10, 'the manual has configurations';
    for my $block (@apache) {
        $site->conf(adapt($block->{text}));
        my ($exit, $text) = $site->configtest;
        is $exit, 0, "$block->{page}:$block->{line} passes configtest"
            or diag $text;
    }
    $site->done;
}

# Those for .htaccess: nobody is let in without a token, admin is with one.
# The refusals also show whether fail2ban would see them.
sub check_htaccess {
    my @htaccess = grep { is_htaccess($_) } of_kind('apache');
    my $site = AuthnToken::Test->new(name => '.htaccess',
        htaccess => { map { ("h$_" => $htaccess[$_]{text}) } 0 .. $#htaccess },
        files => { map { ("htdocs/h$_/index.html" => 'x') } 0 .. $#htaccess })
        ->start;
    my $token = $site->login('admin', 'whatever')->{token};

    cmp_ok scalar @htaccess, '>', 0, 'the manual has .htaccess files';
    for my $i (0 .. $#htaccess) {
        my $name = "$htaccess[$i]{page}:$htaccess[$i]{line}";
        is $site->get("/h$i/")->code, 401, "$name protects its directory";
        is $site->get("/h$i/", Authorization => "Token $token")->code, 200,
            "$name lets admin in";
    }
    check_fail2ban($site);
    $site->done;
}

sub check_fail2ban {
    my ($site) = @_;
    my ($filter) = grep { $_->{text} =~ /^failregex/m }
        of_kind('ini', 'docs/operations.md');
    my ($lines) = $filter->{text} =~ /^failregex = (.*(?:\n +.*)*)/m;
    my @pattern = map { s/<ADDR>/127[.]0[.]0[.]1/r } split /\n +/, $lines;

    $site->secret('not-his-password', 'a password');
    for my $more ([], [ Referer => 'http://x/' ]) {
        $site->post('/api-token-auth/',
            [ username => 'alice', password => 'not-his-password' ], @$more);
        $site->get('/api/', Authorization => 'Token tok_short', @$more);
    }
    for my $case ([ 'login of user', 2 ], [ 'token - of user', 2 ],
        [ 'issued to user', 0 ]) {
        my ($what, $count) = @$case;
        my @seen = grep { my $line = s/^\[[^\]]+\]/[]/r;
            grep { $line =~ /$_/ } @pattern } $site->log_lines(qr/$what/);
        is scalar @seen, $count,
            "the fail2ban filter sees $count lines of \"$what\"";
    }
    return;
}

# commands($page): runs its sh blocks, in one shell, against a server with
# the page's first configuration; what they print.
sub commands {
    my ($page) = @_;
    my ($conf) = of_kind('apache', $page);
    my $site = AuthnToken::Test->new(name => $page,
        conf => adapt($conf->{text}))->start;
    my $script = join '', map { $_->{text} } of_kind('sh', $page);
    my ($url, $db) = ($site->url('/'), $site->tmp . '/db/');
    my $httoken = dirname(AuthnToken::Site::httoken_path());

    $script =~ s{http://localhost/}{$url}g;
    $script =~ s{/var/lib/authn_token/}{$db}g;
    $site->secret('whatever', 'password of admin');
    my $result = run('sh', '-euc', $script,
        { env => { PATH => "$httoken:$ENV{PATH}", no_proxy => '*' } });
    $site->secret($_, 'token') for $result->{out} =~ /(tok_\w{36})/g;
    is $result->{exit}, 0, "the commands of $page succeed"
        or diag $result->{out}, $result->{err};
    $site->done;
    return $result->{out};
}

sub check_commands {
    my $out = commands('docs/quickstart.md');
    is_deeply [ $out =~ m{^HTTP/1\.1 (\d+)}mg ], [ 200, 200, 401, 401 ],
        'the quickstart opens the door, and shuts it';
    like $out, qr/^\{"token":"tok_\w{36}","id":/m, 'and shows the token';
    like $out, qr/^state +active$/m, 'which is active, then revoked';

    $out = commands('docs/login.md');
    my @answer = map { JSON::PP::decode_json($_) } $out =~ /(\{[^}]*\})/g;
    is scalar(grep { $_->{token} } @answer), 3, 'each form of a login works';
    is_deeply [ @{ $answer[0] }{qw(client scope)} ], [qw(laptop read)],
        'the first with its fields';

    is_deeply [ grep { $_ !~ m{^docs/(?:quickstart|login)[.]md$} }
        map { $_->{page} } of_kind('sh') ], [],
        'no other page has commands to run';
}

# Strings of the C code that reach a log or an administrator, cut at what is
# filled in.
sub messages {
    my ($file) = @_;
    my $code = page($file);
    my $string = qr/"(?:[^"\\]|\\.)*"/;
    # What token_provider.c returns is an administrator's; elsewhere plain
    # texts are a client's.
    my $plain = $file =~ /_provider/ ? qr/\breturn\s+($string[^;]*);/
        : qr/(?!)(x)/;
    my @found;

    $code =~ s{/\*.*?\*/}{}gs;
    # All calls of ours that have a text for an administrator: ap_log_*,
    # note_down(r, ...), complain(s, d, ...), and errors of directives.
    while ($code =~ /\b(?:ap_log_r?error|note_down|complain)
                ((?:[^";]|$string)*);
            |\breturn\s+(?:wrong\s*\?\s*)?apr_p\w+\(cmd->pool
                ((?:[^";]|$string)*);
            |$plain/gx) {
        my $arguments = ($1 // $2 // $3) =~ s/"\s+"//gr;
        for my $text ($arguments =~ /$string/g) {
            $text = substr($text, 1, -1) =~ s/\\(.)/$1/gr;
            push @found, grep { length > 9 }
                map { s/\s+/ /gr =~ s/^ | $//gr } split /%[.*]*\w+/, $text;
        }
    }
    return @found;
}

sub check_messages {
    my $manual = page('docs/troubleshooting.md') =~ s/\s+/ /gr;
    my @all;

    for my $file (map { s{^\Q$top\E/}{}r } glob "$top/src/*.c") {
        for my $message (messages($file)) {
            push @all, $message;
            ok index($manual, $message) >= 0,
                "troubleshooting.md has \"$message\" of $file";
        }
    }
    cmp_ok scalar @all, '>', 25, 'the messages were found';
}

# Prevents: a token that everybody on the host can read.
sub check_token_files {
    my @shown = map { /^# (?:\N*\\e?\n)*\N*\bcreate \N*>\N*$/mg }
        map { page($_) } @pages, 'docs/httoken.1';

    cmp_ok scalar @shown, '>', 1, 'the manual shows how to keep a token';
    is_deeply [ grep { !/umask 077;/ } @shown ], [],
        'in a file for its owner alone';
}

sub check_texts {
    for my $block (of_kind('json')) {
        ok eval { JSON::PP::decode_json($block->{text}) },
            "$block->{page}:$block->{line} is JSON";
    }
    for my $page (@pages) {
        my @lost = grep { !-e dirname("$top/$page") . "/$_" }
            grep { !/^https?:/ }
            page($page) =~ /\]\(([^)#\s]+)/g;
        is "@lost", '', "the links of $page lead somewhere";
    }
}

check_configurations();
check_htaccess();
check_commands();
check_messages();
check_token_files();
check_texts();
finish();
