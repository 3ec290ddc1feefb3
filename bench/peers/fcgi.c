/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi.c: libfcgi's application: fcgi SOCKET THREADS listens itself, for
 * mod_proxy_fcgi; without arguments it is one of mod_fcgid's processes, or CGI.
 */
#include <pthread.h>
#include <stdlib.h>

#include <fcgi_config.h>
#include <fcgiapp.h>

#include "work.h"

static int listening;

static void answer(FCGX_Request *request)
{
    const char *path = FCGX_GetParam("REQUEST_URI", request->envp);
    long len = work(path != NULL ? strrchr(path, '/') : "/tiny");
    char buf[65536];
    int got;

    if (len == -1) {
        for (len = 0; (got = FCGX_GetStr(buf, sizeof(buf), request->in)) > 0; len += got)
            continue;
        FCGX_FPrintF(request->out, "Content-Type: text/plain\r\n\r\n%ld\n", len);
    } else {
        FCGX_FPrintF(request->out, "Content-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", len);
        FCGX_PutStr(work_bytes(len), (int)len, request->out);
    }
    FCGX_Finish_r(request);
}

static void *serve(void *unused)
{
    FCGX_Request request;

    (void)unused;
    FCGX_InitRequest(&request, listening, 0);
    while (FCGX_Accept_r(&request) == 0)
        answer(&request);
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 1;

    FCGX_Init();
    if (argc > 1)
        listening = FCGX_OpenSocket(argv[1], 1024);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;

        pthread_create(&thread, NULL, serve, NULL);
    }
    serve(NULL);
    return 0;
}
