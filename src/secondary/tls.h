/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_TLS_H
#define SECONDARY_TLS_H

/*
 * The protected link between a Primary and a Secondary: TLS 1.3 and no other version. Either both sides show a certificate of one
 * in-vehicle CA, or both have the same key (psk.h): one SecondaryTls offers the one or the other, and never both. The name of a
 * certificate is the one commonName of its subject, byte for byte; a Secondary's is its serial, and so is a key's identity.
 * No tickets, no resumption: every connection proves everything. Certificates expire by the system's clock.
 *
 * Nothing in here waits. ERR_TLS for everything that does not let the other side be trusted; ERR_KEY for files of one's own
 * that cannot be used.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

/* Who we are and whose certificates we take. */
typedef struct SecondaryTls SecondaryTls;
/* One connection. */
typedef struct SecondaryTlsLink SecondaryTlsLink;

#define SECONDARY_TLS_NAME_MAX 64 /* X.520's upper bound of a commonName, and ECU_SERIAL_MAX */

typedef struct SecondaryTlsFiles {
        const char *ca, *certificate, *key; /* PEM; certificate: with what leads to the CA behind it */
        const char *psk; /* instead of these three, which are NULL then; otherwise it is NULL */
} SecondaryTlsFiles;

int secondary_tls_new(const SecondaryTlsFiles *files, bool server, SecondaryTls **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
SecondaryTls *secondary_tls_free(SecondaryTls *tls);
DEFINE_CLEANUP(SecondaryTls, secondary_tls_free)

/* Over a connected, non-blocking socket, which is borrowed. tls must live as long. */
int secondary_tls_link_new(const SecondaryTls *tls, int fd, SecondaryTlsLink **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* The identity of the key that is shown, for a client with keys. ERR_KEY where there is none of it. */
int secondary_tls_set_identity(SecondaryTlsLink *link, const char *identity, Error *error) __attribute__((nonnull, warn_unused_result));
/* Says good-bye, if that is possible at once. */
SecondaryTlsLink *secondary_tls_link_free(SecondaryTlsLink *link);
DEFINE_CLEANUP(SecondaryTlsLink, secondary_tls_link_free)

/* What one try came to; -1 is a failure. */
typedef enum SecondaryTlsResult {
        SECONDARY_TLS_END,  /* the other side has closed */
        SECONDARY_TLS_DONE,
        SECONDARY_TLS_WAIT, /* nothing was done: poll() for *ret_events first */
} SecondaryTlsResult;

int secondary_tls_handshake(SecondaryTlsLink *link, short *ret_events, Error *error) __attribute__((nonnull, warn_unused_result));
int secondary_tls_send(SecondaryTlsLink *link, const uint8_t *bytes, size_t size, size_t *ret_done, short *ret_events, Error *error)
        __attribute__((nonnull, warn_unused_result));
int secondary_tls_receive(SecondaryTlsLink *link, uint8_t *ret, size_t size, size_t *ret_done, short *ret_events, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* After the handshake: that the other side's certificate, or the key, has this name. */
int secondary_tls_check_name(const SecondaryTlsLink *link, const char *name, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
