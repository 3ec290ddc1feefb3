/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: what a door_call() costs, beside a bare SOCK_SEQPACKET ping-pong of
 * the same sizes with a server thread for each caller.
 *
 * For each cell of the table both stand ready in processes of their own and
 * run in turn, a short window each, round after round.  A ratio is that of two
 * neighbouring windows, and what is printed is the median of the rounds: other
 * work on the machine then hits both alike.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "call_party.h"
#include "call_sample.h"

#define ROUNDS_MAX 99
#define SMALL 16 /* bytes of a small argument or result */
#define KIB 1024

/* The goals. */
#define CPU_MEDIAN_MAX 1.0 /* door : socket, median of the cells */
#define CPU_MAX 1.5        /* in any cell */
#define RATE_MIN 0.65      /* calls/s, door : socket, in any cell */
#define LARGE_CPU_MAX 1.5  /* 64 KiB result : small one */
#define COPY_RATE_MIN 0.5  /* 1 MiB results : two copies */
#define SERVER_KIB_MAX 100 /* resident, for each idle server thread */
#define CLIENT_KIB_MAX 16  /* and for each calling one */

enum { DOOR, OTHER, REFERENCE, PARTY_COUNT };

/* A cell: up to three loads that run in turn. */
struct cell {
    struct load load[PARTY_COUNT];
    int has_reference;
    struct window window[PARTY_COUNT][ROUNDS_MAX];
    long server_kib, client_kib; /* grown by in the first window, for each thread more */
};

static struct options {
    int rounds;
    int64_t window_ms;
    unsigned callers; /* only cells with so many; 0: all */
    int procedure;    /* only small calls with this one; -1: all, and large results */
} options = {.rounds = 9, .window_ms = 250, .procedure = -1};

static const char *const procedure_name[] = {"0 us", "20 us CPU", "1 ms asleep"};
static char directory[] = "/tmp/bench-call-XXXXXX";

/* ------------------------------------------------ numbers */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    if (count == 0)
        return 0;
    qsort(values, (size_t)count, sizeof(*values), compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double calls_per_s(const struct window *w)
{
    return w->calls_per_s;
}

static double cpu_us(const struct window *w)
{
    return w->cpu_us;
}

static double switches(const struct window *w)
{
    return w->switches;
}

static double p99_us(const struct window *w)
{
    return w->p99_us;
}

static double threads(const struct window *w)
{
    return w->threads;
}

static double typical(const struct cell *cell, int party, double (*of)(const struct window *))
{
    double values[ROUNDS_MAX];

    for (int i = 0; i < options.rounds; i++)
        values[i] = of(&cell->window[party][i]);
    return median(values, options.rounds);
}

static double ratio(const struct cell *cell, int other, double (*of)(const struct window *))
{
    double values[ROUNDS_MAX];

    for (int i = 0; i < options.rounds; i++)
        values[i] = of(&cell->window[DOOR][i]) / of(&cell->window[other][i]);
    return median(values, options.rounds);
}

/* ------------------------------------------------ running */

static struct cell make_cell(unsigned callers, enum procedure procedure, size_t result_size)
{
    struct load load = {TRANSPORT_DOOR, procedure, callers, SMALL, result_size};
    struct cell cell = {.load = {load, load, load}};

    cell.load[OTHER].transport = TRANSPORT_SOCKET;
    return cell;
}

/* The first window shows what the threads need that come with it. */
static void measure_memory(struct cell *cell, struct party *door)
{
    long server_kib = sample_resident_kib(party_server(door));
    long client_kib = sample_resident_kib(party_client(door));
    struct window w = party_run(door, options.window_ms);

    server_kib = sample_resident_kib(party_server(door)) - server_kib;
    client_kib = sample_resident_kib(party_client(door)) - client_kib;
    cell->server_kib = server_kib / (w.threads > 1 ? (long)w.threads - 1 : 1);
    cell->client_kib = client_kib / (long)cell->load[DOOR].callers;
}

static void run_cell(struct cell *cell)
{
    struct party *party[PARTY_COUNT] = {NULL};
    int count = cell->has_reference ? PARTY_COUNT : PARTY_COUNT - 1;

    for (int i = 0; i < count; i++)
        party[i] = party_start(&cell->load[i], directory);
    measure_memory(cell, party[DOOR]);
    for (int round = -1; round < options.rounds; round++) {
        for (int i = 0; i < count; i++) {
            struct window w = party_run(party[i], options.window_ms);
            if (round >= 0) /* the one before is for the caches and the pool */
                cell->window[i][round] = w;
        }
    }
    for (int i = 0; i < count; i++)
        party_stop(party[i]);
}

static int is_wanted(unsigned callers)
{
    return options.callers == 0 || options.callers == callers;
}

/* ------------------------------------------------ printing */

static const char *mark(int is_met)
{
    return is_met ? "" : " **!**";
}

static void print_head(void)
{
    char line[256], cpu[256] = "unknown processor", date[64];
    struct utsname system;
    time_t now = time(NULL);
    double load = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "model name : %255[^\n]", cpu) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    uname(&system);
    getloadavg(&load, 1);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", gmtime(&now));
    printf("# door_call() beside a SOCK_SEQPACKET ping-pong\n\n");
    printf("%s, %ld processors; %s %s %s; %s; load %.1f at the start.\n", cpu,
           sysconf(_SC_NPROCESSORS_ONLN), system.sysname, system.release, system.machine, date,
           load);
    printf("%d rounds with windows of %d ms, in turn; medians. *socket*: one send and one recv\n"
           "per side, a server thread for each caller, two processes. CPU: user and system\n"
           "time of client and server. **!** misses its goal.\n",
           options.rounds, (int)options.window_ms);
}

