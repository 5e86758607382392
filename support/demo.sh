#!/bin/bash
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The tour: an httpd of its own on loopback, with a password file and an
# SQLite database in a temporary directory, where a password becomes a
# token and the token opens the door. Each command is shown before its
# output; an answer that is not the expected one ends the tour with exit
# code 1. On a terminal the server stays until Ctrl-C.
#
# PORT chooses the port, DEMO_CLIENT=curl does without HTTPie.

set -eu

cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
APXS=${APXS:-apxs}
BUILD=$(cd "${BUILD:-.}" && pwd)
MODULES=$($APXS -q exp_libexecdir)
HTTPD=${HTTPD:-$($APXS -q sbindir)/$($APXS -q progname)}
HTTOKEN=$BUILD/httoken

bold='' plain=''
if test -t 1; then
    bold=$'\e[1m' plain=$'\e[0m'
fi

# The clients must talk to loopback, and must not find a stranger's files.
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
export no_proxy=127.0.0.1

dir=$(mktemp -d "${TMPDIR:-/tmp}/authn_token-demo.XXXXXX")
httpd_pid=
export HTTPIE_CONFIG_DIR=$dir/httpie NETRC=/dev/null

# shellcheck disable=SC2317 # called by the traps
cleanup() {
    if test -n "$httpd_pid"; then
        kill -TERM "$httpd_pid" 2>/dev/null || :
        wait "$httpd_pid" 2>/dev/null || :
    fi
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

fail() {
    echo "demo: $*" >&2
    if test -s "$dir/error.log"; then
        echo "The error log says:" >&2
        cat "$dir/error.log" >&2
    fi
    exit 1
}

step() {
    printf '\n%s# %s%s\n' "$bold" "$*" "$plain"
}

# show 'command as the reader would type it'
show() {
    printf '%s$ %s%s\n' "$bold" "$*" "$plain"
}

port_taken() {
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

pick_port() {
    if test -n "${PORT:-}"; then
        ! port_taken "$PORT" || fail "port $PORT is in use"
        return
    fi
    for PORT in {8080..8180}; do
        port_taken "$PORT" || return 0
    done
    fail "no free port between 8080 and 8180; set PORT"
}

# What httpd writes must belong to the user it runs as.
make_site() {
    mkdir -p "$dir/conf" "$dir/data" "$dir/htdocs/api"
    echo '{"hello": "from the API"}' >"$dir/htdocs/api/index.json"
    printf 'whatever\n' |
        htpasswd -i -c -B "$dir/conf/htpasswd" admin 2>/dev/null ||
        fail "htpasswd"
    identity=
    if test "$(id -u)" = 0; then
        for user in www-data apache wwwrun http daemon; do
            id -u $user >/dev/null 2>&1 && break
        done
        identity="User $user
Group $(id -gn "$user")"
        chown -R "$user:" "$dir/data"
        chmod 0755 "$dir"
    fi
}

# Modules that this httpd has built in are not loaded a second time.
load() {
    for name; do
        case $builtin in
            *"mod_$name.c"*) ;;
            *) echo "LoadModule ${name}_module $MODULES/mod_$name.so" ;;
        esac
    done
}

write_conf() {
    builtin=$("$HTTPD" -l)
    case $builtin in
        *event.c* | *worker.c* | *prefork.c*) ;;
        *) load mpm_event ;;
    esac
    load unixd log_config mime dir headers authn_core authn_file \
        authz_core authz_user dbd
    cat <<CONF
LoadModule authn_token_module $BUILD/.libs/mod_authn_token.so

ServerName 127.0.0.1
Listen 127.0.0.1:$PORT
$identity
ServerRoot $dir
DefaultRuntimeDir $dir
PidFile $dir/httpd.pid
ErrorLog $dir/error.log
LogFormat "%h %u %{AUTHENTICATE_TOKEN_ID}e \"%r\" %>s" demo
CustomLog $dir/access.log demo
TypesConfig /dev/null
AddType application/json .json
DocumentRoot $dir/htdocs
DirectoryIndex index.json

CONF
    tour_conf
}

