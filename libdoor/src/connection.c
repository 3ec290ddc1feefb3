/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * connection.c: the other ends of door descriptors, and the names that lead to
 * them.  Runs in the loop thread; answers requests, never waits for a peer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "fd.h"
#include "server.h"
#include "thread.h"

#define ASK_MAX_NS 1000000000ll

struct listener {
    struct watch watch; /* first: the loop hands us this */
    LIST_ENTRY(listener) link;
    uint64_t id; /* of its connections' */
    uid_t owner; /* who attached it, and may detach it */
    struct door *door;
};

/* Changed by any thread that makes a door, under server_lock. */
static LIST_HEAD(, connection) connections = LIST_HEAD_INITIALIZER(connections);

static LIST_HEAD(, listener) listeners = LIST_HEAD_INITIALIZER(listeners); /* the loop's own */

static int listener_add(struct door *door, int fd, uid_t owner);
static void listener_end(struct listener *l);

struct door *door_find_local(int d)
{
    uint64_t cookie = fd_cookie(d);
    struct connection *c;
    struct door *door = NULL;

    server_lock();
    LIST_FOREACH(c, &connections, link) {
        if (cookie != 0 && c->client_cookie == cookie) {
            door = c->door;
            door_hold(door);
            break;
        }
    }
    server_unlock();
    return door;
}

struct door *door_find_own(int d)
{
    struct door *door = door_find_local(d);
    struct msg_answer answer;
    struct connection *c;

    if (door != NULL || fd_is_door(d) != 1 ||
        client_ask(d, MSG_INFO, -1, thread_now_ns() + ASK_MAX_NS, &answer, NULL, 0) < 0 ||
        answer.instance_id != door_instance_id())
        return door;
    server_lock();
    LIST_FOREACH(c, &connections, link) {
        if (c->door->id == answer.info.di_uniquifier) {
            door = c->door;
            door_hold(door);
            break;
        }
    }
    server_unlock();
    return door;
}

static void connection_end(struct connection *c)
{
    struct server_channel *ch;

    loop_remove(&c->watch);
    server_lock();
    LIST_REMOVE(c, link);
    server_unlock();
    while ((ch = LIST_FIRST(&c->channels)) != NULL) {
        LIST_REMOVE(ch, link);
        server_channel_orphan(ch);
    }
    fd_close(c->watch.fd);
    quota_give_back(&c->share);
    door_unrefer(c->door, c->is_creators);
    free(c);
}

static void answer_info(struct connection *c, int reply_fd)
{
    struct msg_answer answer;

    door_describe(c->door, &answer);
    fd_send(reply_fd, &answer, sizeof(answer), NULL, 0);
    close_foreign(reply_fd);
}

static void refuse(int reply_fd, int error)
{
    struct msg_answer answer = {.magic = MSG_MAGIC, .error = error};

    fd_send(reply_fd, &answer, sizeof(answer), NULL, 0);
    close_foreign(reply_fd);
}

/* What a client is told; the rest may pass, or says nothing to it. */
static int told(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOSYS ? error : EAGAIN;
}

static void answer_open(struct connection *c, int reply_fd, const struct ucred *who)
{
    struct msg_answer answer;
    struct server_channel *ch;
    int control;

    if (atomic_load(&c->door->revoked)) {
        refuse(reply_fd, EBADF);
        return;
    }
    ch = server_channel_create(c->door, who, &control);
    if (ch == NULL) {
        refuse(reply_fd, told(errno));
        return;
    }
    door_describe(c->door, &answer);
    LIST_INSERT_HEAD(&c->channels, ch, link);
    ch->is_linked = 1;
    if (fd_send(reply_fd, &answer, sizeof(answer), (int[]){control, ch->memory_fd, ch->bell_fd},
                3) < 0)
        server_channel_condemn(ch);
    fd_close(control); /* if nobody gets it, the channel ends */
    close_foreign(reply_fd);
}

/*
 * The listening socket stays shared with the one who attaches: a stranger
 * could make our accept(2) block.  So a stranger may not.
 */
static void answer_attach(struct connection *c, int reply_fd, int listening_fd, uid_t owner)
{
    int error = EINVAL;

    if (owner != 0 && owner != geteuid())
        error = EPERM;
    else if (fd_is_seqpacket(listening_fd, 1))
        error = listener_add(c->door, fd_hide(listening_fd), owner) < 0 ? EAGAIN : 0;
    if (error == EPERM || error == EINVAL)
        close_foreign(listening_fd);
    if (error == 0)
        answer_info(c, reply_fd);
    else
        refuse(reply_fd, error);
}

static void answer_detach(struct connection *c, int reply_fd, uid_t uid)
{
    struct listener *l;

    LIST_FOREACH(l, &listeners, link) {
        if (l->id == c->listener_id)
            break;
    }
    if (l == NULL) {
        refuse(reply_fd, EINVAL);
    } else if (uid != 0 && uid != geteuid() && uid != l->owner) {
        refuse(reply_fd, EPERM);
    } else {
        listener_end(l);
        answer_info(c, reply_fd);
    }
}

