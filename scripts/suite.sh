#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# suite.sh BUILD MPM [t/TEST.t...]: the Apache::Test suite on a real httpd with
# that MPM.  It runs in a copy of t/ with its own modules and ports, owned by an
# unprivileged user if we are root (Apache::Test refuses root).
#
#   SUITE_USER  who that is, nobody by default
#   TEST_PORT   first of ten ports, by default ten that are free, others for each MPM
#   SUITE_APPS  the build to take the applications from, BUILD by default
#   TRIES       1: tests that fail are not run once more (see prove.sh)
#
# Without tests named, all of them run on the event MPM, and these on any other one: their
# result may depend on how httpd's processes and threads are arranged.  They are about what
# lasts as long as a child or is shared between children, how children start, restart and
# end, which thread calls a door and how many do so at the same time, or how a connection is
# read and written piece by piece.  A new test of one of these belongs here; what an answer,
# a variable, a directive or a message of the log is, is the same with every MPM.
every_mpm='aborts apps_crash apps_replace apps_restart apps_settings concurrency endings
    exhausted harmful hello http2 httpd_restart hung keepalive limits pipelines queue restart status_page
    stream timeout tokens upgrade upload zz_crashes'
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
. scripts/httpd.sh

build=$(cd "$1" && pwd)
apps=$(cd "${SUITE_APPS:-$build}" && pwd)
mpm=$2
shift 2
if [ $# -eq 0 ] && [ "$mpm" != event ]; then
    for name in $every_mpm; do
        set -- "$@" "t/$name.t"
    done
fi
stage=$build/t-$mpm
temporary=

fail() {
    echo "suite: $*" >&2
    exit 1
}

user=
if [ "$(id -u)" -eq 0 ]; then
    user=${SUITE_USER:-nobody}
    [ "$(id -u "$user")" != 0 ] || fail "SUITE_USER is root"
fi

# Whatever a test that was cut short has left running, its name is in t/run.
end_leftovers() {
    local file pid
    for file in "$stage"/t/run/*.pid "$stage"/t/logs/httpd.pid; do
        [ -s "$file" ] || continue
        read -r pid <"$file"
        # The number may be another process by now; ours name the folder.
        if grep -q -F "$stage/" "/proc/$pid/cmdline" 2>/dev/null; then
            echo "suite: $(basename "$file" .pid) (pid $pid) still ran" >&2
            kill -TERM "$pid"
            sleep 1
            kill -KILL "$pid" 2>/dev/null
        fi
    done
}

# shellcheck disable=SC2317 # runs at exit
# Keeps the logs where they are looked for when the copy had to be elsewhere.
clean_up() {
    end_leftovers
    if [ -n "$temporary" ]; then
        rm -rf "$build/t-$mpm"
        mkdir -p "$build/t-$mpm/t"
        cp -R "$stage/t/logs" "$stage/t/conf" "$build/t-$mpm/t/" 2>/dev/null
        rm -rf "$temporary"
    fi
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

end_leftovers
rm -rf "$stage"
mkdir -p "$stage" || fail "cannot make $stage"
if [ -n "$user" ] && ! (as_user "$user" test -x "$stage"); then
    temporary=$(mktemp -d /tmp/mod_door-t.XXXXXX) || fail "no temporary directory"
    chmod 755 "$temporary"
    stage=$temporary
fi

cp -R t "$stage/t"
cp scripts/postgres.sh "$stage/postgres.sh"
mkdir -p "$stage/build/t"
cp -R "$build"/mod_door.so "$build"/doorctl "$apps"/lib*.so* "$apps/examples" "$apps/gateways" "$stage/build"
cp -R "$apps/t/apps" "$apps/t/door_fcgi" "$build/t/mod_door.so" "$stage/build/t"
[ ! -d "$apps/t/fcgi" ] || cp -R "$apps/t/fcgi" "$stage/build/t"
# What Apache::Test takes for the system's configuration.  Only the MPM is there:
# it asks apxs about each module in it anew in every test.
{
    echo "ServerRoot \"$stage/t\""
    load_modules "mpm_$mpm"
} >"$stage/system.conf"
{
    load_modules unixd authz_core authn_core authn_file authz_user authz_host \
        auth_basic access_compat version log_config mime dir env setenvif headers alias rewrite \
        deflate filter ext_filter include remoteip status cgid reqtimeout cache cache_disk \
        socache_shmcb ssl http2
    echo "LoadModule door_module \"$stage/build/mod_door.so\""
} >"$stage/modules.conf"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout "$stage/t/conf/server.key" -out "$stage/t/conf/server.pem" 2>/dev/null ||
    fail "no certificate: is openssl there?"
chmod -R u+rwX,go+rX "$stage"
[ -z "$user" ] || chown -R "$user:$(id -g "$user")" "$stage"

port=${TEST_PORT:-$(perl -MIO::Socket::INET -e '
    my %first = (worker => 6_600, prefork => 13_200);
    for (1 .. 100) {
        my $base = 10_240 + ($first{$ARGV[0]} // 0) + 20 * int rand 330;
        my @free = grep { IO::Socket::INET->new(LocalPort => $_, Listen => 1) } $base .. $base + 9;
        print($base), exit if @free == 10;
    }' "$mpm")}
[ -n "$port" ] || fail "no free ports"

cd "$stage" || exit 1
# Not the caller's settings for httpd, Perl or proxies; sh, as the user's own may be nologin.
(as_user "$user" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$stage" TMPDIR="$stage" SHELL=/bin/sh \
    HARNESS_TIMER=1 CI="${CI:-}" ASAN_OPTIONS="${ASAN_OPTIONS:-}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-}" \
    APACHE_TEST_ULIMIT_SET=1 DOOR_TEST_MPM="$mpm" \
    perl t/TEST.PL -httpd "$(httpd_program)" -httpd_conf "$stage/system.conf" \
    -preamble "Include $stage/modules.conf" -port "$port" \
    -minclients 4 -maxclients 80 -threadsperchild 16 "$@") </dev/null
status=$?
failed=$(cat failed 2>/dev/null)
cd "$root" || exit 1
[ $status -ne 0 ] || exit 0

echo "suite: $mpm failed, logs in $build/t-$mpm/t/logs" >&2
[ "${TRIES:-2}" -gt 1 ] && [ -n "$failed" ] || exit $status
clean_up
trap - EXIT
rm -rf "$build/t-$mpm-first"
mkdir "$build/t-$mpm-first"
cp -R "$build/t-$mpm/t/logs" "$build/t-$mpm-first"
# shellcheck disable=SC2086 # a list
set -- $failed
echo "suite: once more: $* (the first time's logs are in $build/t-$mpm-first/logs)" >&2
TRIES=1 bash scripts/suite.sh "$build" "$mpm" "$@" || exit
printf "$mpm: %s\n" "$@" >>"$build/second_try"
