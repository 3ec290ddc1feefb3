/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_call.c: what happens to one call inside a channel: filling the slot,
 * ringing, sleeping, and taking the results or the call back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_channel.h"
#include "desc.h"
#include "fd.h"
#include "server.h"
#include "thread.h"

/*
 * A caller that died may have left `waking` set, or a thread that looks out is held
 * up.  No shorter: a timeout before the kernel's next tick has it set the clock anew.
 */
#define RING_AGAIN_NS 10000000ll
#define BACKSTOP_NS 1000000000ll

/* How a call goes, beside its errno. */
struct course {
    const door_arg_t *passed; /* as the caller passed it */
    const struct client_extra *extra;
    int *sent_fds; /* the passed descriptors as they are sent; while the call runs */
    int *fds;      /* descriptors that came with the reply, before it is complete */
    unsigned count;
    int error; /* errno: descriptors could not be sent, or taken; both sides hear of it */
    int handed_over; /* the server could see the call */
    int keep_slot;   /* the server still has it */
    int is_lent;     /* the caller has: the result is there */
};

static int is_reply_awaited(uint32_t state)
{
    return state == SLOT_WAITING || state == SLOT_SENT || state == SLOT_TAKEN ||
           state == SLOT_REFUSED;
}

static void free_slot(struct client_channel *ch, unsigned slot)
{
    atomic_fetch_or(&ch->free_slots[slot / 64], shm_bit(slot));
}

/* Slots whose calls were given up are free again once the server is through. */
static void reclaim_slots(struct client_channel *ch)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        if (atomic_load(&ch->abandoned[slot / 64]) == 0) {
            slot |= 63;
            continue;
        }
        if ((atomic_load(&ch->abandoned[slot / 64]) & shm_bit(slot)) &&
            atomic_load(&shm_slot(ch->shm, slot)->state) == SLOT_DONE &&
            (atomic_fetch_and(&ch->abandoned[slot / 64], ~shm_bit(slot)) & shm_bit(slot)))
            free_slot(ch, slot);
    }
}

int client_take_slot(struct client_channel *ch, unsigned *slot)
{
    if (atomic_load(&ch->dead))
        return 0;
    reclaim_slots(ch);
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++) {
        uint64_t left = atomic_load(&ch->free_slots[word]);
        while (left != 0) {
            unsigned first = (unsigned)__builtin_ctzll(left);
            uint64_t without = left & ~shm_bit(first);
            if (atomic_compare_exchange_weak(&ch->free_slots[word], &left, without)) {
                *slot = word * 64 + first;
                return 1;
            }
        }
    }
    return 0;
}

void client_channel_died(struct client_channel *ch)
{
    atomic_store(&ch->dead, 1);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        struct shm_slot *s = shm_slot(ch->shm, slot);
        uint32_t state;

        if (atomic_load(&ch->free_slots[slot / 64]) & shm_bit(slot))
            continue; /* untouched so far, maybe: leave its page alone */
        state = atomic_load(&s->state);
        if (is_reply_awaited(state) && atomic_compare_exchange_strong(&s->state, &state, SLOT_DEAD))
            futex_wake(&s->state);
    }
}

static int put_arguments(struct client_channel *ch, unsigned slot, const struct course *course)
{
    const door_arg_t *arg = course->passed;
    size_t head_len = arg->data_ptr != NULL ? arg->data_size : 0, size;
    struct shm_slot *s = shm_slot(ch->shm, slot);
    char *to = s->data;

    if (__builtin_add_overflow(head_len, course->extra->tail_len, &size) ||
        size > SHM_WINDOW_SIZE) {
        errno = E2BIG;
        return -1;
    }
    s->arg_size = size;
    if (size > SHM_INLINE_SIZE)
        to = client_window_map(ch, slot, size);
    if (to == NULL) {
        errno = EAGAIN;
        return -1;
    }
    if (head_len > 0)
        memcpy(to, arg->data_ptr, head_len);
    if (size > head_len)
        memcpy(to + head_len, course->extra->tail, size - head_len);
    return 0;
}

