/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_ADDRESS_H
#define SECONDARY_ADDRESS_H

/* "host:port" or "[host]:port": where a Secondary is, or where it listens. Names are looked up by the system, which may wait. */
#include <netdb.h>
#include <stdbool.h>

#include "base/error.h"

static inline void secondary_address_cleanup(struct addrinfo **list)
{
        if (*list)
                freeaddrinfo(*list);
}
#define cleanup_addrinfo __attribute__((cleanup(secondary_address_cleanup)))

/* For a stream socket. listen: to bind to, and port 0 is allowed. ERR_INVALID_ARGUMENT, ERR_UNREACHABLE. */
int secondary_address_resolve(const char *address, bool listen, struct addrinfo **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
