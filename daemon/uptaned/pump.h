/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_PUMP_H
#define UPTANED_PUMP_H

/*
 * Sends files into pipes, all of them together not faster than a limit, in turns. A file is not read here: its pages go
 * from the page cache to the pipe, however many receivers it has.
 */
#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct Pump Pump;

/* rate: bytes a second, not 0. */
int pump_new(sd_event *event, uint64_t rate, Pump **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Pump *pump_free(Pump *pump);
DEFINE_CLEANUP(Pump, pump_free)
/*
 * Returns the end of a pipe from which to read length bytes of file, from its first; or -1. The caller's descriptor of the
 * file may be closed. Where the end of a pipe is closed, the rest is not sent.
 */
int pump_add(Pump *pump, int file, uint64_t length, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
