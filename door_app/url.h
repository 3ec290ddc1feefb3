/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * url.h: percent-encoding; url.c.
 */
#ifndef DOOR_APP_URL_H
#define DOOR_APP_URL_H

/*
 * Decodes text where it is.  A "%" without two digits stands for itself, as
 * browsers have it.  -1 with EBADMSG if a NUL would be inside, which no text of
 * C can hold.
 */
int door_rt_decode(char *text, int plus_is_space);

#endif
