/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * open_elsewhere.c: a library that opens files, and was built without libdoor.
 */
#include <fcntl.h>

int open_elsewhere(const char *path);

int open_elsewhere(const char *path)
{
    return open(path, O_RDONLY);
}
