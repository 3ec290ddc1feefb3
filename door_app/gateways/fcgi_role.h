/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_role.h: what a FastCGI program is given in each of the three roles, whether it is
 * asked over a connection or called.  It knows requests, and nothing of records.
 *
 * A role is the specification's number (FCGI_RESPONDER and so on).
 */
#ifndef DOOR_APP_GATEWAYS_FCGI_ROLE_H
#define DOOR_APP_GATEWAYS_FCGI_ROLE_H

#include <sys/stat.h>

#include <door_app.h>

/* The role of that name, as a command line has it: "responder" and so on; 0: there is none. */
int fcgi_role_number(const char *name);

/* What FCGI_ROLE says. */
const char *fcgi_role_name(int role);

/* Whether a program in that role gets the variable: an authorizer does not get all. */
int fcgi_role_has(int role, const char *variable);

/*
 * The file that a filter filters: the one that the URL is mapped to.
 *
 * Owner:   the descriptor is the caller's.
 * Returns: it, and *st is about it; or -1 and errno: ENOENT also if it is no regular file.
 */
int fcgi_role_open_file(struct door_app_request *req, struct stat *st);

#endif
