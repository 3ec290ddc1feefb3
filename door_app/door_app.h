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
 * httpd's mod_door calls the application through a door, which has a name in the
 * file system.  Each request runs its handler on one server thread, from the first
 * line to the return.  The doors decide how many threads there are, and a thread that
 * has answered takes the next request.
 *
 * Lifecycle: create an application, add handlers, run it.  door_app_run() returns
 * when SIGTERM or SIGINT has asked it to stop and the running requests have ended.
 *
 * Requests: a handler gets a request and may use it until it returns.  The texts and
 * bytes that the request's functions return belong to the request and are freed with
 * it; copy what must live longer.  A handler frees what it has allocated itself.  A
 * short response is sent when the handler returns; if memory runs out while it is made,
 * the client gets a 500 instead of a part of it.  A response that is flushed, or long,
 * is sent while the handler runs; if it cannot be completed, the client notices that.
 * A call that uses a request after its handler's return, or on another thread, fails
 * with EINVAL and prints a line on stderr.
 *
 * Threads: handlers run on several threads at once, so data that they share needs
 * the usual care.  _Thread_local data stays from one request of a thread to the next.
 * A request belongs to the thread on which its handler was called.  Server threads, and
 * programs that a handler starts, have the signal mask with which door_app_run() was
 * called.  A C++ handler must not let an exception out.
 *
 * Fork: a child serves nothing.  It may exec or _exit; the application goes on
 * in the parent.
 *
 * Functions that return int return 0 on success, and -1 with errno on failure,
 * unless their comment says otherwise.  A function blocks only if its comment says so.
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

/* These run on a server thread; data is what was given to door_app_on_thread(). */
typedef int door_app_thread_start(void *data);
typedef int door_app_thread_check(void *data);
typedef void door_app_thread_stop(void *data);

/* Sees a request before its handler.  Returns 0 to go on, another value if it has answered. */
typedef int door_app_hook(struct door_app_request *req, void *data);

/* ---------------------------------------------------------------- application */

/*
 * Makes an application that has no handlers yet.
 *
 * Owner:   the caller; door_app_destroy() frees it.  A program that ends after
 *          door_app_run() need not free it.
 * Returns: the application, or NULL with ENOMEM.
 * Threads: any.
 */
struct door_app *door_app_create(void);

/*
 * Adds a handler for the path prefix and all paths below it: "/big" is for "/big",
 * "/big/" and "/big/x", but not for "/bigger"; "/" is for all paths.  The longest
 * matching prefix wins.  A path without a match gets a 404.  The prefix is compared with
 * the decoded path below httpd's <Location> (door_app_path_info()), or with "/" if that
 * is empty.
 *
 * Owner:   prefix is copied; data stays the caller's and must live as long as
 *          app.
 * Errors:  EINVAL prefix does not begin with '/', or handler is NULL; EEXIST prefix
 *          has a handler already; ENOMEM, also if app is NULL.  door_app_run() refuses
 *          an application after such an error, and says which one it was; so a program
 *          need not check this function or door_app_create().
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_handle(struct door_app *app, const char *prefix, door_app_handler *handler,
                    void *data);

/*
 * Adds a handler for requests with that method whose path matches a pattern:
 * "/entries", "/entries/{id}", "/files/{name...}".  The path is the one below httpd's
 * <Location>.  A handler for GET also answers HEAD.  A segment in braces matches any
 * segment that is not empty.  With "...", which must be at the pattern's end, it matches
 * the whole rest of the path, with its slashes, even if the rest is empty.
 * door_app_param() returns what was matched.  If several patterns match, the one that was
 * added first wins; patterns come before prefixes.  If patterns match the path but none
 * of them the method, the client gets a 405 with the methods in Allow.
 *
 * "/notes" and "/notes/" are two paths.  If only one of them has a pattern with the method,
 * and the other has neither a pattern nor a prefix, a client that asks for the other is
 * redirected to the first with 308, which keeps method and body.
 *
 * Owner:   method and pattern are copied; data as with door_app_handle().
 * Errors:  EINVAL method or pattern is not valid, or handler is NULL; EEXIST they have a
 *          handler already; ENOMEM.  door_app_run() refuses the application then.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_route(struct door_app *app, const char *method, const char *pattern,
                   door_app_handler *handler, void *data);

/*
 * Adds a hook that sees each request before its handler, to ask who the client is, to
 * write a log, or to set headers that all responses have.  Hooks run in the order in
 * which they were added, also for paths without a handler.  If a hook does not return 0,
 * it has answered the request, and neither other hooks nor the handler run.
 *
 * Owner:   data stays the caller's and must live as long as app.
 * Errors:  EINVAL hook is NULL; ENOMEM, also if app is NULL.  door_app_run() refuses
 *          the application then, as with door_app_handle().
 * Threads: one at a time, and none once door_app_run() was called; hooks run on the
 *          request's thread.
 */
