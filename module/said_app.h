/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * said_app.h: a DoorApp line, between definitions.c, app_options.c and hints.c.
 */
#ifndef MOD_DOOR_SAID_APP_H
#define MOD_DOOR_SAID_APP_H

#include "app.h"
#include "needs.h"

#define MOD_DOOR_THREADS_DEFAULT 256
#define MOD_DOOR_THREADS_MAX     100000

/* Until it is checked: one DoorApp line. */
struct said_app {
    const ap_directive_t *where;
    const char *problem; /* or NULL */
    const char *missing; /* of what it needs, or NULL */
    apr_array_header_t *hints; /* const char *: what works, and is hardly what was meant */
    const char *command;
    struct mod_door_needs needs;
    char **argv;
    apr_array_header_t *env; /* char *, "NAME=value" */
    apr_array_header_t *watched; /* char *, paths, and a NULL */
    apr_uint32_t said_options; /* a bit for each that may stand there once */
    unsigned threads;        /* server threads of a process, where DoorMaxConcurrent says nothing */
    struct app_definition numbers;
    struct mod_door_app app;
};

/* Sets the option "NAME=VALUE"; NULL, or what is wrong with it. */
const char *mod_door_set_app_option(cmd_parms *cmd, struct said_app *app, const char *word);

/* Whether that is the name of an option. */
int mod_door_is_app_option(const char *name);

/*
 * Of an option whose value begins with a quote that ends in rest, behind a space: NULL, or
 * how it should be written.
 */
const char *mod_door_check_quotes(apr_pool_t *pool, const char *word, const char *rest);

/* A time such as "30s"; NULL, or what is wrong with it. */
const char *mod_door_read_duration(const char *value, int64_t *ns);

#endif
