/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRUST_DRIVE_H
#define TRUST_DRIVE_H

/* Drives a TrustRepo to TRUST_DONE where every answer is at hand: what is stored, a folder, a message. */
#include "trust/repo.h"

typedef struct TrustFiles {
        /* Answers TRUST_FETCH and TRUST_LOAD: 1 and appended to ret, 0 absent, -1 with error. */
        int (*get)(void *userdata, const TrustStep *step, Buffer *ret, Error *error);
        /* Carries out TRUST_STORE and TRUST_FORGET; NULL: nothing is kept. */
        int (*put)(void *userdata, const TrustStep *step, Error *error);
        void *userdata;
} TrustFiles;

int trust_repo_drive(TrustRepo *repo, const TrustFiles *files, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
