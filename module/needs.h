/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * needs.c: what an application needs from the system.
 */
#ifndef MOD_DOOR_NEEDS_H
#define MOD_DOOR_NEEDS_H

#include "mod_door.h"
#include "supervisor.h"

/* What an application needs from the system. */
struct mod_door_needs {
    const char *program, *directory; /* paths */
    const char *said_program;        /* as written in the configuration */
    const char *user, *group;        /* names; NULL: httpd's */
    char *const *watched;            /* paths, ended by a NULL; NULL: none */
};

/*
 * Looks for everything in needs.  Writes the identity of the program and its user and groups
 * into def.  Returns NULL, or what is missing.
 */
const char *mod_door_find_needs(apr_pool_t *pool, const struct mod_door_needs *needs,
                                struct app_definition *def);

/*
 * After mod_door_find_needs() has succeeded: adds to hints (const char *) why the program
 * will probably not run.
 */
void mod_door_doubt_program(apr_pool_t *pool, const struct mod_door_needs *needs,
                            const struct app_definition *def, const char *search_path,
                            apr_array_header_t *hints);

#endif
