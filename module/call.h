/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.h: a request's call, from the door that it goes to until its result is there.
 */
#ifndef MOD_DOOR_CALL_H
#define MOD_DOOR_CALL_H

#include "mod_door.h"

/* How long nobody need take the call of a door of which nothing is said. */
#define MOD_DOOR_WAIT_MAX MOD_DOOR_QUEUE_TIMEOUT

int mod_door_is_raw(const struct mod_door_call *call);

/* How long the application may take: for the call, or until it goes on; 0 for ever. */
apr_interval_time_t mod_door_timeout(const struct mod_door_call *call);

/* It is the application's turn: it has that time from now on.  It is httpd's: it has not. */
void mod_door_give_turn(struct mod_door_call *call);
void mod_door_take_turn(struct mod_door_call *call);

/*
 * While nobody has taken the call: APR_SUCCESS, or why it waits no longer:
 * MOD_DOOR_EBUSY its time is up, or ETIMEDOUT where that is DoorTimeout; MOD_DOOR_EGONE;
 * MOD_DOOR_ECUT httpd stops; MOD_DOOR_EMOVE it should go to another process.
 */
apr_status_t mod_door_check_wait(struct mod_door_call *call);

/* The note that the call has from now on, and until it is freed. */
void mod_door_begin_call(struct mod_door_call *call);
void mod_door_free_call(struct mod_door_call *call);

/*
 * The door to call: the one at the path, or that of a process of the
 * application, which may have to be waited for.
 */
apr_status_t mod_door_find_door(struct mod_door_call *call, struct mod_door_name *name,
                                struct mod_door **door);

/*
 * The request's message through the door: again if the application wants the
 * response door, or nobody has taken it, and through another one if that one takes no
 * more calls; *door may become another one, or NULL.
 */
apr_status_t mod_door_call_application(struct mod_door_call *call, struct mod_door_name *name,
                                       struct mod_door **door);

/* The result as a message: 0, or -1 and errno. */
int mod_door_read_message(const struct mod_door_call *call, enum door_wire_kind kind,
                          struct door_wire_reader *message);

#endif
