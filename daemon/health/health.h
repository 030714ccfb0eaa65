/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HEALTH_HEALTH_H
#define HEALTH_HEALTH_H

/* The two kinds of checks. Both block; they give up when the caller has gone (ERR_CANCELLED). */
#include <systemd/sd-bus.h>

#include "base/error.h"

#define HEALTH_FOLDERS_MAX 8

/* Of two namesakes, the one in the later folder counts; one that cannot be executed hides the other and is no check. */
typedef struct HealthFolders {
        const char *paths[HEALTH_FOLDERS_MAX];
        size_t n;
} HealthFolders;

/* Until boot-complete.target is active. ERR_HEALTH: a unit that it requires failed, or it was not reached in time; ERR_SYSTEM. */
int health_wait_boot(sd_bus_message *call, unsigned seconds, Error *error) __attribute__((nonnull, warn_unused_result));
/* Every check in the order of their names, each for so many seconds at most. ERR_HEALTH: one failed, which is named; ERR_SYSTEM. */
int health_run_checks(sd_bus_message *call, const HealthFolders *folders, unsigned seconds, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
