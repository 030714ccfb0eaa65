/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

/* Times as text (RFC 3339, UTC) and as seconds since 1970. Reads no clock: the core is told what time it is. */
#include <stdint.h>

#include "base/error.h"

#define TIME_TEXT_SIZE 32

/* "2027-01-01T00:00:00Z", fractional seconds allowed and ignored, years 1970..9999; ERR_MALFORMED otherwise. */
int time_parse(const char *text, int64_t *ret_seconds, Error *error) __attribute__((nonnull, warn_unused_result));
/* Writes the 20-character form and a NUL; seconds outside 1970..9999 are clamped. */
void time_format(int64_t seconds, char ret[static TIME_TEXT_SIZE]) __attribute__((nonnull));

#endif
