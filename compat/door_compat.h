/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_compat.h: the few things that mod_door and door_app need beside the
 * doors API.  On Linux libdoor has them; on illumos compat/door_compat.c
 * does, on top of what the system offers.
 */
#ifndef DOOR_COMPAT_H
#define DOOR_COMPAT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <door.h>

/*
 * open(path, O_RDONLY | O_CLOEXEC | oflag) on a door's name, relative to the
 * directory dirfd (or AT_FDCWD).  Of oflag O_NOFOLLOW has a meaning.
 *
 * Returns a descriptor that the caller closes, or -1 and errno: ENOENT, EACCES,
 * ELOOP ... as open(2); ENXIO or EINVAL if path is something else than a door;
 * EBADF if the name is a door's but its server is gone.
 * Threads: any.  May block as open(2) does.
 */
int door_openat(int dirfd, const char *path, int oflag);

/*
 * Who attached the door that door_openat() has opened as d: the effective user id that
 * the process had which called fattach(), as the kernel tells.  The server may be
 * another user by now.  Of a descriptor that came in another way it tells who made that.
 *
 * 0 and *uid, or -1: EBADF d is no door; ENOTSUP the system does not tell.
 * Threads: any.
 */
int door_attached_by(int d, uid_t *uid);

/*
 * Closes fd, which a peer has sent, without waiting for it.  close(2) can block for as
 * long as the peer likes: a socket that lingers, one that has such a socket in its
 * queue, a file of its own file system.  -1 is allowed; errno stays.
 * Threads: any.
 */
void door_close_received(int fd);

/* The present time on the clock that deadlines are in, in nanoseconds. */
int64_t door_now_ns(void);

/*
 * What door_call() and door_return() copy between two processes is copied once more than
 * it need be on each side.  Some of what follows saves that, for data so large that it
 * matters.  Where the system cannot do better it is as correct, and no faster.
 *
 * Memory that is *shared* may be written by the other process at any time: what is to be
 * believed is copied first and then checked.
 */

/*
 * What a caller that calls a door often keeps, so that a call need not look for the way
 * to it.  d stays open, and the same door, until the handle is closed; where a call
 * finds that it is another one by now, it says EBADF.  The first call opens the way.
 *
 * Errors: NULL with EBADF d is no door; ENOMEM, EMFILE.
 * Threads: any number at once may call through one handle; nobody may when it is
 * closed, but what was begun through it may end later: a loan, a struct door_async.  In
 * a forked child calls say EBADF.
 */
struct door_handle;

struct door_handle *door_handle_open(int d);

/* NULL is allowed; errno stays. */
void door_handle_close(struct door_handle *handle);

/* A result that was lent to the caller; for door_end_loan() alone.  Zeroed: none. */
struct door_loan {
    void *owner;
    unsigned slot;
    void *mapping;
    size_t mapping_size; /* bytes */
};

/* A loan that is zeroed, or has ended, may be ended.  Threads: any, not in a forked child. */
void door_end_loan(struct door_loan *loan);

/*
 * What a caller wants of a call, and what it is told.  Zeroed: to wait for ever, for a
 * result without descriptors.
 */
struct door_terms {
    /*
     * When to give up, or never: NULL, or while it is 0.  Another thread may move it while
     * the call runs; a deadline that was moved later is honoured, one moved earlier may be
     * noticed up to a second late.
     */
    const _Atomic int64_t *deadline_ns;

    /*
     * When to give up if no server thread has taken the call by then; 0: no sooner.  Where
     * that cannot be known (illumos) it has no meaning.
     */
    int64_t take_by_ns;

    unsigned desc_max; /* descriptors that are taken with the result */

    /*
     * NULL, or: a result that does not fit into rbuf does not come as a new mapping, it is
     * lent.  rbuf and rsize stay, data_ptr is where it is, and it is there, shared, until
     * door_end_loan().  Its descriptors are the caller's own.  loan->owner and ->mapping
     * are NULL if nothing was lent.
     */
    struct door_loan *loan;

