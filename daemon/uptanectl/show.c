/* SPDX-License-Identifier: Apache-2.0 */
/* What people read: aligned, at most 80 columns where the content allows, colours only on a terminal. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "uptanectl/ctl.h"

#define BOLD "\033[1m"
#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

void show_time(uint64_t usec, char *ret, size_t size)
{
        time_t t = (time_t) (usec / 1000000);
        int64_t diff = (int64_t) time(NULL) - (int64_t) t, d = diff < 0 ? -diff : diff;
        char text[32], span[32];
        struct tm tm;

        if (usec == 0 || !localtime_r(&t, &tm)) {
                (void) snprintf(ret, size, "never");
                return;
        }
        (void) strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
        if (d < 120)
                (void) snprintf(span, sizeof span, "%" PRId64 " s", d);
        else if (d < 7200)
                (void) snprintf(span, sizeof span, "%" PRId64 " min", d / 60);
        else if (d < 172800)
                (void) snprintf(span, sizeof span, "%" PRId64 " h", d / 3600);
        else
                (void) snprintf(span, sizeof span, "%" PRId64 " days", d / 86400);
        (void) snprintf(ret, size, diff < 0 ? "%s (in %s)" : "%s (%s ago)", text, span);
}

static const char *paint(const Ctl *ctl, const char *colour)
{
        return ctl->colour ? colour : "";
}

static void row(const char *name, const char *text)
{
        printf("%16s  %s\n", name, *text ? text : "-");
}

/* ---- reading a{sv} ---- */

typedef struct Status {
        const char *state, *step, *device, *vin, *serial, *time_source, *version;
        const char *error_name, *error_text;
        uint64_t error_time, last, next, done, total;
        int provisioned, director_timestamp;
        const char *update, *stage;
        size_t update_ecus;
        char waiting[1024]; /* for conditions and inhibitors; ", " between them */
} Status;

static int read_waiting(sd_bus_message *m, Status *s)
{
        const char *text;
        size_t n = 0;
        int r = sd_bus_message_enter_container(m, 'v', "as");

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &text)) > 0) {
                cleanup_free char *entry = xasprintf("%s%s", n ? ", " : "", text);

                (void) snprintf(s->waiting + n, sizeof s->waiting - n, "%s", entry);
                n = strlen(s->waiting);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_update(sd_bus_message *m, Status *s)
{
        const char *key, *contents;
        int r = sd_bus_message_enter_container(m, 'v', "a{sv}");

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r >= 0 && strcmp(key, "Id") == 0)
                        r = sd_bus_message_read(m, "v", "s", &s->update);
                else if (r >= 0 && strcmp(key, "Stage") == 0)
                        r = sd_bus_message_read(m, "v", "s", &s->stage);
                else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_error(sd_bus_message *m, const char **name, const char **text, uint64_t *usec)
{
        return sd_bus_message_read(m, "v", "(sst)", name, text, usec);
}

static int read_property(sd_bus_message *m, const char *key, Status *s)
{
        const struct {
                const char *name, *type;
                void *p;
        } table[] = {
                { "State", "s", &s->state },         { "ProgressStep", "s", &s->step },   { "DeviceId", "s", &s->device },
                { "Vin", "s", &s->vin },             { "PrimarySerial", "s", &s->serial }, { "TimeSource", "s", &s->time_source },
                { "Version", "s", &s->version },     { "LastCheck", "t", &s->last },      { "NextCheck", "t", &s->next },
                { "ProgressDone", "t", &s->done },   { "ProgressTotal", "t", &s->total }, { "Provisioned", "b", &s->provisioned },
                { "DirectorTimestamp", "b", &s->director_timestamp },
        };

        if (strcmp(key, "LastError") == 0)
                return read_error(m, &s->error_name, &s->error_text, &s->error_time);
        if (strcmp(key, "Update") == 0)
                return read_update(m, s);
        if (strcmp(key, "WaitingFor") == 0)
                return read_waiting(m, s);
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(table[i].name, key) == 0)
                        return sd_bus_message_read(m, "v", table[i].type, table[i].p);
        return sd_bus_message_skip(m, "v");
}

