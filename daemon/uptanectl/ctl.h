/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANECTL_CTL_H
#define UPTANECTL_CTL_H

/*
 * uptanectl(1): the command line over the daemon's D-Bus interface (docs/DBUS.md). It knows nothing the bus does not
 * say; only "verify" drives the core itself, on files. Texts from the bus are shown without control characters.
 */
#include <stdbool.h>

#include <systemd/sd-bus.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/slice.h"

#define CTL_NAME "org.uptane.Primary1"
#define CTL_PATH "/org/uptane/Primary1"
#define CTL_ECU CTL_NAME ".Ecu"

typedef struct Ctl {
        sd_bus *bus;
        bool json;
        bool colour;
        bool terminal; /* standard output is one */
        const char *until; /* monitor: end in this state */
} Ctl;

#define cleanup_message __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message
#define cleanup_bus_error __attribute__((cleanup(sd_bus_error_free))) sd_bus_error

/* call.c: what the bus says went wrong, as an Error; a name of ours keeps its code. Returns -1. */
int ctl_error(const sd_bus_error *bus_error, int r, Error *error) __attribute__((nonnull(3)));
/* Calls a method of the Primary; reply may be NULL. types as sd_bus_message_append(). */
int ctl_call(Ctl *ctl, sd_bus_message **ret, Error *error, const char *member, const char *types, ...)
        __attribute__((nonnull(1, 3, 4, 5), warn_unused_result));
/* All properties of the Primary (path NULL) as a{sv}. */
int ctl_get_all(Ctl *ctl, const char *path, const char *interface, sd_bus_message **ret, Error *error)
        __attribute__((nonnull(1, 3, 4, 5), warn_unused_result));
/* All objects, a{oa{sa{sv}}}. */
int ctl_get_objects(Ctl *ctl, sd_bus_message **ret, Error *error) __attribute__((nonnull, warn_unused_result));

/* json.c: writes the value a message stands at, whatever its type. */
int json_write_value(sd_bus_message *m, Buffer *b) __attribute__((nonnull, warn_unused_result));

/* show.c */
int show_status(Ctl *ctl, Error *error) __attribute__((nonnull, warn_unused_result));
int show_ecus(Ctl *ctl, Error *error) __attribute__((nonnull, warn_unused_result));
int show_history(Ctl *ctl, Error *error) __attribute__((nonnull, warn_unused_result));
int show_manifest(Ctl *ctl, Error *error) __attribute__((nonnull, warn_unused_result));
/* "2026-11-01 12:00:00 (3 min ago)", or "never" for 0. */
void show_time(uint64_t usec, char *ret, size_t size) __attribute__((nonnull));

/* verify.c: argv[0] is the verb; ctl->bus is not used. */
int verify_folders(const Ctl *ctl, int argc, char **argv, Error *error) __attribute__((nonnull, warn_unused_result));

/* monitor.c */
int monitor(Ctl *ctl, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
