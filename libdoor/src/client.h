/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client.h: the calling side of the transport.  A client_channel is this
 * process's way into one open door: the memory it shares with the server, a
 * bell, and a control socket that ends when either process does.
 *
 * Channels are found by the door descriptor's socket, made at the first call,
 * and shared by all threads.  A channel is referred to by the table, for as
 * long as the server keeps the control socket open, and by every call that
 * runs; the last one frees it.
 */
#ifndef LIBDOOR_CLIENT_H
#define LIBDOOR_CLIENT_H

#include <stdint.h>
#include <sys/types.h>

#include <door.h>
#include <door_compat.h>

#include "shm.h"

struct client_channel;

/* The right to make one call: a channel, referred to, and a slot in it. */
struct client_seat {
    struct client_channel *ch;
    unsigned slot;
};

/*
 * Asks the server of the door d.  Fills *answer, and fds with the count
 * descriptors that belong to it, which the caller then owns.
 * deadline_ns: when to give up, 0 for never.
 *
 * Errors: EBADF d is no door, or its server is gone; EINTR; ETIMEDOUT; EMFILE;
 * EPROTO the server's answer makes no sense; any the server answered with.
 */
int client_ask(int d, enum msg_op op, int pass_fd, int64_t deadline_ns, struct msg_answer *answer,
               int *fds, unsigned count);

/*
 * A seat for a call on d, which client_call() uses up.  Waits while another
 * thread makes the channel.
 * Errors: EBADF d is no door, or its server is gone; EINTR, ETIMEDOUT, EMFILE,
 * ENOMEM, EAGAIN, EPROTO.
 */
int client_acquire(int d, int64_t deadline_ns, struct client_seat *seat);

/*
 * One call: arguments from *arg, results to *arg as door_call(3C) says, or lent if
 * loan is not NULL and they are large.  deadline_ns: NULL or 0 for never; it may move
 * meanwhile.  Gives the seat back, or leaves it to the loan.
 */
int client_call(struct client_seat seat, door_arg_t *arg, const _Atomic int64_t *deadline_ns,
                struct door_loan *loan);

/* The seat's memory for arguments, at least size bytes; NULL: E2BIG, EAGAIN. */
char *client_buffer(struct client_seat seat, size_t size);

/*
 * Hands over a call whose argument is in that buffer: at once, or once the call is
 * over that was begun from the slot behind of the same channel (SHM_NEXT_NONE: no
 * such).  0, or -1, and nobody has seen the call: EBADF the door is revoked, EBUSY
 * another call has been queued behind that one.
 */
int client_begin(struct client_seat seat, const char *data, size_t size, unsigned behind);

/* Whether client_end() would not wait. */
int client_is_over(struct client_seat seat);

/*
 * Waits for the call that was begun.  0 and its result, which stays until the seat is
 * used again (descriptors are closed), or -1 with door_call()'s errno; the seat is
 * gone, its channel NULL, if the server still has it.
 */
int client_end(struct client_seat *seat, int was_queued, char **result, size_t *size);

/* Gives the seat back, in which a call may still run: nobody will ask for its result. */
void client_leave(struct client_seat seat, int runs, int was_queued);

#endif
