/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_VERIFY_H
#define UPTANED_VERIFY_H

/*
 * Drives trust/ for one repository: with files from the network, storing what was verified (verify_online), or with
 * nothing but what is stored, right before installing (verify_stored).
 */
#include "trust/repo.h"
#include "uptaned/fetch.h"
#include "uptaned/manager.h"

typedef struct Verify Verify;

/* error holds why not, or ERR_NONE. The Verify may be freed in here. */
typedef void (*VerifyDone)(void *userdata, Error *error);

/* Starts; fetch is borrowed and must not be used by others until done. done is not called if this fails. */
int verify_online(Manager *m, Fetch *fetch, TrustKind kind, VerifyDone done, void *userdata, Verify **ret, Error *error)
        __attribute__((nonnull(1, 2, 4, 6, 7), warn_unused_result));
Verify *verify_free(Verify *verify);
DEFINE_CLEANUP(Verify, verify_free)
/* Valid after success, borrowed. */
const Targets *verify_targets(const Verify *verify) __attribute__((nonnull, returns_nonnull));
int64_t verify_targets_version(const Verify *verify) __attribute__((nonnull));

/* Verifies what is stored once more, with expiry at the present time (Uptane 5.4.3.2). */
int verify_stored(Manager *m, TrustKind kind, TrustRepo **ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
