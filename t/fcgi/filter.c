/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * filter.c: a FastCGI filter, for either library.  What it does is in the query: vars, both
 * (the body and the file), early (asks for the file before the body's end), twice,
 * lines (the file by FCGX_GetLine()), big (only how long the file is).
 */
#include <ctype.h>
#include <string.h>

#include <fcgiapp.h>
#include <fastcgi.h>

static const char *variable(FCGX_Request *request, const char *name)
{
    const char *value = FCGX_GetParam(name, request->envp);

    return value != NULL ? value : "none";
}

static long copy(FCGX_Request *request, int (*change)(int))
{
    long count = 0;
    int c;

    for (; (c = FCGX_GetChar(request->in)) != -1; count++)
        if (change != NULL)
            FCGX_PutChar(change(c), request->out);
    return count;
}

static void say_start(FCGX_Request *request)
{
    int result = FCGX_StartFilterData(request->in);

    FCGX_FPrintF(request->out, "[%d %d %d]", result < 0, FCGX_GetError(request->in),
                 FCGX_HasSeenEOF(request->in));
}

static void show_variables(FCGX_Request *request)
{
    FCGX_FPrintF(request->out, "%s %s %s %d\n", variable(request, "FCGI_ROLE"),
                 variable(request, "FCGI_DATA_LENGTH"), variable(request, "FCGI_DATA_LAST_MOD"),
                 request->role == FCGI_FILTER);
}

static void show_lines(FCGX_Request *request)
{
    char line[50];

    while (FCGX_GetLine(line, sizeof(line), request->in) != NULL)
        FCGX_FPrintF(request->out, "<%s>", line);
}

static void filter(FCGX_Request *request, const char *query)
{
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
    if (strcmp(query, "vars") == 0)
        show_variables(request);
    if (strcmp(query, "early") == 0)
        say_start(request);
    if (strcmp(query, "nothing") == 0)
        return;
    copy(request, toupper);
    say_start(request);
    if (strcmp(query, "lines") == 0)
        show_lines(request);
    else if (strcmp(query, "big") == 0)
        FCGX_FPrintF(request->out, "%ld", copy(request, NULL));
    else
        copy(request, toupper);
    if (strcmp(query, "twice") == 0)
        say_start(request);
    FCGX_FPrintF(request->out, "%d", copy(request, toupper) != 0);
}

int main(void)
{
    FCGX_Request request;

    if (FCGX_Init() != 0)
        return 1;
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        filter(&request, variable(&request, "QUERY_STRING"));
        FCGX_Finish_r(&request);
    }
    return 0;
}