int door_app_before(struct door_app *app, door_app_hook *hook, void *data);

/*
 * Sets the handler that makes the page for an error: when door_app_refuse() answers with
 * that status, and when the runtime itself refuses a request.  The runtime uses 404 and 405
 * (no handler for the path or the method), 413, 415, 400 and 503 (a form that cannot be
 * read), 431 (too many header fields), and 500 (the response could not be made, and the
 * log says why).  The status is already set when handler is called.  If handler itself
 * refuses the request, the client gets a line of text and no other page.
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
 * and ETag.  The prefix is one as for door_app_handle().  httpd handles conditional requests
 * and ranges.  A path that ends in "/" means "index.html" in that directory; a directory's
 * path without the "/" is redirected to the one with it.  Files and directories whose names
 * begin with a dot, and symbolic links, get a 404.  Only regular files inside the directory
 * that the application may read are served.
 *
 * The directory is opened now, so it is not noticed if its name later leads to another
 * directory, as with links to releases.  To change a file, replace it (rename(2)) and do
 * not write into it.
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
    DOOR_APP_ACCESS_CHECKER /* may anybody do this, whoever the client is? */
};

/*
 * Adds a handler for httpd's question whether a request may pass (DoorAuthenticator and
 * the like).  The handler sees that request without its body; door_app_path() is the whole
 * path.  Only door_app_status() with 200 lets the request pass; a handler that does not call
 * it refuses the request.  A header "Variable-NAME" sets the variable NAME of the request.
 * The body of the response is ignored.  A status of 500 or more means that there is no
 * answer, and the client gets a 503.
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
 * start returns 0, or -1 with errno.  If it fails, stop does not run, and the thread takes
 * no requests, but other threads do.  start is tried again after a pause that grows to a
 * second.  While no thread could start, one of them answers requests with 503 and
 * Retry-After.  A line on stderr tells when that begins and when it ends; see
 * door_app_thread_failed().  A thread ends if it could not start for as long as an idle
 * thread may stay (door_app_set_threads()).
 *
 * stop does not run on threads that still exist when the process exits or when app is
 * destroyed.  Where the doors cannot tell when a thread begins (illumos), start runs with
 * the thread's first request; while it fails, requests on that thread get 503.
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
 * Sets a check for server threads: whether what start has set up is still good.  The check
 * runs before each request, and now and then while there is none.  It must not take long,
 * as a request may wait.  It returns 0, or -1: then stop and start run, as for a new
 * thread, and another thread takes the request.  So a thread that has lost its connection
 * notices that before it takes a request that it could not serve.
 *
 * The check gets the data that was given to door_app_on_thread().
 *
 * Errors:  ENOMEM app is NULL.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_check_threads(struct door_app *app, door_app_thread_check *check);

/*
 * Says, in a start hook that fails, why: one line for the log.  Without a call of this,
 * the log has the text of errno.
 *
 * Returns: -1 with EAGAIN, for the hook to return.
 * Threads: the hook's.
 */
int door_app_thread_failed(const char *format, ...) DOOR_APP_PRINTF(1, 2);

/*
 * Says, in a handler, that what the thread's start hook has set up is lost.  The handler
 * still answers its request.  After that, stop runs on this thread, and then start, as for
 * a new thread.
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
 * A handler keeps its thread.  So at most max handlers run at a time, even if their callers
 * have given up, and at most max threads hold connections and the like.  Further requests
 * wait in httpd.  A program that httpd starts gets its maximum in the environment variable
 * DOOR_APP_THREADS (from DoorMaxConcurrent, or threads= of DoorApp) instead of the 256.  If
 * the program sets max, too, the lower of the two applies.  A thread costs some 60 KiB of
 * memory, and what its handlers keep.  If handlers call a door of their own process that
 * the same threads serve, and all threads do so at once, they wait for each other for ever:
 * such a door must be DOOR_PRIVATE, with threads of its own.
 *
 * Where the doors know no maximum (illumos), this call has no effect.  There,
 * DoorMaxConcurrent makes requests wait in the application, each on a thread.
 *
 * Errors:  ENOMEM app is NULL.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_set_threads(struct door_app *app, unsigned max, unsigned idle_ms);

/*
 * Says that handlers compute one at a time, as in a language whose interpreter has one
 * lock.  Then no further thread is started while a thread waits for that lock, which
 * door_app_wait_turn() reports.  On illumos the system decides how many threads there are,
 * and this call has no effect.
 *
 * Errors:  ENOMEM app is NULL.
 * Threads: one at a time, and none once door_app_run() was called.
 */
