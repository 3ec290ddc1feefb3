/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_call.c: see client_call.h.  The file is in the order of a call: put arguments and
 * descriptors into the slot, hand the call over, sleep and answer the server's questions,
 * withdraw the call if it takes too long, and get the results out of the slot.
 */
#include "client_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "desc.h"
#include "slot.h"
#include "thread.h"

/*
 * After so long the bell is rung again: a caller that died may have left `waking` set, or the
 * server's thread that watches may be delayed.  Not shorter, because a timeout before the
 * kernel's next tick costs it a reprogrammed timer.
 */
#define RING_AGAIN_NS 10000000ll
#define BACKSTOP_NS   1000000000ll

/* The state of a call, beside its errno. */
struct course {
    const door_arg_t *passed; /* as the caller passed it */
    const struct door_terms *terms;
    int was_queued;  /* behind another call */
    int *sent_fds;   /* the passed descriptors as they are sent; while the call runs */
    int *fds;        /* descriptors that came with the reply, before it is complete */
    unsigned count;  /* of fds */
    int error;       /* errno of why descriptors could not be sent or taken; both sides get it */
    int handed_over; /* the server could see the call */
    int was_taken;   /* a thread has taken the call */
    int keep_slot;   /* the server still has the slot */
    int is_lent;     /* the result stays in the slot, which the caller keeps as a loan */
};

/* ------------------------------------------------ arguments */

/* Adds a piece to *size.  Returns -1 and errno if the piece is NULL, or the sum is too large. */
static int count_piece(const void *at, size_t len, size_t *size)
{
    if ((at == NULL && len > 0) || len > SIZE_MAX - *size) {
        errno = at == NULL ? EFAULT : E2BIG;
        return -1;
    }
    *size += len;
    return 0;
}

static char *put_piece(char *to, const void *from, size_t len)
{
    if (len > 0)
        memcpy(to, from, len);
    return to + len;
}

static int put_arguments(struct client_seat seat, const struct course *course)
{
    const door_arg_t *arg = course->passed;
    const struct iovec *more = course->terms->more, *end = more;
    struct shm_slot *s = shm_slot(seat.ch->shm, seat.slot);
    size_t size = 0;
    char *to;

    if (more != NULL)
        end += course->terms->more_count;
    if (count_piece(arg->data_ptr, arg->data_size, &size) < 0)
        return -1;
    for (const struct iovec *piece = more; piece < end; piece++)
        if (count_piece(piece->iov_base, piece->iov_len, &size) < 0)
            return -1;
    to = client_buffer(seat, size);
    if (to == NULL)
        return -1;
    s->arg_size = size;
    s->arg_at = to == s->data ? SHM_IN_SLOT : 0;
    to = put_piece(to, arg->data_ptr, arg->data_size);
    for (const struct iovec *piece = more; piece < end; piece++)
        to = put_piece(to, piece->iov_base, piece->iov_len);
    return 0;
}

/* Numbers a new call, which has no descriptors yet, and takes desc_max with its result. */
static void number_call(struct client_seat seat, unsigned desc_max)
{
    struct shm_slot *s = shm_slot(seat.ch->shm, seat.slot);

    atomic_store(&seat.ch->desc_max[seat.slot], (uint16_t)desc_max);
    s->arg_desc_count = 0;
    s->result_desc_max = desc_max;
    s->call = atomic_fetch_add(&seat.ch->call_count, 1);
    atomic_store_explicit(&s->next, SHM_NEXT_NONE, memory_order_relaxed);
}

/* Prepares the call's descriptors, which the server asks for when it has taken the call. */
static int put_descriptors(struct client_seat seat, struct course *course)
{
    const door_arg_t *arg = course->passed;
    int *fds;

    if (arg->desc_num == 0)
        return 0;
    if (arg->desc_num > MAILBOX_MAX || arg->desc_ptr == NULL) {
        errno = arg->desc_ptr == NULL ? EFAULT : ENFILE;
        return -1;
    }
    fds = malloc(arg->desc_num * sizeof(*fds));
    if (fds == NULL || desc_prepare(arg->desc_ptr, arg->desc_num, fds) < 0) {
        free(fds);
        return -1;
    }
    course->sent_fds = fds;
    shm_slot(seat.ch->shm, seat.slot)->arg_desc_count = arg->desc_num;
    return 0;
}