static void connection_ready(struct watch *w, uint32_t events)
{
    struct connection *c = (struct connection *)w;
    struct msg_request request;
    struct ucred sender;
    int fds[2] = {-1, -1}, lost;
    unsigned count;

    if (fd_recv_letter(w->fd, &request, sizeof(request), fds, 2, &count, &sender, &lost) < 0) {
        /* What was sent before the end is read first. */
        if (errno != EPROTO && (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)))
            connection_end(c);
        return;
    }
    int ours = request.magic == MSG_MAGIC && request.version == SHM_VERSION && count >= 1 &&
               fd_is_seqpacket(fds[0], 0);
    /* Who sent it, not who made a socket: that may be one of ours, sent back. */
    uid_t uid = sender.pid != 0 ? sender.uid : (uid_t)-1;
    if (ours && request.op == MSG_OPEN && count == 1)
        answer_open(c, fds[0], &sender);
    else if (ours && request.op == MSG_INFO && count == 1)
        answer_info(c, fds[0]);
    else if (ours && request.op == MSG_ATTACH && count == 2)
        answer_attach(c, fds[0], fds[1], uid);
    else if (ours && request.op == MSG_DETACH && count == 1)
        answer_detach(c, fds[0], uid);
    else
        while (count > 0)
            close_foreign(fds[--count]);
}

static int add(struct door *door, int fd, const struct connection *template)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -1;
    *c = *template;
    c->watch = (struct watch){fd, connection_ready};
    c->door = door;
    LIST_INIT(&c->channels);
    door_refer(door, c->is_creators);
    server_lock();
    LIST_INSERT_HEAD(&connections, c, link);
    server_unlock();
    if (loop_add(&c->watch, EPOLLIN | EPOLLRDHUP) == 0)
        return 0;
    server_lock();
    LIST_REMOVE(c, link);
    server_unlock();
    door_unrefer(door, c->is_creators);
    free(c);
    return -1;
}

int connection_add(struct door *door, int fd, uint64_t client_cookie, int is_creators)
{
    int on = 1;

    /* One that came by a name has it from the listener. */
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    return add(door, fd, &(struct connection){.client_cookie = client_cookie,
                                              .is_creators = is_creators});
}

static void listener_end(struct listener *l)
{
    loop_remove(&l->watch);
    LIST_REMOVE(l, link);
    fd_close(l->watch.fd);
    door_unrefer(l->door, 0);
    free(l);
}

/* Takes fd over. */
static void welcome(struct listener *l, int fd)
{
    struct connection c = {.listener_id = l->id};
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int error;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
        quota_take(&c.share, &peer, 1) == 0 && add(l->door, fd, &c) == 0)
        return;
    error = errno;
    quota_give_back(&c.share);
    fd_refuse(fd, told(error));
    fd_close(fd);
}

/* One descriptor is kept back for those who cannot be let in: they are told why. */
static struct own_fd reserve = {.fd = -1}; /* the loop's own */

static void keep_reserve(void)
{
    if (!own_fd_check(&reserve))
        reserve = own_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

/* Whether a client could be turned away. */
static int turn_away(struct listener *l, int error)
{
    int fd;

    if (!own_fd_check(&reserve))
        return 0;
    own_fd_close(&reserve);
    fd = accept4(l->watch.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        fd_refuse(fd, told(error));
        fd_close(fd);
    }
    keep_reserve();
    return fd >= 0;
}

static void listener_ready(struct watch *w, uint32_t events)
{
    struct listener *l = (struct listener *)w;
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0)
        fd = fd_hide(fd);
    if (fd >= 0) {
        welcome(l, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        if (!turn_away((struct listener *)w, errno))
            loop_pause(w); /* a waiting client costs nothing; a busy loop would */
    } else if (errno == EINVAL || (events & EPOLLHUP)) {
        listener_end(l); /* who attached it shut it down */
    }
}

/* Takes fd over, also on failure. */
static int listener_add(struct door *door, int fd, uid_t owner)
{
    static uint64_t last_id;
    struct listener *l = fd < 0 ? NULL : calloc(1, sizeof(*l));
    int on = 1;

    if (l == NULL) {
        fd_close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)); /* connections inherit it */
    l->watch = (struct watch){fd, listener_ready};
    l->id = ++last_id;
    l->owner = owner;
    l->door = door;
    if (loop_add(&l->watch, EPOLLIN) < 0) {
        fd_close(fd);
        free(l);
        return -1;
    }
    keep_reserve();
    door_refer(door, 0); /* this is the loop thread: nothing has come in between */
    LIST_INSERT_HEAD(&listeners, l, link);
    return 0;
}

void connection_forked(void)
{
    struct connection *c;
    struct listener *l;
    struct server_channel *ch;

    server_lock_forked();
    while ((c = LIST_FIRST(&connections)) != NULL) {
        LIST_REMOVE(c, link);
        while ((ch = LIST_FIRST(&c->channels)) != NULL) {
            LIST_REMOVE(ch, link);
            server_channel_forked(ch);
        }
        fd_close(c->watch.fd);
        free(c);
    }
    while ((l = LIST_FIRST(&listeners)) != NULL) {
        LIST_REMOVE(l, link);
        fd_close(l->watch.fd);
        free(l);
    }
    own_fd_close(&reserve);
    quota_forked();
}
