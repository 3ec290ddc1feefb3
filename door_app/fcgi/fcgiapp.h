/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgiapp.h: FastCGI programs' interface, served by a door: a program that was written
 * for -lfcgi is compiled with this header and linked with -ldoor_fcgi, unchanged, and
 * DoorApp starts it.  Names, arguments and results are those that such programs use.
 *
 * The door is the one that the environment's DOOR_PATH names.  Each thread that is in
 * FCGX_Accept_r() takes one request at a time.  When the program is told to end (SIGTERM)
 * and all that has come is answered, it says -1.  DOOR_FCGI_ROLE says in which role the
 * program is called: "responder", which it is without that, "authorizer" or "filter".
 *
 * Threads: a request, and its streams, belong to the thread that has accepted it.
 */
#ifndef DOOR_FCGI_FCGIAPP_H
#define DOOR_FCGI_FCGIAPP_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef FCGI_RESPONDER
#define FCGI_RESPONDER  1
#define FCGI_AUTHORIZER 2 /* DoorAuthenticator's, DoorAuthorizer's, DoorAccessChecker's questions */
#define FCGI_FILTER     3 /* of the file that the URL is mapped to */
#endif

#define FCGX_UNSUPPORTED_VERSION (-2)
#define FCGX_PROTOCOL_ERROR      (-3)
#define FCGX_PARAMS_ERROR        (-4)
#define FCGX_CALL_SEQ_ERROR      (-5)

/* For FCGX_InitRequest(): has no meaning here, as signals do not end FCGX_Accept_r(). */
#define FCGI_FAIL_ACCEPT_ON_INTR 1

typedef struct FCGX_Stream FCGX_Stream;
typedef char **FCGX_ParamArray;

typedef struct FCGX_Request {
    int requestId; /* 1 while there is a request, otherwise 0 */
    int role;
    FCGX_Stream *in;  /* its body */
    FCGX_Stream *out; /* header fields, an empty line and the body of the response */
    FCGX_Stream *err; /* stderr */
    char **envp;      /* CGI/1.1 variables, "NAME=value", up to a NULL */
    void *own;        /* the library's */
} FCGX_Request;

/* ---------------------------------------------------------------- requests */

/* Whether DoorApp, or whoever has set DOOR_PATH, has not started this program. */
int FCGX_IsCGI(void);

/* 0, or an errno value. */
int FCGX_Init(void);

/* A number for FCGX_InitRequest(); the door is DOOR_PATH's whatever the path is. */
int FCGX_OpenSocket(const char *path, int backlog);

/* 0.  Once for each structure, before anything else. */
int FCGX_InitRequest(FCGX_Request *request, int sock, int flags);

/*
 * Finishes the structure's request, if it has one, and waits for the next: 0, or -1: the
 * program is to end, or its door cannot be served, which stderr tells.
 */
int FCGX_Accept_r(FCGX_Request *request);

/* Ends the response. */
void FCGX_Finish_r(FCGX_Request *request);
void FCGX_Free(FCGX_Request *request, int close);

/* The same with one request of the program's, for one thread. */
int FCGX_Accept(FCGX_Stream **in, FCGX_Stream **out, FCGX_Stream **err, FCGX_ParamArray *envp);
void FCGX_Finish(void);

/*
 * From now on FCGX_Accept_r() says -1, once what was accepted is answered; who waits to be
 * accepted gets 503.  A signal handler may call it.
 */
void FCGX_ShutdownPending(void);

/*
 * In a filter whose request body has been read to its end: from now on the stream is the
 * file.  0, or -1: this is no filter, or not yet its time.
 */
int FCGX_StartFilterData(FCGX_Stream *stream);

/* For programs that answer in a forked process, which cannot be here: 0, and -1. */
int FCGX_Attach(FCGX_Request *request);
int FCGX_Detach(FCGX_Request *request);

/* Nobody hears of it. */
void FCGX_SetExitStatus(int status, FCGX_Stream *stream);

/* The value of a variable, or NULL. */
char *FCGX_GetParam(const char *name, FCGX_ParamArray envp);

/* ---------------------------------------------------------------- streams */

/* As getc(), ungetc(), fread() (in bytes), fgets(), feof(). */
int FCGX_GetChar(FCGX_Stream *stream);
int FCGX_UnGetChar(int c, FCGX_Stream *stream);
int FCGX_GetStr(char *text, int len, FCGX_Stream *stream);
char *FCGX_GetLine(char *text, int len, FCGX_Stream *stream);
int FCGX_HasSeenEOF(FCGX_Stream *stream);

/* As putc(), fwrite() (in bytes), fputs(), fprintf(), fflush(); -1 the client is gone, or so. */
int FCGX_PutChar(int c, FCGX_Stream *stream);
int FCGX_PutStr(const char *text, int len, FCGX_Stream *stream);
int FCGX_PutS(const char *text, FCGX_Stream *stream);
int FCGX_FPrintF(FCGX_Stream *stream, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));
int FCGX_VFPrintF(FCGX_Stream *stream, const char *format, va_list args);
int FCGX_FFlush(FCGX_Stream *stream);

/* What is written later is lost, and nothing more can be read. */
int FCGX_FClose(FCGX_Stream *stream);

/* An errno value, FCGX_CALL_SEQ_ERROR, or 0. */
int FCGX_GetError(FCGX_Stream *stream);
void FCGX_ClearError(FCGX_Stream *stream);

#ifdef __cplusplus
}
#endif

#endif
