/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot-complete.target, as the service manager tells it on the system bus. What has to be well before a boot is complete are
 * units that the target requires: one of them that failed ends the waiting, for the target cannot be reached any more.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "health/health.h"
#include "peer/peer.h"

#define TARGET "boot-complete.target"
#define SERVICE "org.freedesktop.systemd1"
#define MANAGER "/org/freedesktop/systemd1"
#define PAUSE_MSEC 250
#define NAMES_MAX 120 /* bytes of names in a message */

static void bus_close(sd_bus **bus)
{
        sd_bus_flush_close_unref(*bus);
}

static void free_list(char ***list)
{
        strv_free(*list);
}

static int bus_error(Error *error, int r, const sd_bus_error *e, const char *what)
{
        return error_set_errno(error, ERR_SYSTEM, -r, "%s: %s", what, e->message ? e->message : "the service manager cannot be asked");
}

/* The object of a unit; free() it. */
static int find_unit(sd_bus *bus, const char *name, char **ret, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error e = SD_BUS_ERROR_NULL;
        const char *path;
        int r = sd_bus_call_method(bus, SERVICE, MANAGER, SERVICE ".Manager", "LoadUnit", &e, &reply, "s", name);

        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return bus_error(error, r, &e, name);
        *ret = xstrdup(path);
        return 0;
}

/* 1: the unit is in this state, 0: in another. */
static int is_state(sd_bus *bus, const char *path, const char *state, Error *error)
{
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error e = SD_BUS_ERROR_NULL;
        cleanup_free char *now = NULL;
        int r = sd_bus_get_property_string(bus, SERVICE, path, SERVICE ".Unit", "ActiveState", &e, &now);

        return r < 0 ? bus_error(error, r, &e, path) : strcmp(now, state) == 0;
}

/* The names of the units that the target requires and that failed, with spaces between. */
static int find_failed(sd_bus *bus, const char *target, Buffer *ret, Error *error)
{
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error e = SD_BUS_ERROR_NULL;
        __attribute__((cleanup(free_list))) char **names = NULL;
        int r = sd_bus_get_property_strv(bus, SERVICE, target, SERVICE ".Unit", "Requires", &e, &names);

        if (r < 0)
                return bus_error(error, r, &e, TARGET);
        for (size_t i = 0; names && names[i]; i++) {
                cleanup_free char *path = NULL;

                if (find_unit(bus, names[i], &path, error) < 0)
                        return -1;
                r = is_state(bus, path, "failed", error);
                if (r < 0)
                        return -1;
                if (r > 0)
                        buffer_printf(ret, " %s", names[i]);
        }
        return 0;
}

/* Everything that failed, for whoever wonders why the target is not reached. */
static void list_failed(sd_bus *bus, Buffer *ret)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        const char *name;

        if (sd_bus_call_method(bus, SERVICE, MANAGER, SERVICE ".Manager", "ListUnitsFiltered", NULL, &reply, "as", 1, "failed") < 0 ||
            sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0)
                return;
        while (sd_bus_message_enter_container(reply, 'r', "ssssssouso") > 0) {
                if (sd_bus_message_read(reply, "s", &name) < 0 || sd_bus_message_skip(reply, "sssssouso") < 0 ||
                    sd_bus_message_exit_container(reply) < 0)
                        return;
                buffer_printf(ret, " %s", name);
        }
}

/* 1: reached, 0: not yet. */
static int look(sd_bus *bus, const char *target, Error *error)
{
        cleanup_buffer Buffer failed = { 0 };
        int r = is_state(bus, target, "active", error);

        if (r != 0)
                return r;
        if (find_failed(bus, target, &failed, error) < 0)
                return -1;
        if (failed.size)
                return error_set(error, ERR_HEALTH, "failed before " TARGET ":%.*s", NAMES_MAX, buffer_str(&failed));
        return 0;
}

static int too_late(sd_bus *bus, unsigned seconds, Error *error)
{
        cleanup_buffer Buffer failed = { 0 };

        list_failed(bus, &failed);
        return error_set(error, ERR_HEALTH, TARGET " was not reached within %u s; failed units:%.*s", seconds, NAMES_MAX,
                         failed.size ? buffer_str(&failed) : " none");
}

int health_wait_boot(sd_bus_message *call, unsigned seconds, Error *error)
{
        __attribute__((cleanup(bus_close))) sd_bus *bus = NULL;
        cleanup_free char *target = NULL;
        int r = sd_bus_open_system(&bus);

        if (r < 0)
                return error_set_errno(error, ERR_SYSTEM, -r, "the system bus");
        if (find_unit(bus, TARGET, &target, error) < 0)
                return -1;
        for (uint64_t waited = 0; waited <= (uint64_t) seconds * 1000; waited += PAUSE_MSEC) {
                r = look(bus, target, error);
                if (r != 0)
                        return r < 0 ? -1 : 0;
                if (peer_gone(call))
                        return error_set(error, ERR_CANCELLED, "nobody waits for " TARGET " any more");
                (void) nanosleep(&(struct timespec) { .tv_nsec = PAUSE_MSEC * 1000000L }, NULL);
        }
        return too_late(bus, seconds, error);
}
