#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# php_pool.sh SOCKET N: PHP behind a socket, with N processes, as a pool of php-fpm has them.
export PHP_FCGI_CHILDREN="$2" PHP_FCGI_MAX_REQUESTS=0
exec php-cgi -b "$1"
