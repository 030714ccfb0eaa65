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

/* One of the other methods, about an image for this ECU. fd: the image, -1: none. */
typedef struct ExecCall {
        const char *member;
        const VehicleEcu *ecu;
        const EngineEcu *want;
        int fd;
} ExecCall;
int exec_call(Manager *m, const ExecCall *call, Helper *helper, HelperReply reply, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 3, 4, 6), warn_unused_result));

#endif
