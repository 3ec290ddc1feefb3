/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shm.h: the memory that a client process and a server process share, and their
 * messages on sockets.  SHM_VERSION must change whenever anything here does.
 *
 * The server makes the memory file (sealed, so that nobody can shrink it) and sends
 * it to one client process, which may write every byte of it at any time.  So the
 * server reads each field once, into its own memory, and checks the copy.  What it
 * must rely on (which slots are busy, what is mapped) it keeps in its own memory.
 *
 *     offset 0              struct shm_head
 *     SHM_SLOTS             SHM_SLOT_COUNT times struct shm_slot
 *     SHM_WINDOWS           a sparse window of SHM_WINDOW_SIZE for each slot,
 *                           for data that do not fit into the slot
 *
 * A call: the caller owns a slot, fills it, sets the slot's bit in `pending`, and rings
 * the bell (the client's pipe, whose other end is in the server's epoll) unless `waking`
 * says that it was rung already.  Whoever clears the bit owns the call: a server thread
 * that runs it, or the caller that withdraws it.  The reply is in the slot when `state`
 * becomes SLOT_DONE.
 *
 * `waking` is 1 while a ring is on its way: from the caller's exchange until the server
 * thread that the bell has woken clears it, which it does before it reads `pending`.  A
 * server thread that is about to reply, and will read `pending` before it sleeps, sets
 * and clears `waking` in the same way, so that no ring is needed meanwhile.
 *
 * A call that is queued behind another one is not set in `pending` by its caller, but
 * put into the other's `next`.  When the server replies to the other call, it sets the
 * queued call in `pending`, and sets `next` to SHM_NEXT_LATE for callers that come later.
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
#define SHM_INLINE_SIZE (SHM_SLOT_SIZE - 64u) /* bytes of data that fit into a slot */

#define SHM_SLOTS 4096
#define SHM_MAPPED_SIZE (SHM_SLOTS + (size_t)SHM_SLOT_COUNT * SHM_SLOT_SIZE)
#define SHM_WINDOWS ((off_t)1 << 32)
#define SHM_WINDOW_SIZE ((uint64_t)1 << 32)
/* The longest argument or result: what fits into a window, and this process can address. */
#define SHM_DATA_MAX (sizeof(size_t) > 4 ? SHM_WINDOW_SIZE : (uint64_t)1 << 31)
#define SHM_FILE_SIZE (SHM_WINDOWS + (off_t)(SHM_SLOT_COUNT * SHM_WINDOW_SIZE))

#define SHM_IN_SLOT UINT64_MAX /* instead of an offset: the data are in the slot itself */

/* Values of `next` beside the number of a slot. */
#define SHM_NEXT_NONE SHM_SLOT_COUNT
#define SHM_NEXT_LATE (SHM_SLOT_COUNT + 1)

/* The memory of a longer window is freed after the call. */
#define SHM_WINDOW_KEEP ((size_t)1 << 20)

enum slot_state {
    SLOT_IDLE,    /* no call */
    SLOT_CALLING, /* there is a call, and its caller does not sleep yet */
    SLOT_WAITING, /* the caller sleeps, or is about to */
    /* Questions of the server: */
    SLOT_IDENTIFY, /* send your credentials, and go back to waiting */
    SLOT_SEND,     /* send the call's descriptors */
    SLOT_DELIVER,  /* take the reply's descriptors, which were sent */
    /* Answers of the caller, which goes on waiting then: */
    SLOT_REFUSED, /* it could not do that */
    SLOT_SENT,    /* the descriptors were sent */
    SLOT_TAKEN,   /* it has the descriptors */
    SLOT_DONE,    /* the reply is here, and the server has finished with the slot */
    SLOT_DEAD,    /* set by the caller's own process: the server is gone */
    /* Another question, once for a channel: send a socket for the descriptors of replies. */
    SLOT_RECEIVE
};

