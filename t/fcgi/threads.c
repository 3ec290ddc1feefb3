/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * threads.c: a FastCGI program with four threads that accept, for either library.  What
 * it does is in the query: vars, echo, count, upload, big=N, status=N, local, slow, heard, bare, nothing,
 * nonsense, unread, after, exit, abort, shutdown.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcgiapp.h>

#define THREADS 4

static int socket_number;

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_variables(FCGX_Request *request)
{
    size_t count = 0;

    while (request->envp[count] != NULL)
        count++;
    qsort(request->envp, count, sizeof(char *), compare);
    for (size_t i = 0; i < count; i++)
        FCGX_FPrintF(request->out, "%s\n", request->envp[i]);
}

static void echo(FCGX_Request *request)
{
    char bytes[5000];
    int len;

    while ((len = FCGX_GetStr(bytes, sizeof(bytes), request->in)) > 0)
        FCGX_PutStr(bytes, len, request->out);
}

static void count(FCGX_Request *request)
{
    static __thread char bytes[1 << 16];
    unsigned long long all = 0;
    int len;

    while ((len = FCGX_GetStr(bytes, sizeof(bytes), request->in)) > 0)
        all += (unsigned)len;
    FCGX_FPrintF(request->out, "%llu\n", all);
}

/* A sum of the body, which is read in several ways. */
static void upload(FCGX_Request *request)
{
    unsigned long sum = 0, count = 0;
    char line[300];
    int c;

    while ((c = FCGX_GetChar(request->in)) != EOF) {
        FCGX_UnGetChar(c, request->in);
        if (FCGX_GetLine(line, sizeof(line), request->in) == NULL)
            break;
        for (const char *at = line; *at != '\0'; at++, count++)
            sum = sum * 31 + (unsigned char)*at;
    }
    FCGX_FPrintF(request->out, "%lu %lu %d\n", count, sum, FCGX_HasSeenEOF(request->in) != 0);
}

static void big(FCGX_Request *request, long count)
{
    char bytes[1000];

    memset(bytes, 'x', sizeof(bytes));
    for (long i = 0; i < count; i++)
        if (FCGX_PutStr(bytes, sizeof(bytes), request->out) < 0)
            return;
}

static void begin(FCGX_Request *request)
{
    FCGX_PutS("Content-Type: text/plain\r\nX-Said: one\r\nX-Said: two\r\n\r\n", request->out);
}

static void answer(FCGX_Request *request)
{
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);

    if (query == NULL || strcmp(query, "nothing") == 0)
        return;
    if (strcmp(query, "nonsense") == 0) {
        FCGX_PutS("nonsense\n\nbody", request->out);
    } else if (strncmp(query, "status=", 7) == 0) {
        FCGX_FPrintF(request->out, "Status: %s Said\r\nContent-Type: text/plain\r\n\r\nsaid\n",
                     query + 7);
    } else if (strcmp(query, "local") == 0) {
        FCGX_PutS("Location: /static.txt\r\n\r\n", request->out);
    } else if (strcmp(query, "bare") == 0) {
        FCGX_PutS("Content-Type: text/plain\n\n", request->out);
    } else if (strcmp(query, "exit") == 0) {
        FCGX_FPrintF(request->err, "exits in mid-request\n");
        exit(3);
    } else if (strcmp(query, "abort") == 0) {
        begin(request);
        FCGX_PutS("some", request->out);
        FCGX_FFlush(request->out);
        abort();
    } else {
        begin(request);
    }
    if (strcmp(query, "vars") == 0) {
        print_variables(request);
    } else if (strcmp(query, "echo") == 0) {
        echo(request);
    } else if (strcmp(query, "count") == 0) {
        count(request);
    } else if (strcmp(query, "upload") == 0) {
        upload(request);
    } else if (strncmp(query, "big=", 4) == 0) {
        big(request, atol(query + 4));
    } else if (strcmp(query, "slow") == 0 || strcmp(query, "shutdown") == 0) {
        FCGX_PutS("one\n", request->out);
        FCGX_FFlush(request->out);
        usleep(300000);
        if (strcmp(query, "shutdown") == 0)
            FCGX_ShutdownPending();
        FCGX_PutS("two\n", request->out);
    } else if (strcmp(query, "heard") == 0) {
        FCGX_FPrintF(request->err, "heard\n");
        FCGX_FFlush(request->err);
        usleep(300000);
    } else if (strcmp(query, "after") == 0) {
        FCGX_PutS("before\n", request->out);
        FCGX_FClose(request->out);
        FCGX_PutS("after\n", request->out);
    } else if (strcmp(query, "unread") == 0) {
        FCGX_PutChar('u', request->out);
        FCGX_FPrintF(request->err, "the body is not read\n");
    }
    FCGX_SetExitStatus(7, request->out);
}

static void *serve(void *unused)
{
    FCGX_Request request;

    (void)unused;
    FCGX_InitRequest(&request, socket_number, 0);
    while (FCGX_Accept_r(&request) == 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
    FCGX_Free(&request, 1);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];

    if (FCGX_IsCGI() || FCGX_Init() != 0)
        return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, serve, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
