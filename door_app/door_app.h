/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_app.h: web applications as plain synchronous code.
 *
 *     static void hello(struct door_app_request *req, void *data)
 *     {
 *         door_app_printf(req, "Hello, %s!\n", door_app_remote_addr(req));
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct door_app *app = door_app_create();
 *
 *         door_app_handle(app, "/", hello, NULL);
 *         return door_app_run(app, argc > 1 ? argv[1] : NULL);
 *     }
 *
 * httpd's mod_door calls the application through a door, a name in the file
 * system.  Each request runs a handler on a server thread from its first line
 * to its return; the doors decide how many threads there are, and a thread that
 * has answered takes the next request.
 *
 * Lifecycle: create an application, add handlers, run it.  door_app_run() comes
 * back when SIGTERM or SIGINT has asked it to stop and the requests that ran
 * have ended.
 *
 * Requests: a handler gets one and may use it until it returns.  The texts and
 * bytes that the request's functions give out belong to the request and are
 * gone with it; copy what is to live longer.  What a handler allocates itself
 * it frees itself.  A response that can be sent when the handler returns is
 * sent then; if memory ran out while it was put together, the client gets a 500
 * instead of a part.  One that is flushed, or long, goes out while the handler
 * runs; if it cannot be completed, the client sees that.  A request that is
 * used after its handler's return, or on another thread, is refused with
 * EINVAL, and a line on stderr tells.
 *
 * Threads: handlers run on several threads at once, so what they share needs
 * the usual care; what is _Thread_local to a handler stays from one request of
 * that thread to the next.  A request belongs to the thread that its handler
 * was called on.  Server threads, and programs that a handler starts, have the signal
 * mask with which door_app_run() was called.  A C++ handler must not let an exception out.
 *
 * Fork: a child serves nothing.  It may exec or _exit; the application goes on
 * in the parent.
 *
 * Functions that return int return 0 on success and -1 with errno on failure
 * unless they say otherwise; they block only where that is said.
 */
#ifndef DOOR_APP_H
#define DOOR_APP_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __GNUC__
#define DOOR_APP_PRINTF(format, first) __attribute__((__format__(__printf__, format, first)))
#else
#define DOOR_APP_PRINTF(format, first)
#endif

struct door_app;
struct door_app_request;

/* Answers one request; data is what was given to door_app_handle(). */
typedef void door_app_handler(struct door_app_request *req, void *data);

/* Run on a server thread; data is what was given to door_app_on_thread(). */
typedef int door_app_thread_start(void *data);
typedef int door_app_thread_check(void *data);
typedef void door_app_thread_stop(void *data);

/* Looks at a request before its handler does; 0: go on, another value: it is answered. */
typedef int door_app_hook(struct door_app_request *req, void *data);

/* ---------------------------------------------------------------- application */

/*
 * Makes an application that has no handlers yet.
 *
 * Owner:   the caller; door_app_destroy() frees it, a program that runs it to
 *          its end need not.
 * Returns: the application, or NULL with ENOMEM.
 * Threads: any.
 */
struct door_app *door_app_create(void);

/*
 * Adds a handler for the path prefix and all paths below it: "/big" is for "/big",
 * "/big/" and "/big/x", but not for "/bigger"; "/" is for all.  The longest prefix
 * wins; a path that has none gets a 404.  What is compared is the decoded path below
 * httpd's <Location> (door_app_path_info()), or "/" if that is empty.
 *
 * Owner:   prefix is copied; data stays the caller's and must live as long as
 *          app.
 * Errors:  EINVAL prefix has no '/' in front, or handler is NULL; EEXIST prefix
 *          has a handler already; ENOMEM, also if app is NULL.  door_app_run() refuses
 *          an application that misses a handler because of such an error, and says
 *          which; so neither this nor door_app_create() has to be checked.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_handle(struct door_app *app, const char *prefix, door_app_handler *handler,
                    void *data);

/*
 * Adds a handler for requests with that method whose path matches a pattern:
 * "/entries", "/entries/{id}", "/files/{name...}".  The path is the one below httpd's
 * <Location>.  A handler for GET also answers HEAD.  A segment in braces stands for any
 * segment that is not empty.  With "...", at the pattern's end, it stands for all that is
 * left of the path, with its slashes, even if that is nothing.  door_app_param() gives it.
 * Of several patterns the one that was added first wins, and patterns come before
 * prefixes.  A path that has patterns, but none with the method, gets a 405 with the
 * methods in its Allow.
 *
 * "/notes" and "/notes/" are two paths.  If one of them has a pattern with the method, and
 * the other has neither a pattern nor a prefix, a client that asks for the other is sent
 * to the first (308, which keeps method and body).
 *
 * Owner:   method and pattern are copied; data as with door_app_handle().
 * Errors:  EINVAL it is no pattern; EEXIST it is there already; ENOMEM.
 *          door_app_run() refuses the application then.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_route(struct door_app *app, const char *method, const char *pattern,
                   door_app_handler *handler, void *data);

/*
 * Adds a hook that sees each request before its handler, to ask who the client is, to
 * write a log, or to set headers that all responses have.  Hooks run in the order in
 * which they were added, also for paths that have no handler.  A hook that does not
 * return 0 has answered the request itself: nothing else runs for it.
 *
 * Owner:   data stays the caller's and must live as long as app.
 * Errors:  EINVAL hook is NULL; ENOMEM, also if app is NULL.  door_app_run() refuses
 *          the application then, as with door_app_handle().
 * Threads: one at a time, and none once door_app_run() was called; hooks run on the
 *          request's thread.
 */
