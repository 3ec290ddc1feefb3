/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.c: see mailbox.h.  Descriptors from a peer are put into the pigeonhole of a
 * call that expects them, or closed.  No peer can make this process hold more than
 * HELD_MAX descriptors in one mailbox.
 */
#include "mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "thread.h"

#define BATCH_MAX 200              /* descriptors in a letter; the kernel takes 253 */
#define HELD_MAX (4 * MAILBOX_MAX) /* descriptors that wait to be taken */
#define POLL_MAX_MS 100
#define LETTERS_MAX 4096   /* letters that are read at a time: more than a socket holds */
#define BEHIND_MAX_MS 500  /* less than the sender waits for the answer */

struct pigeonhole {
    uint32_t call;    /* number of the call; letters of older calls are dropped */
    int is_expected;  /* by mailbox_expect() */
    unsigned max;     /* the most descriptors that the call takes */
    int error;     /* errno of why descriptors were lost, or 0 */
    unsigned count, cap;
    int *fds;
    struct credentials credentials;
};

/* For a socket that is hidden already. */
static struct own_fd own_socket(int fd)
{
    return (struct own_fd){.fd = fd, .cookie = fd_cookie(fd)};
}

void mailbox_init(struct mailbox *m, int in, int out, uid_t peer,
                  void (*abandoned)(struct mailbox *m, unsigned slot, uint32_t call),
                  int (*welcome)(const struct mailbox *m, unsigned slot))
{
    pthread_mutex_init(&m->lock, NULL);
    m->in = own_socket(in);
    m->out = own_socket(out);
    m->in_end = own_socket(-1);
    m->account = in >= 0 || out >= 0 ? closer_account_create(peer) : NULL;
    m->abandoned = abandoned;
    m->welcome = welcome;
}

/* The peer may have a copy of this socket, which it has made, so closing it may block. */
static void close_out(struct mailbox *m)
{
    if (own_fd_check(&m->out))
        closer_let_go(m->account, m->out.fd);
    m->out.fd = -1;
}

static void close_in(struct mailbox *m)
{
    own_fd_shut(&m->in, m->account);
    own_fd_close(&m->in_end);
    m->in.fd = m->in_end.fd = -1;
}

void mailbox_close_sockets(struct mailbox *m)
{
    close_in(m);
    close_out(m);
}

/* The control socket, which never changes, unlike the other ones. */
static const struct own_fd *control_of(const struct mailbox *m)
{
    return m->welcome != NULL ? &m->out : &m->in;
}

void mailbox_shut(const struct mailbox *m)
{
    const struct own_fd *control = control_of(m);
    int saved = errno;

    if (own_fd_check(control))
        shutdown(control->fd, SHUT_RDWR);
    errno = saved;
}

static void empty(struct mailbox *m, struct pigeonhole *p)
{
    m->held -= p->count;
    while (p->count > 0)
        closer_let_go(m->account, p->fds[--p->count]);
    closer_let_go(m->account, p->credentials.socket);
    p->credentials = (struct credentials){.socket = -1};
    p->error = 0;
    p->is_expected = 0;
}

void mailbox_destroy(struct mailbox *m)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        if (m->slot[slot] == NULL)
            continue;
        empty(m, m->slot[slot]);
        free(m->slot[slot]->fds);
        free(m->slot[slot]);
        m->slot[slot] = NULL;
    }
    closer_account_drop(m->account);
    m->account = NULL;
    pthread_mutex_destroy(&m->lock);
}

/* ------------------------------------------------ sending */

static int post(struct mailbox *m, const struct letter *letter, const int *fds, unsigned count,
                int64_t deadline_ns)
{
    if (!own_fd_check(&m->out)) {
        errno = EPIPE;
        return -1;
    }
    while (fd_send(m->out.fd, letter, sizeof(*letter), fds, count) < 0) {
        struct pollfd p = {.fd = m->out.fd, .events = POLLOUT};

        if (errno == ETOOMANYREFS)
            errno = EMFILE;
        if (errno != EAGAIN)
            return -1;
        if (deadline_ns != 0 && thread_now_ns() >= deadline_ns) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (poll(&p, 1, POLL_MAX_MS) < 0)
            return -1;
    }
    return 0;
}