static int read_status(sd_bus_message *m, Status *s)
{
        const char *key;
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = read_property(m, key, s);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

/* ---- status ---- */

static void print_error(const Ctl *ctl, const char *name, const char *text, uint64_t usec)
{
        ErrorCode code = error_code_from_dbus(name);
        char when[64];

        if (!*name)
                return;
        show_time(usec, when, sizeof when);
        printf("%16s  %s%s%s\n", "last error", paint(ctl, RED), text, paint(ctl, PLAIN));
        printf("%16s  %s, %s\n", "", name, when);
        if (code != ERR_NONE)
                printf("%16s  %s\n", "", error_info(code)->help);
}

static void print_update(const Ctl *ctl, const Status *s)
{
        if (!*s->update)
                return;
        row("update", s->update);
        if (*s->waiting)
                printf("%16s  %s%s%s\n", "waits for", paint(ctl, YELLOW), s->waiting, paint(ctl, PLAIN));
        else if (*s->stage)
                printf("%16s  %sconsent to %s%s: uptanectl approve %s\n", "waits for", paint(ctl, YELLOW), s->stage, paint(ctl, PLAIN), s->stage);
        else if (strcmp(s->state, "reboot-required") == 0)
                printf("%16s  %sa reboot%s: any reboot of the vehicle applies it\n", "waits for", paint(ctl, YELLOW), paint(ctl, PLAIN));
}

static void print_status(const Ctl *ctl, const Status *s)
{
        char last[64], next[64];
        const char *colour = *s->error_name ? RED : strcmp(s->state, "idle") == 0 ? GREEN : YELLOW;

        show_time(s->last, last, sizeof last);
        show_time(s->next, next, sizeof next);
        printf("%16s  %s%s%s%s", "state", paint(ctl, BOLD), paint(ctl, colour), s->state, paint(ctl, PLAIN));
        if (*s->step)
                printf(": %s", s->step);
        if (s->total)
                printf(" (%" PRIu64 " of %" PRIu64 " bytes)", s->done, s->total);
        puts("");
        print_update(ctl, s);
        print_error(ctl, s->error_name, s->error_text, s->error_time);
        row("last check", last);
        row("next check", s->next ? next : "-");
        row("registered", s->provisioned ? "yes" : "no");
        row("device", s->device);
        row("primary ECU", s->serial);
        if (*s->vin)
                row("VIN", s->vin);
        if (strcmp(s->time_source, "system") != 0)
                row("clock", "behind a time already seen; that time is used instead");
        if (!s->director_timestamp)
                row("director", "without Timestamp and Snapshot (require-director-timestamp=no)");
        row("version", s->version);
}

static int print_json(sd_bus_message *m, Error *error)
{
        cleanup_buffer Buffer b = { 0 };
        int r = json_write_value(m, &b);

        if (r < 0)
                return ctl_error(NULL, r, error);
        puts(buffer_str(&b));
        return 0;
}

int show_status(Ctl *ctl, Error *error)
{
        Status s = { "", "", "", "", "", "", "", "", "", 0, 0, 0, 0, 0, 0, 0, "", "", 0, "" };
        cleanup_message *reply = NULL;
        int r;

        if (ctl_get_all(ctl, NULL, CTL_NAME, &reply, error) < 0)
                return -1;
        if (ctl->json)
                return print_json(reply, error);
        r = read_status(reply, &s);
        if (r < 0)
                return ctl_error(NULL, r, error);
        print_status(ctl, &s);
        puts("");
        return show_ecus(ctl, error);
}

/* ---- ECUs ---- */

typedef struct EcuRow {
        const char *serial, *hardware, *driver, *state, *image, *sha256, *pending, *error_name, *error_text;
        int primary, reachable;
        uint64_t done, total, error_time, report_time;
} EcuRow;

static int read_ecu_property(sd_bus_message *m, const char *key, EcuRow *e)
{
        const struct {
                const char *name, *type;
                void *p;
        } table[] = {
                { "Serial", "s", &e->serial },        { "HardwareId", "s", &e->hardware },  { "Driver", "s", &e->driver },
                { "State", "s", &e->state },          { "InstalledImage", "s", &e->image }, { "InstalledSha256", "s", &e->sha256 },
                { "PendingImage", "s", &e->pending }, { "Primary", "b", &e->primary },      { "Reachable", "b", &e->reachable },
                { "ProgressDone", "t", &e->done },    { "ProgressTotal", "t", &e->total },
                { "ReportTime", "t", &e->report_time },
        };

        if (strcmp(key, "LastError") == 0)
                return read_error(m, &e->error_name, &e->error_text, &e->error_time);
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(table[i].name, key) == 0)
                        return sd_bus_message_read(m, "v", table[i].type, table[i].p);
        return sd_bus_message_skip(m, "v");
}

