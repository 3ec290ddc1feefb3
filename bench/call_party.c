/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_party.c: see call_party.h.  The processes share a board with the one
 * that measures; nothing on it is written in a call but what the calling or
 * serving thread has for itself.
 */
#include "call_party.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "call_latency.h"
#include "call_library.h"
#include "call_sample.h"

#define PATIENCE_S 20               /* nothing here takes that long */
#define PACKET_MAX ((size_t)64 << 10) /* what a socket takes at once everywhere */
#define STACK_SIZE ((size_t)256 << 10)

/* What one calling thread did in a window; its own until it has parked. */
struct caller {
    _Alignas(64) uint64_t calls;
    struct latencies latencies;
};

struct board {
    sem_t ready;  /* posted by each process, and by each caller, when it is */
    sem_t start;  /* posted for each caller, when a window opens */
    sem_t parked; /* posted by each caller, when it has seen the window's end */
    sem_t end;    /* posted for the server, when no call runs any more */
    _Atomic int is_open; /* the window is */
    _Atomic int is_over; /* no more windows come */
    _Atomic unsigned window;
    _Atomic unsigned threads; /* of the server, that worked in this window */
    struct caller caller[PARTY_CALLERS_MAX];
};

struct party {
    struct load load;
    struct board *board;
    pid_t server; /* 0: none */
    unsigned client_count;
    pid_t client[PARTY_CALLERS_MAX];
    char name[PARTY_DOORS_MAX][256];
    int pair[PARTY_CALLERS_MAX][2]; /* client's and server's end */
};

static uint64_t compute_rounds;
static struct library library; /* of a server, or a client */

static void fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ------------------------------------------------ the work */

/* The same instructions every time, however often the thread is interrupted. */
static void compute(uint64_t rounds)
{
    volatile uint64_t x = 1;

    while (rounds-- > 0)
        x = x * 6364136223846793005u + 1;
}

void party_calibrate(void)
{
    const uint64_t rounds = 100000;
    int64_t best_ns = INT64_MAX;

    for (int i = 0; i < 30; i++) {
        int64_t begun_ns = sample_now_ns();
        compute(rounds);
        int64_t took_ns = sample_now_ns() - begun_ns;
        if (took_ns < best_ns)
            best_ns = took_ns;
    }
    compute_rounds = rounds * PROCEDURE_COMPUTE_US * 1000 / (uint64_t)best_ns;
}

static void work(struct board *board, enum procedure procedure)
{
    static _Thread_local unsigned last_window;
    unsigned window = atomic_load_explicit(&board->window, memory_order_relaxed);

    if (last_window != window) {
        last_window = window;
        atomic_fetch_add(&board->threads, 1);
    }
    if (procedure == PROCEDURE_COMPUTE)
        compute(compute_rounds);
    if (procedure == PROCEDURE_SLEEP)
        usleep(PROCEDURE_SLEEP_US);
}

static char *make_buffer(size_t size)
{
    char *buffer = malloc(size > 0 ? size : 1);

    if (buffer == NULL)
        fail("malloc");
    memset(buffer, 'b', size);
    return buffer;
}

/* ------------------------------------------------ the server */

struct socket_task {
    struct party *party;
    int fd;
};

static void start_thread(void *(*run)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    errno = pthread_create(&thread, &attr, run, arg);
    if (errno != 0)
        fail("pthread_create");
    pthread_attr_destroy(&attr);
}

static char *served_result; /* the server's: what every call gets */

static void door_procedure(void *cookie, char *argp, size_t arg_size, door_desc_t *dp,
                           uint_t n_desc)
{
    struct party *party = cookie;

    (void)argp, (void)arg_size, (void)dp, (void)n_desc;
    work(party->board, party->load.procedure);
    library.reply(served_result, party->load.result_size, NULL, 0);
}

static int is_door(enum transport transport)
{
    return transport != TRANSPORT_SOCKET && transport != TRANSPORT_COPY;
}

