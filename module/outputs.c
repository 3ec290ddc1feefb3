/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * outputs.c: DoorApp's output=: where an application's printed output goes, if not to
 * the server's log.  httpd's parent opens the outputs at each start and restart, as it
 * opens its own logs; the supervisor gets the descriptors and writes.
 */
#include <string.h>

#include <apr_portable.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>

#include "mod_door.h"
#include "app.h"
#include "outputs.h"
#include "tag.h"

APLOG_USE_MODULE(door);

#define HOST_PREFIX "vhost:"

static int is_host(const char *output)
{
    return !ap_cstr_casecmpn(output, HOST_PREFIX, strlen(HOST_PREFIX));
}

static server_rec *find_host(server_rec *s, const char *name)
{
    for (; s != NULL; s = s->next)
        if (s->is_virtual && s->server_hostname != NULL &&
            !ap_cstr_casecmp(s->server_hostname, name))
            return s;
    return NULL;
}

const char *mod_door_check_output(apr_pool_t *pool, server_rec *main_server, const char *output)
{
    const char *name = output + strlen(HOST_PREFIX);

    if (!is_host(output) || find_host(main_server, name) != NULL)
        return NULL;
    return apr_psprintf(pool, "output=%s: there is no virtual host of that ServerName", output);
}

/* Opens a program, a file, or a virtual host's log.  *file is NULL if that log is syslog. */
static apr_status_t open_output(apr_pool_t *pool, server_rec *s, struct mod_door_app *app,
                                apr_file_t **file)
{
    const char *output = app->output;
    piped_log *program;
    server_rec *host;

    app->output_is_raw = !is_host(output);
    *file = NULL;
    if (*output == '|') {
        program = ap_open_piped_log(pool, output + 1 + (output[1] == '|'));
        if (program == NULL)
            return APR_EGENERAL;
        *file = ap_piped_log_write_fd(program);
        return APR_SUCCESS;
    }
    if (app->output_is_raw)
        return apr_file_open(file, ap_server_root_relative(pool, output),
                             APR_FOPEN_APPEND | APR_FOPEN_WRITE | APR_FOPEN_CREATE |
                                 APR_FOPEN_LARGEFILE,
                             APR_OS_DEFAULT, pool);
    host = find_host(s, output + strlen(HOST_PREFIX));
    *file = host != NULL ? host->error_log : NULL;
    return APR_SUCCESS;
}

void mod_door_open_outputs(apr_pool_t *config_pool, server_rec *s, apr_hash_t *apps)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, apps); i != NULL; i = apr_hash_next(i)) {
        struct mod_door_app *app = apr_hash_this_val(i);
        apr_file_t *file = NULL;
        apr_os_file_t fd;
        apr_status_t error = APR_SUCCESS;

        app->output_fd = -1;
        if (app->output != NULL)
            error = open_output(config_pool, s, app, &file);
        if (error != APR_SUCCESS)
            ap_log_error(APLOG_MARK, APLOG_ERR, error, s,
                         DOORNO(0206) "DoorApp %s: output=%s cannot be opened: what it prints is here",
                         app->name,
                         *app->output != '|' && app->output_is_raw
                             ? ap_server_root_relative(config_pool, app->output)
                             : app->output);
        else if (file != NULL && apr_os_file_get(&fd, file) == APR_SUCCESS)
            app->output_fd = fd;
    }
}
