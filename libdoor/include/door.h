/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door.h: the doors API of illumos, for Linux.
 *
 * A door is a descriptor that stands for a procedure in a process.  The server
 * makes a door with door_create() and gives it a name with fattach() (stropts.h);
 * a client open()s the name read-only and calls the door with door_call().  The
 * procedure runs on a thread of the server and ends with door_return(), which passes
 * the result to the waiting client and does not return: the thread goes on to the
 * next call with a clean stack.
 *
 * Threads: every function may be called from any thread; any number of threads
 * may call through one descriptor at once.  Server threads are made when they
 * are needed.  No function here is async-signal-safe.
 *
 * Fork: the child of a server serves no doors; the door descriptors that it
 * inherits can be called.
 *
 * All names are those of illumos, so that programs for illumos compile unchanged.
 * libdoor/README.md says where the behaviour differs.  Section 3 of the manual
 * describes each function, with its errors and who owns what.
 */
#ifndef LIBDOOR_DOOR_H
#define LIBDOOR_DOOR_H

#include <string.h> /* programs for illumos rely on this, and on <stropts.h> */
#include <sys/types.h>

#include <stropts.h>
#include <ucred.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef LIBDOOR_UINT_T
#define LIBDOOR_UINT_T
typedef unsigned char uchar_t; /* illumos has these in <sys/types.h> */
typedef unsigned short ushort_t;
typedef unsigned int uint_t;
typedef unsigned long ulong_t;
#endif

/*
 * illumos has these in <sys/stat.h>, which programs must include here, too.  On Linux
 * stat(2) shows a door as a socket.  So these say only that a file may be a door;
 * isastream() (stropts.h) knows whether it is one.
 */
#ifndef S_ISDOOR
#define S_IFDOOR S_IFSOCK
#define S_ISDOOR(mode) S_ISSOCK(mode)
#endif

typedef unsigned long long door_ptr_t; /* holds a pointer of any process */
typedef unsigned long long door_id_t;  /* system-wide unique number of a door */
typedef unsigned int door_attr_t;      /* DOOR_* attributes, or-ed */

#define DOOR_INVAL -1 /* never a descriptor */
#define DOOR_QUERY -2 /* for door_info(): the door that this thread is bound to */

/* The argp of the call that tells the procedure of DOOR_UNREF or DOOR_UNREF_MULTI. */
#define DOOR_UNREF_DATA ((void *)1)

/* Attributes that door_create() takes. */
#define DOOR_UNREF 0x01       /* call the procedure once when only one reference is left */
#define DOOR_PRIVATE 0x02     /* served only by threads that call door_bind() */
#define DOOR_UNREF_MULTI 0x10 /* call the procedure each time only one reference is left */
#define DOOR_REFUSE_DESC 0x40 /* calls must not carry descriptors */
#define DOOR_NO_CANCEL 0x80   /* a client that gives up does not cancel the thread */

/* An attribute that only door_xcreate() takes. */
#define DOOR_NO_DEPLETION_CB 0x100 /* call the creation function only at the beginning */

/* Attributes that only door_info() and received descriptors report. */
#define DOOR_LOCAL 0x04    /* the door is served by this process */
#define DOOR_REVOKED 0x08  /* the door was revoked, or its server is gone */
#define DOOR_IS_UNREF 0x20 /* at most one reference is left, usually the creator's */
#define DOOR_PRIVCREATE 0x200   /* made by door_xcreate() */
#define DOOR_DEPLETION_CB 0x400 /* seen by a creation function: not the first call of it */

/* What a door_desc_t carries. */
#define DOOR_DESCRIPTOR 0x10000 /* a file descriptor */
#define DOOR_RELEASE 0x40000    /* the sender's descriptor is closed when it is sent */

/* Parameters of door_getparam() and door_setparam(). */
#define DOOR_PARAM_DESC_MAX 1 /* most descriptors in a call */
#define DOOR_PARAM_DATA_MAX 2 /* most bytes of argument data in a call */
#define DOOR_PARAM_DATA_MIN 3 /* fewest bytes of argument data in a call */

/*
 * These two are packed as in sys/door.h of illumos on x86, so that they have the same
 * layout in 32-bit and 64-bit programs: 24 and 48 bytes, 4-aligned.  A pointer to an
 * 8-byte member of them may be misaligned: copy the member.
 */
#pragma pack(push, 4)

/* A descriptor in a call or in a result. */
typedef struct door_desc {
    door_attr_t d_attributes; /* DOOR_DESCRIPTOR, and for a received door its attributes */
    union {
        struct {
            int d_descriptor; /* the sender's number; in what is received, the receiver's */
            door_id_t d_id;   /* in what is received: the unique id of a door, otherwise 0 */
        } d_desc;
        int d_resv[5];
    } d_data;
} door_desc_t;

/* The result of door_info(). */
typedef struct door_info {
    pid_t di_target;           /* the server's process, -1 when it is gone */
    door_ptr_t di_proc;        /* its procedure, in its address space */
    door_ptr_t di_data;        /* the cookie given to door_create() */
    door_attr_t di_attributes; /* DOOR_* attributes, or-ed */
    door_id_t di_uniquifier;   /* system-wide unique number of the door */
    int di_resv[4];
} door_info_t;

#pragma pack(pop)

/* The caller's credentials, as door_cred() returns them. */
typedef struct door_cred {
    uid_t dc_euid;
    gid_t dc_egid;
    uid_t dc_ruid;
    gid_t dc_rgid;
    pid_t dc_pid;
    int dc_resv[4];
} door_cred_t;

/* Arguments and results of door_call(); every member is updated by it. */
typedef struct door_arg {
    char *data_ptr;        /* argument data, then result data */
    size_t data_size;      /* bytes at data_ptr */
    door_desc_t *desc_ptr; /* argument descriptors, then result descriptors */
    uint_t desc_num;       /* how many at desc_ptr */
    char *rbuf;            /* room for results; if they are larger, a new mapping (munmap(2) it) */
    size_t rsize;          /* bytes at rbuf */
} door_arg_t;

typedef void door_server_procedure_t(void *cookie, char *argp, size_t arg_size, door_desc_t *dp,
                                     uint_t n_desc);
typedef void door_server_func_t(door_info_t *info);
typedef int door_xcreate_server_func_t(door_info_t *info, void *(*startf)(void *), void *startfarg,
                                       void *crcookie);
typedef void door_xcreate_thrsetup_func_t(void *crcookie);

int door_create(door_server_procedure_t *server_procedure, void *cookie, uint_t attributes);
int door_xcreate(door_server_procedure_t *server_procedure, void *cookie, uint_t attributes,
                 door_xcreate_server_func_t *thr_create_func,
                 door_xcreate_thrsetup_func_t *thr_setup_func, void *crcookie, int nthread);
int door_call(int d, door_arg_t *params);
int door_return(char *data_ptr, size_t data_size, door_desc_t *desc_ptr, uint_t num_desc);
int door_info(int d, door_info_t *info);
int door_revoke(int d);
int door_bind(int did);
int door_unbind(void);
door_server_func_t *door_server_create(door_server_func_t *create_proc);
int door_getparam(int d, int param, size_t *out);
int door_setparam(int d, int param, size_t val);
int door_cred(door_cred_t *info);
int door_ucred(ucred_t **info);

#ifdef __cplusplus
}
#endif

#endif
