/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per change, as it comes: what changed, of whom, to what. The bus announces properties in groups; of those that
 * are what they were, nothing is said. Survives a restart of the daemon. On a terminal the progress of the ECUs is no lines
 * but bars below them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "base/codec.h"
#include "uptanectl/bars.h"
#include "uptanectl/ctl.h"

#define SHOWN_MAX 4096

typedef struct Shown {
        char *what; /* path and property */
        char *value;
} Shown;

typedef struct Monitor {
        Ctl *ctl;
        sd_event *event;
        Shown *shown; /* the last value of each property */
        size_t n_shown;
        Bars *bars; /* NULL: no terminal */
} Monitor;

static void monitor_done(Monitor *m)
{
        for (size_t i = 0; i < m->n_shown; i++) {
                free(m->shown[i].what);
                free(m->shown[i].value);
        }
        free(m->shown);
        bars_free(m->bars);
}

/* Whether this property of path has another value than was shown last; from now on, this one. */
static bool is_news(Monitor *m, const char *path, const char *name, const char *value)
{
        cleanup_free char *what = xasprintf("%s %s", path, name);

        for (size_t i = 0; i < m->n_shown; i++) {
                if (strcmp(m->shown[i].what, what) != 0)
                        continue;
                if (strcmp(m->shown[i].value, value) == 0)
                        return false;
                free(m->shown[i].value);
                m->shown[i].value = xstrdup(value);
                return true;
        }
        if (m->n_shown < SHOWN_MAX) {
                m->shown = xrealloc(m->shown, m->n_shown + 1, sizeof *m->shown);
                m->shown[m->n_shown++] = (Shown) { TAKE_PTR(what), xstrdup(value) };
        }
        return true;
}

static void stamp(Monitor *m, const char *who)
{
        time_t now = time(NULL);
        char text[16] = "";
        struct tm tm;

        if (m->bars)
                bars_clear(m->bars);
        if (localtime_r(&now, &tm))
                (void) strftime(text, sizeof text, "%H:%M:%S", &tm);
        printf("%s  %-12s  ", text, who);
}

static const char *who(const char *path)
{
        const char *slash = strrchr(path, '/');

        return strcmp(path, CTL_PATH) == 0 ? "vehicle" : slash ? slash + 1 : path;
}

/* What is to be seen is seen: behind each message of the bus. */
static void show(Monitor *m)
{
        if (m->bars)
                bars_draw(m->bars);
        (void) fflush(stdout);
}

/* Whether a bar shows this property, so that no line has to. */
static bool is_in_bar(const Monitor *m, const char *name)
{
        return m->bars && (strcmp(name, "ProgressDone") == 0 || strcmp(name, "ProgressTotal") == 0);
}

static bool is_awaited(const Monitor *m, const char *path, const char *name, const char *value)
{
        cleanup_buffer Buffer until = { 0 };

        if (!m->ctl->until || strcmp(path, CTL_PATH) != 0 || strcmp(name, "State") != 0)
                return false;
        json_quote(m->ctl->until, &until);
        return strcmp(buffer_str(&until), value) == 0;
}

static int take_property(Monitor *m, sd_bus_message *message, const char *path, const char *name, bool print)
{
        cleanup_buffer Buffer value = { 0 };
        int r = json_write_value(message, &value);

        if (r < 0)
                return r;
        if (m->bars)
                bars_take(m->bars, who(path), name, buffer_str(&value));
        if (is_news(m, path, name, buffer_str(&value)) && print && !is_in_bar(m, name)) {
                stamp(m, who(path));
                printf("%s %s\n", name, buffer_str(&value));
        }
        if (print && is_awaited(m, path, name, buffer_str(&value)))
                (void) sd_event_exit(m->event, 0);
        return 0;
}

