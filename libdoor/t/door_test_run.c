/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_test_run.c: see door_test_run.h.
 */
#include "door_test_run.h"

#include <stdlib.h>

int door_test_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
