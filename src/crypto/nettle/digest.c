/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/digest.h"

#include <assert.h>
#include <nettle/sha2.h>

static_assert(SHA256_SIZE == SHA256_DIGEST_SIZE && SHA512_SIZE == SHA512_DIGEST_SIZE, "digest sizes");

struct Hasher {
        struct sha256_ctx sha256;
        struct sha512_ctx sha512;
};

static void begin(Hasher *h)
{
        sha256_init(&h->sha256);
        sha512_init(&h->sha512);
}

void digest_sha256(Slice bytes, uint8_t ret[static SHA256_SIZE])
{
        struct sha256_ctx ctx;

        sha256_init(&ctx);
        sha256_update(&ctx, bytes.size, bytes.data);
        sha256_digest(&ctx, SHA256_SIZE, ret);
}

void digest_hashes(Slice bytes, Hashes *ret)
{
        Hasher h;

        begin(&h);
        hasher_update(&h, bytes);
        hasher_finish(&h, ret);
}

Hasher *hasher_new(void)
{
        Hasher *h = xcalloc(1, sizeof *h);

        begin(h);
        return h;
}

Hasher *hasher_free(Hasher *h)
{
        free(h);
        return NULL;
}

void hasher_update(Hasher *h, Slice bytes)
{
        sha256_update(&h->sha256, bytes.size, bytes.data);
        sha512_update(&h->sha512, bytes.size, bytes.data);
}

/* Uptane 3.2.1 (b) */
void hasher_finish(Hasher *h, Hashes *ret)
{
        *ret = (Hashes) { .has_sha256 = true, .has_sha512 = true };
        sha256_digest(&h->sha256, SHA256_SIZE, ret->sha256);
        sha512_digest(&h->sha512, SHA512_SIZE, ret->sha512);
}
