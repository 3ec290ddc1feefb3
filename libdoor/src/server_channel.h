/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_channel.h: one client process's calls of one door, as the server sees them:
 * the memory that both share, a bell, and a control socket that ends when either
 * process does.  The only code that believes what a client wrote, after it has looked.
 *
 * Owners: the loop has one reference, a pool's queue and each thread that runs a call
 * others.  Who has taken a call has its slot on this side, and the slot's window.
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

/* What the pool does when something comes that is no call; in the loop thread. */
struct channel_events {
    void (*ended)(struct server_channel *ch); /* no more calls: forget it */
    /* The caller of that slot's call, as its client numbers them, has given it up. */
    void (*abandoned)(struct server_channel *ch, unsigned slot, uint32_t call);
};

struct server_channel {
    struct watch control; /* first: the loop hands us this */
    struct mailbox mailbox;
    const struct channel_events *events;
    LIST_ENTRY(server_channel) link; /* connection's; loop thread only */
    int is_linked;                   /* loop thread only */
    STAILQ_ENTRY(server_channel) ready_link; /* pool->ready, under pool->lock */
    int is_ready;                            /* under pool->lock: queued there */
    struct door_reference *reference; /* of the descriptor that it came by; held */
    struct door *door;                /* the reference's */
    uint64_t id;           /* in the pool's table; never used again */
    _Atomic unsigned refs; /* the loop's, the queue's, and running threads' */
    _Atomic unsigned running;
    _Atomic int orphan; /* the connection ended: close when nothing runs */
    _Atomic int gone;   /* the client is */
    _Atomic uint32_t reply_count; /* numbers the replies, for their letters */
    struct own_fd memory;
    struct own_fd bell; /* our end of it; never read: fd_bell() */
    struct ucred who;         /* whose descriptors it costs, */
    struct quota_share share; /* those that each has, */
    struct quota_share delivery_share; /* and the one to send replies' to */
    _Atomic int is_delivery_charged;
    void *shm;
    _Atomic unsigned cursor; /* where to look for the next call */
    _Atomic uint64_t busy[SHM_WORD_COUNT]; /* slots whose calls run */
    int64_t given_up[SHM_SLOT_COUNT]; /* 1 + the last call that was; under its pool's lock */
    struct shm_window window[SHM_SLOT_COUNT]; /* each its call's thread's */
};

/*
 * Whether this process may make channels at all: 0, or -1 with EFBIG (RLIMIT_FSIZE is
 * too low) or what there is against a memory file, as ENOSYS.
 */
int server_channel_allowed(void);

/*
 * A channel to the door of that reference, at the expense of who asked for it, which
 * nobody watches yet.  Takes bell_fd over, which came from there.  *client_control: the
 * client's end, for the caller to send and close.  NULL and errno: EMFILE over quota,
 * EPROTO that is no bell.
 */
struct server_channel *server_channel_create(struct door_reference *reference,
                                             const struct ucred *who, int bell_fd,
                                             const struct channel_events *events,
                                             int *client_control);

/* From now on the loop hears of its letters, and of its end; 0, or -1. */
int server_channel_watch(struct server_channel *ch);
void server_channel_hold(struct server_channel *ch);
void server_channel_release(struct server_channel *ch);

/* Loop thread: its connection has ended; what runs may finish. */
void server_channel_orphan(struct server_channel *ch);

/* The peer broke the rules, or nothing more can come: the channel is shut. */
void server_channel_condemn(struct server_channel *ch);

/* Its door is revoked: callers hear of it, those that wait at once. */
void server_channel_revoke(struct server_channel *ch);

/* Takes one pending call: its slot, or -1. */
int server_channel_take(struct server_channel *ch);

/* How many calls wait to be taken; a peer may make it say anything. */
unsigned server_channel_pending(struct server_channel *ch);

/* Callers need not ring for now: 1 if that is news, and then heard() must follow. */
int server_channel_look_out(struct server_channel *ch);

/* The bell was heard, or nobody looks out: from now on callers ring again. */
void server_channel_heard(struct server_channel *ch);

/* What the caller says of its call in slot, read once. */
struct server_call {
    uint64_t arg_size;   /* bytes */
    uint64_t arg_at;     /* in the window, or SHM_IN_SLOT */
    unsigned desc_count; /* descriptors that it wants to send along */
    uint32_t number;     /* of the call, for its letters */
};

struct server_call server_channel_call(struct server_channel *ch, unsigned slot);

/*
 * Where the arguments of the call in slot are, which their caller can change; NULL
 * and the errno for the caller.
 */
char *server_channel_shared_arguments(struct server_channel *ch, unsigned slot,
                                      const struct server_call *call);

/*
 * Copies them to *buf, an mmap'ed buffer of *cap bytes that grows as needed.  0, or
 * -1 and the errno for the caller.
 */
int server_channel_arguments(struct server_channel *ch, unsigned slot,
                             const struct server_call *call, char **buf, size_t *cap);

/* Gives a buffer back that grew large. */
void server_channel_trim(char **buf, size_t *cap);

/* Memory of size bytes for the result of the call in slot; NULL with E2BIG or ENOMEM. */
char *server_channel_result_buffer(struct server_channel *ch, unsigned slot, size_t size);

/*
 * Puts the result of the call in slot in its place, unless it is in that buffer
 * already.  0, or -1 with E2BIG or ENOMEM: the call goes on.
 */
int server_channel_result(struct server_channel *ch, unsigned slot, const char *data, size_t size);

/*
 * Has the caller send the count descriptors of the call in slot, which become
 * ours.  0, or -1 and the errno for the caller.
 */
int server_channel_collect(struct server_channel *ch, unsigned slot, uint32_t number, int *fds,
                           unsigned count);

/*
 * Has the caller take count descriptors, which belong to the result.  0, or -1
 * with EMFILE: it could not, or takes no more than it said.
 */
int server_channel_deliver(struct server_channel *ch, unsigned slot, uint32_t number,
                           const int *fds, unsigned count);

/* Asks the caller of the call in slot who it is; 0, or -1 with EINVAL. */
int server_channel_identify(struct server_channel *ch, unsigned slot, uint32_t number,
                            struct credentials *credentials);

/* Ends the call in slot: wakes the caller with error and gives up the slot. */
void server_channel_reply(struct server_channel *ch, unsigned slot, int error);

#endif
