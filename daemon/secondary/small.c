/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-secondary for an ECU with little memory (program.h). It is linked statically, and what looks up names in the C library
 * cannot be; the crypto library of TLS alone takes more memory than all of this program.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "secondary/address.h"
#include "secondary/program.h"
#include "secondary/tls.h"

const char *const program_that_can_more = "uptane-secondary-tls";

int program_resolve(const char *address, bool listen, struct sockaddr_storage *ret, socklen_t *ret_size, Error *error)
{
        struct sockaddr_in *four = (struct sockaddr_in *) ret;
        struct sockaddr_in6 *six = (struct sockaddr_in6 *) ret;
        char host[SECONDARY_HOST_MAX];
        uint16_t port;

        if (secondary_address_parse(address, listen, host, &port, error) < 0)
                return -1;
        *ret = (struct sockaddr_storage) { 0 };
        if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
                four->sin_family = AF_INET;
                four->sin_port = htons(port);
                *ret_size = sizeof *four;
        } else if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
                six->sin6_family = AF_INET6;
                six->sin6_port = htons(port);
                *ret_size = sizeof *six;
        } else
                return error_set(error, ERR_UNSUPPORTED, "'%s' is no numeric address: this program looks up no names", host);
        return 0;
}

int secondary_tls_new(const SecondaryTlsFiles *files, bool server, SecondaryTls **ret, Error *error)
{
        return error_set(error, ERR_UNSUPPORTED, "this program has no TLS");
}

/* So nobody has any, and none of the others is ever called: they are what serve.c and stream.c would call if there were. */

SecondaryTls *secondary_tls_free(SecondaryTls *tls)
{
        abort();
}

int secondary_tls_link_new(const SecondaryTls *tls, int fd, SecondaryTlsLink **ret, Error *error)
{
        abort();
}

SecondaryTlsLink *secondary_tls_link_free(SecondaryTlsLink *link)
{
        if (link)
                abort();
        return NULL;
}

int secondary_tls_handshake(SecondaryTlsLink *link, short *ret_events, Error *error)
{
        abort();
}

int secondary_tls_send(SecondaryTlsLink *link, const uint8_t *bytes, size_t size, size_t *ret_done, short *ret_events, Error *error)
{
        abort();
}

int secondary_tls_receive(SecondaryTlsLink *link, uint8_t *ret, size_t size, size_t *ret_done, short *ret_events, Error *error)
{
        abort();
}

int secondary_tls_check_name(const SecondaryTlsLink *link, const char *name, Error *error)
{
        abort();
}
