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
#include <sys/uio.h>

#include <door.h>

/*
 * open(path, O_RDONLY | O_CLOEXEC | oflag) on a door's name, relative to the
 * directory dirfd (or AT_FDCWD).  The only oflag that has a meaning is O_NOFOLLOW.
 *
 * Returns a descriptor that the caller closes, or -1 and errno: ENOENT, EACCES,
 * ELOOP ... as open(2); ENXIO or EINVAL if path is no door;
 * EBADF if the name is a door's but its server is gone.
 * Threads: any.  May block as open(2) does.
 */
int door_openat(int dirfd, const char *path, int oflag);

/*
 * Who attached the door that door_openat() has opened as d: the effective user id of the
 * process that called fattach(), at that time, as the kernel tells.  The server may be
 * another user by now.  If d came in another way, it tells who made d.
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

/*
 * The least RLIMIT_FSIZE with which a process can serve doors.  On Linux the memory that
 * it shares with a client is a sparse file of that size.
 */
#ifdef __linux__
#define DOOR_FSIZE_MIN 1103806595072u
#else
#define DOOR_FSIZE_MIN 0u
#endif

/* The present time on the clock that deadlines are in, in nanoseconds. */
int64_t door_now_ns(void);

/*
 * door_call() and door_return() copy data once more than needed on each side.  Some of the
 * functions below save that copy, for data so large that it matters.  Where the system
 * cannot do better they are as correct, and no faster.
 *
 * The other process may write to *shared* memory at any time.  So copy what you want to
 * believe, and then check the copy.
 */

/*
 * For a caller that calls a door often: with a handle a call need not look for the way to
 * the door.  d must stay open, and the same door, until the handle is closed.  A call that
 * finds another door there says EBADF.  The first call opens the way.
 *
 * Errors: NULL with EBADF d is no door; ENOMEM, EMFILE.
 * Threads: any number may call through one handle at once, but none while it is closed.  A
 * loan and a struct door_async that were begun through it may end later.  In a forked
 * child calls say EBADF.
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
     * When to give up; never if it is NULL or points to 0.  Another thread may move it while
     * the call runs.  A later deadline counts at once; an earlier one may be noticed up to a
     * second late.
     */
    const _Atomic int64_t *deadline_ns;

    /*
     * When to give up if no server thread has taken the call by then; 0: no such deadline.
     * Where that cannot be known (illumos) it has no meaning.
     */
    int64_t take_by_ns;

    unsigned desc_max; /* descriptors that are taken with the result */

    /*
     * Where the argument goes on behind params' data_ptr, in this order: an argument that
     * lies in pieces need not be put together first.  They stay as they are until the call
     * has ended.  params must be there.
     */
    const struct iovec *more;
    unsigned more_count;

    /*
     * If not NULL: a result that does not fit into rbuf is lent, and comes in no new mapping.
     * Then rbuf and rsize stay as they are, and data_ptr points to the result, which is
     * shared and stays there until door_end_loan().  Its descriptors are the caller's own.
     * loan->owner and ->mapping are NULL if nothing was lent.
     */
    struct door_loan *loan;

    /*
     * Set by the call.  0: no thread took it, and none ever will.  1: a thread took it, or,
     * where that cannot be known, may have taken it.
     */
    int was_taken;
};

/*
 * door_call() on these terms; NULL means zeroed ones.  A result with more descriptors
 * than desc_max is refused: the server's door_return() says EMFILE and it may reply again,
 * or the descriptors are closed here and the call says EMFILE.
 *
 * Errors: EFAULT, a piece of more is at NULL and not empty; ETIMEDOUT, the call was given up
 * (if a server thread had taken it, that goes on to its end, and its result is thrown
 * away); all of door_call()'s.  Signals that the
 * calling thread handles end it with EINTR.
 */
int door_handle_call(struct door_handle *handle, door_arg_t *params, struct door_terms *terms);

/*
 * Calls of one door, one after the other, during which the caller does something else: for data
 * that come and go in pieces.
 */
struct door_async;

/*
 * Prepares for calls, one at a time, with arguments of up to size bytes.  It is freed by
 * door_async_close(), before or after the handle.
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
 * Begins a call with the len bytes at data, which are in the buffer.  behind is another
 * call of the same door that has not ended, or NULL.  The server gets this call only when
 * that one is over, and then soon.  (Where there is no better way, this function makes the
 * whole call and returns when it is over.)
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
 * From now on the arguments of calls of d, a door of this process, may be shared.
 * Otherwise they are the procedure's own.  A door among the descriptors may then have only
 * the attribute DOOR_DESCRIPTOR: to find out more its server must be asked, which can keep
 * a thread waiting for a second.  0, or -1 with EBADF.
 */
