/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * url.h: percent-encoding; url.c.
 */
#ifndef DOOR_APP_URL_H
#define DOOR_APP_URL_H

/*
 * Decodes text in place.  A "%" without two hexadecimal digits is left as it is, as in
 * browsers.  Returns 0, or -1 with EBADMSG if the result would contain a NUL.
 */
int door_rt_decode(char *text, int plus_is_space);

#endif
