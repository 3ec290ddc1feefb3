/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_stdio.h: stdio for FastCGI programs: after each FCGI_Accept(), stdin is the
 * request's body, stdout its response, stderr the log and environ its variables.  Files
 * that the program opens itself stay what they are.  See fcgiapp.h; one thread may use
 * stdin, stdout, stderr and environ so.
 *
 * A program that was not started for a door (FCGX_IsCGI()) has its own streams, and
 * FCGI_Accept() says 0 once: so the same program is a CGI program.
 */
#ifndef DOOR_FCGI_FCGI_STDIO_H
#define DOOR_FCGI_FCGI_STDIO_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "fcgiapp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One of the two is NULL. */
typedef struct {
    FILE *stdio_stream;
    FCGX_Stream *fcgx_stream;
} FCGI_FILE;

extern FCGI_FILE FCGI_streams[3];

#define FCGI_stdin  (&FCGI_streams[0])
#define FCGI_stdout (&FCGI_streams[1])
#define FCGI_stderr (&FCGI_streams[2])

#define FCGI_ToFILE(file)       ((file)->stdio_stream)
#define FCGI_ToFcgiStream(file) ((file)->fcgx_stream)

/* The next request: 0, or -1: there is none. */
int FCGI_Accept(void);
void FCGI_Finish(void);
int FCGI_StartFilterData(void);
void FCGI_SetExitStatus(int status);

/* The functions of stdio(3), but for gets(), which writes beyond what it is given. */
void FCGI_perror(const char *text);
FCGI_FILE *FCGI_fopen(const char *path, const char *mode);
FCGI_FILE *FCGI_fdopen(int fd, const char *mode);
FCGI_FILE *FCGI_popen(const char *command, const char *type);
FCGI_FILE *FCGI_tmpfile(void);
FCGI_FILE *FCGI_freopen(const char *path, const char *mode, FCGI_FILE *file);
int FCGI_fclose(FCGI_FILE *file);
int FCGI_pclose(FCGI_FILE *file);
int FCGI_fflush(FCGI_FILE *file);
int FCGI_fileno(FCGI_FILE *file);
int FCGI_fseek(FCGI_FILE *file, long offset, int whence);
long FCGI_ftell(FCGI_FILE *file);
void FCGI_rewind(FCGI_FILE *file);
int FCGI_fgetpos(FCGI_FILE *file, fpos_t *position);
int FCGI_fsetpos(FCGI_FILE *file, const fpos_t *position);
int FCGI_setvbuf(FCGI_FILE *file, char *buf, int mode, size_t size);
void FCGI_setbuf(FCGI_FILE *file, char *buf);
int FCGI_fgetc(FCGI_FILE *file);
int FCGI_getchar(void);
int FCGI_ungetc(int c, FCGI_FILE *file);
char *FCGI_fgets(char *text, int size, FCGI_FILE *file);
int FCGI_fputc(int c, FCGI_FILE *file);
int FCGI_putchar(int c);
int FCGI_fputs(const char *text, FCGI_FILE *file);
int FCGI_puts(const char *text);
int FCGI_fprintf(FCGI_FILE *file, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));
int FCGI_printf(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
int FCGI_vfprintf(FCGI_FILE *file, const char *format, va_list args);
int FCGI_vprintf(const char *format, va_list args);
size_t FCGI_fread(void *data, size_t size, size_t count, FCGI_FILE *file);
size_t FCGI_fwrite(const void *data, size_t size, size_t count, FCGI_FILE *file);
int FCGI_feof(FCGI_FILE *file);
int FCGI_ferror(FCGI_FILE *file);
void FCGI_clearerr(FCGI_FILE *file);

#ifndef NO_FCGI_DEFINES
#undef FILE
#undef stdin
#undef stdout
#undef stderr
#undef getc
#undef putc
#undef getchar
#undef putchar
#undef feof
#undef ferror
#undef fileno
#undef clearerr
#define FILE     FCGI_FILE
#define stdin    FCGI_stdin
#define stdout   FCGI_stdout
#define stderr   FCGI_stderr
#define perror   FCGI_perror
#define fopen    FCGI_fopen
#define fdopen   FCGI_fdopen
#define popen    FCGI_popen
#define tmpfile  FCGI_tmpfile
#define freopen  FCGI_freopen
#define fclose   FCGI_fclose
#define pclose   FCGI_pclose
#define fflush   FCGI_fflush
#define fileno   FCGI_fileno
#define fseek    FCGI_fseek
#define ftell    FCGI_ftell
#define rewind   FCGI_rewind
#define fgetpos  FCGI_fgetpos
#define fsetpos  FCGI_fsetpos
#define setvbuf  FCGI_setvbuf
#define setbuf   FCGI_setbuf
#define fgetc    FCGI_fgetc
#define getc     FCGI_fgetc
#define getchar  FCGI_getchar
#define ungetc   FCGI_ungetc
#define fgets    FCGI_fgets
#define fputc    FCGI_fputc
#define putc     FCGI_fputc
#define putchar  FCGI_putchar
#define fputs    FCGI_fputs
#define puts     FCGI_puts
#define fprintf  FCGI_fprintf
#define printf   FCGI_printf
#define vfprintf FCGI_vfprintf
#define vprintf  FCGI_vprintf
#define fread    FCGI_fread
#define fwrite   FCGI_fwrite
#define feof     FCGI_feof
#define ferror   FCGI_ferror
#define clearerr FCGI_clearerr
#endif

#ifdef __cplusplus
}
#endif

#endif
