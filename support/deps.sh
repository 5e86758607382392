#!/bin/sh
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh demo|test|bench|fuzz|check: what building with the demo, with tests and
# lint, with the benches or with the fuzzers needs beyond a bare system. On Debian and its kin root
# gets the missing packages from apt-get, with no service started; anybody
# else gets the command to give to root, and exit code 1. Nothing missing:
# silence.

set -eu

PATH=$PATH:/usr/sbin:/sbin

BUILD="gcc libc6-dev make apache2-bin apache2-dev libssl-dev libjansson-dev
    zlib1g-dev libargon2-dev libpq-dev pkg-config"
DEMO="$BUILD libaprutil1-dbd-sqlite3 libaprutil1-dbd-pgsql apache2-utils
    curl"
NICE="httpie"
TEST="$DEMO $NICE apache2 libapache2-mod-perl2 libwww-perl sqlite3
    libprotocol-http2-perl libdbd-sqlite3-perl libdbd-pg-perl postgresql
    pgbouncer openssl git wget subversion libapache2-mod-svn cadaver
    python3-pip python3-requests python3-setuptools python3-wheel
    python3-django python3-argon2 python3-bcrypt python3-psycopg2
    python3-djangorestframework python3-django-oauth-toolkit
    clang clang-tidy cppcheck shellcheck mandoc"
BENCH="$BUILD apache2-utils libapache2-mod-perl2 libwww-perl
    libaprutil1-dbd-pgsql libdbd-pg-perl libdbd-sqlite3-perl postgresql
    valgrind wrk python3 python3-django python3-djangorestframework
    python3-psycopg2 gunicorn"
# libFuzzer comes with clang's runtime, whose package has clang's version in
# its name: 14 on Debian 12.
CLANG=$(apt-cache depends clang 2>/dev/null |
    sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p')
FUZZ="$BUILD perl clang libclang-rt-${CLANG:-14}-dev"
# Every test, with what watches: libtsan comes with gcc.
CHECK="$TEST valgrind"

case ${1:-} in
    demo) wanted=$DEMO ;;
    test) wanted=$TEST; NICE= ;;
    bench) wanted=$BENCH; NICE= ;;
    fuzz) wanted=$FUZZ; NICE= ;;
    check) wanted=$CHECK; NICE= ;;
    *) echo "usage: deps.sh demo|test|bench|fuzz|check" >&2; exit 2 ;;
esac

# A package counts as there when dpkg says so, or when the command of its
# name is there from somewhere else; but apache2 is apache2-bin's command.
missing() {
    for p in "$@"; do
        case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null) in
            ?i*) ;;
            *) test "$p" != apache2 && command -v "$p" >/dev/null 2>&1 ||
                printf '%s ' "$p" ;;
        esac
    done
}

# Elsewhere packages have other names: look for the things themselves.
elsewhere() {
    lacking=
    for tool in "${CC:-cc}" "${APXS:-apxs}" apr-1-config apu-1-config \
        htpasswd curl; do
        command -v "$tool" >/dev/null 2>&1 || lacking="$lacking $tool"
    done
    test -z "$lacking" || {
        echo "Not found:$lacking"
        echo "Install, by the names your system gives them: a C compiler,"
        echo "httpd 2.4 with apxs and htpasswd, the headers of APR,"
        echo "APR-util, OpenSSL, jansson and zlib, and for PostgreSQL"
        echo "of libpq; APR-util's drivers sqlite3 and pgsql, curl; for"
        echo "the tests also what is listed in support/deps.sh."
        exit 1
    } >&2
    exit 0
}

# apt-get would start postgresql and apache2; policy-rc.d is Debian's way
# to say no. One that is already there stays as it is.
install_packages() {
    policy=/usr/sbin/policy-rc.d
    if test ! -e $policy; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 0755 $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        trap 'exit 1' HUP INT TERM
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
}

for tool in dpkg-query apt-get; do
    command -v $tool >/dev/null 2>&1 || elsewhere
done

# shellcheck disable=SC2086 # lists of words
needed=$(missing $wanted)
# shellcheck disable=SC2086
nice=$(missing $NICE)

if test "$(id -u)" = 0; then
    # shellcheck disable=SC2086
    test -z "$needed$nice" || install_packages $needed $nice
elif test -n "$needed"; then
    {
        echo "Missing packages. As root:"
        echo "  apt-get install --no-install-recommends $needed$nice"
    } >&2
    exit 1
fi
