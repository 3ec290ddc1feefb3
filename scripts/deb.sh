#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# deb.sh DIR [VERSION]: Debian's packages of what is committed, as files in DIR; what else lies
# about in this folder is not in them.  With a VERSION they say that they are that one, to try an
# upgrade.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "make deb: $*" >&2
    exit 1
}

git rev-parse -q --verify HEAD >/dev/null || fail 'this is no clone: it builds what is committed'
rm -rf "$1"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
git archive --prefix=source/ HEAD | tar -x -C "$dir"
version=${2:-$(sed -n 's/^VERSION *:= *//p' "$dir/source/Makefile")}
name=mod-door-$version
mv "$dir/source" "$dir/$name"
[ $# -lt 2 ] || sed -i "1s/([^)]*)/($version-1)/" "$dir/$name/debian/changelog"
grep -q "^mod-door ($version-" "$dir/$name/debian/changelog" ||
    fail "the Makefile says $version, debian/changelog does not"

tar -C "$dir" --sort=name --owner=0 --group=0 --exclude="$name/debian" \
    -cJf "$dir/mod-door_$version.orig.tar.xz" "$name"
cd "$dir/$name"
# Nothing that was said to our make counts there.
env -i PATH="$PATH" HOME="$dir" LC_ALL=C.UTF-8 DEB_BUILD_OPTIONS="parallel=$(nproc) nocheck" \
    dpkg-buildpackage -us -uc >"$dir/log" 2>&1 || fail "it failed:
$(tail -n 30 "$dir/log")"
rm -rf "${dir:?}/$name"
ls "$dir"/*.deb
