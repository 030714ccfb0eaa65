/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_AWAIT_H
#define SECONDARY_AWAIT_H

/* The other direction of contact: a Secondary that starts connects to its Primary, which may be waiting for it. */
#include "base/error.h"

/*
 * Listens on listen ("host:port") until somebody connects from exactly the address from. Returns that socket, non-blocking.
 * cancel_fd: as in SecondaryIp. ERR_UNREACHABLE after ms, ERR_CANCELLED.
 */
int secondary_await(const char *listen, const char *from, unsigned ms, int cancel_fd, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
