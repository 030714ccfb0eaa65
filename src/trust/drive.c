/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/drive.h"

static int answer(TrustRepo *repo, const TrustFiles *files, const TrustStep *step, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };
        int r = files->get(files->userdata, step, &bytes, error);

        if (r < 0)
                return -1;
        return r ? trust_repo_feed(repo, buffer_slice(&bytes), error) : trust_repo_feed_absent(repo, error);
}

int trust_repo_drive(TrustRepo *repo, const TrustFiles *files, Error *error)
{
        for (;;) {
                TrustStep step;
                int r = 0;

                if (trust_repo_next(repo, &step, error) < 0)
                        return -1;
                if (step.kind == TRUST_DONE)
                        return 0;
                if (step.kind == TRUST_FETCH || step.kind == TRUST_LOAD)
                        r = answer(repo, files, &step, error);
                else if (files->put)
                        r = files->put(files->userdata, &step, error);
                if (r < 0)
                        return -1;
        }
}
