/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi.c: a process per request.
 */
#include <stdio.h>
#include <stdlib.h>

#include "work.h"

int main(void)
{
    const char *path = getenv("REQUEST_URI");
    long len = work(path != NULL ? strrchr(path, '/') : "/tiny");
    char buf[65536];
    size_t got;

    if (len == -1) {
        for (len = 0; (got = fread(buf, 1, sizeof(buf), stdin)) > 0; len += (long)got)
            continue;
        printf("Content-Type: text/plain\r\n\r\n%ld\n", len);
    } else {
        printf("Content-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", len);
        fwrite(work_bytes(len), 1, (size_t)len, stdout);
    }
    return 0;
}
