/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: what a door_call() costs, beside a bare SOCK_SEQPACKET ping-pong of
 * the same sizes with a server thread for each caller; or beside another build
 * of libdoor (call_compare.h).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "call_cell.h"
#include "call_compare.h"

#define KIB 1024

/* The goals. */
#define CPU_MEDIAN_MAX 1.0 /* door : socket, median of the cells */
#define CPU_MAX 1.5        /* in any cell */
#define RATE_MIN 0.65      /* calls/s, door : socket, in any cell */
#define LARGE_CPU_MAX 1.5  /* 64 KiB result : small one */
#define COPY_RATE_MIN 0.5  /* 1 MiB results : two copies */
#define SERVER_KIB_MAX 100 /* resident, for each idle server thread */
#define CLIENT_KIB_MAX 16  /* and for each calling one */

enum { DOOR, OTHER, REFERENCE };

static char directory[] = "/tmp/bench-call-XXXXXX";
static struct cell_options options = {.rounds = 9, .window_ms = 250, .dir = directory};
static struct wanted wanted = {.procedure = -1};
static const char *library, *other;

static struct cell make_cell(unsigned callers, enum procedure procedure, size_t result_size)
{
    struct load load = {.transport = TRANSPORT_DOOR,
                        .procedure = procedure,
                        .callers = callers,
                        .arg_size = CELL_SMALL,
                        .result_size = result_size,
                        .library = library};
    struct cell cell = {.count = 2, .load = {load, load, load}};

    cell.load[OTHER].transport = TRANSPORT_SOCKET;
    return cell;
}

static int is_wanted(unsigned callers)
{
    return wanted.callers == 0 || wanted.callers == callers;
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
    printf("# What a door_call() costs\n\n");
    printf("%s, %ld processors; %s %s %s; %s; load %.1f at the start.\n", cpu,
           sysconf(_SC_NPROCESSORS_ONLN), system.sysname, system.release, system.machine, date,
           load);
    printf("%d rounds with windows of %d ms, in turn; medians. CPU: user and system time of\n"
           "clients and server.\n",
           options.rounds, (int)options.window_ms);
    if (other == NULL)
        printf("*socket*: one send and one recv per side, a server thread for each caller.\n"
               "**!** misses its goal.\n");
}

static void print_ratios(const struct cell *cell)
{
    double rate = cell_ratio(cell, DOOR, OTHER, calls_per_s);
    double cpu = cell_ratio(cell, DOOR, OTHER, cpu_us);

    printf(" %.0f | %.0f | %.2f%s | %.1f | %.1f | %.2f%s |", cell_typical(cell, DOOR, calls_per_s),
           cell_typical(cell, OTHER, calls_per_s), rate, mark(rate >= RATE_MIN),
           cell_typical(cell, DOOR, cpu_us), cell_typical(cell, OTHER, cpu_us), cpu,
           mark(cpu <= CPU_MAX));
    printf(" %.2f | %.2f | %.0f | %.0f | %.0f | %.0f |", cell_typical(cell, DOOR, switches),
           cell_typical(cell, OTHER, switches), cell_typical(cell, DOOR, threads),
           cell_typical(cell, OTHER, threads), cell_typical(cell, DOOR, p99_us),
           cell_typical(cell, OTHER, p99_us));
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

/* What the small calls of threads showed, over all cells. */
struct summary {
    double cpu[16], cpu_worst, rate_worst;
    int count;
    double threads_one, threads_many;
    struct held many_kib;
};

static void summarize(struct summary *sum, const struct cell *cell)
{
    double cpu = cell_ratio(cell, DOOR, OTHER, cpu_us);
    double rate = cell_ratio(cell, DOOR, OTHER, calls_per_s);

    if (cpu > sum->cpu_worst)
        sum->cpu_worst = cpu;
    if (sum->count == 0 || rate < sum->rate_worst)
        sum->rate_worst = rate;
    sum->cpu[sum->count++] = cpu;
    if (cell->load[DOOR].callers == 1 && cell_typical(cell, DOOR, threads) > sum->threads_one)
        sum->threads_one = cell_typical(cell, DOOR, threads);
    if (cell->load[DOOR].callers == 64 && cell->load[DOOR].procedure == PROCEDURE_SLEEP) {
        sum->threads_many = cell_typical(cell, DOOR, threads);
        sum->many_kib = cell->grown_kib;
    }
}

static void run_small_cell(struct cell *cell)
{
    cell_run(cell, &options);
    printf("| %s | %s |", cell_callers(&cell->load[DOOR]), cell_procedure(&cell->load[DOOR]));
    print_ratios(cell);
    printf("\n");
    fflush(stdout);
}

static void print_small_head(const char *who)
{
    printf("\n## Small calls (%d bytes each way)%s\n\n", CELL_SMALL, who);
    printf("| callers | procedure |" RATIO_HEAD "\n|---:|---|" RATIO_RULE "\n");
}

static int is_wanted_small(unsigned callers, int procedure)
{
    return is_wanted(callers) && (wanted.procedure < 0 || wanted.procedure == procedure);
}

static struct summary run_small(void)
{
    static const unsigned callers[] = {1, 4, 16, 64};
    struct summary sum = {0};

    print_small_head("");
    for (int procedure = PROCEDURE_EMPTY; procedure <= PROCEDURE_SLEEP; procedure++) {
        for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
            struct cell cell = make_cell(callers[i], (enum procedure)procedure, CELL_SMALL);
            if (!is_wanted_small(callers[i], procedure))
                continue;
            run_small_cell(&cell);
            summarize(&sum, &cell);
        }
    }
    return sum;
}