int door_app_before(struct door_app *app, door_app_hook *hook, void *data);

/*
 * Sets the handler that makes the page for an error: for what door_app_refuse() answers
 * with that status, and for what the runtime refuses itself.  That is 404 and 405 (no
 * handler for the path or the method), 413, 415, 400 and 503 (a form that cannot be
 * read), 431 (too many header fields), and 500 (there was no memory for the response;
 * the log says why).  The status is set when handler is called.  If the page itself
 * refuses the request, the client gets the line of text and no other page.
 *
 * Owner:   data stays the caller's and must live as long as app.
 * Errors:  EINVAL status is not in 400..599, or handler is NULL; EEXIST the status
 *          has a page already; ENOMEM, also if app is NULL.  door_app_run() refuses
 *          the application then, as with door_app_handle().
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_error_page(struct door_app *app, int status, door_app_handler *handler, void *data);

/*
 * Serves the files of a directory below prefix: GET and HEAD, with type, Last-Modified
 * and ETag.  The prefix is one as for door_app_handle().  httpd does conditional requests
 * and ranges.  A path that ends in "/" stands for its "index.html"; a directory's
 * path without the "/" is sent there.  Names that begin with a dot, and symbolic links, get
 * a 404, directories too.  Nothing outside the directory is reached, and only regular files
 * that the application may read.
 *
 * The directory is opened now.  If another one takes its name later, as with links to
 * releases, that is not noticed.  A file that changes should be replaced (rename(2)) and
 * not written into.
 *
 * Owner:   prefix and path are copied.
 * Errors:  those of door_app_handle(), and of open(2) for the directory.
 *          door_app_run() refuses the application then.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_files(struct door_app *app, const char *prefix, const char *path);

/* What httpd may ask about a request: mod_fcgid's roles. */
enum door_app_role {
    DOOR_APP_AUTHENTICATOR, /* is that the password (REMOTE_PASSWD) of the user (REMOTE_USER)? */
    DOOR_APP_AUTHORIZER,    /* may that user do this? */
    DOOR_APP_ACCESS_CHECKER /* may anybody, whoever it is? */
};

/*
 * Adds a handler for httpd's question whether a request may pass (DoorAuthenticator and
 * the like).  It sees that request without its body; door_app_path() is the whole path.
 * Only door_app_status() with 200 lets the request pass; a handler that does not call it
 * refuses.  A header "Variable-NAME" sets the variable NAME of the request.  Nobody gets
 * what is written.  A status of 500 or more says that there is no answer: the client
 * gets a 503.
 *
 * Owner:   data as with door_app_handle().
 * Errors:  EINVAL no such role, or handler is NULL; EEXIST the role has a handler already;
 *          ENOMEM app is NULL.  door_app_run() refuses the application then.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_guard(struct door_app *app, enum door_app_role role, door_app_handler *handler,
                   void *data);

/*
 * Sets hooks for server threads: start runs on each one before it takes its first
 * request, and stop when it ends.  Either may be NULL.  What they set up, such as a
 * _Thread_local database connection, belongs to the thread.
 *
 * start returns 0, or -1 with errno.  If it fails, stop does not run and the thread takes
 * no requests; others do.  It tries again after a pause that grows to a second.  While no
 * thread could start, one of them answers requests with 503 and Retry-After.  A line on
 * stderr tells when that begins and when it ends; see door_app_thread_failed().  A thread
 * that could not start for as long as an idle one stays ends.
 *
 * Threads that are still there when the process exits, or when app is destroyed, run no
 * stop.  Where the doors cannot tell when a thread begins (illumos), start runs with the
 * thread's first request; while it fails, requests on that thread get 503.
 *
 * Owner:   data stays the caller's and must live as long as app.
 * Errors:  EEXIST the application has such hooks already; ENOMEM app is NULL.
 *          door_app_run() refuses the application then, as with
 *          door_app_handle().
 * Threads: one at a time, and none once door_app_run() was called.  The hooks
 *          themselves run on several threads at once.
 */
