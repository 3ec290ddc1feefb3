/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * figures.c: the figures of doors; figures.h says what they are.
 *
 * A count for a certain time (a step of the history, a minute's histogram) is one word that
 * also contains the time.  A thread that finds an older time in it begins with a new count,
 * in one atomic exchange.  Threads count in one of a few stripes, so that processors seldom
 * share a cache line.  Every child can write every byte, so a reader trusts no index, length
 * or text.
 */
#include "figures.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"

#define STRIPES       4
#define MINUTES       5 /* one histogram of recent latencies for each */
#define TEXT_WORDS    (FIGURES_TEXT_SIZE / 8)
#define NAME_NUMBER_LEN 8 /* hexadecimal digits at the end of a long name */
#define NS_PER_S      1000000000ll
#define PLACE_TRIES   4 /* for a slow request, when other threads write at the same place */
#define WRITE_MAX_NS  1000000000ull /* a writer that takes longer counts as dead */

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the words are shared between processes");
static_assert(FIGURES_RECENT_S == MINUTES * 60, "a histogram is a minute's");

/* A text that may be read while it is written. */
struct text {
    _Atomic uint64_t words[TEXT_WORDS];
};

/* The low half is a count, and the high half is the time that it is for. */
typedef _Atomic uint64_t timed_count;

struct stripe {
    _Alignas(64) _Atomic uint64_t outcomes[FIGURES_OUTCOMES];
    _Atomic uint64_t total_us, wait_us;
    timed_count requests[FIGURES_STEPS], errors[FIGURES_STEPS], us[FIGURES_STEPS];
    _Atomic uint64_t latencies[HISTOGRAM_BUCKETS];
    timed_count recent[MINUTES][HISTOGRAM_BUCKETS];
};

/*
 * A slow request.  turn is the time at which a thread began to write, in nanoseconds.  It is
 * odd while the thread writes, and even otherwise.
 */
struct slow {
    _Atomic uint64_t turn;
    _Atomic int64_t ended_ns; /* 0: there is none */
    _Atomic uint32_t total_us, wait_us;
    _Atomic int32_t status, pid;
    struct text path;
};

struct figures_door {
    _Alignas(64) _Atomic uint32_t is_named;
    _Atomic uint32_t is_foreign;
    struct text name;
    timed_count slow_least; /* until that time, a request this quick (microseconds) has no place */
    struct slow slow[FIGURES_SLOWEST];
    struct stripe stripes[STRIPES];
};

/* The keys lie together, so that a search does not touch the pages of unused doors. */
struct figures {
    _Atomic uint32_t used;
    _Atomic uint64_t keys[FIGURES_DOORS + 1]; /* calls_path_key(); 0: free */
    struct figures_door doors[FIGURES_DOORS + 1]; /* the last one: all further doors */
};

struct figures *figures_make(void)
{
    void *figures = mmap(NULL, sizeof(struct figures), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANON, -1, 0);

    return figures != MAP_FAILED ? figures : NULL;
}

/* ----------------------------------------------------------------- outcomes */

const char *figures_outcome_name(enum figures_outcome outcome)
{
    static const char *const names[FIGURES_OUTCOMES] = {
        [FIGURES_ANSWERED] = "answered",
        [FIGURES_ANSWERED_5XX] = "answered_5xx",
        [FIGURES_NOT_RUNNING] = "not_running",
        [FIGURES_BUSY] = "busy",
        [FIGURES_TIMED_OUT] = "timed_out",
        [FIGURES_CRASHED] = "crashed",
        [FIGURES_GAVE_UP] = "gave_up",
        [FIGURES_BAD_ANSWER] = "bad_answer",
        [FIGURES_EXHAUSTED] = "exhausted",
        [FIGURES_BAD_REQUEST] = "bad_request",
        [FIGURES_CLIENT_GONE] = "client_gone",
        [FIGURES_HTTPD_STOPS] = "httpd_stops",
        [FIGURES_OTHER] = "other",
    };

    return names[outcome];
}

int figures_is_error(enum figures_outcome outcome)
{
    return outcome != FIGURES_ANSWERED && outcome != FIGURES_BAD_REQUEST &&
           outcome != FIGURES_CLIENT_GONE && outcome != FIGURES_HTTPD_STOPS;
}

/* ------------------------------------------------------------------ words */

static void add(_Atomic uint64_t *count, uint64_t more)
{
    atomic_fetch_add_explicit(count, more, memory_order_relaxed);
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uint64_t timed(uint32_t time, uint64_t count)
{
    return (uint64_t)time << 32 | (count < UINT32_MAX ? count : UINT32_MAX);
}

/* Does nothing if the word already has a later time. */
static void add_timed(timed_count *word, uint32_t time, uint32_t more)
{
    uint64_t seen = load(word), wanted;

    do {
        uint32_t seen_time = (uint32_t)(seen >> 32);

        if (seen_time > time && seen_time - time < INT32_MAX)
            return;
        wanted = timed(time, (seen_time == time ? (uint32_t)seen : 0) + (uint64_t)more);
    } while (!atomic_compare_exchange_weak_explicit(word, &seen, wanted, memory_order_relaxed,
                                                    memory_order_relaxed));
}

static uint32_t load_timed(const timed_count *word, uint32_t time)
{
    uint64_t seen = load(word);

    return (uint32_t)(seen >> 32) == time ? (uint32_t)seen : 0;
}

static uint32_t seconds(int64_t ns)
{
    return (uint32_t)(ns / NS_PER_S);
}

/* ------------------------------------------------------------------- text */

/* Whether c means nothing special in HTML, JSON, URLs, or to a terminal. */
static int is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && strchr("\"'<>\\^`{|}%?#&", c) == NULL;
}

void figures_escape(const char *text, char *escaped, size_t size)
{
    char *end = escaped + size - 4; /* dots and a NUL */

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        size_t len = is_plain(c) ? 1 : 3;

        if ((size_t)(end - escaped) < len) {
            memcpy(escaped, "...", 4);
            return;
        }
        escaped[0] = '%';
        if (len == 3) {
            escaped[1] = "0123456789ABCDEF"[c >> 4];
            escaped[2] = "0123456789ABCDEF"[c & 15];
        } else {
            escaped[0] = (char)c;
        }
        escaped += len;
    }
    *escaped = '\0';
}

