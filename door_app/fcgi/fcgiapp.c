/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgiapp.c: see fcgiapp.h: requests, from their acceptance to their end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "../gateways/fcgi_role.h"
#include "fcgiapp.h"
#include "line.h"
#include "stream.h"

/* What a FCGX_Request has besides what programs see of it. */
struct own {
    struct line_place *place;
    int is_question;
    FCGX_Stream in, out, err;
};

static int is_cgi;
static int own_role; /* of requests that are no questions; 0: DOOR_FCGI_ROLE makes no sense */

/* The environment may be a request's later. */
__attribute__((__constructor__)) static void look_around(void)
{
    const char *path = getenv("DOOR_PATH"), *role = getenv("DOOR_FCGI_ROLE");

    is_cgi = path == NULL || *path == '\0';
    own_role = role != NULL ? fcgi_role_number(role) : FCGI_RESPONDER;
}

/* 0, or an errno value. */
static int open_line(void)
{
    if (own_role != 0)
        return line_open();
    fprintf(stderr, "door_fcgi: DOOR_FCGI_ROLE: responder, authorizer or filter\n");
    return EINVAL;
}

int FCGX_IsCGI(void)
{
    return is_cgi;
}

int FCGX_Init(void)
{
    return open_line();
}

int FCGX_OpenSocket(const char *path, int backlog)
{
    (void)path;
    (void)backlog;
    return open_line() == 0 ? 0 : -1;
}

int FCGX_InitRequest(FCGX_Request *request, int sock, int flags)
{
    (void)sock;
    (void)flags;
    memset(request, 0, sizeof(*request));
    return 0;
}

void FCGX_ShutdownPending(void)
{
    line_close();
}

/* ---------------------------------------------------------------- variables */

/* What is counted in a first pass, and in a second one written: one piece of memory. */
struct variables {
    char **envp; /* NULL while they are counted */
    char *text;  /* behind the pointers */
    size_t count, len;
};

static void add_variable(struct variables *v, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_size = strlen(value) + 1;

    if (v->envp != NULL) {
        v->envp[v->count] = v->text + v->len;
        memcpy(v->text + v->len, name, name_len);
        v->text[v->len + name_len] = '=';
        memcpy(v->text + v->len + name_len + 1, value, value_size);
    }
    v->count++;
    v->len += name_len + 1 + value_size;
}

static void add_number(struct variables *v, const char *name, long long number)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%lld", number);
    add_variable(v, name, digits);
}

/* All of the request's, and those of the role; file is a filter's.  0, or -1. */
static int add_variables(struct variables *v, struct door_app_request *req, int role,
                         const struct stat *file)
{
    const char *name, *value;
    size_t position = 0;
    int more;

    v->count = v->len = 0;
    add_variable(v, "FCGI_ROLE", fcgi_role_name(role));
    if (role == FCGI_FILTER) {
        add_number(v, "FCGI_DATA_LENGTH", (long long)file->st_size);
        add_number(v, "FCGI_DATA_LAST_MOD", (long long)file->st_mtime);
    }
    while ((more = door_app_cgi_next(req, &position, &name, &value)) == 1)
        if (fcgi_role_has(role, name))
            add_variable(v, name, value);
    return more;
}

/* malloc()ed; or NULL. */
static char **make_variables(struct door_app_request *req, int role, const struct stat *file)
{
    struct variables v = {0};

    if (add_variables(&v, req, role, file) == -1)
        return NULL;
    v.envp = malloc((v.count + 1) * sizeof(*v.envp) + v.len);
    if (v.envp == NULL)
        return NULL;
    v.text = (char *)(v.envp + v.count + 1);
    add_variables(&v, req, role, file);
    v.envp[v.count] = NULL;
    return v.envp;
}

char *FCGX_GetParam(const char *name, FCGX_ParamArray envp)
{
    size_t len = name != NULL ? strlen(name) : 0;

    for (size_t i = 0; name != NULL && envp != NULL && envp[i] != NULL; i++)
        if (strncmp(envp[i], name, len) == 0 && envp[i][len] == '=')
            return envp[i] + len + 1;
    return NULL;
}

/* ---------------------------------------------------------------- a request */