# The part worth reading; docs/quickstart.md explains it.
tour_conf() {
    cat <<CONF
DBDriver sqlite3
DBDParams $dir/data/tokens.db
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile $dir/conf/htpasswd
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    Require valid-user
</Location>
CONF
}

start_httpd() {
    "$HTTPD" -f "$dir/conf/httpd.conf" -DFOREGROUND &
    httpd_pid=$!
    for _ in {1..100}; do
        kill -0 "$httpd_pid" 2>/dev/null || fail "httpd did not start"
        port_taken "$PORT" && return
        sleep 0.1
    done
    fail "httpd does not answer on port $PORT"
}

# request METHOD PATH STATUS [HEADER | name=value]...
# Shows the request as a command, its answer, and insists on the status.
request() {
    local method=$1 url=http://127.0.0.1:$PORT$2 status=$3
    shift 3
    if test "$client" = http; then
        show "http $method $url$(quoted "$@")"
        http --ignore-stdin --pretty=format --print=hb \
            "$method" "$url" "$@" >"$dir/answer" || :
    else
        request_curl "$method" "$url" "$@"
    fi
    tr -d '\r' <"$dir/answer"
    echo
    head -n 1 "$dir/answer" | grep -q "^HTTP/1.1 $status" ||
        fail "expected status $status"
}

quoted() {
    for word; do
        case $word in
            *' '*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
}

request_curl() {
    local method=$1 url=$2 body='' word
    local -a args=(-si)
    shift 2
    for word; do
        case $word in
            *:*) args+=(-H "$word") ;;
            *) body+=${body:+, }\"${word%%=*}\":\ \"${word#*=}\" ;;
        esac
    done
    if test -n "$body"; then
        args+=(-H 'Content-Type: application/json' -d "{$body}")
    else
        test "$method" = GET || args+=(-X "$method")
    fi
    show "curl$(quoted "${args[@]}" "$url")"
    curl "${args[@]}" "$url" >"$dir/answer" || :
}

header() {
    grep -qi "^$1" "$dir/answer" || fail "expected a header $1"
}

client=${DEMO_CLIENT:-http}
command -v "$client" >/dev/null 2>&1 || client=curl

pick_port
make_site
write_conf >"$dir/conf/httpd.conf"

step "The configuration, beside the usual lines of any httpd:"
tour_conf
start_httpd

step "A password becomes a token."
request POST /api-token-auth/ 200 username=admin password=whatever
token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' "$dir/answer")
test -n "$token" || fail "no token in the answer"

step "The token opens the door."
request GET /api/ 200 "Authorization: Token $token"

step "Without it, the door is shut; the answer says what would open it."
request GET /api/ 401
header 'WWW-Authenticate: Token'
header 'WWW-Authenticate: Bearer'

step "A wrong password gets no token."
request POST /api-token-auth/ 400 username=admin password=wrong

step "At rest: the database holds the token's SHA-256, not the token."
digest=$(printf %s "$token" | sha256sum | cut -d' ' -f1)
id=${digest:0:16}
show "httoken -f $dir/data/tokens.db list"
"$HTTOKEN" -f "$dir/data/tokens.db" list || fail "httoken list"
show "httoken -f $dir/data/tokens.db show $id"
"$HTTOKEN" -f "$dir/data/tokens.db" show "$id" || fail "httoken show"
show "grep -rF $token $dir/data $dir/*.log"
if grep -raF "$token" "$dir/data" "$dir"/*.log; then
    fail "the token is written down"
fi
echo "(nothing)"
show "grep -rcF $digest $dir/data"
grep -racF "$digest" "$dir/data" || fail "the digest is not in the database"

step "The access log: who, with which token's id, and never the token."
show "cat $dir/access.log"
cat "$dir/access.log"
grep -q "admin $id .*200$" "$dir/access.log" ||
    fail "expected the id $id in the access log"

if test -t 0 && test -t 1; then
    step "The server stays at http://127.0.0.1:$PORT/ until Ctrl-C."
    trap 'exit 0' INT
    wait "$httpd_pid" || :
fi