int door_app_take_turns(struct door_app *app);

/*
 * Reports that a handler's thread waits for its turn to compute, or has it: 1 or 0.  Locks
 * for which the thread waits in between are remembered as the interpreter's, so that the
 * interpreter may later release and take them again without a call of this.
 *
 * Threads: any; calls on threads that serve no request have no effect.
 */
void door_app_wait_turn(int is_waiting);

/*
 * Serves requests at the door called path, or at the one that the environment
 * variable DOOR_PATH names if path is NULL.  A missing file is made with mode
 * 0660 less the umask; an existing file keeps its mode and owner.  Whoever may read
 * the file may call the application.
 *
 * mod_door's DoorApp, which sets DOOR_PATH, also sets DOOR_READY_FD to the number of a
 * descriptor.  When the door has the name that DOOR_PATH contains, a line end is written
 * to that descriptor.
 *
 * On SIGTERM or SIGINT (unless SIGINT is ignored) the door gives up its name, new
 * requests are refused, and running ones are waited for.  A second signal, a second or
 * more later, ends the wait.  While door_app_run() runs, the program's own handlers of
 * these two signals do not run.  Programs that a handler starts, and children that it
 * forks, have the signals' earlier dispositions.
 *
 * stdout is line-buffered, also if it is not a terminal, so that a crash loses no
 * lines.
 *
 * The soft RLIMIT_NOFILE is raised to the hard one, because each httpd process takes a
 * few descriptors.  So descriptors of the program may have numbers that are too high for
 * select(2); use poll(2).
 *
 * Blocks:  until it is told to stop.
 * Returns: an exit status: 0 after an orderly end; 1 after a failure, which is
 *          described on stderr, or if running requests were given up.
 * Threads: one, usually the main thread.  The server threads begin with its signal mask.
 */
int door_app_run(struct door_app *app, const char *path);

/*
 * Has door_app_run() stop as SIGTERM does, also if it has not begun yet.  For programs that
 * handle that signal themselves, or end for a reason of their own.
 *
 * Threads: any; a signal handler may call it.
 */
void door_app_stop(void);

/*
 * Asks mod_door, which has launched the process (DoorApp), for another one in its place,
 * as when files of the application have changed.  The new process starts first.  This one
 * goes on until SIGTERM tells it to stop, and no request is lost.  Asking again has no
 * effect.  If it asks within a second of its start, it is replaced after that second.
 *
 * Errors:  ENOTSUP mod_door has not launched the process, or it does not serve yet; EPIPE
 *          mod_door's supervisor has gone.
 * Threads: any.
 */
int door_app_ask_replacement(void);

/*
 * Frees an application that does not run (any more).  Does nothing if app is
 * NULL, or if door_app_run() has given up requests that still use it.
 *
 * Threads: any, as the last user of app.
 */
void door_app_destroy(struct door_app *app);

/* ---------------------------------------------------------------- the request */

/*
 * Parts of the request, as httpd understood it.
 *
 *   method       such as "GET"; for HEAD, httpd drops the body, so a handler can
 *                answer it like GET
 *   path         the whole decoded, normalised path: script_name + path_info
 *   script_name  its first part, which httpd's configuration maps to this door
 *   path_info    the rest of the path; may be empty
 *   query        what follows '?', not decoded; also empty if there was no '?'
 *   remote_addr  the client's address, after mod_remoteip
 *   remote_user  the user's name, if httpd has authenticated the client (Require)
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
 * Host header or, without one, httpd's own name.  The client chooses it, so it may be any
 * name unless httpd's configuration checks it.
 *
 * Owner:   the request.
 * Returns: a text, never NULL; empty if neither is known.
 * Threads: the request's.
 */
const char *door_app_host(struct door_app_request *req);

