/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * guard.c: says for other applications, and for files, who may have what.
 *
 *     DoorApp guard "/srv/bin/guard /srv/etc/guard"
 *     <Location /private>
 *         AuthType Basic
 *         AuthName private
 *         DoorAuthenticator guard
 *         DoorAuthorizer guard
 *         Require valid-user
 *     </Location>
 *
 * The file is read for each question.  Its lines, of words with spaces between them:
 *
 *     user NAME HASH GROUP,GROUP   whose password has that hash (crypt(3), mkpasswd(1))
 *     area PATH GROUP              what lies there is for users of that group alone
 *     shut PATH                    what lies there is for nobody
 */
#include <crypt.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <door_app.h>

#define WORDS 4

struct line {
    char text[1024];
    char *word[WORDS]; /* as many as there are, the others NULL */
};

/* The next line that has a first word of that kind: 1, or 0 at the end. */
static int next_line(FILE *file, const char *kind, struct line *line)
{
    while (fgets(line->text, sizeof(line->text), file) != NULL) {
        char *rest = NULL;

        for (int i = 0; i < WORDS; i++)
            line->word[i] = strtok_r(i == 0 ? line->text : NULL, " \t\n", &rest);
        if (line->word[0] != NULL && line->word[1] != NULL && strcmp(line->word[0], kind) == 0)
            return 1;
    }
    return 0;
}

/* Without its file a guard knows nothing: that is no answer, and nobody passes. */
static FILE *open_file(struct door_app_request *req, const char *path)
{
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        door_app_log(req, LOG_ERR, "guard: %s: %m", path);
        door_app_status(req, 503);
    }
    return file;
}

/* What could not be read may have been the rule that refuses. */
static void close_file(struct door_app_request *req, FILE *file)
{
    if (ferror(file)) {
        door_app_log(req, LOG_ERR, "guard: the file cannot be read");
        door_app_status(req, 503);
    }
    fclose(file);
}

static int find_user(FILE *file, const char *name, struct line *line)
{
    while (next_line(file, "user", line))
        if (name != NULL && strcmp(line->word[1], name) == 0 && line->word[2] != NULL)
            return 1;
    return 0;
}

static int is_password(const char *password, const char *hash)
{
    struct crypt_data data = {0};
    const char *made = crypt_r(password, hash, &data);

    return made != NULL && made[0] != '*' && strcmp(made, hash) == 0;
}

static int is_below(const char *path, const char *area)
{
    size_t len = strlen(area);

    while (len > 0 && area[len - 1] == '/') /* "/area/" is "/area", and "/" all there is */
        len--;
    return strncmp(path, area, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int is_in(const char *groups, const char *group)
{
    size_t len = strlen(group);

    while (groups != NULL && *groups != '\0') {
        if (strncmp(groups, group, len) == 0 && (groups[len] == ',' || groups[len] == '\0'))
            return 1;
        groups += strcspn(groups, ",");
        groups += *groups == ',';
    }
    return 0;
}

static void authenticate(struct door_app_request *req, void *path)
{
    const char *password = door_app_cgi(req, "REMOTE_PASSWD");
    FILE *file = open_file(req, path);
    struct line user;

    if (file == NULL)
        return;
    if (password != NULL && find_user(file, door_app_cgi(req, "REMOTE_USER"), &user) &&
        is_password(password, user.word[2])) {
        door_app_header_set(req, "Variable-USER_GROUPS", user.word[3] != NULL ? user.word[3] : "");
        door_app_status(req, 200);
    }
    close_file(req, file);
}

static void authorize(struct door_app_request *req, void *path)
{
    FILE *file = open_file(req, path);
    struct line user, area;
    int may = 1;

    if (file == NULL)
        return;
    if (!find_user(file, door_app_cgi(req, "REMOTE_USER"), &user))
        user.word[3] = NULL;
    rewind(file);
    while (next_line(file, "area", &area))
        if (area.word[2] != NULL && is_below(door_app_path(req), area.word[1]) &&
            !is_in(user.word[3], area.word[2]))
            may = 0;
    if (may) {
        door_app_header_set(req, "Variable-AUTHORIZED", "yes");
        door_app_status(req, 200);
    }
    close_file(req, file);
}

static void check_access(struct door_app_request *req, void *path)
{
    FILE *file = open_file(req, path);
    struct line shut;
    int may = 1;

    if (file == NULL)
        return;
    while (next_line(file, "shut", &shut))
        may &= !is_below(door_app_path(req), shut.word[1]);
    if (may) {
        door_app_header_set(req, "Variable-CHECKED", "yes");
        door_app_status(req, 200);
    }
    close_file(req, file);
}

int main(int argc, char **argv)
{
    struct door_app *app = door_app_create();

    if (argc < 2) {
        fprintf(stderr, "usage: guard file [door]\n");
        return 2;
    }
    door_app_guard(app, DOOR_APP_AUTHENTICATOR, authenticate, argv[1]);
    door_app_guard(app, DOOR_APP_AUTHORIZER, authorize, argv[1]);
    door_app_guard(app, DOOR_APP_ACCESS_CHECKER, check_access, argv[1]);
    return door_app_run(app, argc > 2 ? argv[2] : NULL);
}
