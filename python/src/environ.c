/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * environ.c: a request as PEP 3333's environ: the CGI variables as native strings, and
 * what WSGI says of the server.
 */
#include "native.h"

#include <stdlib.h>
#include <string.h>

static PyObject *fixed; /* what is the same in every request; copied for each */
static PyObject *input_key, *errors_key, *request_key, *scheme_key, *http, *https;

/*
 * The names of variables, made once: the same come with each request.  A client may send any
 * number of others, so they lose their places to each other, and few are interned: what is
 * interned stays for ever since CPython 3.12.
 */
#define NAMES_MAX    256
#define NAME_LEN_MAX 47

static struct {
    char text[NAME_LEN_MAX + 1];
    PyObject *object;
} names[NAMES_MAX];
static unsigned interned_count;

/* FNV-1a */
static unsigned place_of(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash % NAMES_MAX;
}

/* With a reference. */
static PyObject *name_object(const char *name)
{
    unsigned place = place_of(name);
    size_t len;
    PyObject *object = names[place].object;

    if (object != NULL && strcmp(names[place].text, name) == 0) {
        Py_INCREF(object);
        return object;
    }
    len = strlen(name);
    object = PyUnicode_DecodeLatin1(name, (Py_ssize_t)len, NULL);
    if (object == NULL || len > NAME_LEN_MAX)
        return object;
    if (interned_count < NAMES_MAX) {
        interned_count++;
        PyUnicode_InternInPlace(&object);
    }
    Py_INCREF(object);
    Py_XDECREF(names[place].object);
    names[place].object = object;
    memcpy(names[place].text, name, len + 1);
    return object;
}

/* Whether the environment has another number than 1 there; unset is otherwise. */
static int is_several(const char *name, int otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strcmp(text, "1") != 0 : otherwise;
}

static int put(const char *name, PyObject *value)
{
    int result = value != NULL ? PyDict_SetItemString(fixed, name, value) : -1;

    DROP(value);
    return result;
}

int environ_setup(void)
{
    fixed = PyDict_New();
    input_key = PyUnicode_InternFromString("wsgi.input");
    errors_key = PyUnicode_InternFromString("wsgi.errors");
    request_key = PyUnicode_InternFromString("door_app.request");
    scheme_key = PyUnicode_InternFromString("wsgi.url_scheme");
    http = PyUnicode_InternFromString("http");
    https = PyUnicode_InternFromString("https");
    if (fixed == NULL || input_key == NULL || errors_key == NULL || request_key == NULL ||
        scheme_key == NULL || http == NULL || https == NULL)
        return -1;
    Py_INCREF(file_wrapper_type);
    return put("wsgi.version", Py_BuildValue("(ii)", 1, 0)) == -1 ||
                   put("wsgi.multithread", PyBool_FromLong(is_several("DOOR_APP_THREADS", 1))) ==
                       -1 ||
                   put("wsgi.multiprocess",
                       PyBool_FromLong(is_several("DOOR_APP_INSTANCES", 0))) == -1 ||
                   put("wsgi.run_once", PyBool_FromLong(0)) == -1 ||
                   put("wsgi.input_terminated", PyBool_FromLong(1)) == -1 ||
                   put("wsgi.file_wrapper", file_wrapper_type) == -1 ||
                   put("SCRIPT_NAME", PyUnicode_FromString("")) == -1 ||
                   put("PATH_INFO", PyUnicode_FromString("")) == -1
               ? -1
               : 0;
}

static int put_variable(PyObject *environ, const char *name, const char *value)
{
    PyObject *key = name_object(name);
    PyObject *text = PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL);
    int result = key != NULL && text != NULL ? PyDict_SetItem(environ, key, text) : -1;

    DROP(key);
    DROP(text);
    return result;
}

static int put_variables(PyObject *environ, struct door_app_request *handle)
{
    const char *name, *value;
    size_t position = 0;
    int result;

    while ((result = door_app_cgi_next(handle, &position, &name, &value)) == 1)
        if (put_variable(environ, name, value) == -1)
            return -1;
    if (result == -1)
        PyErr_NoMemory();
    return result;
}

static int put_object(PyObject *environ, PyObject *key, PyObject *value)
{
    int result = value != NULL ? PyDict_SetItem(environ, key, value) : -1;

    DROP(value);
    return result;
}

PyObject *environ_new(Request *request)
{
    PyObject *environ = PyDict_Copy(fixed);
    const char *tls;

    if (environ == NULL)
        return NULL;
    tls = door_app_cgi(request->handle, "HTTPS");
    if (put_variables(environ, request->handle) == -1 ||
        put_object(environ, input_key, input_new(request)) == -1 ||
        put_object(environ, errors_key, errors_new(request)) == -1 ||
        PyDict_SetItem(environ, request_key, (PyObject *)request) == -1 ||
        PyDict_SetItem(environ, scheme_key,
                       tls != NULL && strcmp(tls, "on") == 0 ? https : http) == -1)
        DROP(environ);
    return environ;
}
