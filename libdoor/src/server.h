/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server.h: the serving side of the transport: doors, who refers to them, and
 * the channels through which their calls come.
 *
 * Owners: a door lives for as long as something refers to it: a connection (an
 * open door descriptor somewhere), a listener (a name), or a channel.  The
 * loop thread owns connections, listeners and the control sockets of channels;
 * server threads hold references to the channels whose calls they run.
 *
 * Locks: server_lock guards the lists of connections and listeners, pool->lock
 * a pool's table of channels and its queue.  server_lock first.
 */
#ifndef LIBDOOR_SERVER_H
#define LIBDOOR_SERVER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <door.h>

#include "loop.h"
#include "mailbox.h"
#include "quota.h"
#include "shm.h"

struct pool;

/*
 * Three counts: refs keeps the memory; reachable counts what could still call
 * (names, descriptors, channels), foreign the same without the descriptor that
 * door_create() returned.
 */
struct door {
    _Atomic unsigned refs;
    _Atomic unsigned reachable;
    _Atomic unsigned foreign;
    STAILQ_ENTRY(door) unref_link; /* pool->unreferenced, under pool->lock */
    int unref_queued;              /* under pool->lock */
    int unref_done;                /* under pool->lock: DOOR_UNREF tells once */
    door_server_procedure_t *procedure;
    void *cookie;
    door_attr_t attributes; /* as given to door_create() */
    door_id_t id;
    _Atomic size_t data_max, data_min; /* bytes of argument data */
    _Atomic size_t desc_max;           /* argument descriptors */
    _Atomic int revoked;
    _Atomic int shares_arguments; /* door_share_arguments() */
    _Atomic int is_hidden;        /* door_hide_procedure() */
    struct pool *pool;
    int owns_pool; /* DOOR_PRIVATE */
    struct xcreate *xcreate; /* of door_xcreate(), owned; else NULL */
};

/* An open door descriptor, seen from its other end. */
struct connection {
    struct watch watch; /* first: the loop hands us this */
    LIST_ENTRY(connection) link;
    struct door *door;
    uint64_t client_cookie; /* the far end's socket if this process made it, else 0 */
    uint64_t listener_id;   /* the name it came by, or 0 */
    int is_creators;        /* the descriptor that door_create() returned */
    struct quota_share share; /* whose descriptor it costs, if it came by a name */
    LIST_HEAD(, server_channel) channels;
};

struct server_channel {
    struct watch control; /* first: the loop hands us this */
    struct mailbox mailbox;
    LIST_ENTRY(server_channel) link; /* connection's; loop thread only */
    int is_linked;                   /* loop thread only */
    STAILQ_ENTRY(server_channel) ready_link; /* pool->ready, under pool->lock */
    int is_ready;                            /* under pool->lock: queued there */
    struct door *door;
    uint64_t id;           /* in the pool's table; never used again */
    _Atomic unsigned refs; /* the loop's, the queue's, and running threads' */
    _Atomic unsigned running;
    _Atomic int orphan; /* the connection ended: close when nothing runs */
    _Atomic int gone;   /* the client is */
    _Atomic uint32_t reply_count; /* numbers the replies, for their letters */
    int memory_fd;
    int bell_fd;
    struct quota_share share; /* whose descriptors it costs */
    void *shm;
    _Atomic unsigned cursor; /* where to look for the next call */
    _Atomic uint64_t busy[SHM_WORD_COUNT]; /* slots whose calls run */
    struct shm_window window[SHM_SLOT_COUNT]; /* each its call's thread's, */
    uint32_t written[SHM_SLOT_COUNT];         /* and so is this: bytes that its caller had there */
};

void server_lock(void);
void server_unlock(void);
void server_lock_forked(void); /* in a forked child: nobody holds it */

/* door.c: references may be taken and given back by any thread. */
void door_hold(struct door *door);
void door_drop(struct door *door); /* the last one frees it */
uint64_t door_instance_id(void);   /* a number of this process's own */

/* One more that could call, with a reference, and one fewer. */
void door_refer(struct door *door, int is_creators);
void door_unrefer(struct door *door, int is_creators);

/*
 * A new door and its first descriptor; *made is a reference to it.  The
 * attributes are taken as they are.  -1 and errno.
 */
int door_make(door_server_procedure_t *procedure, void *cookie, door_attr_t attributes,
              struct door **made);

/* One more descriptor for door, close-on-exec; -1 and errno. */
int door_new_descriptor(struct door *door, int is_creators);

/* Fills in what the door's server tells anybody who asks. */
void door_describe(const struct door *door, struct msg_answer *answer);

/*
 * connection.c: the loop serves fd for door; takes fd over, and a reference.
 * client_cookie: the other end's socket, if this process has made it, else 0.
 */
int connection_add(struct door *door, int fd, uint64_t client_cookie, int is_creators);
void connection_forked(void);

/* The door, with a reference, if this process has made the descriptor d for it. */
struct door *door_find_local(int d);

/* The same however this process came by d; asks the door, which takes a moment. */
struct door *door_find_own(int d);

/* Whether this process may make channels at all: 0, or -1 with EFBIG: RLIMIT_FSIZE is too low. */
int server_channel_allowed(void);

/*
 * server_channel.c: makes a channel in door's pool, at the expense of who asked
 * for it.  *client_control is the client's end of its control socket, for the
 * caller to send and close.  NULL and errno: EMFILE over quota.
 */
struct server_channel *server_channel_create(struct door *door, const struct ucred *who,
                                             int *client_control);
void server_channel_hold(struct server_channel *ch);
void server_channel_release(struct server_channel *ch);

/* Loop thread: its connection has ended; what runs may finish. */
void server_channel_orphan(struct server_channel *ch);

/* The peer broke the rules, or nothing more can come: the channel is shut. */
void server_channel_condemn(struct server_channel *ch);
void server_channel_forked(struct server_channel *ch);

/* Its door is revoked: callers hear of it, those that wait at once. */
void server_channel_revoke(struct server_channel *ch);

/* Takes one pending call: its slot, or -1. */
int server_channel_take(struct server_channel *ch);

/* How many calls wait to be taken; a peer may make it say anything. */
unsigned server_channel_pending(struct server_channel *ch);

/* Callers need not ring for now: 1 if that is news, and then heard() must follow. */
int server_channel_look_out(struct server_channel *ch);

/* The bell was heard: from now on callers ring again. */
void server_channel_heard(struct server_channel *ch);

/* What the caller says of its call in slot, read once. */
struct server_call {
    size_t arg_size;     /* bytes */
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
 * with EMFILE: it could not.
 */
int server_channel_deliver(struct server_channel *ch, unsigned slot, const int *fds,
                           unsigned count);

/* Asks the caller of the call in slot who it is; 0, or -1 with EINVAL. */
int server_channel_identify(struct server_channel *ch, unsigned slot, uint32_t number,
                            struct credentials *credentials);

/* Ends the call in slot: wakes the caller with error and gives up the slot. */
void server_channel_reply(struct server_channel *ch, unsigned slot, int error);

#endif
