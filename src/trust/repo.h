/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRUST_REPO_H
#define TRUST_REPO_H

/*
 * One repository as a client sees it (Uptane 5.4.4.2): Root chain, Timestamp, Snapshot, Targets.
 *
 * The object does no I/O and reads no clock. Ask trust_repo_next() what it needs, do that, tell it, repeat until
 * TRUST_DONE. It holds only metadata that has been verified; bytes passed in are copied, bytes handed out are borrowed
 * until the next call. After a failure, which says what metadata it is about (error_about()), the object can only be freed:
 * the update cycle is over. Freshness of the Root is
 * checked on the last Root of the chain, never on those in between.
 *
 *        new -> restore(root)... -> next: FETCH n+1.root.json -> feed -> next: STORE ... -> DONE
 *
 * Then any number of images can be looked for, one after the other, the same way; delegated roles are only asked for where
 * an image needs them (Uptane 5.4.4.7):
 *
 *        search("brake.img", "ecu-x") -> next: LOAD "supplier" -> feed or feed_absent -> next: FETCH ... -> DONE -> found()
 */
#include "trust/delegation.h"

typedef struct TrustRepo TrustRepo;

typedef enum TrustKind {
        TRUST_DIRECTOR,
        TRUST_IMAGE,
        _TRUST_KIND_MAX,
} TrustKind;

typedef enum TrustStepKind {
        TRUST_DONE,  /* the workflow is complete; trust_repo_targets() is valid, after a search trust_repo_found() */
        TRUST_FETCH, /* get .role/.name/.version, at most .max_bytes, then feed() or feed_absent() */
        TRUST_LOAD,  /* give what is stored under .name with feed(), or feed_absent() where nothing is */
        TRUST_STORE, /* persist .bytes before asking for the next step */
        TRUST_FORGET, /* forget the stored Timestamp and Snapshot: their keys were rotated (5.4.4.3, 4) */
} TrustStepKind;

typedef struct TrustStep {
        TrustStepKind kind;
        Role role;
        const char *name; /* of a delegated role (role is ROLE_TARGETS), else NULL; borrowed until the next call */
        int64_t version;  /* of .bytes, or of the file to fetch; 0: not known before (Timestamp; Targets without Snapshot) */
        size_t max_bytes; /* TRUST_FETCH: never more than this */
        int64_t expires;  /* TRUST_STORE only: of .bytes, seconds since 1970 */
        Slice bytes;      /* TRUST_STORE only */
} TrustStep;

typedef struct TrustOptions {
        TrustKind kind;
        int64_t now;            /* seconds since 1970 */
        bool without_timestamp; /* Director only: a back-end that has neither Timestamp nor Snapshot */
        bool plain_tuf; /* the TUF specification where Uptane asks for more: see below */
        unsigned max_roots;            /* new Roots in one cycle; 0: TRUST_ROOTS_PER_CYCLE */
        size_t max_bytes[_ROLE_MAX];   /* of one file; 0: role_bytes_max() */
        size_t max_delegated_bytes;    /* of all delegated roles together; 0: TRUST_DELEGATED_BYTES_MAX */
        const char *const *must_match; /* members of "custom" that agreeing roles must agree in; ends with NULL; NULL: none */
} TrustOptions;

/*
 * plain_tuf, for repositories that are none of a vehicle's: hashes in Timestamp are optional (TUF 4.6); a Timestamp of the
 * version that is trusted already is passed over (5.4.3) whatever it says; the version of Targets is held to what Snapshots
 * say of it and to nothing else (5.5.5); other content under a version that is trusted already is taken.
 */

/* At most this many new Roots are taken in one cycle; the rest follows in the next. */
#define TRUST_ROOTS_PER_CYCLE 64
#define TRUST_DELEGATED_BYTES_MAX ((size_t) 64 * 1024 * 1024)

/* "director" or "image" */
const char *trust_kind_name(TrustKind kind) __attribute__((returns_nonnull));

/*
 * Where the file of a TRUST_FETCH lies below its repository, as the device API has it: "3.root.json", "targets.json",
 * "delegations/ROLE.json". A role's name is encoded as a whole (Uptane 5.2.7 (3)): it never becomes a path. free() it.
 */
char *trust_step_file(const TrustStep *step) __attribute__((nonnull, returns_nonnull));

TrustRepo *trust_repo_new(const TrustOptions *options) __attribute__((nonnull, returns_nonnull));
TrustRepo *trust_repo_free(TrustRepo *repo);
DEFINE_CLEANUP(TrustRepo, trust_repo_free)

/*
 * Hands in what was trusted before: Root first (it must be there), then Timestamp, Snapshot, Targets where stored.
 * Stored files are checked for form and against the Root's signatures, not for expiry: they are only a baseline.
 * What does not verify any more is left out (return 1), so that a fresh fetch always recovers. A Timestamp or Snapshot is
 * then no baseline either: its keys were rotated, and a power cut came before TRUST_FORGET. The version of a Targets file
 * still counts. A bad Root is an error.
 */
int trust_repo_restore(TrustRepo *repo, Role role, Slice stored, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * Hands in, in the place of a stored Root, the one that was shipped with the software. It is given out to be stored with the
 * first thing that rests on it: a Root that follows, or itself where it is the last and not expired.
 */
int trust_repo_ship(TrustRepo *repo, Slice root, Error *error) __attribute__((nonnull, warn_unused_result));
int trust_repo_next(TrustRepo *repo, TrustStep *ret, Error *error) __attribute__((nonnull, warn_unused_result));
int trust_repo_feed(TrustRepo *repo, Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));
/* The file asked for does not exist (404), or nothing is stored. Of files only the next Root may be missing; else ERR_NOT_FOUND. */
int trust_repo_feed_absent(TrustRepo *repo, Error *error) __attribute__((nonnull, warn_unused_result));

/* Valid after TRUST_DONE, borrowed from repo. */
const Targets *trust_repo_targets(const TrustRepo *repo) __attribute__((nonnull, returns_nonnull));
/* The verified document of a role, or NULL; at any time. */
const Metadata *trust_repo_metadata(const TrustRepo *repo, Role role) __attribute__((nonnull));
/*
 * Begins to look for an image of this name for this hardware (NULL: any), among the Targets and in the roles they delegate
 * to. After TRUST_DONE; ask trust_repo_next() until TRUST_DONE comes again.
 */
void trust_repo_search(TrustRepo *repo, const char *name, const char *hardware_id) __attribute__((nonnull(1, 2)));
/* What the search found, borrowed from repo, or NULL: no role lists it. */
const Target *trust_repo_found(const TrustRepo *repo) __attribute__((nonnull));
/*
 * The delegated roles that searches have loaded so far, by index, borrowed from repo; NULL behind the last. After one search
 * these are what another ECU needs to find the same image.
 */
const Metadata *trust_repo_delegated(const TrustRepo *repo, size_t index, const char **ret_name) __attribute__((nonnull));

#endif
