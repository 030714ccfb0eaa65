/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_STREAM_H
#define SECONDARY_STREAM_H

/*
 * Whole messages of the IP Secondary protocol over a connected socket, either side, with time limits: one for silence
 * and one for all. Blocks in poll() only. Memory grows with the bytes that arrive, never with the length they announce.
 *
 * ERR_TIMEOUT, ERR_CANCELLED, ERR_UNREACHABLE if the connection breaks; receiving also ERR_MALFORMED and ERR_TOO_LARGE.
 */
#include <stdint.h>

#include "base/slice.h"

typedef struct SecondaryStream {
        int fd; /* non-blocking; borrowed */
        int idle_ms;
        int64_t deadline; /* as secondary_stream_now() */
        int cancel_fd;    /* -1: none. Given up as soon as poll() says one of cancel_events of it */
        short cancel_events;
} SecondaryStream;

/* Milliseconds of a clock that nobody sets. */
int64_t secondary_stream_now(void);
/* Waits until fd is ready for events. */
int secondary_stream_wait(const SecondaryStream *s, short events, Error *error) __attribute__((nonnull, warn_unused_result));
int secondary_stream_send(const SecondaryStream *s, Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));
/* Appends exactly one message of at most max bytes to ret. 1; 0 if the other side closed before its first byte. */
int secondary_stream_receive(const SecondaryStream *s, size_t max, Buffer *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