/* What the program is given of a request in that role: 0, or -1 and it is answered. */
static int make_parameters(FCGX_Request *request, struct door_app_request *req, int *file_fd)
{
    struct stat file = {0};

    *file_fd = request->role == FCGI_FILTER ? fcgi_role_open_file(req, &file) : -1;
    if (request->role == FCGI_FILTER && *file_fd == -1) {
        door_app_log(req, LOG_ERR, "door_fcgi: no file to filter: %m");
        door_app_refuse(req, 404, "There is no such file");
        return -1;
    }
    request->envp = make_variables(req, request->role, &file);
    if (request->envp != NULL)
        return 0;
    if (*file_fd != -1)
        close(*file_fd);
    door_app_refuse(req, 503, "Out of memory");
    return -1;
}

static int begin(FCGX_Request *request, struct own *own, struct door_app_request *req)
{
    int file_fd;

    request->role = own->is_question ? FCGI_AUTHORIZER : own_role;
    if (make_parameters(request, req, &file_fd) == -1)
        return -1;
    stream_open(&own->in, STREAM_IN, req);
    own->in.file_fd = file_fd;
    own->in.is_at_end = request->role == FCGI_AUTHORIZER; /* it gets no body */
    stream_open(&own->out, STREAM_OUT, req);
    stream_open(&own->err, STREAM_ERR, req);
    /* FastCGI's answer to a question is yes if it does not say otherwise; ours is not. */
    own->out.response.is_answer = own->out.response.is_bodiless = own->is_question;
    request->requestId = 1;
    request->in = &own->in;
    request->out = &own->out;
    request->err = &own->err;
    return 0;
}

int FCGX_Accept_r(FCGX_Request *request)
{
    struct own *own = request->own != NULL ? request->own : calloc(1, sizeof(*own));
    struct door_app_request *req;

    if (own == NULL || open_line() != 0)
        return -1;
    request->own = own;
    for (;;) {
        FCGX_Finish_r(request);
        own->place = line_enter(&req, &own->is_question);
        if (own->place == NULL)
            return -1;
        if (begin(request, own, req) == 0)
            return 0;
    }
}

/* What the program has said is not what a response begins with. */
static void refuse(struct door_app_request *req)
{
    door_app_log(req, LOG_ERR, "the program has given no valid response");
    if (door_app_refuse(req, 500, "The program has given no valid response") == -1)
        door_app_fail(req);
}

static void end(FCGX_Request *request, struct own *own)
{
    struct door_app_request *req = own->out.req;

    FCGX_FClose(&own->err);
    FCGX_FClose(&own->out);
    FCGX_FClose(&own->in);
    if (own->in.file_fd != -1)
        close(own->in.file_fd);
    if (!own->out.response.has_head)
        refuse(req);
    cgi_response_end(&own->out.response);
    free(request->envp);
    request->envp = NULL;
    request->in = request->out = request->err = NULL;
    request->requestId = 0;
}

void FCGX_Finish_r(FCGX_Request *request)
{
    struct own *own = request != NULL ? request->own : NULL;

    if (own == NULL || own->place == NULL)
        return;
    if (request->requestId != 0)
        end(request, own);
    line_leave(own->place);
    own->place = NULL;
}

void FCGX_Free(FCGX_Request *request, int close)
{
    (void)close;
    FCGX_Finish_r(request);
    if (request == NULL)
        return;
    free(request->own);
    request->own = NULL;
}

/* ---------------------------------------------------------------- one for the program */

static FCGX_Request the_request;

int FCGX_Accept(FCGX_Stream **in, FCGX_Stream **out, FCGX_Stream **err, FCGX_ParamArray *envp)
{
    int result = FCGX_Accept_r(&the_request);

    *in = the_request.in;
    *out = the_request.out;
    *err = the_request.err;
    *envp = the_request.envp;
    return result;
}

void FCGX_Finish(void)
{
    FCGX_Finish_r(&the_request);
}

int FCGX_Attach(FCGX_Request *request)
{
    (void)request;
    return 0;
}

int FCGX_Detach(FCGX_Request *request)
{
    (void)request;
    return -1;
}

void FCGX_SetExitStatus(int status, FCGX_Stream *stream)
{
    (void)status;
    (void)stream;
}
