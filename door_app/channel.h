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

/* A member of the request, used by its thread only.  If it is zeroed, there is nothing to close. */
struct door_rt_channel {
    struct door_rt_caller *caller; /* with a reference; NULL: there is no response door */
    const char *token;             /* identifies the request there */
    struct door_rt_buffer *buffer; /* the thread's buffer, with the next message */
    int failed;  /* errno of why the response cannot be complete, or 0 */
    int no_body; /* the client gets no more of the body */

    /* Calls that run while the handler works; each is NULL until it is needed. */
    struct door_async *written[3], *read[2]; /* two parts, and what was flushed */
    unsigned written_at, read_at; /* the part that is written next, or taken next */
    int was_flushed;              /* once at least */
    int is_ahead;                 /* what is flushed may be under way while the handler goes on */
    unsigned unsettled;           /* a bit for each written one whose result is not known yet */
    unsigned reads;               /* how many reads were begun and not taken yet */
    int reads_ahead;              /* the body comes fast, so the next part is read in advance */
    int is_doubled;               /* two parts may be under way at once */

    /* What is known of the client. */
    int client;       /* DOOR_APP_CLIENT_* */
    int64_t asked_ns; /* when httpd was asked for it */
};

/* Releases all that the channel holds. */
void door_rt_channel_close(struct door_rt_channel *channel);

/*
 * Makes one call that is answered by an ACK, after all others have ended.  Returns 0, or -1 and
 * errno.  EPIPE: httpd does not wait for this request (any more).
 */
int door_rt_channel_call(struct door_rt_channel *channel, door_arg_t *arg);

/*
 * Sends the message in the buffer, and with it the descriptor fd (or -1), which is closed
 * afterwards.  Empties the buffer.  Returns 0, or -1 and errno, which is also in failed.
 * An error may be noticed only later, but not that of the first message with DOOR_WIRE_FLUSH.
 */
int door_rt_channel_send(struct door_rt_channel *channel, char *message, size_t len, int fd,
                         unsigned flags);

/* Moves the buffer into memory that httpd shares, for a part.  -1: errno, also in failed. */
int door_rt_channel_make_room(struct door_rt_channel *channel);

/* Whether the response has been sent in parts; and whether no part is under way now. */
int door_rt_channel_has_parts(const struct door_rt_channel *channel);
int door_rt_channel_is_quiet(const struct door_rt_channel *channel);

/*
 * Reads the next part of the request's body, as a reply that stays valid until the next read.
 * With DOOR_WIRE_NO_WAIT it may be empty.  Returns 0, or -1 and errno.
 */
int door_rt_channel_read(struct door_rt_channel *channel, unsigned flags, char **reply,
                         size_t *len);

/*
 * Has httpd wait until more of the body has come, fd can be read, or the time is over.  Returns
 * 1 if more of the body has come, otherwise 0; or -1 and errno: ENOTSUP httpd cannot do that.
 */
int door_rt_channel_wait(struct door_rt_channel *channel, int fd, int timeout_ms);

/*
 * Reads a reply of len bytes that httpd may still change.  Its head is copied to the cap bytes
 * at head first.  Returns 0, or -1 and errno.
 */
int door_rt_read_reply(struct door_wire_reader *answer, const char *reply, size_t len, char *head,
                       size_t cap);

/* Waits until no call runs.  An error of what was written is in failed then. */
void door_rt_channel_settle(struct door_rt_channel *channel);

/* Whether the client is still there, as a value of door_app_client_gone(). */
int door_rt_channel_client(struct door_rt_channel *channel);

#endif
