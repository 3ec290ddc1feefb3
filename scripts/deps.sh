#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes sure that the Debian packages are there that building, the demo and the
# tests need.  Installs what is missing if it can, otherwise prints the command
# that would.  Without dpkg it only looks for the programs themselves.
#
#   deps.sh            to build, to show and to test
#   deps.sh analysis   the sanitizers and valgrind
#   deps.sh m32        a compiler for 32 bits
#   deps.sh cross      compilers for aarch64 and for musl, and qemu
#   deps.sh heavy-python  Python's frameworks, and other servers of their applications
#   deps.sh bench      the peers, and what asks them
#   deps.sh heavy      what whole applications need
set -u

# Apache::Test is in libapache2-mod-perl2.  None of these starts an httpd: the
# service is in the package apache2.  Where that is, what they enable in it is taken out
# again.  Haproxy's, as Debian configures it, serves no port.
packages='build-essential pkg-config apache2-bin apache2-dev libapache2-mod-perl2 libwww-perl libssl-dev
    libpq-dev libjansson-dev postgresql-15 chromium-driver
    fonts-dejavu-core check wrk nghttp2-client curl mandoc lowdown openssl perl iproute2 haproxy
    git cgit gitweb libcgi-pm-perl php8.2-cgi libcgi-fast-perl libfcgi-dev
    libapache2-mod-fcgid libfcgi-perl
    python3-prometheus-client python3-dev python3-dbg python3-venv python3-pip python3-setuptools python3-wheel'
tools='cc pkg-config apxs curl perl prove wrk nghttp mandoc'
if [ "${1-}" = analysis ]; then
    packages='clang-19 libclang-rt-19-dev llvm-19 valgrind'
    tools='clang-19 llvm-symbolizer-19 valgrind'
fi

# Not gcc-multilib: that one cannot be beside a cross compiler.
if [ "${1-}" = m32 ]; then
    packages='gcc-12-multilib g++-12-multilib'
    tools='gcc-12 g++-12'
fi

if [ "${1-}" = cross ]; then
    packages='gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static musl-tools'
    tools='aarch64-linux-gnu-gcc qemu-aarch64-static musl-gcc'
fi

# None of these has a service: uwsgi's is in the package of that name.
if [ "${1-}" = heavy-python ]; then
    packages='python3-flask python3-django python3-psycopg2 python3-radicale libapache2-mod-wsgi-py3 gunicorn uwsgi-core
        uwsgi-plugin-python3 media-types'
    tools='gunicorn uwsgi'
fi

if [ "${1-}" = bench ]; then
    # pgbench is in postgresql-15, as initdb.
    packages='wrk libapache2-mod-fcgid libfcgi-dev libmicrohttpd-dev libpq-dev postgresql-15
        postgresql-client-15 gnuplot-nox util-linux php8.2-cgi php8.2-pgsql libapparmor1 libacl1
        libsystemd0'
    tools='wrk gnuplot pg_config setpriv'
fi

# The servers' own programs: what would start them is in mariadb-server and php8.2-fpm.  That one
# has its program, too, and is not installed (debian_apps.sh): only what it needs.
if [ "${1-}" = heavy ]; then
    packages='mariadb-server-core mariadb-client-core php8.2-mysql php8.2-gd php8.2-xml php8.2-mbstring
        libapache2-mod-fcgid libplack-perl libfcgi-perl libfcgi-procmanager-perl util-linux
        libapparmor1 libacl1 libsystemd0'
    tools='mariadbd php-cgi plackup'
fi

without_dpkg() {
    missing=
    for tool in $tools; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    pkg-config --exists check 2>/dev/null || missing="$missing check(library)"
    perl -MApache::Test -MLWP -e 1 2>/dev/null || missing="$missing Apache::Test(perl)"
    [ -z "$missing" ] && exit 0
    echo "make deps: not found:$missing" >&2
    echo "make deps: this is no Debian system, install them by its own means" >&2
    exit 1
}

command -v dpkg-query >/dev/null || without_dpkg

# shellcheck disable=SC2086,SC2016 # one word per package; dpkg expands ${}
present=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null)
missing=
for package in $packages; do
    case "
$present
" in
    *"
installed $package
"*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -z "$missing" ] && exit 0

command="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "make deps: missing packages; as root run" >&2
    echo "    $command" >&2
    exit 1
fi

# The machine's own httpd, if there is one, stays as it is.
enabled() {
    ls -d /etc/apache2/mods-enabled/* /etc/apache2/conf-enabled/* 2>/dev/null
}

# shellcheck disable=SC2317 # runs at exit
keep_httpd() {
    enabled | while read -r link; do
        case "
$enabled_before
" in
        *"
$link
"*) ;;
        *) rm -f "$link" ;;
        esac
    done
}

enabled_before=$(enabled)
trap keep_httpd EXIT
export DEBIAN_FRONTEND=noninteractive
echo "make deps: $command"
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt-get update </dev/null
# Old lists name versions that the mirror no longer has: then once more, renewed.
$command </dev/null && exit 0
apt-get update </dev/null && $command </dev/null && exit 0
echo "make deps: could not install:$missing" >&2
exit 1