/*
 * Where a path of the application is for its clients: behind the path of httpd's
 * <Location> and percent-encoded, for links and for door_app_redirect().  Put
 * door_app_scheme() and door_app_host() in front to make a whole URL.
 *
 * Owner:   the request.
 * Returns: a path that begins with exactly one '/'; or NULL with EINVAL if path neither is
 *          empty nor begins with '/', or with ENOMEM.
 * Threads: the request's.
 */
const char *door_app_url(struct door_app_request *req, const char *path);

/* The most header fields that a request may have, fields of a query or form, or parts of one. */
#define DOOR_APP_FIELDS_MAX 1000

/*
 * The most bytes of names and values in a request's header fields.  A request with more
 * bytes, or more than DOOR_APP_FIELDS_MAX fields, gets a 431 and no handler.  httpd's own
 * limits are lower unless LimitRequestFields or LimitRequestFieldSize was raised.
 */
#define DOOR_APP_HEADERS_MAX (1024 * 1024)

/*
 * The value of the first request header of that name, whose case does not matter.
 *
 * Owner:   the request.
 * Returns: the value, or NULL if there is no such header.
 * Threads: the request's.
 */
const char *door_app_header(const struct door_app_request *req, const char *name);

/*
 * Steps through the request's headers in their order, also repeated ones.  Start
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
 * bytes into buf.  A client that waits for permission ("Expect: 100-continue")
 * gets it when this is called.  What a handler does not read is thrown away.
 *
 * Blocks:  until something has come.
 * Returns: the number of bytes, 0 at the end of the body, or -1.
 * Errors:  EFBIG the body is longer than LimitRequestBody: the client gets a 413 if
 *          nothing was sent yet; ECONNRESET the client is gone; ETIMEDOUT the client was
 *          too slow; ENOTSUP the caller does not offer it; ENOMEM.
 * Threads: the request's.
 */
ssize_t door_app_read(struct door_app_request *req, void *buf, size_t len);

/*
 * Reads what has come of the body, at most len bytes, and waits for nothing: with
 * door_app_wait(), one thread can send a body somewhere and its answer back at the
 * same time.
 *
 * Blocks:  until httpd has answered, which does not wait for the client; and while the client
 *          does not read what was written or flushed before.
 * Returns: the number of bytes, 0 at the end of the body, or -1.
 * Errors:  EAGAIN nothing has come; and those of door_app_read().
 * Threads: the request's.
 */
ssize_t door_app_read_now(struct door_app_request *req, void *buf, size_t len);

/* What door_app_wait() has found. */
enum {
    DOOR_APP_BODY_READY = 1, /* door_app_read_now() would return bytes, the end or an error */
    DOOR_APP_FD_READY = 2    /* read(2) on the descriptor would not block */
};

/*
 * Waits until more of the body has come, or until fd can be read: a pipe or a
 * socket, or -1 for none.  httpd waits for both.  DOOR_APP_BODY_READY may sometimes be
 * wrong, so be ready for EAGAIN.  Once a read has returned the end of the body, or an
 * error, the body is not waited for any more.  What was written before has gone to httpd,
 * but only door_app_flush() sends it to the client.  Waiting does not extend DoorTimeout,
 * unless a part of the body has come.
 *
 * Owner:   fd stays the caller's.
 * Blocks:  for up to timeout_ms milliseconds; -1: without a limit.  Before that, while the
 *          client does not read what was written or flushed.
 * Returns: what is ready: DOOR_APP_BODY_READY, DOOR_APP_FD_READY or both, combined
 *          with |; 0 if the time is over; or -1.
 * Errors:  EINVAL fd is neither a pipe nor a socket, or there is nothing to wait for;
 *          EBADF; EPIPE the request is over for httpd; ENOTSUP the caller does not offer
 *          it; EMFILE, ENFILE, ENOMEM.
 * Threads: the request's.
 */
int door_app_wait(struct door_app_request *req, int fd, int timeout_ms);

/*
 * The request's whole body: *len bytes, with no NUL after them.
 *
 * Owner:   the request.
 * Blocks:  until all of the body has come.
 * Returns: its first byte, not NULL even if *len is 0; or NULL with EFBIG if it has more
 *          than max bytes, EINVAL if some of it was read with door_app_read(), or
 *          an error of door_app_read().  Once a part of it has been read, later calls
 *          that read fail in the same way.
 * Threads: the request's.
 */
