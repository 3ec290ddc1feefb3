/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shared_figures.c: the figures in httpd, which outlive restarts.  Another build of the module
 * may count differently, so it begins with new figures.
 */
#include <errno.h>
#include <string.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>

#include "mod_door.h"
#include "build.h"
#include "shared_figures.h"

#define RETAINED_KEY "mod_door figures"

static struct retained {
    char build[MOD_DOOR_BUILD_MAX];
    struct figures *figures;
    apr_time_t since;
} *retained;

struct figures *mod_door_figures(void)
{
    return retained != NULL ? retained->figures : NULL;
}

apr_time_t mod_door_figures_since(void)
{
    return retained != NULL ? retained->since : 0;
}

apr_status_t mod_door_make_figures(void)
{
    struct figures *figures;

    retained = ap_retained_data_get(RETAINED_KEY);
    if (retained != NULL && !strcmp(retained->build, mod_door_build))
        return APR_SUCCESS;
    retained = NULL;
    figures = figures_make();
    if (figures == NULL)
        return errno;
    retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    apr_cpystrn(retained->build, mod_door_build, sizeof(retained->build));
    retained->figures = figures;
    retained->since = apr_time_now();
    return APR_SUCCESS;
}
