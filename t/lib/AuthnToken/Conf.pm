# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The text of a test's httpd.conf and the files it names: which modules are
# loaded, where things lie, who the users are.  What a test is about stands
# in its own part, after all this.  Nothing of the machine's own httpd
# configuration is read.
package AuthnToken::Conf;

use strict;
use warnings;

use AuthnToken::Process qw(run which);
use AuthnToken::Sanitizer ();
use AuthnToken::Server ();

our %user = (admin => 'whatever', alice => 'wonder-land', bob => 'builder');

my @base = qw(
    log_config unixd watchdog version logio
    authn_core authn_file authn_dbd authz_core authz_user authz_host
    auth_basic dbd dir mime alias headers env setenvif status rewrite
    allowmethods request reqtimeout cgi
);

my %needs = (
    auth_form => [qw(session)],
    cache_disk => [qw(cache)],
    cache_socache => [qw(cache socache_shmcb)],
    authn_socache => [qw(socache_shmcb)],
    dav_fs => [qw(dav)],
    dav_svn => [qw(dav)],
    authz_svn => [qw(dav dav_svn)],
    deflate => [qw(filter)],
    proxy_http => [qw(proxy)],
    proxy_connect => [qw(proxy)],
    session_cookie => [qw(session)],
    session_crypto => [qw(session)],
    ssl => [qw(socache_shmcb)],
);

# DESIGN's shortest configuration.
my $default = <<'CONF';
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    Require valid-user
</Location>
CONF

# The same place without our module, for tests of the harness itself.
my $stock = <<'CONF';
<Location "/api/">
    AuthType Basic
    AuthName "api"
    AuthBasicProvider file
    AuthUserFile @@HTPASSWD@@
    Require valid-user
</Location>
CONF

sub default_text { return $_[0] ? $default : $stock }

# modules($config, @extra): LoadModule lines, dependencies first, what httpd
# has built in left out.
sub modules {
    my ($config, $mpm, @extra) = @_;
    my $dir = $config->apxs('LIBEXECDIR');
    my %seen;
    my $text = '';
    my $add;

    $add = sub {
        my ($name, $optional) = @_;
        return if $seen{$name}++ || $config->{modules}{"mod_$name.c"};
        $add->($_) for @{ $needs{$name} || [] };
        return if $optional && !-f "$dir/mod_$name.so";
        $text .= "LoadModule ${name}_module $dir/mod_$name.so\n";
    };
    $add->("mpm_$mpm") if !$config->{modules}{"$mpm.c"};
    # cgid's daemon replaces cgi; both would fight for one handler.
    $seen{cgi} = 1 if grep { $_ eq 'cgid' } @extra;
    $seen{$_} = 1 for map { /^-(\w+)$/ } @extra;
    $add->($_, 1) for @base;
    $add->($_) for grep { !/^-/ } @extra;
    undef $add;
    return $text;
}

# have($config, $module): whether this httpd has it, to skip a test.
sub have {
    my ($config, $name) = @_;
    return $config->{modules}{"mod_$name.c"}
        || -f $config->apxs('LIBEXECDIR') . "/mod_$name.so" ? 1 : 0;
}

sub mpm {
    my ($name) = @_;
    return <<'CONF' if $name eq 'prefork';
StartServers 3
MinSpareServers 2
MaxSpareServers 8
ServerLimit 32
MaxRequestWorkers 32
CONF
    return <<'CONF' if $name eq 'event';
StartServers 2
ServerLimit 4
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 32
MaxRequestWorkers 32
CONF
    die "AUTHN_TOKEN_MPM: $name is neither event nor prefork\n";
}