static void serve_doors(struct party *party)
{
    for (unsigned i = 0; i < party->load.doors; i++) {
        int d = library.create(door_procedure, party, DOOR_REFUSE_DESC);
        if (d < 0 || library.attach(d, party->name[i]) < 0)
            fail("door_create, fattach");
    }
}

static void end_doors(struct party *party)
{
    for (unsigned i = 0; i < party->load.doors; i++) {
        if (library.detach(party->name[i]) < 0)
            fail("fdetach");
    }
}

/* Many clients are many descriptors. */
static void use_library(struct party *party)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    library = library_load(party->load.library);
}

/* 0 at the end of the connection. */
static int send_all(int fd, const char *data, size_t size)
{
    do {
        size_t len = size < PACKET_MAX ? size : PACKET_MAX;
        if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
            return 0;
        data += len;
        size -= len;
    } while (size > 0);
    return 1;
}

static int recv_all(int fd, char *data, size_t size)
{
    do {
        ssize_t len = recv(fd, data, size, 0);
        if (len <= 0)
            return 0;
        data += len;
        size -= (size_t)len;
    } while (size > 0);
    return 1;
}

static void *serve_socket(void *arg)
{
    struct socket_task *task = arg;
    struct load *load = &task->party->load;
    char *argument = make_buffer(load->arg_size);

    while (recv_all(task->fd, argument, load->arg_size)) {
        work(task->party->board, load->procedure);
        if (!send_all(task->fd, served_result, load->result_size))
            break;
    }
    free(argument);
    return NULL;
}

static void serve_sockets(struct party *party)
{
    static struct socket_task tasks[PARTY_CALLERS_MAX];

    for (unsigned i = 0; i < party->load.callers; i++) {
        close(party->pair[i][0]);
        tasks[i] = (struct socket_task){party, party->pair[i][1]};
        start_thread(serve_socket, &tasks[i]);
    }
}

static void run_server(struct party *party, unsigned number)
{
    int has_doors = is_door(party->load.transport);

    (void)number;
    served_result = make_buffer(party->load.result_size);
    if (has_doors) {
        use_library(party);
        serve_doors(party);
    } else {
        serve_sockets(party);
    }
    sem_post(&party->board->ready);
    while (sem_wait(&party->board->end) < 0)
        continue;
    if (has_doors)
        end_doors(party);
    _exit(0);
}

/* ------------------------------------------------ the client */

static int door[PARTY_DOORS_MAX]; /* a client's */

struct client_task {
    struct party *party;
    unsigned number;
    unsigned next_door;
    struct door_handle *handle; /* of the first door */
    char *argument, *result, *between;
};

static void copy(struct client_task *task, size_t size)
{
    memcpy(task->between, task->argument, size);
    __asm__ volatile("" ::"r"(task->between) : "memory"); /* it is read: no shortcut */
    memcpy(task->result, task->between, size);
    __asm__ volatile("" ::"r"(task->result) : "memory");
}

static int call_socket(struct client_task *task)
{
    struct load *load = &task->party->load;
    int fd = task->party->pair[task->number][0];

    return send_all(fd, task->argument, load->arg_size) &&
           recv_all(fd, task->result, load->result_size);
}

static int call_door(struct client_task *task)
{
    struct load *load = &task->party->load;
    door_arg_t arg = {.data_ptr = task->argument, .data_size = load->arg_size};
    int result;

    if (load->transport != TRANSPORT_DOOR_MAP) {
        arg.rbuf = task->result;
        arg.rsize = load->result_size;
    }
    if (load->transport == TRANSPORT_HANDLE)
        result = library.handle_call(task->handle, &arg, NULL);
    else
        result = library.call(door[task->next_door], &arg);
    if (load->doors > 1)
        task->next_door = (task->next_door + 1) % load->doors;
    if (result < 0 || arg.data_size != load->result_size)
        return 0;
    if (arg.rbuf != task->result && arg.rsize > 0)
        munmap(arg.rbuf, arg.rsize);
    return 1;
}

/* One call; whatever it has to give back is given back. */
static int call(struct client_task *task)
{
    switch (task->party->load.transport) {
    case TRANSPORT_SOCKET:
        return call_socket(task);
    case TRANSPORT_COPY:
        copy(task, task->party->load.result_size);
        return 1;
    default:
        return call_door(task);
    }
}

