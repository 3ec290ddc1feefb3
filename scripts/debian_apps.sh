#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# debian_apps.sh DIR [PACKAGE...]: packages of Debian's as files below DIR, without their
# being installed: what would start a service, or wants an httpd of its own.  Without a
# name WordPress and Adminer, with what they take from other packages.
set -u

dir=$1
shift
packages=${*:-wordpress wordpress-theme-twentytwentythree libjs-underscore libjs-cropper php-getid3 adminer}

[ ! -e "$dir/complete" ] || exit 0
rm -rf "$dir"
mkdir -p "$dir/packages" || exit 1
cd "$dir/packages" || exit 1
# shellcheck disable=SC2086 # one word per package
apt-get download $packages >log 2>&1 || { apt-get update && apt-get download $packages; } >log 2>&1 || {
    echo "debian_apps: cannot get $packages:" >&2
    cat log >&2
    exit 1
}
for file in *.deb; do
    dpkg-deb -x "$file" "$dir" || exit 1
done
touch "$dir/complete"
