/* SPDX-License-Identifier: Apache-2.0 */
/* A line of options, the trusted Root, then an answer to every question, "absent" among them. Nothing unsigned may be stored. */
#include "fuzz.h"
#include "trust/repo.h"
#include "verify-stub.h"

static bool feed(TrustRepo *repo, Slice answer, Error *error)
{
        return (slice_equal(answer, slice_str("absent")) ? trust_repo_feed_absent(repo, error) : trust_repo_feed(repo, answer, error)) == 0;
}

/* Answers until all is verified; false: something was refused. */
static bool run(TrustRepo *repo, Slice *rest)
{
        unsigned verified = fuzz_verified;
        Slice answer = SLICE_NONE;
        Error error = { 0 };
        TrustStep step;

        while (trust_repo_next(repo, &step, &error) == 0 && step.kind != TRUST_DONE) {
                if (step.kind == TRUST_STORE)
                        REQUIRE(slice_equal(step.bytes, answer) && fuzz_verified > verified);
                else if (step.kind != TRUST_FORGET) {
                        REQUIRE(step.max_bytes > 0 && step.max_bytes <= role_bytes_max(step.role));
                        verified = fuzz_verified;
                        answer = fuzz_chunk(rest);
                        if (answer.size > step.max_bytes || !feed(repo, answer, &error))
                                return false;
                }
        }
        return error.code == ERR_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Slice rest = slice(data, size), options = fuzz_chunk(&rest);
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&(TrustOptions) {
                .now = 1700000000, .kind = options.size > 0 && options.data[0] == 'i' ? TRUST_IMAGE : TRUST_DIRECTOR,
                .without_timestamp = options.size > 0 && options.data[0] == 'w' });
        unsigned verified = fuzz_verified;
        Error error = { 0 };

        if (trust_repo_restore(repo, ROLE_ROOT, fuzz_chunk(&rest), &error) < 0)
                return 0;
        REQUIRE(fuzz_verified > verified);
        for (int images = 0; run(repo, &rest) && images < 2; images++)
                trust_repo_search(repo, images ? "a/b.img" : "x.img", images ? "hw" : NULL);
        return 0;
}
