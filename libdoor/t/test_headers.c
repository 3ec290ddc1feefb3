/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_headers.c: what programs from illumos find in the headers beside the
 * doors API: threads, mutexes, condition variables, type names and S_ISDOOR;
 * and the two shapes in which the manual has a server bring its own threads.
 */
#include <door.h>
#include <thread.h>
#include <synch.h>
#include <stropts.h>
#include <sys/stat.h>

#include "door_test.h"
#include "layout.h" /* this compiles: the structures are illumos' */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define THREAD_COUNT 8

/* ------------------------------------------------ threads */

static void *remember_self(void *seen)
{
    *(thread_t *)seen = thr_self();
    thr_yield();
    thr_exit(seen);
}

START_TEST(a_thread_is_created_and_joined)
{
    thread_t thread, seen, departed = 0;
    void *status = NULL;

    ck_assert_int_eq(thr_create(NULL, 0, remember_self, &seen, THR_BOUND | THR_NEW_LWP, &thread),
                     0);
    ck_assert_int_eq(thr_join(thread, &departed, &status), 0);
    ck_assert(seen == thread && departed == thread && seen != thr_self());
    ck_assert_ptr_eq(status, &seen);
    ck_assert_int_eq(thr_create(NULL, 0, remember_self, &seen, 0, &thread), 0);
    ck_assert_int_eq(thr_join(thread, NULL, NULL), 0);
}
END_TEST

static void *tell_stack(void *where)
{
    char local;

    *(uintptr_t *)where = (uintptr_t)&local;
    return NULL;
}

START_TEST(a_thread_gets_the_stack_it_is_given)
{
    size_t size = 1 << 20;
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t where = 0;
    thread_t thread;

    ck_assert_ptr_ne(stack, MAP_FAILED);
    ck_assert_int_eq(thr_create(stack, size, tell_stack, &where, 0, &thread), 0);
    ck_assert_int_eq(thr_join(thread, NULL, NULL), 0);
    if (!door_test_sanitized()) /* which may keep locals elsewhere */
        ck_assert(where - (uintptr_t)stack < size);
    ck_assert_int_eq(thr_create(NULL, size, tell_stack, &where, 0, &thread), 0);
    ck_assert_int_eq(thr_join(thread, NULL, NULL), 0);
    ck_assert_int_eq(thr_create(NULL, 1, tell_stack, &where, 0, &thread), EINVAL);
}
END_TEST

static void *look_at_stack(void *unused)
{
    char local;
    stack_t stack;

    door_test_require(thr_stksegment(&stack) == 0 && stack.ss_flags == 0);
    if (!door_test_sanitized())
        door_test_require((uintptr_t)stack.ss_sp - (uintptr_t)&local < stack.ss_size);
    return unused;
}

/* ss_sp is the end from which the stack grows. */
START_TEST(a_thread_knows_its_stack)
{
    size_t size = thr_min_stack();
    thread_t thread;

    look_at_stack(NULL); /* the first thread's */
    ck_assert_int_eq(thr_create(NULL, size - 1, look_at_stack, NULL, 0, &thread), EINVAL);
    if (door_test_sanitized() || door_test_emulated())
        size *= 16;
    ck_assert_int_eq(thr_create(NULL, size, look_at_stack, NULL, 0, &thread), 0);
    ck_assert_int_eq(thr_join(thread, NULL, NULL), 0);
}
END_TEST

static sem_t posted;

static void *post(void *unused)
{
    sem_post(&posted);
    return unused;
}

START_TEST(a_detached_thread_runs)
{
    door_test_sem_init(&posted);
    ck_assert_int_eq(thr_create(NULL, 0, post, NULL, THR_DETACHED, NULL), 0);
    ck_assert(door_test_sem_wait(&posted));
    ck_assert_int_eq(thr_create(NULL, 0, post, NULL, THR_DAEMON | THR_BOUND, NULL), 0);
    ck_assert(door_test_sem_wait(&posted));
}
END_TEST

#ifdef __linux__
START_TEST(what_linux_cannot_do_is_refused)
{
    thread_t thread;

    ck_assert_int_eq(thr_create(NULL, 0, post, NULL, 0x80, &thread), EINVAL); /* suspended */
    ck_assert_int_eq(thr_join(0, NULL, NULL), ENOTSUP);
}
END_TEST
#endif

static thread_key_t key;
static thread_key_t once_key = THR_ONCE_KEY;
static _Atomic long destroyed;

static void destroy(void *value)
{
    atomic_fetch_add(&destroyed, (long)(intptr_t)value);
}

