/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_role.c: see fcgi_role.h.
 */
#include "fcgi_role.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fcgi_protocol.h"

static const struct {
    const char *option, *value;
} roles[] = {
    [FCGI_RESPONDER] = {"responder", "RESPONDER"},
    [FCGI_AUTHORIZER] = {"authorizer", "AUTHORIZER"},
    [FCGI_FILTER] = {"filter", "FILTER"},
};

int fcgi_role_number(const char *name)
{
    for (int role = FCGI_RESPONDER; role <= FCGI_FILTER; role++)
        if (strcmp(name, roles[role].option) == 0)
            return role;
    return 0;
}

const char *fcgi_role_name(int role)
{
    return roles[role].value;
}

/* The specification keeps these from an authorizer. */
int fcgi_role_has(int role, const char *variable)
{
    return role != FCGI_AUTHORIZER ||
           (strcmp(variable, "CONTENT_LENGTH") != 0 && strcmp(variable, "PATH_INFO") != 0 &&
            strcmp(variable, "PATH_TRANSLATED") != 0 && strcmp(variable, "SCRIPT_NAME") != 0);
}

int fcgi_role_open_file(struct door_app_request *req, struct stat *st)
{
    const char *path = door_app_cgi(req, "SCRIPT_FILENAME");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

    if (path == NULL)
        errno = ENOENT;
    if (fd == -1)
        return -1;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}
