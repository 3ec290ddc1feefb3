/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi.c: a process per request.
 */
#include "work.h"

static void count(void)
{
    char buf[WORK_PIECE];
    long sum = 0;
    size_t got;

    while ((got = fread(buf, 1, sizeof(buf), stdin)) > 0)
        sum += (long)got;
    printf("Content-Type: text/plain\r\n\r\n%ld\n", sum);
}

static void events(long count)
{
    char event[64];

    printf("Content-Type: text/event-stream\r\n\r\n");
    for (; count > 0; count--) {
        int len = work_event(event, sizeof(event));

        fwrite(event, 1, (size_t)len, stdout);
        if (fflush(stdout) != 0)
            return;
    }
}

int main(void)
{
    const char *path = getenv("REQUEST_URI");
    struct work todo = work(path != NULL ? strrchr(path, '/') : NULL);

    if (todo.kind == WORK_COUNT) {
        count();
    } else if (todo.kind == WORK_EVENTS) {
        events(todo.len);
    } else {
        printf("Content-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", todo.len);
        fwrite(work_bytes(todo.len), 1, (size_t)todo.len, stdout);
    }
    return 0;
}
