# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# For the tests beside it: a configuration for the machine's Apache, and its answers.  To be sourced.

set -eu
cd "${AUTOPKGTEST_TMP:?}"

fail() {
    echo "$0: $*" >&2
    tail -n 20 /var/log/apache2/error.log >&2 || true
    exit 1
}

# serve NAME: stdin is a part of Apache's configuration, which it then has.
serve() {
    cat >"/etc/apache2/conf-available/test-$1.conf"
    a2enmod -q door
    a2enconf -q "test-$1"
    apachectl configtest
    apachectl graceful
}

# stop_serving NAME: takes that part out again.
stop_serving() {
    a2disconf -q "test-$1"
    rm "/etc/apache2/conf-available/test-$1.conf"
    apachectl graceful
}

# answers PATH TEXT [CURL'S OPTION...]: the answer is that line, at the latest in 30 seconds.
answers() {
    path=$1 text=$2 tries=60
    shift 2
    until answer=$(curl -sf --max-time 20 "$@" "http://localhost$path") && [ "$answer" = "$text" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "$path is not answered with \"$text\", but \"$answer\""
        sleep 0.5
    done
    echo "$path: $answer"
}
