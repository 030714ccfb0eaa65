/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are sent to several readers: all of every file arrives, all together are not too fast, nobody is held up. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "uptaned/pump.h"

#define SIZE ((size_t) 200000)
#define READERS 3

typedef struct World {
        sd_event *event;
        Pump *pump;
        int file;
        int readers[READERS];
        size_t got[READERS];
} World;

static uint8_t byte_at(size_t i)
{
        return (uint8_t) (i * 7 + i / 251);
}

static void start(World *w, uint64_t rate)
{
        uint8_t *bytes = xcalloc(SIZE, 1);
        Error error = { 0 };

        *w = (World) { .file = memfd_create("image", MFD_CLOEXEC) };
        for (size_t i = 0; i < SIZE; i++)
                bytes[i] = byte_at(i);
        assert_int_equal(write(w->file, bytes, SIZE), SIZE);
        free(bytes);
        assert_true(sd_event_new(&w->event) >= 0);
        assert_int_equal(pump_new(w->event, rate, &w->pump, &error), 0);
        for (size_t i = 0; i < READERS; i++) {
                w->readers[i] = pump_add(w->pump, w->file, SIZE, &error);
                assert_true(w->readers[i] >= 0);
                (void) fcntl(w->readers[i], F_SETFL, O_NONBLOCK);
        }
        close(w->file); /* nobody needs it any more */
}

static void end(World *w)
{
        for (size_t i = 0; i < READERS; i++)
                if (w->readers[i] >= 0)
                        close(w->readers[i]);
        pump_free(w->pump);
        sd_event_unref(w->event);
}

/* Reads what is there. Returns whether it was the end. */
static bool read_some(World *w, size_t i)
{
        uint8_t bytes[65536];
        ssize_t n = read(w->readers[i], bytes, sizeof bytes);

        if (n < 0)
                assert_int_equal(errno, EAGAIN);
        for (ssize_t k = 0; k < n; k++)
                assert_int_equal(bytes[k], byte_at(w->got[i] + (size_t) k));
        w->got[i] += n > 0 ? (size_t) n : 0;
        return n == 0;
}

static uint64_t now(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* Until so many readers, from the first, have read everything. Returns the microseconds. */
static uint64_t run(World *w, size_t readers)
{
        uint64_t begin = now();
        size_t done = 0;

        while (done < readers) {
                assert_true(sd_event_run(w->event, 50000) >= 0);
                done = 0;
                for (size_t i = 0; i < readers; i++)
                        done += read_some(w, i);
        }
        return now() - begin;
}

static void every_byte_arrives_and_not_too_fast(void **state)
{
        World w;

        (void) state;
        start(&w, 600000); /* a second for all of them */
        assert_true(run(&w, READERS) >= 750000); /* less what may go at once */
        for (size_t i = 0; i < READERS; i++)
                assert_int_equal(w.got[i], SIZE);
        end(&w);
}

static void everybody_has_a_turn(void **state)
{
        World w;

        (void) state;
        start(&w, 300000);
        while (w.got[0] < SIZE / 4) {
                assert_true(sd_event_run(w.event, 50000) >= 0);
                for (size_t i = 0; i < READERS; i++)
                        (void) read_some(&w, i);
        }
        for (size_t i = 1; i < READERS; i++)
                assert_true(w.got[i] > SIZE / 8);
        end(&w);
}

static void one_that_does_not_read_and_one_that_is_gone_hold_up_nobody(void **state)
{
        World w;

        (void) state;
        (void) signal(SIGPIPE, SIG_IGN);
        start(&w, 100000000);
        close(w.readers[2]);
        w.readers[2] = -1;
        (void) run(&w, 1); /* the second does not read */
        assert_int_equal(w.got[0], SIZE);
        assert_int_equal(w.got[1], 0);
        end(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_byte_arrives_and_not_too_fast),
                cmocka_unit_test(everybody_has_a_turn),
                cmocka_unit_test(one_that_does_not_read_and_one_that_is_gone_hold_up_nobody),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