/* Whether DOOR_RELEASE closes what was passed: if the call was handed over, and not refused. */
static int is_released(const struct course *course, int error)
{
    static const int refused[] = {EBADF, EINVAL, ENOTSUP, ENFILE, ENOBUFS, E2BIG};

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (error == refused[i])
            return 0;
    }
    return course->handed_over;
}

/* Called before results are stored, since these may overwrite the passed door_desc_t. */
static void free_passed(const struct course *course, int error)
{
    const door_arg_t *arg = course->passed;

    if (course->sent_fds == NULL)
        return;
    desc_unprepare(arg->desc_ptr, arg->desc_num, course->sent_fds);
    if (is_released(course, error))
        desc_release(arg->desc_ptr, arg->desc_num);
    free(course->sent_fds);
}

/* ------------------------------------------------ on its way */

static void free_results(struct course *course)
{
    while (course->count > 0)
        close_foreign(course->fds[--course->count]);
    free(course->fds);
    course->fds = NULL;
}

static int64_t deadline(const struct course *course)
{
    const _Atomic int64_t *deadline_ns = course->terms->deadline_ns;

    return deadline_ns == NULL ? 0 : atomic_load(deadline_ns);
}

/* Whether until_ns (0: never) is still to come.  Shortens *wait_ns to the time that is left. */
static int is_time_left(int64_t until_ns, int64_t *wait_ns)
{
    if (until_ns == 0)
        return 1;
    int64_t left_ns = until_ns - thread_now_ns();
    if (left_ns < *wait_ns)
        *wait_ns = left_ns;
    return left_ns > 0;
}

/* The server asks who calls.  If sending fails, the server gives up without the credentials. */
static uint32_t identify(struct client_seat seat)
{
    mailbox_send_credentials(&seat.ch->mailbox, seat.slot,
                             shm_slot(seat.ch->shm, seat.slot)->call);
    return SLOT_WAITING;
}

/* The server has taken the call, and has room for its descriptors. */
static uint32_t send_descriptors(struct client_seat seat, struct course *course)
{
    /* The server asks a second time, or for a call without descriptors. */
    if (course->sent_fds == NULL)
        return SLOT_REFUSED;
    if (mailbox_send(&seat.ch->mailbox, seat.slot, shm_slot(seat.ch->shm, seat.slot)->call,
                     course->sent_fds, course->passed->desc_num, deadline(course)) == 0)
        return SLOT_SENT;
    course->error = errno;
    return SLOT_REFUSED;
}

/* The server has descriptors for a caller, and needs a socket of this channel to send them. */
static uint32_t offer_socket(struct client_seat seat, struct course *course)
{
    if (atomic_load(&seat.ch->desc_max[seat.slot]) > 0 &&
        mailbox_offer(&seat.ch->mailbox, seat.slot, shm_slot(seat.ch->shm, seat.slot)->call,
                      deadline(course)) == 0)
        return SLOT_SENT;
    course->error = EMFILE;
    return SLOT_REFUSED;
}

/* Takes the reply's descriptors: all of them, or none. */
static uint32_t take_descriptors(struct client_seat seat, struct course *course)
{
    struct shm_slot *s = shm_slot(seat.ch->shm, seat.slot);
    uint32_t count = SHM_READ(s->result_desc_count);

    free_results(course);
    course->error = EMFILE;
    if (count > atomic_load(&seat.ch->desc_max[seat.slot]))
        return SLOT_REFUSED;
    course->fds = malloc(count * sizeof(int));
    if (course->fds == NULL ||
        mailbox_take(&seat.ch->mailbox, seat.slot, SHM_READ(s->reply), course->fds, count) < 0)
        return SLOT_REFUSED;
    course->error = 0;
    course->count = count;
    return SLOT_TAKEN;
}

