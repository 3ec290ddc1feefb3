/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_mailbox.c: whatever letters come, in whatever order they are asked for,
 * the mailbox gives out only what it was sent, and keeps no descriptor.
 *
 * The input is a byte that says whose mailbox it is: 0 the server's, which says what it
 * expects; else the client's, which takes so many descriptors less one.  Then a list of
 * records: a byte that says what to do, one that says how many descriptors, and a struct
 * record (or less of it, at the end).
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
#define RAW 0x80 /* beside an operation: the bytes as they are */

/* A letter in a layout that is this file's own. */
struct record {
    uint32_t magic; /* RAW only */
    uint16_t kind, slot;
    uint32_t call, which;
};

enum aim { GIVEN, GIVEN_UNASKED, IDENTIFIED, GIVEN_UP, REFUSED };

static unsigned desc_max; /* the client's; less one */

static int welcome(const struct mailbox *m, unsigned slot)
{
    (void)m;
    return slot % 4 == 3 ? -1 : (int)desc_max - 1;
}

static void given_up(struct mailbox *m, unsigned slot, uint32_t call)
{
    (void)m;
    (void)call;
    replay_require(slot < SHM_SLOT_COUNT);
    replay_reached(GIVEN_UP);
}

static void close_all(int *fds, unsigned count)
{
    while (count > 0)
        replay_require(close(fds[--count]) == 0); /* each was open, and ours */
}

static void send_letter(int fd, const struct record *r, unsigned count)
{
    struct letter letter = {MSG_MAGIC, r->kind, r->slot, r->call, r->which};
    int fds[4] = {0, 1, 2, 0};

    fd_send(fd, &letter, sizeof(letter), fds, count % 5);
}

static void send_raw(int fd, const void *bytes, size_t len, unsigned count)
{
    int fds[4] = {0, 1, 2, 0};

    fd_send(fd, bytes, len, fds, count % 5);
}

static void take(struct mailbox *m, unsigned slot, uint32_t call, unsigned count)
{
    int fds[256];

    if (mailbox_take(m, slot, call, fds, count) == 0) {
        replay_require(m->welcome == NULL || count < desc_max);
        close_all(fds, count);
        if (count > 0)
            replay_reached(m->welcome == NULL ? GIVEN : GIVEN_UNASKED);
    } else {
        replay_require(errno == EPROTO || errno == EMFILE || errno == ENOMEM);
        replay_reached(REFUSED);
    }
}

static void ask(struct mailbox *m, unsigned operation, const struct record *r, unsigned count)
{
    unsigned slot = r->slot % SHM_SLOT_COUNT;
    struct credentials credentials;

    if (operation == 1) {
        take(m, slot, r->call, count);
    } else if (operation == 2) {
        mailbox_close(m, slot);
    } else if (operation == 3 && mailbox_take_credentials(m, slot, r->call, &credentials) == 0) {
        fd_close(credentials.socket);
        replay_reached(IDENTIFIED);
    } else if (operation == 4) {
        mailbox_read(m);
    } else if (operation == 6) {
        mailbox_expect(m, slot, r->call, count);
    }
}

/* fd: the mailbox's other end. */
static void play(struct mailbox *m, int fd, const uint8_t *data, size_t size)
{
    struct mailbox peer = {.out = {.fd = fd, .cookie = fd_cookie(fd)}};

    while (size > 2) {
        unsigned operation = (data[0] & ~RAW) % OPERATIONS, count = data[1];
        size_t len = size - 2 < sizeof(struct record) ? size - 2 : sizeof(struct record);
        struct record record = {0};

        memcpy(&record, data + 2, len);
        if (operation == 0 && (data[0] & RAW))
            send_raw(fd, data + 2, len, count);
        else if (operation == 0)
            send_letter(fd, &record, count);
        else if (operation == 5 && record.slot < SHM_SLOT_COUNT)
            mailbox_send_credentials(&peer, record.slot, record.call);
        else
            ask(m, operation, &record, count);
        data += 2 + len;
        size -= 2 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mailbox m = {0};
    int pair[2], on = 1;

    desc_max = size > 0 ? data[0] : 0;
    replay_require(fd_pair(pair) == 0);
    replay_require(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    if (desc_max == 0)
        mailbox_init(&m, pair[1], -1, getuid(), given_up, NULL);
    else
        mailbox_init(&m, pair[1], -1, (uid_t)-1, NULL, welcome);
    if (size > 1)
        play(&m, pair[0], data + 1, size - 1);
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
    static const char *const aims[] = {"descriptors that were expected",
                                       "descriptors of a result",
                                       "credentials",
                                       "a call that was given up",
                                       "descriptors that did not come",
                                       NULL};

    return replay(LLVMFuzzerTestOneInput, "libdoor/t/corpus/mailbox/*", aims, argc, argv);
}
#endif
