/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.c: the type of environ["door_app.request"]: what httpd offers beyond WSGI,
 * and the log.  Knows nothing of responses but when they are over.
 */
#include "native.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

PyObject *request_type;

#define TEXT_LINE_MAX 8192 /* more than door_app_log() takes */

void raise_errno(const char *what)
{
    PyErr_SetFromErrnoWithFilename(PyExc_OSError, what);
}

void raise_lost(Request *request, const char *what)
{
    if (errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT || errno == EFBIG)
        request->lost = errno;
    raise_errno(what);
}

PyObject *not_to_be_made(PyTypeObject *type, PyObject *args, PyObject *names)
{
    (void)args;
    (void)names;
    PyErr_Format(PyExc_TypeError, "only a request makes what is a %R", type);
    return NULL;
}

struct door_app_request *request_handle(Request *request)
{
    if (request->handle == NULL)
        PyErr_SetString(PyExc_RuntimeError, "the request is over");
    else if (thread_is_forked())
        PyErr_SetString(PyExc_RuntimeError, "the request belongs to the parent process");
    else if (request->thread != PyThread_get_thread_ident())
        PyErr_SetString(PyExc_RuntimeError, "the request belongs to another thread");
    else
        return request->handle;
    return NULL;
}

Request *request_new(struct door_app_request *handle)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot((PyTypeObject *)request_type, Py_tp_alloc);
    Request *request = (Request *)alloc((PyTypeObject *)request_type, 0);

    if (request == NULL)
        return NULL;
    request->handle = handle;
    request->thread = PyThread_get_thread_ident();
    request->promised = NO_LENGTH;
    return request;
}

void request_end(Request *request)
{
    errors_flush(request);
    request->handle = NULL;
    free(request->input);
    request->input = NULL;
    request->input_at = request->input_len = 0;
}

static void request_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Request *request = (Request *)self;

    DROP(request->errors);
    free(request->input);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ---------------------------------------------------------------- the log */

int log_text(struct door_app_request *handle, int level, PyObject *text)
{
    PyObject *bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    const char *line = bytes != NULL ? PyBytes_AsString(bytes) : NULL;
    const char *end = line != NULL ? line + PyBytes_Size(bytes) : NULL;

    if (line == NULL)
        return -1;
    Py_BEGIN_ALLOW_THREADS /* who reads the log may be slow */
    while (line < end) {
        size_t len = strnlen(line, (size_t)(end - line));
        const char *next = memchr(line, '\n', len);

        len = next != NULL ? (size_t)(next - line) : len;
        if (len > 0)
            door_app_log(handle, level, "%.*s", len < TEXT_LINE_MAX ? (int)len : TEXT_LINE_MAX, line);
        line += len + 1; /* behind the line end, or a NUL */
    }
    Py_END_ALLOW_THREADS
    DROP(bytes);
    return 0;
}

static PyObject *formatted_exception(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *lines = NULL, *empty = PyUnicode_FromString(""), *text = NULL;

    if (module != NULL)
        lines = PyObject_CallMethod(module, "format_exception", "OOO", type,
                                    value != NULL ? value : Py_None,
                                    traceback != NULL ? traceback : Py_None);
    if (lines != NULL && empty != NULL)
        text = PyUnicode_Join(empty, lines);
    DROP(empty);
    DROP(lines);
    DROP(module);
    return text;
}

void log_exception(struct door_app_request *handle, const char *where)
{
    PyObject *type, *value, *traceback, *text;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    door_app_log(handle, LOG_ERR, "%s failed:", where);
    text = formatted_exception(type, value, traceback);
    if (text == NULL || log_text(handle, LOG_ERR, text) == -1) {
        PyErr_Clear();
        door_app_log(handle, LOG_ERR, "its exception cannot be shown");
    }
    DROP(text);
    DROP(type);
    DROP(value);
    DROP(traceback);
}

