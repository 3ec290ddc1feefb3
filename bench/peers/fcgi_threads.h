/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_threads.h: the main program of libfcgi's applications: PROGRAM SOCKET
 * THREADS listens itself, for mod_proxy_fcgi; without arguments it is one of
 * mod_fcgid's processes.
 */
#ifndef BENCH_FCGI_THREADS_H
#define BENCH_FCGI_THREADS_H

#include <pthread.h>
#include <stdlib.h>

#include <fcgi_config.h>
#include <fcgiapp.h>

static int fcgi_listening;
static void (*fcgi_answer)(FCGX_Request *request);

/*
 * A request is read to its end, also where it has no body: what is left of it in a kept
 * connection makes libfcgi close that, and mod_proxy_fcgi answer with 503 now and then.
 */
static inline void *fcgi_serve(void *unused)
{
    FCGX_Request request;

    (void)unused;
    FCGX_InitRequest(&request, fcgi_listening, 0);
    while (FCGX_Accept_r(&request) == 0) {
        fcgi_answer(&request);
        while (FCGX_GetChar(request.in) != -1)
            continue;
        FCGX_Finish_r(&request);
    }
    return NULL;
}

static inline int fcgi_run(int argc, char **argv, void (*answer)(FCGX_Request *request))
{
    int threads = argc > 2 ? atoi(argv[2]) : 1;

    fcgi_answer = answer;
    FCGX_Init();
    if (argc > 1)
        fcgi_listening = FCGX_OpenSocket(argv[1], 1024);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;

        pthread_create(&thread, NULL, fcgi_serve, NULL);
    }
    fcgi_serve(NULL);
    return 0;
}

#endif
