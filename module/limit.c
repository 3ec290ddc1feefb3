/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * limit.c: DoorMaxConcurrent and its line, properties of a door.
 *
 * Who runs, who waits and who is next is decided in the application's process,
 * by its runtime: only that knows when a thread is really through, and there no
 * httpd child can die with a place in its hands.  What is here is for an
 * application that does not even do that: of all children together no more
 * requests are in one door than may run and wait.  Each child counts in a row
 * of its own in shared memory, so no lock is held by anybody, and the row of a
 * child that was killed counts no more.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_hash.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_log.h>

#include "mod_door.h"
#include "config.h"
#include "limit.h"

APLOG_USE_MODULE(door);

/* One directive's place in the configuration. */
struct said {
    const struct mod_door_config *conf;
    const ap_directive_t *where;
};

static apr_array_header_t *all_said;  /* struct said; while the configuration is read */
static apr_hash_t *limits;            /* path: struct mod_door_limit *; then fixed */
static unsigned limit_count;

struct row { /* of the table in shared memory */
    _Atomic pid_t pid; /* whose it is, or 0 */
    _Atomic unsigned running[];
};

static char *rows;
static int row_count;
static struct row *own;

/* -------------------------------------------------------- configuration */

void mod_door_forget_limits(apr_pool_t *config_pool)
{
    all_said = apr_array_make(config_pool, 4, sizeof(struct said));
    limits = apr_hash_make(config_pool);
    limit_count = 0;
    rows = NULL;
}

void mod_door_note_limit(const struct mod_door_config *conf, const ap_directive_t *where)
{
    APR_ARRAY_PUSH(all_said, struct said) = (struct said){conf, where};
}

static int is_same(const struct mod_door_limit *a, const struct mod_door_limit *b)
{
    return a->max == b->max && a->queue_len == b->queue_len && a->queue_timeout == b->queue_timeout;
}

static const char *check(apr_pool_t *pool, const struct said *said)
{
    const struct mod_door_config *conf = said->conf;
    struct mod_door_limit limit = conf->limit;
    struct mod_door_limit *known;

    if (conf->path == NULL || *conf->path == '\0')
        return "must stand beside a DoorHandler that names a door";
    if (limit.max == 0)
        return "needs a DoorMaxConcurrent beside it";
    if (limit.queue_len == -1)
        limit.queue_len = MOD_DOOR_QUEUE_LEN;
    if (limit.queue_timeout == -1)
        limit.queue_timeout = MOD_DOOR_QUEUE_TIMEOUT;
    known = apr_hash_get(limits, conf->path, APR_HASH_KEY_STRING);
    if (known != NULL && !is_same(known, &limit))
        return "has another value elsewhere, but belongs to the door";
    if (known == NULL) {
        limit.index = limit_count++;
        known = apr_pmemdup(pool, &limit, sizeof(limit));
        apr_hash_set(limits, conf->path, APR_HASH_KEY_STRING, known);
    }
    return NULL;
}

int mod_door_check_limits(apr_pool_t *pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                          server_rec *s)
{
    int i;

    (void)log_pool;
    (void)temp_pool;
    for (i = 0; i < all_said->nelts; i++) {
        const struct said *said = &APR_ARRAY_IDX(all_said, i, struct said);
        const char *wrong = check(pool, said);

        if (wrong == NULL)
            continue;
        ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, s, "%s:%d: %s %s",
                     said->where->filename, said->where->line_num, said->where->directive, wrong);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

const struct mod_door_limit *mod_door_find_limit(const char *path)
{
    return limit_count > 0 ? apr_hash_get(limits, path, APR_HASH_KEY_STRING) : NULL;
}

/* ------------------------------------------------------------ the table */

static apr_size_t row_size(void)
{
    apr_size_t size = sizeof(struct row) + limit_count * sizeof(unsigned);

    return (size + 63) / 64 * 64; /* rows of two children in no cache line */
}

static struct row *row(int i)
{
    return (struct row *)(rows + (apr_size_t)i * row_size());
}

apr_status_t mod_door_make_limit_table(apr_pool_t *config_pool)
{
    apr_shm_t *shm;
    apr_status_t error;

    if (limit_count == 0)
        return APR_SUCCESS;
    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &row_count) != APR_SUCCESS || row_count < 1)
        row_count = 1;
    row_count *= 2; /* children that end slowly have their rows for a while */
    error = apr_shm_create(&shm, (apr_size_t)row_count * row_size(), NULL, config_pool);
    if (error == APR_SUCCESS)
        rows = apr_shm_baseaddr_get(shm);
    return error;
}

static int is_dead(pid_t pid)
{
    return kill(pid, 0) == -1 && errno == ESRCH;
}

static void clear(struct row *r)
{
    unsigned i;

    for (i = 0; i < limit_count; i++)
        atomic_store(&r->running[i], 0);
}

static apr_status_t give_row_back(void *unused)
{
    (void)unused;
    if (own != NULL)
        atomic_store(&own->pid, 0);
    own = NULL;
    return APR_SUCCESS;
}

void mod_door_take_row(apr_pool_t *child_pool)
{
    int i;

    own = NULL;
    for (i = 0; rows != NULL && own == NULL && i < row_count; i++) {
        pid_t pid = atomic_load(&row(i)->pid);

        if ((pid == 0 || is_dead(pid)) &&
            atomic_compare_exchange_strong(&row(i)->pid, &pid, getpid()))
            own = row(i);
    }
    if (own == NULL)
        return;
    clear(own);
    apr_pool_cleanup_register(child_pool, NULL, give_row_back, apr_pool_cleanup_null);
}

/* -------------------------------------------------------------- a request */

static unsigned count(unsigned index)
{
    unsigned sum = 0;
    int i;

    for (i = 0; i < row_count; i++)
        if (atomic_load(&row(i)->pid) != 0)
            sum += atomic_load(&row(i)->running[index]);
    return sum;
}

/* Killed children have left their numbers behind. */
static void forget_the_dead(void)
{
    int i;

    for (i = 0; i < row_count; i++) {
        pid_t pid = atomic_load(&row(i)->pid);

        if (pid != 0 && is_dead(pid))
            atomic_compare_exchange_strong(&row(i)->pid, &pid, 0);
    }
}

int mod_door_enter_limit(const struct mod_door_limit *limit, unsigned max)
{
    if (limit == NULL || own == NULL)
        return 1;
    atomic_fetch_add(&own->running[limit->index], 1);
    if (count(limit->index) <= max)
        return 1;
    forget_the_dead();
    if (count(limit->index) <= max)
        return 1;
    mod_door_leave_limit(limit);
    return 0;
}

void mod_door_leave_limit(const struct mod_door_limit *limit)
{
    if (limit != NULL && own != NULL)
        atomic_fetch_sub(&own->running[limit->index], 1);
}
