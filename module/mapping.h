/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mapping.c: which requests are a door's, and how URLs become SCRIPT_NAME and PATH_INFO.
 */
#ifndef MOD_DOOR_MAPPING_H
#define MOD_DOOR_MAPPING_H

#include "mod_door.h"
#include "settings.h"

/* Begins r->filename of a request that is not mapped onto the disk. */
#define MOD_DOOR_FILE_PREFIX "door:"

void mod_door_register_mapping(void);

/* Whether a door answers this request; once the fixups have run. */
int mod_door_is_ours(const request_rec *r);

/* Whether there is no file that it could be for. */
int mod_door_has_no_file(const request_rec *r);

/* Whether it has more behind a file's name than AcceptPathInfo lets it. */
int mod_door_rejects_path_info(const request_rec *r, const struct mod_door_config *conf);

/* How many bytes of r->uri are SCRIPT_NAME; PATH_INFO is the rest. */
apr_size_t mod_door_script_len(const request_rec *r, const struct mod_door_config *conf);

#endif
