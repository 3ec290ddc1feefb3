/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * replay.h: a fuzz target's corpus as a test: each file is one input.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* What every fuzz target is; declared, since it is called from outside as well. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process unless what was expected holds. */
void replay_require(int holds);

/*
 * Says that the input got as far as aim, the number of one of the target's aims.  A corpus
 * that the code under test has outgrown gets nowhere, and would be no test.
 */
void replay_reached(unsigned aim);

/* poll(2) that libFuzzer's alarm does not end. */
int replay_poll(struct pollfd *fds, unsigned count, int timeout_ms);

#ifdef FUZZ_REPLAY
/*
 * Feeds the files named in argv, or those that pattern matches; an exit status.  A file
 * that is not empty has to reach one of the aims, and the corpus all of them.
 * aims: what each of them is, and NULL at the end.
 */
int replay(int (*target)(const uint8_t *data, size_t size), const char *pattern,
           const char *const *aims, int argc, char **argv);
#endif

#endif
