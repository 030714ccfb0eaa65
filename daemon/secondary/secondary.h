/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_SECONDARY_H
#define SECONDARY_SECONDARY_H

/*
 * A Secondary ECU: its key, what it trusts, what it runs, and the image on its way to it.
 *
 * It verifies fully by itself (Uptane 5.4.4.2): both repositories from its own trusted Roots, its own clock, and the
 * assignment to itself; or, where configured so, partially (5.4.4.1): the Director's Root and Targets, and nothing else is
 * looked at. It believes nothing that comes over the wire, and stores nothing before all of it was verified.
 * Metadata that is refused also ends an upload: only what the last accepted metadata assigned can be installed.
 */
#include "metadata/der.h"
#include "secondary/config.h"
#include "store/store.h"
#include "uptane/check.h"

#define SECONDARY_TIME_FLOOR "time-floor" /* a number in the store: when metadata was last accepted */

/* What accepted metadata says this ECU should run. */
typedef struct Wanted {
        bool any;
        bool installed; /* it already runs it */
        char name[TARGET_NAME_MAX + 1];
        int64_t length;
        Hashes hashes;
        int64_t release_counter; /* -1: none */
} Wanted;

typedef struct Secondary {
        SecondaryConfig config; /* owned */
        Store *store;
        Signer *signer;
        const char *serial;
        Arena *arena;
        StoredEcu installed; /* .image is "" where nothing known is installed */
        Wanted wanted;
        /* the upload: INSTALL.part */
        char *part_path;
        int part_fd; /* -1: none */
        Hasher *hasher;
        int64_t received;
        bool stalled; /* an upload failed: nothing more is taken until new metadata */
} Secondary;

/* Opens the state, makes the key at first start, takes the Roots at first start. Takes over config, even on failure. */
int secondary_new(SecondaryConfig *config, Secondary **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Secondary *secondary_free(Secondary *secondary);
DEFINE_CLEANUP(Secondary, secondary_free)

/* Whether something is under way that would be lost with the process: an image is expected, or on its way. */
bool secondary_is_busy(const Secondary *secondary) __attribute__((nonnull));

/* state.c */
/* Seconds since 1970: of the clock, or the latest time accepted metadata was verified at if the clock is behind that. */
int secondary_time(Secondary *secondary, int64_t *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* The image at the place of the firmware is this now, whose bytes were checked. */
int secondary_set_installed(Secondary *secondary, const Wanted *image, Error *error) __attribute__((nonnull, warn_unused_result));
/* Remembers it before the file is replaced: a power cut between the two is found out at the next start. */
int secondary_announce(Secondary *secondary, const Wanted *image, Error *error) __attribute__((nonnull, warn_unused_result));

/* metadata.c */
/* Whether it uses this repository at all: partial verification knows the Director only. */
bool secondary_trusts(const Secondary *secondary, TrustKind kind) __attribute__((nonnull));
/* 0 where the repository is not used. */
int secondary_root_version(Secondary *secondary, TrustKind kind, int64_t *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* The next Root; the trusted one again is accepted, too. One of a repository that is not used is passed over. */
int secondary_put_root(Secondary *secondary, TrustKind kind, Slice root, Error *error) __attribute__((nonnull, warn_unused_result));
/* All metadata of both repositories (DER_PUT_META_REQ2); partial verification uses the Director's Targets, and Root if there. */
int secondary_put_metadata(Secondary *secondary, const DerMessage *files, Error *error) __attribute__((nonnull, warn_unused_result));

/* image.c */
int secondary_put_data(Secondary *secondary, Slice data, Error *error) __attribute__((nonnull, warn_unused_result));
/* 0; 1 if it was installed already. */
int secondary_install(Secondary *secondary, Slice name, Error *error) __attribute__((nonnull, warn_unused_result));
void secondary_drop_upload(Secondary *secondary) __attribute__((nonnull));

/*
 * answer.c: appends the answer to one whole message. A refusal is an answer, too, and the attack it means goes into the
 * next version report. -1: there is no answer, and the connection is to be closed.
 */
int secondary_answer(Secondary *secondary, Slice message, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