/*
 * Room in arg's buffer, or in a mapping that takes its place, for size bytes
 * of results and behind them count descriptors.  0, or -1.
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
        rbuf = mmap(NULL, rsize, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (rbuf == MAP_FAILED)
            return -1;
        arg->rbuf = rbuf;
        arg->rsize = rsize;
    }
    *descs = count > 0 ? (door_desc_t *)(rbuf + size + gap) : NULL;
    return 0;
}

/* Where the server says that its result is; NULL if that cannot be. */
static char *find_result(struct client_channel *ch, unsigned slot, uint64_t size)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint64_t at = SHM_READ(s->result_at);
    char *window;

    if (at == SHM_IN_SLOT)
        return size <= SHM_INLINE_SIZE ? s->data : NULL;
    if (size > SHM_WINDOW_SIZE || at > SHM_WINDOW_SIZE - size)
        return NULL;
    window = client_window_map(ch, slot, at + size);
    return window != NULL ? window + at : NULL;
}

/* Only the descriptors need room in rbuf; a mapping that is made for them is the loan's. */
static int lend_result(struct client_channel *ch, unsigned slot, door_arg_t *arg,
                       struct course *course, door_desc_t **descs)
{
    struct door_loan *loan = course->extra->loan;
    door_arg_t room = *arg;

    if (make_room(&room, 0, course->count, descs) < 0)
        return -1;
    *loan = (struct door_loan){.owner = ch, .slot = slot};
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

static int get_results(struct client_channel *ch, unsigned slot, door_arg_t *arg,
                       struct course *course)
{
    uint64_t size = SHM_READ(shm_slot(ch->shm, slot)->result_size);
    char *from = arg == NULL ? NULL : find_result(ch, slot, size);
    door_desc_t *descs;
    int result;

    if (arg == NULL)
        return 0; /* nobody wants them: free_results() closes what came */
    if (course->extra->loan != NULL && !fits(arg, size))
        result = from == NULL ? -1 : lend_result(ch, slot, arg, course, &descs);
    else
        result = from == NULL ? -1 : make_room(arg, size, course->count, &descs);
    if (result < 0) {
        errno = EOVERFLOW;
        return -1;
    }
    if (!course->is_lent && size > 0)
        memcpy(arg->rbuf, from, size);
    desc_receive(course->fds, course->count, descs);
    arg->data_ptr = course->is_lent ? from : arg->rbuf;
    arg->data_size = size;
    arg->desc_ptr = descs;
    arg->desc_num = course->count;
    course->count = 0; /* the caller's now */
    return 0;
}

static void free_results(struct course *course)
{
    while (course->count > 0)
        close_foreign(course->fds[--course->count]);
    free(course->fds);
}

/* If the program has closed our descriptors, the channel has ended for the server, too. */
static void ring(struct client_channel *ch)
{
    uint64_t one = 1;

    /* The server shares the flag, and could take it back. */
    if (own_fd_check(&ch->bell) && fcntl(ch->bell.fd, F_SETFL, O_NONBLOCK) == 0 &&
        write(ch->bell.fd, &one, sizeof(one)) == sizeof(one))
        return;
    client_channel_died(ch);
    client_forget(ch);
}

static int is_pending(struct client_channel *ch, unsigned slot)
{
    return (atomic_load(&shm_head(ch->shm)->pending[slot / 64]) & shm_bit(slot)) != 0;
}

/* True if the call was still queued: it has not run and never will. */
static int take_back(struct client_channel *ch, unsigned slot)
{
    _Atomic uint64_t *word = &shm_head(ch->shm)->pending[slot / 64];

    return (atomic_fetch_and(word, ~shm_bit(slot)) & shm_bit(slot)) != 0;
}

static int deadline_left_ns(const _Atomic int64_t *deadline_ns, int64_t *wait_ns)
{
    int64_t deadline = deadline_ns == NULL ? 0 : atomic_load(deadline_ns);

    if (deadline == 0)
        return 1;
    int64_t left_ns = deadline - thread_now_ns();
    if (left_ns < *wait_ns)
        *wait_ns = left_ns;
    return left_ns > 0;
}

/* The server asks who calls; if it cannot be told, it hears nothing and gives up. */
static uint32_t identify(struct client_channel *ch, unsigned slot)
{
    mailbox_send_credentials(&ch->mailbox, slot, shm_slot(ch->shm, slot)->call);
    return SLOT_WAITING;
}

/* The server has taken the call, and has room for its descriptors. */
static uint32_t send_descriptors(struct client_channel *ch, unsigned slot, struct course *course,
                                 int64_t deadline_ns)
{
    unsigned count = course->passed->desc_num;

    /* What it asks for twice, or without need, is not there. */
    if (course->sent_fds == NULL)
        return SLOT_REFUSED;
    if (mailbox_send(&ch->mailbox, slot, shm_slot(ch->shm, slot)->call, course->sent_fds, count,
                     deadline_ns) == 0)
        return SLOT_SENT;
    course->error = errno;
    return SLOT_REFUSED;
}

/* The reply's descriptors: takes them all, or none. */
static uint32_t take_descriptors(struct client_channel *ch, unsigned slot, struct course *course)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t count = SHM_READ(s->result_desc_count);

