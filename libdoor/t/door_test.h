/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_test.h: what the conformance tests of the doors API share: a workspace,
 * server processes, waiting with deadlines, counts of descriptors and threads.
 *
 * The tests know the API only (door.h, stropts.h, POSIX, check), so that they
 * compile and mean the same wherever doors exist.  What has to look at the
 * system from outside is in door_test.c and door_test_counts.c.
 */
#ifndef DOOR_TEST_H
#define DOOR_TEST_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

#include <check.h>
#include <door.h>
#include <stropts.h>

#include "door_test_run.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DOOR_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DOOR_TEST_SANITIZED 1
#endif
#ifndef DOOR_TEST_SANITIZED
#define DOOR_TEST_SANITIZED 0
#endif

/* Ten times and more what anything here takes on a slow machine. */
#define DOOR_TEST_DEADLINE_MS (DOOR_TEST_SANITIZED ? 100000 : 20000)

/*
 * A condition that must hold in a server, a child or a thread, where check's
 * own assertions do not belong: tells stderr and ends the process with 99.
 */
#define door_test_require(cond)                                                                    \
    do {                                                                                           \
        if (!(cond))                                                                               \
            door_test_die(__FILE__, __LINE__, #cond);                                              \
    } while (0)

noreturn void door_test_die(const char *file, int line, const char *what);

/* A case whose tests have a workspace; timeout in seconds, longer under a sanitizer. */
TCase *door_test_tcase(Suite *suite, const char *name, int timeout_s);

/* n, or less of it where every call is slowed down by a sanitizer. */
long door_test_scaled(long n);

/* True if a sanitizer keeps memory of its own, so that sizes say nothing. */
bool door_test_sanitized(void);

/* True under valgrind or qemu, which keep some of the kernel's limits themselves, and not all. */
bool door_test_emulated(void);

/* The name in the workspace, in one of 16 static buffers that are reused in turn. */
const char *door_test_path(const char *name);

/* Writes a file with these bytes and this mode. */
void door_test_file(const char *path, const char *text, mode_t mode);

/* Reads up to size - 1 bytes of the file as a string. */
void door_test_read_file(const char *path, char *text, size_t size);

/* Memory that this process and the ones it forks from now on share; zeroed. */
void *door_test_shared(size_t size);

/*
 * Forks a process that runs body(arg), and returns its pid once it called
 * door_test_ready().  A body that returns ends the process with 0.
 */
pid_t door_test_spawn(void (*body)(void *), void *arg);
void door_test_ready(void);
noreturn void door_test_pause(void);

/* A process that serves a door under this name. */
pid_t door_test_serve(const char *path, door_server_procedure_t *procedure, void *cookie,
                      uint_t attributes);

/*
 * A server that answers every call with *byte, as it is now: a descriptor of its
 * door, named door-BYTE.  And what such a door answers, or minus the errno.
 */
int door_test_serve_byte(const char *byte);
int door_test_ask(int d);

/* In a server: gives the door a name over a placeholder as real programs do. */
void door_test_attach(int door, const char *path);

/* kill -9 and reap. */
void door_test_stop(pid_t pid);

/* SIGSTOP, and waits until all its threads have stopped; SIGCONT ends it. */
void door_test_freeze(pid_t pid);

/* Waits for the process; its exit status, or -1 if it died by a signal. */
int door_test_exit_status(pid_t pid);

/* Runs body(arg) in a child, as an unprivileged user if we are root; its result. */
int door_test_in_child(int (*body)(void *), void *arg);
int door_test_unprivileged(int (*body)(void *), void *arg);
uid_t door_test_unprivileged_uid(void);
gid_t door_test_unprivileged_gid(void);

/* open(path, O_RDONLY), which has to succeed. */
int door_test_open(const char *path);

/* A procedure that returns nothing. */
void door_test_nothing(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc);

/*
 * Calls with arg_size bytes at arg, and copies at most result_size bytes of the
 * result.  Returns the result's size, or -1 with door_call's errno.
 */
ssize_t door_test_call(int door, const void *arg, size_t arg_size, void *result,
                       size_t result_size);

/* Bytes that tell a place in a buffer from another, and a check of them. */
void door_test_fill(char *data, size_t size, unsigned seed);
bool door_test_filled(const char *data, size_t size, unsigned seed);

/* Semaphores between processes; waiting gives up at the deadline. */
void door_test_sem_init(sem_t *sem);
bool door_test_sem_wait(sem_t *sem);

/* Has a call's deadline come once somebody posts sem: when the call runs, and not before. */
struct door_test_late {
    _Atomic int64_t deadline_ns;
    sem_t *sem;
    pthread_t thread;
};
void door_test_late_after(struct door_test_late *late, sem_t *sem);
void door_test_late_end(struct door_test_late *late);

/* Asks every millisecond until it is so; false at the deadline. */
bool door_test_await(bool (*is_so)(void *), void *arg);

/* Time that only goes forward, in milliseconds. */
int64_t door_test_now_ms(void);

/* What a client has for a channel once a result has brought descriptors. */
#define DOOR_TEST_RECEIVER_FDS 2

/*
 * Open descriptors of this process or of another one, without those of a sanitizer that
 * is built in; -1 if the system does not tell.
 */
int door_test_fd_count(void);
int door_test_fd_count_of(pid_t pid);

/* Waits until this process (0) or another one has at most that many descriptors. */
bool door_test_fds_settle(pid_t pid, int at_most);

/* Threads of a process; -1 if the system does not tell. */
int door_test_thread_count(pid_t pid);

/* The same, and stores the numbers of up to max of them; and how often one of them has slept. */
int door_test_threads(pid_t pid, pid_t *tids, int max);
long door_test_sleeps(pid_t pid, pid_t tid);

/* Resident memory of a process in KiB; -1 if the system does not tell. */
long door_test_resident_kb(pid_t pid);

#endif
