/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * page.h: the page of /db?aid=N, one row of pgbench_accounts by its primary key;
 * the same code for all.  Each thread keeps a connection, with the statement
 * prepared, from its first request on; a process with one thread so has one.
 * libpq's environment variables say which database it is.
 */
#ifndef BENCH_PAGE_H
#define BENCH_PAGE_H

#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

static inline PGconn *page_connection(void)
{
    static _Thread_local PGconn *connection;

    if (connection != NULL && PQstatus(connection) == CONNECTION_OK)
        return connection;
    PQfinish(connection);
    connection = PQconnectdb("");
    PQclear(PQprepare(connection, "account",
                      "SELECT bid, abalance FROM pgbench_accounts WHERE aid = $1", 1, NULL));
    return connection;
}

/* The page's length in buf, or -1: there is no such account, or no database. */
static inline int page(const char *aid, char *buf, size_t size)
{
    int len = -1;
    PGresult *result = PQexecPrepared(page_connection(), "account", 1, &aid, NULL, NULL, 0);

    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        len = snprintf(buf, size,
                       "<!DOCTYPE html>\n<title>Account %s</title>\n<p>Branch %s, balance %s\n",
                       aid, PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
    PQclear(result);
    return len;
}

#endif