    free_results(course);
    course->error = EMFILE;
    course->fds = count > MAILBOX_MAX ? NULL : malloc(count * sizeof(int));
    if (course->fds == NULL || mailbox_take(&ch->mailbox, slot, s->reply, course->fds, count) < 0)
        return SLOT_REFUSED;
    course->error = 0;
    course->count = count;
    return SLOT_TAKEN;
}

/* The server wants something of the caller before it replies. */
static void serve_server(struct client_channel *ch, unsigned slot, uint32_t state,
                         struct course *course, int64_t deadline_ns)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t next = state == SLOT_IDENTIFY ? identify(ch, slot)
                    : state == SLOT_SEND   ? send_descriptors(ch, slot, course, deadline_ns)
                                           : take_descriptors(ch, slot, course);

    if (atomic_compare_exchange_strong(&s->state, &state, next))
        futex_wake(&s->state);
}

/* One sleep; -1 with EINTR a handler ran, ETIMEDOUT the deadline passed. */
static int sleep_once(struct client_channel *ch, unsigned slot, uint32_t state,
                      const _Atomic int64_t *deadline_ns, int64_t *patience_ns)
{
    int64_t wait_ns = *patience_ns;

    if (!deadline_left_ns(deadline_ns, &wait_ns)) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (futex_wait(&shm_slot(ch->shm, slot)->state, state, wait_ns) == 0)
        return 0;
    if (errno == EINTR)
        return -1;
    if (wait_ns == *patience_ns) {
        if (is_pending(ch, slot))
            ring(ch);
        *patience_ns = BACKSTOP_NS;
    }
    return 0;
}

/*
 * Sleeps until the reply is there: 0.  Otherwise -1 and errno: EINTR a handler
 * ran, ETIMEDOUT the deadline passed, ECONNRESET the server is gone.
 */
static int sleep_for_reply(struct client_channel *ch, unsigned slot, struct course *course,
                           const _Atomic int64_t *deadline_ns)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t state = SLOT_CALLING;
    int64_t patience_ns = RING_AGAIN_NS;

    atomic_compare_exchange_strong(&s->state, &state, SLOT_WAITING);
    while ((state = atomic_load(&s->state)) != SLOT_DONE) {
        if (atomic_load(&ch->dead) || state == SLOT_DEAD) {
            errno = ECONNRESET;
            return -1;
        }
        if (is_reply_awaited(state)) {
            if (sleep_once(ch, slot, state, deadline_ns, &patience_ns) < 0)
                return -1;
        } else if (deadline_left_ns(deadline_ns, &(int64_t){0})) {
            serve_server(ch, slot, state, course, deadline_ns == NULL ? 0 : atomic_load(deadline_ns));
        } else { /* a server that asks without end must not make us forget the time */
            errno = ETIMEDOUT;
            return -1;
        }
    }
    return 0;
}

/* Whatever the server asks of a caller that has gone, it need not wait for it. */
static void refuse_server(struct client_channel *ch, unsigned slot)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t state = atomic_load(&s->state);

    if ((state == SLOT_IDENTIFY || state == SLOT_SEND || state == SLOT_DELIVER) &&
        atomic_compare_exchange_strong(&s->state, &state, SLOT_REFUSED))
        futex_wake(&s->state);
}

/*
 * The wait ended without a reply, for the reason errno.  Decides what became
 * of the call: 0 its reply came after all, otherwise -1 and the final errno.
 */