static void print_ecu(const Ctl *ctl, const char *label, const EcuRow *e)
{
        char when[64];

        printf("%s%s%s  %s  (%s, %s%s)\n", paint(ctl, BOLD), label, paint(ctl, PLAIN), *e->serial ? e->serial : "not heard of yet",
               *e->hardware ? e->hardware : "unknown hardware", e->driver, e->reachable ? "" : ", not reachable");
        printf("%16s  %s\n", "state", e->state);
        printf("%16s  %s%s%.16s%s\n", "installed", *e->image ? e->image : *e->sha256 ? "unknown name" : "unknown", *e->sha256 ? ", SHA-256 " : "",
               e->sha256, *e->sha256 ? "..." : "");
        if (!e->reachable) {
                show_time(e->report_time, when, sizeof when);
                row("last report", when);
        }
        if (*e->pending)
                row("to be installed", e->pending);
        if (e->total)
                printf("%16s  %" PRIu64 " of %" PRIu64 " bytes\n", "progress", e->done, e->total);
        if (*e->error_name)
                print_error(ctl, e->error_name, e->error_text, e->error_time);
}

static int show_ecu(Ctl *ctl, sd_bus_message *m, const char *path)
{
        EcuRow e = { "", "", "", "", "", "", "", "", "", 0, 0, 0, 0, 0, 0 };
        const char *key, *label = strrchr(path, '/');
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = read_ecu_property(m, key, &e);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r < 0)
                return r;
        print_ecu(ctl, label ? label + 1 : path, &e);
        return sd_bus_message_exit_container(m);
}

static int show_object(Ctl *ctl, sd_bus_message *m, bool primary)
{
        const char *path, *interface;
        int r = sd_bus_message_read(m, "o", &path);
        bool wanted = r >= 0 && (strcmp(path, CTL_PATH "/ecu/primary") == 0) == primary;

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                r = sd_bus_message_read(m, "s", &interface);
                if (r >= 0)
                        r = wanted && strcmp(interface, CTL_ECU) == 0 ? show_ecu(ctl, m, path) : sd_bus_message_skip(m, "a{sv}");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int show_objects(Ctl *ctl, sd_bus_message *m, bool primary)
{
        int r = sd_bus_message_rewind(m, 1);

        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
                r = show_object(ctl, m, primary);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

int show_ecus(Ctl *ctl, Error *error)
{
        cleanup_message *reply = NULL;
        int r;

        if (ctl_get_objects(ctl, &reply, error) < 0)
                return -1;
        if (ctl->json)
                return print_json(reply, error);
        r = show_objects(ctl, reply, true);
        if (r >= 0)
                r = show_objects(ctl, reply, false);
        return r < 0 ? ctl_error(NULL, r, error) : 0;
}

/* ---- history, manifest ---- */

static int show_entry(sd_bus_message *m)
{
        const char *key, *update = "", *result = "", *text = "";
        uint64_t usec = 0;
        char when[64];
        int r = 0;

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0 && strcmp(key, "Time") == 0)
                        r = sd_bus_message_read(m, "v", "t", &usec);
                else if (r >= 0 && strcmp(key, "Update") == 0)
                        r = sd_bus_message_read(m, "v", "s", &update);
                else if (r >= 0 && strcmp(key, "Result") == 0)
                        r = sd_bus_message_read(m, "v", "s", &result);
                else if (r >= 0 && strcmp(key, "Description") == 0)
                        r = sd_bus_message_read(m, "v", "s", &text);
                else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        show_time(usec, when, sizeof when);
        printf("%s  %s  %s%s%s\n", when, result, update, *text ? "\n    " : "", text);
        return r;
}

int show_history(Ctl *ctl, Error *error)
{
        cleanup_message *reply = NULL;
        int r;

        if (ctl_call(ctl, &reply, error, "GetHistory", "u", (uint32_t) 20) < 0)
                return -1;
        if (ctl->json)
                return print_json(reply, error);
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'a', "{sv}")) > 0) {
                r = show_entry(reply);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? ctl_error(NULL, r, error) : 0;
}

int show_manifest(Ctl *ctl, Error *error)
{
        cleanup_message *reply = NULL;
        const char *text;
        int r;

        if (ctl_call(ctl, &reply, error, "GetManifest", "") < 0)
                return -1;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return ctl_error(NULL, r, error);
        puts(*text ? text : "{}");
        return 0;
}
