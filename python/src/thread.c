/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.c: server threads as Python's threads.  Each keeps its thread state from
 * request to request, and with it what Python code has per thread.  Knows nothing of
 * requests.
 */
#include "native.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static _Thread_local PyThreadState *state; /* of a server thread that has run Python code */
static _Thread_local Request *current;

static _Atomic int is_finished;
static _Atomic int stopping_count;
static _Atomic int is_child;

static void forked(void)
{
    atomic_store(&is_child, 1);
}

int thread_setup(void)
{
    int error = pthread_atfork(NULL, NULL, forked);

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

void thread_enter(void)
{
    if (state != NULL) {
        PyEval_RestoreThread(state);
    } else {
        PyGILState_Ensure();
        state = PyThreadState_Get();
    }
}

void thread_leave(void)
{
    PyEval_SaveThread();
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
}
