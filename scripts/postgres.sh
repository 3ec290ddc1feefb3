#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# postgres.sh start|run|stop DIR: a private PostgreSQL in DIR, for tests and the
# demo.  It listens on a Unix socket alone, and trusts whoever can reach that.
# The socket's directory (PGHOST) is in DIR/sockets; start prints it, and comes
# back when the server is up; run is the server.  DIR/data stays when it stops.
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

prepare() {
    local dir=$1
    sockets=$1
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
    options="-c listen_addresses='' -c unix_socket_directories='$sockets' ${PG_OPTIONS:-}"
}

run() {
    prepare "$1"
    eval "exec \"$bin/postgres\" -D \"$1/data\" $options" </dev/null >>"$1/log" 2>&1
}

start() {
    local dir=$1
    prepare "$dir"
    # No descriptor of ours may stay open in the server.
    "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -s \
        -o "$options" start </dev/null >/dev/null 2>&1 || fail "cannot start, see $dir/log"
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
    start | run | stop) "$1" "${2:?directory}" ;;
    *) fail "usage: postgres.sh start|run|stop DIR" ;;
esac
