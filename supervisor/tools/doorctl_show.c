/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * doorctl_show.c: prints what the supervisor has answered.  The texts in it are
 * printed so that they change neither a terminal nor a JSON document.
 */
#include <stdio.h>
#include <string.h>

#include "doorctl.h"

static const char *app_state(uint32_t state)
{
    static const char *const names[] = {
        [APP_FREE] = "free", [APP_DOWN] = "down",           [APP_STARTING] = "starting",
        [APP_UP] = "up",     [APP_BACKOFF] = "backing off", [APP_DRAINED] = "drained",
    };

    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static const char *process_state(uint32_t state)
{
    static const char *const names[] = {
        [CTL_STARTING] = "starting", [CTL_UP] = "up", [CTL_LEAVING] = "leaving"};

    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/* ---------------------------------------------------------------- text */

static void put_plain(FILE *to, const char *text)
{
    for (; *text != '\0'; text++)
        putc((unsigned char)*text >= ' ' && *text != '\177' ? *text : '?', to);
}

static void print_plain(const char *text)
{
    put_plain(stdout, text);
}

void show_error(const char *text)
{
    fputs("doorctl: ", stderr);
    put_plain(stderr, text);
    fputs("\n", stderr);
}

/* "3d 4h", "5m 6s": its two largest parts. */
static const char *age(int64_t ns, char text[32])
{
    long long s = (long long)(ns / 1000000000);

    if (ns < 0)
        return "-";
    if (s >= 86400)
        snprintf(text, 32, "%lldd %lldh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        snprintf(text, 32, "%lldh %lldm", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        snprintf(text, 32, "%lldm %llds", s / 60, s % 60);
    else
        snprintf(text, 32, "%llds", s);
    return text;
}

static void print_app(const struct ctl_app *app)
{
    print_plain(app->name);
    printf(": %s, %llu restarts, %llu crashes\n", app_state(app->state),
           (unsigned long long)app->restarts, (unsigned long long)app->crashes);
    if (app->failures == 0)
        return;
    printf("    failed %u times (", app->failures);
    print_plain(app->why);
    printf(")");
    if (app->retry_ns >= 0)
        printf(", next try in %.1f s", (double)app->retry_ns / 1e9);
    printf("\n");
}

static void show_text(const struct answer *answer)
{
    char text[32];

    for (uint32_t i = 0; i < answer->head.app_count; i++) {
        print_app(&answer->apps[i]);
        for (uint32_t k = 0; k < answer->head.process_count; k++) {
            const struct ctl_process *p = &answer->processes[k];

            if (p->app == i)
                printf("    pid %lld %s, for %s, %llu calls, %u running, %u waiting\n",
                       (long long)p->pid, process_state(p->state), age(p->up_ns, text),
                       (unsigned long long)p->ended, p->running, p->waiting);
        }
    }
}

/* ---------------------------------------------------------------- JSON */

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < ' ' || c >= 0x7f) /* of another character set's bytes JSON knows nothing */
            printf("\\u%04x", c);
        else if (c == '"' || c == '\\')
            printf("\\%c", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_number(const char *name, int64_t ns)
{
    if (ns < 0)
        printf(", \"%s\": null", name);
    else
        printf(", \"%s\": %.3f", name, (double)ns / 1e9);
}

static void print_process(const struct ctl_process *p)
{
    printf("{\"pid\": %lld, \"state\": \"%s\"", (long long)p->pid, process_state(p->state));
    print_number("up_seconds", p->up_ns);
    printf(", \"calls\": %llu, \"running\": %u, \"waiting\": %u}", (unsigned long long)p->ended,
           p->running, p->waiting);
}

static void print_json_app(const struct answer *answer, uint32_t i)
{
    const struct ctl_app *app = &answer->apps[i];
    const char *comma = "";

    printf("{\"name\": ");
    print_string(app->name);
    printf(", \"state\": \"%s\", \"instances\": %u, \"restarts\": %llu, \"crashes\": %llu"
           ", \"failures\": %u, \"why\": ",
           app_state(app->state), app->instances, (unsigned long long)app->restarts,
           (unsigned long long)app->crashes, app->failures);
    if (app->failures > 0)
        print_string(app->why);
    else
        printf("null");
    print_number("retry_seconds", app->retry_ns);
    printf(", \"processes\": [");
    for (uint32_t k = 0; k < answer->head.process_count; k++) {
        if (answer->processes[k].app != i)
            continue;
        printf("%s", comma);
        print_process(&answer->processes[k]);
        comma = ", ";
    }
    printf("]}");
}

void show_json_error(const char *text)
{
    printf("{\"error\": ");
    print_string(text);
    printf("}\n");
}

void show(const struct answer *answer, const char *dir, int is_json)
{
    if (!is_json) {
        show_text(answer);
        return;
    }
    printf("{\"directory\": ");
    print_string(dir);
    printf(", \"applications\": [");
    for (uint32_t i = 0; i < answer->head.app_count; i++) {
        printf("%s", i > 0 ? ", " : "");
        print_json_app(answer, i);
    }
    printf("]}\n");
}
