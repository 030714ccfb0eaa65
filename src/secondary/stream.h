/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_STREAM_H
#define SECONDARY_STREAM_H

/*
 * Whole messages of the IP Secondary protocol over a connected socket, either side, protected or not, with time limits: one
 * for silence and one for all. Blocks in poll() only. Memory grows with the bytes that arrive, never with the length they
 * announce.
 *
 * ERR_TIMEOUT, ERR_CANCELLED, ERR_UNREACHABLE if the connection breaks, ERR_TLS; receiving also ERR_MALFORMED and
 * ERR_TOO_LARGE.
 */
#include <stdint.h>

#include "base/slice.h"
#include "secondary/tls.h"

typedef struct SecondaryStream {
        int fd; /* non-blocking; borrowed */
        SecondaryTlsLink *tls; /* over fd; NULL: not protected; borrowed */
        int idle_ms;
        int64_t deadline; /* as secondary_stream_now() */
        int cancel_fd;    /* -1: none. Given up as soon as poll() says one of cancel_events of it */
        short cancel_events;
} SecondaryStream;

/* Milliseconds of a clock that nobody sets. */
int64_t secondary_stream_now(void);
/* Waits until fd is ready for events. */
int secondary_stream_wait(const SecondaryStream *s, short events, Error *error) __attribute__((nonnull, warn_unused_result));
/* Ends the handshake of s->tls. ERR_TLS whatever the other side does wrong. */
int secondary_stream_shake_hands(const SecondaryStream *s, Error *error) __attribute__((nonnull, warn_unused_result));
int secondary_stream_send(const SecondaryStream *s, Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));
/* Appends exactly one message of at most max bytes to ret. 1; 0 if the other side closed before its first byte. */
int secondary_stream_receive(const SecondaryStream *s, size_t max, Buffer *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));

/* The same without waiting, for whoever serves several: of s only fd and tls are used. */

/* Sends some of bytes. As secondary_tls_send(), but never SECONDARY_TLS_END. */
int secondary_stream_try_send(const SecondaryStream *s, Slice bytes, size_t *ret_done, short *ret_events, Error *error)
        __attribute__((nonnull, warn_unused_result));
/*
 * Appends some bytes of the message that begins in message, never one behind its end. *whole is its size, 0 as long as that
 * is not known; the message is there when message->size is *whole. As secondary_tls_receive().
 */
int secondary_stream_try_receive(const SecondaryStream *s, size_t max, Buffer *message, size_t *whole, short *ret_events, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
