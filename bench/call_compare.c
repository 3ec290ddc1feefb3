/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_compare.c: see call_compare.h.
 */
#include "call_compare.h"

#include <stdio.h>

#include "call_library.h"
#include "call_sample.h"

#define KIB 1024
#define CHANNELS 64
#define CHANNEL_WINDOW_MS 300 /* a call of each */

enum { NEW, OLD, HANDLE };

struct row {
    unsigned callers;
    int is_by_process;
    size_t arg_size, result_size;
    const char *large; /* NULL: a small call, with each of the procedures */
};

static const struct row rows[] = {
    {1, 0, CELL_SMALL, CELL_SMALL, NULL},
    {4, 0, CELL_SMALL, CELL_SMALL, NULL},
    {16, 0, CELL_SMALL, CELL_SMALL, NULL},
    {64, 0, CELL_SMALL, CELL_SMALL, NULL},
    {1, 1, CELL_SMALL, CELL_SMALL, NULL},
    {16, 1, CELL_SMALL, CELL_SMALL, NULL},
    {64, 1, CELL_SMALL, CELL_SMALL, NULL},
    {256, 1, CELL_SMALL, CELL_SMALL, NULL},
    {1, 0, CELL_SMALL, 64 * KIB, "64 KiB result"},
    {16, 0, CELL_SMALL, 64 * KIB, "64 KiB result"},
    {1, 0, 64 * KIB, CELL_SMALL, "64 KiB argument"},
    {1, 0, CELL_SMALL, KIB * KIB, "1 MiB result"},
    {4, 0, CELL_SMALL, KIB * KIB, "1 MiB result"},
};

/* ------------------------------------------------ two builds */

static void print_of(const struct cell *cell, double (*of)(const struct window *), int digits)
{
    for (int load = 0; load < cell->count; load++)
        printf(" %.*f |", digits, cell_typical(cell, load, of));
    if (cell->count <= HANDLE)
        printf(" |");
    printf(" **%.2f** |", cell_ratio(cell, NEW, OLD, of));
    if (cell->count > HANDLE)
        printf(" **%.2f** |", cell_ratio(cell, HANDLE, OLD, of));
    else
        printf(" |");
}

static void run_row(const struct row *row, enum procedure procedure, const char *library,
                    const char *other, const struct cell_options *options)
{
    struct load load = {TRANSPORT_DOOR,     procedure,        row->callers, row->arg_size,
                        row->result_size, row->is_by_process, 1,            library};
    struct cell cell = {.count = 2, .load = {load, load, load}};

    cell.load[OLD].library = other;
    if (library_has_handles(library)) {
        cell.load[HANDLE].transport = TRANSPORT_HANDLE;
        cell.count = HANDLE + 1;
    }
    cell_run(&cell, options);
    printf("| %s | %s |", cell_callers(&load),
           row->large != NULL ? row->large : cell_procedure(&load));
    print_of(&cell, cpu_us, 2);
    print_of(&cell, calls_per_s, 0);
    print_of(&cell, p99_us, 0);
    printf("\n");
    fflush(stdout);
}

void compare_libraries(const char *library, const char *other, const struct wanted *wanted,
                       const struct cell_options *options)
{
    printf("\n## Two builds of libdoor\n\n"
           "*new* %s, *old* %s, *handle*: new, through a handle. CPU of all processes.\n\n",
           library, other);
    printf("| callers | procedure |"
           " CPU us per call: new | old | handle | new/old | handle/old |"
           " calls/s: new | old | handle | new/old | handle/old |"
           " p99 us: new | old | handle | new/old | handle/old |\n"
           "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (wanted->callers != 0 && wanted->callers != rows[i].callers)
            continue;
        for (int procedure = PROCEDURE_EMPTY; procedure <= PROCEDURE_SLEEP; procedure++) {
            int is_large = rows[i].large != NULL;
            if (is_large ? wanted->procedure < 0 && procedure == PROCEDURE_EMPTY
                         : wanted->procedure < 0 || wanted->procedure == procedure)
                run_row(&rows[i], (enum procedure)procedure, library, other, options);
        }
    }
}

/* ------------------------------------------------ channels */

static void print_grown(const struct load *load, const struct cell_options *options)
{
    static long (*const of[])(pid_t) = {sample_descriptors, sample_pss_kib, sample_pss_shmem_kib};
    struct held before[3], after;
    struct party *party = party_start(load, options->dir);

    for (int i = 0; i < 3; i++)
        before[i] = party_sample(party, of[i]);
    party_run(party, CHANNEL_WINDOW_MS);
    for (int i = 0; i < 3; i++) {
        after = party_sample(party, of[i]);
        printf(" %.1f | %.1f |", (double)(after.server - before[i].server) / CHANNELS,
               (double)(after.client - before[i].client) / CHANNELS);
    }
    party_stop(party);
}

static void print_channel(const char *what, const char *name, const struct load *load,
                          const struct cell_options *options)
{
    printf("| %s | %s |", what, name);
    print_grown(load, options);
    printf("\n");
    fflush(stdout);
}

void compare_channels(const char *library, const char *other, const struct cell_options *options)
{
    struct load doors = {.callers = 1,
                         .arg_size = CELL_SMALL,
                         .result_size = CELL_SMALL,
                         .doors = CHANNELS,
                         .library = library};
    struct load clients = doors;

    clients.doors = 1;
    clients.callers = CHANNELS;
    clients.is_by_process = 1;
    printf("\n## What a channel costs\n\n"
           "Grown by in the first window, each. PSS counts what is shared once, over both sides;\n"
           "of it shmem. *channel*: one caller, %d doors; *client*: %d processes, one door.\n\n",
           CHANNELS, CHANNELS);
    printf("| | library | descriptors: server | client | PSS KiB: server | client |"
           " shmem KiB: server | client |\n|---|---|---:|---:|---:|---:|---:|---:|\n");
    print_channel("channel", library, &doors, options);
    print_channel("client", library, &clients, options);
    if (other == NULL)
        return;
    doors.library = clients.library = other;
    print_channel("channel", other, &doors, options);
    print_channel("client", other, &clients, options);
}
