/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.h: the letters that are sent beside the calls of a channel: descriptors in both
 * directions, and from the client its credentials and the message that a call was given
 * up.  Each side reads a socket of its own making, and the peer has the other end.  No
 * peer may share the end that is read: it could block other readers, by reading into
 * memory that is not there.  The server reads the channel's control socket; the client
 * makes a socket when the server first asks for it.
 *
 * Any thread that waits for a letter empties the socket, and keeps the letters of other
 * slots for their threads.  A letter is always sent before the change in the slot that
 * announces it, so a thread that looks for one finds it.  Descriptors that no call waits
 * for are closed.
 */
#ifndef LIBDOOR_MAILBOX_H
#define LIBDOOR_MAILBOX_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "closer.h"
#include "fd.h"
#include "shm.h"

#define MAILBOX_MAX 4096 /* descriptors that one call or result can carry */

enum letter_kind {
    LETTER_DESCRIPTORS = 1, /* descriptors of a call, or of a result */
    LETTER_CREDENTIALS,     /* the sender's, checked by the kernel */
    LETTER_ABANDONED        /* the call in slot was given up */
};

struct letter {
    uint32_t magic;
    uint16_t kind; /* enum letter_kind */
    uint16_t slot;
    uint32_t call; /* number of the slot's call that it belongs to */
    uint32_t which; /* LETTER_CREDENTIALS: 0 effective, 1 real, 2 saved */
};

/* A caller's credentials, which the kernel has checked. */
struct credentials {
    struct ucred ids[3]; /* effective, real, saved */
    unsigned count;      /* how many of the ids have come */
    int socket;          /* made by the caller, so that SO_PEERGROUPS tells its groups; or -1 */
};

struct pigeonhole; /* a slot's letters */

struct mailbox {
    pthread_mutex_t lock; /* guards the rest */
    struct own_fd in;     /* is read.  Server: the control socket; client: a socket of its own */
    struct own_fd out;    /* is written.  Client: the control socket; server: the client's socket */
    struct own_fd in_end; /* client: the other end of in, for the server */
    /* Called for each LETTER_ABANDONED; or NULL. */
    void (*abandoned)(struct mailbox *m, unsigned slot, uint32_t call);
    /* How many descriptors the slot's call takes, -1: no call waits; NULL in the server. */
    int (*welcome)(const struct mailbox *m, unsigned slot);
    struct closer_account *account; /* for descriptors that are closed */
    _Atomic unsigned held; /* descriptors in all pigeonholes */
    struct pigeonhole *slot[SHM_SLOT_COUNT]; /* made when needed, and kept */
};

/*
 * in, out: sockets that are hidden already, or -1; the mailbox takes them over.  peer: the
 * user who sends letters, or -1 if not known; descriptors are closed on an account of that
 * user.  The client has a welcome function, since results come without a request; the server
 * calls mailbox_expect() for each letter that it wants.
 */
void mailbox_init(struct mailbox *m, int in, int out, uid_t peer,
                  void (*abandoned)(struct mailbox *m, unsigned slot, uint32_t call),
                  int (*welcome)(const struct mailbox *m, unsigned slot));
void mailbox_destroy(struct mailbox *m);

/* Closes the sockets, unless their numbers mean other files now. */
void mailbox_close_sockets(struct mailbox *m);

/* Shuts the control socket down, so that both sides notice the end of the channel. */
void mailbox_shut(const struct mailbox *m);

/*
 * Sends count descriptors for a call.  Waits while the socket is full, at most
 * until deadline_ns (0: for ever).  Returns 0, or -1 and errno: EINTR, ETIMEDOUT, EMFILE,
 * EPIPE; EBADF one of the descriptors is not open.
 */
int mailbox_send(struct mailbox *m, unsigned slot, uint32_t call, const int *fds, unsigned count,
                 int64_t deadline_ns);

/*
 * In the client: sends the other end of the socket that it reads, which is made if there is
 * none.  Errors as mailbox_send().
 */
int mailbox_offer(struct mailbox *m, unsigned slot, uint32_t call, int64_t deadline_ns);

/*
 * In the server: takes over fd, which a client has sent, and sends to it from now on, unless
 * there is such a socket already.  Returns 0, or -1 if there is none then.
 */
int mailbox_accept(struct mailbox *m, int fd);

/* Whether there is a socket to send to. */
int mailbox_can_send(struct mailbox *m);

/* Sends the calling process's credentials.  Returns 0, or -1. */
int mailbox_send_credentials(struct mailbox *m, unsigned slot, uint32_t call);

/* Tells the server that the call was given up.  It does not matter if this fails. */
void mailbox_send_abandoned(struct mailbox *m, unsigned slot, uint32_t call);

/*
 * From now on keeps up to count descriptors for this call, and credentials, until they are
 * taken, or until mailbox_close().  Returns 0, or -1 with ENOMEM.
 */
int mailbox_expect(struct mailbox *m, unsigned slot, uint32_t call, unsigned count);

/* Closes what was kept for the slot, and keeps nothing more. */
void mailbox_close(struct mailbox *m, unsigned slot);

/*
 * Takes the count descriptors that were sent for a call; they are close-on-exec, and the
 * caller's.  Returns -1 with EMFILE if this process could not receive them all, EPROTO if
 * they have not come; then none is kept.
 */
int mailbox_take(struct mailbox *m, unsigned slot, uint32_t call, int *fds, unsigned count);

/* Takes the credentials that were sent for a call.  The caller closes credentials->socket. */
int mailbox_take_credentials(struct mailbox *m, unsigned slot, uint32_t call,
                             struct credentials *credentials);

/*
 * Empties the socket.  Returns 0; 1 if too many descriptors wait to be closed, so that nothing
 * may be read for now; or -1 if the channel has ended.
 */
int mailbox_read(struct mailbox *m);

#endif
