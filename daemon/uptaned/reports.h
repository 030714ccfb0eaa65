/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_REPORTS_H
#define UPTANED_REPORTS_H

/*
 * Collects the Secondaries' signed version reports, all at the same time, each over its own helper connection
 * (Uptane 5.4.2.1). One that does not answer, or answers nonsense, is marked so and left out; it holds up nobody else
 * beyond its time-out.
 */
#include "uptaned/helper.h"
#include "uptaned/manager.h"

typedef struct Reports Reports;
typedef void (*ReportsDone)(void *userdata);

/* done comes from the event loop, exactly once, unless freed before. Reports may be freed in it. */
int reports_start(Manager *m, ReportsDone done, void *userdata, Reports **ret, Error *error)
        __attribute__((nonnull(1, 2, 4, 5), warn_unused_result));
Reports *reports_free(Reports *reports);

/* Checks one Secondary's report, keeps it for the manifest, and remembers what the ECU says it runs. */
int reports_take(Manager *m, VehicleEcu *ecu, Slice report, Error *error) __attribute__((nonnull, warn_unused_result));
/* Opens a helper for this Secondary's driver. */
int reports_open_helper(Manager *m, const VehicleEcu *ecu, Helper **ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* Asks it for its report; the answer to reply() is one "ay". */
int reports_ask(const VehicleEcu *ecu, Helper *helper, unsigned seconds, HelperReply reply, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 4, 6), warn_unused_result));

#endif