static void store_plain(struct text *to, const char *plain)
{
    uint64_t words[TEXT_WORDS] = {0};

    memcpy(words, plain, strlen(plain));
    for (unsigned i = 0; i < TEXT_WORDS; i++)
        atomic_store_explicit(&to->words[i], words[i], memory_order_relaxed);
}

static void store_text(struct text *to, const char *text)
{
    char escaped[FIGURES_TEXT_SIZE];

    figures_escape(text, escaped, sizeof(escaped));
    store_plain(to, escaped);
}

/* A name that is too long gets a number at its end, as two long names may begin alike. */
static void store_name(struct text *to, const char *name, uint64_t key)
{
    char shown[FIGURES_TEXT_SIZE];
    size_t len;

    figures_escape(name, shown, sizeof(shown) - NAME_NUMBER_LEN);
    len = strlen(shown);
    if (len > sizeof(shown) - NAME_NUMBER_LEN - 4) /* it has been cut, and ends in dots */
        snprintf(shown + len, NAME_NUMBER_LEN + 1, "%08x", (unsigned)(uint32_t)key);
    store_plain(to, shown);
}

static void load_text(const struct text *from, char text[FIGURES_TEXT_SIZE])
{
    for (unsigned i = 0; i < TEXT_WORDS; i++) {
        uint64_t word = load(&from->words[i]);

        memcpy(text + 8 * i, &word, sizeof(word));
    }
    text[FIGURES_TEXT_SIZE - 1] = '\0';
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text == 0x7f)
            *text = '?'; /* figures_escape() never writes such a byte */
}

/* ------------------------------------------------------------------ doors */

unsigned figures_door_count(void)
{
    return FIGURES_DOORS + 1;
}

/* Writes the name if it is missing: the child that took the key may have died before that. */
static struct figures_door *name_door(struct figures_door *door, const char *name, uint64_t key,
                                      int is_foreign)
{
    if (!atomic_load_explicit(&door->is_named, memory_order_acquire)) {
        store_name(&door->name, name, key);
        atomic_store(&door->is_foreign, is_foreign != 0);
        atomic_store_explicit(&door->is_named, 1, memory_order_release);
    }
    return door;
}

/* The index where the key is, or of a free place for it; FIGURES_DOORS if there is neither. */
static unsigned find_key(const struct figures *figures, uint64_t key)
{
    for (unsigned i = 0; i < FIGURES_DOORS; i++) {
        unsigned index = (key + i) % FIGURES_DOORS;
        uint64_t seen = load(&figures->keys[index]);

        if (seen == key || seen == 0)
            return index;
    }
    return FIGURES_DOORS;
}

/* Returns whether the place has this key now.  Another thread may have taken it first. */
static int take_key(struct figures *figures, unsigned index, uint64_t key)
{
    uint64_t nobody = 0;

    if (!atomic_compare_exchange_strong(&figures->keys[index], &nobody, key))
        return nobody == key;
    atomic_fetch_add(&figures->used, 1);
    return 1;
}

struct figures_door *figures_find(struct figures *figures, const char *name, int is_foreign)
{
    uint64_t key = calls_path_key(name);
    unsigned most = is_foreign ? FIGURES_DOORS / 2 : FIGURES_DOORS;
    unsigned index;

