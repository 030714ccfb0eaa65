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
#include <sys/types.h>

#include "exec/answer.h"
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
        bool fetched; /* an OSTree commit that is in the repository */
} Wanted;

/* What an order came to. Negative: it failed. */
typedef enum SecondaryResult {
        SECONDARY_DONE,
        SECONDARY_ALREADY,         /* it is what runs */
        SECONDARY_NEED_COMPLETION, /* it is installed, and runs when this ECU was booted again */
        SECONDARY_LATER,           /* it is being done: ask again when secondary_is_working() says no */
} SecondaryResult;

/* What uptane-secondary-install is doing for us (job.c). */
typedef enum JobGoal { JOB_NONE, JOB_LOOK, JOB_COMPLETE, JOB_FETCH, JOB_INSTALL } JobGoal;

typedef struct Job {
        JobGoal goal;
        ExecAction action; /* of the goal, that runs now */
        pid_t pid;
        int output; /* -1: nothing runs */
        Buffer text;
        bool going_back; /* it has failed, error says why */
        Error error;
} Job;

/* How the last one ended that somebody may ask for. */
typedef struct Outcome {
        JobGoal goal;
        int result;
        Error error;
} Outcome;

typedef struct Secondary {
        SecondaryConfig config; /* owned */
        Store *store;
        Signer *signer;
        const char *serial;
        Arena *arena;
        StoredEcu installed; /* .image is "" where nothing known is installed */
        StoredEcu announced; /* what was given to the installer last; .label is NULL before the first */
        bool pending;        /* which waits for this ECU to be booted */
        Wanted wanted;
        Job job;
        Outcome outcome;
        /* the upload */
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
/* Remembers it before anything is touched: a power cut behind that is found out at the next start. */
int secondary_announce(Secondary *secondary, const Wanted *image, Error *error) __attribute__((nonnull, warn_unused_result));

/*
 * What somebody says that this ECU runs, by its SHA-256: then the record that fits it is the true one, and name and length (-1: not
 * known) are only used where none does. hashes NULL: nobody knows what runs.
 */
int secondary_take_firmware(Secondary *secondary, const char *name, int64_t length, const Hashes *hashes, Error *error)
        __attribute__((nonnull(1, 2, 5), warn_unused_result));
/* The note that what was announced waits for a boot: put down in this boot, or taken away. */
int secondary_set_pending(Secondary *secondary, bool pending, Error *error) __attribute__((nonnull, warn_unused_result));
/* 1: it was put down in an earlier boot; 0: in this one, or there is none. */
int secondary_was_booted(Secondary *secondary, Error *error) __attribute__((nonnull, warn_unused_result));

/*
 * Why the installation of this image has failed, for those who ask again, also behind a sleep or a boot, until metadata is accepted.
 * A store that fails now only means that nobody will be told.
 */
void secondary_keep_failure(Secondary *secondary, const char *image, const Error *why) __attribute__((nonnull));
void secondary_forget_failure(Secondary *secondary) __attribute__((nonnull));
/* Whether there is one, and it is in ret. */
bool secondary_find_failure(Secondary *secondary, Slice image, Error *ret) __attribute__((nonnull));

/* metadata.c */
/* Whether it uses this repository at all: partial verification knows the Director only. */
bool secondary_trusts(const Secondary *secondary, TrustKind kind) __attribute__((nonnull));
/* 0 where the repository is not used. */
int secondary_root_version(Secondary *secondary, TrustKind kind, int64_t *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* The next Root; the trusted one again is accepted, too. One of a repository that is not used is passed over. */
int secondary_put_root(Secondary *secondary, TrustKind kind, Slice root, Error *error) __attribute__((nonnull, warn_unused_result));
/* All metadata of both repositories (DER_PUT_META_REQ2); partial verification uses the Director's Targets, and Root if there. */
int secondary_put_metadata(Secondary *secondary, const DerMessage *files, Error *error) __attribute__((nonnull, warn_unused_result));

/* credentials.c: STATE/credentials/{device.crt,device.key,ca.pem}. ERR_NOT_SUPPORTED unless configured, ERR_KEY. */
int secondary_take_credentials(Secondary *secondary, Slice pem, Error *error) __attribute__((nonnull, warn_unused_result));

/* image.c */
int secondary_put_data(Secondary *secondary, Slice data, Error *error) __attribute__((nonnull, warn_unused_result));
/* A SecondaryResult. */
int secondary_install(Secondary *secondary, Slice name, Error *error) __attribute__((nonnull, warn_unused_result));
void secondary_drop_upload(Secondary *secondary) __attribute__((nonnull));

/*
 * job.c: what installs by a handler or by OSTree, one action after the other, each as a process uptane-secondary-install that this one
 * does not wait for. Whatever is interrupted is found out at the next start, from what the installer says that runs.
 */
/* At the start: what runs, and before that the end of what was waiting for the boot. */
int secondary_job_look(Secondary *secondary, Error *error) __attribute__((nonnull, warn_unused_result));
/* SecondaryResults. image_fd: the verified image from its beginning, or -1. */
int secondary_job_install(Secondary *secondary, int image_fd, Error *error) __attribute__((nonnull, warn_unused_result));
int secondary_job_fetch(Secondary *secondary, Error *error) __attribute__((nonnull, warn_unused_result));
bool secondary_is_working(const Secondary *secondary) __attribute__((nonnull));
/* When job.output can be read. */
void secondary_job_advance(Secondary *secondary) __attribute__((nonnull));
/* Ends what runs. */
void secondary_job_stop(Secondary *secondary) __attribute__((nonnull));

/*
 * answer.c: appends the answer to one whole message. A refusal is an answer, too, and the attack it means goes into the
 * next version report. 0; 1: not before secondary_is_working() says no. -1: there is no answer, and the connection is to be closed.
 */
int secondary_answer(Secondary *secondary, Slice message, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

/* What a connection was ended for, where that is an attack: it goes into the next version report. */
void secondary_note(Secondary *secondary, const Error *why) __attribute__((nonnull));

#endif