# text(%arg): the whole httpd.conf, placeholders still in it.
sub text {
    my (%arg) = @_;
    my $text = modules($arg{config}, $arg{mpm}, @{ $arg{modules} || [] });

    $text .= qq{LoadModule authn_token_module "$arg{module}"\n}
        if $arg{module};
    $text .= 'User @@USER@@' . "\n" . 'Group @@GROUP@@' . "\n"
        if AuthnToken::Server::user();
    $text .= $arg{mpm_conf} // mpm($arg{mpm});
    # What a pool had goes back to malloc, where its use is seen.
    $text .= "MaxMemFree 1\n" if AuthnToken::Sanitizer::kind();
    $text .= <<'CONF';
ServerRoot "@@TMP@@"
ServerName 127.0.0.1
Listen 127.0.0.1:@@PORT@@
PidFile "@@TMP@@/logs/httpd.pid"
DefaultRuntimeDir "@@TMP@@/run"
ErrorLog "@@TMP@@/logs/error_log"
LogLevel @@LOGLEVEL@@
Timeout 30
TypesConfig "@@TMP@@/conf/mime.types"
DocumentRoot "@@DOCROOT@@"
DirectoryIndex index.html
SetEnvIf User-Agent "^harness-probe$" harness_probe
LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" \
\"%u\" %{AUTHENTICATE_TOKEN_ID}e %{TOKEN_REASON}e" harness
CustomLog "@@TMP@@/logs/access_log" harness env=!harness_probe
CustomLog "@@TMP@@/logs/probe_log" "%{pid}P" env=harness_probe
<Directory "/">
    AllowOverride None
    Require all denied
</Directory>
<Directory "@@DOCROOT@@">
    Options All
    AllowOverride All
    Require all granted
</Directory>
<IfModule mod_cgid.c>
    ScriptSock "@@TMP@@/run/cgid"
</IfModule>
ScriptAlias "/cgi-bin/" "@@TMP@@/cgi-bin/"
<Directory "@@TMP@@/cgi-bin">
    AllowOverride All
    Require all granted
</Directory>
CONF
    $text .= "DBDriver $arg{driver}\n" . 'DBDParams "@@DBDPARAMS@@"' . "\n"
        if $arg{driver};
    return $text . $arg{conf};
}

# layout($dir): the directories and files every site has.
sub layout {
    my ($dir, $htaccess) = @_;
    my $user = AuthnToken::Server::user();

    for my $sub (qw(conf logs htdocs htdocs/api htdocs/open cgi-bin db run
        sanitizer)) {
        mkdir "$dir/$sub", 0755 or die "$dir/$sub: $!\n";
    }
    AuthnToken::Process::own($user, map { "$dir/$_" } qw(db run sanitizer));
    put("$dir/htdocs/index.html", "front page\n");
    put("$dir/htdocs/api/index.html", "api index\n");
    put("$dir/htdocs/api/data.json", qq({"data":true}\n));
    put("$dir/htdocs/open/index.html", "open index\n");
    put("$dir/conf/mime.types",
        "text/html html\ntext/plain txt\napplication/json json\n");
    put("$dir/cgi-bin/env", <<'SH', 0755);
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
env
SH
    for my $place (sort keys %{ $htaccess || {} }) {
        my $path = "$dir/htdocs";
        for my $part (grep { length } split m{/}, $place) {
            $path .= "/$part";
            -d $path or mkdir $path, 0755 or die "$path: $!\n";
        }
        put("$path/.htaccess", $htaccess->{$place});
    }
    passwords("$dir/conf/htpasswd");
    return;
}

# passwords($path): the users; admin in bcrypt, the others in apr1.
sub passwords {
    my ($path) = @_;
    my $htpasswd = which('htpasswd') || which('htpasswd2')
        or die "no htpasswd found\n";

    put($path, '');
    for my $name (sort keys %user) {
        my @kind = $name eq 'admin' ? qw(-B -C 5) : qw(-m);
        my $result = run($htpasswd, '-i', @kind, $path, $name,
            { stdin => $user{$name} });
        die "htpasswd: $result->{err}" if $result->{exit};
    }
    return;
}

# certificate($dir): a self-signed one for 127.0.0.1 and localhost.
sub certificate {
    my ($dir) = @_;
    return if -f "$dir/conf/cert.pem";
    my $result = run('openssl', qw(req -x509 -newkey ec -pkeyopt
        ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1),
        -addext => 'basicConstraints=critical,CA:FALSE',
        -addext => 'subjectAltName=IP:127.0.0.1,DNS:localhost',
        -keyout => "$dir/conf/key.pem", -out => "$dir/conf/cert.pem");
    die "openssl: $result->{err}" if $result->{exit};
    return;
}

sub put {
    my ($path, $text, $mode) = @_;
    open my $fh, '>', $path or die "$path: $!\n";
    print {$fh} $text;
    close $fh or die "$path: $!\n";
    chmod $mode // 0644, $path or die "$path: $!\n";
    return;
}

1;
