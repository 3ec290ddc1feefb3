/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ucred.h: the part of illumos' user credentials that door_ucred() needs.
 *
 * A ucred_t is opaque; door_ucred() allocates it, or fills the one it is
 * given, and ucred_free() releases it.  Each getter returns (uid_t)-1,
 * (gid_t)-1 or -1 with errno EINVAL for what the system did not tell.
 * One thread at a time per ucred_t.
 */
#ifndef LIBDOOR_UCRED_H
#define LIBDOOR_UCRED_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ucred_s ucred_t;

void ucred_free(ucred_t *uc);
uid_t ucred_geteuid(const ucred_t *uc);
uid_t ucred_getruid(const ucred_t *uc);
uid_t ucred_getsuid(const ucred_t *uc);
gid_t ucred_getegid(const ucred_t *uc);
gid_t ucred_getrgid(const ucred_t *uc);
gid_t ucred_getsgid(const ucred_t *uc);
pid_t ucred_getpid(const ucred_t *uc);

/* Supplementary groups: their count; *groups points into uc and lives as long. */
int ucred_getgroups(const ucred_t *uc, const gid_t **groups);

#ifdef __cplusplus
}
#endif

#endif