static PyObject *request_log(PyObject *self, PyObject *args)
{
    struct door_app_request *handle = request_handle((Request *)self);
    PyObject *text;
    int level;

    if (handle == NULL || !PyArg_ParseTuple(args, "iU", &level, &text) ||
        log_text(handle, level, text) == -1)
        return NULL;
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------- beyond WSGI */

static PyObject *client_gone(PyObject *self, PyObject *unused)
{
    struct door_app_request *handle = request_handle((Request *)self);
    int answer;

    (void)unused;
    if (handle == NULL)
        return NULL;
    thread_leave();
    answer = door_app_client_gone(handle);
    thread_enter();
    return PyLong_FromLong(answer);
}

/* What the response is to have start_response() says, later. */
static PyObject *early_hints(PyObject *self, PyObject *links)
{
    Request *request = (Request *)self;
    struct door_app_request *handle = request_handle(request);
    PyObject *all;
    int result = 0, error;

    if (handle == NULL)
        return NULL;
    if (request->is_started)
        PyErr_SetString(PyExc_RuntimeError, "early hints come before start_response()");
    else if (PyUnicode_Check(links))
        PyErr_SetString(PyExc_TypeError, "early hints are a list of str, not one");
    all = PyErr_Occurred() ? NULL : PySequence_Tuple(links);
    if (all == NULL)
        return NULL;
    for (Py_ssize_t i = 0; result == 0 && i < PyTuple_Size(all); i++) {
        PyObject *link = PyUnicode_AsLatin1String(PyTuple_GetItem(all, i));

        if (link == NULL) {
            DROP(all);
            door_app_header_set(handle, "Link", NULL);
            return NULL;
        }
        result = door_app_header_add(handle, "Link", PyBytes_AsString(link));
        DROP(link);
    }
    DROP(all);
    if (result == 0) {
        thread_leave();
        result = door_app_early_hints(handle);
        error = errno;
        thread_enter();
        errno = error;
    }
    error = errno;
    door_app_header_set(handle, "Link", NULL);
    errno = error;
    if (result == -1) {
        raise_errno("early hints");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* A pair of texts for one of the runtime's functions. */
static PyObject *give_pair(PyObject *self, PyObject *args, const char *what,
                           int (*give)(struct door_app_request *, const char *, const char *))
{
    struct door_app_request *handle = request_handle((Request *)self);
    const char *name, *value;

    if (handle == NULL || !PyArg_ParseTuple(args, "ss", &name, &value))
        return NULL;
    if (give(handle, name, value) == -1) {
        if (errno == EINVAL)
            PyErr_Format(PyExc_ValueError, "no %s: \"%s\", \"%s\"", what, name, value);
        else
            raise_errno(what);
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *add_trailer(PyObject *self, PyObject *args)
{
    return give_pair(self, args, "trailer", door_app_trailer_add);
}

static PyObject *log_field(PyObject *self, PyObject *args)
{
    return give_pair(self, args, "log field", door_app_log_field);
}

static PyObject *trailer(PyObject *self, PyObject *args)
{
    struct door_app_request *handle = request_handle((Request *)self);
    const char *name, *value;

    if (handle == NULL || !PyArg_ParseTuple(args, "s", &name))
        return NULL;
    value = door_app_trailer(handle, name);
    if (value == NULL)
        Py_RETURN_NONE;
    return PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL);
}

static PyObject *thread_number(PyObject *self, void *unused)
{
    struct door_app_request *handle = request_handle((Request *)self);

    (void)unused;
    return handle != NULL ? PyLong_FromUnsignedLong(door_app_thread_number(handle)) : NULL;
}

static PyObject *stopping(PyObject *self, void *unused)
{
    struct door_app_request *handle = request_handle((Request *)self);

    (void)unused;
    return handle != NULL ? PyBool_FromLong(door_app_stopping(handle)) : NULL;
}

static PyMethodDef methods[] = {
    {"client_gone", client_gone, METH_NOARGS,
     "client_gone()\n--\n\n"
     "0, CLIENT_MAYBE_GONE (it has ended its side, and may still read) or CLIENT_GONE.\n"
     "Asks httpd ten times in a second at most."},
    {"early_hints", early_hints, METH_O,
     "early_hints(links)\n--\n\n"
     "Sends a 103 with these values of Link headers, before start_response() was called.\n"
     "They are not put into the response."},
    {"add_trailer", add_trailer, METH_VARARGS,
     "add_trailer(name, value)\n--\n\nAdds a trailer, which clients of HTTP/2 get behind the body."},
    {"trailer", trailer, METH_VARARGS,
     "trailer(name)\n--\n\n"
     "A trailer that came behind the request's body, once that has been read; or None."},
    {"log_field", log_field, METH_VARARGS,
     "log_field(name, value)\n--\n\nGives httpd's access log a field, %{door-NAME}n."},
    {"log", request_log, METH_VARARGS,
     "log(level, text)\n--\n\nWrites to httpd's error log, with a level of syslog(3)."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {
    {"stopping", stopping, NULL,
     "Whether the process was told to end: a long stream should come to its end.", NULL},
    {"thread_number", thread_number, NULL,
     "Which server thread runs the request: a number from 1, never used again.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

int request_setup(PyObject *module)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, "What httpd offers beyond WSGI, as environ[\"door_app.request\"].\n\n"
                    "It is the request's thread's, and empty when that is over."},
        {Py_tp_new, not_to_be_made},
        {Py_tp_dealloc, request_dealloc},
        {Py_tp_methods, methods},
        {Py_tp_getset, properties},
        {0, NULL}};
    static PyType_Spec spec = {"door_app.Request", sizeof(Request), 0, Py_TPFLAGS_DEFAULT, slots};

    request_type = PyType_FromSpec(&spec);
    if (request_type == NULL)
        return -1;
    Py_INCREF(request_type);
    if (PyModule_AddIntConstant(module, "CLIENT_MAYBE_GONE", DOOR_APP_CLIENT_MAYBE_GONE) == -1 ||
        PyModule_AddIntConstant(module, "CLIENT_GONE", DOOR_APP_CLIENT_GONE) == -1)
        return -1;
    return PyModule_AddObject(module, "Request", request_type);
}
