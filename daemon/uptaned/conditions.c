/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Few of each, in arrays. An inhibitor has two ends that tell when it is over: the read end of a pipe whose other end its
 * holder has, and the holder's place on the bus.
 */
#include "uptaned/conditions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <unistd.h>

#include "io/file.h"
#include "uptaned/log.h"

#define VALID_MAX (UINT64_C(366) * 86400 * 1000000)

typedef struct Condition {
        Conditions *all;
        const ConfigCondition *config;
        bool satisfied;
        sd_event_source *end; /* it holds until then; NULL: for good */
} Condition;

typedef struct Inhibitor {
        Conditions *all; /* NULL: a free place */
        unsigned stages; /* a bit per stage */
        char what[32], who[INHIBITOR_TEXT_MAX + 1], why[INHIBITOR_TEXT_MAX + 1];
        int fd;
        sd_event_source *closed;
        sd_bus_track *track;
} Inhibitor;

struct Conditions {
        Manager *m;
        Condition list[CONFIG_CONDITIONS_MAX];
        Inhibitor inhibitors[INHIBITORS_MAX];
};

Conditions *conditions_new(Manager *m)
{
        Conditions *c = xcalloc(1, sizeof *c);

        c->m = m;
        for (size_t i = 0; i < m->config.n_conditions; i++)
                c->list[i] = (Condition) { .all = c, .config = &m->config.conditions[i] };
        return c;
}

static void release(Inhibitor *i)
{
        sd_event_source_disable_unref(i->closed);
        sd_bus_track_unref(i->track);
        if (i->fd >= 0)
                (void) close(i->fd);
        *i = (Inhibitor) { .fd = -1 };
}

Conditions *conditions_free(Conditions *c)
{
        for (size_t i = 0; c && i < ELEMENTSOF(c->list); i++)
                sd_event_source_disable_unref(c->list[i].end);
        for (size_t i = 0; c && i < ELEMENTSOF(c->inhibitors); i++)
                if (c->inhibitors[i].all)
                        release(&c->inhibitors[i]);
        free(c);
        return NULL;
}

/* What all of it means for the stages. */
static void changed(Conditions *c)
{
        unsigned blocked = 0;

        for (size_t i = 0; i < c->m->config.n_conditions; i++)
                if (!c->list[i].satisfied)
                        blocked |= c->list[i].config->stages;
        for (size_t i = 0; i < INHIBITORS_MAX; i++)
                blocked |= c->inhibitors[i].stages;
        bus_changed(c->m, (const char *const[]) { "Conditions", "Inhibitors", "WaitingFor", NULL });
        manager_post(c->m, &(EngineEvent) { .kind = ENGINE_CONDITIONS, .blocked = blocked });
}

/* ---- conditions ---- */

static void set(Condition *condition, bool satisfied)
{
        condition->end = sd_event_source_disable_unref(condition->end);
        if (condition->satisfied == satisfied)
                return;
        condition->satisfied = satisfied;
        log_write(&(LogContext) { .priority = LOG_INFO }, "condition %s %s", condition->config->name, satisfied ? "holds" : "does not hold");
        changed(condition->all);
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void) source;
        (void) usec;
        set(userdata, false);
        return 0;
}

int conditions_set(Conditions *c, const char *name, bool satisfied, uint64_t valid_usec, Error *error)
{
        Condition *condition = NULL;
        int r = 0;

        for (size_t i = 0; i < c->m->config.n_conditions; i++)
                if (strcmp(c->list[i].config->name, name) == 0)
                        condition = &c->list[i];
        if (!condition)
                return error_set(error, ERR_INVALID_ARGUMENT, "nothing here waits for a condition '%.40s'; see uptaned.conf(5)", name);
        if (valid_usec > VALID_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "a condition can be told for a year at most");
        set(condition, satisfied);
        if (satisfied && valid_usec > 0)
                r = sd_event_add_time_relative(c->m->event, &condition->end, CLOCK_BOOTTIME, valid_usec, 0, on_end, condition);
        if (r >= 0)
                return 0;
        set(condition, false);
        return error_set_errno(error, ERR_SYSTEM, -r, "a timer");
}

/* ---- inhibitors ---- */

static int parse_stages(const char *what, unsigned *ret, Error *error)
{
        cleanup_free char *text = xstrdup(what);
        char *rest = NULL;
        EngineStage stage;

        *ret = 0;
        for (char *name = strtok_r(text, ":", &rest); name; name = strtok_r(NULL, ":", &rest)) {
                if (engine_stage_from_name(name, &stage, error) < 0)
                        return -1;
                *ret |= 1u << stage;
        }
        return *ret ? 0 : error_set(error, ERR_INVALID_ARGUMENT, "no stage is named: download, install or reboot");
}

