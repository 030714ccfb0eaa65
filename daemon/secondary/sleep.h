/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_SLEEP_H
#define SECONDARY_SLEEP_H

/*
 * Between two visits of its Primary, uptane-secondary is another program in the same process: uptane-secondary-idle (idle.c),
 * which takes a sixth of the memory, and turns back into this one with the next connection. What this one knows has to be in
 * the store by then: it sleeps only where nothing is under way.
 */
#include "base/error.h"

/*
 * Becomes the idle program at this listening socket: does not return then. -1: it cannot, and the caller goes on; listener is
 * as it was. config: the path that it was started with.
 */
int sleep_at(int listener, const char *config, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