static int give_up(struct client_channel *ch, unsigned slot, struct course *course)
{
    int reason = errno;

    if (take_back(ch, slot)) {
        errno = reason == ECONNRESET ? EBADF : reason;
        return -1;
    }
    if (atomic_load(&shm_slot(ch->shm, slot)->state) == SLOT_DONE)
        return 0;
    refuse_server(ch, slot);
    course->keep_slot = 1;
    errno = reason == ECONNRESET ? EINTR : reason;
    return -1;
}

/* The descriptors of a call, which the server asks for when it has taken it; 0, or -1. */
static int put_descriptors(struct client_channel *ch, unsigned slot, struct course *course)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    const door_arg_t *arg = course->passed;
    int *fds;

    s->arg_desc_count = 0;
    s->call = atomic_fetch_add(&ch->call_count, 1);
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
    s->arg_desc_count = arg->desc_num;
    return 0;
}

/* DOOR_RELEASE: what was passed is closed once it is handed over and not refused. */
static int is_released(const struct course *course, int error)
{
    static const int refused[] = {EBADF, EINVAL, ENOTSUP, ENFILE, ENOBUFS, E2BIG};

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (error == refused[i])
            return 0;
    }
    return course->handed_over;
}

/* Before the results, which may come into the memory of the descriptors passed. */
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

/* 0, or -1 with EBADF: the door is revoked, and nobody has seen the call. */
static int start_call(struct client_channel *ch, unsigned slot)
{
    thread_publish();
    atomic_store(&shm_slot(ch->shm, slot)->state, SLOT_CALLING);
    atomic_fetch_or(&shm_head(ch->shm)->pending[slot / 64], shm_bit(slot));
    /* After the bit: the server sets this flag before it looks at the bits. */
    if (atomic_load(&shm_head(ch->shm)->revoked) && take_back(ch, slot)) {
        errno = EBADF;
        return -1;
    }
    if (atomic_exchange(&shm_head(ch->shm)->waking, 1) == 0)
        ring(ch);
    return 0;
}

/* Hands the call over and waits: 0, or the errno that it ends with. */
static int run(struct client_channel *ch, unsigned slot, struct course *course,
               const _Atomic int64_t *deadline_ns)
{
    if (start_call(ch, slot) < 0)
        return errno;
    course->handed_over = 1;
    if (sleep_for_reply(ch, slot, course, deadline_ns) < 0 && give_up(ch, slot, course) < 0)
        return errno;
    thread_observe();
    return course->error != 0 ? course->error : (int)SHM_READ(shm_slot(ch->shm, slot)->error);
}

static int call_slot(struct client_channel *ch, unsigned slot, door_arg_t *arg,
                     struct course *course)
{
    int error;

    if (put_arguments(ch, slot, course) < 0 || put_descriptors(ch, slot, course) < 0)
        return -1;
    error = run(ch, slot, course, course->extra->deadline_ns);
    free_passed(course, error);
    if (error == 0)
        return get_results(ch, slot, arg, course);
    errno = error;
    return -1;
}

/* The slot is anybody's again. */
static void give_back(struct client_seat seat)
{
    if (atomic_load(&seat.ch->mailbox.held) > 0)
        mailbox_close(&seat.ch->mailbox, seat.slot);
    client_window_release(seat.ch, seat.slot);
    free_slot(seat.ch, seat.slot);
    client_release(seat.ch);
}

/* The server has the slot until its reply, which nobody waits for. */
static void abandon(struct client_seat seat)
{
    if (atomic_load(&seat.ch->mailbox.held) > 0)
        mailbox_close(&seat.ch->mailbox, seat.slot);
    mailbox_send_abandoned(&seat.ch->mailbox, seat.slot, shm_slot(seat.ch->shm, seat.slot)->call);
    atomic_fetch_or(&seat.ch->abandoned[seat.slot / 64], shm_bit(seat.slot));
    client_release(seat.ch);
}

int client_call(struct client_seat seat, door_arg_t *arg, const struct client_extra *extra)
{
    door_arg_t passed = arg != NULL ? *arg : (door_arg_t){0};
    struct course course = {.passed = &passed, .extra = extra};
    int result = call_slot(seat.ch, seat.slot, arg, &course);
    int error = errno;

    free_results(&course);
    if (course.keep_slot)
        abandon(seat);
    else if (!course.is_lent)
        give_back(seat);
    if (result < 0)
        errno = error;
    return result;
}

void client_end_loan(struct client_seat seat)
{
    int saved = errno;

    give_back(seat);
    errno = saved;
}