int mailbox_send(struct mailbox *m, unsigned slot, uint32_t call, const int *fds, unsigned count,
                 int64_t deadline_ns)
{
    struct letter letter = {
        .magic = MSG_MAGIC, .kind = LETTER_DESCRIPTORS, .slot = (uint16_t)slot, .call = call};

    for (unsigned sent = 0; sent < count; sent += BATCH_MAX) {
        unsigned batch = count - sent < BATCH_MAX ? count - sent : BATCH_MAX;
        if (post(m, &letter, fds + sent, batch, deadline_ns) < 0)
            return -1;
    }
    return 0;
}

/*
 * Sends one message for each kind of ids.  The kernel checks that ids in a message are the
 * process's own; without ids in the message, it would pass only the real ones.
 */
int mailbox_send_credentials(struct mailbox *m, unsigned slot, uint32_t call)
{
    struct letter letter = {
        .magic = MSG_MAGIC, .kind = LETTER_CREDENTIALS, .slot = (uint16_t)slot, .call = call};
    uid_t uid[3];
    gid_t gid[3];
    int pair[2], result = 0;

    if (getresuid(&uid[1], &uid[0], &uid[2]) < 0 || getresgid(&gid[1], &gid[0], &gid[2]) < 0 ||
        !own_fd_check(&m->out) || fd_pair(pair) < 0)
        return -1;
    for (letter.which = 0; letter.which < 3 && result == 0; letter.which++) {
        struct ucred ids = {getpid(), uid[letter.which], gid[letter.which]};
        result = fd_send_as(m->out.fd, &letter, sizeof(letter), &pair[0], letter.which == 0, &ids);
    }
    fd_close(pair[0]);
    fd_close(pair[1]);
    return result;
}

void mailbox_send_abandoned(struct mailbox *m, unsigned slot, uint32_t call)
{
    struct letter letter = {
        .magic = MSG_MAGIC, .kind = LETTER_ABANDONED, .slot = (uint16_t)slot, .call = call};

    if (own_fd_check(&m->out))
        fd_send(m->out.fd, &letter, sizeof(letter), NULL, 0);
}

/* With the lock held: makes the socket that the client reads.  Returns 0, or -1 and errno. */
static int make_in(struct mailbox *m)
{
    int pair[2];

    if (own_fd_check(&m->in) && own_fd_check(&m->in_end))
        return 0;
    close_in(m);
    if (fd_pair(pair) < 0)
        return -1;
    m->in = own_fd(pair[0]);
    m->in_end = own_fd(pair[1]);
    return m->in.fd >= 0 && m->in_end.fd >= 0 ? 0 : -1;
}

int mailbox_offer(struct mailbox *m, unsigned slot, uint32_t call, int64_t deadline_ns)
{
    int result, end;

    pthread_mutex_lock(&m->lock);
    result = make_in(m);
    end = m->in_end.fd;
    pthread_mutex_unlock(&m->lock);
    return result == 0 ? mailbox_send(m, slot, call, &end, 1, deadline_ns) : -1;
}

int mailbox_accept(struct mailbox *m, int fd)
{
    int result;

    pthread_mutex_lock(&m->lock);
    if (!own_fd_check(&m->out) && fd_is_seqpacket(fd, 0)) {
        m->out = own_fd(fd);
        fd = -1;
    }
    result = own_fd_check(&m->out) ? 0 : -1;
    pthread_mutex_unlock(&m->lock);
    closer_let_go(m->account, fd);
    return result;
}

int mailbox_can_send(struct mailbox *m)
{
    int result;

    pthread_mutex_lock(&m->lock);
    result = own_fd_check(&m->out);
    pthread_mutex_unlock(&m->lock);
    return result;
}

/* ------------------------------------------------ receiving */

/* With the lock held: the slot's pigeonhole, without letters of other calls. */
static struct pigeonhole *make_for(struct mailbox *m, unsigned slot, uint32_t call)
{
    struct pigeonhole *p = m->slot[slot];

