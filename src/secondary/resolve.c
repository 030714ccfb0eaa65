/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/socket.h>

#include "secondary/address.h"

int secondary_address_resolve(const char *address, bool listen, struct addrinfo **ret, Error *error)
{
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (listen ? AI_PASSIVE : 0) };
        char host[SECONDARY_HOST_MAX], text[8];
        uint16_t port;
        int r;

        if (secondary_address_parse(address, listen, host, &port, error) < 0)
                return -1;
        (void) snprintf(text, sizeof text, "%u", port);
        r = getaddrinfo(host, text, &hints, ret);
        if (r != 0)
                return error_set(error, ERR_UNREACHABLE, "looking up '%s': %s", host, gai_strerror(r));
        return 0;
}
