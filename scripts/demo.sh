#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh BUILD PORT: a private httpd with the sample applications behind it,
# in the foreground.  Ctrl-C or SIGTERM stops all that was started here; nothing
# of the system's httpd is read or touched.
set -u
cd "$(dirname "$0")/.." || exit 1
. scripts/httpd.sh

port=$2
address=${ADDRESS:-127.0.0.1}
mkdir -p "$1/demo/logs" "$1/demo/conf" || exit 1
build=$(cd "$1" && pwd)
root=$build/demo
run=$root
app_dir=$build
apps=(hello kitchen raw)
httpd_pid=
app_pids=()
temporary=

say() {
    echo "demo: $*"
}

# Waits for what was told to stop, and insists after five seconds.
reap() {
    local pid=$1 tries=50
    while kill -0 "$pid" 2>/dev/null && [ $tries -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}

stop_all() {
    local pid
    trap '' INT TERM HUP
    if [ -n "$httpd_pid" ]; then
        kill -TERM "$httpd_pid" 2>/dev/null
        reap "$httpd_pid"
    fi
    for pid in "${app_pids[@]}"; do
        [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null
    done
    for pid in "${app_pids[@]}"; do
        [ -n "$pid" ] && reap "$pid"
    done
    [ -z "$temporary" ] || rm -rf "$temporary"
}

finish() {
    stop_all
    exit "$1"
}

give_up() {
    echo "demo: $*" >&2
    finish 1
}

# As root, httpd's children and the applications run as somebody else, who may
# be unable to reach a source tree in root's home: then what they need is copied.
choose_user() {
    user=
    [ "$(id -u)" -eq 0 ] || return 0
    user=nobody
    ! id -u www-data >/dev/null 2>&1 || user=www-data
    if ! (as_user "$user" test -x "$root" -a -r "$build/libdoor_app.so.1" \
        -a -x "$build/examples/hello") 2>/dev/null; then
        temporary=$(mktemp -d /tmp/mod_door-demo.XXXXXX) || give_up "no temporary directory"
        chmod 755 "$temporary"
        cp -RL "$build/examples" "$build"/lib*.so* "$temporary" || give_up "cannot copy"
        chmod -R a+rX "$temporary"
        run=$temporary
        app_dir=$temporary
    fi
}

write_files() {
    local group user_lines=""
    mkdir -p "$run/run" "$run/htdocs" "$root/logs" || give_up "cannot write to $run"
    rm -f "$root/logs/httpd.pid"
    if [ -n "$user" ]; then
        group=$(id -gn "$user")
        chown "$user:$group" "$run/run"
        user_lines=$(printf 'User %s\nGroup %s\n' "$user" "$group")
    fi
    cp conf/demo.html "$run/htdocs/index.html"
    chmod 755 "$run/run" "$run/htdocs"
    chmod 644 "$run/htdocs/index.html"
    echo "text/html html" >"$root/conf/mime.types"
    fill_in SERVER_ROOT="$root" ADDRESS="$address" PORT="$port" RUN="$run" \
        MODULE="$build/mod_door.so" USER="$user_lines" \
        MODULES="$(load_modules mpm_event unixd authz_core log_config mime dir http2)" \
        <conf/demo.conf.in >"$root/conf/httpd.conf"
}

start_app() {
    local i=$1 name=${apps[$1]}
    (as_user "$user" "$app_dir/examples/$name" "$run/run/$name") \
        </dev/null >>"$root/logs/$name.log" 2>&1 9>&- &
    app_pids[i]=$!
}

start_httpd() {
    (as_user "" "$(httpd_program)" -d "$root" -f "$root/conf/httpd.conf" -DFOREGROUND) \
        </dev/null >>"$root/logs/startup.log" 2>&1 9>&- &
    httpd_pid=$!
}

answers() {
    curl -sf -o /dev/null --max-time 2 "http://$address:$port/$1"
}

wait_until_up() {
    local i name deadline=$((SECONDS + 15))
    for name in hello kitchen/env raw; do
        until answers "$name"; do
            kill -0 "$httpd_pid" 2>/dev/null || give_up "httpd did not start:
$(tail -q -n 5 "$root/logs/startup.log" "$root/logs/error_log" 2>/dev/null)"
            for i in "${!apps[@]}"; do
                kill -0 "${app_pids[i]}" 2>/dev/null || give_up "${apps[i]} did not start:
$(tail -n 5 "$root/logs/${apps[i]}.log")"
            done
            [ $SECONDS -lt $deadline ] || give_up "/$name does not answer, see $root/logs"
            sleep 0.1
        done
    done
}

announce() {
    local base=http://$address:$port
    cat <<TEXT

mod_door demo: httpd $httpd_pid, logs in $root/logs

    curl $base/hello
    curl $base/kitchen/env
    curl --data-binary @README.md $base/kitchen/echo
    curl -i $base/kitchen/headers
    curl '$base/kitchen/big?bytes=100000' | wc -c
    curl $base/kitchen/threads
    curl $base/raw
    wrk -c32 -t2 -d10s $base/hello

Ctrl-C stops it.
TEXT
}

# Says which application has died; httpd goes on and answers for it with 503.
note_deaths() {
    local i as=
    [ -z "$user" ] || as="setpriv --reuid $user --regid $(id -g "$user") --init-groups "
    for i in "${!apps[@]}"; do
        [ -n "${app_pids[i]}" ] || continue
        ! kill -0 "${app_pids[i]}" 2>/dev/null || continue
        say "application ${apps[i]} (pid ${app_pids[i]}) has ended; httpd goes on." \
            "To start it again:"
        say "    $as$app_dir/examples/${apps[i]} $run/run/${apps[i]}"
        app_pids[i]=
    done
}

exec 9>"$root/lock"
if command -v flock >/dev/null && ! flock -n 9; then
    echo "demo: another demo runs in $root" >&2
    exit 1
fi
if (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; then
    echo "demo: port $port is in use; try make demo PORT=$((port + 1))" >&2
    exit 1
fi

trap 'finish 0' INT TERM HUP
choose_user
write_files
: >"$root/logs/startup.log"
for i in "${!apps[@]}"; do
    start_app "$i"
done
start_httpd
wait_until_up
announce
while kill -0 "$httpd_pid" 2>/dev/null; do
    # shellcheck disable=SC2048,SC2086 # the empty ones have ended
    wait -n "$httpd_pid" ${app_pids[*]} 2>/dev/null
    note_deaths
done
give_up "httpd (pid $httpd_pid) has ended, see $root/logs/error_log"
