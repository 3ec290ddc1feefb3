/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.c: server threads as Python's threads.  Each keeps its thread state from
 * request to request, and with it what Python code has per thread.  Tells the doors
 * while it waits for the interpreter's lock.  Knows nothing of requests.
 *
 * The runtime's threads block all signals.  Python code has them as the main thread had
 * them, so that a program that it starts finds nothing blocked and a fault is
 * reported.  A stop signal that comes to one of them is handed to the main thread,
 * which waits for it.
 */
#include "native.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Thread_local PyThreadState *state; /* of a server thread that has run Python code */
static _Thread_local Request *current;

static sigset_t python_signals; /* the mask while Python code runs */
static sigset_t all_signals;
static pthread_t main_thread;
static struct sigaction before[NSIG]; /* of the stop signals */
static _Atomic int is_finished;
static _Atomic int stopping_count;
static _Atomic int is_child;

static const int stop_signals[] = {SIGTERM, SIGINT};
#define STOP_COUNT (sizeof(stop_signals) / sizeof(stop_signals[0]))

static void hand_over(int number)
{
    pthread_kill(main_thread, number);
}

/* A forked child ends by them as it would have before. */
static void forked(void)
{
    atomic_store(&is_child, 1);
    for (size_t i = 0; i < STOP_COUNT; i++)
        sigaction(stop_signals[i], &before[stop_signals[i]], NULL);
}

static int take_stop_signal(int number)
{
    struct sigaction action = {.sa_handler = hand_over, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &before[number]) == -1)
        return -1;
    if (before[number].sa_handler == SIG_IGN)
        return 0;
    return sigaction(number, &action, NULL);
}

int thread_setup(void)
{
    int error;

    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, NULL, &python_signals);
    main_thread = pthread_self();
    atomic_store(&is_finished, 0);
    for (size_t i = 0; i < STOP_COUNT; i++) {
        if (take_stop_signal(stop_signals[i]) == -1) {
            raise_errno("sigaction");
            return -1;
        }
    }
    error = pthread_atfork(NULL, NULL, forked);
    if (error == 0)
        return 0;
    errno = error;
    raise_errno("pthread_atfork");
    return -1;
}

int thread_is_forked(void)
{
    return atomic_load(&is_child);
}

static void take_lock(void)
{
    door_app_waits_for_lock(1);
    PyEval_RestoreThread(state);
    door_app_waits_for_lock(0);
}

int thread_enter(void)
{
    if (state != NULL) {
        take_lock();
    } else {
        door_app_waits_for_lock(1);
        PyGILState_Ensure();
        door_app_waits_for_lock(0);
        state = PyThreadState_Get();
    }
    pthread_sigmask(SIG_SETMASK, &python_signals, NULL);
    return 0;
}

void thread_leave(void)
{
    pthread_sigmask(SIG_SETMASK, &all_signals, NULL);
    PyEval_SaveThread();
}

void thread_begin_wait(void)
{
    thread_leave();
}

void thread_end_wait(void)
{
    take_lock();
    pthread_sigmask(SIG_SETMASK, &python_signals, NULL);
}

void thread_set_request(Request *request)
{
    current = request;
}

Request *thread_request(void)
{
    return current;
}

/*
 * threading.current_thread() makes an object for a thread that it did not start, and before
 * Python 3.13 keeps it for ever.
 */
static void forget_thread_object(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *active = threading != NULL ? PyObject_GetAttrString(threading, "_active") : NULL;
    PyObject *ident = PyLong_FromUnsignedLong(PyThread_get_thread_ident());

    if (active != NULL && ident != NULL && PyDict_Check(active))
        PyDict_DelItem(active, ident);
    PyErr_Clear(); /* it has none, mostly */
    DROP(ident);
    DROP(active);
    DROP(threading);
}

/*
 * Runs as a destructor of thread-specific data, when CPython's own is gone: what is left of
 * the thread's state is taken apart in another one, which Python code that ends with it
 * can find.
 */
static void end_state(void)
{
    PyThreadState *last;

    PyGILState_Ensure();
    last = PyThreadState_Get();
    forget_thread_object();
    if (last != state) {
        PyThreadState_Clear(state); /* what the thread had for itself ends here */
        PyThreadState_Delete(state);
    }
    PyThreadState_Clear(last);
    PyEval_SaveThread();
    PyThreadState_Delete(last);
    state = NULL;
}

void thread_stop(void *unused)
{
    (void)unused;
    if (state == NULL || atomic_load(&is_child))
        return;
    atomic_fetch_add(&stopping_count, 1);
    if (!atomic_load(&is_finished))
        end_state();
    atomic_fetch_sub(&stopping_count, 1);
}

void thread_finish(void)
{
    const struct timespec tick = {.tv_nsec = 1000000};

    atomic_store(&is_finished, 1);
    Py_BEGIN_ALLOW_THREADS
    while (atomic_load(&stopping_count) > 0)
        nanosleep(&tick, NULL);
    Py_END_ALLOW_THREADS
    for (size_t i = 0; i < STOP_COUNT; i++)
        sigaction(stop_signals[i], &before[stop_signals[i]], NULL);
}
