/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_db.c: libfcgi's application for /db, for mod_proxy_fcgi and mod_fcgid.
 */
#include "fcgi_threads.h"
#include "page.h"

static void answer(FCGX_Request *request)
{
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);
    char buf[1024];
    int is_account = query != NULL && strncmp(query, "aid=", 4) == 0;
    int len = page(is_account ? query + 4 : "0", buf, sizeof(buf));

    if (len == -1)
        FCGX_FPrintF(request->out, "Status: 503\r\nContent-Type: text/html\r\n\r\n");
    else
        FCGX_FPrintF(request->out, "Content-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len,
                     buf);
}

int main(int argc, char **argv)
{
    return fcgi_run(argc, argv, answer);
}