int door_app_on_thread(struct door_app *app, door_app_thread_start *start,
                       door_app_thread_stop *stop, void *data);

/*
 * Sets a check for server threads: whether what start has set up is still good.  It runs
 * before each request and now and then while there is none.  It must not take long, as a
 * request may wait.  It returns 0, or -1: then stop and start run, as for a new thread,
 * and another thread takes the request.  So a thread that has lost its connection, say,
 * notices that before it has a request that it cannot serve.
 *
 * It gets door_app_on_thread()'s data.
 *
 * Errors:  ENOMEM app is NULL.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_check_threads(struct door_app *app, door_app_thread_check *check);

/*
 * Says, in a start hook that fails, why: one line for the log.  Without it the log has
 * errno.
 *
 * Returns: -1 with EAGAIN, for the hook to return.
 * Threads: the hook's.
 */
int door_app_thread_failed(const char *format, ...) DOOR_APP_PRINTF(1, 2);

/*
 * Says, in a handler, that what the thread's start hook has set up is lost.  The handler
 * still makes its answer.  After that stop runs on this thread, and then start, as for a
 * new thread.
 *
 * Errors:  EINVAL another thread runs the request, or none.
 * Threads: the request's.
 */
int door_app_thread_lost(struct door_app_request *req);

/*
 * Sets the most server threads, and for how many milliseconds an idle one stays; two
 * always stay.  0 means no maximum, and that none ends.  Without this call there are at
 * most 256, and idle ones stay for 10,000 ms.
 *
 * A handler keeps its thread.  So at most max handlers run at a time, and there are at most
 * max of what a thread holds, even if callers have given up.  Further requests wait in
 * httpd.  A program that httpd starts finds a maximum in the environment variable
 * DOOR_APP_THREADS (DoorMaxConcurrent, or DoorApp's threads=), in place of the 256.  The
 * lower one of that and max counts.  A thread costs some 60 KiB of memory, and what its
 * handlers keep.  A handler that calls a door of its own process, served by the same
 * threads, waits for itself if all of them do so: such a door must be DOOR_PRIVATE, with
 * threads of its own.
 *
 * Where the doors have no maximum (illumos) this has no meaning.  There DoorMaxConcurrent
 * makes requests wait in the application, each on a thread.
 *
 * Errors:  ENOMEM app is NULL.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_set_threads(struct door_app *app, unsigned max, unsigned idle_ms);

/*
 * Says that handlers compute one at a time, as in a language whose interpreter has one
 * lock.  Then no thread is started while one waits for that lock, as door_app_wait_turn()
 * tells.  On illumos the system decides how many threads there are, and this has no meaning.
 *
 * Errors:  ENOMEM app is NULL.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_take_turns(struct door_app *app);

/*
 * In a handler, or what it calls: with 1 before the thread waits for its turn to compute, with
 * 0 once it has that.  The locks that are waited for in between are remembered: so the
 * interpreter may give its lock away and take it back without saying so.
 *
 * Threads: any; of those that serve no request nothing is noted.
 */
void door_app_wait_turn(int is_waiting);

/*
 * Serves requests at the door called path, or at the one that the environment
 * variable DOOR_PATH names if path is NULL.  A missing file is made with mode
 * 0660 less the umask; one that is there keeps its mode and owner.  Whoever may
 * read it may call the application.
 *
 * mod_door's DoorApp, which sets DOOR_PATH, also sets DOOR_READY_FD to the number of a
 * descriptor.  When the door that DOOR_PATH names is there, a line end is written to that
 * descriptor.
 *
 * On SIGTERM or SIGINT (unless that is ignored) the name is given back, new
 * requests are refused, and running ones are waited for.  A second signal, a
 * second or more later, ends the wait.  Signal handlers that the program had set for the
 * two do not run meanwhile.  Programs that a handler starts, and children that it forks,
 * have the dispositions from before.
 *
 * What the program prints on stdout goes out line by line, also where that is no
 * terminal, so that a crash does not lose it.
 *
 * The soft RLIMIT_NOFILE is raised to the hard one: each httpd process takes a
 * few descriptors.  So the program's may have numbers that select(2) cannot
 * hold; poll(2) can.
 *
 * Blocks:  until it is told to stop.
 * Returns: an exit status: 0 after an orderly end; 1 after a failure, described
 *          on stderr, and if requests were given up.
 * Threads: one, the main thread as a rule: the server threads begin with the signal mask
 *          of the one that calls this.
 */
int door_app_run(struct door_app *app, const char *path);

/*
 * Has door_app_run() stop as SIGTERM does, also if it has yet to begin.  For programs that
 * handle that signal themselves, or end for a reason of their own.
 *
 * Threads: any; a signal handler may call it.
 */
void door_app_stop(void);

