/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: start_response(), write() and what an application returns, on the
 * runtime's response.  The headers are the runtime's from start_response() on; they
 * can be replaced until the first byte of the body is given to it.  Each block is
 * with the client's connection before the next one is asked for, unless all is known
 * to be there: then one call has everything.
 */
#include "native.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* What the runtime takes without waiting for anybody. */
#define COLLECTED_MAX ((uint64_t)64 << 10)

/* ---------------------------------------------------------------- start_response() */

static int read_status(PyObject *text, int *status)
{
    PyObject *bytes = PyUnicode_Check(text) ? PyUnicode_AsLatin1String(text) : NULL;
    const char *line = bytes != NULL ? PyBytes_AsString(bytes) : NULL;
    int is_good = line != NULL && strspn(line, "0123456789") == 3 &&
                  (line[3] == '\0' || line[3] == ' ') && line[0] >= '2' && line[0] <= '5';

    if (is_good)
        *status = atoi(line);
    else if (!PyErr_Occurred())
        PyErr_Format(PyUnicode_Check(text) ? PyExc_ValueError : PyExc_TypeError,
                     "start_response() takes a status such as \"200 OK\", not %R", text);
    DROP(bytes);
    return is_good ? 0 : -1;
}

static int read_length(const char *value, uint64_t *length)
{
    char *end;

    errno = 0;
    *length = strtoull(value, &end, 10);
    if (*value >= '0' && *value <= '9' && *end == '\0' && errno == 0)
        return 0;
    PyErr_Format(PyExc_ValueError, "no Content-Length: \"%s\"", value);
    return -1;
}

/* A native string without NUL, as bytes; or NULL. */
static PyObject *read_text(PyObject *text)
{
    PyObject *bytes;

    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "headers are pairs of str, not of %R", text);
        return NULL;
    }
    bytes = PyUnicode_AsLatin1String(text);
    if (bytes != NULL && (Py_ssize_t)strlen(PyBytes_AsString(bytes)) != PyBytes_Size(bytes)) {
        PyErr_Format(PyExc_ValueError, "a header with a NUL: %R", text);
        DROP(bytes);
    }
    return bytes;
}

static int is_name(const char *name, const char *wanted)
{
    return PyOS_mystricmp(name, wanted) == 0;
}

/* Of the connection, which is httpd's: PEP 3333 forbids them. */
static int is_hop_by_hop(const char *name)
{
    static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Authenticate",
                                        "Proxy-Authorization", "TE", "Trailer",
                                        "Transfer-Encoding", "Upgrade"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_name(name, names[i]))
            return 1;
    return 0;
}

static int add_header(Request *request, const char *name, const char *value)
{
    if (is_hop_by_hop(name)) {
        PyErr_Format(PyExc_ValueError, "the header %s is the server's to set", name);
        return -1;
    }
    if (is_name(name, "Content-Length") && read_length(value, &request->promised) == -1)
        return -1;
    if (door_app_header_add(request->handle, name, value) == 0)
        return 0;
    if (errno == EINVAL)
        PyErr_Format(PyExc_ValueError, "no header that can be sent: \"%s\", \"%s\"", name, value);
    else
        raise_errno("start_response");
    return -1;
}

static int add_pair(Request *request, PyObject *pair)
{
    PyObject *name = NULL, *value = NULL;
    int result = -1;

    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2)
        PyErr_Format(PyExc_TypeError, "headers are pairs of str, not %R", pair);
    else if ((name = read_text(PyTuple_GetItem(pair, 0))) != NULL &&
             (value = read_text(PyTuple_GetItem(pair, 1))) != NULL)
        result = add_header(request, PyBytes_AsString(name), PyBytes_AsString(value));
    DROP(name);
    DROP(value);
    return result;
}

/* Takes back what an earlier start_response() has said. */
static void take_back(Request *request)
{
    request->is_started = 0;
    request->promised = NO_LENGTH;
    door_app_reset(request->handle);
}

static int start(Request *request, PyObject *status, PyObject *headers)
{
    int code = 0;

    if (read_status(status, &code) == -1)
        return -1;
    if (!PyList_Check(headers)) {
        PyErr_Format(PyExc_TypeError, "start_response() takes a list of headers, not %R", headers);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(headers); i++) {
        if (add_pair(request, PyList_GetItem(headers, i)) == -1) {
            take_back(request);
            return -1;
        }
    }
    request->status = code;
    request->is_started = 1;
    if (door_app_status(request->handle, code) == 0)
        return 0;
    raise_errno("start_response");
    return -1;
}