int door_share_arguments(int d);

/*
 * From now on door_info() of d, a door of this process, has 0 for di_proc and di_data:
 * others need not know where its code lies.  0, or -1: EBADF; ENOTSUP the system shows them.
 */
int door_hide_procedure(int d);

/*
 * In a door's procedure: size bytes, shared, that door_return() need not copy when its
 * data_ptr lies in them.  They are undefined at first and stay until door_return().  Asked
 * for again, with no larger size, they are the same.
 * NULL with errno: ENOMEM, E2BIG; EINVAL the thread runs no call; EBUSY the
 * shared arguments lie there.
 */
void *door_result_buffer(size_t size);

/*
 * How many calls of d a server thread has taken and not yet replied to.  d is a descriptor
 * that door_create() returned, or a copy of it.  Once the door is revoked no more come: at
 * 0 the process can end, and nobody loses anything.
 *
 * Returns the number, or -1: EBADF d is no door of this process; ENOTSUP the system
 * does not tell.
 */
int door_running_calls(int d);

/*
 * Sets how many threads the library starts at most to serve d, a door of this process that
 * is not private, and all others like it; max 0: as many as calls need.  Calls that find all
 * of them busy wait untaken.  A thread that has had nothing to do for idle_ms ends, with its
 * thread-specific data, while more than two are idle; 0: none ends.  At first idle_ms is
 * 10,000.  Threads that the program makes count, and stay.
 *
 * 0, or -1: EBADF d is no door of this process; ENOTSUP it is private, or the system
 * has no such setting.
 * Threads: any, at any time: with a lower max idle threads end, busy ones after their call.
 */
int door_set_threads(int d, unsigned max, unsigned idle_ms);

/*
 * Says that procedures of d, a door of this process that is not private, and of all others
 * like it, compute one at a time, under a lock of the program's such as an interpreter's.
 * From now on no thread is started while one waits for that lock, as door_wait_turn() tells.
 * If they wait for something else, and no call is taken for half a second, more are started.
 *
 * 0, or -1: EBADF d is no door of this process; ENOTSUP it is private, or the system
 * has no such setting.
 * Threads: any.
 */
int door_take_turns(int d);

/*
 * In a procedure of such a door: with 1 before it waits for its turn to compute, with 0 once it
 * has that.  The locks that are waited for between the two calls are remembered.  So a
 * procedure may give the lock back and take it again without saying so.
 *
 * 0, or -1: EINVAL the thread runs no call; ENOTSUP the system has no such setting.
 */
int door_wait_turn(int is_waiting);

/*
 * Sets a function that each thread runs before it takes its first call, and again after
 * door_prepare_again(): each thread that serves d, a door of this process that is not
 * private, or another door like it, those that exist already, too.  What prepare(data)
 * returns says how to go on:
 *
 *   0     the thread is prepared, and takes calls from now on;
 *   N > 0 the thread takes calls for now.  prepare() runs again before the next call, and
 *         after N milliseconds.  It may take long, and may end the thread; other threads take
 *         the calls meanwhile, and no more are started unless there is no other;
 *   N < 0 the thread takes calls as a prepared one.  prepare() runs as often as with -N, but
 *         must not take long.  When it then returns 0 or more, it is called once more, and
 *         that time it may take long.
 *
 * There is one such function: the last one that was set, or none for NULL.  It runs with
 * cancellation disabled, and must not call door_return().
 *
 * 0, or -1: EBADF d is no door of this process; ENOTSUP it is private, or the system
 * cannot do that.
 * Threads: any.  data must live as long as the threads.
 */
int door_prepare_threads(int d, int (*prepare)(void *data), void *data);

/*
 * In a door's procedure: says that the thread has lost what prepare() had made, and must be
 * prepared anew before its next call.  0, or -1: EINVAL the thread runs no call; ENOTSUP
 * the system cannot do that.
 */
int door_prepare_again(void);

/* What a door's server has to do; for door_ask_load(). */
struct door_load {
    unsigned threads;      /* that serve the door, and all that share them */
    unsigned threads_most; /* the most that there have been at one time */
    unsigned calls;        /* of the door that run, whether anybody waits for them or not */
};

/*
 * Tells what the server of d, any door, has to do.  This is not a call: the server's
 * library answers, even while all of its threads are busy.
 *
 * 0, or -1: EBADF d is no door, or its server is gone; EINTR; ETIMEDOUT there was no answer in
 * a second; EMFILE, ENOMEM; ENOTSUP the system does not tell.
 * Threads: any.
 */
int door_ask_load(int d, struct door_load *load);

#endif