const char *door_app_body(struct door_app_request *req, size_t max, size_t *len);

/*
 * The value of a trailer that the client sent behind the body; there is none
 * before the body has been read to its end.
 *
 * Owner:   the request.
 * Returns: the value of the first trailer of that name, whose case does not matter, or
 *          NULL.
 * Threads: the request's.
 */
const char *door_app_trailer(const struct door_app_request *req, const char *name);

/*
 * The segment of the path that "{name}" in the handler's pattern has matched, or the rest
 * that "{name...}" has matched.
 *
 * Owner:   the request.
 * Returns: the decoded text, or NULL if there is none, or with ENOMEM.
 * Threads: the request's.
 */
const char *door_app_param(const struct door_app_request *req, const char *name);

/*
 * The query's fields, decoded: the first value of a name; all, one by one, in
 * their order, also repeated ones.  Start with *position 0 and call again while
 * it returns 1.  A query that contains a NUL, or more than DOOR_APP_FIELDS_MAX
 * fields, counts as empty.
 *
 * Owner:   all texts are the request's.
 * Returns: door_app_query_value() the value, empty if the name has none, NULL if there
 *          is no such name; door_app_query_next() 1 and *name, *value, *position set, or
 *          0 after the last one.
 * Threads: the request's.
 */
const char *door_app_query_value(const struct door_app_request *req, const char *name);
int door_app_query_next(const struct door_app_request *req, size_t *position, const char **name,
                        const char **value);

/*
 * Reads the body of a form (application/x-www-form-urlencoded) of at most max
 * bytes; door_app_form_value() and door_app_form_next() then return its fields,
 * like those of the query.  Before this call, and if it fails, there are none.
 *
 * Owner:   all texts are the request's.
 * Blocks:  until all of the body has come.
 * Returns: door_app_form_read() 0, or -1 with errno; the others as
 *          door_app_query_value() and door_app_query_next().
 * Errors:  EPROTONOSUPPORT the body has another type: the response is a 415;
 *          EFBIG, E2BIG it is too long or has too many fields: 413; EBADMSG it
 *          contains a NUL: 400; ENOMEM: 503; and those of door_app_body().  After an
 *          error the response is already made, and the handler need only return.
 * Threads: the request's.
 */
int door_app_form_read(struct door_app_request *req, size_t max);
const char *door_app_form_value(const struct door_app_request *req, const char *name);
int door_app_form_next(const struct door_app_request *req, size_t *position, const char **name,
                       const char **value);

/* A part of a form. */
struct door_app_part {
    const char *name;
    const char *filename;     /* chosen by the client, so do not trust it; NULL: no file */
    const char *content_type; /* or NULL */
};

/*
 * Goes on to the next part of a form that may have files in it
 * (multipart/form-data); the unread rest of the last part is skipped.
 *
 * Owner:   the texts are the request's.
 * Blocks:  until the part's beginning has come.
 * Returns: 1 and *part, 0 after the last part, or -1.
 * Errors:  those of door_app_form_read(), which also make the response.
 * Threads: the request's.
 */
int door_app_part_next(struct door_app_request *req, struct door_app_part *part);

/*
 * Reads from the part, as it comes.
 *
 * Blocks:  until something has come.
 * Returns: the number of bytes, at most len; 0 at the part's end, or if there is no
 *          part; or -1.
 * Errors:  those of door_app_part_next().
 * Threads: the request's.
 */
ssize_t door_app_part_read(struct door_app_request *req, void *buf, size_t len);

/*
 * The value of the first cookie of that name, without quotes.  Over HTTP/1.1, httpd joins
 * two Cookie fields by ", ".  So what follows ", " and looks like a cookie counts as one if
 * there is no other cookie of that name and the name does not begin with __Host- or
 * __Secure-.
 *
 * Owner:   the request.
 * Returns: the value, or NULL if there is none, or with ENOMEM.
 * Threads: the request's.
 */
const char *door_app_cookie(const struct door_app_request *req, const char *name);

/*
 * The text with each "%41" decoded; with each byte encoded but the unreserved
 * ones of RFC 3986.
 *
 * Owner:   the request.
 * Returns: the text, or NULL with ENOMEM, or with EBADMSG if the decoded text would
 *          contain a NUL.
 * Threads: the request's.
 */
const char *door_app_percent_decode(struct door_app_request *req, const char *text);
const char *door_app_percent_encode(struct door_app_request *req, const char *text);

