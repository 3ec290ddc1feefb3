/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * batch.c: how the threads that call doors are scheduled.
 */
#ifndef MOD_DOOR_BATCH_H
#define MOD_DOOR_BATCH_H

#include "mod_door.h"

/* DoorBatchScheduling, of the configuration. */
void mod_door_want_batch(int on);

/* For a thread that is about to call a door: sees to the scheduling of its process. */
void mod_door_schedule_caller(void);

#endif
