/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.h: one launched application, as the files that deal with it see it.
 */
#ifndef MOD_DOOR_APP_H
#define MOD_DOOR_APP_H

#include "mod_door.h"
#include "supervisor.h"

/* A launched application, of this configuration. */
struct mod_door_app {
    const char *name;
    int row;                           /* on the board */
    apr_uint32_t instances;            /* as many as are to be up */
    struct app_definition *definition; /* NULL: it is wrong, what runs stays */
    int is_told;                       /* the supervisor has that definition */
    const char *output;                /* where what it prints goes; NULL: to the server's log */
    int output_fd;                     /* that, or -1 */
    int output_is_raw;                 /* as it prints it, not as httpd's logs are */
};

#endif
