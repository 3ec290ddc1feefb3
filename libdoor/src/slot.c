/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * slot.c: see slot.h.
 *
 * Memory order.  All operations on the shared words are sequentially consistent;
 * three pairs of them need that.  A caller sets its bit in `pending` and then reads
 * `waking` (must it ring?) and `revoked`.  The server clears `waking`, or sets
 * `revoked`, and then reads `pending`.  So at least one of them sees the other.  A
 * thread that replies sets `next` to late before it sets `state` to done, and a caller
 * that queues a call behind it first tries to set `next`.  So exactly one of them starts
 * the queued call.  Arguments and results are plain memory, which is written before the
 * bit, or the state, that hands them over.
 */
#include "slot.h"

#include <errno.h>

#include "thread.h"

/* A caller answers questions at once, unless it is stopped or hostile. */
#define ANSWER_MAX_NS 1000000000ll
#define ANSWER_POLL_NS 100000000ll

/* ------------------------------------------------ handing over, and taking */

static int is_set(_Atomic uint64_t *map, unsigned slot)
{
    return (atomic_load(&map[slot / 64]) & shm_bit(slot)) != 0;
}

/* Clears the bit.  Returns whether it was set: whoever clears it owns the call. */
static int clear(_Atomic uint64_t *map, unsigned slot)
{
    return (atomic_fetch_and(&map[slot / 64], ~shm_bit(slot)) & shm_bit(slot)) != 0;
}

/* No ring is needed if a server thread looks out and the caller waits, as it can ring later. */
static int post(void *shm, unsigned slot, int waits)
{
    struct shm_head *head = shm_head(shm);

    atomic_fetch_or(&head->pending[slot / 64], shm_bit(slot));
    if (atomic_load(&head->revoked) && clear(head->pending, slot)) {
        errno = EBADF;
        return -1;
    }
    return atomic_exchange(&head->waking, 1) == 0 || !waits;
}

int slot_submit(void *shm, unsigned slot, int waits)
{
    thread_publish();
    atomic_store(&shm_slot(shm, slot)->state, SLOT_CALLING);
    return post(shm, slot, waits);
}

int slot_is_pending(void *shm, unsigned slot)
{
    return is_set(shm_head(shm)->pending, slot);
}

unsigned slot_pending_count(void *shm)
{
    unsigned count = 0;

    for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
        count += (unsigned)__builtin_popcountll(atomic_load(&shm_head(shm)->pending[word]));
    return count;
}

int slot_take(void *shm, unsigned start)
{
    start %= SHM_SLOT_COUNT;
    for (unsigned step = 0; step <= SHM_WORD_COUNT; step++) {
        unsigned word = (start / 64 + step) % SHM_WORD_COUNT;
        uint64_t wanted = ~0ull;
        if (step == 0)
            wanted <<= start % 64;
        if (step == SHM_WORD_COUNT)
            wanted = ~(wanted << start % 64);
        uint64_t bits = atomic_load(&shm_head(shm)->pending[word]) & wanted;
        for (; bits != 0; bits &= bits - 1) {
            unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);
            if (clear(shm_head(shm)->pending, slot)) {
                thread_observe();
                return (int)slot;
            }
        }
    }
    return -1;
}

/* ------------------------------------------------ ringing, and hearing */

int slot_look_out(void *shm)
{
    return atomic_exchange(&shm_head(shm)->waking, 1) == 0;
}

void slot_heard(void *shm)
{
    atomic_store(&shm_head(shm)->waking, 0);
}

void slot_revoke(void *shm)
{
    atomic_store(&shm_head(shm)->revoked, 1);
}

/* ------------------------------------------------ one call behind another */

int slot_submit_behind(void *shm, unsigned slot, unsigned behind)
{
    uint32_t next = SHM_NEXT_NONE;

    thread_publish();
    atomic_store(&shm_slot(shm, slot)->state, SLOT_CALLING);
    if (atomic_compare_exchange_strong(&shm_slot(shm, behind)->next, &next, slot))
        return 0;
    if (next == SHM_NEXT_LATE)
        return post(shm, slot, 0);
    errno = EBUSY;
    return -1;
}

/* In the server: makes the call that is queued behind this one pending. */
static int start_next(void *shm, struct shm_slot *s, int follow)
{
    uint32_t next = atomic_exchange(&s->next, SHM_NEXT_LATE);

    if (next >= SHM_SLOT_COUNT || !follow)
        return 0;
    atomic_fetch_or(&shm_head(shm)->pending[next / 64], shm_bit(next));
    return 1;
}

/*
 * Takes a queued call out of its queue.  Returns the slot before it, or SHM_NEXT_NONE.  In
 * memory that no call has used `next` is 0, which looks as if slot 0 were queued there.
 */
static unsigned leave_line(void *shm, unsigned slot, const _Atomic uint64_t *followed)
{
    for (unsigned before = 0; before < SHM_SLOT_COUNT; before++) {
        uint32_t next = slot;

        if ((atomic_load(&followed[before / 64]) & shm_bit(before)) != 0 &&
            atomic_compare_exchange_strong(&shm_slot(shm, before)->next, &next, SHM_NEXT_NONE))
            return before;
    }
    return SHM_NEXT_NONE;
}

