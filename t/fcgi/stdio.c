/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stdio.c: a FastCGI program as of stdio, for either library; a CGI program, too.
 */
#include <stdlib.h>
#include <string.h>

#include <fcgi_stdio.h>

int main(void)
{
    int count = 0;

    while (FCGI_Accept() >= 0) {
        const char *query = getenv("QUERY_STRING");
        const char *length = getenv("CONTENT_LENGTH");
        char line[200], bytes[64];
        size_t len;
        FILE *file;

        printf("Content-type: text/plain\r\n\r\n");
        printf("query %s, count %s\n", query != NULL ? query : "none", ++count > 0 ? "more" : "");
        if (length != NULL && atoi(length) > 0) {
            if (fgets(line, sizeof(line), stdin) != NULL)
                fputs(line, stdout);
            while ((len = fread(bytes, 1, sizeof(bytes), stdin)) > 0)
                fwrite(bytes, 1, len, stdout);
            putchar(feof(stdin) ? '.' : '!');
            puts("");
        }
        file = fopen("/etc/hostname", "r");
        if (file != NULL && getc(file) != EOF)
            puts("a file is a file");
        if (file != NULL)
            fclose(file);
        fprintf(stderr, "the log hears of %s\n", query != NULL ? query : "nothing");
    }
    return 0;
}
