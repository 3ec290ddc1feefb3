/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi.c: libfcgi's application, for mod_proxy_fcgi and mod_fcgid.
 */
#include "fcgi_threads.h"
#include "work.h"

static void count(FCGX_Request *request)
{
    char buf[WORK_PIECE];
    long sum = 0;
    int got;

    while ((got = FCGX_GetStr(buf, sizeof(buf), request->in)) > 0)
        sum += got;
    FCGX_FPrintF(request->out, "Content-Type: text/plain\r\n\r\n%ld\n", sum);
}

static void bytes(FCGX_Request *request, long len, long piece)
{
    FCGX_FPrintF(request->out, "Content-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", len);
    for (; len > 0; len -= piece)
        if (FCGX_PutStr(work_bytes(piece), (int)piece, request->out) == -1)
            return;
}

static void events(FCGX_Request *request, long count)
{
    char event[64];

    FCGX_FPrintF(request->out, "Content-Type: text/event-stream\r\n\r\n");
    for (; count > 0; count--) {
        int len = work_event(event, sizeof(event));

        if (FCGX_PutStr(event, len, request->out) == -1 || FCGX_FFlush(request->out) == -1)
            return;
    }
}

static void answer(FCGX_Request *request)
{
    const char *path = FCGX_GetParam("REQUEST_URI", request->envp);
    struct work todo = work(path != NULL ? strrchr(path, '/') : NULL);

    if (todo.kind == WORK_COUNT)
        count(request);
    else if (todo.kind == WORK_EVENTS)
        events(request, todo.len);
    else
        bytes(request, todo.len, todo.kind == WORK_PIECES ? WORK_PIECE : todo.len);
}

int main(int argc, char **argv)
{
    return fcgi_run(argc, argv, answer);
}
