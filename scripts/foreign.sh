#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# foreign.sh ARCH DIR: what the C tests are linked with, for another architecture
# of Debian's: DIR gets the check library and its headers.  The packages are unpacked
# there, not installed, and apt keeps its lists there: the system stays as it is.
set -eu

arch=$1 dir=$2
packages='check libsubunit-dev'

mkdir -p "$dir/apt/lists/partial" "$dir/apt/archives/partial"
dir=$(cd "$dir" && pwd)

apt() {
    apt-get -qq -o Dir::State="$dir/apt" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$dir/apt" -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
        -o APT::Sandbox::User=root "$@" </dev/null
}

cd "$dir"
# A source that has nothing for this architecture is no failure: the download tells.
apt update 2>/dev/null || true
# shellcheck disable=SC2086 # one word per package
apt download $packages
for package in *.deb; do
    dpkg-deb -x "$package" .
done
cp usr/lib/*/*.a usr/include/check*.h .
rm -rf apt usr ./*.deb