static void call_until_closed(struct client_task *task)
{
    struct board *board = task->party->board;
    struct caller *caller = &board->caller[task->number];
    int64_t before_ns = sample_now_ns();

    do { /* each door once at least, even if the machine let the window pass */
        if (!call(task))
            fail("a call");
        int64_t now_ns = sample_now_ns();
        latencies_add(&caller->latencies, (uint64_t)(now_ns - before_ns));
        before_ns = now_ns;
        caller->calls++;
    } while (atomic_load_explicit(&board->is_open, memory_order_relaxed) ||
             caller->calls < task->party->load.doors);
}

static void *run_caller(void *arg)
{
    struct client_task *task = arg;
    struct board *board = task->party->board;
    size_t size = task->party->load.result_size;

    if (task->party->load.transport == TRANSPORT_HANDLE) {
        task->handle = library.handle_open(door[0]);
        if (task->handle == NULL)
            fail("door_handle_open");
    }
    if (size < task->party->load.arg_size)
        size = task->party->load.arg_size;
    task->argument = make_buffer(size);
    task->between = make_buffer(size);
    task->result = make_buffer(size);
    memset(&board->caller[task->number], 0, sizeof(struct caller));
    sem_post(&board->ready);
    for (;;) {
        while (sem_wait(&board->start) < 0)
            continue;
        if (atomic_load(&board->is_over))
            _exit(0);
        call_until_closed(task);
        sem_post(&board->parked);
    }
    return NULL;
}

static void open_doors(struct party *party)
{
    use_library(party);
    for (unsigned i = 0; i < party->load.doors; i++) {
        door[i] = library.open_at(AT_FDCWD, party->name[i], 0);
        if (door[i] < 0)
            fail(party->name[i]);
    }
}

/* A client has one caller, its own, or all. */
static void run_client(struct party *party, unsigned number)
{
    static struct client_task tasks[PARTY_CALLERS_MAX];
    unsigned end = party->load.is_by_process ? number + 1 : party->load.callers;

    if (is_door(party->load.transport))
        open_doors(party);
    for (unsigned i = 0; i < party->load.callers; i++) {
        if (party->load.transport == TRANSPORT_SOCKET)
            close(party->pair[i][1]);
    }
    for (unsigned i = number; i < end; i++) {
        tasks[i] = (struct client_task){.party = party, .number = i};
        start_thread(run_caller, &tasks[i]);
    }
    for (;;)
        pause();
}

/* ------------------------------------------------ who directs them */

static void await(sem_t *sem, unsigned count)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    while (count > 0) {
        if (sem_timedwait(sem, &until) == 0)
            count--;
        else if (errno != EINTR)
            fail("a party does not answer");
    }
}

static void post(sem_t *sem, unsigned count)
{
    while (count-- > 0)
        sem_post(sem);
}

static pid_t start_process(struct party *party, unsigned number,
                           void (*run)(struct party *party, unsigned number))
{
    pid_t pid;

    fflush(NULL); /* or the child prints it once more */
    pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(party, number);
        _exit(1);
    }
    return pid;
}

static struct board *make_board(void)
{
    struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (board == MAP_FAILED)
        fail("mmap");
    sem_init(&board->ready, 1, 0);
    sem_init(&board->start, 1, 0);
    sem_init(&board->parked, 1, 0);
    sem_init(&board->end, 1, 0);
    return board;
}

static void make_pairs(struct party *party)
{
    for (unsigned i = 0; i < party->load.callers; i++) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, party->pair[i]) < 0)
            fail("socketpair");
    }
}

static void close_pairs(struct party *party)
{
    for (unsigned i = 0; i < party->load.callers; i++) {
        close(party->pair[i][0]);
        close(party->pair[i][1]);
    }
}