static void *use_key(void *value)
{
    void *got = value;

    door_test_require(thr_getspecific(key, &got) == 0 && got == NULL);
    door_test_require(thr_setspecific(key, value) == 0);
    door_test_require(thr_getspecific(key, &got) == 0 && got == value);
    return NULL;
}

static void *use_once_key(void *value)
{
    door_test_require(thr_keycreate_once(&once_key, destroy) == 0);
    door_test_require(once_key != THR_ONCE_KEY);
    door_test_require(thr_setspecific(once_key, value) == 0);
    return NULL;
}

static void in_threads(void *(*body)(void *))
{
    thread_t threads[THREAD_COUNT];

    for (intptr_t i = 0; i < THREAD_COUNT; i++)
        ck_assert_int_eq(thr_create(NULL, 0, body, (void *)(i + 1), 0, &threads[i]), 0);
    for (int i = 0; i < THREAD_COUNT; i++)
        ck_assert_int_eq(thr_join(threads[i], NULL, NULL), 0);
}

START_TEST(each_thread_has_its_own_values)
{
    ck_assert_int_eq(thr_keycreate(&key, destroy), 0);
    in_threads(use_key);
    ck_assert_int_eq(destroyed, THREAD_COUNT * (THREAD_COUNT + 1) / 2);
}
END_TEST

START_TEST(a_key_is_made_once)
{
    in_threads(use_once_key);
    ck_assert_int_eq(destroyed, THREAD_COUNT * (THREAD_COUNT + 1) / 2);
}
END_TEST

START_TEST(signals_of_one_thread)
{
    struct timespec deadline = {.tv_sec = DOOR_TEST_DEADLINE_MS / 1000};
    sigset_t set, old;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    ck_assert_int_eq(thr_sigsetmask(SIG_BLOCK, &set, &old), 0);
    ck_assert_int_eq(sigismember(&old, SIGUSR1), 0);
    ck_assert_int_eq(thr_kill(thr_self(), SIGUSR1), 0);
    ck_assert_int_eq(sigtimedwait(&set, NULL, &deadline), SIGUSR1);
    ck_assert_int_eq(thr_sigsetmask(SIG_SETMASK, &old, NULL), 0);
    ck_assert_int_eq(thr_kill(thr_self(), 0), 0);
}
END_TEST

/* ------------------------------------------------ mutexes and conditions */

static mutex_t zeroed_mutex; /* zeroed memory is valid, and so are these: */
static cond_t zeroed_cond;
static mutex_t default_mutex = DEFAULTMUTEX;
static cond_t default_cond = DEFAULTCV;
static long counted;

static void *count(void *unused)
{
    for (int i = 0; i < 10000; i++) {
        door_test_require(mutex_lock(&zeroed_mutex) == 0);
        counted++;
        door_test_require(mutex_unlock(&zeroed_mutex) == 0);
    }
    (void)unused;
    return NULL;
}

START_TEST(a_zeroed_mutex_excludes)
{
    in_threads(count);
    ck_assert_int_eq(counted, THREAD_COUNT * 10000);
    ck_assert_int_eq(mutex_lock(&default_mutex), 0);
    ck_assert_int_eq(mutex_trylock(&default_mutex), EBUSY);
    ck_assert_int_eq(mutex_unlock(&default_mutex), 0);
    ck_assert_int_eq(mutex_trylock(&default_mutex), 0);
    ck_assert_int_eq(mutex_unlock(&default_mutex), 0);
    ck_assert_int_eq(mutex_destroy(&default_mutex), 0);
}
END_TEST

START_TEST(kinds_of_mutexes)
{
    mutex_t m;

    ck_assert_int_eq(mutex_init(&m, USYNC_THREAD | LOCK_RECURSIVE, NULL), 0);
    ck_assert_int_eq(mutex_lock(&m), 0);
    ck_assert_int_eq(mutex_lock(&m), 0);
    ck_assert_int_eq(mutex_unlock(&m), 0);
    ck_assert_int_eq(mutex_unlock(&m), 0);
    ck_assert_int_eq(mutex_destroy(&m), 0);
    ck_assert_int_eq(mutex_init(&m, LOCK_ERRORCHECK, NULL), 0);
    ck_assert_int_eq(mutex_lock(&m), 0);
    ck_assert_int_eq(mutex_lock(&m), EDEADLK);
    ck_assert_int_eq(mutex_unlock(&m), 0);
    ck_assert_int_eq(mutex_destroy(&m), 0);
    ck_assert_int_eq(mutex_init(&m, 0x10000, NULL), EINVAL);
}
END_TEST

