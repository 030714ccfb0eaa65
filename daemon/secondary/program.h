/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_PROGRAM_H
#define SECONDARY_PROGRAM_H

/*
 * uptane-secondary is two programs of the same sources. One is small (small.c): it computes with Nettle, knows neither TLS nor
 * host names, and signs with Ed25519 alone. What it is not up to is ERR_UNSUPPORTED, and then it becomes the other one
 * (large.c), which has OpenSSL. The programs that belong together lie side by side.
 */
#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

/* The one that does what this one cannot; NULL: this is it. */
extern const char *const program_that_can_more;

/* Path of the one with this name, beside the one that runs; free() it. NULL and ERR_SYSTEM. */
char *program_beside(const char *name, Error *error) __attribute__((nonnull));
/* Of the one that runs, however it was started; free() it. NULL and ERR_SYSTEM. */
char *program_itself(Error *error) __attribute__((nonnull));

/* The first address that host:port stands for; listen: port 0 is allowed. ERR_INVALID_ARGUMENT, ERR_UNREACHABLE, ERR_UNSUPPORTED. */
int program_resolve(const char *address, bool listen, struct sockaddr_storage *ret, socklen_t *ret_size, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
