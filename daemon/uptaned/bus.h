/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_BUS_H
#define UPTANED_BUS_H

/* What the files of the D-Bus face share: docs/DBUS.md is the interface, bus.c the object, bus-ecu.c the ECUs, bus-verbs.c what callers ask for. */
#include "uptaned/manager.h"

#define BUS_NAME "org.uptane.Primary1"
#define BUS_PATH "/org/uptane/Primary1"
#define BUS_INTERFACE "org.uptane.Primary1"

extern const sd_bus_vtable bus_primary_vtable[];
extern const sd_bus_vtable bus_ecu_vtable[];

/* bus-verbs.c */
int bus_on_check(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_approve(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_decline(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_postpone(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_cancel(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_pause(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_resume(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_reboot(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_set_condition(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_inhibit(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_history(sd_bus_message *m, void *userdata, sd_bus_error *ret);
int bus_on_manifest(sd_bus_message *m, void *userdata, sd_bus_error *ret);

/* Appends (sst): name, message, usec; empty where there is no error. */
int bus_append_error(sd_bus_message *m, const Error *error, int64_t seconds) __attribute__((nonnull));
/* Appends the update as a{sv}; empty where there is none. */
int bus_append_update(sd_bus_message *m, const Engine *engine) __attribute__((nonnull));
/* Seconds since 1970 as D-Bus time. */
static inline uint64_t bus_usec(int64_t seconds)
{
        return seconds > 0 ? (uint64_t) seconds * 1000000 : 0;
}

/* auth.c: runs verb once its sender was found to be allowed; the reply is owed by then. 0, 1 if it has replied itself, or -1. */
typedef int (*AuthVerb)(Manager *m, sd_bus_message *message, Error *error);
/*
 * root and members of group "uptane" may; others if polkit says so for action. The verb runs now or later from the event
 * loop; where it has not replied itself, an empty reply or its error is the answer. Returns as a method handler does.
 */
int auth_run(Manager *m, sd_bus_message *message, const char *action, AuthVerb verb, sd_bus_error *ret) __attribute__((nonnull));

#endif
