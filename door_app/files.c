/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * files.c: serves the files of a directory.  A file is opened from the directory's
 * descriptor, one path component after the other, and symbolic links are not followed,
 * so nothing outside the directory can be reached.  httpd gets the open file, and
 * handles conditional requests and ranges.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "memory.h"
#include "refuse.h"
#include "request.h"
#include "route.h"

/* ---------------------------------------------------------------- a path */

/* Names that begin with a dot are hidden, among them "." and "..". */
static int is_shown(const char *name, size_t len)
{
    return len > 0 && len <= NAME_MAX && name[0] != '.';
}

/*
 * Opens the file at path below the directory top, or the directory if path ends in '/'.
 * Returns -1 and errno if that fails.  Never blocks, even if the file is a FIFO.
 */
static int open_below(int top, const char *path)
{
    int fd = fcntl(top, F_DUPFD_CLOEXEC, 0);

    while (fd != -1 && *path != '\0') {
        size_t len = strcspn(path, "/");
        int is_last = path[len] == '\0';
        char name[NAME_MAX + 1];
        int next;

        if (!is_shown(path, len)) {
            close(fd);
            errno = ENOENT;
            return -1;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        next = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
                                    (is_last ? 0 : O_DIRECTORY));
        close(fd);
        fd = next;
        path += is_last ? len : len + 1;
    }
    return fd;
}

/* ---------------------------------------------------------------- a response */

/* "Sun, 06 Nov 1994 08:49:37 GMT", in any locale; -1 if the year has not four digits. */
static int put_date(char *to, size_t cap, time_t when)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;

    if (gmtime_r(&when, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        return -1;
    snprintf(to, cap, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * (size_t)tm.tm_wday,
             tm.tm_mday, months + 3 * (size_t)tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    return 0;
}

static int put_headers(struct door_app_request *handle, const char *name, const struct stat *st)
{
    char text[64];

    if (door_app_content_type(handle, door_app_type_of(name)) == -1)
        return -1;
    if (put_date(text, sizeof(text), st->st_mtim.tv_sec) == 0 &&
        door_app_header_set(handle, "Last-Modified", text) == -1)
        return -1;
    snprintf(text, sizeof(text), "\"%llx-%llx%08lx\"", (unsigned long long)st->st_size,
             (unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
    return door_app_header_set(handle, "ETag", text);
}

/* Takes fd over. */
static void send_file(struct door_rt_request *req, int fd, const char *name, const struct stat *st)
{
    struct door_app_request *handle = door_rt_handle(req);

    if (put_headers(handle, name, st) == 0 && door_app_send_fd(handle, fd, 0, st->st_size) == 0)
        return;
    req->channel.failed = errno;
    close(fd);
}

/* Answers if there is no such file, or it may not be read; a client cannot tell these apart. */
static void send_none(struct door_rt_request *req, int error)
{
    if (error == EMFILE || error == ENFILE || error == ENOMEM)
        door_rt_refuse(req, 503, "Too busy");
    else
        door_rt_refuse(req, 404, "Not found");
}

static void send_what_is_there(struct door_rt_request *req, const struct door_rt_directory *directory,
                               const char *path)
{
    const char *whole = door_app_path_info(door_rt_handle(req));
    struct stat st;
    int fd = open_below(directory->fd, path);

    if (fd == -1 || fstat(fd, &st) == -1) {
        send_none(req, errno);
        if (fd != -1)
            close(fd);
    } else if (S_ISREG(st.st_mode)) {
        send_file(req, fd, path, &st);
    } else {
        close(fd);
        if (S_ISDIR(st.st_mode))
            door_rt_redirect(req, door_rt_join(&req->thread->arena, whole, "/", NULL));
        else
            send_none(req, ENOENT);
    }
}

static void serve_files(struct door_app_request *handle, void *data)
{
    struct door_rt_request *req = door_rt_request(handle);
    const struct door_rt_directory *directory = data;
    const char *path = door_app_path_info(handle) + directory->prefix_len;
    size_t len = strlen(path);

    if (strcmp(door_app_method(handle), "GET") != 0 && strcmp(door_app_method(handle), "HEAD") != 0) {
        door_app_header_set(handle, "Allow", "GET, HEAD");
        door_rt_refuse(req, 405, "Method not allowed");
        return;
    }
    if (len > 0 && path[len - 1] == '/')
        path = door_rt_join(&req->thread->arena, path, "index.html", NULL);
    if (path != NULL)
        send_what_is_there(req, directory, path + (*path == '/'));
    else
        req->channel.failed = errno;
}

int door_app_files(struct door_app *app, const char *prefix, const char *path)
{
    int fd = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    struct door_rt_directory *directory = calloc(1, sizeof(*directory));
    int error = path == NULL ? EINVAL : errno;

    if (fd != -1 && directory != NULL && app != NULL &&
        door_app_handle(app, prefix, serve_files, directory) == 0) {
        directory->fd = fd;
        for (directory->prefix_len = strlen(prefix);
             directory->prefix_len > 0 && prefix[directory->prefix_len - 1] == '/';)
            directory->prefix_len--;
        directory->next = app->directories;
        app->directories = directory;
        return 0;
    }
    if (fd != -1)
        error = errno;
    free(directory);
    if (fd != -1)
        close(fd);
    return door_rt_mistake(app, error, "door_app_files \"%s\": %s: %s",
                           prefix != NULL ? prefix : "", path != NULL ? path : "no directory",
                           strerror(error));
}
