/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_stdio.c: see fcgi_stdio.h.  Each function goes to stdio or to the request's stream.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_FCGI_DEFINES
#include "fcgi_stdio.h"

FCGI_FILE FCGI_streams[3];

/* ---------------------------------------------------------------- requests */

static char **own_environ; /* before the first request */
static int has_request;

/* What a program has opened in a stream's place goes with the request. */
static void close_reopened(void)
{
    for (int i = 0; has_request && i < 3; i++)
        if (FCGI_streams[i].stdio_stream != NULL)
            fclose(FCGI_streams[i].stdio_stream);
    has_request = 0;
}

static void use_stdio(void)
{
    FCGI_streams[0] = (FCGI_FILE){stdin, NULL};
    FCGI_streams[1] = (FCGI_FILE){stdout, NULL};
    FCGI_streams[2] = (FCGI_FILE){stderr, NULL};
    environ = own_environ;
}

/* What a program says before its first request is the log's. */
__attribute__((__constructor__)) static void begin(void)
{
    own_environ = environ;
    use_stdio();
}

static int accept_cgi(void)
{
    static int is_accepted;

    if (is_accepted++)
        return -1;
    return 0;
}

int FCGI_Accept(void)
{
    FCGX_ParamArray envp;

    if (FCGX_IsCGI())
        return accept_cgi();
    FCGI_Finish();
    if (FCGX_Accept(&FCGI_streams[0].fcgx_stream, &FCGI_streams[1].fcgx_stream,
                    &FCGI_streams[2].fcgx_stream, &envp) != 0) {
        use_stdio();
        return -1;
    }
    for (int i = 0; i < 3; i++)
        FCGI_streams[i].stdio_stream = NULL;
    has_request = 1;
    environ = envp;
    return 0;
}

void FCGI_Finish(void)
{
    if (!has_request)
        return;
    close_reopened();
    use_stdio();
    FCGX_Finish();
}

int FCGI_StartFilterData(void)
{
    FCGX_Stream *in = FCGI_streams[0].fcgx_stream;

    return in != NULL ? FCGX_StartFilterData(in) : -1;
}

void FCGI_SetExitStatus(int status)
{
    FCGX_SetExitStatus(status, FCGI_streams[1].fcgx_stream);
}

/* ---------------------------------------------------------------- files */

/* Where there is no memory the stream stays open: each kind is closed in its own way. */
static FCGI_FILE *wrap(FILE *stream)
{
    FCGI_FILE *file = stream != NULL ? malloc(sizeof(*file)) : NULL;

    if (file != NULL)
        *file = (FCGI_FILE){stream, NULL};
    return file;
}

static FILE *unwrap(FCGI_FILE *file)
{
    FILE *stream = file->stdio_stream;

    if (file < FCGI_streams || file >= FCGI_streams + 3)
        free(file);
    else
        file->stdio_stream = NULL;
    return stream;
}

FCGI_FILE *FCGI_fopen(const char *path, const char *mode)
{
    return wrap(fopen(path, mode));
}

FCGI_FILE *FCGI_fdopen(int fd, const char *mode)
{
    return wrap(fdopen(fd, mode));
}

FCGI_FILE *FCGI_popen(const char *command, const char *type)
{
    return wrap(popen(command, type));
}

FCGI_FILE *FCGI_tmpfile(void)
{
    return wrap(tmpfile());
}

/* A stream of the request is no more that when there is a file in its place. */
FCGI_FILE *FCGI_freopen(const char *path, const char *mode, FCGI_FILE *file)
{
    FILE *opened;

    if (file->fcgx_stream == NULL)
        return freopen(path, mode, file->stdio_stream) != NULL ? file : NULL;
    FCGX_FClose(file->fcgx_stream);
    opened = fopen(path, mode);
    if (opened == NULL)
        return NULL;
    *file = (FCGI_FILE){opened, NULL};
    return file;
}

int FCGI_fclose(FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_FClose(file->fcgx_stream) : fclose(unwrap(file));
}

int FCGI_pclose(FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? -1 : pclose(unwrap(file));
}

int FCGI_fflush(FCGI_FILE *file)
{
    if (file == NULL)
        return fflush(NULL);
    return file->fcgx_stream != NULL ? FCGX_FFlush(file->fcgx_stream) : fflush(file->stdio_stream);
}

int FCGI_fileno(FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? -1 : fileno(file->stdio_stream);
}

/* A request's streams have no places to go to. */
static int is_fixed(const FCGI_FILE *file)
{
    if (file->fcgx_stream != NULL)
        errno = ESPIPE;
    return file->fcgx_stream != NULL;
}

int FCGI_fseek(FCGI_FILE *file, long offset, int whence)
{
    return is_fixed(file) ? -1 : fseek(file->stdio_stream, offset, whence);
}