/*
 * Asks mod_door, which has launched the process (DoorApp), for another one in its place,
 * as when files of the application have changed.  The new process starts first.  This one
 * goes on until SIGTERM tells it to stop, and no request is lost.  Asking again changes
 * nothing.  A question within a second of the start is answered after that second.
 *
 * Errors:  ENOTSUP it was not launched so, or does not serve yet; EPIPE mod_door's
 *          supervisor has gone.
 * Threads: any.
 */
int door_app_ask_replacement(void);

/*
 * Frees an application that does not run (any more).  Does nothing if app is
 * NULL, or if door_app_run() gave requests up that still use it.
 *
 * Threads: any, as the last user of app.
 */
void door_app_destroy(struct door_app *app);

/* ---------------------------------------------------------------- the request */

/*
 * Parts of the request, as httpd understood it.
 *
 *   method       "GET"; the server answers HEAD from what GET would be, so a
 *                handler need not care
 *   path         the whole decoded, normalised path: script_name + path_info
 *   script_name  its first part, which httpd's configuration maps to this door
 *   path_info    its rest; may be empty
 *   query        what follows '?', not decoded; empty also if there was no '?'
 *   remote_addr  the client's address, after mod_remoteip
 *   remote_user  who the client is, where httpd has asked for that (Require)
 *   scheme       "https", or "http"
 *
 * Owner:   the request.
 * Returns: a text, never NULL, empty if httpd said nothing.
 * Threads: the request's.
 */
const char *door_app_method(const struct door_app_request *req);
const char *door_app_path(const struct door_app_request *req);
const char *door_app_script_name(const struct door_app_request *req);
const char *door_app_path_info(const struct door_app_request *req);
const char *door_app_query(const struct door_app_request *req);
const char *door_app_remote_addr(const struct door_app_request *req);
const char *door_app_remote_user(const struct door_app_request *req);
const char *door_app_scheme(const struct door_app_request *req);

/*
 * The host that the client asked for, with its port unless that is the scheme's own: the
 * Host header or, without one, httpd's own name.  It is the client's choice, and may be any
 * name unless httpd's configuration checks it.
 *
 * Owner:   the request.
 * Returns: a text, never NULL, empty if nobody said anything.
 * Threads: the request's.
 */
const char *door_app_host(struct door_app_request *req);

/*
 * Where a path of the application is for its clients: behind the path of httpd's
 * <Location> and percent-encoded, for links and for door_app_redirect().  With
 * door_app_scheme() and door_app_host() in front it is a whole URL.
 *
 * Owner:   the request.
 * Returns: a path that begins with one '/'; or NULL: EINVAL path is neither empty nor
 *          begins with a '/', or ENOMEM.
 * Threads: the request's.
 */
const char *door_app_url(struct door_app_request *req, const char *path);

/* The most header fields that a request may have, fields of a query or form, or parts of one. */
#define DOOR_APP_FIELDS_MAX 1000

/*
 * The most bytes of names and values in a request's header fields.  One that has
 * more, or more than DOOR_APP_FIELDS_MAX fields, gets a 431 and no handler; what
 * httpd takes is less unless its LimitRequestFields or LimitRequestFieldSize was
 * raised.
 */
#define DOOR_APP_HEADERS_MAX (1024 * 1024)

/*
 * The value of the first request header of that name, in any case of letters.
 *
 * Owner:   the request.
 * Returns: the value, or NULL if there is no such header.
 * Threads: the request's.
 */
const char *door_app_header(const struct door_app_request *req, const char *name);

/*
 * Steps through the request's headers in their order, repeated ones too.  Start
 * with *position 0 and call again while it returns 1.
 *
 * Owner:   *name and *value are the request's.
 * Returns: 1 and *name, *value, *position set, or 0 after the last one.
 * Threads: the request's.
 */
int door_app_header_next(const struct door_app_request *req, size_t *position, const char **name,
                         const char **value);

/*
 * Reads the request's body, piece by piece, as the client sends it: at most len
 * bytes into buf.  A client that asked first ("Expect: 100-continue") is told
 * to send when this is called.  What a handler does not read is thrown away.
 *
 * Blocks:  until something has come.
 * Returns: how many bytes, 0 at the end of the body, or -1.
 * Errors:  EFBIG it is longer than LimitRequestBody: the client gets a 413 if
 *          nothing was sent yet; ECONNRESET the client is gone; ETIMEDOUT it was
 *          too slow; ENOTSUP httpd does not offer it; ENOMEM.
 * Threads: the request's.
 */
ssize_t door_app_read(struct door_app_request *req, void *buf, size_t len);

/*
 * Reads what has come of the body, at most len bytes, and waits for nothing: with
 * door_app_wait(), one thread can send a body somewhere and its answer back at the
 * same time.
 *
 * Blocks:  until httpd, which waits for nobody meanwhile, has answered.
 * Returns: how many bytes, 0 at the end of the body, or -1.
 * Errors:  EAGAIN nothing has come; and those of door_app_read().
 * Threads: the request's.
 */
