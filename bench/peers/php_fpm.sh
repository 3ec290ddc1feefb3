#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# php_fpm.sh SOCKET N: php-fpm, which lies beside this, with N processes behind a socket, and
# with the settings and extensions that php-cgi has.
settings=$(ls -d /etc/php/*/cgi | tail -n 1)
cat >"$1.conf" <<CONF
[global]
error_log = $1.log
[bench]
listen = $1
pm = static
pm.max_children = $2
clear_env = no
CONF
PHP_INI_SCAN_DIR=$settings/conf.d exec "$(dirname "$0")/php-fpm" -F -y "$1.conf" -c "$settings/php.ini"
