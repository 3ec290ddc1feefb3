/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * connection.c: the server's ends of door descriptors, and the names that lead to
 * doors.  Runs in the loop thread, answers requests, and never waits for a peer.
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

/* The server's end of an open door descriptor. */
struct connection {
    struct watch watch; /* first, because the loop passes a pointer to it */
    LIST_ENTRY(connection) link;
    struct door_reference *reference; /* its channels may keep it for longer */
    struct door *door;                /* the reference's */
    uint64_t client_cookie; /* of the other end's socket if this process made it, else 0 */
    uint64_t listener_id;   /* of the name by which it was opened, or 0 */
    struct quota_share share; /* who pays for its descriptor, if it was opened by a name */
    struct closer_account *account; /* for descriptors that were sent on it */
    LIST_HEAD(, server_channel) channels;
};

struct listener {
    struct watch watch; /* first, because the loop passes a pointer to it */
    struct name_watch name;
    LIST_ENTRY(listener) link;
    uint64_t id; /* the listener_id of its connections */
    uid_t owner; /* the user who attached it, and may detach it */
    struct door *door;
};

/* Guards the list of connections, since any thread that makes a door changes it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, connection) connections = LIST_HEAD_INITIALIZER(connections);

static LIST_HEAD(, listener) listeners = LIST_HEAD_INITIALIZER(listeners); /* loop thread only */

/*
 * One descriptor is kept in reserve, so that clients can be turned away, and need not wait,
 * when no other descriptor is left.  It is used for as long as a client's connection is being
 * closed.  It is restored before anything else here takes a descriptor: a client that is let
 * in may stay for ever, and then no further client could be turned away.
 */
static struct own_fd reserve = {.fd = -1}; /* loop thread only */

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

struct door *door_find_answering(const struct msg_answer *answer)
{
    struct door *door = NULL;
    struct connection *c;

    if (answer->instance_id != door_instance_id())
        return NULL;
    fork_register(&part);
    pthread_mutex_lock(&lock);
    LIST_FOREACH(c, &connections, link) {
        if (c->door->id == answer->info.di_uniquifier) {
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

    if (door != NULL || fd_is_door(d) != 1 ||
        door_ask(d, MSG_INFO, thread_now_ns() + ASK_MAX_NS, &answer, NULL, 0) < 0)
        return door;
    return door_find_answering(&answer);
}

/* Accepts waiting connections first, because they count as references, too. */
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

/* The errno that a client gets.  Other errors become EAGAIN: they may be temporary. */
static int told(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOSYS ? error : EAGAIN;
}

/* Restores the reserve.  Returns 0, or -1 and errno. */
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
    } else { /* this user has too many descriptors in flight (unix(7)), or the client is gone */
        server_channel_condemn(ch);
        refuse(c, reply_fd, EMFILE);
    }
    fd_close(control); /* if the client has not got it, the channel ends now */
}

/*
 * The process that attaches keeps a copy of the listening socket, and could make accept(2)
 * block here.  So only root and this process's user may attach.
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
    /* The sender counts, not the maker of a socket: that may be this process's own, sent back. */
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
    } else if (is_over && errno != EPROTO) { /* requests before the end are read first */
        connection_end(c);
    }
}

static int add(struct door *door, int fd, const struct connection *template)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -1;
    *c = *template; /* the caller owns the account until this succeeds */
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

/* Has the loop serve fd for door.  Takes fd over if it succeeds, and takes a reference. */
static int add_own(struct door *door, int fd, uint64_t client_cookie)
{
    int on = 1;

    if (fork_register(&part) < 0)
        return -1;
    /* A connection that was opened by a name inherits this from the listener. */
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    struct connection c = {.client_cookie = client_cookie,
                           .account = closer_account_create((uid_t)-1)};
    if (c.account != NULL && add(door, fd, &c) == 0)
        return 0;
    closer_account_drop(c.account);
    return -1;
}

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

/* Clients that have connected meanwhile may have sent descriptors, so closing may block. */
static void close_listening(int fd, uid_t owner)
{
    struct closer_account *account = closer_account_create(owner);

    shutdown(fd, SHUT_RDWR);
    closer_let_go(account, fd);
    closer_account_drop(account);
}

static void listener_end(struct listener *l)
{
    welcome_all(l); /* clients that have opened the name keep the door */
    loop_remove(&l->watch);
    LIST_REMOVE(l, link);
    name_watch_end(&l->name);
    close_listening(l->watch.fd, l->owner);
    door_unrefer(l->door);
    free(l);
}

/* Serves a client's new connection.  Takes fd over. */
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

/* Accepts the next client that has opened the name.  Returns 0, or -1 and errno. */
static int welcome_next(struct listener *l)
{
    int fd = keep_reserve() < 0 ? -1 : fd_hide(accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC));

    if (fd >= 0)
        welcome(l, fd);
    return fd < 0 ? -1 : 0;
}

/* Accepts the waiting clients.  Bounded, since more may come meanwhile. */
static void welcome_all(struct listener *l)
{
    for (int i = 0; i <= SOMAXCONN && welcome_next(l) == 0; i++)
        continue;
}

static void name_removed(struct name_watch *w)
{
    listener_end((struct listener *)((char *)w - offsetof(struct listener, name)));
}

/* Turns the next client away, by means of the reserve.  Returns whether that worked. */
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

/* Lets clients wait: that costs nothing, while trying again at once would be a busy loop. */
static void wait_for_descriptor(struct watch *w)
{
    int has_reserve = own_fd_check(&reserve);

    loop_pause(w);
    if (has_reserve)
        return; /* something other than descriptors is short */
    closer_when_closed(loop_resume);
    if (keep_reserve() == 0)
        loop_resume(); /* a descriptor was closed before closer_when_closed() */
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
        listener_end(l); /* the process that attached it has shut it down */
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
    door_refer(door); /* in the loop thread, so no event could come before this */
    LIST_INSERT_HEAD(&listeners, l, link);
    name_watch_start(&l->name, path_fd, name_removed);
    return 0;
}
