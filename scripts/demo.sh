#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh BUILD PORT: a private httpd with the sample applications behind it,
# in the foreground, at ADDRESS or 127.0.0.1; PHP is among them where there is php-cgi.  Ctrl-C or SIGTERM stops all that was started here; nothing
# of the system's httpd is read or touched.
set -u
cd "$(dirname "$0")/.." || exit 1
. scripts/httpd.sh

port=$2
address=${ADDRESS:-127.0.0.1}
case $address in
    *:*) at="[$address]:$port" ;;
    *) at=$address:$port ;;
esac
base=http://$at
mkdir -p "$1/demo/logs" "$1/demo/conf" || exit 1
build=$(cd "$1" && pwd)
root=$build/demo
run=$root
app_dir=$build
httpd_pid=
pg_pid=
temporary=

say() {
    echo "demo: $*"
}

# Tells a process to end with that signal, and insists after ten seconds.
end_process() {
    local pid=$1 tries=100
    [ -n "$pid" ] || return 0
    kill "-$2" "$pid" 2>/dev/null
    while kill -0 "$pid" 2>/dev/null && [ $tries -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
}

# httpd stops the applications.
stop_all() {
    trap '' INT TERM HUP
    end_process "$httpd_pid" TERM
    end_process "$pg_pid" INT
    [ -z "$temporary" ] || rm -rf "$temporary"
}

# Its data stays for the next demo, unless it had to be in the temporary copy.
start_postgres() {
    local tries=300
    pg_dir=$run/pg
    mkdir -p "$pg_dir" || give_up "cannot write to $run"
    [ -z "$user" ] || chown "$user" "$pg_dir"
    rm -f "$pg_dir/sockets"
    # From our stdin: the user need not be able to read this folder.
    (as_user "$user" bash -s run "$pg_dir") <scripts/postgres.sh \
        >>"$root/logs/startup.log" 2>&1 9>&- &
    pg_pid=$!
    until [ -s "$pg_dir/sockets" ] && pg_isready -q -h "$(cat "$pg_dir/sockets")"; do
        kill -0 "$pg_pid" 2>/dev/null && [ $tries -gt 0 ] ||
            give_up "PostgreSQL did not start: $(tail -n 3 "$pg_dir/log" 2>/dev/null)"
        sleep 0.1
        tries=$((tries - 1))
    done
    pg_host=$(cat "$pg_dir/sockets")
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
        cp -RL "$build/examples" "$build/gateways" "$build"/lib*.so* "$temporary" || give_up "cannot copy"
        chmod -R a+rX "$temporary"
        run=$temporary
        app_dir=$temporary
    fi
}

# PHP's part of the configuration, if PHP is there.
php_conf() {
    local program
    program=$(command -v php-cgi) && [ -x "$app_dir/gateways/door_fcgi" ] || return 0
    cat <<CONF
DoorApp php "\"$app_dir/gateways/door_fcgi\" --processes 2 $program"
<Directory "$run/htdocs/php">
    DirectoryIndex index.php
    <Files index.php>
        DoorHandler php
    </Files>
</Directory>
CONF
}

# Python's, if its sample could be built.
python_conf() {
    [ -f "$app_dir/examples/python/sample.py" ] || return 0
    cat <<CONF
DoorApp python "/usr/bin/python3 -m door_app sample" "directory=$app_dir/examples/python"
<Location /python>
    Require all granted
    DoorHandler python
</Location>
CONF
}

# The index has what is configured.
write_pages() {
    mkdir -p "$run/htdocs/php" || give_up "cannot write to $run"
    cp conf/demo.css "$run/htdocs/demo.css"
    cp conf/demo.svg "$run/htdocs/favicon.ico"
    cp conf/demo.php "$run/htdocs/php/index.php"
    awk -v conf="$root/conf/httpd.conf" '
        BEGIN { while ((getline line <conf) > 0) text = text line "\n" }
        /^<!-- end -->$/ { out = 0; next }
        /^<!-- if / { out = !has($3); next }
        !out
        function has(path) {
            return index(text, "<Location " path) || index(text, "/htdocs" path "\">")
        }
    ' conf/demo.html >"$run/htdocs/index.html"
    chmod -R a+rX "$run/htdocs"
}

write_files() {
    local user_lines=""
    mkdir -p "$run/run" "$run/htdocs" "$root/logs" || give_up "cannot write to $run"
    rm -f "$root/logs/httpd.pid"
    if [ -n "$user" ]; then
        user_lines=$(printf 'User %s\nGroup %s\n' "$user" "$(id -gn "$user")")
    fi
    chmod 755 "$run/run" "$run/htdocs"
    printf '%s\n' "text/html html" "text/css css" >"$root/conf/mime.types"
    fill_in SERVER_ROOT="$root" AT="$at" RUN="$run" MORE="$(python_conf; php_conf)" \
        MODULE="$build/mod_door.so" APPS="$app_dir" PGHOST="$pg_host" USER="$user_lines" \
        MODULES="$(load_modules mpm_event unixd authz_core authz_host log_config mime dir status http2)" \
        <conf/demo.conf.in >"$root/conf/httpd.conf"
    write_pages
}

start_httpd() {
    (as_user "" "$(httpd_program)" -d "$root" -f "$root/conf/httpd.conf" -DFOREGROUND) \
        </dev/null >>"$root/logs/startup.log" 2>&1 9>&- &
    httpd_pid=$!
}

answers() {
    curl -sf -o /dev/null --max-time 2 "$base/$1"
}

wait_until_up() {
    local name deadline=$((SECONDS + 15))
    for name in hello kitchen/env raw guestbook/; do
        until answers "$name"; do
            kill -0 "$httpd_pid" 2>/dev/null || give_up "httpd did not start:
$(tail -q -n 5 "$root/logs/startup.log" "$root/logs/error_log" 2>/dev/null)"
            [ $SECONDS -lt $deadline ] || give_up "/$name does not answer:
$(tail -n 5 "$root/logs/error_log")"
            sleep 0.1
        done
    done
}

announce() {
    cat <<TEXT

mod_door demo: httpd $httpd_pid, logs in $root/logs

    $base/                    # for a browser: all that there is
    $base/guestbook/
    $base/door-status         # what the applications do, as it happens
    curl $base/hello
    curl $base/kitchen/env
    curl --data-binary @README.md $base/kitchen/echo
    curl -i $base/kitchen/headers
    curl '$base/kitchen/big?bytes=100000' | wc -c
    curl $base/kitchen/threads
    curl $base/raw
    curl $base/status?auto          # what the applications do
    wrk -c32 -t2 -d10s $base/hello

Ctrl-C stops it.
TEXT
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
start_postgres
write_files
: >"$root/logs/startup.log"
start_httpd
wait_until_up
announce
wait "$httpd_pid"
give_up "httpd (pid $httpd_pid) has ended, see $root/logs/error_log"
