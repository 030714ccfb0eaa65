/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/digest.h"

bool hashes_match(const Hashes *a, const Hashes *b)
{
        bool both256 = a->has_sha256 && b->has_sha256, both512 = a->has_sha512 && b->has_sha512;

        /* Uptane 5.4.4.2 (10.2.1b), Uptane 5.4.2.4 (d): every shared hash, and at least one */
        return (both256 || both512) && (!both256 || memcmp(a->sha256, b->sha256, SHA256_SIZE) == 0) &&
               (!both512 || memcmp(a->sha512, b->sha512, SHA512_SIZE) == 0);
}
