/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_probe.c: a FastCGI program on Debian's libfcgi, with which the tests look at what
 * door_fcgi makes of a request and of an answer.  It knows nothing of doors.
 *
 *     /env             its variables, sorted
 *     /pid             its process, and how many requests that has had
 *     /echo            the body, each piece as it comes
 *     /big?N           N bytes
 *     /late?MS         "first", and after so long "second"
 *     /sleep?MS        an answer after so long
 *     /stderr?TEXT     TEXT goes to the log
 *     /head?TEXT       TEXT, in which '|' is a line end, is all of the response's head
 *     /die, /die-late  ends before, or in the middle of, the answer
 *     /nothing         ends the request with no answer
 *     /leave           starts a process in a session of its own that outlives it
 *
 * As an authorizer it lets those in whose REMOTE_USER or ASKED_BY is "friend", and ends if
 * ASKED_BY is "nobody"; as a filter it turns
 * the file's letters into capitals.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <fcgiapp.h>
#include <fastcgi.h>

static unsigned served;

static const char *variable(FCGX_Request *request, const char *name)
{
    const char *value = FCGX_GetParam(name, request->envp);

    return value != NULL ? value : "";
}

static void pause_ms(const char *ms)
{
    long left = atol(ms);
    struct timespec time = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

    nanosleep(&time, NULL);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show_environment(FCGX_Request *request)
{
    size_t count = 0;

    while (request->envp[count] != NULL)
        count++;
    qsort(request->envp, count, sizeof(*request->envp), compare);
    for (size_t i = 0; i < count; i++)
        FCGX_FPrintF(request->out, "%s\n", request->envp[i]);
}

static void echo(FCGX_Request *request)
{
    char piece[4096];
    int len;

    /* It waits until the piece is full; what streams comes in lines. */
    if (strcmp(variable(request, "QUERY_STRING"), "lines") == 0) {
        while (FCGX_GetLine(piece, sizeof(piece), request->in) != NULL) {
            FCGX_PutS(piece, request->out);
            FCGX_FFlush(request->out);
        }
        return;
    }
    while ((len = FCGX_GetStr(piece, sizeof(piece), request->in)) > 0)
        FCGX_PutStr(piece, len, request->out);
}

static void write_much(FCGX_Request *request, long bytes)
{
    char piece[8192];

    for (size_t i = 0; i < sizeof(piece); i++)
        piece[i] = (char)('a' + i % 26);
    for (; bytes > 0; bytes -= (long)sizeof(piece))
        if (FCGX_PutStr(piece, bytes < (long)sizeof(piece) ? (int)bytes : (int)sizeof(piece),
                        request->out) == -1)
            return;
}

static void write_head(FCGX_Request *request, const char *text)
{
    for (; *text != '\0'; text++)
        FCGX_PutS(*text == '|' ? "\r\n" : (char[]){*text, '\0'}, request->out);
    FCGX_PutS("\r\n\r\n", request->out);
}

static void leave(FCGX_Request *request)
{
    pid_t pid = fork();

    if (pid == 0) {
        setsid();
        close(STDIN_FILENO);
        sleep(1000);
        _exit(0);
    }
    FCGX_FPrintF(request->out, "%d\n", (int)pid);
}

static void authorize(FCGX_Request *request)
{
    const char *who = variable(request, "REMOTE_USER");

    if (strcmp(variable(request, "ASKED_BY"), "nobody") == 0)
        _exit(5);
    /* A question without a word on the status is a yes. */
    if (strcmp(who, "friend") != 0 && strcmp(variable(request, "ASKED_BY"), "friend") != 0)
        FCGX_PutS("Status: 403 No\r\n", request->out);
    FCGX_FPrintF(request->out, "Variable-PATH-INFO: %s\r\nVariable-ANSWERED: %s\r\n\r\n",
                 variable(request, "PATH_INFO"), variable(request, "FCGI_APACHE_ROLE"));
}

static void filter(FCGX_Request *request)
{
    int c;

    FCGX_FPrintF(request->out, "Content-Type: text/plain\r\n\r\n%s bytes, ",
                 variable(request, "FCGI_DATA_LENGTH"));
    while ((c = FCGX_GetChar(request->in)) != -1)
        FCGX_PutChar(c, request->out);
    FCGX_StartFilterData(request->in);
    while ((c = FCGX_GetChar(request->in)) != -1)
        FCGX_PutChar(toupper(c), request->out);
}

/* 1 if the path is answered by other means than the usual head. */
static int answer_oddly(FCGX_Request *request, const char *path, const char *query)
{
    if (strcmp(path, "/head") == 0)
        write_head(request, query);
    else if (strcmp(path, "/die") == 0)
        _exit(3);
    else if (strcmp(path, "/nothing") != 0)
        return 0;
    return 1;
}

static void respond(FCGX_Request *request, const char *path, const char *query)
{
    if (answer_oddly(request, path, query))
        return;
    if (strcmp(path, "/sleep") == 0)
        pause_ms(query);
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
    if (strcmp(path, "/env") == 0)
        show_environment(request);
    else if (strcmp(path, "/echo") == 0)
        echo(request);
    else if (strcmp(path, "/big") == 0)
        write_much(request, atol(query));
    else if (strcmp(path, "/stderr") == 0)
        FCGX_FPrintF(request->err, "%s\n", query);
    else if (strcmp(path, "/leave") == 0)
        leave(request);
    else if (strcmp(path, "/late") == 0 || strcmp(path, "/die-late") == 0) {
        FCGX_PutS("first\n", request->out);
        FCGX_FFlush(request->out);
        pause_ms(query);
        if (strcmp(path, "/die-late") == 0)
            _exit(4);
        FCGX_PutS("second\n", request->out);
    } else {
        FCGX_FPrintF(request->out, "%d %u\n", (int)getpid(), served);
    }
}

int main(void)
{
    FCGX_Request request;

    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        served++;
        if (request.role == FCGI_AUTHORIZER)
            authorize(&request);
        else if (request.role == FCGI_FILTER)
            filter(&request);
        else
            respond(&request, variable(&request, "PATH_INFO"), variable(&request, "QUERY_STRING"));
        FCGX_Finish_r(&request);
    }
    return 0;
}
