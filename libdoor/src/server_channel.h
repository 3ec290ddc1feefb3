/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_channel.h: the server's side of one client process's calls of one door: the
 * memory that both share, a bell, and a control socket that is closed when either process
 * ends.  Only this code reads what a client has written, and it checks everything.
 *
 * Owners: the loop, a pool's queue and each thread that runs a call have a reference
 * each.  The thread that has taken a call owns its slot on this side, and the slot's window.
 */
#ifndef LIBDOOR_SERVER_CHANNEL_H
#define LIBDOOR_SERVER_CHANNEL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "fd.h"
#include "loop.h"
#include "mailbox.h"
#include "quota.h"
#include "record.h"
#include "shm.h"

struct server_channel;

/* Functions of the pool for events that are no calls. */
struct channel_events {
    void (*ended)(struct server_channel *ch); /* no more calls can come: forget the channel */
    /* The caller has given up the slot's call with that number of the client. */
    void (*abandoned)(struct server_channel *ch, unsigned slot, uint32_t call);
};

struct server_channel {
    struct watch control; /* first, because the loop passes a pointer to it */
    struct mailbox mailbox;
    const struct channel_events *events;
    LIST_ENTRY(server_channel) link; /* in the connection's list; loop thread only */
    int is_linked;                   /* loop thread only */
    STAILQ_ENTRY(server_channel) ready_link; /* pool->ready, under pool->lock */
    int is_ready;                            /* it is in pool->ready; under pool->lock */
    struct door_reference *reference; /* of its descriptor, held by the channel, too */
    struct door *door;                /* the reference's */
    uint64_t id;           /* in the pool's table; never reused */
    _Atomic unsigned refs; /* of the loop, the queue, and threads that run calls */
    _Atomic unsigned running; /* calls that were taken and have no reply yet */
    _Atomic int orphan; /* the connection has ended: end when nothing runs */
    _Atomic int gone;   /* the client is gone */
    _Atomic uint32_t reply_count; /* numbers the replies, for their letters */
    struct own_fd memory;
    struct own_fd bell; /* the read end, which is never read; see fd_bell() */
    struct ucred who;         /* the client, to whom descriptors are charged */
    struct quota_share share; /* for the descriptors that each channel has */
    struct quota_share delivery_share; /* for the socket to which results' descriptors are sent */
    _Atomic int is_delivery_charged;
    void *shm;
    _Atomic unsigned cursor; /* the slot where to look for the next call */
    _Atomic uint64_t busy[SHM_WORD_COUNT]; /* slots whose calls run */
    int64_t given_up[SHM_SLOT_COUNT]; /* 1 + the slot's last abandoned call; under pool->lock */
    struct shm_window window[SHM_SLOT_COUNT]; /* each is used by its call's thread only */
};

/*
 * Whether this process can make channels.  Returns 0, or -1 with EFBIG (RLIMIT_FSIZE is too
 * low) or why no memory file can be made, such as ENOSYS.
 */
int server_channel_allowed(void);

/*
 * Makes a channel to the reference's door, which is not watched yet.  Its descriptors are
 * charged to who.  Takes bell_fd over, which came from the client.  *client_control becomes
 * the client's end, which the caller sends and closes.  Returns NULL and errno if it fails:
 * EMFILE over quota, EPROTO bell_fd is no bell.
 */
struct server_channel *server_channel_create(struct door_reference *reference,
                                             const struct ucred *who, int bell_fd,
                                             const struct channel_events *events,
                                             int *client_control);

/* Has the loop watch for letters and the channel's end.  Returns 0, or -1. */
int server_channel_watch(struct server_channel *ch);
void server_channel_hold(struct server_channel *ch);
void server_channel_release(struct server_channel *ch);

/* In the loop thread: the connection has ended.  Running calls may finish. */
void server_channel_orphan(struct server_channel *ch);

/* Shuts the channel: the peer has broken the rules, or nothing more can come. */
void server_channel_condemn(struct server_channel *ch);

/* Refuses new calls of a revoked door, and ends those that wait. */
void server_channel_revoke(struct server_channel *ch);

/* Takes one pending call.  Returns its slot, or -1 if there is none. */
int server_channel_take(struct server_channel *ch);

/* How many calls wait to be taken; none if the client is gone.  A hostile one can make it any number. */
unsigned server_channel_pending(struct server_channel *ch);

/*
 * Tells callers that they need not ring for now.  Returns 1 if that was not so before; then
 * server_channel_heard() must follow.
 */
int server_channel_look_out(struct server_channel *ch);

/* After the bell was heard, or looking out has ended: callers must ring again. */
void server_channel_heard(struct server_channel *ch);

/* What the caller says of its call in the slot, read once. */
struct server_call {
    uint64_t arg_size;   /* bytes */
    uint64_t arg_at;     /* offset in the window, or SHM_IN_SLOT */
    unsigned desc_count; /* descriptors that the caller wants to send along */
    uint32_t number;     /* the client's number of the call, for its letters */
};

struct server_call server_channel_call(struct server_channel *ch, unsigned slot);

/*
 * The address of the arguments of the call in slot, which the caller can still change.  NULL,
 * and the errno for the caller, if they are not valid.
 */
char *server_channel_shared_arguments(struct server_channel *ch, unsigned slot,
                                      const struct server_call *call);

/*
 * Copies the arguments to *buf, an mmap()ed buffer of *cap bytes, which grows as needed.
 * Returns 0, or -1 and the errno for the caller.
 */
int server_channel_arguments(struct server_channel *ch, unsigned slot,
                             const struct server_call *call, char **buf, size_t *cap);

/* Frees such a buffer if it has grown large. */
void server_channel_trim(char **buf, size_t *cap);

/* Shared memory of size bytes for the result of the call in slot.  NULL with E2BIG or ENOMEM. */
char *server_channel_result_buffer(struct server_channel *ch, unsigned slot, size_t size);

/*
 * Copies the result to the shared memory, unless it is in that buffer already.  Returns 0, or
 * -1 with E2BIG or ENOMEM; then the call goes on.
 */
int server_channel_result(struct server_channel *ch, unsigned slot, const char *data, size_t size);

/*
 * Has the caller send the count descriptors of its call, and takes them over.  Returns 0, or
 * -1 and the errno for the caller.
 */
int server_channel_collect(struct server_channel *ch, unsigned slot, uint32_t number, int *fds,
                           unsigned count);

/*
 * Sends the result's count descriptors, and waits until the caller has taken them.  Returns 0,
 * or -1 with EMFILE if the caller could not take them, or takes fewer.
 */
int server_channel_deliver(struct server_channel *ch, unsigned slot, uint32_t number,
                           const int *fds, unsigned count);

/* Asks the caller of the call in slot for its credentials.  Returns 0, or -1 with EINVAL. */
int server_channel_identify(struct server_channel *ch, unsigned slot, uint32_t number,
                            struct credentials *credentials);

/* Ends the call in slot: gives the slot back, and wakes the caller with that error (or 0). */
void server_channel_reply(struct server_channel *ch, unsigned slot, int error);

#endif
