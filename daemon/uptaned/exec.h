/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_EXEC_H
#define UPTANED_EXEC_H

/*
 * A handler program behind uptane-exec, as the daemon asks it (docs/ACTION-HANDLERS.md). What it says of its ECU is
 * believed: it is the ECU, as far as this vehicle can know.
 */
#include "uptaned/helper.h"
#include "uptaned/manager.h"

int exec_open(Manager *m, Helper **ret, Error *error) __attribute__((nonnull, warn_unused_result));

/* GetFirmwareInfo of this ECU; the reply is for exec_take_info(). */
int exec_ask_info(Manager *m, const VehicleEcu *ecu, Helper *helper, HelperReply reply, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 3, 4, 6), warn_unused_result));
/* 1 and remembered, if the handler knows what its ECU runs, or that nobody does; 0: what was installed last counts on. */
int exec_take_info(Manager *m, VehicleEcu *ecu, sd_bus_message *reply, Error *error) __attribute__((nonnull, warn_unused_result));

typedef enum ExecRuns { EXEC_RUNS_WANTED, EXEC_RUNS_OTHER, EXEC_RUNS_UNKNOWN } ExecRuns;
/* The same, compared with what is wanted; unknown: the handler does not say. -1 with error, which reply is NULL with: it does not answer. */
int exec_take_runs(Manager *m, VehicleEcu *ecu, const EngineEcu *want, sd_bus_message *reply, ExecRuns *ret, Error *error)
        __attribute__((nonnull(1, 2, 3, 5, 6), warn_unused_result));

/* One of the other methods, about an image for this ECU. */
typedef struct ExecCall {
        const char *member;
        const VehicleEcu *ecu;
        const EngineEcu *want;
        int fd;    /* the image; -1: none */
        bool hold; /* no boot may be into it before it is released */
} ExecCall;
int exec_call(Manager *m, const ExecCall *call, Helper *helper, HelperReply reply, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 3, 4, 6), warn_unused_result));
/* What it answered: the status, or NULL and error. */
const char *exec_read_status(sd_bus_message *reply, Error *error) __attribute__((nonnull(2)));

/*
 * The note in the store that an ECU has got an image which waits for a boot, with the boot in which that was, and whether it is
 * held: then the boot that it waits for is one behind "release".
 */
typedef enum ExecNote { EXEC_NOTE_NONE, EXEC_NOTE_THIS_BOOT, EXEC_NOTE_EARLIER_BOOT } ExecNote;
int exec_note_put(Manager *m, const VehicleEcu *ecu, const EngineEcu *want, bool held, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* Of this image: EXEC_NOTE_NONE where the note is about another. */
int exec_note_get(Manager *m, const VehicleEcu *ecu, const EngineEcu *want, ExecNote *ret, bool *ret_held, Error *error)
        __attribute__((nonnull, warn_unused_result));
void exec_note_forget(Manager *m, const VehicleEcu *ecu) __attribute__((nonnull));

#endif
