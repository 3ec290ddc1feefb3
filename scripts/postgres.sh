#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# postgres.sh start|stop DIR: a private PostgreSQL in DIR, for the demo and for
# tests.  It listens on a Unix socket alone, and trusts whoever can reach that.
# start prints the socket's directory (PGHOST); DIR/data stays when it stops.
# Not for root: PostgreSQL refuses that.
#
#   PG_OPTIONS   more options for the server, such as "-c max_connections=10"
set -u

bin=$(pg_config --bindir 2>/dev/null)
[ -x "$bin/initdb" ] || bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)")

fail() {
    echo "postgres: $*" >&2
    exit 1
}

start() {
    local dir=$1 sockets=$1
    mkdir -p "$dir" && chmod 700 "$dir" || fail "cannot use $dir"
    # A socket's address has room for 107 bytes.
    if [ ${#dir} -gt 80 ]; then
        sockets=$(mktemp -d /tmp/mod_door-pg.XXXXXX) || fail "no directory for the socket"
    fi
    echo "$sockets" >"$dir/sockets"
    if [ ! -f "$dir/data/PG_VERSION" ]; then
        "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N \
            >"$dir/initdb.log" 2>&1 || fail "initdb failed, see $dir/initdb.log"
    fi
    # No descriptor of ours may stay open in the server.
    "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -s \
        -o "-c listen_addresses='' -c unix_socket_directories='$sockets' ${PG_OPTIONS:-}" \
        start </dev/null >/dev/null 2>&1 || fail "cannot start, see $dir/log"
    echo "$sockets"
}

stop() {
    local dir=$1 sockets
    [ ! -f "$dir/data/postmaster.pid" ] || "$bin/pg_ctl" -D "$dir/data" -w -s -m fast stop
    sockets=$(cat "$dir/sockets" 2>/dev/null)
    case $sockets in
        /tmp/mod_door-pg.*) rmdir "$sockets" 2>/dev/null ;;
    esac
    return 0
}

[ -x "$bin/initdb" ] || fail "no PostgreSQL server found"
case ${1-} in
    start | stop) "$1" "${2:?directory}" ;;
    *) fail "usage: postgres.sh start|stop DIR" ;;
esac
