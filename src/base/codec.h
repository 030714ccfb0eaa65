/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

/* Text forms: hex (lower case out, either case in), base64 (RFC 4648, strict: padding required, no white space), JSON strings. */
#include "base/slice.h"

/* Writes 2 * bytes.size characters and a NUL to ret. */
void hex_encode(Slice bytes, char *ret) __attribute__((nonnull));
/* Decodes exactly size bytes from a text of exactly 2 * size characters; ERR_MALFORMED otherwise. */
int hex_decode(const char *text, uint8_t *ret, size_t size, Error *error) __attribute__((nonnull, warn_unused_result));

void base64_encode(Slice bytes, Buffer *ret) __attribute__((nonnull));
/* Appends the decoded bytes to ret, whose limit is honoured. Non-canonical trailing bits are refused. */
int base64_decode(const char *text, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

/* Appends text as a JSON string, quotes and all. For the programs that only write JSON; text is valid UTF-8. */
void json_quote(const char *text, Buffer *ret) __attribute__((nonnull));

/* Appends text with everything but unreserved characters (RFC 3986 2.3) and those of keep as %XX. */
void percent_encode(const char *text, const char *keep, Buffer *ret) __attribute__((nonnull));

#endif
