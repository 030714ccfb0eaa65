/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_TRIAL_EXEC_H
#define UPTANED_TRIAL_EXEC_H

/*
 * The handler of the Primary between the installation of its image and the day that this is good or gone, one action after
 * another: held and let go, and behind the boot looked at, completed, or rolled back. Whoever has it decides which; what it
 * says and what is noted of it is done here.
 */
#include "uptaned/exec.h"

typedef struct TrialExec TrialExec;

typedef enum TrialResult {
        TRIAL_DONE,        /* it was done; of a look: the image runs, as far as anybody can say */
        TRIAL_OTHER,       /* of a look: it does not */
        TRIAL_HELD,        /* of a look: it does not, and was never let go: nothing speaks against it */
        TRIAL_NEED_REBOOT, /* of a rollback: the old software is the next to boot */
        TRIAL_NOT_HELD,    /* the handler holds nothing back; error says so, in words for the user: trial_exec_tell() */
        TRIAL_FAILED,      /* error says how */
} TrialResult;

/* Once for each action. The TrialExec may be freed in here. */
typedef void (*TrialEnd)(void *userdata, TrialResult result, Error *error);

/* want is borrowed: the Primary's part in the update. */
TrialExec *trial_exec_new(Manager *m, const EngineEcu *want, TrialEnd end, void *userdata) __attribute__((nonnull(1, 2, 3), returns_nonnull));
TrialExec *trial_exec_free(TrialExec *trial);

/* -1: it could not be begun, and end is not called. */
int trial_exec_look(TrialExec *trial, Error *error) __attribute__((nonnull, warn_unused_result));
int trial_exec_complete(TrialExec *trial, Error *error) __attribute__((nonnull, warn_unused_result));
int trial_exec_rollback(TrialExec *trial, Error *error) __attribute__((nonnull, warn_unused_result));
int trial_exec_hold(TrialExec *trial, Error *error) __attribute__((nonnull, warn_unused_result));
int trial_exec_release(TrialExec *trial, Error *error) __attribute__((nonnull, warn_unused_result));

/* Tells the user what is no failure: as this ECU's LastError, and in the journal. */
void trial_exec_tell(Manager *m, VehicleEcu *ecu, const Error *error) __attribute__((nonnull));

#endif
