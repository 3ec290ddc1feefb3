# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For demo.sh and suite.sh: which httpd this is, its modules, and how to run
# things without root's rights.  To be sourced; starts nothing by itself.

APXS=${APXS:-apxs}

httpd_program() {
    local name
    name=$("$APXS" -q PROGNAME 2>/dev/null)
    [ -n "$name" ] || name=$("$APXS" -q TARGET)
    echo "$("$APXS" -q SBINDIR)/$name"
}

# load_modules NAME...: LoadModule lines for those that are not linked in.
load_modules() {
    local dir name
    dir=$("$APXS" -q LIBEXECDIR)
    for name; do
        [ -e "$dir/mod_$name.so" ] || continue
        echo "<IfModule !mod_$name.c>"
        echo "    LoadModule ${name}_module \"$dir/mod_$name.so\""
        echo "</IfModule>"
    done
}

# fill_in NAME=VALUE... <TEMPLATE: each @NAME@ replaced; values may have lines.
fill_in() {
    local text pair
    text=$(cat)
    for pair; do
        text=${text//"@${pair%%=*}@"/"${pair#*=}"}
    done
    printf '%s\n' "$text"
}

# as_user USER COMMAND...: with that user's rights; as ourselves if USER is ''.
# The command gets SIGTERM if this shell dies without having stopped it.
as_user() {
    local user=$1 setpriv
    shift
    setpriv=$(command -v setpriv || true)
    if [ -n "$user" ] && [ -n "$setpriv" ]; then
        exec "$setpriv" --reuid "$user" --regid "$(id -g "$user")" --init-groups \
            --pdeathsig TERM "$@"
    elif [ -n "$user" ]; then
        # shellcheck disable=SC2016 # for the inner shell
        exec su -s /bin/sh "$user" -c 'exec "$0" "$@"' -- "$@"
    elif [ -n "$setpriv" ]; then
        exec "$setpriv" --pdeathsig TERM "$@"
    fi
    exec "$@"
}