/*
 * The number that mod_unique_id gave the request.
 *
 * Owner:   the request.
 * Returns: the number as a text, or NULL if httpd does not have that module.
 * Threads: the request's.
 */
const char *door_app_request_id(struct door_app_request *req);

/*
 * Memory that is freed when the request ends, aligned for any type.  A build of the library
 * with AddressSanitizer reports accesses beyond its end, and after the request.
 *
 * Returns: len bytes, or NULL with ENOMEM.
 * Threads: the request's.
 */
void *door_app_alloc(struct door_app_request *req, size_t len);

/* What door_app_client_gone() knows. */
enum {
    DOOR_APP_CLIENT_HERE = 0,
    DOOR_APP_CLIENT_MAYBE_GONE = 1, /* it has closed its sending side, but may still read */
    DOOR_APP_CLIENT_GONE = 2
};

/*
 * Tells a handler that only computes whether its client still waits.  It asks httpd at
 * most ten times a second, so it may be called in every round of a loop.  For a question
 * (door_app_guard()) it only tells whether DoorTimeout is over.
 *
 * Blocks:  until httpd has answered, which does not wait for the client.  If httpd does not
 *          take the question for 250 ms, nothing is known.  Before that, while the client
 *          does not read what was written or flushed.
 * Returns: DOOR_APP_CLIENT_GONE, DOOR_APP_CLIENT_MAYBE_GONE, or DOOR_APP_CLIENT_HERE,
 *          which is 0, if nothing else is known.
 * Threads: the request's.
 */
int door_app_client_gone(struct door_app_request *req);

/*
 * Tells a handler that runs for long, such as one that sends events, that the
 * application was told to end, by SIGTERM or because another process replaces it.  The
 * handler should return soon; its client can ask the next process.
 *
 * Returns: 1 if the application was told to end, otherwise 0.
 * Threads: the request's.
 */
int door_app_stopping(const struct door_app_request *req);

/*
 * A CGI/1.1 variable (RFC 3875) by its name: REQUEST_METHOD, QUERY_STRING,
 * REQUEST_URI, HTTP_ACCEPT ..., and what SetEnv and httpd's modules have set.
 * The variables are made when one is first asked for.  A header becomes HTTP_* if its
 * name has only letters, digits and '-'.  Repeated headers are joined by ", ", cookies
 * by "; ".  A client's header Proxy never becomes HTTP_PROXY, and HTTP_AUTHORIZATION is
 * set only where CGIPassAuth is on.
 *
 * Owner:   the request.
 * Returns: the value; or NULL with errno ENOENT if the variable is not set, or
 *          ENOMEM if there was no memory for the variables.
 * Threads: the request's.
 */
const char *door_app_cgi(struct door_app_request *req, const char *name);

/*
 * Steps through all CGI/1.1 variables, each once, in no particular order.  Start
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
 * Sets the response's status; it is 200 if this is never called.  When the response is
 * the page for an error (ErrorDocument), it keeps the error's status unless a status is
 * set here, even if that is 200.
 *
 * Errors:  EINVAL status is not in 200..599, and the old one stays; EALREADY a part of
 *          the response was already sent, by a flush or because it is long.
 * Threads: the request's.
 */
int door_app_status(struct door_app_request *req, int status);

/*
 * Sets a response header, in place of all of that name that were set before; upper and
 * lower case are the same.  A value of NULL only removes them.  door_app_header_add() adds
 * another header of the same name, as for Set-Cookie or Link.  httpd accepts no response
 * with more than DOOR_APP_FIELDS_MAX headers, or more than DOOR_APP_HEADERS_MAX bytes of
 * them: its client gets a 502.
 *
 * Owner:   name and value are copied.
 * Errors:  EINVAL name is no token of HTTP, or value contains a control character such
 *          as CR or LF; EALREADY as door_app_status(); ENOMEM.  After an error nothing
 *          has changed.
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
 * the handler returns.  A longer body is sent while the handler runs, with the headers
 * in front.  While httpd sends, up to 256 KiB more are accepted, so an error may be
 * returned by a later call than the one whose bytes were lost.
 *
 * Owner:   data is copied.
 * Blocks:  while the client does not read what was sent.
 * Errors:  EPIPE the client is gone; ETIMEDOUT the client was too slow; EMSGSIZE the
 *          body exceeds its Content-Length, and only what fits was taken; ENOMEM.
 *          After EPIPE, ETIMEDOUT and ENOMEM the response is lost, and all later calls
 *          fail in the same way.
 * Threads: the request's.
 */
