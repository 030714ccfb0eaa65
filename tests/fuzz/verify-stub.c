/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of public_key_verify_method(): a signature counts if it begins with "good". Inputs can then reach what stands behind one. */
#include "verify-stub.h"

unsigned fuzz_verified;

bool __wrap_public_key_verify_method(const PublicKey *key, const char *method, Slice message, Slice signature);

bool __wrap_public_key_verify_method(const PublicKey *key, const char *method, Slice message, Slice signature)
{
        bool good = key && message.size && signature.size >= 4 && memcmp(signature.data, "good", 4) == 0;

        fuzz_verified += good;
        return good;
}
