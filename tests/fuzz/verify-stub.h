/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FUZZ_VERIFY_STUB_H
#define TEST_FUZZ_VERIFY_STUB_H

#include "crypto/key.h"

extern unsigned fuzz_verified; /* signatures that counted so far */

#endif
