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
    const char *said_program;        /* as it was written */
    const char *user, *group;        /* names, or NULL: httpd's */
    char *const *watched;            /* paths, with a NULL at the end; or NULL: none */
};

/*
 * Looks for it, and writes to the definition which program it is and whom it
 * runs as.  NULL, or what is missing.
 */
const char *mod_door_find_needs(apr_pool_t *pool, const struct mod_door_needs *needs,
                                struct app_definition *def);

/*
 * Of what is there, and whose user is known: adds to hints (const char *) why the program
 * will hardly run.
 */
void mod_door_doubt_program(apr_pool_t *pool, const struct mod_door_needs *needs,
                            const struct app_definition *def, const char *search_path,
                            apr_array_header_t *hints);

#endif