/*
 * Answers a question of the server, which comes before its reply.  If the answer is too late, the
 * server has given those descriptors up, and its reply comes without them.
 */
static void serve_server(struct client_seat seat, uint32_t question, struct course *course)
{
    int error = course->error;
    uint32_t answer = question == SLOT_IDENTIFY ? identify(seat)
                      : question == SLOT_SEND   ? send_descriptors(seat, course)
                      : question == SLOT_RECEIVE ? offer_socket(seat, course)
                                                : take_descriptors(seat, course);

    if (!slot_answer(seat.ch->shm, seat.slot, question, answer)) {
        free_results(course);
        course->error = error;
    }
}

/* When to give up.  While no thread has taken the call, take_by_ns may come first. */
static int64_t give_up_at(struct client_seat seat, const struct course *course)
{
    int64_t until_ns = deadline(course), take_by_ns = course->terms->take_by_ns;

    if (take_by_ns == 0 || (until_ns != 0 && until_ns <= take_by_ns) ||
        !slot_is_pending(seat.ch->shm, seat.slot))
        return until_ns;
    return take_by_ns;
}

/* Sleeps once.  Returns -1 with EINTR if a signal handler ran, ETIMEDOUT at the deadline. */
static int sleep_once(struct client_seat seat, uint32_t state, const struct course *course,
                      int64_t *patience_ns)
{
    int64_t wait_ns = *patience_ns;

    if (!is_time_left(give_up_at(seat, course), &wait_ns)) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (futex_wait(&shm_slot(seat.ch->shm, seat.slot)->state, state, wait_ns) == 0)
        return 0;
    if (errno == EINTR)
        return -1;
    if (wait_ns == *patience_ns) {
        if (slot_is_pending(seat.ch->shm, seat.slot))
            client_channel_ring(seat.ch, 1);
        *patience_ns = BACKSTOP_NS;
    }
    return 0;
}

/*
 * Sleeps until the reply is there, and returns 0.  Otherwise -1 and errno: EINTR a signal
 * handler ran, ETIMEDOUT it is time to give up, ECONNRESET the server is gone.
 */
static int sleep_for_reply(struct client_seat seat, struct course *course)
{
    struct shm_slot *s = shm_slot(seat.ch->shm, seat.slot);
    int64_t patience_ns = RING_AGAIN_NS;
    uint32_t state;

    slot_begin_wait(seat.ch->shm, seat.slot);
    while ((state = atomic_load(&s->state)) != SLOT_DONE) {
        if (atomic_load(&seat.ch->dead) || state == SLOT_DEAD) {
            errno = ECONNRESET;
            return -1;
        }
        if (slot_is_awaited(state)) {
            if (sleep_once(seat, state, course, &patience_ns) < 0)
                return -1;
        } else if (is_time_left(deadline(course), &(int64_t){0})) {
            serve_server(seat, state, course);
        } else { /* the deadline holds even if the server asks without end */
            errno = ETIMEDOUT;
            return -1;
        }
    }
    return 0;
}

/* Withdraws the call.  Returns true if it has not run and never will. */
static int take_back(struct client_seat seat, int was_queued)
{
    int must_ring;
    int is_ours = slot_withdraw(seat.ch->shm, seat.slot, was_queued ? seat.ch->followed : NULL,
                                &must_ring);

    if (must_ring)
        client_channel_ring(seat.ch, 0);
    return is_ours;
}

/*
 * The wait has ended without a reply, with a reason in errno.  Returns 0 if the reply has
 * come after all, 1 if a thread has taken the call meanwhile and there is still time,
 * otherwise -1 and the final errno.
 */
