/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRYPTO_ECDSA_DER_H
#define CRYPTO_ECDSA_DER_H

/* An ECDSA signature (RFC 3279 2.2.3): SEQUENCE { r INTEGER, s INTEGER } in DER, which has one form for each. */
#include <stdbool.h>

#include "base/slice.h"

/* False for what is not DER to the last byte, and for numbers below 0. The two point into signature, with a sign byte where one is needed. */
bool ecdsa_der_read(Slice signature, Slice *ret_r, Slice *ret_s) __attribute__((nonnull, warn_unused_result));

#endif