static void end_inhibitor(Inhibitor *inhibitor)
{
        Conditions *c = inhibitor->all;

        log_write(&(LogContext) { .priority = LOG_INFO }, "%s no longer holds back: %s", inhibitor->who, inhibitor->what);
        release(inhibitor);
        changed(c);
}

static int on_closed(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        (void) source;
        (void) fd;
        (void) events;
        end_inhibitor(userdata);
        return 0;
}

static int on_left(sd_bus_track *track, void *userdata)
{
        (void) track;
        end_inhibitor(userdata);
        return 0;
}

/* The pipe is never written to: all it says is that its other end was closed. */
static int watch(Inhibitor *i, sd_bus_message *message, int *ret_fd, Error *error)
{
        Manager *m = i->all->m;
        cleanup_close int other = -1;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "a pipe");
        i->fd = fds[0];
        other = fds[1];
        r = sd_event_add_io(m->event, &i->closed, i->fd, EPOLLHUP, on_closed, i);
        if (r >= 0)
                r = sd_bus_track_new(m->bus, &i->track, on_left, i);
        if (r >= 0)
                r = sd_bus_track_add_sender(i->track, message);
        if (r < 0)
                return error_set_errno(error, ERR_SYSTEM, -r, "watching who holds an inhibitor");
        *ret_fd = TAKE_FD(other);
        return 0;
}

static int check_text(const char *name, const char *text, Error *error)
{
        if (!*text || strlen(text) > INHIBITOR_TEXT_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "%s is empty or longer than %d bytes", name, INHIBITOR_TEXT_MAX);
        return 0;
}

int conditions_inhibit(Conditions *c, sd_bus_message *message, const char *what, const char *who, const char *why, int *ret_fd, Error *error)
{
        Inhibitor *i = c->inhibitors, *end = i + INHIBITORS_MAX;
        unsigned stages;

        if (parse_stages(what, &stages, error) < 0 || check_text("who", who, error) < 0 || check_text("why", why, error) < 0)
                return -1;
        while (i < end && i->all)
                i++;
        if (i == end)
                return error_set(error, ERR_INVALID_ARGUMENT, "there are %d inhibitors already", INHIBITORS_MAX);
        *i = (Inhibitor) { .all = c, .stages = stages, .fd = -1 };
        (void) snprintf(i->who, sizeof i->who, "%s", who);
        (void) snprintf(i->why, sizeof i->why, "%s", why);
        for (unsigned stage = 0, n = 0; stage < _ENGINE_STAGE_MAX; stage++)
                if (stages >> stage & 1)
                        n += (unsigned) snprintf(i->what + n, sizeof i->what - n, "%s%s", n ? ":" : "", engine_stage_name((EngineStage) stage));
        if (watch(i, message, ret_fd, error) < 0) {
                release(i);
                return -1;
        }
        log_write(&(LogContext) { .priority = LOG_INFO }, "%s holds back: %s (%s)", i->who, i->what, i->why);
        changed(c);
        return 0;
}

/* ---- properties ---- */

int conditions_append(const Conditions *c, sd_bus_message *reply)
{
        int r = sd_bus_message_open_container(reply, 'a', "{sb}");

        for (size_t i = 0; r >= 0 && i < c->m->config.n_conditions; i++)
                r = sd_bus_message_append(reply, "{sb}", c->list[i].config->name, (int) c->list[i].satisfied);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int conditions_append_inhibitors(const Conditions *c, sd_bus_message *reply)
{
        int r = sd_bus_message_open_container(reply, 'a', "(sss)");

        for (size_t i = 0; r >= 0 && i < INHIBITORS_MAX; i++)
                if (c->inhibitors[i].all)
                        r = sd_bus_message_append(reply, "(sss)", c->inhibitors[i].what, c->inhibitors[i].who, c->inhibitors[i].why);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int conditions_append_waiting(const Conditions *c, int64_t now, sd_bus_message *reply)
{
        int r = sd_bus_message_open_container(reply, 'a', "s");
        EngineStage stage = ENGINE_STAGE_DOWNLOAD;
        unsigned bit = engine_waits_for_conditions(&c->m->engine, now, &stage) ? 1u << stage : 0;

        for (size_t i = 0; r >= 0 && i < c->m->config.n_conditions; i++)
                if (!c->list[i].satisfied && c->list[i].config->stages & bit)
                        r = sd_bus_message_append(reply, "s", c->list[i].config->name);
        for (size_t i = 0; r >= 0 && i < INHIBITORS_MAX; i++)
                if (c->inhibitors[i].stages & bit) {
                        cleanup_free char *text = xasprintf("%s: %s", c->inhibitors[i].who, c->inhibitors[i].why);

                        r = sd_bus_message_append(reply, "s", text);
                }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
