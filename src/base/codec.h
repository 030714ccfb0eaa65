/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

/* Strict text forms of bytes: hex (lower case out, either case in) and base64 (RFC 4648, padding required, no white space). */
#include "base/slice.h"

/* Writes 2 * bytes.size characters and a NUL to ret. */
void hex_encode(Slice bytes, char *ret) __attribute__((nonnull));
/* Decodes exactly size bytes from a text of exactly 2 * size characters; ERR_MALFORMED otherwise. */
int hex_decode(const char *text, uint8_t *ret, size_t size, Error *error) __attribute__((nonnull, warn_unused_result));

void base64_encode(Slice bytes, Buffer *ret) __attribute__((nonnull));
/* Appends the decoded bytes to ret, whose limit is honoured. Non-canonical trailing bits are refused. */
int base64_decode(const char *text, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