static int give_up(struct client_seat seat, struct course *course)
{
    int reason = errno;

    if (take_back(seat, course->was_queued)) {
        course->was_taken = 0;
        errno = reason == ECONNRESET ? EBADF : reason;
        return -1;
    }
    if (slot_is_done(seat.ch->shm, seat.slot))
        return 0;
    if (reason == ETIMEDOUT && is_time_left(deadline(course), &(int64_t){0}))
        return 1;
    slot_refuse(seat.ch->shm, seat.slot);
    course->keep_slot = 1;
    errno = reason == ECONNRESET ? EINTR : reason;
    return -1;
}

/* Waits for the call that was handed over.  Returns 0, or the errno with which it ends. */
static int await(struct client_seat seat, struct course *course)
{
    int result;

    course->was_taken = 1;
    do {
        result = sleep_for_reply(seat, course) < 0 ? give_up(seat, course) : 0;
    } while (result > 0);
    if (result < 0)
        return errno;
    thread_observe();
    return course->error != 0 ? course->error
                              : shm_errno(SHM_READ(shm_slot(seat.ch->shm, seat.slot)->error));
}

int client_is_over(struct client_seat seat)
{
    return slot_is_done(seat.ch->shm, seat.slot) || atomic_load(&seat.ch->dead);
}

/* ------------------------------------------------ results */

/*
 * Makes room for size bytes of results, and behind them count descriptors: in arg's buffer,
 * or in a new mapping in its place.  Returns 0, or -1.
 */
static int make_room(door_arg_t *arg, size_t size, unsigned count, door_desc_t **descs)
{
    size_t rsize = arg->rbuf != NULL ? arg->rsize : 0;
    size_t align = _Alignof(door_desc_t), page = (size_t)sysconf(_SC_PAGESIZE);
    size_t gap = -((uintptr_t)arg->rbuf + size) % align;
    size_t descs_size = count * sizeof(door_desc_t);
    char *rbuf = arg->rbuf;

    if (size + (count > 0 ? gap + descs_size : 0) > rsize) {
        gap = -size % align;
        rsize = (size + gap + descs_size + page - 1) / page * page;
        rbuf = mmap(NULL, rsize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                    -1, 0);
        if (rbuf == MAP_FAILED)
            return -1;
        arg->rbuf = rbuf;
        arg->rsize = rsize;
    }
    *descs = count > 0 ? (door_desc_t *)(rbuf + size + gap) : NULL;
    return 0;
}

/* A lent result needs room only for its descriptors; the loan owns a new mapping for them. */
static int lend_result(struct client_seat seat, door_arg_t *arg, struct course *course,
                       door_desc_t **descs)
{
    struct door_loan *loan = course->terms->loan;
    door_arg_t room = *arg;

    if (make_room(&room, 0, course->count, descs) < 0)
        return -1;
    *loan = (struct door_loan){.owner = seat.ch, .slot = seat.slot};
    if (room.rbuf != arg->rbuf) {
        loan->mapping = room.rbuf;
        loan->mapping_size = room.rsize;
    }
    course->is_lent = 1;
    return 0;
}

static int fits(const door_arg_t *arg, uint64_t size)
{
    return size <= (arg->rbuf != NULL ? arg->rsize : 0);
}

static int get_results(struct client_seat seat, door_arg_t *arg, struct course *course)
{
    uint64_t size = SHM_READ(shm_slot(seat.ch->shm, seat.slot)->result_size);
    char *from = arg == NULL ? NULL : client_result(seat, size);
    door_desc_t *descs;
    int result;

    if (arg == NULL)
        return 0; /* the caller wants no results: free_results() closes descriptors */
    if (course->terms->loan != NULL && !fits(arg, size))
        result = from == NULL ? -1 : lend_result(seat, arg, course, &descs);
    else
        result = from == NULL ? -1 : make_room(arg, size, course->count, &descs);
    if (result < 0) {
        errno = EOVERFLOW;
        return -1;
    }
    if (!course->is_lent && size > 0)
        memcpy(arg->rbuf, from, size);
    desc_receive(course->fds, course->count, 0, descs);
    arg->data_ptr = course->is_lent ? from : arg->rbuf;
    arg->data_size = size;
    arg->desc_ptr = descs;
    arg->desc_num = course->count;
    course->count = 0; /* the caller owns the descriptors now */
    return 0;
}

