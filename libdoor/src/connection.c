/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * connection.c: the other ends of door descriptors, and the names that lead to
 * them.  Runs in the loop thread; answers requests, never waits for a peer.
 */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "closer.h"
#include "fd.h"
#include "fork.h"
#include "name.h"
#include "pool.h"
#include "pool_size.h"
#include "thread.h"
#include "watch_name.h"

#define ASK_MAX_NS 1000000000ll

/* An open door descriptor, seen from its other end. */
struct connection {
    struct watch watch; /* first: the loop hands us this */
    LIST_ENTRY(connection) link;
    struct door_reference *reference; /* which its channels keep for longer, maybe */
    struct door *door;                /* the reference's */
    uint64_t client_cookie; /* the far end's socket if this process made it, else 0 */
    uint64_t listener_id;   /* the name it came by, or 0 */
    struct quota_share share; /* whose descriptor it costs, if it came by a name */
    struct closer_account *account; /* what was sent on it, and is to be closed */
    LIST_HEAD(, server_channel) channels;
};

struct listener {
    struct watch watch; /* first: the loop hands us this */
    struct name_watch name;
    LIST_ENTRY(listener) link;
    uint64_t id; /* of its connections' */
    uid_t owner; /* who attached it, and may detach it */
    struct door *door;
};

/* Guards the list: any thread that makes a door changes it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, connection) connections = LIST_HEAD_INITIALIZER(connections);

static LIST_HEAD(, listener) listeners = LIST_HEAD_INITIALIZER(listeners); /* the loop's own */

/*
 * One descriptor is kept back for those who cannot be let in: they need not wait.  It goes
 * each time, for as long as what they had sent is being closed, and comes before anything
 * else that needs one here: what is let in may stay for ever, and nobody could be told then.
 */
static struct own_fd reserve = {.fd = -1}; /* the loop's own */

static void forked(void)
{
    pthread_mutex_init(&lock, NULL);
    own_fd_close(&reserve);
    LIST_INIT(&connections);
    LIST_INIT(&listeners);
}

static struct fork_part part = {.child = forked};

static int listener_add(struct door *door, int fd, int path_fd, uid_t owner);
static void listener_end(struct listener *l);
static void welcome_all(struct listener *l);

struct door *door_find_local(int d)
{
    uint64_t cookie = fd_cookie(d);
    struct connection *c;
    struct door *door = NULL;

