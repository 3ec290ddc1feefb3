/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * errors.c: wsgi.errors: lines for httpd's log.  What is no whole line yet waits for
 * the rest, a flush() or the request's end.
 */
#include "native.h"

#include <syslog.h>

typedef struct {
    PyObject_HEAD
    Request *request; /* with a reference */
} Errors;

static PyObject *errors_type;

void errors_flush(Request *request)
{
    if (request->errors == NULL)
        return;
    if (log_text(request->handle, LOG_ERR, request->errors) == -1)
        PyErr_Clear();
    DROP(request->errors);
}

/* Adds text; all up to its last line end goes to the log. */
static int add(Request *request, PyObject *text)
{
    Py_ssize_t len = PyUnicode_GetLength(text);
    Py_ssize_t end = PyUnicode_FindChar(text, '\n', 0, len, -1);
    PyObject *head, *tail;
    int result;

    if (end == -2)
        return -1;
    head = PyUnicode_Substring(text, 0, end + 1);
    tail = PyUnicode_Substring(text, end + 1, len);
    if (head == NULL || tail == NULL) {
        DROP(head);
        DROP(tail);
        return -1;
    }
    if (end >= 0) {
        if (request->errors != NULL)
            PyUnicode_Append(&request->errors, head);
        result = log_text(request->handle, LOG_ERR,
                          request->errors != NULL ? request->errors : head);
        DROP(request->errors);
        if (result == -1)
            PyErr_Clear();
    }
    DROP(head);
    if (len - end - 1 == 0) {
        DROP(tail);
    } else if (request->errors == NULL) {
        request->errors = tail;
    } else {
        PyUnicode_Append(&request->errors, tail);
        DROP(tail);
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *errors_write(PyObject *self, PyObject *text)
{
    Request *request = ((Errors *)self)->request;

    if (request_handle(request) == NULL)
        return NULL;
    if (!PyUnicode_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "wsgi.errors takes str");
        return NULL;
    }
    if (add(request, text) == -1)
        return NULL;
    return PyLong_FromSsize_t(PyUnicode_GetLength(text));
}

static PyObject *errors_writelines(PyObject *self, PyObject *lines)
{
    PyObject *iterator = PyObject_GetIter(lines), *line;

    if (iterator == NULL)
        return NULL;
    while ((line = PyIter_Next(iterator)) != NULL) {
        PyObject *result = errors_write(self, line);

        DROP(line);
        if (result == NULL)
            break;
        DROP(result);
    }
    DROP(iterator);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *errors_method_flush(PyObject *self, PyObject *unused)
{
    Request *request = ((Errors *)self)->request;

    (void)unused;
    if (request_handle(request) == NULL)
        return NULL;
    errors_flush(request);
    Py_RETURN_NONE;
}

static void errors_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    DROP(((Errors *)self)->request);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

PyObject *errors_new(Request *request)
{
    Errors *errors =
        (Errors *)((allocfunc)PyType_GetSlot((PyTypeObject *)errors_type,
                                             Py_tp_alloc))((PyTypeObject *)errors_type, 0);

    if (errors == NULL)
        return NULL;
    Py_INCREF(request);
    errors->request = request;
    return (PyObject *)errors;
}

int errors_setup(PyObject *module)
{
    static PyMethodDef methods[] = {
        {"write", errors_write, METH_O, "write(text)\n--\n\nWrites each whole line to httpd's log."},
        {"writelines", errors_writelines, METH_O, "writelines(lines)\n--\n\nWrites one after another."},
        {"flush", errors_method_flush, METH_NOARGS, "flush()\n--\n\nWrites what is no whole line yet."},
        {NULL, NULL, 0, NULL}};
    static PyType_Slot slots[] = {{Py_tp_doc, "httpd's error log, as wsgi.errors."},
                                  {Py_tp_new, not_to_be_made},
                                  {Py_tp_dealloc, errors_dealloc},
                                  {Py_tp_methods, methods},
                                  {0, NULL}};
    static PyType_Spec spec = {"door_app._native.Errors", sizeof(Errors), 0, Py_TPFLAGS_DEFAULT,
                               slots};

    (void)module;
    errors_type = PyType_FromSpec(&spec);
    return errors_type != NULL ? 0 : -1;
}
