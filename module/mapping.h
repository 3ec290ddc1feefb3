/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mapping.c: which requests go to doors, and how URLs become SCRIPT_NAME and PATH_INFO.
 */
#ifndef MOD_DOOR_MAPPING_H
#define MOD_DOOR_MAPPING_H

#include "mod_door.h"
#include "settings.h"

/* The beginning of r->filename for a request that is not mapped to the disk. */
#define MOD_DOOR_FILE_PREFIX "door:"

void mod_door_register_mapping(void);

/* Whether a door answers this request.  Known after the fixups. */
int mod_door_is_ours(const request_rec *r);

/* Whether the request has no file name, so that no file on the disk belongs to it. */
int mod_door_has_no_file(const request_rec *r);

/* Whether AcceptPathInfo forbids what the URL has behind the file's name. */
int mod_door_rejects_path_info(const request_rec *r, const struct mod_door_config *conf);

/* How many bytes of r->uri are SCRIPT_NAME; PATH_INFO is the rest. */
apr_size_t mod_door_script_len(const request_rec *r, const struct mod_door_config *conf);

#endif
