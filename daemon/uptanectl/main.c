/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "uptanectl/ctl.h"

typedef int (*Run)(Ctl *ctl, char **arguments, int n, Error *error);

static int usage(FILE *out)
{
        fputs("uptanectl [--json] VERB [ARGUMENT...]\n"
              "What this vehicle's update daemon does, and what it shall do; see uptanectl(1).\n\n"
              "  status                          state, last error, ECUs (the default)\n"
              "  ecus                            the ECUs of this vehicle\n"
              "  monitor [--until STATE]         every change as it happens\n"
              "  history                         finished updates\n"
              "  manifest                        the vehicle manifest as sent last\n\n"
              "  check                           look for updates now\n"
              "  approve STAGE [UPDATE]          consent to download, install or reboot\n"
              "  decline REASON [UPDATE]         refuse the update that is offered\n"
              "  postpone SECONDS [UPDATE]       not before then\n"
              "  cancel | pause | resume         what runs\n"
              "  reboot                          into an installed update\n"
              "  condition NAME yes|no [SECONDS] tell whether it holds, and for how long\n"
              "  inhibit STAGE[:STAGE...] WHY    hold download, install or reboot back until this program ends\n\n"
              "  verify --director DIR --image DIR --root-director FILE --root-image FILE [--time T]\n"
              "         [--ecu SERIAL:HARDWARE-ID ...]   full verification of two folders, without a daemon\n\n"
              "  --json  --until STATE  --version  --help\n", out);
        return out == stdout ? 0 : 2;
}

static int run_status(Ctl *ctl, char **a, int n, Error *error)
{
        return show_status(ctl, error);
}

static int run_ecus(Ctl *ctl, char **a, int n, Error *error)
{
        return show_ecus(ctl, error);
}

static int run_monitor(Ctl *ctl, char **a, int n, Error *error)
{
        return monitor(ctl, error);
}

static int run_history(Ctl *ctl, char **a, int n, Error *error)
{
        return show_history(ctl, error);
}

static int run_manifest(Ctl *ctl, char **a, int n, Error *error)
{
        return show_manifest(ctl, error);
}

static int run_check(Ctl *ctl, char **a, int n, Error *error)
{
        return ctl_call(ctl, NULL, error, "CheckForUpdates", "");
}

static int run_cancel(Ctl *ctl, char **a, int n, Error *error)
{
        return ctl_call(ctl, NULL, error, "Cancel", "");
}

static int run_pause(Ctl *ctl, char **a, int n, Error *error)
{
        return ctl_call(ctl, NULL, error, "Pause", "");
}

static int run_resume(Ctl *ctl, char **a, int n, Error *error)
{
        return ctl_call(ctl, NULL, error, "Resume", "");
}

static int run_reboot(Ctl *ctl, char **a, int n, Error *error)
{
        return ctl_call(ctl, NULL, error, "Reboot", "");
}

/* The update the caller named, or the one there is. */
static int which_update(Ctl *ctl, char **a, int n, char **ret, Error *error)
{
        cleanup_bus_error e = SD_BUS_ERROR_NULL;
        cleanup_message *reply = NULL;
        const char *key, *id = NULL;
        int r;

        if (n > 1) {
                *ret = xstrdup(a[1]);
                return 0;
        }
        r = sd_bus_get_property(ctl->bus, CTL_NAME, CTL_PATH, CTL_NAME, "Update", &e, &reply, "a{sv}");
        if (r < 0)
                return ctl_error(&e, r, error);
        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && !id && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read(reply, "s", &key);
                if (r >= 0)
                        r = strcmp(key, "Id") == 0 ? sd_bus_message_read(reply, "v", "s", &id) : sd_bus_message_skip(reply, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (!id)
                return error_set(error, ERR_NO_SUCH_UPDATE, "no update is waiting");
        *ret = xstrdup(id);
        return 0;
}

static int run_approve(Ctl *ctl, char **a, int n, Error *error)
{
        cleanup_free char *update = NULL;

        if (which_update(ctl, a, n, &update, error) < 0)
                return -1;
        return ctl_call(ctl, NULL, error, "Approve", "ss", update, a[0]);
}

static int run_decline(Ctl *ctl, char **a, int n, Error *error)
{
        cleanup_free char *update = NULL;

        if (which_update(ctl, a, n, &update, error) < 0)
                return -1;
        return ctl_call(ctl, NULL, error, "Decline", "ss", update, a[0]);
}

static int parse_seconds(const char *text, uint64_t *ret, Error *error)
{
        unsigned long long seconds;
        char *end;

        errno = 0;
        seconds = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno || seconds > 366 * 86400ULL)
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.40s' is no number of seconds within a year", text);
        *ret = seconds;
        return 0;
}

