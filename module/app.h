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
    apr_uint32_t instances;            /* how many processes are to be up */
    struct app_definition *definition; /* NULL: there is none to send; what runs stays as it is */
    int is_told;                       /* the supervisor has been sent the definition */
    const char *output;                /* output= of DoorApp; NULL: the server's error log */
    int output_fd;                     /* the open output, or -1 */
    int output_is_raw;                 /* lines are written as printed, not as log lines */
};

#endif