/* ------------------------------------------------ a whole call */

/* Hands the call over.  Returns 0, or -1 if the server has not seen it. */
static int submit(struct client_seat seat, int waits)
{
    int must_ring = slot_submit(seat.ch->shm, seat.slot, waits);

    if (must_ring > 0)
        client_channel_ring(seat.ch, 0);
    return must_ring < 0 ? -1 : 0;
}

/* Hands the call over and waits for it.  Returns 0, or the errno with which it ends. */
static int run(struct client_seat seat, struct course *course)
{
    if (submit(seat, 1) < 0)
        return errno;
    course->handed_over = 1;
    return await(seat, course);
}

static int call_from(struct client_seat seat, door_arg_t *arg, struct course *course)
{
    unsigned desc_max = course->terms->desc_max;
    int error;

    number_call(seat, desc_max < seat.ch->desc_limit ? desc_max : seat.ch->desc_limit);
    if (put_arguments(seat, course) < 0 || put_descriptors(seat, course) < 0)
        return -1;
    error = run(seat, course);
    free_passed(course, error);
    if (error == 0)
        return get_results(seat, arg, course);
    errno = error;
    return -1;
}

int client_call(struct client_seat seat, door_arg_t *arg, struct door_terms *terms)
{
    door_arg_t passed = arg != NULL ? *arg : (door_arg_t){0};
    struct course course = {.passed = &passed, .terms = terms};
    int result = call_from(seat, arg, &course);
    int error = errno;

    free_results(&course);
    if (course.keep_slot)
        client_abandon(seat);
    else if (!course.is_lent)
        client_give_back(seat);
    terms->was_taken = course.was_taken;
    if (result < 0)
        errno = error;
    return result;
}

/* ------------------------------------------------ begun now, ended later */

int client_begin(struct client_seat seat, const char *data, size_t size, unsigned behind)
{
    struct shm_slot *s = shm_slot(seat.ch->shm, seat.slot);
    const struct shm_window *w = &seat.ch->window[seat.slot];
    uint64_t at = (uintptr_t)data - (uintptr_t)w->base;
    int must_ring;

    if (at >= w->size) {
        if (size > 0 && data != s->data)
            memmove(s->data, data, size);
        at = SHM_IN_SLOT;
    }
    number_call(seat, 0);
    atomic_fetch_or(&seat.ch->followed[seat.slot / 64], shm_bit(seat.slot));
    s->arg_size = size;
    s->arg_at = at;
    if (behind >= SHM_SLOT_COUNT)
        return submit(seat, 0);
    must_ring = slot_submit_behind(seat.ch->shm, seat.slot, behind);
    if (must_ring > 0)
        client_channel_ring(seat.ch, 0);
    return must_ring < 0 ? -1 : 0;
}

int client_end(struct client_seat *seat, int was_queued, char **result, size_t *size)
{
    static const struct door_terms terms;
    struct course course = {
        .passed = &(door_arg_t){0}, .terms = &terms, .was_queued = was_queued};
    int error = await(*seat, &course);

    if (error == 0) {
        uint64_t result_size = SHM_READ(shm_slot(seat->ch->shm, seat->slot)->result_size);
        *result = client_result(*seat, result_size);
        *size = (size_t)result_size; /* it fits, if client_result() has found the result */
        error = *result == NULL ? EOVERFLOW : 0;
    }
    free_results(&course);
    if (course.keep_slot) {
        client_abandon(*seat);
        seat->ch = NULL;
    }
    errno = error;
    return error == 0 ? 0 : -1;
}

void client_leave(struct client_seat seat, int runs, int was_queued)
{
    int saved = errno;

    if (runs && !take_back(seat, was_queued) && !client_is_over(seat)) {
        slot_refuse(seat.ch->shm, seat.slot);
        client_abandon(seat);
    } else {
        client_give_back(seat);
    }
    errno = saved;
}
