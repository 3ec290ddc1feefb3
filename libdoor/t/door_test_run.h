/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_test_run.h: how every C test, of whichever folder, runs its suite.
 */
#ifndef DOOR_TEST_RUN_H
#define DOOR_TEST_RUN_H

#include <check.h>

/* Runs the suite and frees it, TAP on stdout; the program's exit status. */
int door_test_run(Suite *suite);

#endif
