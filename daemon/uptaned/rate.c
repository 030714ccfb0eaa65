/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slow span may be the end of a transfer, or the moment in which the network went away; the second in a row is not.
 * The clock does not count the time in which the machine slept.
 */
#include "uptaned/rate.h"

#define SPANS 2

struct Rate {
        RateLimit limit;
        sd_event_source *timer;
        bool begun;
        uint64_t bytes; /* in this span */
        unsigned slow_spans;
        RateSlow slow;
        void *userdata;
};

static void begin_span(Rate *rate)
{
        rate->bytes = 0;
        (void) sd_event_source_set_time_relative(rate->timer, rate->limit.seconds * UINT64_C(1000000));
        (void) sd_event_source_set_enabled(rate->timer, SD_EVENT_ONESHOT);
}

/* Uptane 5.4 (c): slow retrieval */
static int on_span(sd_event_source *source, uint64_t usec, void *userdata)
{
        Rate *rate = userdata;
        uint64_t bytes = rate->bytes;
        Error error = { 0 };

        (void) source;
        (void) usec;
        if (bytes >= (uint64_t) rate->limit.speed * rate->limit.seconds)
                rate->slow_spans = 0;
        else if (bytes > 0)
                rate->slow_spans++;
        if (rate->slow_spans < SPANS) {
                begin_span(rate);
                return 0;
        }
        (void) error_set(&error, ERR_SLOW, "%llu bytes in %u s, at least %u a second are demanded", (unsigned long long) bytes,
                         rate->limit.seconds, rate->limit.speed);
        rate->slow(rate->userdata, &error);
        return 0;
}

int rate_new(sd_event *event, const RateLimit *limit, RateSlow slow, void *userdata, Rate **ret, Error *error)
{
        CLEANUP(rate_free) Rate *rate = xcalloc(1, sizeof *rate);
        int r = sd_event_add_time(event, &rate->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_span, rate);

        if (r >= 0)
                r = sd_event_source_set_enabled(rate->timer, SD_EVENT_OFF);
        if (r >= 0) /* what waits to be read has arrived */
                r = sd_event_source_set_priority(rate->timer, SD_EVENT_PRIORITY_NORMAL + 1);
        if (r < 0)
                return error_set_errno(error, ERR_SYSTEM, -r, "event loop");
        rate->limit = *limit;
        rate->slow = slow;
        rate->userdata = userdata;
        *ret = TAKE_PTR(rate);
        return 0;
}

Rate *rate_free(Rate *rate)
{
        if (!rate)
                return NULL;
        sd_event_source_disable_unref(rate->timer);
        free(rate);
        return NULL;
}

void rate_add(Rate *rate, uint64_t bytes)
{
        if (!rate->begun && bytes > 0) {
                rate->begun = true;
                begin_span(rate);
        }
        rate->bytes += bytes;
}
