/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * outputs.c: where the output that applications print goes.
 */
#ifndef MOD_DOOR_OUTPUTS_H
#define MOD_DOOR_OUTPUTS_H

#include <apr_hash.h>

#include "mod_door.h"

/* What is wrong with an output= whose form is valid, or NULL. */
const char *mod_door_check_output(apr_pool_t *pool, server_rec *main_server, const char *output);

/* Opens the outputs of apps (name: struct mod_door_app *), after httpd has opened its own logs. */
void mod_door_open_outputs(apr_pool_t *config_pool, server_rec *main_server, apr_hash_t *apps);

#endif
