/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door.h: the doors API of illumos, for Linux.
 *
 * A door is a descriptor that stands for a procedure in a process.  The server
 * makes one with door_create() and gives it a name with fattach() (stropts.h);
 * a client open()s the name read-only and door_call()s it.  The procedure runs
 * on a thread of the server and ends in door_return(), which hands the result
 * to the waiting client and never comes back: the thread goes on to the next
 * call with a clean stack.
 *
 * Threads: every function may be called from any thread; any number of threads
 * may call through one descriptor at once.  Server threads appear when they
 * are needed.  No function here is async-signal-safe.
 *
 * Fork: the child of a server serves no doors; the door descriptors that it
 * inherits can be called.
 *
 * Everything is spelt as illumos spells it, so that its programs compile
 * unchanged.  Where the behaviour differs, libdoor/README.md says so; the
 * functions are described in section 3 of the manual.
 */
#ifndef LIBDOOR_DOOR_H
#define LIBDOOR_DOOR_H

#include <string.h> /* programs for illumos count on this, and on <stropts.h> */
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
 * illumos has these in <sys/stat.h>, which has to be included here too.  On
 * Linux a door is a socket to stat(2): they say that it may be a door, and
 * isastream() (stropts.h) knows.
 */
#ifndef S_ISDOOR
#define S_IFDOOR S_IFSOCK
#define S_ISDOOR(mode) S_ISSOCK(mode)
#endif

typedef unsigned long long door_ptr_t; /* holds a pointer of any process */
typedef unsigned long long door_id_t;  /* system-wide unique number of a door */
typedef unsigned int door_attr_t;      /* DOOR_* attributes, or-ed */

#define DOOR_INVAL -1 /* no descriptor is ever this */
#define DOOR_QUERY -2 /* door_info(): the door this thread is bound to */

/* What the procedure gets as argp when nobody else refers to its door any more. */
#define DOOR_UNREF_DATA ((void *)1)

/* Attributes that door_create() takes. */
#define DOOR_UNREF 0x01       /* tell once when the last reference but one goes */
#define DOOR_PRIVATE 0x02     /* served only by threads that door_bind() */
#define DOOR_UNREF_MULTI 0x10 /* tell each time the last reference but one goes */
#define DOOR_REFUSE_DESC 0x40 /* calls must not carry descriptors */
#define DOOR_NO_CANCEL 0x80   /* a client that gives up cancels no thread */

/* An attribute that only door_xcreate() takes. */
#define DOOR_NO_DEPLETION_CB 0x100 /* its creation function is called at first only */

/* Attributes that door_info() and received descriptors report as well. */
#define DOOR_LOCAL 0x04    /* the door is served by this process */
#define DOOR_REVOKED 0x08  /* revoked, or its server is gone */
#define DOOR_IS_UNREF 0x20 /* one reference at most, the creator's as a rule */
#define DOOR_PRIVCREATE 0x200   /* made by door_xcreate() */
#define DOOR_DEPLETION_CB 0x400 /* what a creation function sees: not the first call */

/* What a door_desc_t carries. */
#define DOOR_DESCRIPTOR 0x10000 /* a file descriptor */
#define DOOR_RELEASE 0x40000    /* the sender's copy is closed when sent */

/* Parameters of door_getparam() and door_setparam(). */
#define DOOR_PARAM_DESC_MAX 1 /* most descriptors in a call */
#define DOOR_PARAM_DATA_MAX 2 /* most bytes of argument data in a call */
#define DOOR_PARAM_DATA_MIN 3 /* fewest bytes of argument data in a call */

/*
 * As illumos on x86 packs these two in 64-bit programs (sys/door.h there), so
 * that a program has one layout of them whatever its pointers are: 24 and 48
 * bytes, 4-aligned.  A pointer to an 8-byte member of them may be misaligned:
 * copy the member.
 */
#pragma pack(push, 4)

/* A descriptor on its way, in a call or in a result. */
typedef struct door_desc {
    door_attr_t d_attributes; /* DOOR_DESCRIPTOR, and what is known of a door */
    union {
        struct {
            int d_descriptor; /* the sender's number, then the receiver's own */
            door_id_t d_id;   /* unique id if it is a door, otherwise 0 */
        } d_desc;
        int d_resv[5];
    } d_data;
} door_desc_t;

/* What door_info() tells. */
typedef struct door_info {
    pid_t di_target;           /* the server's process, -1 when it is gone */
    door_ptr_t di_proc;        /* its procedure, in its address space */
    door_ptr_t di_data;        /* the cookie given to door_create() */
    door_attr_t di_attributes; /* DOOR_* attributes, or-ed */
    door_id_t di_uniquifier;   /* system-wide unique number of the door */
    int di_resv[4];
} door_info_t;

#pragma pack(pop)

/* What door_cred() tells of the caller. */
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
    char *rbuf;            /* room for results; a new mapping if they are larger */
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
