/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * channel.h: a request's calls of httpd's response door; channel.c.
 */
#ifndef DOOR_APP_CHANNEL_H
#define DOOR_APP_CHANNEL_H

#include <stdint.h>

#include "caller.h"
#include "memory.h"
#include "wire.h"

/* In the request, and its thread's; zeroed has nothing to be closed. */
struct door_rt_channel {
    struct door_rt_caller *caller; /* held; NULL: there is no response door */
    const char *token;             /* names the request there */
    struct door_rt_buffer *buffer; /* the thread's: what is sent next is made there */
    int failed;  /* errno of what makes the response incomplete, or 0 */
    int no_body; /* nobody wants what is written from now on */

    /* Calls that overlap with what the handler does, each NULL before it is needed. */
    struct door_async *written[2], *read[2];
    unsigned written_at, read_at; /* the one that is written next, or looked at */
    unsigned unsettled;           /* bits: what became of these written ones is not known */
    unsigned reads;               /* how many were begun and not looked at */
    int reads_ahead;              /* what comes comes faster than it is read */
    int is_doubled;               /* two parts may be under way */

    /* The client, as far as is known. */
    int client;       /* DOOR_APP_CLIENT_* */
    int64_t asked_ns; /* when that was */
};

/* Gives back all that it holds. */
void door_rt_channel_close(struct door_rt_channel *channel);

/*
 * One call that an ACK answers, when no other one runs: 0, or -1 and errno.  EPIPE:
 * nobody is there (any more).
 */
int door_rt_channel_call(struct door_rt_channel *channel, door_arg_t *arg);

/*
 * Sends a message that is in the buffer, and with it the descriptor fd, which is closed
 * then, unless it is -1.  0, or -1 and errno, which is in failed, too; the buffer is
 * empty.  Without DOOR_WIRE_FLUSH what becomes of it may show later.
 */
int door_rt_channel_send(struct door_rt_channel *channel, char *message, size_t len, int fd,
                         unsigned flags);

/* Has the buffer be in a part's memory; or -1: errno, also in failed. */
int door_rt_channel_make_room(struct door_rt_channel *channel);

int door_rt_channel_has_parts(const struct door_rt_channel *channel); /* this response has */
int door_rt_channel_is_quiet(const struct door_rt_channel *channel);  /* the last of them has left us */

/*
 * The next part of the request's body: a reply that stays until the next one; or -1, errno.
 * With DOOR_WIRE_NO_WAIT it may be empty.
 */
int door_rt_channel_read(struct door_rt_channel *channel, unsigned flags, char **reply,
                         size_t *len);

/*
 * Has httpd wait until more of the body has come, which is 1, or fd can be read, or the time
 * is over: 0.  -1: errno, ENOTSUP it does not know how.
 */
int door_rt_channel_wait(struct door_rt_channel *channel, int fd, int timeout_ms);

/* The reply in len bytes that httpd may change, its head copied to head: 0, or -1, EPROTO. */
int door_rt_read_reply(struct door_wire_reader *answer, const char *reply, size_t len, char *head,
                       size_t cap);

/* Waits until no call runs.  What went wrong with what was written is in failed. */
void door_rt_channel_settle(struct door_rt_channel *channel);

/* Whether the client is there, as door_app_client_gone() says it. */
int door_rt_channel_client(struct door_rt_channel *channel);

#endif