int door_app_write(struct door_app_request *req, const void *data, size_t len);

/*
 * Appends formatted text to the response's body, as printf() formats it.
 *
 * Blocks:  like door_app_write().
 * Errors:  those of door_app_write(); EILSEQ or EOVERFLOW as vsnprintf(), and the response
 *          is lost then, too.
 * Threads: the request's.
 */
int door_app_printf(struct door_app_request *req, const char *format, ...) DOOR_APP_PRINTF(2, 3);

/*
 * Room for the next bytes of the response's body, where they are sent from.  What a handler
 * makes or reads there is not copied any more:
 *
 *     char *at = door_app_reserve(req, 4096, &room);
 *     ssize_t len = at != NULL ? read(fd, at, room) : -1;
 *
 *     if (len > 0)
 *         door_app_commit(req, (size_t)len);
 *
 * door_app_reserve() finds room for wanted bytes or more; *room is set to how many there are,
 * unless room is NULL.  door_app_commit() appends the first len of them to the body.
 *
 * Owner:   the runtime, which shares the memory with httpd.  It is the handler's to write to
 *          until door_app_commit(), the next door_app_reserve(), or another call that writes,
 *          sends or resets the response.  What was not committed is not sent.  httpd
 *          can see and change what is there, so do not keep secrets in it, and do not read
 *          from it what has to be right.
 * Blocks:  like door_app_write().
 * Returns: door_app_reserve(): where the bytes go, or NULL and errno.  door_app_commit(): 0, or
 *          -1 and errno.
 * Errors:  EINVAL wanted is 0 or more than DOOR_APP_RESERVE_MAX, or len is more than *room,
 *          or the room is gone; and those of door_app_write().
 * Threads: the request's.
 */
#define DOOR_APP_RESERVE_MAX 65536
void *door_app_reserve(struct door_app_request *req, size_t wanted, size_t *room);
int door_app_commit(struct door_app_request *req, size_t len);

/*
 * Appends text to the response's body so that it is text there: with &, <, >
 * and quotes escaped, for HTML content and quoted attributes; or as a JSON string
 * in quotes (null if text is NULL).  The text should be UTF-8.
 *
 * Blocks:  like door_app_write().
 * Errors:  those of door_app_write().
 * Threads: the request's.
 */
int door_app_write_html(struct door_app_request *req, const char *text);
int door_app_write_json(struct door_app_request *req, const char *text);

/*
 * Redirects the client to location.  (A header Location that begins with '/' and is set
 * without a status is something else: httpd serves that path instead.)
 *
 * Errors:  EINVAL status is not 301, 302, 303, 307 or 308, or location is NULL; and
 *          those of door_app_header_set().
 * Threads: the request's.
 */
int door_app_redirect(struct door_app_request *req, int status, const char *location);

/*
 * Throws away what the handler has set and written, so that it can begin again.  What
 * hooks (door_app_before()) have set before the handler stays, and so do log fields.  In a
 * hook, this throws away what that hook has set and written.
 *
 * Errors:  EALREADY as door_app_status(); ECANCELED door_app_fail() was called; ENOMEM.
 *          Nothing has changed then.
 * Threads: the request's.
 */
int door_app_reset(struct door_app_request *req);

/*
 * Begins again (door_app_reset()) and answers with an error: with the application's
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
 * Errors:  EINVAL name or value contains characters that RFC 6265 does not allow (encode
 *          them); and those of door_app_header_add().
 * Threads: the request's.
 */
int door_app_cookie_set(struct door_app_request *req, const char *name, const char *value,
                        const char *attributes);

/*
 * The media type of a file, by the last extension of its name.
 *
 * Returns: a media type, "application/octet-stream" if it is not known; static.
 * Threads: any.
 */
const char *door_app_type_of(const char *file);

/*
 * Sends what there is so far, headers and body, to the client now.  A request's first flush
 * returns when httpd has sent it.  A later one of up to 8 KiB returns at once, while httpd
 * sends; an error is then returned by the next call that writes or flushes.
 *
 * Blocks:  like door_app_write(), and while an earlier flush is being sent.
 * Errors:  those of door_app_write(); ENOTSUP the caller does not offer it: all is sent
 *          when the handler returns.
 * Threads: the request's.
 */
int door_app_flush(struct door_app_request *req);

