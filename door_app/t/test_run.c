/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_run.c: whole applications behind real doors, from door_app_run() to
 * their exit status.  Each is a process of its own, this program run with the
 * argument "serve": the test is its caller and has threads by then, after which
 * a mere fork() would not do.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "support.h"

#define DEADLINE_MS 15000

static char directory[] = "/tmp/door_app.XXXXXX";
static char path[64];   /* of the door */
static char inside[80]; /* of a file: a handler runs */
static const char *program;

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/door", directory);
    snprintf(inside, sizeof(inside), "%s.inside", path);
    umask(022);
}

static void teardown(void)
{
    unlink(path);
    unlink(inside);
    rmdir(directory);
}

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        continue;
}

/* ---------------------------------------------------------------- the application */

static void say_hello(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_header_set(req, "X-Path", door_app_path(req));
    door_app_printf(req, "hello");
}

static void echo(struct door_app_request *req, void *data)
{
    size_t len;
    const char *body = door_app_body(req, SIZE_MAX, &len);

    (void)data;
    door_app_write(req, body, len);
}

static void tell_inside(void)
{
    close(creat(inside, 0600));
}

static void dawdle(struct door_app_request *req, void *data)
{
    (void)data;
    tell_inside();
    sleep_ms(atol(door_app_query(req)));
    door_app_printf(req, "at last");
}

static void grow(struct door_app_request *req, void *data)
{
    (void)data;
    for (int i = 0; i < 300000; i++)
        door_app_write(req, "0123456789", 10);
}

static void end_thread(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "never sent");
    pthread_exit(NULL);
}

static void name_thread(struct door_app_request *req, void *data)
{
    (void)data;
    sleep_ms(100);
    door_app_printf(req, "%lu", door_app_thread_count());
}

/* Which signals a process blocks and ignores, of a /proc/PID/status; without libc's own, 32 on. */
static void print_signals(FILE *status, char *text, size_t size)
{
    char line[256];
    unsigned long long set;

    text[0] = '\0';
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (sscanf(line, "SigBlk: %llx", &set) == 1 || sscanf(line, "SigIgn: %llx", &set) == 1)
            snprintf(text + strlen(text), size - strlen(text), "%.6s %llx ", line,
                     set & 0x7fffffff);
}

/* What a program has that this thread starts. */
static void start_program(struct door_app_request *req, void *data)
{
    FILE *status = popen("exec cat /proc/self/status", "r");
    char text[256];

    (void)data;
    print_signals(status, text, sizeof(text));
    door_app_printf(req, "%s", text);
    if (status != NULL)
        pclose(status);
}