    /*
     * Told: 0, no thread took the call, and none ever will.  Where that cannot be known it
     * is 1 for each call that may have been taken.
     */
    int was_taken;
};

/*
 * door_call() on these terms; NULL is as zeroed ones.  A result with more descriptors
 * than desc_max is refused: the server's door_return() says EMFILE and it may reply again,
 * or the descriptors are closed here and the call says EMFILE.
 *
 * Errors: ETIMEDOUT, the call was given up (if it was taken, the server thread goes on to
 * its own end and its result is discarded); all of door_call()'s.  Signals that the
 * calling thread handles end it with EINTR.
 */
int door_handle_call(struct door_handle *handle, door_arg_t *params, struct door_terms *terms);

/*
 * Calls of one door, one after the other, whose caller does something else
 * meanwhile: for data that come and go in pieces.
 */
struct door_async;

/*
 * Makes what one call at a time can be made with, whose argument is up to size bytes.
 * Ends with door_async_close(), before or after the handle.
 *
 * Errors: NULL with EBADF, EINTR, EMFILE, ENOMEM, EAGAIN as door_call(); E2BIG.
 * Threads: any, also for the functions below; one at a time for each of these.  A
 * forked child must not.
 */
struct door_async *door_async_open(struct door_handle *handle, size_t size);

/*
 * Where an argument is made: size bytes, shared, undefined at first.  They are there
 * until the call has begun, and again once it has ended, maybe elsewhere.  NULL with
 * EINVAL: the call is lost, see door_async_end().
 */
char *door_async_buffer(struct door_async *call);

/*
 * Begins a call with the len bytes at data, which are in the buffer.  If another one
 * of that door, behind, is given that has not ended, the door's server gets this call
 * only when that is over, and soon.  (Where there is no better way this *is* the
 * call, and returns when it is over.)
 *
 * Errors: -1 with EBADF the door is revoked; EINVAL it runs already, or is lost;
 * EBUSY it cannot go behind the other one, which must be ended first.
 */
int door_async_begin(struct door_async *call, const char *data, size_t len,
                     const struct door_async *behind);

/* Whether door_async_end() would return at once. */
int door_async_is_over(const struct door_async *call);

/*
 * Waits for the call that has begun.  Its result is shared, and there until something is
 * written into the buffer or the next call begins; until then it can be asked for again.
 * Descriptors are not taken: door_return() says EMFILE in the server, or they are closed
 * here.  While nobody is here, a procedure that asks
 * who calls, or returns descriptors, is told after a second that it cannot.
 *
 * Errors: -1 with EINVAL none has begun; those of door_call().  With EINTR this call
 * runs on, and there will be no other one.
 */
int door_async_end(struct door_async *call, char **result, size_t *result_size);

/* Gives up the call if it runs.  NULL is allowed; errno stays. */
void door_async_close(struct door_async *call);

/*
 * From now on the arguments of calls of d, a door of this process, may be shared;
 * otherwise they are the procedure's own.  Of a descriptor among them that is a door it
 * may be told no more than DOOR_DESCRIPTOR: otherwise its server is asked, which can
 * keep a thread waiting for a second.  0, or -1 with EBADF.
 */
int door_share_arguments(int d);

/*
 * From now on door_info() of d, a door of this process, tells 0 for di_proc and di_data:
 * others need not know where its code lies.  0, or -1: EBADF; ENOTSUP the system tells.
 */
int door_hide_procedure(int d);

/*
 * In a door's procedure: size bytes, shared, from which door_return() need not
 * copy: its data_ptr may be anywhere in them.  They are undefined at first, stay
 * until door_return(), and are the same ones if asked for again with no larger size.
 * NULL with errno: ENOMEM, E2BIG; EINVAL the thread runs no call; EBUSY the
 * shared arguments lie there.
 */
void *door_result_buffer(size_t size);

