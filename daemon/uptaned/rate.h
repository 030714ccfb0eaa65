/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_RATE_H
#define UPTANED_RATE_H

/*
 * Watches over how fast bytes arrive, from the first one on: who trickles them to keep a vehicle waiting is cut off. A
 * span in which nothing comes at all says nothing, for a vehicle in a tunnel looks like that; time-outs end those.
 */
#include <stdbool.h>

#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct Rate Rate;

typedef struct RateLimit {
        unsigned speed;   /* bytes a second, on the average of ... */
        unsigned seconds; /* ... so long a span: a transfer that is below it in two of those in a row is too slow */
} RateLimit;

/* error is ERR_SLOW with what was measured and demanded. Once; the Rate may be freed in here. */
typedef void (*RateSlow)(void *userdata, Error *error);

int rate_new(sd_event *event, const RateLimit *limit, RateSlow slow, void *userdata, Rate **ret, Error *error)
        __attribute__((nonnull(1, 2, 3, 5, 6), warn_unused_result));
Rate *rate_free(Rate *rate);
DEFINE_CLEANUP(Rate, rate_free)
/* So many bytes have arrived. */
void rate_add(Rate *rate, uint64_t bytes) __attribute__((nonnull));

#endif
