#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# machine.sh TAR PACKAGE...: a small Debian with these packages, of this machine's release and from
# where this machine has its own packages, as an archive of files.  Made once: a TAR that is there
# and has them stays.
set -euo pipefail

tar=$1
shift
[ ! -s "$tar" ] || [ "$(cat "$tar.packages" 2>/dev/null)" != "$*" ] || exit 0

# shellcheck source=/dev/null
. /etc/os-release
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
    [ ! -s "$file" ] || sources+=("$file")
done
mkdir -p "$(dirname "$tar")"
packages=$*
mmdebstrap --quiet --variant=apt --include="${packages// /,}" "$VERSION_CODENAME" "$tar.new.tar" \
    "${sources[@]}" </dev/null >&2
mv "$tar.new.tar" "$tar"
printf '%s\n' "$*" >"$tar.packages"
