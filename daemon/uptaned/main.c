/* SPDX-License-Identifier: Apache-2.0 */
/* uptaned(8): reads its arguments, runs the event loop, and says READY when the bus can be asked. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>

#include "uptaned/journal.h"
#include "uptaned/log.h"
#include "uptaned/manager.h"

typedef enum Mode { MODE_RUN, MODE_CHECK_CONFIG, MODE_DONE } Mode;

static int usage(FILE *out)
{
        fputs("uptaned [--config FILE] [--check-config]\n"
              "The Uptane Primary of this vehicle; see uptaned(8).\n\n"
              "  --config FILE     read this file and FILE.d/*.conf only\n"
              "  --check-config    say whether the configuration is right, and end\n"
              "  --version         print the version, and end\n"
              "  --help            print this, and end\n", out);
        return out == stdout ? 0 : -1;
}

static int parse_arguments(int argc, char **argv, const char **ret_config, Mode *ret_mode)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "check-config", no_argument, NULL, 'k' },
                { "version", no_argument, NULL, 'v' },
                { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        *ret_config = optarg;
                        break;
                case 'k':
                        *ret_mode = MODE_CHECK_CONFIG;
                        break;
                case 'v':
                        puts("uptaned " VERSION);
                        *ret_mode = MODE_DONE;
                        return 0;
                case 'h':
                        *ret_mode = MODE_DONE;
                        return usage(stdout);
                default:
                        return usage(stderr);
                }
        return optind < argc ? usage(stderr) : 0;
}

static int check_config(const char *path, Error *error)
{
        Config config = { 0 };

        if (config_load(path, &config, error) < 0)
                return -1;
        printf("The configuration is right: back-end %s, hardware id %s, %zu Secondaries.\n", config.server_url, config.hardware_id,
               config.n_secondaries);
        config_done(&config);
        return 0;
}

/* SIGTERM and SIGINT end the loop: whatever runs goes on from the database at the next start. */
static int prepare_event(sd_event **ret, Error *error)
{
        int r = sd_event_default(ret);

        if (r >= 0)
                r = sd_event_add_signal(*ret, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(*ret, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_set_watchdog(*ret, 1);
        return r < 0 ? error_set_errno(error, ERR_SYSTEM, -r, "event loop") : 0;
}

static int run(const char *config_path, Error *error)
{
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        CLEANUP(manager_free) Manager *m = NULL;
        int r;

        if (prepare_event(&event, error) < 0 || manager_new(event, config_path, &m, error) < 0 || manager_start(m, error) < 0)
                return -1;
        (void) sd_notify(0, "READY=1");
        r = sd_event_loop(event);
        (void) sd_notify(0, "STOPPING=1");
        if (r < 0)
                return error_set_errno(error, ERR_SYSTEM, -r, "the event loop or the system bus ended");
        return 0;
}

int main(int argc, char **argv)
{
        const struct rlimit no_core = { 0 };
        const char *config = NULL;
        Mode mode = MODE_RUN;
        Error error = { 0 };
        int r;

        (void) umask(0077);
        (void) signal(SIGPIPE, SIG_IGN); /* whoever an image is sent to may be gone */
        (void) setrlimit(RLIMIT_CORE, &no_core); /* the signing key is in this memory */
        if (parse_arguments(argc, argv, &config, &mode) < 0)
                return 2;
        if (mode == MODE_DONE)
                return 0;
        r = mode == MODE_CHECK_CONFIG ? check_config(config, &error) : run(config, &error);
        if (r >= 0)
                return 0;
        log_write(&(LogContext) { .priority = LOG_CRIT, .error = &error,
                                  .message_id = error.code == ERR_DATABASE_DAMAGED ? MESSAGE_DATABASE_DAMAGED : NULL },
                  "%s", error.message);
        (void) sd_notifyf(0, "STATUS=%s", error.message);
        return error_info(error.code)->exit_code;
}