/* Raises what the application has handed over, as the response has begun. */
static void raise_again(PyObject *exc_info)
{
    PyObject *type, *value, *traceback;

    if (!PyArg_ParseTuple(exc_info, "OOO", &type, &value, &traceback))
        return;
    if (!PyExceptionInstance_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "exc_info is what sys.exc_info() returns");
        return;
    }
    type = (PyObject *)Py_TYPE(value);
    Py_INCREF(type);
    Py_INCREF(value);
    Py_INCREF(traceback);
    PyErr_Restore(type, value, traceback); /* which takes no traceback that is none */
}

static PyMethodDef write_method;

static PyObject *start_response(PyObject *self, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"status", "headers", "exc_info", NULL};
    Request *request = (Request *)self;
    PyObject *status, *headers, *exc_info = Py_None;

    if (request_handle(request) == NULL ||
        !PyArg_ParseTupleAndKeywords(args, names, "OO|O", keywords, &status, &headers, &exc_info))
        return NULL;
    if (exc_info != Py_None && !PyTuple_Check(exc_info)) {
        PyErr_SetString(PyExc_TypeError, "exc_info is what sys.exc_info() returns");
        return NULL;
    }
    if (exc_info != Py_None && request->is_begun) {
        raise_again(exc_info);
        return NULL;
    }
    if (exc_info == Py_None && request->is_started) {
        PyErr_SetString(PyExc_AssertionError,
                        "start_response() was called again, without exc_info");
        return NULL;
    }
    if (request->is_started)
        take_back(request);
    if (start(request, status, headers) == -1)
        return NULL;
    return PyCFunction_New(&write_method, self);
}

/* ---------------------------------------------------------------- blocks */

static int check_started(Request *request)
{
    if (request->is_started)
        return 1;
    PyErr_SetString(PyExc_AssertionError,
                    "the application sends a body before it has called start_response()");
    return 0;
}

/* What the runtime has to say: a client that is gone is no fault of the application. */
static int tell(Request *request, int error)
{
    if (error == EMSGSIZE) {
        PyErr_Format(PyExc_ValueError, "more bytes than Content-Length says (%llu)",
                     (unsigned long long)request->promised);
    } else {
        errno = error;
        raise_lost(request, "cannot send to the client");
    }
    return -1;
}

/* Gives the block to the runtime, and has it sent unless all is there with it. */
static int send_bytes(Request *request, const char *bytes, size_t len, int is_last)
{
    int is_complete = is_last || request->written + len == request->promised;
    int waits = !is_complete || request->written + len > COLLECTED_MAX;
    int error = 0;

    request->is_begun = 1;
    if (waits)
        thread_leave();
    if (door_app_write(request->handle, bytes, len) == -1 ||
        (!is_complete && door_app_flush(request->handle) == -1 && errno != ENOTSUP))
        error = errno;
    if (waits)
        thread_enter();
    request->written += len;
    return error == 0 ? 0 : tell(request, error);
}

static int send_block(Request *request, PyObject *block, int is_last)
{
    thread_end_child();
    if (!PyBytes_Check(block)) {
        PyErr_Format(PyExc_TypeError, "a response's body is made of bytes, not %R",
                     (PyObject *)Py_TYPE(block));
        return -1;
    }
    if (!check_started(request))
        return -1;
    if (PyBytes_Size(block) == 0)
        return 0;
    return send_bytes(request, PyBytes_AsString(block), (size_t)PyBytes_Size(block), is_last);
}

