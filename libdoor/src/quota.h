/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * quota.h: limits how many of a server's descriptors its clients can take: one for a
 * connection that was opened by a name, three for a channel, and one more for results
 * with descriptors.  Without a limit for each client, one client could take all.
 *
 * Nothing is configured: the limits follow from what is free.  Three quarters of the
 * current soft RLIMIT_NOFILE are for clients, and the rest is for the program.  After
 * taking something
 *
 *     a process holds at most half of what is then left, and
 *     all processes of a user together hold at most four times what is then left.
 *
 * So with 1,024 descriptors (768 for clients) one process gets at most 256, and one
 * user 614, which is 153 processes with a connection and a channel each.  Then 154 are
 * left, of which the next user gets 123, and so on.
 *
 * Any thread may call these functions.
 */
#ifndef LIBDOOR_QUOTA_H
#define LIBDOOR_QUOTA_H

#include <sys/socket.h>

struct quota_account;

/* Descriptors that a client holds; if all is zero, none. */
struct quota_share {
    struct quota_account *user, *process;
    unsigned count; /* descriptors */
};

/*
 * Charges count descriptors to a process and its user; the kernel has told who they are.
 * A process that this one cannot see has pid 0 (pid_namespaces(7)), and only its user is
 * charged.  This process itself is never refused.  Returns 0, or -1 with EMFILE if that
 * is more than they may have, or ENOMEM.
 */
int quota_take(struct quota_share *share, const struct ucred *who, unsigned count);

/* Gives a share back, which may be zero. */
void quota_give_back(struct quota_share *share);

#endif
