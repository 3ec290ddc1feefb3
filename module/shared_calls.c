/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shared_calls.c: the table of calls (supervisor/calls.h) in httpd.  httpd's parent makes it
 * once, and it outlives restarts.  A table that another build of the module has made is not
 * used.
 */
#include <errno.h>
#include <string.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>

#include "mod_door.h"
#include "shared_calls.h"
#include "build.h"

#define RETAINED_KEY "mod_door calls"

static struct retained {
    char build[MOD_DOOR_BUILD_MAX];
    struct calls *calls;
} *retained;

struct calls *mod_door_calls(void)
{
    return retained != NULL ? retained->calls : NULL;
}

apr_status_t mod_door_make_calls(void)
{
    struct calls *calls;

    retained = ap_retained_data_get(RETAINED_KEY);
    if (retained != NULL && !strcmp(retained->build, mod_door_build)) {
        calls_forget_dead(retained->calls); /* children that ended while this was not loaded */
        return APR_SUCCESS;
    }
    retained = NULL;
    calls = calls_make();
    if (calls == NULL)
        return errno;
    retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    apr_cpystrn(retained->build, mod_door_build, sizeof(retained->build));
    retained->calls = calls;
    return APR_SUCCESS;
}

void mod_door_note_child(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                         mpm_child_status status)
{
    (void)s;
    (void)generation;
    (void)slot;
    if (status == MPM_CHILD_EXITED && retained != NULL)
        calls_forget_child(retained->calls, pid);
}