/*
 * Gives the response up: there is no way to complete it.  If a part of it was sent, the
 * client notices that something is missing; otherwise it gets a 502.  All later calls that
 * write fail with ECANCELED.  While nothing was sent, door_app_refuse() tells the client more.
 *
 * Errors:  EINVAL the request is over, or another thread's.
 * Threads: the request's.
 */
int door_app_fail(struct door_app_request *req);

/*
 * Appends what is read from a descriptor: len bytes from offset of a regular
 * file (len -1: to its end), or everything that comes from a pipe or a socket,
 * until it ends (offset 0, len -1).  httpd reads the descriptor, with sendfile(2) where
 * possible.  httpd need not have the permission to open the file.
 *
 * Owner:   the runtime takes fd over; after an error it stays the caller's.
 *          The file must not change until the client has got it.
 * Blocks:  like door_app_write(), if another descriptor was appended before.
 * Errors:  EBADF; EINVAL fd is no regular file, pipe or socket, or the file has no such
 *          part; EMSGSIZE the body would exceed its Content-Length; and those of
 *          door_app_write().
 * Threads: the request's.
 */
int door_app_send_fd(struct door_app_request *req, int fd, off_t offset, off_t len);

/*
 * Adds a trailer, sent behind the body to clients of HTTP/2; httpd sends no trailers
 * to others.
 *
 * Owner:   name and value are copied.
 * Errors:  EINVAL, ENOMEM as door_app_header_set().
 * Threads: the request's.
 */
int door_app_trailer_add(struct door_app_request *req, const char *name, const char *value);

/*
 * Sends the Link headers that are set so far in a 103 (Early Hints, RFC 8297),
 * now; they stay headers of the response.  All that a request sends in this way together
 * has the limits of a response's headers.
 *
 * Blocks:  like door_app_write().
 * Errors:  EINVAL there are no Link headers, or too many; EALREADY as door_app_status();
 *          ENOTSUP as door_app_flush(); and those of door_app_write().
 * Threads: the request's.
 */
int door_app_early_hints(struct door_app_request *req);

/* ---------------------------------------------------------------- the log */

/*
 * Writes a line to stderr with a level of syslog(3): LOG_ERR, LOG_INFO ...  If mod_door
 * has launched the program, the line appears in httpd's error log at that level.  The
 * line begins with the request's id; req may be NULL.  Keeps errno; %m works.  A line
 * longer than 4 KiB is cut off, and so is an id longer than 256 bytes.
 *
 * Blocks:  while stderr, if it is a pipe, is full.
 * Threads: any; with a request, the request's.
 */
void door_app_log(struct door_app_request *req, int level, const char *format, ...)
    DOOR_APP_PRINTF(3, 4);

#define DOOR_APP_LOG_FIELDS_MAX 32   /* fields of one request */
#define DOOR_APP_LOG_NAME_MAX   64   /* bytes */
#define DOOR_APP_LOG_VALUE_MAX  1024 /* bytes */

/*
 * Gives a field to httpd's access log, where LogFormat has it as %{door-NAME}n.  It is not
 * sent to the client.  It can be set even after the body was sent.  If a name is set again,
 * the last value counts.
 *
 * Owner:   name and value are copied.
 * Errors:  EINVAL the name is empty, too long, or no valid header name, or the value is too
 *          long or contains control characters; ENOSPC there are DOOR_APP_LOG_FIELDS_MAX
 *          others; ENOMEM.
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
 * Returns: door_app_lend() a pointer for door_app_borrow(), or NULL; door_app_borrow() 0,
 *          or -1.
 * Errors:  EINVAL the request is not this thread's; EBUSY the borrowing thread has a
 *          request already, or is a server thread.
 * Threads: door_app_lend() the request's; the others the thread that borrows.
 */
void *door_app_lend(struct door_app_request *req);
int door_app_borrow(void *lent);
void door_app_give_back(void);

/*
 * Which server thread runs the request: a number from 1, never used again.
 *
 * Returns: the number, or 0 if the calling thread does not run the request.
 * Threads: the request's.
 */
unsigned long door_app_thread_number(const struct door_app_request *req);

/*
 * How many server threads exist that have run a request or a start hook.  The doors may
 * have another one that waits in reserve.
 *
 * Returns: the number.
 * Threads: any.
 */
unsigned long door_app_thread_count(void);

#ifdef __cplusplus
}
#endif

#endif