    do {
        index = find_key(figures, key);
        if (index < FIGURES_DOORS && load(&figures->keys[index]) == key)
            return name_door(&figures->doors[index], name, key, is_foreign);
        if (index == FIGURES_DOORS || atomic_load(&figures->used) >= most) {
            atomic_store_explicit(&figures->keys[FIGURES_DOORS], 1, memory_order_relaxed);
            return &figures->doors[FIGURES_DOORS];
        }
    } while (!take_key(figures, index, key));
    return name_door(&figures->doors[index], name, key, is_foreign);
}

int figures_index(const struct figures *figures, const char *name)
{
    uint64_t key = calls_path_key(name);
    unsigned index = find_key(figures, key);

    return index < FIGURES_DOORS && load(&figures->keys[index]) == key ? (int)index : -1;
}

/* ------------------------------------------------------------ slow requests */

/* Whether a slow request is still kept.  It may have ended a moment after now_ns was read. */
static int is_late(int64_t ended_ns, int64_t now_ns)
{
    return ended_ns > 0 && ended_ns > now_ns - FIGURES_LATE_S * NS_PER_S &&
           ended_ns < now_ns + NS_PER_S;
}

/* The place that a slow request takes: a free one, one that is too old, or the quickest one. */
static struct slow *find_place(struct figures_door *door, int64_t now_ns, uint32_t *least_us,
                               int64_t *until_ns)
{
    struct slow *place = NULL;

    *least_us = UINT32_MAX;
    *until_ns = now_ns + FIGURES_LATE_S * NS_PER_S;
    for (unsigned i = 0; i < FIGURES_SLOWEST; i++) {
        struct slow *slow = &door->slow[i];
        int64_t ended_ns = atomic_load(&slow->ended_ns);
        uint32_t us = is_late(ended_ns, now_ns) ? atomic_load(&slow->total_us) : 0;

        if (us > 0 && ended_ns + FIGURES_LATE_S * NS_PER_S < *until_ns)
            *until_ns = ended_ns + FIGURES_LATE_S * NS_PER_S;
        if (place == NULL || us < *least_us) {
            place = slow;
            *least_us = us;
        }
    }
    return place;
}

/* Returns whether the caller may write there.  A killed writer blocks the place only for a time. */
static int begin_to_write(struct slow *slow, int64_t now_ns)
{
    uint64_t turn = load(&slow->turn);

    if (turn % 2 != 0 && (uint64_t)now_ns - turn + WRITE_MAX_NS < 2 * WRITE_MAX_NS)
        return 0;
    return atomic_compare_exchange_strong(&slow->turn, &turn, (uint64_t)now_ns | 1);
}

static void end_writing(struct slow *slow, int64_t now_ns)
{
    uint64_t turn = (uint64_t)now_ns | 1;

    atomic_compare_exchange_strong(&slow->turn, &turn, turn - 1);
}

static void write_slow(struct slow *slow, const struct figures_call *call)
{
    store_text(&slow->path, call->path);
    atomic_store(&slow->total_us, call->total_us);
    atomic_store(&slow->wait_us, call->wait_us);
    atomic_store(&slow->status, call->status);
    atomic_store(&slow->pid, (int32_t)call->pid);
    atomic_store(&slow->ended_ns, call->ended_ns);
}

/* Returns 1 if the request has its place or is too quick for one, 0 to try again. */
static int place_slow(struct figures_door *door, const struct figures_call *call)
{
    uint32_t least_us, ousted_us;
    int64_t until_ns, now_ns = call->ended_ns;
    struct slow *slow = find_place(door, now_ns, &least_us, &until_ns);

    if (call->total_us <= least_us) {
        atomic_store(&door->slow_least, timed(seconds(until_ns), least_us));
        return 1;
    }
    if (!begin_to_write(slow, now_ns))
        return 0;
    ousted_us = is_late(atomic_load(&slow->ended_ns), now_ns) ? atomic_load(&slow->total_us) : 0;
    if (call->total_us > ousted_us) /* another thread may have used the place meanwhile */
        write_slow(slow, call);
    end_writing(slow, now_ns);
    return call->total_us > ousted_us;
}

static void note_slow(struct figures_door *door, const struct figures_call *call)
{
    uint64_t least = load(&door->slow_least);
    unsigned i;

    if (call->total_us <= (uint32_t)least && seconds(call->ended_ns) < (uint32_t)(least >> 32))
        return;
    for (i = 0; i < PLACE_TRIES && !place_slow(door, call); i++)
        continue;
}

static int read_slow(const struct slow *slow, int64_t now_ns, struct figures_slow *seen)
{
    uint64_t turn = load(&slow->turn);

    load_text(&slow->path, seen->path);
    seen->total_us = atomic_load(&slow->total_us);
    seen->wait_us = atomic_load(&slow->wait_us);
    seen->status = atomic_load(&slow->status);
    seen->pid = atomic_load(&slow->pid);
    seen->ended_ns = atomic_load(&slow->ended_ns);
    return turn % 2 == 0 && load(&slow->turn) == turn && is_late(seen->ended_ns, now_ns);
}

