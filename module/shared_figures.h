/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shared_figures.c: the figures (figures.h) that all of httpd's children share.
 */
#ifndef MOD_DOOR_SHARED_FIGURES_H
#define MOD_DOOR_SHARED_FIGURES_H

#include "mod_door.h"
#include "figures.h"

/* In httpd's parent: makes the figures, or finds those that it has made before. */
apr_status_t mod_door_make_figures(void);

/* The figures; NULL before they are made. */
struct figures *mod_door_figures(void);

/* Since when the figures are counted. */
apr_time_t mod_door_figures_since(void);

#endif
