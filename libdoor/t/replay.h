/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * replay.h: a fuzz target's corpus as a test: each file is one input.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stddef.h>
#include <stdint.h>

/* What every fuzz target is; declared, since it is called from outside as well. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process unless what was expected holds. */
void replay_require(int holds);

#ifdef FUZZ_REPLAY
/* Feeds the files named in argv, or those that pattern matches; an exit status. */
int replay(int (*target)(const uint8_t *data, size_t size), const char *pattern, int argc,
           char **argv);
#endif

#endif
