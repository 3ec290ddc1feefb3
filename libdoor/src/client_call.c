/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_call.c: one call: its arguments and descriptors into the slot, and its
 * results out of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_channel.h"
#include "desc.h"
#include "thread.h"

static int put_arguments(struct client_channel *ch, unsigned slot, const door_arg_t *arg)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    size_t size = arg->data_ptr != NULL ? arg->data_size : 0;
    char *to = client_buffer((struct client_seat){ch, slot}, size);

    if (to == NULL)
        return -1;
    if (size > 0)
        memcpy(to, arg->data_ptr, size);
    s->arg_size = size;
    s->arg_at = to == s->data ? SHM_IN_SLOT : 0;
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

/* Where the server says that its result is; NULL if that cannot be. */
static char *find_result(struct client_channel *ch, unsigned slot, uint64_t size)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint64_t at = SHM_READ(s->result_at);
    char *window;

    if (at == SHM_IN_SLOT)
        return size <= SHM_INLINE_SIZE ? s->data : NULL;
    if (size > SHM_DATA_MAX || at > SHM_DATA_MAX - size)
        return NULL;
    window = client_window_map(ch, slot, at + size);
    return window != NULL ? window + at : NULL;
}

/* Only the descriptors need room in rbuf; a mapping that is made for them is the loan's. */
static int lend_result(struct client_channel *ch, unsigned slot, door_arg_t *arg,
                       struct client_course *course, door_desc_t **descs)
{
    struct door_loan *loan = course->loan;
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
                       struct client_course *course)
{
    uint64_t size = SHM_READ(shm_slot(ch->shm, slot)->result_size);
    char *from = arg == NULL ? NULL : find_result(ch, slot, size);
    door_desc_t *descs;
    int result;

    if (arg == NULL)
        return 0; /* nobody wants them: client_free_results() closes what came */
    if (course->loan != NULL && !fits(arg, size))
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

/* A new call, as far as it has no descriptors. */
static void number_call(struct client_channel *ch, unsigned slot)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);

    s->arg_desc_count = 0;
    s->call = atomic_fetch_add(&ch->call_count, 1);
    atomic_store_explicit(&s->next, SHM_NEXT_NONE, memory_order_relaxed);
}

/* The descriptors of a call, which the server asks for when it has taken it; 0, or -1. */
static int put_descriptors(struct client_channel *ch, unsigned slot, struct client_course *course)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    const door_arg_t *arg = course->passed;
    int *fds;

    number_call(ch, slot);
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
static int is_released(const struct client_course *course, int error)
{
    static const int refused[] = {EBADF, EINVAL, ENOTSUP, ENFILE, ENOBUFS, E2BIG};

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (error == refused[i])
            return 0;
    }
    return course->handed_over;
}

/* Before the results, which may come into the memory of the descriptors passed. */
static void free_passed(const struct client_course *course, int error)
{
    const door_arg_t *arg = course->passed;

    if (course->sent_fds == NULL)
        return;
    desc_unprepare(arg->desc_ptr, arg->desc_num, course->sent_fds);
    if (is_released(course, error))
        desc_release(arg->desc_ptr, arg->desc_num);
    free(course->sent_fds);
}

/* Hands the call over and waits for it: 0, or the errno that it ends with. */
static int run(struct client_channel *ch, unsigned slot, struct client_course *course,
               const _Atomic int64_t *deadline_ns)
{
    if (client_start(ch, slot, 1) < 0)
        return errno;
    course->handed_over = 1;
    return client_await(ch, slot, course, deadline_ns);
}

static int call_slot(struct client_channel *ch, unsigned slot, door_arg_t *arg,
                     struct client_course *course, const _Atomic int64_t *deadline_ns)
{
    int error;

    if (put_arguments(ch, slot, course->passed) < 0 || put_descriptors(ch, slot, course) < 0)
        return -1;
    error = run(ch, slot, course, deadline_ns);
    free_passed(course, error);
    if (error == 0)
        return get_results(ch, slot, arg, course);
    errno = error;
    return -1;
}

int client_call(struct client_seat seat, door_arg_t *arg, const _Atomic int64_t *deadline_ns,
                struct door_loan *loan)
{
    door_arg_t passed = arg != NULL ? *arg : (door_arg_t){0};
    struct client_course course = {.passed = &passed, .loan = loan};
    int result = call_slot(seat.ch, seat.slot, arg, &course, deadline_ns);
    int error = errno;

    client_free_results(&course);
    if (course.keep_slot)
        client_abandon(seat);
    else if (!course.is_lent)
        client_give_back(seat);
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

    if (at >= w->size) {
        if (size > 0 && data != s->data)
            memmove(s->data, data, size);
        at = SHM_IN_SLOT;
    }
    number_call(seat.ch, seat.slot);
    s->arg_size = size;
    s->arg_at = at;
    return behind < SHM_SLOT_COUNT ? client_start_behind(seat.ch, seat.slot, behind)
                                   : client_start(seat.ch, seat.slot, 0);
}

int client_end(struct client_seat *seat, int was_queued, char **result, size_t *size)
{
    struct client_course course = {.passed = &(door_arg_t){0}, .was_queued = was_queued};
    int error = client_await(seat->ch, seat->slot, &course, NULL);

    if (error == 0) {
        uint64_t result_size = SHM_READ(shm_slot(seat->ch->shm, seat->slot)->result_size);
        *result = find_result(seat->ch, seat->slot, result_size);
        *size = (size_t)result_size; /* if it was found, it can be addressed */
        error = *result == NULL ? EOVERFLOW : 0;
    }
    client_free_results(&course);
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

    if (runs && !client_take_back(seat.ch, seat.slot, was_queued) && !client_is_over(seat)) {
        client_refuse(seat.ch, seat.slot);
        client_abandon(seat);
    } else {
        client_give_back(seat);
    }
    errno = saved;
}