/* A child that is told to end does so; the application does not. */
static void end_child(struct door_app_request *req, void *data)
{
    pid_t child = fork();
    int status = 0;

    (void)data;
    while (child == 0)
        pause();
    kill(child, SIGTERM);
    for (int waited_ms = 0; waitpid(child, &status, WNOHANG) == 0; waited_ms += 5) {
        if (waited_ms > DEADLINE_MS / 2)
            kill(child, SIGKILL);
        sleep_ms(5);
    }
    door_app_printf(req, "%d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

/* Until the application is to end, and no longer than a test may take. */
static void follow(struct door_app_request *req, void *data)
{
    (void)data;
    tell_inside();
    for (int waited_ms = 0; !door_app_stopping(req) && waited_ms < DEADLINE_MS; waited_ms += 5)
        sleep_ms(5);
    door_app_printf(req, "%s", door_app_stopping(req) ? "told" : "not told");
}

static void crash(struct door_app_request *req, void *data)
{
    (void)req;
    (void)data;
    printf("the last words\n");
    kill(getpid(), SIGKILL);
}

static void quit(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_stop();
    sleep_ms(200);
    door_app_printf(req, "bye");
}

static void ignore(int signo)
{
    (void)signo;
}

/* As a profiler does. */
static void have_signals(void)
{
    const struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    const struct itimerval often = {{.tv_usec = 100}, {.tv_usec = 100}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static int run_app(const char *door_path)
{
    struct door_app *app = door_app_create();
    int status;

    if (getenv("SIGNALS") != NULL)
        have_signals();

    door_app_handle(app, "/echo", echo, NULL);
    door_app_handle(app, "/dawdle", dawdle, NULL);
    door_app_handle(app, "/grow", grow, NULL);
    door_app_handle(app, "/end", end_thread, NULL);
    door_app_handle(app, "/follow", follow, NULL);
    door_app_handle(app, "/crash", crash, NULL);
    door_app_handle(app, "/threads", name_thread, NULL);
    door_app_handle(app, "/program", start_program, NULL);
    door_app_handle(app, "/child", end_child, NULL);
    door_app_handle(app, "/quit", quit, NULL);
    if (getenv("STOP_FIRST") != NULL)
        door_app_stop();
    door_app_handle(app, "/", say_hello, NULL);
    status = door_app_run(app, door_path);
    door_app_destroy(app);
    return status;
}

static int open_door(void)
{
    return door_openat(AT_FDCWD, path, 0);
}

/* Is the door at path that process's?  A dead server's name may still open. */
static int is_served_by(pid_t pid)
{
    struct door_info info;
    int fd = open_door();
    int is;

    if (fd == -1)
        return 0;
    is = door_info(fd, &info) == 0 && info.di_target == pid;
    close(fd);
    return is;
}

/* Starts an application and waits until its door at path can be called. */
static pid_t start_at(const char *door_path)
{
    pid_t pid = fork();

    ck_assert_int_ne(pid, -1);
    if (pid == 0) {
        execl(program, program, "serve", door_path, (char *)NULL);
        _exit(127);
    }
    for (int waited_ms = 0; !is_served_by(pid); waited_ms += 5) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
        sleep_ms(5);
    }
    return pid;
}

/* Until the application's handler runs, which tells so. */
static void await_inside(void)
{
    for (int waited_ms = 0; unlink(inside) == -1; waited_ms += 5) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(5);
    }
}

static pid_t start(void)
{
    return start_at(path);
}

/* The child's exit status, or 128 and its signal. */
static int wait_for_exit(pid_t pid)
{
    int status;

    for (int waited_ms = 0; waitpid(pid, &status, WNOHANG) == 0; waited_ms += 5) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(5);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int stop(pid_t pid)
{
    kill(pid, SIGTERM);
    return wait_for_exit(pid);
}

/* ---------------------------------------------------------------- the caller */

struct call {
    struct message message;
    struct door_wire_reader answer;
    char rbuf[4096];
    door_arg_t arg;
    int door;
    int result;
    int error;
};

static void make_call(struct call *call, const char *path_info, const char *query, const void *body,
                      size_t body_len)
{
    message_begin(&call->message);
    message_field(&call->message, DOOR_WIRE_PATH_INFO, "", path_info);
    message_field(&call->message, DOOR_WIRE_QUERY, "", query);
    message_end(&call->message, DOOR_WIRE_REQUEST, 0, body, body_len);
    call->door = open_door();
    ck_assert_int_ne(call->door, -1);
}

/* Makes no assertions, so that threads may use it. */
static void run_call(struct call *call)
{
    call->arg = (door_arg_t){.data_ptr = call->message.bytes,
                             .data_size = call->message.len,
                             .rbuf = call->rbuf,
                             .rsize = sizeof(call->rbuf)};
    call->result = door_call(call->door, &call->arg);
    call->error = errno;
    if (call->result == 0)
        call->result = door_wire_read(&call->answer, DOOR_WIRE_RESPONSE, call->arg.data_ptr,
                                      call->arg.data_size);
}

static void end_call(struct call *call)
{
    if (call->arg.rbuf != call->rbuf && call->arg.rbuf != NULL)
        munmap(call->arg.rbuf, call->arg.rsize);
    close(call->door);
}

static void *call_in_thread(void *call)
{
    run_call(call);
    return NULL;
}

static void assert_answer(const struct call *call, unsigned status, const char *body)
{
    ck_assert_int_eq(call->result, 0);
    ck_assert_uint_eq(call->answer.status, status);
    ck_assert_uint_eq(call->answer.body_len, strlen(body));
    ck_assert_mem_eq(call->answer.body, body, strlen(body));
}

static void assert_serves(void)
{
    struct call call;

    make_call(&call, "/x", "", NULL, 0);
    run_call(&call);
    assert_answer(&call, 200, "hello");
    end_call(&call);
}

static mode_t mode_of_path(void)
{
    struct stat status;

    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_mode;
}

/* ---------------------------------------------------------------- tests */

START_TEST(an_application_lives_and_ends)
{
    pid_t pid = start();

    assert_serves();
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
    ck_assert_uint_eq(mode_of_path(), S_IFREG | 0640);
    ck_assert_int_eq(open_door(), -1);
}
END_TEST

START_TEST(the_files_own_mode_stays)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    pid_t pid;

    ck_assert_int_ne(fd, -1);
    close(fd);
    pid = start();
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
    ck_assert_uint_eq(mode_of_path(), S_IFREG | 0600);
}
END_TEST

START_TEST(sigint_ends_it_too)
{
    pid_t pid;

    signal(SIGINT, SIG_DFL);
    pid = start();
    kill(pid, SIGINT);
    ck_assert_int_eq(wait_for_exit(pid), 0);
}
END_TEST

START_TEST(it_may_end_itself)
{
    pid_t pid = start();
    struct call call;

    make_call(&call, "/quit", "", NULL, 0);
    run_call(&call);
    assert_answer(&call, 200, "bye");
    end_call(&call);
    ck_assert_int_eq(wait_for_exit(pid), 0);
}
END_TEST

START_TEST(it_may_end_itself_before_it_begins)
{
    pid_t pid = fork();

    if (pid == 0) {
        setenv("STOP_FIRST", "1", 1);
        execl(program, program, "serve", path, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(wait_for_exit(pid), 0);
}
END_TEST

START_TEST(an_ignored_sigint_stays_ignored)
{
    pid_t pid;

    signal(SIGINT, SIG_IGN);
    pid = start();
    kill(pid, SIGINT);
    sleep_ms(200);
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(the_environment_may_name_the_door)
{
    pid_t pid;

    setenv("DOOR_PATH", path, 1);
    pid = start_at(NULL);
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(a_long_handler_learns_that_it_is_to_end)
{
    pid_t pid = start();
    struct call call;
    pthread_t thread;

    make_call(&call, "/follow", "", NULL, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, call_in_thread, &call), 0);
    await_inside();
    ck_assert_int_eq(stop(pid), 0);
    pthread_join(thread, NULL);
    assert_answer(&call, 200, "told");
    end_call(&call);
}
END_TEST

START_TEST(what_was_printed_survives_a_crash)
{
    FILE *stream = tmpfile();
    int file = stream != NULL ? fileno(stream) : -1;
    char text[32] = "";
    struct call call;
    int saved = dup(STDOUT_FILENO);
    pid_t pid;

    ck_assert_int_ne(file, -1);
    dup2(file, STDOUT_FILENO);
    pid = start();
    dup2(saved, STDOUT_FILENO);
    make_call(&call, "/crash", "", NULL, 0);
    run_call(&call);
    end_call(&call);
    ck_assert_int_eq(call.result, -1);
    ck_assert_int_eq(wait_for_exit(pid), 128 + SIGKILL);
    ck_assert_int_ne(pread(file, text, sizeof(text) - 1, 0), -1);
    ck_assert_str_eq(text, "the last words\n");
    fclose(stream);
    close(saved);
}
END_TEST

/* Exit status 1 and a line that says what was wrong with what. */
static void assert_fails(const char *door_path, const char *what)
{
    struct capture capture;

    begin_capture(&capture);
    ck_assert_int_eq(run_app(door_path), 1);
    end_capture(&capture);
    ck_assert_int_eq(strncmp(capture.text, "door_app: ", 10), 0);
    ck_assert_ptr_nonnull(strstr(capture.text, what));
    if (door_path != NULL)
        ck_assert_ptr_nonnull(strstr(capture.text, door_path));
}

START_TEST(failures_are_an_exit_status)
{
    pid_t pid = start();

    unsetenv("DOOR_PATH");
    assert_fails(NULL, "no path");
    assert_fails("", "no path");
    assert_fails("/nonexistent/door", strerror(ENOENT));
    assert_fails(directory, "cannot attach");
    assert_fails(path, "another server has it");
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(a_killed_one_is_followed_by_the_next)
{
    pid_t pid = start();
    struct call call;

    make_call(&call, "/x", "", NULL, 0);
    kill(pid, SIGKILL);
    ck_assert_int_eq(wait_for_exit(pid), 128 + SIGKILL);
    run_call(&call);
    ck_assert_int_eq(call.result, -1);
    ck_assert_int_eq(call.error, EBADF);
    end_call(&call);
    pid = start();
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

/* A signal takes a moment. */
static void run_until_refused(struct call *call)
{
    for (int waited_ms = 0; run_call(call), call->result == 0; waited_ms += 5) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(5);
    }
}

START_TEST(what_runs_may_end)
{
    struct call running;
    struct call late;
    pthread_t thread;
    pid_t pid = start();

    make_call(&running, "/dawdle", "600", NULL, 0);
    make_call(&late, "/x", "", NULL, 0);
    pthread_create(&thread, NULL, call_in_thread, &running);
    await_inside();
    kill(pid, SIGTERM);
    run_until_refused(&late);
    ck_assert_int_eq(late.error, EBADF);
    ck_assert_int_eq(open_door(), -1);
    ck_assert_int_eq(wait_for_exit(pid), 0);
    pthread_join(thread, NULL);
    assert_answer(&running, 200, "at last");
    end_call(&running);
    end_call(&late);
}
END_TEST

START_TEST(a_second_signal_ends_the_wait)
{
    struct capture capture;
    struct call running, late;
    int is_at_once, has_ended;
    pthread_t thread;
    pid_t pid;

    for (int i = 0;; i++) {
        int64_t told_ns;

        begin_capture(&capture);
        pid = start();
        make_call(&running, "/dawdle", "60000", NULL, 0);
        make_call(&late, "/x", "", NULL, 0);
        pthread_create(&thread, NULL, call_in_thread, &running);
        await_inside();
        told_ns = door_now_ns();
        kill(pid, SIGTERM);
        run_until_refused(&late);
        kill(pid, SIGTERM); /* at once: the same, as if of another thread of a parent that ends */
        is_at_once = door_now_ns() - told_ns < 500000000;
        sleep_ms(1200);
        has_ended = waitpid(pid, NULL, WNOHANG) != 0;
        if (!has_ended)
            ck_assert_int_eq(stop(pid), 1);
        end_capture(&capture);
        pthread_join(thread, NULL);
        end_call(&running);
        end_call(&late);
        if (is_at_once || i == 5) /* or the two came too far from each other */
            break;
    }
    ck_assert_int_eq(has_ended, 0);
    ck_assert_ptr_nonnull(strstr(capture.text, "gave up 1 running request"));
    ck_assert_int_eq(running.result, -1);
    ck_assert_int_eq(running.error, EINTR);
}
END_TEST

/* The old one must not take away the name that is its successor's by now. */
START_TEST(a_successor_keeps_its_name)
{
    pid_t old = start();
    pid_t successor;

    ck_assert_int_eq(fdetach(path), 0);
    successor = start();
    ck_assert_int_eq(stop(old), 0);
    assert_serves();
    ck_assert_int_eq(stop(successor), 0);
}
END_TEST

START_TEST(a_handler_that_ends_its_thread_is_no_end)
{
    pid_t pid = start();
    struct call call;

    make_call(&call, "/end", "", NULL, 0);
    run_call(&call);
    ck_assert_int_eq(call.result, -1);
    end_call(&call);
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(large_answers_come_whole)
{
    pid_t pid = start();
    struct call call;

    make_call(&call, "/grow", "", NULL, 0);
    for (int i = 0; i < 3; i++) {
        run_call(&call);
        ck_assert_int_eq(call.result, 0);
        ck_assert_uint_eq(call.answer.body_len, 3000000);
        ck_assert_mem_eq(call.answer.body + 2999990, "0123456789", 10);
        munmap(call.arg.rbuf, call.arg.rsize);
    }
    call.arg.rbuf = NULL;
    end_call(&call);
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(nonsense_is_answered)
{
    pid_t pid = start();
    struct call call;

    make_call(&call, "/x", "", NULL, 0);
    call.message.bytes[0] ^= 1;
    run_call(&call);
    ck_assert_int_eq(call.result, 0);
    ck_assert_uint_eq(call.answer.status, 400);
    call.message.len = 0;
    run_call(&call);
    ck_assert_int_eq(call.result, 0);
    ck_assert_uint_eq(call.answer.status, 400);
    end_call(&call);
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

#define CALLERS 8
#define CALLS   300

/* Each call is echoed to its own caller: 0, or how many came back wrong. */
static void *echo_many(void *result)
{
    struct call *call = result;
    size_t at = call->message.len - 32;
    int wrong = 0;

    for (int i = 0; i < CALLS; i++) {
        memset(call->message.bytes + at, 'a' + i % 26, 16);
        run_call(call);
        wrong += call->result != 0 || call->answer.body_len != 32 ||
                 memcmp(call->answer.body, call->message.bytes + at, 32) != 0;
    }
    call->result = wrong;
    return NULL;
}

START_TEST(callers_get_their_own_answers)
{
    static struct call calls[CALLERS];
    pthread_t threads[CALLERS];
    pid_t pid = start();
    char body[33];

    for (int i = 0; i < CALLERS; i++) {
        snprintf(body, sizeof(body), "%032d", i);
        make_call(&calls[i], "/echo", "", body, 32);
        pthread_create(&threads[i], NULL, echo_many, &calls[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(calls[i].result, 0);
        end_call(&calls[i]);
    }
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(threads_are_counted)
{
    static struct call calls[CALLERS];
    pthread_t threads[CALLERS];
    pid_t pid = start();
    char text[16];

    for (int i = 0; i < CALLERS; i++) {
        make_call(&calls[i], "/threads", "", NULL, 0);
        pthread_create(&threads[i], NULL, call_in_thread, &calls[i]);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(calls[i].result, 0);
    }
    run_call(&calls[0]);
    snprintf(text, sizeof(text), "%.*s", (int)calls[0].answer.body_len,
             (const char *)calls[0].answer.body);
    ck_assert_int_gt(atoi(text), 1);
    ck_assert_int_le(atoi(text), 2 * CALLERS); /* some more where others have the processors */
    for (int i = 0; i < CALLERS; i++)
        end_call(&calls[i]);
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(without_a_supervisor_nobody_is_asked)
{
    ck_assert_int_eq(door_app_ask_replacement(), -1);
    ck_assert_int_eq(errno, ENOTSUP);
}
END_TEST

/* What the application was started with, and nothing of the runtime's. */
START_TEST(programs_have_the_signals_of_the_application)
{
    struct call call;
    char signals[256];
    FILE *status;
    sigset_t some;
    pid_t pid;

    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    sigprocmask(SIG_BLOCK, &some, NULL);
    status = fopen("/proc/self/status", "r");
    print_signals(status, signals, sizeof(signals));
    fclose(status);
    ck_assert_ptr_nonnull(strstr(signals, "SigBlk 800 "));
    pid = start();
    make_call(&call, "/program", "", NULL, 0);
    run_call(&call);
    assert_answer(&call, 200, signals);
    end_call(&call);
    make_call(&call, "/child", "", NULL, 0);
    run_call(&call);
    assert_answer(&call, 200, "15");
    end_call(&call);
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

/* Whoever starts it may have them blocked. */
START_TEST(a_blocked_sigterm_ends_it_too)
{
    sigset_t some;
    pid_t pid;

    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, NULL);
    pid = start();
    assert_serves();
    ck_assert_int_eq(stop(pid), 0);
}
END_TEST

START_TEST(signals_do_not_keep_it_from_its_name)
{
    setenv("SIGNALS", "1", 1);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(stop(start()), 0);
        ck_assert(!S_ISSOCK(mode_of_path()));
    }
}
END_TEST

static int serve_as(const char *door_path)
{
    snprintf(inside, sizeof(inside), "%s.inside", door_path != NULL ? door_path : "");
    return run_app(door_path);
}

int main(int argc, char **argv)
{
    TCase *tests;

    if (argc > 1 && strcmp(argv[1], "serve") == 0)
        return serve_as(argc > 2 ? argv[2] : NULL);
    program = argv[0];
    tests = tcase_create("run");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_application_lives_and_ends);
    tcase_add_test(tests, the_files_own_mode_stays);
    tcase_add_test(tests, sigint_ends_it_too);
    tcase_add_test(tests, it_may_end_itself);
    tcase_add_test(tests, it_may_end_itself_before_it_begins);
    tcase_add_test(tests, an_ignored_sigint_stays_ignored);
    tcase_add_test(tests, the_environment_may_name_the_door);
    tcase_add_test(tests, a_long_handler_learns_that_it_is_to_end);
    tcase_add_test(tests, what_was_printed_survives_a_crash);
    tcase_add_test(tests, failures_are_an_exit_status);
    tcase_add_test(tests, a_killed_one_is_followed_by_the_next);
    tcase_add_test(tests, what_runs_may_end);
    tcase_add_test(tests, a_second_signal_ends_the_wait);
    tcase_add_test(tests, a_successor_keeps_its_name);
    tcase_add_test(tests, a_handler_that_ends_its_thread_is_no_end);
    tcase_add_test(tests, large_answers_come_whole);
    tcase_add_test(tests, nonsense_is_answered);
    tcase_add_test(tests, callers_get_their_own_answers);
    tcase_add_test(tests, threads_are_counted);
    tcase_add_test(tests, without_a_supervisor_nobody_is_asked);
    tcase_add_test(tests, programs_have_the_signals_of_the_application);
    tcase_add_test(tests, a_blocked_sigterm_ends_it_too);
    tcase_add_test(tests, signals_do_not_keep_it_from_its_name);
    return run_tests(tests);
}
