/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_wait.c: a call on its way: handing it over, sleeping until its reply is
 * there, answering what the server asks meanwhile, and taking it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "client_channel.h"
#include "fd.h"
#include "server.h"
#include "thread.h"

/*
 * A caller that died may have left `waking` set, or a thread that looks out is held
 * up.  No shorter: a timeout before the kernel's next tick has it set the clock anew.
 */
#define RING_AGAIN_NS 10000000ll
#define BACKSTOP_NS   1000000000ll

int client_is_awaited(uint32_t state)
{
    return state == SLOT_WAITING || state == SLOT_SENT || state == SLOT_TAKEN ||
           state == SLOT_REFUSED;
}

void client_free_results(struct client_course *course)
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

/* True if the call was not taken yet, and now it is ours. */
static int withdraw(struct client_channel *ch, unsigned slot)
{
    _Atomic uint64_t *word = &shm_head(ch->shm)->pending[slot / 64];

    return (atomic_fetch_and(word, ~shm_bit(slot)) & shm_bit(slot)) != 0;
}

/* A server thread that looks out makes a ring needless, if we wait and can ring again. */
static int post(struct client_channel *ch, unsigned slot, int waits)
{
    atomic_fetch_or(&shm_head(ch->shm)->pending[slot / 64], shm_bit(slot));
    /* After the bit: the server sets this flag before it looks at the bits. */
    if (atomic_load(&shm_head(ch->shm)->revoked) && withdraw(ch, slot)) {
        errno = EBADF;
        return -1;
    }
    if (atomic_exchange(&shm_head(ch->shm)->waking, 1) == 0 || !waits)
        ring(ch);
    return 0;
}

int client_start(struct client_channel *ch, unsigned slot, int waits)
{
    thread_publish();
    atomic_store(&shm_slot(ch->shm, slot)->state, SLOT_CALLING);
    return post(ch, slot, waits);
}

int client_start_behind(struct client_channel *ch, unsigned slot, unsigned behind)
{
    uint32_t next = SHM_NEXT_NONE;

    thread_publish();
    atomic_store(&shm_slot(ch->shm, slot)->state, SLOT_CALLING);
    if (atomic_compare_exchange_strong(&shm_slot(ch->shm, behind)->next, &next, slot))
        return 0;
    if (next == SHM_NEXT_LATE)
        return post(ch, slot, 0);
    errno = EBUSY;
    return -1;
}

/* Takes the call out of the line: the slot that it was queued behind, or SHM_NEXT_NONE. */
static unsigned leave_line(struct client_channel *ch, unsigned slot)
{
    for (unsigned before = 0; before < SHM_SLOT_COUNT; before++) {
        uint32_t next = slot;

        if ((atomic_load(&ch->free_slots[before / 64]) & shm_bit(before)) == 0 &&
            atomic_compare_exchange_strong(&shm_slot(ch->shm, before)->next, &next, SHM_NEXT_NONE))
            return before;
    }
    return SHM_NEXT_NONE;
}

/* What was to follow a call that is never going to be moves up, has its turn, or ends, too. */
static void move_up(struct client_channel *ch, unsigned slot, unsigned before)
{
    uint32_t next;

    while ((next = atomic_exchange(&shm_slot(ch->shm, slot)->next, SHM_NEXT_LATE)) <
           SHM_SLOT_COUNT) {
        struct shm_slot *s = shm_slot(ch->shm, next);
        uint32_t none = SHM_NEXT_NONE;

        if ((before < SHM_SLOT_COUNT &&
             atomic_compare_exchange_strong(&shm_slot(ch->shm, before)->next, &none, next)) ||
            post(ch, next, 0) == 0)
            return;
        s->error = EBADF;
        if (atomic_exchange(&s->state, SLOT_DONE) != SLOT_CALLING)
            futex_wake(&s->state);
        slot = next;
    }
}

int client_take_back(struct client_channel *ch, unsigned slot, int was_queued)
{
    unsigned before = SHM_NEXT_NONE;
    int is_ours = withdraw(ch, slot);

    if (!is_ours && was_queued) {
        before = leave_line(ch, slot);
        is_ours = before != SHM_NEXT_NONE || withdraw(ch, slot); /* its turn may just have come */
    }
    if (is_ours)
        move_up(ch, slot, before);
    return is_ours;
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
static uint32_t send_descriptors(struct client_channel *ch, unsigned slot,
                                 struct client_course *course, int64_t deadline_ns)
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
static uint32_t take_descriptors(struct client_channel *ch, unsigned slot,
                                 struct client_course *course)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t count = SHM_READ(s->result_desc_count);

    client_free_results(course);
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
                         struct client_course *course, int64_t deadline_ns)
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
static int sleep_for_reply(struct client_channel *ch, unsigned slot, struct client_course *course,
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
        if (client_is_awaited(state)) {
            if (sleep_once(ch, slot, state, deadline_ns, &patience_ns) < 0)
                return -1;
        } else if (deadline_left_ns(deadline_ns, &(int64_t){0})) {
            serve_server(ch, slot, state, course,
                         deadline_ns == NULL ? 0 : atomic_load(deadline_ns));
        } else { /* a server that asks without end must not make us forget the time */
            errno = ETIMEDOUT;
            return -1;
        }
    }
    return 0;
}

/* Whatever the server asks of a caller that has gone, it need not wait for it. */
void client_refuse(struct client_channel *ch, unsigned slot)
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
static int give_up(struct client_channel *ch, unsigned slot, struct client_course *course)
{
    int reason = errno;

    if (client_take_back(ch, slot, course->was_queued)) {
        errno = reason == ECONNRESET ? EBADF : reason;
        return -1;
    }
    if (atomic_load(&shm_slot(ch->shm, slot)->state) == SLOT_DONE)
        return 0;
    client_refuse(ch, slot);
    course->keep_slot = 1;
    errno = reason == ECONNRESET ? EINTR : reason;
    return -1;
}

/* Waits for the call that was handed over: 0, or the errno that it ends with. */
int client_await(struct client_channel *ch, unsigned slot, struct client_course *course,
                 const _Atomic int64_t *deadline_ns)
{
    if (sleep_for_reply(ch, slot, course, deadline_ns) < 0 && give_up(ch, slot, course) < 0)
        return errno;
    thread_observe();
    return course->error != 0 ? course->error : (int)SHM_READ(shm_slot(ch->shm, slot)->error);
}

int client_is_over(struct client_seat seat)
{
    return atomic_load(&shm_slot(seat.ch->shm, seat.slot)->state) == SLOT_DONE ||
           atomic_load(&seat.ch->dead);
}
