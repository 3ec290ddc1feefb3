/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * support.h: what the runtime's tests share: messages, and the way to run.
 */
#ifndef DOOR_APP_T_SUPPORT_H
#define DOOR_APP_T_SUPPORT_H

#include <check.h>

#include "serve.h"
#include "thread.h"

/* A message under construction, then complete: len bytes at bytes. */
struct message {
    struct door_wire_writer writer;
    size_t len;
    char bytes[16384];
};

void message_begin(struct message *message);
void message_field(struct message *message, enum door_wire_type type, const char *name,
                   const char *value);
void message_end(struct message *message, enum door_wire_kind kind, unsigned status,
                 const void *body, size_t body_len);

/* A request for path_info below script_name, complete, with no body. */
void message_get(struct message *message, const char *script_name, const char *path_info);

/* An answer, taken apart by hand. */
struct answer {
    struct door_wire_reader reader;
    struct door_rt_answer answer;
};

/* Has app answer the message on this thread. */
void ask(struct door_app *app, const struct message *message, struct answer *answer);

/* The number'th header of that name (from 0), or NULL. */
const char *answer_header(const struct answer *answer, const char *name, unsigned number);

void assert_body(const struct answer *answer, const char *text);

/* What this process and its new children say on stderr between the two. */
struct capture {
    int saved;
    int file;
    char text[1024]; /* filled by end_capture() */
};

void begin_capture(struct capture *capture);
void end_capture(struct capture *capture);

/* Runs the one test case of a program and prints TAP; the exit status. */
int run_tests(TCase *tests);

#endif
