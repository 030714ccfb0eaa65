/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_REPORTS_H
#define UPTANED_REPORTS_H

/*
 * Collects the Secondaries' signed version reports, as many at the same time as may install at the same time, each over its own
 * helper connection (Uptane 5.4.2.1). Of one that does not answer, or answers nonsense, the last good report stays, marked as an old one; it
 * holds up nobody else beyond its time-out. A report that another key signed makes the Primary ask who is there.
 */
#include "uptaned/helper.h"
#include "uptaned/manager.h"

typedef struct Reports Reports;
/* error: ERR_STORAGE if what came could not be written down; nothing of it must leave the vehicle then. */
typedef void (*ReportsDone)(void *userdata, Error *error);

/* done comes from the event loop, exactly once, unless freed before. Reports may be freed in it. All that came is in the store then. */
int reports_start(Manager *m, ReportsDone done, void *userdata, Reports **ret, Error *error)
        __attribute__((nonnull(1, 2, 4, 5), warn_unused_result));
Reports *reports_free(Reports *reports);

/*
 * Checks one Secondary's report (signature, serial, counter), keeps it for the manifest, and remembers what the ECU says it
 * runs. It is to be stored before it is used. ERR_REPORT_FORGED, ERR_REPORT_REPLAYED, ERR_SECONDARY, ERR_STORAGE.
 */
int reports_take(Manager *m, VehicleEcu *ecu, Slice report, Error *error) __attribute__((nonnull, warn_unused_result));
/* Makes all reports durable that are not yet. */
int reports_store(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* Opens a helper for this Secondary's driver. */
int reports_open_helper(Manager *m, const VehicleEcu *ecu, Helper **ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* Asks it for its report ("GetManifest") or who it is ("GetInfo"); reply() gets what docs/HELPERS.md says of that member. */
int reports_ask(const VehicleEcu *ecu, Helper *helper, const char *member, unsigned seconds, HelperReply reply, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 3, 5, 7), warn_unused_result));

#endif
