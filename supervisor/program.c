/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * program.c: finds out what kind of file a program is from its first bytes, as execve(2)
 * does.  It does not decide whether something is wrong.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "supervisor.h"

static size_t read_start(const char *path, char *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t len = fd != -1 ? read(fd, bytes, size) : -1;

    if (fd != -1)
        close(fd);
    return len > 0 ? (size_t)len : 0;
}

/* Copies the word at *at, and moves *at behind it. */
static void take_word(const char **at, char *word)
{
    size_t len;

    *at += strspn(*at, " \t");
    len = strcspn(*at, " \t");
    memcpy(word, *at, len);
    word[len] = '\0';
    *at += len;
}

static void read_first_line(char *line, struct program *program)
{
    const char *at = line + 2;
    size_t len = strcspn(line, "\n");
    int is_whole = len < PROGRAM_LINE_MAX;

    line[len] = '\0';
    program->kind = PROGRAM_SCRIPT;
    program->has_return = len > 2 && line[len - 1] == '\r';
    if (program->has_return)
        line[len - 1] = '\0';
    take_word(&at, program->interpreter);
    program->is_bare = *at == '\0';
    program->is_cut = program->is_bare && !is_whole;
    take_word(&at, program->argument);
}

void program_look(const char *path, struct program *program)
{
    char bytes[PROGRAM_LINE_MAX + 1];
    size_t len = read_start(path, bytes, PROGRAM_LINE_MAX);

    memset(program, 0, sizeof(*program));
    bytes[len] = '\0';
    if (len == 0) {
        program->kind = access(path, R_OK) == 0 ? PROGRAM_TEXT : PROGRAM_UNREAD;
    } else if (len >= 2 && memcmp(bytes, "#!", 2) == 0) {
        read_first_line(bytes, program);
    } else {
        program->kind = memchr(bytes, '\0', len) != NULL || (len >= 4 && memcmp(bytes, "\177ELF", 4) == 0)
                            ? PROGRAM_BINARY
                            : PROGRAM_TEXT;
    }
}