    fork_register(&part);
    pthread_mutex_lock(&lock);
    LIST_FOREACH(c, &connections, link) {
        if (cookie != 0 && c->client_cookie == cookie) {
            door = c->door;
            door_hold(door);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return door;
}

struct door *door_find_own(int d)
{
    struct door *door = door_find_local(d);
    struct msg_answer answer;
    struct connection *c;

    if (door != NULL || fd_is_door(d) != 1 ||
        door_ask(d, MSG_INFO, thread_now_ns() + ASK_MAX_NS, &answer, NULL, 0) < 0 ||
        answer.instance_id != door_instance_id())
        return door;
    pthread_mutex_lock(&lock);
    LIST_FOREACH(c, &connections, link) {
        if (c->door->id == answer.info.di_uniquifier) {
            door = c->door;
            door_hold(door);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return door;
}

/* An opener who has not been taken in yet counts, too. */
static void count_openers(struct door *door)
{
    struct listener *l;

    LIST_FOREACH(l, &listeners, link) {
        if (l->door == door)
            welcome_all(l);
    }
}

static void connection_end(struct connection *c)
{
    struct server_channel *ch;

    loop_remove(&c->watch);
    if (atomic_load(&c->door->references) == 2)
        count_openers(c->door);
    pthread_mutex_lock(&lock);
    LIST_REMOVE(c, link);
    pthread_mutex_unlock(&lock);
    while ((ch = LIST_FIRST(&c->channels)) != NULL) {
        LIST_REMOVE(ch, link);
        server_channel_orphan(ch);
    }
    closer_shut(c->account, c->watch.fd);
    closer_account_drop(c->account);
    quota_give_back(&c->share);
    door_reference_release(c->reference);
    free(c);
}

static void answer_info(struct connection *c, int reply_fd)
{
    struct msg_answer answer;

    door_describe(c->door, &answer);
    answer.threads = pool_thread_count(c->door->pool, &answer.threads_most);
    answer.calls = pool_busy_count(c->door->pool, c->door);
    fd_send(reply_fd, &answer, sizeof(answer), NULL, 0);
    closer_let_go(c->account, reply_fd);
}

static void refuse(struct connection *c, int reply_fd, int error)
{
    struct msg_answer answer = {.magic = MSG_MAGIC, .error = error};

    fd_send(reply_fd, &answer, sizeof(answer), NULL, 0);
    closer_let_go(c->account, reply_fd);
}

/* What a client is told; the rest may pass, or says nothing to it. */
static int told(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOSYS ? error : EAGAIN;
}

/* 0, or -1 and errno. */
static int keep_reserve(void)
{
    if (!own_fd_check(&reserve))
        reserve = own_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return reserve.fd >= 0 ? 0 : -1;
}

static struct server_channel *open_channel(struct connection *c, const struct ucred *who,
                                           int bell_fd, int *client_control)
{
    if (LIST_EMPTY(&listeners) || keep_reserve() == 0)
        return pool_open_channel(c->reference, who, bell_fd, client_control);
    closer_let_go(c->account, bell_fd);
    return NULL;
}

static void answer_open(struct connection *c, int reply_fd, int bell_fd, const struct ucred *who)
{
    struct msg_answer answer;
    struct server_channel *ch;
    int control;

    if (atomic_load(&c->door->revoked)) {
        closer_let_go(c->account, bell_fd);
        refuse(c, reply_fd, EBADF);
        return;
    }
    ch = open_channel(c, who, bell_fd, &control);
    if (ch == NULL) {
        refuse(c, reply_fd, told(errno));
        return;
    }
    door_describe(c->door, &answer);
    LIST_INSERT_HEAD(&c->channels, ch, link);
    ch->is_linked = 1;
    if (fd_send(reply_fd, &answer, sizeof(answer),
                (int[]){control, ch->memory.fd}, 2) == 0) {
        closer_let_go(c->account, reply_fd);
    } else { /* too many of this user's are under way, unix(7), or nobody is there */
        server_channel_condemn(ch);
        refuse(c, reply_fd, EMFILE);
    }
    fd_close(control); /* if nobody gets it, the channel ends */
}

/*
 * The listening socket stays shared with the one who attaches: a stranger
 * could make our accept(2) block.  So a stranger may not.
 */
static void answer_attach(struct connection *c, int reply_fd, int listening_fd, int path_fd,
                          uid_t owner)
{
    int error = EINVAL;

    if (owner != 0 && owner != geteuid())
        error = EPERM;
    else if (fd_is_seqpacket(listening_fd, 1) && (path_fd < 0 || name_is_socket(path_fd)))
        error = listener_add(c->door, fd_hide(listening_fd), path_fd, owner) < 0 ? EAGAIN : 0;
    if (error == EPERM || error == EINVAL) {
        closer_let_go(c->account, listening_fd);
        closer_let_go(c->account, path_fd);
    }
    if (error == 0)
        answer_info(c, reply_fd);
    else
        refuse(c, reply_fd, error);
}

static void answer_detach(struct connection *c, int reply_fd, uid_t uid)
{
    struct listener *l;

    LIST_FOREACH(l, &listeners, link) {
        if (l->id == c->listener_id)
            break;
    }
    if (l == NULL) {
        refuse(c, reply_fd, EINVAL);
    } else if (uid != 0 && uid != geteuid() && uid != l->owner) {
        refuse(c, reply_fd, EPERM);
    } else {
        listener_end(l);
        answer_info(c, reply_fd);
    }
}

static void serve(struct connection *c, const struct msg_request *request, int *fds,
                  unsigned count, const struct ucred *sender)
{
    int ours = request->magic == MSG_MAGIC && request->version == SHM_VERSION && count >= 1 &&
               fd_is_seqpacket(fds[0], 0);
    /* Who sent it, not who made a socket: that may be one of ours, sent back. */
    uid_t uid = sender->pid != 0 ? sender->uid : (uid_t)-1;

    if (ours && request->op == MSG_OPEN && count == 2)
        answer_open(c, fds[0], fds[1], sender);
    else if (ours && request->op == MSG_INFO && count == 1)
        answer_info(c, fds[0]);
    else if (ours && request->op == MSG_ATTACH && count >= 2)
        answer_attach(c, fds[0], fds[1], count > 2 ? fds[2] : -1, uid);
    else if (ours && request->op == MSG_DETACH && count == 1)
        answer_detach(c, fds[0], uid);
    else
        while (count > 0)
            closer_let_go(c->account, fds[--count]);
}

static void connection_ready(struct watch *w, uint32_t events)
{
    struct connection *c = (struct connection *)w;
    enum closer_state state = closer_state(c->account);
    int fds[3] = {-1, -1, -1}, lost, is_over = (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0;
    struct msg_request request;
    struct ucred sender;
    unsigned count;

    if (state == CLOSER_STUCK || (state == CLOSER_BEHIND && is_over)) {
        connection_end(c);
    } else if (state == CLOSER_BEHIND) {
        loop_pause(w);
    } else if (fd_recv_letter(w->fd, &request, sizeof(request), fds, 3, &count, c->account,
                              &sender, &lost) == 0) {
        serve(c, &request, fds, count, &sender);
    } else if (is_over && errno != EPROTO) { /* what was sent before the end is read first */
        connection_end(c);
    }
}

static int add(struct door *door, int fd, const struct connection *template)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -1;
    *c = *template; /* its account is the caller's until this succeeds */
    c->watch = (struct watch){.fd = fd, .ready = connection_ready};
    c->door = door;
    c->reference = door_reference(door);
    if (c->reference == NULL) {
        free(c);
        return -1;
    }
    LIST_INIT(&c->channels);
    pthread_mutex_lock(&lock);
    LIST_INSERT_HEAD(&connections, c, link);
    pthread_mutex_unlock(&lock);
    if (loop_add(&c->watch, EPOLLIN | EPOLLRDHUP) == 0)
        return 0;
    pthread_mutex_lock(&lock);
    LIST_REMOVE(c, link);
    pthread_mutex_unlock(&lock);
    door_reference_release(c->reference);
    free(c);
    return -1;
}

/* The loop serves fd for door; takes fd over, and a reference. */
static int add_own(struct door *door, int fd, uint64_t client_cookie)
{
    int on = 1;

    if (fork_register(&part) < 0)
        return -1;
    /* One that came by a name has it from the listener. */
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    struct connection c = {.client_cookie = client_cookie,
                           .account = closer_account_create((uid_t)-1)};
    if (c.account != NULL && add(door, fd, &c) == 0)
        return 0;
    closer_account_drop(c.account);
    return -1;
}

/* A descriptor for door, whose other end the loop serves. */
int door_new_descriptor(struct door *door)
{
    int pair[2], served;

    if (fd_pair(pair) < 0)
        return -1;
    served = fd_hide(pair[1]);
    if (served >= 0 && fd_mark_door(pair[0]) == 0 &&
        add_own(door, served, fd_cookie(pair[0])) == 0)
        return pair[0];
    fd_close(served);
    fd_close(pair[0]);
    return -1;
}

/* Who has connected meanwhile may have sent something: closing that may wait. */
static void close_listening(int fd, uid_t owner)
{
    struct closer_account *account = closer_account_create(owner);

    shutdown(fd, SHUT_RDWR);
    closer_let_go(account, fd);
    closer_account_drop(account);
}

static void listener_end(struct listener *l)
{
    welcome_all(l); /* who has opened the name has the door */
    loop_remove(&l->watch);
    LIST_REMOVE(l, link);
    name_watch_end(&l->name);
    close_listening(l->watch.fd, l->owner);
    door_unrefer(l->door);
    free(l);
}

/* Takes fd over. */
static void welcome(struct listener *l, int fd)
{
    struct connection c = {.listener_id = l->id};
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof(peer);
    int is_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0;

    c.account = closer_account_create(peer.uid);
    if (is_known && c.account != NULL && quota_take(&c.share, &peer, 1) == 0 &&
        add(l->door, fd, &c) == 0)
        return;
    quota_give_back(&c.share);
    closer_shut(c.account, fd);
    closer_account_drop(c.account);
}

/* Takes in one who has opened the name.  0, or -1 and errno. */
static int welcome_next(struct listener *l)
{
    int fd = keep_reserve() < 0 ? -1 : fd_hide(accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC));

    if (fd >= 0)
        welcome(l, fd);
    return fd < 0 ? -1 : 0;
}

/* Who is waiting, that is: more than these may come while this goes on. */
static void welcome_all(struct listener *l)
{
    for (int i = 0; i <= SOMAXCONN && welcome_next(l) == 0; i++)
        continue;
}

static void name_removed(struct name_watch *w)
{
    listener_end((struct listener *)((char *)w - offsetof(struct listener, name)));
}

/* Whether a client could be turned away. */
static int turn_away(struct listener *l)
{
    int fd;

    if (!own_fd_check(&reserve))
        return 0;
    own_fd_close(&reserve);
    fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        closer_shut(NULL, fd);
    keep_reserve();
    return fd >= 0;
}

/* A waiting client costs nothing; a busy loop would. */
static void wait_for_descriptor(struct watch *w)
{
    int has_reserve = own_fd_check(&reserve);

    loop_pause(w);
    if (has_reserve)
        return; /* it is something else that is short */
    closer_when_closed(loop_resume);
    if (keep_reserve() == 0)
        loop_resume(); /* it was closed before that */
}

static void listener_ready(struct watch *w, uint32_t events)
{
    struct listener *l = (struct listener *)w;

    if (welcome_next(l) == 0)
        return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        if (!turn_away(l))
            wait_for_descriptor(w);
    } else if (errno == EINVAL || (events & EPOLLHUP)) {
        listener_end(l); /* who attached it shut it down */
    }
}

/* Takes both descriptors over, also on failure. */
static int listener_add(struct door *door, int fd, int path_fd, uid_t owner)
{
    static uint64_t last_id;
    struct listener *l = fd < 0 ? NULL : calloc(1, sizeof(*l));
    int on = 1;

    if (l == NULL) {
        fd_close(fd);
        close_foreign(path_fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)); /* connections inherit it */
    l->watch = (struct watch){.fd = fd, .ready = listener_ready};
    l->id = ++last_id;
    l->owner = owner;
    l->door = door;
    if (loop_add(&l->watch, EPOLLIN) < 0) {
        fd_close(fd);
        close_foreign(path_fd);
        free(l);
        return -1;
    }
    keep_reserve();
    door_refer(door); /* this is the loop thread: nothing has come in between */
    LIST_INSERT_HEAD(&listeners, l, link);
    name_watch_start(&l->name, path_fd, name_removed);
    return 0;
}
