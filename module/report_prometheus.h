/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * report_prometheus.c: a report for Prometheus, in its text format 0.0.4.
 */
#ifndef MOD_DOOR_REPORT_PROMETHEUS_H
#define MOD_DOOR_REPORT_PROMETHEUS_H

#include <apr_tables.h>
#include <httpd.h>

/* Writes the report to the client.  reports: an array of struct mod_door_report. */
void mod_door_write_prometheus(request_rec *r, const apr_array_header_t *reports);

#endif
