/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * native.h: what the files of door_app._native share: WSGI (PEP 3333) on the C
 * runtime, by CPython's limited API.  Everything here is called with the
 * interpreter's lock held, unless it says otherwise.
 *
 * Functions that return int return 0, or -1 with a Python exception set.
 */
#ifndef DOOR_APP_PYTHON_NATIVE_H
#define DOOR_APP_PYTHON_NATIVE_H

#include <Python.h>
#include <stdint.h>

#include <door_app.h>

#define NO_LENGTH UINT64_MAX

/*
 * One request, which is what environ["door_app.request"] shows of it.  It belongs to the
 * thread that runs it; the application may keep the object, which is empty then.
 */
typedef struct {
    PyObject_HEAD
    struct door_app_request *handle; /* NULL: it is over */
    unsigned long thread;            /* Python's number of the request's thread */

    int is_started; /* by start_response() */
    int status;
    uint64_t promised; /* Content-Length as the application gave it, or NO_LENGTH */
    uint64_t written;
    int is_begun;      /* a part of the body was given to the runtime: no way back */
    int lost;          /* errno of what went wrong on the client's side, or 0 */

    char *input; /* what was read and nobody had yet: input.c */
    size_t input_at, input_len;
    int input_is_over;

    PyObject *errors; /* the beginning of a line for the log, or NULL: errors.c */
} Request;

/* ---------------------------------------------------------------- thread.c */

int thread_setup(void);

/* Around Python code on a server thread: called without the lock, and with it. */
void thread_enter(void);
void thread_leave(void);

/* The request that this thread runs, or NULL. */
void thread_set_request(Request *request);
Request *thread_request(void);

/* door_app_on_thread()'s: without the lock. */
void thread_stop(void *unused);

/* Stops nothing any more: the interpreter is about to end.  Waits for those that do. */
void thread_finish(void);

/* In a child that the application has forked, which serves nothing. */
int thread_is_forked(void);

/* Ends such a child, which must not answer for its parent: it has come out of the application. */
void thread_end_child(void);

/* ---------------------------------------------------------------- request.c */

extern PyObject *request_type;

/* The request if it still runs, and on this thread; otherwise NULL and an exception. */
struct door_app_request *request_handle(Request *request);
Request *request_new(struct door_app_request *handle);
void request_end(Request *request);
int request_setup(PyObject *module);

/* An exception for errno, of what was tried. */
void raise_errno(const char *what);

/* The same of what was tried with the client, which may be gone. */
void raise_lost(Request *request, const char *what);

/* tp_new of what only this module makes. */
PyObject *not_to_be_made(PyTypeObject *type, PyObject *args, PyObject *names);

/* One line to httpd's log; the request is this thread's, or there is none. */
int log_text(struct door_app_request *handle, int level, PyObject *text);

/* Writes the exception that is set, with its traceback, and clears it. */
void log_exception(struct door_app_request *handle, const char *where);

/* ---------------------------------------------------------------- input.c, errors.c */

int input_setup(PyObject *module);
PyObject *input_new(Request *request);

int errors_setup(PyObject *module);
PyObject *errors_new(Request *request);
void errors_flush(Request *request); /* what is no whole line yet */

/* ---------------------------------------------------------------- response.c */

/* start_response(), bound to the request. */
PyObject *response_start_function(Request *request);

/* Sends all that the application has returned, and calls its close(). */
int response_send(Request *request, PyObject *result);

/* After an exception: it only says what is wrong with the client; this has logged it. */
int response_is_lost(Request *request);

/* What is left to do after an exception: a page that says so, or an end that is none. */
void response_fail(Request *request);

/* ---------------------------------------------------------------- file.c */

int file_setup(PyObject *module);
extern PyObject *file_wrapper_type;

/* Sends a wrapped file by its descriptor: 1, 0 if it has none that will do, or -1. */
int file_send(Request *request, PyObject *wrapper);

/* ---------------------------------------------------------------- environ.c */

int environ_setup(void);
PyObject *environ_new(Request *request);

/* ---------------------------------------------------------------- serve.c */

int serve_setup(PyObject *module);

/* Takes a reference away; what is NULL is allowed. */
#define DROP(object) Py_CLEAR(object)

#endif