static PyObject *write_block(PyObject *self, PyObject *block)
{
    Request *request = (Request *)self;

    if (request_handle(request) == NULL || send_block(request, block, 0) == -1)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef write_method = {"write", write_block, METH_O,
                                   "write(block)\n--\n\nSends a part of the response's body."};
static PyMethodDef start_method = {
    "start_response", (PyCFunction)(void (*)(void))start_response, METH_VARARGS | METH_KEYWORDS,
    "start_response(status, headers, exc_info=None)\n--\n\nBegins the response, see PEP 3333."};

PyObject *response_start_function(Request *request)
{
    return PyCFunction_New(&start_method, (PyObject *)request);
}

/* ---------------------------------------------------------------- what was returned */

/* All blocks of a list are there already: their length is the response's. */
static int announce_length(Request *request, PyObject *blocks)
{
    Py_ssize_t count = PySequence_Size(blocks);
    unsigned long long len = request->written;
    char digits[24];

    if (request->promised != NO_LENGTH || request->is_begun || !request->is_started)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *block = PySequence_GetItem(blocks, i);

        if (block == NULL)
            return -1;
        len += PyBytes_Check(block) ? (unsigned long long)PyBytes_Size(block) : 0;
        DROP(block);
    }
    if (len <= COLLECTED_MAX || request->status == 204 || request->status == 304)
        return 0; /* it goes in one message, whose length httpd knows */
    PyOS_snprintf(digits, sizeof(digits), "%llu", len);
    request->promised = len;
    return add_header(request, "Content-Length", digits);
}

/* A list or a tuple, which nobody computes meanwhile. */
static int send_blocks(Request *request, PyObject *blocks)
{
    if (announce_length(request, blocks) == -1)
        return -1;
    for (Py_ssize_t i = 0; i < PySequence_Size(blocks); i++) {
        PyObject *block = PySequence_GetItem(blocks, i);
        int result = block != NULL ? send_block(request, block, 1) : -1;

        DROP(block);
        if (result == -1)
            return -1;
    }
    return 0;
}

static int send_each(Request *request, PyObject *result)
{
    PyObject *iterator = PyObject_GetIter(result), *block;
    int sent = 0;

    if (iterator == NULL)
        return -1;
    while (sent == 0 && (block = PyIter_Next(iterator)) != NULL) {
        sent = send_block(request, block, 0);
        DROP(block);
    }
    DROP(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static int send_result(Request *request, PyObject *result)
{
    int is_sent = 0;

    if (PyBytes_Check(result) || PyUnicode_Check(result)) {
        PyErr_Format(PyExc_TypeError, "an application returns an iterable of bytes, not %R itself",
                     (PyObject *)Py_TYPE(result));
        return -1;
    }
    if (Py_TYPE(result) == (PyTypeObject *)file_wrapper_type)
        is_sent = file_send(request, result);
    if (is_sent != 0)
        return is_sent == 1 ? 0 : -1;
    if (PyList_CheckExact(result) || PyTuple_CheckExact(result))
        return send_blocks(request, result);
    return send_each(request, result);
}

/*
 * Whatever has happened, and without losing what it was.  A response that is there is not
 * spoiled by what comes after it.
 */
static void close_result(Request *request, PyObject *result)
{
    PyObject *type, *value, *traceback, *close, *closed = NULL;

    PyErr_Fetch(&type, &value, &traceback);
    close = PyObject_GetAttrString(result, "close");
    if (close == NULL)
        PyErr_Clear();
    else if ((closed = PyObject_CallFunctionObjArgs(close, NULL)) == NULL)
        log_exception(request->handle, "close()");
    DROP(closed);
    DROP(close);
    PyErr_Restore(type, value, traceback);
}

int response_send(Request *request, PyObject *result)
{
    int sent = send_result(request, result);

    if (sent == 0 && !check_started(request))
        sent = -1;
    thread_end_child(); /* what close() does is the parent's */
    close_result(request, result);
    return sent;
}

/* ---------------------------------------------------------------- failures */

int response_is_lost(Request *request)
{
    if (!PyErr_ExceptionMatches(PyExc_OSError))
        request->lost = 0; /* the application has gone on, and failed in its own way */
    if (request->lost == 0)
        return 0;
    PyErr_Clear();
    if (request->lost == EFBIG)
        door_app_log(request->handle, LOG_INFO, "the request's body is too large");
    else
        door_app_log(request->handle, LOG_INFO, "the client is gone: %s", strerror(request->lost));
    return 1;
}

void response_fail(Request *request)
{
    if (request->is_begun) {
        if (request->written < request->promised)
            door_app_fail(request->handle);
        return;
    }
    if (request->lost == EFBIG)
        door_app_refuse(request->handle, 413, "The request's body is too large");
    else if (request->lost != 0)
        door_app_refuse(request->handle, 400, "The request's body cannot be read");
    else
        door_app_refuse(request->handle, 500, "Internal Server Error");
}