    if (p == NULL) {
        p = m->slot[slot] = calloc(1, sizeof(*p));
        if (p == NULL)
            return NULL;
        p->credentials.socket = -1;
        p->call = call;
    }
    if (p->call != call) {
        empty(m, p);
        p->call = call;
    }
    return p;
}

/* With the lock held: the pigeonhole for a call's letters, or NULL if no call expects them. */
static struct pigeonhole *find(struct mailbox *m, unsigned slot, uint32_t call)
{
    struct pigeonhole *p = m->slot[slot];

    int welcome = m->welcome != NULL ? m->welcome(m, slot) : -1;

    if (welcome >= 0) {
        p = make_for(m, slot, call);
        if (p != NULL)
            p->max = (unsigned)welcome;
        return p;
    }
    return m->welcome == NULL && p != NULL && p->is_expected && p->call == call ? p : NULL;
}

/*
 * A client that sends more descriptors than it has announced is hostile, and is cut off.  A
 * server's descriptors may be for an earlier call of the slot, which was given up.
 */
static int keep(struct mailbox *m, struct pigeonhole *p, const int *fds, unsigned count)
{
    if (count == 0)
        return 0;
    if (p->count + count > p->max && m->welcome == NULL)
        mailbox_shut(m);
    if (p->count + count > p->max || m->held + count > HELD_MAX) {
        errno = EMFILE;
        return -1;
    }
    if (p->count + count > p->cap) {
        unsigned cap = 2 * (p->count + count);
        int *grown = realloc(p->fds, cap * sizeof(*grown));
        if (grown == NULL)
            return -1;
        p->fds = grown;
        p->cap = cap;
    }
    memcpy(p->fds + p->count, fds, count * sizeof(*fds));
    p->count += count;
    m->held += count;
    return 0;
}

/* Keeps the letter's contents.  Returns 1 if the descriptors must be closed instead. */
static int sort_in(struct mailbox *m, const struct letter *letter, const int *fds, unsigned count,
                   const struct ucred *sender, int lost)
{
    struct pigeonhole *p = find(m, letter->slot, letter->call);

    if (p == NULL)
        return 1;
    if (lost)
        p->error = EMFILE;
    if (letter->kind == LETTER_DESCRIPTORS && !lost) {
        if (keep(m, p, fds, count) == 0)
            return 0;
        p->error = errno;
    }
    /* In this order, so that each of them comes: one that never came would be root. */
    if (letter->kind == LETTER_CREDENTIALS && p->is_expected && sender->pid != 0 && !lost &&
        letter->which < 3 && letter->which == p->credentials.count) {
        p->credentials.ids[p->credentials.count++] = *sender;
        if (p->credentials.socket < 0 && count == 1 && fd_is_seqpacket(fds[0], 0)) {
            p->credentials.socket = fds[0];
            return 0;
        }
    }
    return 1;
}

/* Whether more may be read.  -1 with EAGAIN: not now; ECONNRESET: never again. */
static int may_read(struct mailbox *m)
{
    enum closer_state state = closer_state(m->account);

    if (state == CLOSER_STUCK)
        mailbox_shut(m);
    errno = state == CLOSER_STUCK || !own_fd_check(&m->in) ? ECONNRESET : EAGAIN;
    return state == CLOSER_FINE && errno == EAGAIN ? 0 : -1;
}

/* With the lock held: reads one letter. */
static int read_letter(struct mailbox *m, struct letter *letter)
{
    int fds[BATCH_MAX];
    struct ucred sender;
    unsigned count;
    int lost = 0;

    if (may_read(m) < 0 || fd_recv_letter(m->in.fd, letter, sizeof(*letter), fds, BATCH_MAX, &count,
                                          m->account, &sender, &lost) < 0)
        return -1;
    if (letter->magic != MSG_MAGIC || letter->slot >= SHM_SLOT_COUNT) {
        while (count > 0)
            closer_let_go(m->account, fds[--count]);
        errno = EPROTO;
        return -1;
    }
    if (letter->kind == LETTER_ABANDONED && m->abandoned != NULL)
        m->abandoned(m, letter->slot, letter->call);
    if (letter->kind == LETTER_ABANDONED || sort_in(m, letter, fds, count, &sender, lost)) {
        while (count > 0)
            closer_let_go(m->account, fds[--count]);
    }
    return 0;
}

