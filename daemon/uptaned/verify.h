/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_VERIFY_H
#define UPTANED_VERIFY_H

/*
 * Drives trust/ for one repository: with files from the network, storing what was verified (verify_online), or with
 * nothing but what is stored, right before installing (verify_again).
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

/* Looks for an image in a repository that was verified; as verify_online(). */
int verify_search(Verify *verify, const char *name, const char *hardware_id, VerifyDone done, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 3, 4, 6), warn_unused_result));
/* What it found, borrowed, or NULL. */
const Target *verify_found(const Verify *verify) __attribute__((nonnull));

/* A plan made from what is stored; zero-initialized, then stored_plan_done(). */
typedef struct StoredPlan {
        TrustRepo *director, *image;
        Plan plan;
} StoredPlan;
#define cleanup_stored_plan __attribute__((cleanup(stored_plan_done)))

/* Verifies what is stored once more, with expiry at the present time (Uptane 5.4.3.2). ecus must live as long as the plan. */
int verify_again(Manager *m, const Ecu *ecus, StoredPlan *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * The Image repository as stored, verified at the present time, behind the search for this image alone: its
 * trust_repo_delegated() are what a Secondary needs besides the top-level roles (Uptane 5.4.2.6).
 */
int verify_image(Manager *m, const char *name, const char *hardware_id, TrustRepo **ret, Error *error) __attribute__((nonnull, warn_unused_result));
void stored_plan_done(StoredPlan *stored) __attribute__((nonnull));

#endif
