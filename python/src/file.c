/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * file.c: wsgi.file_wrapper: an iterator over a file-like object, which httpd reads
 * itself where it is a regular file.
 */
#include "native.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    PyObject_HEAD
    PyObject *file;
    Py_ssize_t size; /* of a block */
} FileWrapper;

PyObject *file_wrapper_type;

#define BLOCK_SIZE 65536

static PyObject *wrapper_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    static char *keywords[] = {"filelike", "blksize", NULL};
    Py_ssize_t size = BLOCK_SIZE;
    FileWrapper *wrapper;
    PyObject *file;

    if (!PyArg_ParseTupleAndKeywords(args, names, "O|n", keywords, &file, &size))
        return NULL;
    wrapper = (FileWrapper *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (wrapper == NULL)
        return NULL;
    Py_INCREF(file);
    wrapper->file = file;
    wrapper->size = size > 0 ? size : BLOCK_SIZE;
    return (PyObject *)wrapper;
}

static void wrapper_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    DROP(((FileWrapper *)self)->file);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *wrapper_iter(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

static PyObject *wrapper_next(PyObject *self)
{
    FileWrapper *wrapper = (FileWrapper *)self;
    PyObject *block = PyObject_CallMethod(wrapper->file, "read", "n", wrapper->size);

    if (block != NULL && PyObject_IsTrue(block) != 1)
        DROP(block); /* the end, or an exception */
    return block;
}

static PyObject *wrapper_close(PyObject *self, PyObject *unused)
{
    PyObject *close = PyObject_GetAttrString(((FileWrapper *)self)->file, "close");
    PyObject *result;

    (void)unused;
    if (close == NULL) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    result = PyObject_CallFunctionObjArgs(close, NULL);
    DROP(close);
    return result;
}

/* What the file's method returns as a number, or -1 without an exception. */
static long long ask(PyObject *file, const char *method)
{
    PyObject *answer = PyObject_CallMethod(file, method, NULL);
    long long number = answer != NULL && PyLong_Check(answer) ? PyLong_AsLongLong(answer) : -1;

    PyErr_Clear();
    DROP(answer);
    return number;
}

/* Of the module io: 1, 0, or -1 with an exception. */
static int is_of(PyObject *object, const char *name)
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *type = io != NULL ? PyObject_GetAttrString(io, name) : NULL;
    int result = type != NULL ? PyObject_IsInstance(object, type) : -1;

    DROP(type);
    DROP(io);
    return result;
}

/*
 * Whether read() returns what lies behind fileno(): not of a gzip.GzipFile, nor of text, but of
 * what io.open() returns for bytes, and of what is no file of io's but stands for one.
 */
static int is_plain(PyObject *file)
{
    PyObject *raw = PyObject_GetAttrString(file, "raw");
    int result;

    if (raw == NULL)
        PyErr_Clear();
    result = raw != NULL ? is_of(raw, "FileIO") : is_of(file, "FileIO");
    if (result == 0 && raw == NULL)
        result = is_of(file, "IOBase") == 0;
    PyErr_Clear();
    DROP(raw);
    return result == 1;
}

/* How much of a regular file is to be sent from its position on; or -1: by its iterator. */
static off_t length_of(const Request *request, int fd, long long position)
{
    struct stat st;
    uint64_t len;

    if (fd == -1 || position < 0 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
        position > st.st_size)
        return -1;
    len = (uint64_t)(st.st_size - position);
    return (off_t)(len < request->promised - request->written
                       ? len
                       : request->promised - request->written);
}

int file_send(Request *request, PyObject *self)
{
    PyObject *file = ((FileWrapper *)self)->file;
    int fd = is_plain(file) ? (int)ask(file, "fileno") : -1;
    long long position = fd >= 0 ? ask(file, "tell") : -1;
    off_t len = fd >= 0 ? length_of(request, fd, position) : -1;
    int own;

    if (len == -1 || !request->is_started)
        return 0;
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own == -1 || door_app_send_fd(request->handle, own, position, len) == -1) {
        raise_errno("wsgi.file_wrapper");
        if (own != -1)
            close(own);
        return -1;
    }
    request->is_begun = 1;
    request->written += (uint64_t)len;
    return 1;
}

int file_setup(PyObject *module)
{
    static PyMethodDef methods[] = {
        {"close", wrapper_close, METH_NOARGS, "close()\n--\n\nCloses the file."},
        {NULL, NULL, 0, NULL}};
    static PyType_Slot slots[] = {
        {Py_tp_doc, "FileWrapper(filelike, blksize=65536)\n--\n\nA file as a response's body."},
        {Py_tp_new, wrapper_new},
        {Py_tp_dealloc, wrapper_dealloc},
        {Py_tp_iter, wrapper_iter},
        {Py_tp_iternext, wrapper_next},
        {Py_tp_methods, methods},
        {0, NULL}};
    static PyType_Spec spec = {"door_app.FileWrapper", sizeof(FileWrapper), 0, Py_TPFLAGS_DEFAULT,
                               slots};

    file_wrapper_type = PyType_FromSpec(&spec);
    if (file_wrapper_type == NULL)
        return -1;
    Py_INCREF(file_wrapper_type);
    return PyModule_AddObject(module, "FileWrapper", file_wrapper_type);
}