static void end_as_revoked(struct shm_slot *s)
{
    atomic_store_explicit(&s->error, EBADF, memory_order_relaxed);
    if (atomic_exchange(&s->state, SLOT_DONE) != SLOT_CALLING)
        futex_wake(&s->state);
}

/*
 * For a withdrawn call: the call behind it is queued behind the slot before it, or has its turn
 * now, or ends if the door is revoked.  Returns 1 if the client must ring.
 */
static int move_up(void *shm, unsigned slot, unsigned before)
{
    uint32_t next;

    while ((next = atomic_exchange(&shm_slot(shm, slot)->next, SHM_NEXT_LATE)) <
           SHM_SLOT_COUNT) {
        uint32_t none = SHM_NEXT_NONE;

        if (before < SHM_SLOT_COUNT &&
            atomic_compare_exchange_strong(&shm_slot(shm, before)->next, &none, next))
            return 0;
        if (post(shm, next, 0) >= 0)
            return 1;
        end_as_revoked(shm_slot(shm, next));
        slot = next;
    }
    return 0;
}

int slot_withdraw(void *shm, unsigned slot, const _Atomic uint64_t *followed, int *must_ring)
{
    unsigned before = SHM_NEXT_NONE;
    int is_ours = clear(shm_head(shm)->pending, slot);

    *must_ring = 0;
    if (!is_ours && followed != NULL) {
        before = leave_line(shm, slot, followed);
        is_ours = before != SHM_NEXT_NONE ||
                  clear(shm_head(shm)->pending, slot); /* it may have become pending just now */
    }
    if (is_ours)
        *must_ring = move_up(shm, slot, before);
    return is_ours;
}

/* ------------------------------------------------ sleeping, questions and answers */

void slot_begin_wait(void *shm, unsigned slot)
{
    uint32_t state = SLOT_CALLING;

    atomic_compare_exchange_strong(&shm_slot(shm, slot)->state, &state, SLOT_WAITING);
}

int slot_is_awaited(uint32_t state)
{
    return state == SLOT_WAITING || state == SLOT_SENT || state == SLOT_TAKEN ||
           state == SLOT_REFUSED;
}

/* In the server. */
int slot_ask(void *shm, unsigned slot, uint32_t question, const _Atomic int *gone)
{
    struct shm_slot *s = shm_slot(shm, slot);
    int64_t deadline_ns = thread_now_ns() + ANSWER_MAX_NS;
    uint32_t state;

    if (atomic_exchange(&s->state, question) != SLOT_CALLING)
        futex_wake(&s->state);
    while ((state = atomic_load(&s->state)) == question) {
        int64_t left_ns = deadline_ns - thread_now_ns();
        if (left_ns <= 0 || atomic_load(gone))
            break;
        futex_wait(&s->state, question, left_ns < ANSWER_POLL_NS ? left_ns : ANSWER_POLL_NS);
    }
    /* If the answer comes just now, the caller believes that it was heard. */
    if (state == question && atomic_compare_exchange_strong(&s->state, &state, SLOT_WAITING))
        return -1;
    return (int)state;
}

/* In the client. */
int slot_answer(void *shm, unsigned slot, uint32_t question, uint32_t answer)
{
    struct shm_slot *s = shm_slot(shm, slot);

    if (!atomic_compare_exchange_strong(&s->state, &question, answer))
        return 0;
    futex_wake(&s->state);
    return 1;
}

void slot_refuse(void *shm, unsigned slot)
{
    uint32_t state = atomic_load(&shm_slot(shm, slot)->state);

    if (state == SLOT_IDENTIFY || state == SLOT_SEND || state == SLOT_DELIVER ||
        state == SLOT_RECEIVE)
        slot_answer(shm, slot, state, SLOT_REFUSED);
}

/* ------------------------------------------------ the end */

int slot_is_done(void *shm, unsigned slot)
{
    return atomic_load(&shm_slot(shm, slot)->state) == SLOT_DONE;
}

int slot_finish(void *shm, unsigned slot, int error, int follow)
{
    struct shm_slot *s = shm_slot(shm, slot);
    int is_followed;

    /* Two threads may be here if a client reuses a slot before its reply. */
    atomic_store_explicit(&s->error, (uint32_t)error, memory_order_relaxed);
    thread_publish();
    is_followed = start_next(shm, s, follow);
    if (atomic_exchange(&s->state, SLOT_DONE) != SLOT_CALLING)
        futex_wake(&s->state);
    return is_followed;
}

/* In the client's loop thread, when the server is gone. */
void slot_kill(void *shm, unsigned slot)
{
    struct shm_slot *s = shm_slot(shm, slot);
    uint32_t state = atomic_load(&s->state);

    if (slot_is_awaited(state) && atomic_compare_exchange_strong(&s->state, &state, SLOT_DEAD))
        futex_wake(&s->state);
}