ssize_t door_app_read_now(struct door_app_request *req, void *buf, size_t len);

/* What door_app_wait() has found. */
enum {
    DOOR_APP_BODY_READY = 1, /* door_app_read_now() has bytes, the end or an error to tell */
    DOOR_APP_FD_READY = 2    /* read(2) on the descriptor would not wait */
};

/*
 * Waits until more of the body has come, or until fd can be read: a pipe or a
 * socket, or -1 for none.  httpd waits for both; what is told of the body may be wrong at
 * times: be ready for EAGAIN.  Once a read has told the end of the body, or an error, it
 * is waited for no more.  What was written before has gone to httpd, but wants a
 * door_app_flush() to go to the client.  Waiting is no sign of life for mod_door's
 * DoorTimeout: that goes on.
 *
 * Owner:   fd stays the caller's.
 * Blocks:  for up to timeout_ms milliseconds, -1: without a limit.
 * Returns: what is ready, DOOR_APP_BODY_READY, DOOR_APP_FD_READY or both in one
 *          number; 0 the time is over; or -1.
 * Errors:  EINVAL fd is neither kind, or there is nothing to wait for; EBADF; EPIPE the
 *          request is over for httpd; ENOTSUP httpd does not offer it; EMFILE, ENFILE,
 *          ENOMEM.
 * Threads: the request's.
 */
int door_app_wait(struct door_app_request *req, int fd, int timeout_ms);

/*
 * The request's whole body: *len bytes, with no NUL after them.
 *
 * Owner:   the request.
 * Blocks:  until all of it has come.
 * Returns: its first byte, never NULL if *len is 0; or NULL: EFBIG it has more
 *          than max bytes, EINVAL some of it was read with door_app_read(), and
 *          the errors of that.
 * Threads: the request's.
 */
const char *door_app_body(struct door_app_request *req, size_t max, size_t *len);

/*
 * The value of a trailer that the client sent behind the body; there is none
 * before the body has been read to its end.
 *
 * Owner:   the request.
 * Returns: the value of the first one of that name, in any case of letters, or
 *          NULL.
 * Threads: the request's.
 */
const char *door_app_trailer(const struct door_app_request *req, const char *name);

/*
 * The segment of the path that stands for "{name}" in the handler's pattern, or what
 * stands for "{name...}".
 *
 * Owner:   the request.
 * Returns: it, decoded, or NULL: there is none, or ENOMEM.
 * Threads: the request's.
 */
const char *door_app_param(const struct door_app_request *req, const char *name);

/*
 * The query's fields, decoded: the first value of a name; all, one by one, in
 * their order, repeated ones too.  Start with *position 0 and call again while
 * it returns 1.  A query that has a NUL in it, or more than DOOR_APP_FIELDS_MAX
 * fields, has none.
 *
 * Owner:   all texts are the request's.
 * Returns: the value, empty if the name stands alone, NULL if there is none; 1
 *          and *name, *value, *position set, or 0 after the last one.
 * Threads: the request's.
 */
const char *door_app_query_value(const struct door_app_request *req, const char *name);
int door_app_query_next(const struct door_app_request *req, size_t *position, const char **name,
                        const char **value);

/*
 * Reads the body of a form (application/x-www-form-urlencoded) of at most max
 * bytes; door_app_form_value() and door_app_form_next() then give its fields,
 * as those of the query.  Before it, and after it has failed, there are none.
 *
 * Owner:   all texts are the request's.
 * Blocks:  until all of it has come.
 * Returns: door_app_form_read() 0, or -1 with errno; the others as
 *          door_app_query_value() and door_app_query_next().
 * Errors:  EPROTONOSUPPORT it is sent in another way: the response is a 415;
 *          EFBIG, E2BIG it is too long or has too many fields: 413; EBADMSG it
 *          has a NUL in it: 400; ENOMEM: 503; and those of door_app_body().  The
 *          response is made already: a handler need only return.
 * Threads: the request's.
 */
int door_app_form_read(struct door_app_request *req, size_t max);
const char *door_app_form_value(const struct door_app_request *req, const char *name);
int door_app_form_next(const struct door_app_request *req, size_t *position, const char **name,
                       const char **value);

/* A part of a form. */
struct door_app_part {
    const char *name;
    const char *filename;     /* as the client says, not to be trusted; NULL: no file */
    const char *content_type; /* or NULL */
};

/*
 * Goes on to the next part of a form that may have files in it
 * (multipart/form-data); what is left of the one before is skipped.
 *
 * Owner:   the texts are the request's.
 * Blocks:  until it has come.
 * Returns: 1 and *part, 0 after the last, or -1.
 * Errors:  those of door_app_form_read(), answered likewise.
 * Threads: the request's.
 */
