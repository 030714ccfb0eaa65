/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

static_assert(SHA256_SIZE == SHA256_DIGEST_LENGTH && SHA512_SIZE == SHA512_DIGEST_LENGTH, "digest sizes");

struct Hasher {
        EVP_MD_CTX *sha256, *sha512;
};

/* What can only fail for want of memory ends the program, as every allocation here does. */
static void must(int r)
{
        if (r != 1)
                abort();
}

static EVP_MD_CTX *begin(const EVP_MD *algorithm)
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        if (!ctx)
                abort();
        must(EVP_DigestInit_ex(ctx, algorithm, NULL));
        return ctx;
}

void digest_sha256(Slice bytes, uint8_t ret[static SHA256_SIZE])
{
        must(EVP_Digest(bytes.data, bytes.size, ret, NULL, EVP_sha256(), NULL));
}

void digest_hashes(Slice bytes, Hashes *ret)
{
        *ret = (Hashes) { .has_sha256 = true, .has_sha512 = true };
        digest_sha256(bytes, ret->sha256);
        must(EVP_Digest(bytes.data, bytes.size, ret->sha512, NULL, EVP_sha512(), NULL));
}

Hasher *hasher_new(void)
{
        Hasher *h = xcalloc(1, sizeof *h);

        h->sha256 = begin(EVP_sha256());
        h->sha512 = begin(EVP_sha512());
        return h;
}

Hasher *hasher_free(Hasher *h)
{
        if (!h)
                return NULL;
        EVP_MD_CTX_free(h->sha256);
        EVP_MD_CTX_free(h->sha512);
        free(h);
        return NULL;
}

void hasher_update(Hasher *h, Slice bytes)
{
        must(EVP_DigestUpdate(h->sha256, bytes.data, bytes.size));
        must(EVP_DigestUpdate(h->sha512, bytes.data, bytes.size));
}

/* Uptane 3.2.1 (b) */
void hasher_finish(Hasher *h, Hashes *ret)
{
        *ret = (Hashes) { .has_sha256 = true, .has_sha512 = true };
        must(EVP_DigestFinal_ex(h->sha256, ret->sha256, NULL));
        must(EVP_DigestFinal_ex(h->sha512, ret->sha512, NULL));
}
