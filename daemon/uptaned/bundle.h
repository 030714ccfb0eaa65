/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_BUNDLE_H
#define UPTANED_BUNDLE_H

/*
 * The job that prepares, installs and takes back an update on all its ECUs. What is done for one ECU is a Work; works run
 * side by side, at most [update] parallel of them, each over helper connections of its own: one that is slow or dead
 * delays no other. How it is done is the business of the ECU's driver.
 *
 * Every phase of a work ends exactly once, with one of work_ready(), work_done(), work_restored() and work_failed(). A step
 * that cannot be begun fails with -1, and the work with it.
 */
#include "uptaned/helper.h"
#include "uptaned/manager.h"

typedef struct Bundle Bundle;
typedef struct Work Work;
typedef struct SharedImage SharedImage;
typedef int (*WorkStep)(Work *work, Error *error);

typedef enum WorkPhase { WORK_NONE, WORK_PREPARE, WORK_INSTALL, WORK_RESTORE } WorkPhase;

typedef struct Driver {
        size_t size;      /* of its own struct, which begins with a Work */
        WorkStep prepare; /* everything but the last step; nothing that runs is touched */
        WorkStep install;
        WorkStep restore; /* what ran before; NULL: it cannot */
        void (*reset)(Work *work); /* behind each phase: closes what is its own; NULL: nothing is */
} Driver;

struct Work {
        const Driver *driver;
        Bundle *bundle;
        Manager *m;
        VehicleEcu *ecu;
        size_t index; /* in the update */
        WorkPhase phase; /* that runs, or ended last */
        bool running;
        Helper *helper; /* closed behind each phase */
        struct Verify *verify;
        bool waits; /* for its turn to be verified */
        bool awaits; /* a reboot of its ECU: it takes nobody's place */
        char **roles; /* delegated ones that say where its image is, ends with NULL; NULL: none. Since it was verified */
        SharedImage *image;
        WorkStep next; /* when it is verified, or its image is there */
        uint64_t told; /* usec, when D-Bus was told of its progress */
};

/* The effects of the engine. */
void bundle_prepare(Manager *m) __attribute__((nonnull));
void bundle_install(Manager *m) __attribute__((nonnull));
void bundle_restore(Manager *m) __attribute__((nonnull));
/* Ends the job where nothing of it runs and the engine is done with it. */
void bundle_settle(Manager *m) __attribute__((nonnull));

/* Its part of the update. */
const EngineEcu *work_ecu(const Work *work) __attribute__((nonnull, returns_nonnull));

void work_ready(Work *work) __attribute__((nonnull));
void work_done(Work *work, bool need_reboot) __attribute__((nonnull));
/* Not the end: the image is installed, and runs when somebody has rebooted that ECU, by then. The step goes on asking. */
void work_awaits(Work *work, int64_t until) __attribute__((nonnull));
void work_restored(Work *work) __attribute__((nonnull));
void work_failed(Work *work, const Error *error) __attribute__((nonnull));
/* A HelperProgress; userdata is the Work. */
void work_progress(void *userdata, uint64_t done, uint64_t total);

/* All stored metadata is verified once more at the present time, and must still say to put exactly this image there; then next. */
int work_verify(Work *work, WorkStep next, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * The downloaded image is opened and hashed, once for all ECUs that get it; then next. The file may have been changed since
 * it was downloaded: what is installed is what was hashed now.
 */
int work_image(Work *work, WorkStep next, Error *error) __attribute__((nonnull, warn_unused_result));
/* The image behind work_image(), from its first byte, with an offset of its own: the very file that was hashed. The fd, or -1. */
int work_image_open(const Work *work, Error *error) __attribute__((nonnull, warn_unused_result));
/* The same, but for a network: not faster than [limits] secondaries allows all of them together. */
int work_image_send(Work *work, Error *error) __attribute__((nonnull, warn_unused_result));

extern const Driver install_ip, install_ostree, install_exec, install_virtual;

#endif
