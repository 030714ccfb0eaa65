/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket that fills with time; what is in it may be sent, at most a fifth of a second's worth. Whoever reads too slowly
 * leaves the rest to the others.
 */
#include "uptaned/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define TICK UINT64_C(10000)   /* usec */
#define BURST UINT64_C(200000) /* usec of which the bytes may be sent at once */
#define TURN ((uint64_t) 16384)

typedef struct Sender {
        int file, pipe;
        loff_t offset;
        uint64_t rest;
} Sender;

struct Pump {
        sd_event_source *timer;
        uint64_t rate;
        uint64_t last;  /* usec, when the bucket was filled */
        uint64_t spare; /* bytes in it, times 1000000 */
        Sender *senders;
        size_t n_senders, turn;
};

static void drop(Pump *pump, size_t i)
{
        close(pump->senders[i].file);
        close(pump->senders[i].pipe);
        pump->senders[i] = pump->senders[--pump->n_senders];
}

/* Returns how many bytes went; 0 where there is no room. */
static uint64_t send_turn(Pump *pump, size_t i, uint64_t most)
{
        Sender *s = &pump->senders[i];
        ssize_t n = splice(s->file, &s->offset, s->pipe, NULL, s->rest < most ? s->rest : most, SPLICE_F_NONBLOCK);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n > 0)
                s->rest -= (uint64_t) n;
        if (n <= 0 || s->rest == 0) /* gone, too short, or all of it: the reader finds out which */
                drop(pump, i);
        return n > 0 ? (uint64_t) n : 0;
}

/* Everybody in turn, until nobody has room or the bucket is empty; the next time goes on behind the last. */
static void send_all(Pump *pump)
{
        for (size_t idle = 0; pump->spare >= 1000000 && idle < pump->n_senders; pump->turn++) {
                uint64_t spare = pump->spare / 1000000, n;

                if (pump->turn >= pump->n_senders)
                        pump->turn = 0;
                n = send_turn(pump, pump->turn, spare < TURN ? spare : TURN);
                pump->spare -= n * 1000000;
                idle = n > 0 ? 0 : idle + 1;
        }
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        Pump *pump = userdata;
        uint64_t now = 0;

        (void) sd_event_now(sd_event_source_get_event(source), CLOCK_MONOTONIC, &now);
        pump->spare += (now - pump->last < BURST ? now - pump->last : BURST) * pump->rate;
        if (pump->spare > BURST * pump->rate)
                pump->spare = BURST * pump->rate;
        pump->last = now;
        send_all(pump);
        if (pump->n_senders > 0) {
                (void) sd_event_source_set_time_relative(source, TICK);
                (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        }
        return 0;
}

int pump_new(sd_event *event, uint64_t rate, Pump **ret, Error *error)
{
        CLEANUP(pump_free) Pump *pump = xcalloc(1, sizeof *pump);
        int r = sd_event_add_time(event, &pump->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_tick, pump);

        if (r >= 0)
                r = sd_event_source_set_enabled(pump->timer, SD_EVENT_OFF);
        if (r < 0)
                return error_set_errno(error, ERR_SYSTEM, -r, "event loop");
        pump->rate = rate;
        *ret = TAKE_PTR(pump);
        return 0;
}

Pump *pump_free(Pump *pump)
{
        if (!pump)
                return NULL;
        while (pump->n_senders > 0)
                drop(pump, 0);
        sd_event_source_disable_unref(pump->timer);
        free(pump->senders);
        free(pump);
        return NULL;
}

int pump_add(Pump *pump, int file, uint64_t length, Error *error)
{
        int ends[2], copy = fcntl(file, F_DUPFD_CLOEXEC, 3);

        if (copy < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "sending an image");
        if (pipe2(ends, O_CLOEXEC) < 0) {
                close(copy);
                return error_set_errno(error, ERR_SYSTEM, errno, "sending an image");
        }
        (void) fcntl(ends[1], F_SETFL, O_NONBLOCK); /* this end alone: the reader waits */
        pump->senders = xrealloc(pump->senders, pump->n_senders + 1, sizeof *pump->senders);
        pump->senders[pump->n_senders++] = (Sender) { .file = copy, .pipe = ends[1], .rest = length };
        if (pump->n_senders == 1) {
                (void) sd_event_now(sd_event_source_get_event(pump->timer), CLOCK_MONOTONIC, &pump->last);
                pump->spare = 0;
                (void) sd_event_source_set_time_relative(pump->timer, TICK);
                (void) sd_event_source_set_enabled(pump->timer, SD_EVENT_ONESHOT);
        }
        return ends[0];
}