struct shm_slot {
    alignas(64) _Atomic uint32_t state; /* enum slot_state; the caller's futex */
    _Atomic uint32_t error;             /* of the reply: errno, 0 for success */
    uint64_t arg_size;                  /* bytes; 0: argp is NULL */
    uint64_t arg_at;                    /* offset in the window; SHM_IN_SLOT: in data */
    uint64_t result_size;               /* bytes */
    uint64_t result_at;                 /* offset in the window; SHM_IN_SLOT: in data */
    uint32_t call;                      /* the client's number of the call, for its letters */
    uint32_t reply;                     /* the server's number of the reply, for its letters */
    uint32_t arg_desc_count;            /* descriptors to be sent with the call */
    uint32_t result_desc_count;         /* descriptors of the reply */
    uint32_t result_desc_max;           /* how many of these the caller takes */
    _Atomic uint32_t next;              /* slot of the call queued behind, or SHM_NEXT_* */
    alignas(64) char data[SHM_INLINE_SIZE];
};

struct shm_head {
    alignas(64) _Atomic uint32_t waking;
    _Atomic uint32_t revoked; /* set by the server: no call will be taken any more */
    alignas(64) _Atomic uint64_t pending[SHM_WORD_COUNT]; /* a bit for each slot */
};

/* 32-bit and 64-bit processes can call each other, so the layout must be the same. */
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

/* Reads a field that the peer may change at any time, exactly once. */
#define SHM_READ(field) (*(const volatile __typeof__(field) *)&(field))

#define SHM_ERRNO_MAX 4095 /* the kernel's MAX_ERRNO, linux/err.h */

/* Checks an error number from the other side: returns it, or EPROTO if it can be no errno. */
int shm_errno(uint32_t error);

/* One side's mapping of a slot's window.  The thread that has the slot owns it. */
struct shm_window {
    char *base;
    size_t size;      /* 0: not mapped */
    uint32_t written; /* so many bytes at the beginning are known to have been written */
};

/* Maps size bytes of the memory file; a forked child does not get them.  MAP_FAILED and errno. */
void *shm_map(int fd, off_t offset, size_t size);

/* Maps at least size bytes of the slot's window, and returns their address; NULL and errno. */
char *shm_window_map(struct shm_window *w, const struct own_fd *memory, unsigned slot, size_t size);
void shm_window_unmap(struct shm_window *w);

/*
 * Whether the other side has really written the size bytes at offset at of the window, which are
 * mapped.  Reading memory that was never written would allocate it, at this side's expense.
 * Checking takes long, so the beginning of a window, once checked, is not checked again.
 */
int shm_window_is_written(struct shm_window *w, const struct own_fd *memory, unsigned slot,
                          uint64_t at, uint64_t size);

/*
 * Requests that a client sends on the door descriptor itself.  Other processes may share that
 * descriptor, so answers never come back on it: each request carries a socket of the
 * client's making, for one answer.
 */
#define MSG_MAGIC 0x524f4f44u

enum msg_op {
    MSG_OPEN = 1, /* make a channel for calls; the second descriptor is its bell */
    MSG_INFO,     /* describe the door */
    MSG_ATTACH,   /* serve the second socket, which listens on a name; the third is that, O_PATH */
    MSG_DETACH    /* stop serving the name by which this descriptor was opened */
};

struct msg_request {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
};

/* The answer to each request, on the socket that came with it. */
struct msg_answer {
    uint32_t magic;
    int32_t error;        /* errno, 0 for success */
    uint64_t instance_id; /* of the server process, to find out DOOR_LOCAL */
    uint64_t data_max;    /* the door's parameters; see door_getparam(3C) */
    uint64_t data_min;
    uint64_t desc_max;
    struct door_info info; /* the answer to MSG_OPEN also has two descriptors: control, memory */
    uint32_t threads;      /* MSG_INFO: threads of the door's pool */
    uint32_t threads_most;
    uint32_t calls; /* calls of the door that run */
    uint32_t unused;
};

#endif
