/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fastcgi.h: the numbers of the FastCGI specification that programs name.  Nothing of the
 * protocol is spoken here.
 */
#ifndef DOOR_FCGI_FASTCGI_H
#define DOOR_FCGI_FASTCGI_H

#define FCGI_LISTENSOCK_FILENO 0

#define FCGI_RESPONDER  1
#define FCGI_AUTHORIZER 2
#define FCGI_FILTER     3

#define FCGI_VERSION_1          1
#define FCGI_BEGIN_REQUEST      1
#define FCGI_ABORT_REQUEST      2
#define FCGI_END_REQUEST        3
#define FCGI_PARAMS             4
#define FCGI_STDIN              5
#define FCGI_STDOUT             6
#define FCGI_STDERR             7
#define FCGI_DATA               8
#define FCGI_GET_VALUES         9
#define FCGI_GET_VALUES_RESULT 10
#define FCGI_UNKNOWN_TYPE      11
#define FCGI_MAXTYPE           FCGI_UNKNOWN_TYPE

#define FCGI_KEEP_CONN 1

#define FCGI_REQUEST_COMPLETE 0
#define FCGI_CANT_MPX_CONN    1
#define FCGI_OVERLOADED       2
#define FCGI_UNKNOWN_ROLE     3

#define FCGI_MAX_CONNS  "FCGI_MAX_CONNS"
#define FCGI_MAX_REQS   "FCGI_MAX_REQS"
#define FCGI_MPXS_CONNS "FCGI_MPXS_CONNS"

#endif
