/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * input.c: wsgi.input: the request's body as it comes, never kept.  A body ends by
 * itself, with or without a Content-Length (wsgi.input_terminated).
 */
#include "native.h"

#include <stdlib.h>
#include <string.h>

#define READ_MAX ((size_t)64 << 10)

typedef struct {
    PyObject_HEAD
    Request *request; /* with a reference */
} Input;

/* Reads more behind what is there, with the lock given back: 1, 0 at the end, or -1. */
static int fill(Request *request)
{
    struct door_app_request *handle = request_handle(request);
    ssize_t len;
    int error;

    if (handle == NULL)
        return -1;
    if (request->input_is_over)
        return 0;
    if (request->input == NULL && (request->input = malloc(READ_MAX)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    thread_leave();
    len = door_app_read(handle, request->input, READ_MAX);
    error = errno;
    thread_enter();
    if (len == -1) {
        errno = error;
        raise_lost(request, "wsgi.input");
        return -1;
    }
    request->input_at = 0;
    request->input_len = (size_t)len;
    request->input_is_over = len == 0;
    return len > 0;
}

static int append(char **bytes, size_t *len, const char *more, size_t more_len)
{
    char *room = realloc(*bytes, *len + more_len);

    if (room == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(room + *len, more, more_len);
    *bytes = room;
    *len += more_len;
    return 0;
}

/* Up to max bytes, or to the end of a line: all that are to be had before the body's end. */
static PyObject *take(Request *request, size_t max, int is_line)
{
    char *bytes = NULL;
    size_t len = 0;
    int more = 1, is_end = 0;
    PyObject *result = NULL;

    if (request_handle(request) == NULL)
        return NULL;
    while (len < max && !is_end) {
        const char *at, *end;
        size_t piece;

        if (request->input_at == request->input_len && (more = fill(request)) != 1)
            break;
        at = request->input + request->input_at;
        piece = request->input_len - request->input_at;
        piece = piece < max - len ? piece : max - len;
        end = is_line ? memchr(at, '\n', piece) : NULL;
        if (end != NULL)
            piece = (size_t)(end - at) + 1;
        is_end = end != NULL;
        request->input_at += piece;
        if (bytes == NULL && (is_end || len + piece == max || request->input_is_over))
            return PyBytes_FromStringAndSize(at, (Py_ssize_t)piece);
        more = append(&bytes, &len, at, piece);
        if (more == -1)
            break;
    }
    if (more != -1)
        result = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)len);
    free(bytes);
    return result;
}

/* The one argument of a method, None or negative: no limit. */
static int read_limit(PyObject *args, size_t *max)
{
    PyObject *limit = Py_None;
    Py_ssize_t size = -1;

    if (!PyArg_ParseTuple(args, "|O", &limit))
        return -1;
    if (limit != Py_None)
        size = PyNumber_AsSsize_t(limit, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred())
        return -1;
    *max = size < 0 ? (size_t)PY_SSIZE_T_MAX : (size_t)size;
    return 0;
}

static PyObject *input_read(PyObject *self, PyObject *args)
{
    size_t max;

    return read_limit(args, &max) == 0 ? take(((Input *)self)->request, max, 0) : NULL;
}

static PyObject *input_readline(PyObject *self, PyObject *args)
{
    size_t max;

    return read_limit(args, &max) == 0 ? take(((Input *)self)->request, max, 1) : NULL;
}

static PyObject *input_readlines(PyObject *self, PyObject *args)
{
    PyObject *lines = PyList_New(0);
    size_t max, len = 0;

    if (lines == NULL || read_limit(args, &max) == -1) {
        DROP(lines);
        return NULL;
    }
    while (len < max || max == 0) {
        PyObject *line = take(((Input *)self)->request, (size_t)PY_SSIZE_T_MAX, 1);
        Py_ssize_t line_len = line != NULL ? PyBytes_Size(line) : -1;
        int result = line_len > 0 ? PyList_Append(lines, line) : (int)line_len;

        DROP(line);
        if (result == -1)
            DROP(lines);
        if (line_len <= 0 || lines == NULL)
            break;
        len += (size_t)line_len;
    }
    return lines;
}

static PyObject *input_next(PyObject *self)
{
    PyObject *line = take(((Input *)self)->request, (size_t)PY_SSIZE_T_MAX, 1);

    if (line != NULL && PyBytes_Size(line) == 0)
        DROP(line);
    return line;
}

static PyObject *input_iter(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

static void input_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    DROP(((Input *)self)->request);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *input_type;

PyObject *input_new(Request *request)
{
    Input *input =
        (Input *)((allocfunc)PyType_GetSlot((PyTypeObject *)input_type,
                                            Py_tp_alloc))((PyTypeObject *)input_type, 0);

    if (input == NULL)
        return NULL;
    Py_INCREF(request);
    input->request = request;
    return (PyObject *)input;
}

int input_setup(PyObject *module)
{
    static PyMethodDef methods[] = {
        {"read", input_read, METH_VARARGS,
         "read(size=-1)\n--\n\nSo many bytes, or what there is up to the body's end."},
        {"readline", input_readline, METH_VARARGS,
         "readline(size=-1)\n--\n\nA line with its end, or its first bytes."},
        {"readlines", input_readlines, METH_VARARGS,
         "readlines(hint=-1)\n--\n\nThe lines; of about so many bytes, if that is given."},
        {NULL, NULL, 0, NULL}};
    static PyType_Slot slots[] = {{Py_tp_doc, "The request's body, as wsgi.input."},
                                  {Py_tp_new, not_to_be_made},
                                  {Py_tp_dealloc, input_dealloc},
                                  {Py_tp_methods, methods},
                                  {Py_tp_iter, input_iter},
                                  {Py_tp_iternext, input_next},
                                  {0, NULL}};
    static PyType_Spec spec = {"door_app._native.Input", sizeof(Input), 0, Py_TPFLAGS_DEFAULT,
                               slots};

    (void)module;
    input_type = PyType_FromSpec(&spec);
    return input_type != NULL ? 0 : -1;
}
