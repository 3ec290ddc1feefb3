/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * overlap.c: rules for the disk that do not apply to a door.
 */
#ifndef MOD_DOOR_OVERLAP_H
#define MOD_DOOR_OVERLAP_H

#include "mod_door.h"
#include "settings.h"

/* Before a configuration is read: forgets the last one. */
void mod_door_forget_locations(apr_pool_t *config_pool);

/* Notes a DoorHandler that is in a <Location>. */
void mod_door_note_location(const struct mod_door_config *conf, const ap_directive_t *where,
                            const server_rec *server);

/*
 * Logs which rules of <Directory> and .htaccess do not apply to these doors.
 * flags: APLOG_STARTUP or 0.
 */
void mod_door_warn_of_overlaps(apr_pool_t *temp_pool, server_rec *main_server, int flags);

#endif