/* To know, not to hold it to a goal: the socket has a server thread for each process. */
static void run_processes(void)
{
    static const unsigned callers[] = {1, 16, 64, 256};

    print_small_head(", each caller a process");
    for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
        struct cell cell = make_cell(callers[i], PROCEDURE_EMPTY, CELL_SMALL);
        if (!is_wanted_small(callers[i], PROCEDURE_EMPTY))
            continue;
        for (int load = 0; load < cell.count; load++)
            cell.load[load].is_by_process = 1;
        run_small_cell(&cell);
    }
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
    if (!is_wanted_small(64, PROCEDURE_SLEEP))
        return;
    print_goal("server threads with 64 callers and 1 ms asleep", sum->threads_many, "", 64,
               sum->threads_many >= 48 && sum->threads_many <= 72);
    print_goal("resident for each server thread", (double)sum->many_kib.server, " KiB", SERVER_KIB_MAX,
               sum->many_kib.server < SERVER_KIB_MAX);
    print_goal("resident for each calling thread", (double)sum->many_kib.client, " KiB", CLIENT_KIB_MAX,
               sum->many_kib.client <= CLIENT_KIB_MAX);
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

    cell.count = REFERENCE + 1;
    cell.load[DOOR].transport = large->door;
    cell.load[REFERENCE].transport = large->reference;
    if (!is_copy)
        cell.load[REFERENCE].result_size = CELL_SMALL;
    cell_run(&cell, &options);
    value = cell_ratio(&cell, DOOR, REFERENCE, is_copy ? calls_per_s : cpu_us);
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

static void print_usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [-q] [-r rounds] [-w window_ms] [-c callers] [-p procedure]\n"
            "       [-o other_libdoor.so] libdoor.so\n"
            "  -q  quickly: 5 rounds of 60 ms\n"
            "  -c  only the rows with so many callers\n"
            "  -p  only small calls: 0 an empty procedure, 1 computing, 2 asleep\n"
            "  -o  beside another build of the library, not beside sockets\n",
            program);
    exit(2);
}

static void parse_options(int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "qr:w:c:p:o:")) != -1) {
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
            wanted.callers = (unsigned)atoi(optarg);
            break;
        case 'p':
            wanted.procedure = atoi(optarg);
            break;
        case 'o':
            other = optarg;
            break;
        default:
            print_usage(argv[0]);
        }
    }
    if (optind != argc - 1)
        print_usage(argv[0]);
    library = argv[optind];
    if (options.rounds < 1 || options.rounds > CELL_ROUNDS_MAX || options.window_ms < 1 ||
        options.window_ms > 10000) {
        fprintf(stderr, "%s: 1 to %d rounds, windows of 1 to 10000 ms\n", argv[0],
                CELL_ROUNDS_MAX);
        exit(2);
    }
}

static void run_beside_sockets(void)
{
    struct summary small = run_small();

    print_summary(&small);
    run_processes();
    if (wanted.procedure < 0)
        run_large();
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        return 1;
    }
    print_head();
    party_calibrate();
    if (other != NULL)
        compare_libraries(library, other, &wanted, &options);
    else
        run_beside_sockets();
    if (wanted.procedure < 0 && wanted.callers == 0)
        compare_channels(library, other, &options);
    rmdir(directory);
    return 0;
}
