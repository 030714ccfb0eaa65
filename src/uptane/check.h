/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANE_CHECK_H
#define UPTANE_CHECK_H

/*
 * Director and Image repository together (Uptane 5.4.4.2, 10): which image, signed by both, goes to which ECU.
 *
 * Pure: reads verified Targets of both repositories and the list of ECUs, makes a plan or names the first thing wrong.
 * A plan borrows from the Targets it was made from.
 */
#include "base/arena.h"
#include "trust/drive.h"

/* An ECU of this vehicle. */
typedef struct Ecu {
        const char *serial;
        const char *hardware_id;
        bool primary;
        int64_t release_counter; /* of the installed image; -1: unknown */
        const char *image;       /* name of the installed image, or NULL */
        Hashes hashes;           /* of the installed image */
        int64_t length;          /* of the installed image; -1: unknown */
} Ecu;

/* One image for one ECU. */
typedef struct Assignment {
        const Ecu *ecu;
        const Target *director;
        const Target *image; /* NULL where only Director Targets were looked at */
        const char *uri;     /* the Director's, else the Image repository's, else NULL: default path */
        bool ostree;
        bool installed; /* the ECU already runs exactly this */
} Assignment;

typedef struct Plan {
        Arena *arena;
        const Assignment *assignments; /* Primary last: its reboot ends the cycle */
        size_t n_assignments;
        size_t n_pending; /* not installed yet */
} Plan;

void plan_done(Plan *plan) __attribute__((nonnull));
#define cleanup_plan __attribute__((cleanup(plan_done)))

/*
 * Director Targets alone (5.4.4.6, 6-8): no delegations, every target has ECUs, each ECU at most once, all of this
 * vehicle, with its own hardware id. ret->n_pending says whether the Image repository need be asked at all.
 * complete: false on a Secondary, which knows only itself and ignores assignments to others.
 */
int uptane_check_director(const Targets *director, const Ecu *ecus, size_t n_ecus, bool complete, Plan *ret, Error *error)
        __attribute__((nonnull(1, 5, 6), warn_unused_result));
/* Who this vehicle is; NULL or "": not known. */
typedef struct VehicleId {
        const char *vin, *device_id;
        bool required; /* Targets without an image must name the vehicle (5.2.3.1); the device API's back-ends do not */
} VehicleId;

/*
 * That the Director's Targets are for this vehicle, where they say for which; against the replay of those of another one.
 * ERR_WRONG_VEHICLE.
 */
int uptane_check_vehicle(const Targets *director, const VehicleId *self, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * Assignment index of a plan against what the Image repository says of an image of this name (NULL: nothing): equal length,
 * equal hashes (every shared one, at least one shared), the ECU's hardware id among its hardware ids, equal release counter
 * where both have one, not lower than the installed one, equal members must_match (ends with NULL; NULL: none) of "custom".
 * Fills image, uri and ostree of the assignment. ERR_TARGET_MISMATCH, ERR_HARDWARE_ID, ERR_ROLLBACK, ERR_UNSUPPORTED.
 */
int uptane_check_image(Plan *plan, size_t index, const Target *image, const char *const *must_match, Error *error)
        __attribute__((nonnull(1, 5), warn_unused_result));
/*
 * Partial verification (5.4.4.1): the same where the Director's word has to do for both. The image's name, release counter
 * and format are checked against the ECU; that the Image repository has signed it is not.
 */
int uptane_check_partial(Plan *plan, Error *error) __attribute__((nonnull, warn_unused_result));
/* Looks an assignment's image up in the Image repository (TRUST_DONE) and checks it, where all answers are at hand. */
int uptane_search_image(Plan *plan, size_t index, TrustRepo *images, const TrustFiles *files, const char *const *must_match, Error *error)
        __attribute__((nonnull(1, 3, 4, 6), warn_unused_result));
/* Every assignment's. */
int uptane_check_images(Plan *plan, TrustRepo *images, const TrustFiles *files, const char *const *must_match, Error *error)
        __attribute__((nonnull(1, 2, 3, 5), warn_unused_result));

#endif
