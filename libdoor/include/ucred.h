/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ucred.h: the part of illumos' user credentials that door_ucred() needs.
 *
 * A ucred_t is opaque.  door_ucred() allocates it, or fills the one it is given;
 * the caller releases it with ucred_free().  If the system did not tell a value, its
 * getter returns (uid_t)-1, (gid_t)-1 or -1; ucred_getgroups() also sets errno to
 * EINVAL.  A ucred_t may be used by one thread at a time.
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

/* The number of supplementary groups.  *groups points into uc, and is valid as long as uc. */
int ucred_getgroups(const ucred_t *uc, const gid_t **groups);

#ifdef __cplusplus
}
#endif

#endif
