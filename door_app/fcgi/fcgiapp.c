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

/* The environment may be a request's later. */
__attribute__((__constructor__)) static void look_for_door(void)
{
    const char *path = getenv("DOOR_PATH");

    is_cgi = path == NULL || *path == '\0';
}

int FCGX_IsCGI(void)
{
    return is_cgi;
}

int FCGX_Init(void)
{
    return line_open();
}

int FCGX_OpenSocket(const char *path, int backlog)
{
    (void)path;
    (void)backlog;
    return line_open() == 0 ? 0 : -1;
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

static char *make_variable(const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 2;
    char *text = malloc(size);

    if (text != NULL)
        snprintf(text, size, "%s=%s", name, value);
    return text;
}

static void free_variables(char **envp)
{
    for (size_t i = 0; envp != NULL && envp[i] != NULL; i++)
        free(envp[i]);
    free(envp);
}

/* All of the request's, and the role's name; or NULL. */
static char **make_variables(struct door_app_request *req, int is_question)
{
    size_t count = 2, at = 0, position = 0;
    const char *name, *value;
    char **envp;

    while (door_app_cgi_next(req, &position, &name, &value) == 1)
        count++;
    envp = calloc(count, sizeof(*envp));
    if (envp == NULL)
        return NULL;
    envp[at++] = make_variable("FCGI_ROLE", is_question ? "AUTHORIZER" : "RESPONDER");
    for (position = 0; envp[at - 1] != NULL &&
                       door_app_cgi_next(req, &position, &name, &value) == 1;)
        envp[at++] = make_variable(name, value);
    if (envp[at - 1] != NULL)
        return envp;
    free_variables(envp);
    return NULL;
}

char *FCGX_GetParam(const char *name, FCGX_ParamArray envp)
{
    size_t len = strlen(name);

    for (size_t i = 0; envp != NULL && envp[i] != NULL; i++)
        if (strncmp(envp[i], name, len) == 0 && envp[i][len] == '=')
            return envp[i] + len + 1;
    return NULL;
}

/* ---------------------------------------------------------------- a request */

static int begin(FCGX_Request *request, struct own *own, struct door_app_request *req)
{
    request->envp = make_variables(req, own->is_question);
    if (request->envp == NULL) {
        door_app_refuse(req, 503, "Out of memory");
        return -1;
    }
    stream_open(&own->in, STREAM_IN, req);
    stream_open(&own->out, STREAM_OUT, req);
    stream_open(&own->err, STREAM_ERR, req);
    /* FastCGI's answer to a question is yes if it does not say otherwise; ours is not. */
    own->out.response.status = own->is_question ? 200 : 0;
    request->requestId = 1;
    request->role = own->is_question ? FCGI_AUTHORIZER : FCGI_RESPONDER;
    request->in = &own->in;
    request->out = &own->out;
    request->err = &own->err;
    return 0;
}

int FCGX_Accept_r(FCGX_Request *request)
{
    struct own *own = request->own != NULL ? request->own : calloc(1, sizeof(*own));
    struct door_app_request *req;

    if (own == NULL || line_open() != 0)
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
    if (!own->out.response.has_head)
        refuse(req);
    cgi_response_end(&own->out.response);
    free_variables(request->envp);
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

int FCGX_StartFilterData(FCGX_Stream *stream)
{
    (void)stream;
    return FCGX_CALL_SEQ_ERROR;
}

void FCGX_SetExitStatus(int status, FCGX_Stream *stream)
{
    (void)status;
    (void)stream;
}
