#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes sure that the Debian packages are there that one kind of work needs.
# Installs what is missing if it can, otherwise prints the command that would.
# Without dpkg it only looks for the programs themselves.
#
#   deps.sh demo       to build and to see it run
#   deps.sh check      to test: the demo's, and more
#   deps.sh analysis   the sanitizers and valgrind
#   deps.sh m32        a compiler for 32 bits
#   deps.sh cross      compilers for aarch64 and for musl, and qemu
#   deps.sh heavy-python  Python's frameworks, and other servers of their applications
#   deps.sh bench      the peers, and what asks them
#   deps.sh heavy      what whole applications need
#   deps.sh deb        to build and test Debian's packages
#
# No service is started, and where an httpd of the machine's own is, what packages enable in it
# is taken out again.
set -u
kind=${1-check}

# The PostgreSQL server is there for the programs: it gets no cluster.
demo='gcc libc6-dev make pkg-config apache2-bin apache2-dev libssl-dev libpq-dev libjansson-dev postgresql-15
    curl perl php8.2-cgi python3-dev python3-setuptools python3-wheel'
packages=$demo
tools='cc pkg-config apxs curl perl'

# Apache::Test is in libapache2-mod-perl2.
if [ "$kind" = check ]; then
    packages="$demo build-essential
        libapache2-mod-perl2 libwww-perl chromium-driver fonts-dejavu-core check wrk nghttp2-client mandoc lowdown
        openssl iproute2 haproxy git cgit gitweb libcgi-pm-perl libcgi-fast-perl libfcgi-dev
        libapache2-mod-fcgid libfcgi-perl python3-prometheus-client
        python3-dbg python3-venv python3-pip"
    tools="$tools prove wrk nghttp mandoc"
fi

if [ "$kind" = analysis ]; then
    packages='clang-19 libclang-rt-19-dev llvm-19 valgrind'
    tools='clang-19 llvm-symbolizer-19 valgrind'
fi

# Not gcc-multilib: that one cannot be beside a cross compiler.
if [ "$kind" = m32 ]; then
    packages='gcc-12-multilib g++-12-multilib'
    tools='gcc-12 g++-12'
fi

if [ "$kind" = cross ]; then
    packages='gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static musl-tools'
    tools='aarch64-linux-gnu-gcc qemu-aarch64-static musl-gcc'
fi

# None of these has a service: uwsgi's is in the package of that name.
if [ "$kind" = heavy-python ]; then
    packages='python3-flask python3-django python3-psycopg2 python3-radicale libapache2-mod-wsgi-py3 gunicorn uwsgi-core
        uwsgi-plugin-python3 media-types'
    tools='gunicorn uwsgi'
fi

if [ "$kind" = bench ]; then
    # pgbench is in postgresql-15, as initdb.
    packages='wrk libapache2-mod-fcgid libfcgi-dev libmicrohttpd-dev libpq-dev postgresql-15
        postgresql-client-15 gnuplot-nox util-linux php8.2-cgi php8.2-pgsql libapparmor1 libacl1
        libsystemd0'
    tools='wrk gnuplot pg_config setpriv'
fi

# The servers' own programs: what would start them is in mariadb-server and php8.2-fpm.  That one
# has its program, too, and is not installed (debian_apps.sh): only what it needs.
if [ "$kind" = heavy ]; then
    packages='mariadb-server-core mariadb-client-core php8.2-mysql php8.2-gd php8.2-xml php8.2-mbstring
        libapache2-mod-fcgid libplack-perl libfcgi-perl libfcgi-procmanager-perl util-linux
        libapparmor1 libacl1 libsystemd0'
    tools='mariadbd php-cgi plackup'
fi

if [ "$kind" = deb ]; then
    packages='build-essential pkg-config apache2-dev chrpath debhelper dh-python fakeroot git lintian lowdown mmdebstrap
        python3-dev python3-setuptools xz-utils'
    tools='dpkg-buildpackage lintian mmdebstrap'
fi

without_dpkg() {
    missing=
    for tool in $tools; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    if [ "$kind" = check ]; then
        pkg-config --exists check 2>/dev/null || missing="$missing check(library)"
        perl -MApache::Test -MLWP -e 1 2>/dev/null || missing="$missing Apache::Test(perl)"
    fi
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
    echo "make deps: as root run" >&2
    echo "    sh $(cd "$(dirname "$0")" && pwd)/deps.sh $kind" >&2
    echo "which starts no service, and runs" >&2
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

# Debian's own ways to say so: a policy for services, and PostgreSQL's for clusters.  They are
# gone when all is installed; a policy that the machine has of its own stays and counts.
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d
ours='# written by scripts/deps.sh'

start_nothing() {
    if [ ! -e $policy ] || grep -qx "$ours" $policy; then
        printf '#!/bin/sh\n%s\nexit 101\n' "$ours" >$policy && chmod 755 $policy
    fi
    mkdir -p $cluster && printf '%s\ncreate_main_cluster = false\n' "$ours" >$cluster/mod_door.conf
}

# shellcheck disable=SC2317 # runs at exit
tidy() {
    keep_httpd
    ! grep -qsx "$ours" "$policy" || rm -f "$policy"
    rm -f "$cluster/mod_door.conf"
    rmdir "$cluster" "${cluster%/*}" 2>/dev/null
}

enabled_before=$(enabled)
trap tidy EXIT
trap 'exit 1' HUP INT TERM
start_nothing
export DEBIAN_FRONTEND=noninteractive
echo "make deps: $command"
ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt-get update </dev/null
# Old lists name versions that the mirror no longer has: then once more, renewed.
# Somebody else may be installing.
waiting="-o DPkg::Lock::Timeout=600"
# shellcheck disable=SC2086 # options are words
$command $waiting </dev/null && exit 0
apt-get update </dev/null && $command $waiting </dev/null && exit 0
echo "make deps: could not install:$missing" >&2
exit 1