static int run_postpone(Ctl *ctl, char **a, int n, Error *error)
{
        cleanup_free char *update = NULL;
        uint64_t seconds;

        if (parse_seconds(a[0], &seconds, error) < 0)
                return -1;
        if (which_update(ctl, a, n, &update, error) < 0)
                return -1;
        return ctl_call(ctl, NULL, error, "Postpone", "st", update, ((uint64_t) time(NULL) + seconds) * 1000000);
}

static int run_condition(Ctl *ctl, char **a, int n, Error *error)
{
        bool yes = strcmp(a[1], "yes") == 0;
        uint64_t seconds = 0;

        if (!yes && strcmp(a[1], "no") != 0)
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.40s' is neither yes nor no", a[1]);
        if (n > 2 && parse_seconds(a[2], &seconds, error) < 0)
                return -1;
        return ctl_call(ctl, NULL, error, "SetCondition", "sbt", a[0], (int) yes, seconds * 1000000);
}

/* The inhibitor is gone with this process, however it ends. */
static int run_inhibit(Ctl *ctl, char **a, int n, Error *error)
{
        cleanup_message *reply = NULL;

        if (ctl_call(ctl, &reply, error, "Inhibit", "sss", a[0], "uptanectl", a[1]) < 0)
                return -1;
        puts("held back until this program ends");
        (void) fflush(stdout);
        for (int r = 0; r >= 0;) {
                r = sd_bus_process(ctl->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(ctl->bus, UINT64_MAX);
        }
        return error_set(error, ERR_SYSTEM, "the bus is gone, and with it the inhibitor");
}

static const struct {
        const char *name;
        int min, max; /* arguments */
        Run run;
} verbs[] = {
        { "status", 0, 0, run_status },   { "ecus", 0, 0, run_ecus },         { "monitor", 0, 0, run_monitor },
        { "history", 0, 0, run_history }, { "manifest", 0, 0, run_manifest }, { "check", 0, 0, run_check },
        { "approve", 1, 2, run_approve }, { "decline", 1, 2, run_decline },   { "postpone", 1, 2, run_postpone },
        { "cancel", 0, 0, run_cancel },   { "pause", 0, 0, run_pause },       { "resume", 0, 0, run_resume },
        { "reboot", 0, 0, run_reboot },   { "condition", 2, 3, run_condition }, { "inhibit", 2, 2, run_inhibit },
};

static int finish(const Error *error, int r)
{
        if (r >= 0)
                return 0;
        fprintf(stderr, "uptanectl: %s\n%s\n", error->message, error_info(error->code)->help);
        return error_info(error->code)->exit_code;
}

/* Its options are its own, and it needs no bus. argv[0] is the verb. */
static int run_verify(const Ctl *ctl, int argc, char **argv)
{
        Error error = { 0 };

        return finish(&error, verify_folders(ctl, argc, argv, &error));
}

static int run_verb(Ctl *ctl, Run run, char **arguments, int n)
{
        Error error = { 0 };
        int r = sd_bus_open_system(&ctl->bus);

        if (r < 0)
                (void) error_set_errno(&error, ERR_SYSTEM, -r, "the system bus");
        else
                r = run(ctl, arguments, n, &error);
        sd_bus_flush_close_unref(ctl->bus);
        return finish(&error, r);
}

/* Where "verify" stands among the arguments; behind --json or nothing. */
static bool is_verify(int argc, char **argv, Ctl *ctl, int *ret)
{
        int i = 1;

        while (i < argc && (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0))
                i++;
        *ret = i;
        if (i == argc || strcmp(argv[i], "verify") != 0)
                return false;
        ctl->json = i > 1;
        return true;
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "json", no_argument, NULL, 'j' },    { "until", required_argument, NULL, 'u' },
                { "version", no_argument, NULL, 'v' }, { "help", no_argument, NULL, 'h' },
                { 0 },
        };
        Ctl ctl = { .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), .terminal = isatty(STDOUT_FILENO) };
        const char *verb;
        int c, n;

        if (is_verify(argc, argv, &ctl, &n))
                return run_verify(&ctl, argc - n, argv + n);
        while ((c = getopt_long(argc, argv, "hj", options, NULL)) >= 0)
                if (c == 'j')
                        ctl.json = true;
                else if (c == 'u')
                        ctl.until = optarg;
                else if (c == 'v')
                        return puts("uptanectl " VERSION), 0;
                else
                        return usage(c == 'h' ? stdout : stderr);
        verb = optind < argc ? argv[optind++] : "status";
        n = argc - optind;
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(verbs[i].name, verb) == 0 && n >= verbs[i].min && n <= verbs[i].max)
                        return run_verb(&ctl, verbs[i].run, argv + optind, n);
        return usage(stderr);
}