static int lock_and_die(void *m)
{
    return mutex_lock(m);
}

START_TEST(a_mutex_between_processes)
{
    mutex_t *m = door_test_shared(sizeof(*m));

    if (door_test_emulated())
        return; /* qemu has no robust mutexes */
    ck_assert_int_eq(mutex_init(m, USYNC_PROCESS | LOCK_ROBUST, NULL), 0);
    ck_assert_int_eq(door_test_in_child(lock_and_die, m), 0);
    ck_assert_int_eq(mutex_lock(m), EOWNERDEAD);
    ck_assert_int_eq(mutex_consistent(m), 0);
    ck_assert_int_eq(mutex_unlock(m), 0);
    ck_assert_int_eq(mutex_lock(m), 0);
    ck_assert_int_eq(mutex_unlock(m), 0);
}
END_TEST

static int turn, waiting;

static void *wait_for_turn(void *unused)
{
    mutex_lock(&zeroed_mutex);
    waiting++;
    cond_signal(&default_cond);
    while (turn == 0)
        cond_wait(&zeroed_cond, &zeroed_mutex);
    if (turn > 0)
        turn--;
    waiting--;
    mutex_unlock(&zeroed_mutex);
    return unused;
}

START_TEST(a_zeroed_condition_wakes)
{
    thread_t threads[3];
    mutex_t *m = &zeroed_mutex;

    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(thr_create(NULL, 0, wait_for_turn, NULL, 0, &threads[i]), 0);
    mutex_lock(m);
    while (waiting < 3)
        ck_assert_int_eq(cond_wait(&default_cond, m), 0);
    turn = 1;
    ck_assert_int_eq(cond_signal(&zeroed_cond), 0);
    mutex_unlock(m);
    while (mutex_lock(m) == 0 && waiting > 2) {
        mutex_unlock(m);
        thr_yield();
    }
    ck_assert_int_eq(turn, 0);
    turn = -1; /* everybody's */
    ck_assert_int_eq(cond_broadcast(&zeroed_cond), 0);
    mutex_unlock(m);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(thr_join(threads[i], NULL, NULL), 0);
    ck_assert_int_eq(cond_destroy(&default_cond), 0);
}
END_TEST

START_TEST(a_condition_with_a_time)
{
    timestruc_t until;
    cond_t c;

    ck_assert_int_eq(cond_init(&c, USYNC_THREAD, NULL), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    mutex_lock(&zeroed_mutex);
    ck_assert_int_eq(cond_timedwait(&c, &zeroed_mutex, &until), ETIME);
    mutex_unlock(&zeroed_mutex);
    ck_assert_int_eq(cond_destroy(&c), 0);
    ck_assert_int_eq(cond_init(&c, USYNC_PROCESS, NULL), 0);
    ck_assert_int_eq(cond_destroy(&c), 0);
}
END_TEST

/* ------------------------------------------------ names for types and files */

START_TEST(illumos_names_for_types)
{
    uchar_t c = UCHAR_MAX;
    ushort_t s = USHRT_MAX;
    uint_t i = UINT_MAX;
    ulong_t l = ULONG_MAX;

    ck_assert_uint_eq(c, UCHAR_MAX);
    ck_assert_uint_eq(s, USHRT_MAX);
    ck_assert_uint_eq(i, UINT_MAX);
    ck_assert_uint_eq(l, ULONG_MAX);
}
END_TEST

static void say_nothing(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)cookie;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return(NULL, 0, NULL, 0);
}

START_TEST(stat_tells_a_door)
{
    const char *path = door_test_path("door");
    int d = door_create(say_nothing, NULL, 0), opened;
    struct stat st;

    ck_assert_int_ge(d, 0);
    door_test_file(path, "", 0600);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(!S_ISDOOR(st.st_mode) && (st.st_mode & S_IFMT) != S_IFDOOR);
    door_test_attach(d, path);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISDOOR(st.st_mode) && (st.st_mode & S_IFMT) == S_IFDOOR);
    opened = door_test_open(path);
    ck_assert_int_eq(fstat(opened, &st), 0);
    ck_assert(S_ISDOOR(st.st_mode));
    ck_assert_int_eq(fstat(d, &st), 0);
    ck_assert(S_ISDOOR(st.st_mode));
    close(opened);
    ck_assert_int_eq(fdetach(path), 0);
}
END_TEST

/* ------------------------------------------------ a server brings its own threads */

static _Atomic long created, set_up;