/* --------------------------------------------------------------- counting */

static struct stripe *own_stripe(struct figures_door *door)
{
    static _Atomic unsigned last;
    static _Thread_local unsigned own; /* 1 + its index */

    if (own == 0) /* the pid counts, too: a prefork child has one thread */
        own = 1 + ((unsigned)getpid() + atomic_fetch_add(&last, 1)) % STRIPES;
    return &door->stripes[own - 1];
}

static void count_call(struct stripe *stripe, const struct figures_call *call)
{
    unsigned bucket = histogram_bucket(call->total_us);
    uint32_t minute = seconds(call->ended_ns) / 60;
    uint32_t step = seconds(call->ended_ns) / FIGURES_STEP_S;

    add(&stripe->latencies[bucket], 1);
    add(&stripe->total_us, call->total_us);
    if (call->wait_us > 0)
        add(&stripe->wait_us, call->wait_us);
    add_timed(&stripe->recent[minute % MINUTES][bucket], minute, 1);
    add_timed(&stripe->us[step % FIGURES_STEPS], step, call->total_us);
}

void figures_count(struct figures_door *door, const struct figures_call *call)
{
    struct stripe *stripe = own_stripe(door);
    uint32_t step = seconds(call->ended_ns) / FIGURES_STEP_S;

    add(&stripe->outcomes[call->outcome], 1);
    add_timed(&stripe->requests[step % FIGURES_STEPS], step, 1);
    if (figures_is_error(call->outcome))
        add_timed(&stripe->errors[step % FIGURES_STEPS], step, 1);
    if (call->is_made) {
        count_call(stripe, call);
        note_slow(door, call);
    }
}

/* ---------------------------------------------------------------- looking */

static void look_at_latencies(const struct stripe *stripe, uint32_t minute,
                              struct figures_seen *seen)
{
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen->latencies[b] += load(&stripe->latencies[b]);
        for (uint32_t m = 0; m < MINUTES; m++)
            seen->recent[b] += load_timed(&stripe->recent[(minute - m) % MINUTES][b], minute - m);
    }
}

static void look_at_history(const struct figures_door *door, uint32_t step,
                            struct figures_seen *seen)
{
    for (uint32_t i = 0; i < FIGURES_STEPS; i++) {
        uint32_t at = step - (FIGURES_STEPS - 1 - i);
        uint64_t us = 0;

        for (unsigned s = 0; s < STRIPES; s++) {
            const struct stripe *stripe = &door->stripes[s];

            seen->requests[i] += load_timed(&stripe->requests[at % FIGURES_STEPS], at);
            seen->errors[i] += load_timed(&stripe->errors[at % FIGURES_STEPS], at);
            us += load_timed(&stripe->us[at % FIGURES_STEPS], at);
        }
        seen->mean_us[i] = seen->requests[i] > 0 ? (uint32_t)(us / seen->requests[i]) : 0;
    }
}

static void look_at_slow(const struct figures_door *door, int64_t now_ns, struct figures_seen *seen)
{
    for (unsigned i = 0; i < FIGURES_SLOWEST; i++) {
        struct figures_slow slow;
        unsigned at = seen->slow_count;

        if (!read_slow(&door->slow[i], now_ns, &slow))
            continue;
        for (; at > 0 && seen->slow[at - 1].total_us < slow.total_us; at--)
            seen->slow[at] = seen->slow[at - 1];
        seen->slow[at] = slow;
        seen->slow_count++;
    }
}

int figures_look(const struct figures *figures, unsigned index, int64_t now_ns,
                 struct figures_seen *seen)
{
    const struct figures_door *door = &figures->doors[index];
    uint64_t count = 0;

    memset(seen, 0, sizeof(*seen));
    if (load(&figures->keys[index]) == 0)
        return 0;
    load_text(&door->name, seen->name);
    seen->is_foreign = atomic_load(&door->is_foreign) != 0;
    for (unsigned s = 0; s < STRIPES; s++) {
        const struct stripe *stripe = &door->stripes[s];

        for (unsigned o = 0; o < FIGURES_OUTCOMES; o++) {
            seen->outcomes[o] += load(&stripe->outcomes[o]);
            count += load(&stripe->outcomes[o]);
        }
        seen->total_us += load(&stripe->total_us);
        seen->wait_us += load(&stripe->wait_us);
        look_at_latencies(stripe, seconds(now_ns) / 60, seen);
    }
    look_at_history(door, seconds(now_ns) / FIGURES_STEP_S, seen);
    look_at_slow(door, now_ns, seen);
    return count > 0;
}
