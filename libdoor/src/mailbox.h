/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.h: what travels beside the calls of a channel: descriptors both ways, and
 * from the client credentials and the word that a call was given up.  Each side reads
 * a socket of its own making, whose other end the peer has: who shares a socket can
 * keep its readers waiting, by reading it into memory that is not there.  The server's
 * is the channel's control socket; the client makes one when the server first asks.
 *
 * Any thread that waits for a letter empties the socket and puts the letters
 * of other slots aside for their threads.  A letter always goes before the
 * change in the slot that announces it, so who looks for one finds it.  What
 * nobody waits for is closed as it comes.
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
    LETTER_DESCRIPTORS = 1, /* some of a call's, or of a result's */
    LETTER_CREDENTIALS,     /* the sender's, checked by the kernel */
    LETTER_ABANDONED        /* the call in slot was given up */
};

struct letter {
    uint32_t magic;
    uint16_t kind; /* enum letter_kind */
    uint16_t slot;
    uint32_t call; /* which of the slot's calls it belongs to */
    uint32_t which; /* LETTER_CREDENTIALS: 0 effective, 1 real, 2 saved */
};

/* What a caller is, as the kernel vouches for it. */
struct credentials {
    struct ucred ids[3]; /* effective, real, saved */
    unsigned count;      /* of ids that came */
    int socket;          /* made by the caller: SO_PEERGROUPS tells its groups; or -1 */
};

struct pigeonhole; /* a slot's letters */

struct mailbox {
    pthread_mutex_t lock; /* guards the rest */
    struct own_fd in;     /* what is read: the server's control socket; the client's own, or none */
    struct own_fd out;    /* what is written to: the client's control socket; or what it has sent */
    struct own_fd in_end; /* the client's: the other end of what it reads, for the server */
    /* Told of those letters; or NULL. */
    void (*abandoned)(struct mailbox *m, unsigned slot, uint32_t call);
    /* How many descriptors are welcome, -1: no call waits for any; or NULL. */
    int (*welcome)(const struct mailbox *m, unsigned slot);
    struct closer_account *account; /* for what is not kept */
    _Atomic unsigned held; /* descriptors in all pigeonholes */
    struct pigeonhole *slot[SHM_SLOT_COUNT]; /* made when needed, kept */
};

/*
 * in, out: descriptors of sockets that are hidden already, or -1, which become the mailbox's.
 * peer: whose letters come, -1 if that is not known; what is let go of is on an account
 * of that user.  The client's has a welcome, since results come unasked; the server says for
 * each letter that it wants with mailbox_expect().
 */
void mailbox_init(struct mailbox *m, int in, int out, uid_t peer,
                  void (*abandoned)(struct mailbox *m, unsigned slot, uint32_t call),
                  int (*welcome)(const struct mailbox *m, unsigned slot));
void mailbox_destroy(struct mailbox *m);

/* Closes the sockets, if the numbers still mean them. */
void mailbox_close_sockets(struct mailbox *m);

/* Both ends hear that the channel is done. */
void mailbox_shut(const struct mailbox *m);

/*
 * Sends count descriptors for a call.  Waits while the socket is full, at most
 * until deadline_ns (0: for ever).  0, or -1: EINTR, ETIMEDOUT, EMFILE, EPIPE,
 * EBADF one of them is not open.
 */
int mailbox_send(struct mailbox *m, unsigned slot, uint32_t call, const int *fds, unsigned count,
                 int64_t deadline_ns);

/*
 * The client: sends the other end of the socket that it reads, which is made if there is
 * none.  Errors as mailbox_send().
 */
int mailbox_offer(struct mailbox *m, unsigned slot, uint32_t call, int64_t deadline_ns);

/*
 * The server: from now on what is sent goes to fd, which came from a client; or there was
 * one already.  Takes fd over.  -1: that is no such socket.
 */
int mailbox_accept(struct mailbox *m, int fd);

/* Whether there is anything to send to. */
int mailbox_can_send(struct mailbox *m);

/* Sends the calling process's credentials, likewise. */
int mailbox_send_credentials(struct mailbox *m, unsigned slot, uint32_t call);

/* Says that the call was given up; whether it is heard does not matter. */
void mailbox_send_abandoned(struct mailbox *m, unsigned slot, uint32_t call);

/*
 * From now on up to count descriptors for this call are kept, and credentials,
 * until they are taken or mailbox_close() says that nobody waits.  0, or -1
 * with ENOMEM.
 */
int mailbox_expect(struct mailbox *m, unsigned slot, uint32_t call, unsigned count);

/* Closes what was kept for the slot, and keeps nothing more. */
void mailbox_close(struct mailbox *m, unsigned slot);

/*
 * The count descriptors (close-on-exec, the caller's) that were sent for a call.
 * -1 with EMFILE if this process could not take them all, EPROTO if they never
 * came; then none is left behind.
 */
int mailbox_take(struct mailbox *m, unsigned slot, uint32_t call, int *fds, unsigned count);

/* The credentials that were sent for a call; the caller closes ->socket. */
int mailbox_take_credentials(struct mailbox *m, unsigned slot, uint32_t call,
                             struct credentials *credentials);

/*
 * Empties the socket.  0; 1 if nothing is to be read for a moment, since so much waits to
 * be let go of; or -1 if the channel is done.
 */
int mailbox_read(struct mailbox *m);

#endif
