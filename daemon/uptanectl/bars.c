/* SPDX-License-Identifier: Apache-2.0 */
/* Drawn lines are counted: clearing goes up so many and erases to the end of the screen. */
#include "uptanectl/bars.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"

#define BAR_MAX 40
#define LINE_SIZE 256
#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT 24

typedef struct Bar {
        char *label, *state;
        bool away;
        uint64_t done, total;
} Bar;

struct Bars {
        Bar *list; /* the vehicle, the Primary, then by label */
        size_t n;
        unsigned drawn; /* lines on the screen */
};

Bars *bars_new(void)
{
        return xcalloc(1, sizeof(Bars));
}

Bars *bars_free(Bars *bars)
{
        if (!bars)
                return NULL;
        for (size_t i = 0; i < bars->n; i++) {
                free(bars->list[i].label);
                free(bars->list[i].state);
        }
        free(bars->list);
        free(bars);
        return NULL;
}

static int rank(const char *label)
{
        return strcmp(label, "vehicle") == 0 ? 0 : strcmp(label, "primary") == 0 ? 1 : 2;
}

static bool is_before(const char *a, const char *b)
{
        if (rank(a) != rank(b))
                return rank(a) < rank(b);
        return strverscmp(a, b) < 0; /* secondary2 before secondary10 */
}

static Bar *find(Bars *bars, const char *label)
{
        size_t at = 0;

        while (at < bars->n && is_before(bars->list[at].label, label))
                at++;
        if (at < bars->n && strcmp(bars->list[at].label, label) == 0)
                return &bars->list[at];
        bars->list = xrealloc(bars->list, bars->n + 1, sizeof *bars->list);
        memmove(&bars->list[at + 1], &bars->list[at], (bars->n - at) * sizeof *bars->list);
        bars->n++;
        bars->list[at] = (Bar) { .label = xstrdup(label), .state = xstrdup("") };
        return &bars->list[at];
}

void bars_take(Bars *bars, const char *label, const char *property, const char *value)
{
        Bar *bar = find(bars, label);
        size_t size = strlen(value);

        if (strcmp(property, "ProgressDone") == 0)
                bar->done = strtoull(value, NULL, 10);
        else if (strcmp(property, "ProgressTotal") == 0)
                bar->total = strtoull(value, NULL, 10);
        else if (strcmp(property, "Reachable") == 0)
                bar->away = strcmp(value, "false") == 0;
        else if (strcmp(property, "State") == 0 && size >= 2) {
                free(bar->state);
                bar->state = xstrndup(value + 1, size - 2);
        }
}

void bars_clear(Bars *bars)
{
        if (bars->drawn > 0)
                printf("\033[%uA\r\033[J", bars->drawn);
        bars->drawn = 0;
}

static void show_bytes(uint64_t n, char *ret, size_t size)
{
        if (n < UINT64_C(10) << 10)
                (void) snprintf(ret, size, "%" PRIu64 " B", n);
        else if (n < UINT64_C(10) << 20)
                (void) snprintf(ret, size, "%" PRIu64 " KiB", n >> 10);
        else
                (void) snprintf(ret, size, "%" PRIu64 " MiB", n >> 20);
}

/* "[#####-----]  50 %  5 of 10 KiB"; nothing where nothing is known of it. */
static void put_bar(const Bar *bar, size_t width, char *ret, size_t size)
{
        uint64_t done = bar->done < bar->total ? bar->done : bar->total;
        char have[32], whole[32], marks[BAR_MAX + 1] = "";
        size_t full = bar->total ? (size_t) ((double) done / (double) bar->total * (double) width) : 0;

        show_bytes(bar->done, have, sizeof have);
        show_bytes(bar->total, whole, sizeof whole);
        ret[0] = '\0';
        if (bar->total == 0 && bar->done > 0)
                (void) snprintf(ret, size, "%s", have);
        if (bar->total == 0)
                return;
        memset(marks, '#', full);
        memset(marks + full, '-', width - full);
        (void) snprintf(ret, size, "[%.*s] %3u %%  %s of %s", (int) width, marks, (unsigned) ((double) done / (double) bar->total * 100),
                        have, whole);
}

static void draw_one(const Bar *bar, int columns)
{
        char line[LINE_SIZE], text[LINE_SIZE / 2];
        int width = columns - 63;

        put_bar(bar, (size_t) (width < 10 ? 10 : width > BAR_MAX ? BAR_MAX : width), text, sizeof text);
        (void) snprintf(line, sizeof line, "%-14s %-16s %s%s", bar->label, bar->state, bar->away ? "(not reachable) " : "", text);
        printf("%.*s\n", columns - 1 < (int) sizeof line ? columns - 1 : (int) sizeof line, line);
}

void bars_draw(Bars *bars)
{
        struct winsize size = { 0 };
        size_t n = bars->n;
        int columns, rows;

        (void) ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        columns = size.ws_col > 1 ? size.ws_col : COLUMNS_DEFAULT;
        rows = size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
        bars_clear(bars);
        if (n > (size_t) rows - 1)
                n = rows > 2 ? (size_t) rows - 2 : 0;
        for (size_t i = 0; i < n; i++)
                draw_one(&bars->list[i], columns);
        if (n < bars->n)
                printf("and %zu more\n", bars->n - n);
        bars->drawn = (unsigned) (n + (n < bars->n));
}
