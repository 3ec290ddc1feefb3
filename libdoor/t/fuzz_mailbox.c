/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_mailbox.c: whatever letters come, in whatever order they are asked for,
 * the mailbox gives out only what it was sent, and keeps no descriptor.
 *
 * The input is a list of records: a byte that says what to do, one that says
 * how many descriptors, and a struct letter (or less of it, at the end).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "mailbox.h"
#include "replay.h"

#define OPERATIONS 7

static void close_all(int *fds, unsigned count)
{
    while (count > 0)
        replay_require(close(fds[--count]) == 0); /* each was open, and ours */
}

static void send_letter(int fd, const void *bytes, size_t len, unsigned count)
{
    int fds[4] = {0, 1, 2, 0};

    fd_send(fd, bytes, len, fds, count % 5);
}

static void ask(struct mailbox *m, unsigned operation, const struct letter *letter, unsigned count)
{
    unsigned slot = letter->slot % SHM_SLOT_COUNT;
    struct credentials credentials;
    int fds[256];

    if (operation == 1 && mailbox_take(m, slot, letter->call, fds, count) == 0)
        close_all(fds, count);
    else if (operation == 2)
        mailbox_close(m, slot);
    else if (operation == 3 &&
             mailbox_take_credentials(m, slot, letter->call, &credentials) == 0)
        fd_close(credentials.socket);
    else if (operation == 4)
        mailbox_read(m);
    else if (operation == 6)
        mailbox_expect(m, slot, letter->call, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mailbox m = {0};
    int pair[2], on = 1;

    replay_require(fd_pair(pair) == 0);
    replay_require(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    mailbox_init(&m, pair[1], getuid(), NULL, NULL);
    while (size > 2) {
        unsigned operation = data[0] % OPERATIONS, count = data[1];
        size_t len = size - 2 < sizeof(struct letter) ? size - 2 : sizeof(struct letter);
        struct letter letter = {0};

        memcpy(&letter, data + 2, len);
        if (operation == 0)
            send_letter(pair[0], data + 2, len, count);
        else if (operation == 5 && letter.slot < SHM_SLOT_COUNT)
            mailbox_send_credentials(&(struct mailbox){.fd = pair[0]}, letter.slot, letter.call);
        else
            ask(&m, operation, &letter, count);
        data += 2 + len;
        size -= 2 + len;
    }
    mailbox_read(&m);
    mailbox_destroy(&m);
    replay_require(m.held == 0);
    fd_close(pair[0]);
    fd_close(pair[1]);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    return replay(LLVMFuzzerTestOneInput, "libdoor/t/corpus/mailbox/*", argc, argv);
}
#endif
