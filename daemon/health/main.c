/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-health: says whether new software is well. It is handed one connection by systemd and serves it; docs/HELPERS.md is
 * its interface. Checks are the programs in some folders, so that whoever asks can name none of its own: the unit alone says
 * what they may.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "health/health.h"
#include "peer/peer.h"

#define VENDOR_FOLDER "/usr/lib/uptane/health.d"
#define LOCAL_FOLDER "/etc/uptane/health.d"
#define SECONDS_MAX (30u * 86400)

static int read_seconds(sd_bus_message *call, unsigned *ret, Error *error)
{
        uint32_t seconds;
        int r = sd_bus_message_read(call, "u", &seconds);

        if (r < 0)
                return error_set_errno(error, ERR_INVALID_ARGUMENT, -r, "the arguments cannot be read");
        if (seconds == 0 || seconds > SECONDS_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "%u seconds are not 1 to %u", seconds, SECONDS_MAX);
        *ret = seconds;
        return 0;
}

static int on_wait_boot(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        unsigned seconds;
        Error error = { 0 };

        (void) userdata;
        if (read_seconds(call, &seconds, &error) < 0 || health_wait_boot(call, seconds, &error) < 0)
                return peer_error_reply(&error, ret);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_run_checks(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        unsigned seconds;
        Error error = { 0 };

        if (read_seconds(call, &seconds, &error) < 0 || health_run_checks(call, userdata, seconds, &error) < 0)
                return peer_error_reply(&error, ret);
        return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("WaitBoot", SD_BUS_ARGS("u", seconds), SD_BUS_NO_RESULT, on_wait_boot, 0),
        SD_BUS_METHOD_WITH_ARGS("RunChecks", SD_BUS_ARGS("u", seconds), SD_BUS_NO_RESULT, on_run_checks, 0),
        SD_BUS_SIGNAL_WITH_ARGS("Progress", SD_BUS_ARGS("t", done, "t", total), 0),
        SD_BUS_VTABLE_END,
};

static int parse_arguments(int argc, char **argv, HealthFolders *folders, Error *error)
{
        static const struct option longs[] = {
                { "folder", required_argument, NULL, 'f' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                if (c != 'f')
                        return error_set(error, ERR_INVALID_ARGUMENT, "usage: uptane-health [--folder=PATH]...");
                if (folders->n == HEALTH_FOLDERS_MAX)
                        return error_set(error, ERR_INVALID_ARGUMENT, "more than %d folders", HEALTH_FOLDERS_MAX);
                folders->paths[folders->n++] = optarg;
        }
        return optind < argc ? error_set(error, ERR_INVALID_ARGUMENT, "unknown argument '%.40s'", argv[optind]) : 0;
}

static int run(int argc, char **argv, Error *error)
{
        HealthFolders folders = { 0 };

        if (parse_arguments(argc, argv, &folders, error) < 0)
                return -1;
        if (folders.n == 0)
                folders = (HealthFolders) { .paths = { VENDOR_FOLDER, LOCAL_FOLDER }, .n = 2 };
        return peer_serve("/org/uptane/Health1", "org.uptane.Health1", vtable, &folders, error);
}

int main(int argc, char **argv)
{
        Error error = { 0 };

        (void) signal(SIGPIPE, SIG_IGN);
        if (run(argc, argv, &error) == 0)
                return EXIT_SUCCESS;
        (void) fprintf(stderr, "uptane-health: %s\n", error.message);
        return error_info(error.code)->exit_code;
}