long FCGI_ftell(FCGI_FILE *file)
{
    return is_fixed(file) ? -1 : ftell(file->stdio_stream);
}

void FCGI_rewind(FCGI_FILE *file)
{
    if (!is_fixed(file))
        rewind(file->stdio_stream);
}

int FCGI_fgetpos(FCGI_FILE *file, fpos_t *position)
{
    return is_fixed(file) ? -1 : fgetpos(file->stdio_stream, position);
}

int FCGI_fsetpos(FCGI_FILE *file, const fpos_t *position)
{
    return is_fixed(file) ? -1 : fsetpos(file->stdio_stream, position);
}

int FCGI_setvbuf(FCGI_FILE *file, char *buf, int mode, size_t size)
{
    return file->fcgx_stream != NULL ? -1 : setvbuf(file->stdio_stream, buf, mode, size);
}

void FCGI_setbuf(FCGI_FILE *file, char *buf)
{
    if (file->fcgx_stream == NULL)
        setbuf(file->stdio_stream, buf);
}

/* ---------------------------------------------------------------- reading */

int FCGI_fgetc(FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_GetChar(file->fcgx_stream) : getc(file->stdio_stream);
}

int FCGI_getchar(void)
{
    return FCGI_fgetc(FCGI_stdin);
}

int FCGI_ungetc(int c, FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_UnGetChar(c, file->fcgx_stream)
                                     : ungetc(c, file->stdio_stream);
}

char *FCGI_fgets(char *text, int size, FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_GetLine(text, size, file->fcgx_stream)
                                     : fgets(text, size, file->stdio_stream);
}

/* How many bytes so many of that size are, at most what the streams can take at once. */
static size_t bytes_of(size_t size, size_t count)
{
    const size_t max = 1 << 30;

    return count > max / size ? max / size * size : size * count;
}

size_t FCGI_fread(void *data, size_t size, size_t count, FCGI_FILE *file)
{
    if (file->fcgx_stream == NULL)
        return fread(data, size, count, file->stdio_stream);
    if (size == 0 || count == 0)
        return 0;
    return (size_t)FCGX_GetStr(data, (int)bytes_of(size, count), file->fcgx_stream) / size;
}

int FCGI_feof(FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_HasSeenEOF(file->fcgx_stream)
                                     : feof(file->stdio_stream);
}

/* ---------------------------------------------------------------- writing */

int FCGI_fputc(int c, FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_PutChar(c, file->fcgx_stream)
                                     : putc(c, file->stdio_stream);
}

int FCGI_putchar(int c)
{
    return FCGI_fputc(c, FCGI_stdout);
}

int FCGI_fputs(const char *text, FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_PutS(text, file->fcgx_stream)
                                     : fputs(text, file->stdio_stream);
}

int FCGI_puts(const char *text)
{
    int result = FCGI_fputs(text, FCGI_stdout);

    return result < 0 || FCGI_putchar('\n') == EOF ? EOF : result + 1;
}

size_t FCGI_fwrite(const void *data, size_t size, size_t count, FCGI_FILE *file)
{
    int len;

    if (file->fcgx_stream == NULL)
        return fwrite(data, size, count, file->stdio_stream);
    if (size == 0 || count == 0)
        return 0;
    len = FCGX_PutStr(data, (int)bytes_of(size, count), file->fcgx_stream);
    return len > 0 ? (size_t)len / size : 0;
}

int FCGI_vfprintf(FCGI_FILE *file, const char *format, va_list args)
{
    return file->fcgx_stream != NULL ? FCGX_VFPrintF(file->fcgx_stream, format, args)
                                     : vfprintf(file->stdio_stream, format, args);
}

int FCGI_vprintf(const char *format, va_list args)
{
    return FCGI_vfprintf(FCGI_stdout, format, args);
}

int FCGI_fprintf(FCGI_FILE *file, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = FCGI_vfprintf(file, format, args);
    va_end(args);
    return len;
}

int FCGI_printf(const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = FCGI_vfprintf(FCGI_stdout, format, args);
    va_end(args);
    return len;
}

void FCGI_perror(const char *text)
{
    FCGI_fprintf(FCGI_stderr, "%s: %s\n", text, strerror(errno));
}

int FCGI_ferror(FCGI_FILE *file)
{
    return file->fcgx_stream != NULL ? FCGX_GetError(file->fcgx_stream)
                                     : ferror(file->stdio_stream);
}

void FCGI_clearerr(FCGI_FILE *file)
{
    if (file->fcgx_stream != NULL)
        FCGX_ClearError(file->fcgx_stream);
    else
        clearerr(file->stdio_stream);
}
