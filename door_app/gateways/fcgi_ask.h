/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_ask.h: what a FastCGI program says of itself (FCGI_GET_VALUES).
 */
#ifndef DOOR_APP_GATEWAYS_FCGI_ASK_H
#define DOOR_APP_GATEWAYS_FCGI_ASK_H

/*
 * How many connections the program takes at a time, asked on a connection of its own:
 * some programs close it then.
 *
 * Owner:   fd stays the caller's; a read from it must not wait for ever.
 * Blocks:  for two of the socket's time-outs at most.
 * Returns: the number, or 0: it does not say.
 */
unsigned fcgi_ask_max_conns(int fd);

struct fcgi_piece;

/* The same of an answer. */
unsigned fcgi_max_conns(const struct fcgi_piece *piece);

#endif