int door_app_part_next(struct door_app_request *req, struct door_app_part *part);

/*
 * Reads from the part, as it comes.
 *
 * Blocks:  until something has come.
 * Returns: how many bytes, at most len; 0 at the part's end, and if there is no
 *          part; or -1.
 * Errors:  those of door_app_part_next().
 * Threads: the request's.
 */
ssize_t door_app_part_read(struct door_app_request *req, void *buf, size_t len);

/*
 * The value of the first cookie of that name, without quotes.  Over HTTP/1.1, httpd joins
 * two Cookie fields by ", ".  What follows that and looks like a cookie is taken as one,
 * if there is no other of its name and the name does not begin with __Host- or __Secure-.
 *
 * Owner:   the request.
 * Returns: the value, or NULL: there is none, or ENOMEM.
 * Threads: the request's.
 */
const char *door_app_cookie(const struct door_app_request *req, const char *name);

/*
 * The text with each "%41" decoded; with each byte encoded but the unreserved
 * ones of RFC 3986.
 *
 * Owner:   the request.
 * Returns: the text, or NULL: ENOMEM; EBADMSG decoding found a NUL.
 * Threads: the request's.
 */
const char *door_app_percent_decode(struct door_app_request *req, const char *text);
const char *door_app_percent_encode(struct door_app_request *req, const char *text);

/*
 * The number that mod_unique_id gave the request.
 *
 * Owner:   the request.
 * Returns: it, or NULL if that module is not there.
 * Threads: the request's.
 */
const char *door_app_request_id(struct door_app_request *req);

/*
 * Memory that is freed when the request ends, aligned for anything.  In a build of the
 * library with AddressSanitizer, whoever reads or writes beyond its end, or later, is
 * reported.
 *
 * Returns: len bytes, or NULL with ENOMEM.
 * Threads: the request's.
 */
void *door_app_alloc(struct door_app_request *req, size_t len);

/* What door_app_client_gone() knows. */
enum {
    DOOR_APP_CLIENT_HERE = 0,
    DOOR_APP_CLIENT_MAYBE_GONE = 1, /* it has ended its side; it may still read */
    DOOR_APP_CLIENT_GONE = 2
};

/*
 * Tells a handler that only computes whether anybody waits for it.  Asks httpd
 * ten times in a second at most, so it may be called in every round of a loop.
 *
 * Blocks:  until httpd, which waits for nobody meanwhile, has answered.
 * Returns: DOOR_APP_CLIENT_HERE, which is 0, if nothing else is known;
 *          DOOR_APP_CLIENT_MAYBE_GONE, DOOR_APP_CLIENT_GONE.
 * Threads: the request's.
 */
int door_app_client_gone(struct door_app_request *req);

/*
 * Tells a handler that goes on for long, such as one that sends events, that the
 * application was told to end, by SIGTERM or because another process replaces it: it
 * should come to its end, as its client can ask the next process.
 *
 * Returns: 1 if it was told, otherwise 0.
 * Threads: the request's.
 */
int door_app_stopping(const struct door_app_request *req);

/*
 * A CGI/1.1 variable (RFC 3875) by its name: REQUEST_METHOD, QUERY_STRING,
 * REQUEST_URI, HTTP_ACCEPT ..., and what SetEnv and httpd's modules have set.
 * They are made when one is asked for.  A header becomes HTTP_* if its name has only
 * letters, digits and '-'.  Repeated ones are joined by ", ", cookies by "; ".
 * There is no HTTP_PROXY from a client, and HTTP_AUTHORIZATION only where
 * CGIPassAuth is on.
 *
 * Owner:   the request.
 * Returns: the value; or NULL with errno ENOENT if the variable is not set,
 *          ENOMEM if there was no room for them.
 * Threads: the request's.
 */
const char *door_app_cgi(struct door_app_request *req, const char *name);

/*
 * Steps through all CGI/1.1 variables, each once, in no certain order.  Start
 * with *position 0 and call again while it returns 1.
 *
 * Owner:   *name and *value are the request's.
 * Returns: 1 and *name, *value, *position set; 0 after the last one; -1 with
 *          ENOMEM.
 * Threads: the request's.
 */
int door_app_cgi_next(struct door_app_request *req, size_t *position, const char **name,
                      const char **value);

/* ---------------------------------------------------------------- the response */

/*
 * Sets the response's status; it is 200 if this is never called.  As the page for
 * an error (ErrorDocument) a response has the error's status unless one is set
 * here, be it 200.
 *
 * Errors:  EINVAL status is not in 200..599; the old one stays.  EALREADY, as
 *          with headers: the response has begun, by a flush or much writing.
 * Threads: the request's.
 */
int door_app_status(struct door_app_request *req, int status);

