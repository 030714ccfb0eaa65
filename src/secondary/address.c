/* SPDX-License-Identifier: Apache-2.0 */
#include "secondary/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool is_port(const char *text, bool zero)
{
        size_t size = strlen(text);

        return size >= 1 && size <= 5 && strspn(text, "0123456789") == size && atoi(text) >= (zero ? 0 : 1) && atoi(text) <= UINT16_MAX;
}

int secondary_address_parse(const char *address, bool zero, char ret_host[static SECONDARY_HOST_MAX], uint16_t *ret_port, Error *error)
{
        const char *colon = strrchr(address, ':'), *start = address;
        size_t size = colon ? (size_t) (colon - address) : 0;

        if (size >= 2 && start[0] == '[' && start[size - 1] == ']') {
                start++;
                size -= 2;
        } else if (size > 0 && memchr(start, ':', size))
                size = 0; /* an IPv6 address without brackets: where does it end? */
        if (size == 0 || size >= SECONDARY_HOST_MAX || !is_port(colon + 1, zero))
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.100s' is not an address of the form host:port", address);
        memcpy(ret_host, start, size);
        ret_host[size] = '\0';
        *ret_port = (uint16_t) atoi(colon + 1);
        return 0;
}

int secondary_address_split(const char *address, SecondaryProtection *ret, char ret_name[static SECONDARY_TLS_NAME_MAX + 1], const char **ret_rest,
                            Error *error)
{
        static const char tls[] = "tls://", psk[] = "psk://"; /* of one length */
        const char *start, *at;
        size_t size;

        *ret = strncmp(address, tls, sizeof tls - 1) == 0   ? SECONDARY_CERTIFICATES
               : strncmp(address, psk, sizeof psk - 1) == 0 ? SECONDARY_PSK
                                                            : SECONDARY_PLAIN;
        start = *ret != SECONDARY_PLAIN ? address + sizeof tls - 1 : address;
        at = *ret != SECONDARY_PLAIN ? strrchr(start, '@') : NULL; /* the last one: a serial may hold others */
        if (*ret == SECONDARY_PSK && !at)
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.100s' does not say whose key is to be shown", address);
        size = at ? (size_t) (at - start) : 0;
        if (at && (size == 0 || size > SECONDARY_TLS_NAME_MAX))
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.100s' holds a name of %zu bytes, 1 to %d are allowed", address, size,
                                 SECONDARY_TLS_NAME_MAX);
        memcpy(ret_name, start, size);
        ret_name[size] = '\0';
        *ret_rest = at ? at + 1 : start;
        return 0;
}
