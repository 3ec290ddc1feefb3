/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * said_app.h: a DoorApp as it is written, shared by definitions.c, app_options.c and hints.c.
 */
#ifndef MOD_DOOR_SAID_APP_H
#define MOD_DOOR_SAID_APP_H

#include "app.h"
#include "needs.h"

#define MOD_DOOR_THREADS_DEFAULT 256
#define MOD_DOOR_THREADS_MAX     100000

/* One DoorApp, until it is checked. */
struct said_app {
    const ap_directive_t *where;
    const char *problem; /* what is wrong, or NULL */
    const char *missing; /* which need is missing, or NULL */
    apr_array_header_t *hints; /* const char *: what is valid, but probably not meant so */
    const char *command;
    struct mod_door_needs needs;
    char **argv;
    apr_array_header_t *env; /* char *, "NAME=value" */
    apr_array_header_t *watched; /* char *, paths, ended by a NULL */
    apr_uint32_t said_options; /* a bit for each option that was given */
    unsigned threads;        /* server threads of a process, if there is no DoorMaxConcurrent */
    struct app_definition numbers;
    struct mod_door_app app;
};

/* Sets the option "NAME=VALUE".  Returns NULL, or what is wrong with it. */
const char *mod_door_set_app_option(cmd_parms *cmd, struct said_app *app, const char *word);

/* Whether this is the name of an option. */
int mod_door_is_app_option(const char *name);

/*
 * Finds quotes around only a part of an option: word ends inside them, and rest has their
 * end.  Returns NULL, or an error text with the right form.
 */
const char *mod_door_check_quotes(apr_pool_t *pool, const char *word, const char *rest);

/* Reads a time such as "30s".  Returns NULL, or what is wrong with it. */
const char *mod_door_read_duration(const char *value, int64_t *ns);

#endif