/*
 * Sets a response header, in place of all of that name that were set before; upper and
 * lower case are the same.  NULL as value only removes them.  door_app_header_add() adds
 * one beside them, as for Set-Cookie or Link.  httpd takes no response with more than
 * DOOR_APP_FIELDS_MAX headers, or more than DOOR_APP_HEADERS_MAX bytes of them: its client
 * gets a 502.
 *
 * Owner:   name and value are copied.
 * Errors:  EINVAL name is no token of HTTP, or value has a CR, LF or another
 *          control character in it; EALREADY; ENOMEM.  On an error nothing has
 *          changed.
 * Threads: the request's.
 */
int door_app_header_set(struct door_app_request *req, const char *name, const char *value);
int door_app_header_add(struct door_app_request *req, const char *name, const char *value);

/*
 * Sets Content-Type; short for door_app_header_set().  A response that has a
 * body but no Content-Type goes out as "text/plain; charset=utf-8".
 *
 * Owner:   type is copied.
 * Errors:  those of door_app_header_set().
 * Threads: the request's.
 */
int door_app_content_type(struct door_app_request *req, const char *type);

/*
 * Appends len bytes to the response's body.  Up to 64 KiB stay in memory until
 * the handler returns; what is more goes to the client meanwhile, with the
 * headers in front.  While httpd sends, up to 256 KiB more are taken: an error
 * may be told by a later call than the one that wrote what is lost.
 *
 * Owner:   data is copied.
 * Blocks:  while the client does not read what was sent.
 * Errors:  EPIPE the client is gone; ETIMEDOUT it was too slow; EMSGSIZE there is
 *          a Content-Length, and less room in it: what fits was taken; ENOMEM.
 *          After EPIPE, ETIMEDOUT and ENOMEM the response is lost, and all that
 *          follows fails likewise.
 * Threads: the request's.
 */
int door_app_write(struct door_app_request *req, const void *data, size_t len);

/*
 * Appends formatted text to the response's body, as printf() formats it.
 *
 * Blocks:  like door_app_write().
 * Errors:  those of door_app_write(); EILSEQ or EOVERFLOW as vsnprintf().
 * Threads: the request's.
 */
int door_app_printf(struct door_app_request *req, const char *format, ...) DOOR_APP_PRINTF(2, 3);

/*
 * Appends text to the response's body so that it is text there: with &, <, >
 * and quotes escaped, for HTML's content and quoted attributes; as a string of
 * JSON, in quotes (null if text is NULL).  It should be UTF-8.
 *
 * Blocks:  like door_app_write().
 * Errors:  those of door_app_write().
 * Threads: the request's.
 */
int door_app_write_html(struct door_app_request *req, const char *text);
int door_app_write_json(struct door_app_request *req, const char *text);

/*
 * Sends the client elsewhere.  (A Location that begins with '/', set without a
 * status, is something else: httpd serves that path in the request's place.)
 *
 * Errors:  EINVAL status is not 301, 302, 303, 307 or 308, or location is no
 *          header's value; and those of door_app_header_set().
 * Threads: the request's.
 */
int door_app_redirect(struct door_app_request *req, int status, const char *location);

/*
 * Throws away what the handler has set and written, so that it can begin anew.  What
 * hooks (door_app_before()) had set before the handler stays, and so do log fields.  In a
 * hook, it throws away what that hook has set and written.
 *
 * Errors:  EALREADY something was sent, by a flush or much writing; ECANCELED
 *          door_app_fail() was called; ENOMEM.  Nothing has changed then.
 * Threads: the request's.
 */
int door_app_reset(struct door_app_request *req);

/*
 * Begins anew (door_app_reset()) and answers with an error: with the application's
 * page for the status (door_app_error_page()), or with text as a line.
 *
 * Owner:   text is copied.
 * Errors:  EINVAL status is not in 400..599, or text is NULL; and those of
 *          door_app_reset().
 * Threads: the request's.
 */
int door_app_refuse(struct door_app_request *req, int status, const char *text);

/*
 * Adds a Set-Cookie; attributes are what follows the value: "Path=/; HttpOnly",
 * or NULL.
 *
 * Owner:   all texts are copied.
 * Errors:  EINVAL name or value has what RFC 6265 does not allow (encode it);
 *          and those of door_app_header_add().
 * Threads: the request's.
 */
int door_app_cookie_set(struct door_app_request *req, const char *name, const char *value,
                        const char *attributes);

/*
 * What content a file is, by the last extension of its name.
 *
 * Returns: a media type, "application/octet-stream" if it is not known; static.
 * Threads: any.
 */
const char *door_app_type_of(const char *file);

/*
 * Sends what there is so far, headers and body, to the client now.
 *
 * Blocks:  like door_app_write().
 * Errors:  those of door_app_write(); ENOTSUP httpd does not offer it: it goes
 *          when the handler returns.
 * Threads: the request's.
 */