static void print_ratios(const struct cell *cell)
{
    double rate = ratio(cell, OTHER, calls_per_s), cpu = ratio(cell, OTHER, cpu_us);

    printf(" %.0f | %.0f | %.2f%s | %.1f | %.1f | %.2f%s |", typical(cell, DOOR, calls_per_s),
           typical(cell, OTHER, calls_per_s), rate, mark(rate >= RATE_MIN),
           typical(cell, DOOR, cpu_us), typical(cell, OTHER, cpu_us), cpu, mark(cpu <= CPU_MAX));
    printf(" %.2f | %.2f | %.0f | %.0f | %.0f | %.0f |", typical(cell, DOOR, switches),
           typical(cell, OTHER, switches), typical(cell, DOOR, threads),
           typical(cell, OTHER, threads), typical(cell, DOOR, p99_us),
           typical(cell, OTHER, p99_us));
}

#define RATIO_HEAD                                                                                 \
    " calls/s: door | socket | ratio | CPU us per call: door | socket | ratio |"                   \
    " switches per call: door | socket | server threads: door | socket |"                          \
    " p99 us: door | socket |"
#define RATIO_RULE "---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"

static void print_goal(const char *what, double value, const char *unit, double goal, int is_met)
{
    printf("- %s: %.2f%s, goal %.2f: %s\n", what, value, unit, goal, is_met ? "met" : "**missed**");
}

/* ------------------------------------------------ the tables */

/* What the small calls showed, over all cells. */
struct summary {
    double cpu[16], cpu_worst, rate_worst;
    int count;
    double threads_one, threads_many;
    long server_kib, client_kib;
};

static void summarize(struct summary *sum, const struct cell *cell)
{
    double cpu = ratio(cell, OTHER, cpu_us), rate = ratio(cell, OTHER, calls_per_s);

    if (cpu > sum->cpu_worst)
        sum->cpu_worst = cpu;
    if (sum->count == 0 || rate < sum->rate_worst)
        sum->rate_worst = rate;
    sum->cpu[sum->count++] = cpu;
    if (cell->load[DOOR].callers == 1 && typical(cell, DOOR, threads) > sum->threads_one)
        sum->threads_one = typical(cell, DOOR, threads);
    if (cell->load[DOOR].callers == 64 && cell->load[DOOR].procedure == PROCEDURE_SLEEP) {
        sum->threads_many = typical(cell, DOOR, threads);
        sum->server_kib = cell->server_kib;
        sum->client_kib = cell->client_kib;
    }
}

static struct summary run_small(void)
{
    static const unsigned callers[] = {1, 4, 16, 64};
    struct summary sum = {0};

    printf("\n## Small calls (%d bytes each way)\n\n", SMALL);
    printf("| callers | procedure |" RATIO_HEAD "\n|---:|---|" RATIO_RULE "\n");
    for (int procedure = PROCEDURE_EMPTY; procedure <= PROCEDURE_SLEEP; procedure++) {
        for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
            struct cell cell = make_cell(callers[i], (enum procedure)procedure, SMALL);
            if (!is_wanted(callers[i]) ||
                (options.procedure >= 0 && options.procedure != procedure))
                continue;
            run_cell(&cell);
            printf("| %u | %s |", callers[i], procedure_name[procedure]);
            print_ratios(&cell);
            printf("\n");
            fflush(stdout);
            summarize(&sum, &cell);
        }
    }
    return sum;
}

