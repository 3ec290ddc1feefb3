#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# prove.sh [OPTION...] -- TEST... [:: ARGUMENT...]: runs the tests with prove(1).  Those that
# fail are run once more, one at a time: on a machine that others share, a test's time may run
# out.  Whoever fails again has failed.
#
#   TRIES  1: no second time
#   BUILD  the build folder; its second_try lists the tests that passed only the second time
set -u
together=() alone=() tests=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    together+=("$1")
    [[ $1 == -j* ]] || alone+=("$1")
    shift
done
[ $# -gt 0 ] || { echo "prove.sh: no -- before the tests" >&2; exit 2; }
shift
while [ $# -gt 0 ] && [ "$1" != :: ]; do
    tests+=("$1")
    shift
done
state=$(mktemp) || exit 1
trap 'rm -f "$state"' EXIT
trap 'exit 1' INT TERM HUP
rm "$state" # prove wants none, or its own

prove=(prove --failures --timer --statefile="$state")
"${prove[@]}" --state=save "${together[@]}" "${tests[@]}" "$@" && exit 0
failed=$("${prove[@]}" --state=failed --dry)
[ "${TRIES:-2}" -gt 1 ] && [ -n "$failed" ] || exit 1
# shellcheck disable=SC2086 # a list
echo "prove.sh: once more, one at a time:" $failed
"${prove[@]}" --state=failed "${alone[@]}" "$@" || exit 1
[ -z "${BUILD:-}" ] || printf '%s\n' "$failed" >>"$BUILD/second_try"