static void make_names(struct party *party, const char *dir)
{
    static unsigned number;

    for (unsigned i = 0; i < party->load.doors; i++) {
        snprintf(party->name[i], sizeof(party->name[i]), "%s/door%u", dir, number++);
        int fd = open(party->name[i], O_CREAT | O_EXCL | O_RDWR, 0600);
        if (fd < 0)
            fail(party->name[i]);
        close(fd);
    }
}

static void remove_names(struct party *party)
{
    for (unsigned i = 0; i < party->load.doors; i++) {
        if (unlink(party->name[i]) < 0)
            fail(party->name[i]);
    }
}

struct party *party_start(const struct load *load, const char *dir)
{
    struct party *party = calloc(1, sizeof(*party));

    if (party == NULL)
        fail("calloc");
    party->load = *load;
    if (load->doors == 0)
        party->load.doors = 1;
    party->board = make_board();
    if (load->transport == TRANSPORT_SOCKET)
        make_pairs(party);
    if (is_door(load->transport))
        make_names(party, dir);
    if (load->transport != TRANSPORT_COPY) {
        party->server = start_process(party, 0, run_server);
        await(&party->board->ready, 1);
    }
    party->client_count = load->is_by_process ? load->callers : 1;
    for (unsigned i = 0; i < party->client_count; i++)
        party->client[i] = start_process(party, i, run_client);
    if (load->transport == TRANSPORT_SOCKET)
        close_pairs(party);
    await(&party->board->ready, load->callers);
    return party;
}

struct held party_sample(const struct party *party, long (*of)(pid_t pid))
{
    struct held held = {.server = party->server > 0 ? of(party->server) : 0};

    for (unsigned i = 0; i < party->client_count; i++)
        held.client += of(party->client[i]);
    return held;
}

static int64_t cpu_ns(const struct party *party)
{
    int64_t sum = party->server > 0 ? sample_cpu_ns(party->server) : 0;

    for (unsigned i = 0; i < party->client_count; i++)
        sum += sample_cpu_ns(party->client[i]);
    return sum;
}

static uint64_t switches(const struct party *party)
{
    uint64_t sum = party->server > 0 ? sample_switches(party->server) : 0;

    for (unsigned i = 0; i < party->client_count; i++)
        sum += sample_switches(party->client[i]);
    return sum;
}

struct window party_run(struct party *party, int64_t window_ms)
{
    struct board *board = party->board;
    struct latencies latencies = {{0}};
    uint64_t calls = 0;

    for (unsigned i = 0; i < party->load.callers; i++)
        memset(&board->caller[i], 0, sizeof(board->caller[i]));
    atomic_store(&board->threads, 0);
    atomic_fetch_add(&board->window, 1);
    uint64_t switches_before = switches(party);
    int64_t cpu_before_ns = cpu_ns(party), begun_ns = sample_now_ns();

    atomic_store(&board->is_open, 1);
    post(&board->start, party->load.callers);
    usleep((useconds_t)window_ms * 1000);
    atomic_store(&board->is_open, 0);
    await(&board->parked, party->load.callers);

    int64_t took_ns = sample_now_ns() - begun_ns, cpu_used_ns = cpu_ns(party) - cpu_before_ns;
    uint64_t switched = switches(party) - switches_before;

    for (unsigned i = 0; i < party->load.callers; i++) {
        calls += board->caller[i].calls;
        latencies_sum(&latencies, &board->caller[i].latencies);
    }
    return (struct window){
        .calls_per_s = (double)calls * 1e9 / (double)took_ns,
        .cpu_us = (double)cpu_used_ns / 1000 / (double)calls,
        .switches = (double)switched / (double)calls,
        .p99_us = latencies_p99_us(&latencies),
        .threads = atomic_load(&board->threads),
    };
}

void party_stop(struct party *party)
{
    atomic_store(&party->board->is_over, 1);
    post(&party->board->start, party->load.callers);
    for (unsigned i = 0; i < party->client_count; i++)
        waitpid(party->client[i], NULL, 0);
    if (party->server > 0) {
        sem_post(&party->board->end);
        waitpid(party->server, NULL, 0);
    }
    if (is_door(party->load.transport))
        remove_names(party);
    munmap(party->board, sizeof(*party->board));
    free(party);
}