static void print_summary(struct summary *sum)
{
    double cpu = median(sum->cpu, sum->count);

    printf("\n");
    print_goal("CPU, median of the cells", cpu, "", CPU_MEDIAN_MAX, cpu <= CPU_MEDIAN_MAX);
    print_goal("CPU, worst cell", sum->cpu_worst, "", CPU_MAX, sum->cpu_worst <= CPU_MAX);
    print_goal("calls/s, worst cell", sum->rate_worst, "", RATE_MIN, sum->rate_worst >= RATE_MIN);
    if (is_wanted(1))
        print_goal("server threads with one caller, at most", sum->threads_one, "", 2,
                   sum->threads_one <= 2);
    if (!is_wanted(64))
        return;
    print_goal("server threads with 64 callers and 1 ms asleep", sum->threads_many, "", 64,
               sum->threads_many >= 48 && sum->threads_many <= 72);
    print_goal("resident for each server thread", (double)sum->server_kib, " KiB", SERVER_KIB_MAX,
               sum->server_kib < SERVER_KIB_MAX);
    print_goal("resident for each calling thread", (double)sum->client_kib, " KiB", CLIENT_KIB_MAX,
               sum->client_kib <= CLIENT_KIB_MAX);
}

struct large {
    const char *name;
    unsigned callers;
    size_t result_size;
    enum transport door, reference;
    const char *against;
};

/* 64 KiB are held against small results, by CPU; more against copying, by rate. */
static void run_large_cell(const struct large *large)
{
    struct cell cell = make_cell(large->callers, PROCEDURE_EMPTY, large->result_size);
    int is_copy = large->reference == TRANSPORT_COPY;
    double value;

    cell.has_reference = 1;
    cell.load[DOOR].transport = large->door;
    cell.load[REFERENCE].transport = large->reference;
    if (!is_copy)
        cell.load[REFERENCE].result_size = SMALL;
    run_cell(&cell);
    value = ratio(&cell, REFERENCE, is_copy ? calls_per_s : cpu_us);
    int is_met = is_copy ? value >= COPY_RATE_MIN : value <= LARGE_CPU_MAX;
    if (large->door == TRANSPORT_DOOR_MAP)
        is_met = 1; /* to know, not to hold it to */
    printf("| %u | %s |", large->callers, large->name);
    print_ratios(&cell);
    printf(" %s: %.2f%s |\n", large->against, value, mark(is_met));
    fflush(stdout);
}

static void run_large(void)
{
    static const struct large large[] = {
        {"64 KiB", 1, 64 * KIB, TRANSPORT_DOOR, TRANSPORT_DOOR, "CPU of a small call"},
        {"64 KiB", 16, 64 * KIB, TRANSPORT_DOOR, TRANSPORT_DOOR, "CPU of a small call"},
        {"64 KiB, new mapping", 1, 64 * KIB, TRANSPORT_DOOR_MAP, TRANSPORT_DOOR,
         "CPU of a small call"},
        {"1 MiB", 1, KIB * KIB, TRANSPORT_DOOR, TRANSPORT_COPY, "rate of two memcpy"},
        {"1 MiB", 4, KIB * KIB, TRANSPORT_DOOR, TRANSPORT_COPY, "rate of two memcpy"},
    };

    printf("\n## Large results (procedure 0 us; the socket takes 64 KiB at a time)\n\n");
    printf("Goals: 64 KiB for at most %.1f times the CPU of a small call; 1 MiB at %.1f times the\n"
           "rate of two copies or more. *New mapping*: the caller brings no buffer.\n\n",
           LARGE_CPU_MAX, COPY_RATE_MIN);
    printf("| callers | result |" RATIO_HEAD " against |\n|---:|---|" RATIO_RULE "---|\n");
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        if (is_wanted(large[i].callers))
            run_large_cell(&large[i]);
    }
}

static void parse_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "qr:w:c:p:")) != -1) {
        switch (option) {
        case 'q':
            options.rounds = 5;
            options.window_ms = 60;
            break;
        case 'r':
            options.rounds = atoi(optarg);
            break;
        case 'w':
            options.window_ms = atoi(optarg);
            break;
        case 'c':
            options.callers = (unsigned)atoi(optarg);
            break;
        case 'p':
            options.procedure = atoi(optarg);
            break;
        default:
            fprintf(stderr,
                    "usage: %s [-q] [-r rounds] [-w window_ms] [-c callers] [-p procedure]\n"
                    "  -q  quickly: 5 rounds of 60 ms\n"
                    "  -c  only the cells with so many callers\n"
                    "  -p  only small calls: 0 an empty procedure, 1 computing, 2 asleep\n",
                    argv[0]);
            exit(2);
        }
    }
    if (options.rounds < 1 || options.rounds > ROUNDS_MAX || options.window_ms < 1 ||
        options.window_ms > 10000) {
        fprintf(stderr, "%s: 1 to %d rounds, windows of 1 to 10000 ms\n", argv[0], ROUNDS_MAX);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct summary small;

    parse_options(argc, argv);
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        return 1;
    }
    print_head();
    party_calibrate();
    small = run_small();
    print_summary(&small);
    if (options.procedure < 0)
        run_large();
    rmdir(directory);
    return 0;
}