int door_app_flush(struct door_app_request *req);

/*
 * Gives the response up: there is no way to complete it.  If some of it has gone, the
 * client sees that something is missing; otherwise it gets a 502.  All that follows fails
 * with ECANCELED.
 *
 * Threads: the request's.
 */
void door_app_fail(struct door_app_request *req);

/*
 * Appends what is read from a descriptor: len bytes from offset of a regular
 * file (len -1: to its end), or everything that comes from a pipe or a socket,
 * until it ends (offset 0, len -1).  httpd reads it; where it can, it uses
 * sendfile(2).  It need not be able to open the file itself.
 *
 * Owner:   fd is the runtime's from then on; on an error it stays the caller's.
 *          The file must not change until the client has got it.
 * Blocks:  like door_app_write(), if another descriptor has been appended.
 * Errors:  EBADF; EINVAL neither kind, or no such part of the file; EMSGSIZE it
 *          is longer than Content-Length; and those of door_app_write().
 * Threads: the request's.
 */
int door_app_send_fd(struct door_app_request *req, int fd, off_t offset, off_t len);

/*
 * Adds a trailer, sent behind the body to clients of HTTP/2; to others httpd
 * sends none.
 *
 * Owner:   name and value are copied.
 * Errors:  EINVAL, ENOMEM as door_app_header_set().
 * Threads: the request's.
 */
int door_app_trailer_add(struct door_app_request *req, const char *name, const char *value);

/*
 * Sends the Link headers that are set so far in a 103 (Early Hints, RFC 8297),
 * now; they stay headers of the response.  httpd takes as many of one request, and as
 * long ones, all of them together, as headers of a response.
 *
 * Blocks:  like door_app_write().
 * Errors:  EINVAL there are none, or too many; EALREADY; ENOTSUP; and those of door_app_write().
 * Threads: the request's.
 */
int door_app_early_hints(struct door_app_request *req);

/*
 * Gives the response up: what follows fails with ECANCELED.  If nothing of it has been
 * sent the client gets a 502; otherwise it sees that something is missing.
 *
 * Errors:  none but EINVAL, of a request that is over.
 * Threads: the request's.
 */
int door_app_abort(struct door_app_request *req);

/* ---------------------------------------------------------------- the log */

/*
 * Writes a line to stderr with a level of syslog(3): LOG_ERR, LOG_INFO ...  What
 * mod_door has launched finds it in httpd's error log at that level.  The
 * request's id is put in front; req may be NULL.  Keeps errno; %m works.  What
 * is beyond 4 KiB is cut off, and what of the id is beyond 256 bytes.
 *
 * Blocks:  while stderr, if it is a pipe, is full.
 * Threads: any; with a request, the request's.
 */
void door_app_log(struct door_app_request *req, int level, const char *format, ...)
    DOOR_APP_PRINTF(3, 4);

#define DOOR_APP_LOG_FIELDS_MAX 32   /* of a request */
#define DOOR_APP_LOG_NAME_MAX   64   /* bytes */
#define DOOR_APP_LOG_VALUE_MAX  1024 /* bytes */

/*
 * Gives a field to httpd's access log, where LogFormat has it as %{door-NAME}n; no
 * client gets it.  Also after the body has been written.  The last value of a name
 * counts.
 *
 * Owner:   name and value are copied.
 * Errors:  EINVAL the name is empty, has other characters than a header's or is too
 *          long, the value has control characters or is too long; ENOSPC there are
 *          as many already; ENOMEM.
 * Threads: the request's.
 */
int door_app_log_field(struct door_app_request *req, const char *name, const char *value);

/* ---------------------------------------------------------------- server threads */

/*
 * Lends the request to another thread.  The handler lends it and passes the result to the
 * other thread, which borrows the request with it, uses it, and gives it back.  The handler
 * waits for that, and must not use the request meanwhile.  A thread borrows one request at
 * a time.
 *
 * Returns: door_app_lend() what door_app_borrow() takes, or NULL; door_app_borrow() 0, or
 *          -1.
 * Errors:  EINVAL the request is not this thread's; EBUSY the thread has a request, or
 *          is a server thread.
 * Threads: the request's; the one that borrows.
 */
void *door_app_lend(struct door_app_request *req);
int door_app_borrow(void *lent);
void door_app_give_back(void);

/*
 * Which server thread runs the request: a number from 1, never used again.
 *
 * Returns: it, or 0 if another thread runs the request, or none.
 * Threads: the request's.
 */
unsigned long door_app_thread_number(const struct door_app_request *req);

/*
 * How many server threads exist that have run a request or a start hook.  The doors
 * keep a spare one that has not.
 *
 * Returns: how many.
 * Threads: any.
 */
unsigned long door_app_thread_count(void);

#ifdef __cplusplus
}
#endif

#endif
