/* SPDX-License-Identifier: Apache-2.0 */
/* A Secondary's report about itself, as if rightly signed. */
#include "fuzz.h"
#include "uptane/manifest.h"
#include "verify-stub.h"

#define KEY "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        CLEANUP(public_key_free) PublicKey *key = NULL;
        unsigned verified = fuzz_verified;
        VersionReport report = { 0 };
        Error error = { 0 };

        REQUIRE(public_key_new(KEY_ED25519, KEY, &key, &error) == 0);
        if (version_report_verify(slice(data, size), "bcm", key, arena, &report, &error) == 0)
                REQUIRE(fuzz_verified > verified && strcmp(report.serial, "bcm") == 0 && report.hashes.has_sha256 && report.length >= 0);
        else
                REQUIRE(error.code == ERR_SECONDARY || error.code == ERR_REPORT_FORGED);
        return 0;
}
