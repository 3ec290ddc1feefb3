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
#include <unistd.h>

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

/* Of sys.exit(); otherwise 1, and the exception, if there is one, is shown. */
static int exit_status(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *code;
    int status = 1;

    if (type == NULL || !PyErr_GivenExceptionMatches(type, PyExc_SystemExit)) {
        PyErr_Restore(type, value, traceback);
        if (type != NULL)
            PyErr_Print();
        return status;
    }
    code = PyObject_GetAttrString(value, "code");
    if (code == Py_None)
        status = 0;
    else if (code != NULL && PyLong_Check(code))
        status = (int)PyLong_AsLong(code);
    return status;
}

void thread_end_child(void)
{
    PyObject *type, *value, *traceback;

    if (!thread_is_forked())
        return;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    _exit(exit_status(type, value, traceback));
}

void thread_enter(void)
{
    door_app_wait_turn(1);
    if (state != NULL) {
        PyEval_RestoreThread(state);
    } else {
        PyGILState_Ensure();
        state = PyThreadState_Get();
    }
    door_app_wait_turn(0);
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