/*
 * With the lock held: reads the letters on the socket.  Returns 0, or -1 if the channel has
 * ended.  Bounded, because a peer may send without end.
 */
static int read_letters(struct mailbox *m)
{
    struct letter letter;

    for (unsigned i = 0; i < LETTERS_MAX; i++) {
        if (read_letter(m, &letter) < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    return 0;
}

int mailbox_read(struct mailbox *m)
{
    int result;

    pthread_mutex_lock(&m->lock);
    result = read_letters(m);
    pthread_mutex_unlock(&m->lock);
    if (result < 0)
        return -1;
    return closer_state(m->account) == CLOSER_FINE ? 0 : 1;
}

/* With the lock held: a call's pigeonhole, after all letters that have come were read. */
static struct pigeonhole *find_filled(struct mailbox *m, unsigned slot, uint32_t call)
{
    read_letters(m);
    return find(m, slot, call);
}

/*
 * The same, but waits until so many descriptors, or credentials, are there, if descriptors of
 * calls that were given up must be closed before more can be read.  Releases the lock
 * meanwhile.
 */
static struct pigeonhole *await_filled(struct mailbox *m, unsigned slot, uint32_t call,
                                       unsigned count, unsigned credential_count)
{
    struct pigeonhole *p = find_filled(m, slot, call);

    for (int ms = 0; ms < BEHIND_MAX_MS && p != NULL && p->error == 0 &&
                     (p->count < count || p->credentials.count < credential_count) &&
                     closer_state(m->account) == CLOSER_BEHIND;
         ms++) {
        pthread_mutex_unlock(&m->lock);
        poll(NULL, 0, 1);
        pthread_mutex_lock(&m->lock);
        p = find_filled(m, slot, call);
    }
    return p;
}

int mailbox_take(struct mailbox *m, unsigned slot, uint32_t call, int *fds, unsigned count)
{
    struct pigeonhole *p;
    int error = ENOMEM;

    pthread_mutex_lock(&m->lock);
    p = await_filled(m, slot, call, count, 0);
    if (p != NULL)
        error = p->error != 0 ? p->error : p->count != count ? EPROTO : 0;
    if (error == 0) {
        if (count > 0) /* otherwise p->fds may be NULL */
            memcpy(fds, p->fds, count * sizeof(*fds));
        m->held -= count;
        p->count = 0;
        p->is_expected = 0;
    } else if (p != NULL) {
        empty(m, p);
    }
    pthread_mutex_unlock(&m->lock);
    errno = error;
    return error == 0 ? 0 : -1;
}

int mailbox_expect(struct mailbox *m, unsigned slot, uint32_t call, unsigned count)
{
    struct pigeonhole *p;

    pthread_mutex_lock(&m->lock);
    p = make_for(m, slot, call);
    if (p != NULL) {
        empty(m, p);
        p->is_expected = 1;
        p->max = count;
    }
    pthread_mutex_unlock(&m->lock);
    return p != NULL ? 0 : -1;
}

void mailbox_close(struct mailbox *m, unsigned slot)
{
    pthread_mutex_lock(&m->lock);
    if (m->slot[slot] != NULL)
        empty(m, m->slot[slot]);
    pthread_mutex_unlock(&m->lock);
}

int mailbox_take_credentials(struct mailbox *m, unsigned slot, uint32_t call,
                             struct credentials *credentials)
{
    struct pigeonhole *p;
    int result = -1;

    pthread_mutex_lock(&m->lock);
    p = await_filled(m, slot, call, 0, 3);
    if (p != NULL && p->credentials.count >= 3) {
        *credentials = p->credentials;
        p->credentials = (struct credentials){.socket = -1};
        p->is_expected = 0;
        result = 0;
    }
    pthread_mutex_unlock(&m->lock);
    if (result < 0)
        errno = EPROTO;
    return result;
}