/* As a program would that wants its threads bound, detached and not cancellable. */
static void *serve_shared(void *unused)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    atomic_fetch_add(&set_up, 1);
    door_return(NULL, 0, NULL, 0);
    return unused;
}

static void create_shared(door_info_t *info)
{
    if (info != NULL)
        return;
    atomic_fetch_add(&created, 1);
    door_test_require(thr_create(NULL, 0, serve_shared, NULL, THR_BOUND | THR_DETACHED, NULL) == 0);
}

static void echo(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char result[64];

    (void)dp;
    (void)n_desc;
    memcpy(result, argp, arg_size);
    result[arg_size] = *(const char *)cookie;
    door_return(result, arg_size + 1, NULL, 0);
}

static void echoes(int d, const char *expected)
{
    char result[64];

    ck_assert_int_eq(door_test_call(d, "doo", 3, result, sizeof(result)), 4);
    ck_assert_mem_eq(result, expected, 4);
}

START_TEST(a_creation_function_with_thr_create)
{
    int d;

    ck_assert_ptr_nonnull(door_server_create(create_shared));
    d = door_create(echo, "r", 0);
    ck_assert_int_ge(d, 0);
    ck_assert_int_eq(created, 1);
    for (int i = 0; i < 100; i++)
        echoes(d, "door");
    ck_assert_int_ge(set_up, 1);
    ck_assert_int_le(set_up, created);
}
END_TEST

/*
 * Two private doors, each with threads of its own: the creation function runs
 * inside door_create(), so a thread waits for the descriptor before it binds.
 */
struct private_door {
    mutex_t lock;
    cond_t known;
    int did;
    long threads;
};

static struct private_door doors[2];

static void *serve_private(void *arg)
{
    struct private_door *door = arg;

    mutex_lock(&door->lock);
    while (door->did < 0)
        cond_wait(&door->known, &door->lock);
    door->threads++;
    mutex_unlock(&door->lock);
    door_test_require(door_bind(door->did) == 0);
    door_return(NULL, 0, NULL, 0);
    return NULL;
}

static void create_private(door_info_t *info)
{
    struct private_door *door;

    if (info == NULL)
        return;
    door = &doors[*(const char *)(uintptr_t)info->di_data == 'r' ? 0 : 1];
    door_test_require(thr_create(NULL, 0, serve_private, door, THR_BOUND | THR_DETACHED, NULL) ==
                      0);
}

static int new_private_door(struct private_door *door, const char *cookie)
{
    int d;

    door->did = -1;
    d = door_create(echo, (void *)cookie, DOOR_PRIVATE);
    ck_assert_int_ge(d, 0);
    mutex_lock(&door->lock);
    door->did = d;
    cond_broadcast(&door->known);
    mutex_unlock(&door->lock);
    return d;
}

START_TEST(two_private_doors_with_mutex_and_condition)
{
    int first, second;

    door_server_create(create_private);
    first = new_private_door(&doors[0], "r");
    second = new_private_door(&doors[1], "m");
    for (int i = 0; i < 100; i++) {
        echoes(first, "door");
        echoes(second, "doom");
    }
    for (int i = 0; i < 2; i++) {
        mutex_lock(&doors[i].lock);
        ck_assert_int_ge(doors[i].threads, 1);
        mutex_unlock(&doors[i].lock);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("headers");
    TCase *tc = door_test_tcase(suite, "headers", 30);

    tcase_add_test(tc, a_thread_is_created_and_joined);
    tcase_add_test(tc, a_thread_gets_the_stack_it_is_given);
    tcase_add_test(tc, a_thread_knows_its_stack);
    tcase_add_test(tc, a_detached_thread_runs);
#ifdef __linux__
    tcase_add_test(tc, what_linux_cannot_do_is_refused);
#endif
    tcase_add_test(tc, each_thread_has_its_own_values);
    tcase_add_test(tc, a_key_is_made_once);
    tcase_add_test(tc, signals_of_one_thread);
    tcase_add_test(tc, a_zeroed_mutex_excludes);
    tcase_add_test(tc, kinds_of_mutexes);
    tcase_add_test(tc, a_mutex_between_processes);
    tcase_add_test(tc, a_zeroed_condition_wakes);
    tcase_add_test(tc, a_condition_with_a_time);
    tcase_add_test(tc, illumos_names_for_types);
    tcase_add_test(tc, stat_tells_a_door);
    tcase_add_test(tc, a_creation_function_with_thr_create);
    tcase_add_test(tc, two_private_doors_with_mutex_and_condition);
    return door_test_run(suite);
}
