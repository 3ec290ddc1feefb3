/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * serve.c: the module: an application's life, and each of its requests from the door
 * to the door.
 */
#include "native.h"

#include <stdlib.h>

static PyObject *application;

static int call_application(Request *request)
{
    PyObject *environ = environ_new(request);
    PyObject *start = environ != NULL ? response_start_function(request) : NULL;
    PyObject *result = NULL;
    int sent = -1;

    if (start != NULL)
        result = PyObject_CallFunctionObjArgs(application, environ, start, NULL);
    DROP(start);
    DROP(environ);
    thread_end_child();
    if (result != NULL)
        sent = response_send(request, result);
    DROP(result);
    thread_end_child();
    return sent;
}

static void handle(struct door_app_request *handle, void *unused)
{
    Request *request;

    (void)unused;
    thread_enter();
    request = request_new(handle);
    thread_set_request(request);
    if (request == NULL) {
        log_exception(handle, "a request");
        door_app_fail(handle);
    } else if (call_application(request) == -1) {
        if (!response_is_lost(request))
            log_exception(handle, "the application");
        response_fail(request);
    }
    thread_set_request(NULL);
    if (request != NULL)
        request_end(request);
    DROP(request);
    thread_leave();
}

static int run_door(const char *path)
{
    struct door_app *app = door_app_create();
    int status;

    door_app_handle(app, "/", handle, NULL);
    door_app_on_thread(app, NULL, thread_stop, NULL);
    door_app_take_turns(app);
    Py_BEGIN_ALLOW_THREADS
    status = door_app_run(app, path);
    Py_END_ALLOW_THREADS
    return status;
}

static PyObject *run(PyObject *self, PyObject *args)
{
    const char *path = NULL;
    PyObject *app;
    int status;

    (void)self;
    if (!PyArg_ParseTuple(args, "O|z", &app, &path))
        return NULL;
    if (!PyCallable_Check(app)) {
        PyErr_SetString(PyExc_TypeError, "a WSGI application is something that can be called");
        return NULL;
    }
    if (application != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a process runs one application, once");
        return NULL;
    }
    if (thread_setup() == -1 || environ_setup() == -1)
        return NULL;
    Py_INCREF(app);
    application = app;
    status = run_door(path);
    thread_finish();
    return PyLong_FromLong(status);
}

static PyObject *log_line(PyObject *self, PyObject *args)
{
    Request *request = thread_request();
    PyObject *text;
    int level;

    (void)self;
    if (!PyArg_ParseTuple(args, "iU", &level, &text) ||
        log_text(request != NULL ? request->handle : NULL, level, text) == -1)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *ask_replacement(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    if (door_app_ask_replacement() == -1) {
        raise_errno("ask_replacement");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyMODINIT_FUNC PyInit__native(void)
{
    static PyMethodDef methods[] = {
        {"run", run, METH_VARARGS,
         "run(application, path=None)\n--\n\n"
         "Serves a WSGI application at the door of that path, or the one that DOOR_PATH names,\n"
         "until SIGTERM or SIGINT comes.  For the main thread.  Returns an exit status."},
        {"log", log_line, METH_VARARGS,
         "log(level, text)\n--\n\n"
         "Writes to httpd's error log with a level of syslog(3) and, in a request's thread, its id."},
        {"ask_replacement", ask_replacement, METH_NOARGS,
         "ask_replacement()\n--\n\n"
         "Asks mod_door for another process in this one's place; no request is lost.\n"
         "OSError (ENOTSUP) if it has not launched this one."},
        {NULL, NULL, 0, NULL}};
    static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                            "door_app._native",
                                            "WSGI on mod_door's runtime; see door_app.",
                                            -1,
                                            methods,
                                            NULL,
                                            NULL,
                                            NULL,
                                            NULL};
    PyObject *module = PyModule_Create(&definition);

    if (module == NULL || request_setup(module) == -1 || input_setup(module) == -1 ||
        errors_setup(module) == -1 || file_setup(module) == -1)
        DROP(module);
    return module;
}
