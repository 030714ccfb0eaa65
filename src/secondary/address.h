/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_ADDRESS_H
#define SECONDARY_ADDRESS_H

/*
 * "host:port" or "[host]:port": where a Secondary is, or where it listens. Names are looked up by the system, which may wait.
 * "tls://NAME@host:port" is the same over a protected link, to whoever has a certificate of that name; without NAME@ the name
 * is not known yet. "psk://NAME@host:port" is a link protected by the key of that name.
 */
#include <netdb.h>
#include <stdbool.h>

#include "base/error.h"
#include "secondary/tls.h"

static inline void secondary_address_cleanup(struct addrinfo **list)
{
        if (*list)
                freeaddrinfo(*list);
}
#define cleanup_addrinfo __attribute__((cleanup(secondary_address_cleanup)))

typedef enum SecondaryProtection { SECONDARY_PLAIN, SECONDARY_CERTIFICATES, SECONDARY_PSK } SecondaryProtection;

/* Takes tls:// or psk:// and a name off; *ret_rest is "host:port" in address, ret_name "" for none. ERR_INVALID_ARGUMENT. */
int secondary_address_split(const char *address, SecondaryProtection *ret, char ret_name[static SECONDARY_TLS_NAME_MAX + 1], const char **ret_rest,
                            Error *error) __attribute__((nonnull, warn_unused_result));
#define SECONDARY_HOST_MAX 256

/* "host:port", an IPv6 address in brackets. zero: port 0 is allowed. ERR_INVALID_ARGUMENT. */
int secondary_address_parse(const char *address, bool zero, char ret_host[static SECONDARY_HOST_MAX], uint16_t *ret_port, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* For a stream socket. listen: to bind to, and port 0 is allowed. ERR_INVALID_ARGUMENT, ERR_UNREACHABLE. */
int secondary_address_resolve(const char *address, bool listen, struct addrinfo **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
