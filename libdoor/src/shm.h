/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shm.h: what a client process and a server process share, and what they say
 * to each other on sockets.  Changing anything here changes SHM_VERSION.
 *
 * The server makes the memory file (sealed, so that nobody can shrink it) and
 * hands it to one client process, which may write every byte of it at any
 * time.  The server therefore reads each field once, into its own memory,
 * checks the copy, and keeps what it must rely on (which slots are busy, what
 * is mapped) on its own side.
 *
 *     offset 0              struct shm_head
 *     SHM_SLOTS             SHM_SLOT_COUNT times struct shm_slot
 *     SHM_WINDOWS           a sparse window of SHM_WINDOW_SIZE for each slot,
 *                           for data that do not fit into the slot
 *
 * A call: the caller owns a slot, fills it, sets the slot's bit in `pending`
 * and rings the bell (a pipe of its own whose other end is in the server's epoll)
 * unless `waking` says that it rang already.  Whoever clears the bit has the call: a server thread
 * that runs it, or the caller that takes it back.  The reply is in the slot
 * when `state` becomes SLOT_DONE.
 *
 * `waking` is 1 while a ring is on its way: from the caller's exchange until
 * the server thread that the bell woke clears it, which it does before it
 * looks at `pending`.  A server thread that is about to reply, and will look
 * before it sleeps, sets and clears it likewise: no ring is needed meanwhile.
 *
 * A call that is to follow another one is not set in `pending` by its caller,
 * who puts it into the other's `next`; the server sets it there when it replies
 * to that, and says SHM_NEXT_LATE to whoever comes later.
 */
#ifndef LIBDOOR_SHM_H
#define LIBDOOR_SHM_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <door.h>

#include "fd.h"

#define SHM_VERSION 7

#define SHM_SLOT_COUNT 256u
#define SHM_WORD_COUNT (SHM_SLOT_COUNT / 64)
#define SHM_SLOT_SIZE 16384u
#define SHM_INLINE_SIZE (SHM_SLOT_SIZE - 64u) /* bytes of data a slot holds */

#define SHM_SLOTS 4096
#define SHM_MAPPED_SIZE (SHM_SLOTS + (size_t)SHM_SLOT_COUNT * SHM_SLOT_SIZE)
#define SHM_WINDOWS ((off_t)1 << 32)
#define SHM_WINDOW_SIZE ((uint64_t)1 << 32)
/* The longest argument or result: what a window holds, and this process can address. */
#define SHM_DATA_MAX (sizeof(size_t) > 4 ? SHM_WINDOW_SIZE : (uint64_t)1 << 31)
#define SHM_FILE_SIZE (SHM_WINDOWS + (off_t)(SHM_SLOT_COUNT * SHM_WINDOW_SIZE))

#define SHM_IN_SLOT UINT64_MAX /* an offset that is none */

/* What follows a call, beside the number of a slot. */
#define SHM_NEXT_NONE SHM_SLOT_COUNT
#define SHM_NEXT_LATE (SHM_SLOT_COUNT + 1)

/* A window longer than this is given back after the call. */
#define SHM_WINDOW_KEEP ((size_t)1 << 20)

enum slot_state {
    SLOT_IDLE,    /* nobody's call */
    SLOT_CALLING, /* a call that its caller does not sleep on yet */
    SLOT_WAITING, /* the caller sleeps, or is about to */
    /* The server asks something of the caller, */
    SLOT_IDENTIFY, /* its credentials: it sends them, and goes back to waiting */
    SLOT_SEND,     /* the call's descriptors: it sends them */
    SLOT_DELIVER,  /* to take the reply's descriptors, which were sent to it */
    /* and the caller has answered, and goes on waiting: */
    SLOT_REFUSED, /* it could not */
    SLOT_SENT,    /* they are on their way */
    SLOT_TAKEN,   /* it has them */
    SLOT_DONE,    /* the reply is here; the server is through with the slot */
    SLOT_DEAD,    /* set by the caller's process: the server is gone */
    /* Asked like SLOT_SEND, once for a channel: where replies' descriptors are to be sent. */
    SLOT_RECEIVE
};

struct shm_slot {
    alignas(64) _Atomic uint32_t state; /* enum slot_state; the caller's futex */
    _Atomic uint32_t error;             /* reply: errno, 0 for success */
    uint64_t arg_size;                  /* bytes; 0: argp is NULL */
    uint64_t arg_at;                    /* where in the window; SHM_IN_SLOT: in data */
    uint64_t result_size;               /* bytes */
    uint64_t result_at;                 /* likewise */
    uint32_t call;                      /* the client counts: which call's letters */
    uint32_t reply;                     /* the server counts: which reply's letters */
    uint32_t arg_desc_count;            /* descriptors to be sent with the call */
    uint32_t result_desc_count;         /* with the reply */
    uint32_t result_desc_max;           /* how many of them its caller takes */
    _Atomic uint32_t next;              /* the slot whose call is to follow, or SHM_NEXT_* */
    alignas(64) char data[SHM_INLINE_SIZE];
};

struct shm_head {
    alignas(64) _Atomic uint32_t waking;
    _Atomic uint32_t revoked; /* the server's word: no call will be taken any more */
    alignas(64) _Atomic uint64_t pending[SHM_WORD_COUNT]; /* a bit for each slot */
};

/* The same in 32-bit and in 64-bit processes, which call each other. */
_Static_assert(sizeof(off_t) == 8, "32 bits: build with -D_FILE_OFFSET_BITS=64");
_Static_assert(sizeof(struct shm_head) <= SHM_SLOTS, "the slots start behind the head");
_Static_assert(sizeof(struct shm_slot) == SHM_SLOT_SIZE, "slots are page multiples");

static inline struct shm_slot *shm_slot(void *shm, unsigned slot)
{
    return (struct shm_slot *)((char *)shm + SHM_SLOTS) + slot;
}

static inline struct shm_head *shm_head(void *shm)
{
    return shm;
}

/* The slot's bit in word slot / 64 of a map. */
static inline uint64_t shm_bit(unsigned slot)
{
    return 1ull << (slot % 64);
}

static inline off_t shm_window_offset(unsigned slot)
{
    return SHM_WINDOWS + (off_t)(slot * SHM_WINDOW_SIZE);
}

/* Reads a field that the peer may change at any time: once, whatever the compiler likes. */
#define SHM_READ(field) (*(const volatile __typeof__(field) *)&(field))

#define SHM_ERRNO_MAX 4095 /* MAX_ERRNO of the kernel, linux/err.h */

/* What the other side says went wrong, as an errno: 0, or EPROTO if it is none. */
int shm_errno(uint32_t error);

/* What one side has mapped of a slot's window; the thread that has the slot owns it. */
struct shm_window {
    char *base;
    size_t size;      /* 0: nothing */
    uint32_t written; /* bytes from the start that the other side had there once */
};

/* Maps size bytes of the memory file; a forked child does not get them.  MAP_FAILED: errno. */
void *shm_map(int fd, off_t offset, size_t size);

/* The slot's window, mapped for at least size bytes; NULL and errno. */
char *shm_window_map(struct shm_window *w, const struct own_fd *memory, unsigned slot, size_t size);
void shm_window_unmap(struct shm_window *w);

/*
 * Whether what the other side says is there, size bytes at the offset at, has been
 * written: what never was would cost who reads it the memory that the other has not
 * spent.  Asking takes long, so as much as was there once is not asked for again, if
 * it is little.
 */
int shm_window_is_written(struct shm_window *w, const struct own_fd *memory, unsigned slot,
                          uint64_t at, uint64_t size);

/*
 * Requests a client sends on the door descriptor itself.  It is shared by
 * everybody who holds the door, so answers never come back on it: each request
 * carries a socket of the client's making, for one answer.
 */
#define MSG_MAGIC 0x524f4f44u

enum msg_op {
    MSG_OPEN = 1, /* give me a channel for calls; the second descriptor is its bell */
    MSG_INFO,     /* tell me about the door */
    MSG_ATTACH,   /* the second socket listens on a name: serve it; the third is that, O_PATH */
    MSG_DETACH    /* the name that led to this descriptor is gone */
};

struct msg_request {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
};

/* The answer to each of them, on the socket that came along. */
struct msg_answer {
    uint32_t magic;
    int32_t error;        /* errno, 0 for success */
    uint64_t instance_id; /* of the server process; tells DOOR_LOCAL */
    uint64_t data_max;    /* the door's parameters, door_getparam(3C) */
    uint64_t data_min;
    uint64_t desc_max;
    struct door_info info; /* MSG_OPEN: with two descriptors: control, memory */
    uint32_t threads;      /* MSG_INFO: of the door's pool */
    uint32_t threads_most;
    uint32_t calls; /* of the door, that run */
    uint32_t unused;
};

#endif