/* a{sv} */
static int take_properties(Monitor *m, sd_bus_message *message, const char *path, bool print)
{
        const char *name;
        int r = sd_bus_message_enter_container(message, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read(message, "s", &name);
                if (r >= 0)
                        r = take_property(m, message, path, name, print);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int on_properties(sd_bus_message *message, void *userdata, sd_bus_error *ret)
{
        Monitor *m = userdata;
        const char *interface;

        (void) ret;
        if (sd_bus_message_read(message, "s", &interface) >= 0 && strncmp(interface, CTL_NAME, strlen(CTL_NAME)) == 0)
                (void) take_properties(m, message, sd_bus_message_get_path(message), true);
        show(m);
        return 0;
}

/* a{sa{sv}} of one object */
static int learn_object(Monitor *m, sd_bus_message *message)
{
        const char *path, *interface;
        int r = sd_bus_message_read(message, "o", &path);

        if (r >= 0)
                r = sd_bus_message_enter_container(message, 'a', "{sa{sv}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sa{sv}")) > 0) {
                r = sd_bus_message_read(message, "s", &interface);
                if (r >= 0)
                        r = take_properties(m, message, path, false);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

/* What holds already is no change. */
static int learn(Monitor *m, Error *error)
{
        cleanup_message *primary = NULL, *objects = NULL;
        int r;

        if (ctl_get_all(m->ctl, NULL, CTL_NAME, &primary, error) < 0 || ctl_get_objects(m->ctl, &objects, error) < 0)
                return -1;
        r = take_properties(m, primary, CTL_PATH, false);
        if (r >= 0)
                r = sd_bus_message_enter_container(objects, 'a', "{oa{sa{sv}}}");
        while (r >= 0 && (r = sd_bus_message_enter_container(objects, 'e', "oa{sa{sv}}")) > 0) {
                r = learn_object(m, objects);
                if (r >= 0)
                        r = sd_bus_message_exit_container(objects);
        }
        return r < 0 ? ctl_error(NULL, r, error) : 0;
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *ret)
{
        cleanup_buffer Buffer text = { 0 };
        Monitor *m = userdata;
        char type;

        (void) ret;
        /* the details of an offer are shown as the property Update */
        while (sd_bus_message_peek_type(message, &type, NULL) > 0 && type != 'a') {
                buffer_put_str(&text, " ");
                if (json_write_value(message, &text) < 0)
                        return 0;
        }
        stamp(m, "vehicle");
        printf("%s%s\n", sd_bus_message_get_member(message), buffer_str(&text));
        show(m);
        return 0;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *ret)
{
        const char *name, *old, *new;
        Monitor *m = userdata;

        (void) ret;
        if (sd_bus_message_read(message, "sss", &name, &old, &new) >= 0) {
                stamp(m, "vehicle");
                puts(*new ? "uptaned has started" : "uptaned has ended");
                show(m);
        }
        return 0;
}

static int on_lost(sd_bus_message *message, void *userdata, sd_bus_error *ret)
{
        Monitor *m = userdata;

        (void) message;
        (void) ret;
        return sd_event_exit(m->event, 1);
}

static int watch(Monitor *m)
{
        sd_bus *bus = m->ctl->bus;
        int r = sd_bus_add_match(bus, NULL,
                                 "type='signal',sender='" CTL_NAME "',interface='org.freedesktop.DBus.Properties',"
                                 "member='PropertiesChanged',path_namespace='" CTL_PATH "'",
                                 on_properties, m);

        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, CTL_NAME, CTL_PATH, CTL_NAME, NULL, on_signal, m);
        if (r >= 0)
                r = sd_bus_add_match(bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" CTL_NAME "'", on_owner, m);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                        "Disconnected", on_lost, m);
        return r < 0 ? r : sd_bus_attach_event(bus, m->event, 0);
}

int monitor(Ctl *ctl, Error *error)
{
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        __attribute__((cleanup(monitor_done))) Monitor m = { .ctl = ctl };
        int r = sd_event_default(&event);

        m.event = event;
        m.bars = ctl->terminal && !ctl->json ? bars_new() : NULL;
        if (r >= 0)
                r = watch(&m);
        if (r < 0)
                return ctl_error(NULL, r, error);
        if (learn(&m, error) < 0 || show_status(ctl, error) < 0)
                return -1;
        puts("");
        show(&m);
        r = sd_event_loop(event);
        return r == 0 ? 0 : error_set(error, ERR_SYSTEM, "the system bus is gone");
}