/*
 * How many calls of d, a descriptor that door_create() returned or a copy of it, a
 * server thread has taken whose caller does not have its reply.  Once the door is
 * revoked no more come: at 0 the process can end and nobody loses anything.
 *
 * Returns the number, or -1: EBADF d is no door of this process; ENOTSUP the system
 * does not tell.
 */
int door_running_calls(int d);

/*
 * How many threads the library starts to serve d, a door of this process that is not
 * private, and all others like it: no more than max (0: as many as calls need).  Calls
 * that find all of them busy wait untaken.  One of them that has had nothing to do for
 * idle_ms ends, with its thread-specific data, while more than two are idle (0: none does;
 * at first: 10,000).  Threads that the program makes count, and stay.
 *
 * 0, or -1: EBADF d is no door of this process; ENOTSUP it is private, or the system
 * does not let itself be told.
 * Threads: any, at any time: with a lower max idle threads end, busy ones after their call.
 */
int door_set_threads(int d, unsigned max, unsigned idle_ms);

/*
 * From now on procedures of d, a door of this process that is not private, and all others
 * like it, are known to compute one at a time, under a lock of the program's such as an
 * interpreter's.  While one waits for that lock, as door_wait_turn() tells, no thread is
 * started: it would only wait as well.  Where they wait for something else, for half a second
 * in which no call is taken, there may be more.
 *
 * 0, or -1: EBADF d is no door of this process; ENOTSUP it is private, or the system
 * does not let itself be told.
 * Threads: any.
 */
int door_take_turns(int d);

/*
 * In a procedure of such a door: with 1 before it waits for its turn to compute, with 0 once it
 * has that.  If it gives the lock back and takes it again without saying so, that is noticed:
 * the locks that procedures have waited for in between these two calls are known.
 *
 * 0, or -1: EINVAL the thread runs no call; ENOTSUP the system does not let itself be told.
 */
int door_wait_turn(int is_waiting);

/*
 * Has prepare(data) called in each thread that serves d, a door of this process that is not
 * private, or another one like it: before it takes a call for the first time, or again after
 * door_prepare_again().  Those that are there are no exception.  It returns 0: the thread
 * takes calls from now on.  Or a number of milliseconds: it takes calls for now, and
 * prepare() is called again before the next one, and when that time has passed.  It may
 * take long, and may end the thread: meanwhile others take the calls, and no more threads are
 * started, unless there is no other one.  Or such a number below zero: the thread takes calls
 * as one that is prepared, and prepare() is called as often, and must not take long then; where
 * it returns 0 or more it is called once more, and may.  There is one such function:
 * the last one, or none for NULL.  It runs with cancellation disabled, and must not call
 * door_return().
 *
 * 0, or -1: EBADF d is no door of this process; ENOTSUP it is private, or the system
 * cannot do that.
 * Threads: any.  data must live as long as the threads.
 */
int door_prepare_threads(int d, int (*prepare)(void *data), void *data);

/*
 * In a door's procedure: the thread has lost what door_prepare_threads() had it prepared
 * with, and is to be prepared anew before its next call.  0, or -1: EINVAL the thread
 * runs no call; ENOTSUP the system cannot do that.
 */
int door_prepare_again(void);

/* What a door's server has to do; for door_ask_load(). */
struct door_load {
    unsigned threads;      /* that serve the door, and all that share them */
    unsigned threads_most; /* the most that there have been at one time */
    unsigned calls;        /* of the door that run, whether anybody waits for them or not */
};

/*
 * Tells what the server of d, any door, has to do.  That is no call: the server's library
 * answers, also while all of its threads are busy.
 *
 * 0, or -1: EBADF d is no door, or its server is gone; EINTR; ETIMEDOUT there was no answer in
 * a second; EMFILE, ENOMEM; ENOTSUP the system does not tell.
 * Threads: any.
 */
int door_ask_load(int d, struct door_load *load);

#endif
