/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * quota.h: how many of a server's descriptors its clients may make it hold:
 * one for a connection that came by a name, three for a channel.  Without a
 * limit for each of them one client could leave no descriptor to the others.
 *
 * Nobody configures anything: the limits follow from what is free.  Of the
 * soft RLIMIT_NOFILE, as it is when asked, three quarters are for clients, the
 * rest is the program's own.  After taking something
 *
 *     a process holds at most half of what is then left, and
 *     all processes of a user hold at most four times what is then left.
 *
 * So with 1,024 descriptors (768 for clients) one process gets 256 at most, and
 * one user 614, which is 153 processes with a connection and a channel each;
 * 154 are left then, of which the next user gets 123, and so on.
 *
 * Any thread may call these.
 */
#ifndef LIBDOOR_QUOTA_H
#define LIBDOOR_QUOTA_H

#include <sys/socket.h>

struct quota_account;

/* What somebody holds; all zero: nothing. */
struct quota_share {
    struct quota_account *user, *process;
    unsigned count; /* descriptors */
};

/*
 * Charges count descriptors to a process and its user, as the kernel tells
 * them; pid 0 is a process that this one cannot see (pid_namespaces(7)), and
 * only its user counts.  This process itself is never refused.  0, or -1 with
 * EMFILE: more than they may have, or ENOMEM.
 */
int quota_take(struct quota_share *share, const struct ucred *who, unsigned count);

/* Does nothing for a share of nothing. */
void quota_give_back(struct quota_share *share);

#endif
