/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * line.h: the door's requests, for threads that wait for them.  It runs the door, and
 * knows nothing of streams.
 */
#ifndef DOOR_FCGI_LINE_H
#define DOOR_FCGI_LINE_H

#include <door_app.h>

/* A request on its way to a thread of the program and back. */
struct line_place;

/* Serves the door, from the first call on: 0, or an errno value. */
int line_open(void);

/*
 * The next request, which is this thread's until line_leave(): blocks until there is one.
 * NULL: there will be none.  *is_question: it asks whether another request may pass.
 */
struct line_place *line_enter(struct door_app_request **req, int *is_question);
void line_leave(struct line_place *place);

/*
 * From now on there will be none: those that nobody has taken are answered with 503, and
 * line_enter() comes back when those that somebody has are answered.  A signal handler may
 * call it.
 */
void line_close(void);

#endif
