/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * report_json.c: a report as JSON, for the page of status_page.c and for programs.
 */
#ifndef MOD_DOOR_REPORT_JSON_H
#define MOD_DOOR_REPORT_JSON_H

#include <apr_tables.h>
#include <httpd.h>

/* Writes the report to the client.  reports: an array of struct mod_door_report. */
void mod_door_write_json(request_rec *r, const apr_array_header_t *reports);

#endif
