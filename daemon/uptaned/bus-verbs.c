/* SPDX-License-Identifier: Apache-2.0 */
/* What callers may ask for: read, authorise, hand to the engine, answer. */
#include <errno.h>

#include "io/file.h"
#include "peer/peer.h"
#include "uptaned/bus.h"
#include "uptaned/conditions.h"

#define ACTION(verb) "org.uptane.Primary1." verb
#define HISTORY_MAX 200

static int bad_arguments(Error *error, int r)
{
        return error_set_errno(error, ERR_INVALID_ARGUMENT, -r, "the arguments cannot be read");
}

/* ---- CheckForUpdates, Cancel, Pause, Resume, Reboot: no arguments ---- */

static int verb_check(Manager *m, sd_bus_message *message, Error *error)
{
        (void) message;
        return manager_verb(m, &(EngineEvent) { .kind = ENGINE_CHECK }, error);
}

static int verb_cancel(Manager *m, sd_bus_message *message, Error *error)
{
        (void) message;
        return manager_verb(m, &(EngineEvent) { .kind = ENGINE_CANCEL }, error);
}

static int verb_pause(Manager *m, sd_bus_message *message, Error *error)
{
        (void) message;
        return manager_verb(m, &(EngineEvent) { .kind = ENGINE_PAUSE }, error);
}

static int verb_resume(Manager *m, sd_bus_message *message, Error *error)
{
        (void) message;
        return manager_verb(m, &(EngineEvent) { .kind = ENGINE_RESUME }, error);
}

static int verb_reboot(Manager *m, sd_bus_message *message, Error *error)
{
        (void) message;
        return manager_verb(m, &(EngineEvent) { .kind = ENGINE_REBOOT }, error);
}

/* ---- about one update ---- */

static int verb_approve(Manager *m, sd_bus_message *message, Error *error)
{
        EngineEvent event = { .kind = ENGINE_APPROVE };
        const char *stage;
        int r = sd_bus_message_read(message, "ss", &event.id, &stage);

        if (r < 0)
                return bad_arguments(error, r);
        return engine_stage_from_name(stage, &event.stage, error) < 0 ? -1 : manager_verb(m, &event, error);
}

static int verb_decline(Manager *m, sd_bus_message *message, Error *error)
{
        EngineEvent event = { .kind = ENGINE_DECLINE };
        int r = sd_bus_message_read(message, "ss", &event.id, &event.text);

        return r < 0 ? bad_arguments(error, r) : manager_verb(m, &event, error);
}

static int verb_postpone(Manager *m, sd_bus_message *message, Error *error)
{
        EngineEvent event = { .kind = ENGINE_POSTPONE };
        uint64_t until;
        int r = sd_bus_message_read(message, "st", &event.id, &until);

        if (r < 0)
                return bad_arguments(error, r);
        event.until = (int64_t) (until / 1000000);
        return manager_verb(m, &event, error);
}

/* ---- what holds back ---- */

static int verb_set_condition(Manager *m, sd_bus_message *message, Error *error)
{
        const char *name;
        uint64_t valid;
        int satisfied, r = sd_bus_message_read(message, "sbt", &name, &satisfied, &valid);

        if (r < 0)
                return bad_arguments(error, r);
        return manager_check_started(m, error) < 0 ? -1 : conditions_set(m->conditions, name, satisfied, valid, error);
}

static int verb_inhibit(Manager *m, sd_bus_message *message, Error *error)
{
        const char *what, *who, *why;
        cleanup_close int fd = -1;
        int r = sd_bus_message_read(message, "sss", &what, &who, &why);

        if (r < 0)
                return bad_arguments(error, r);
        if (manager_check_started(m, error) < 0 || conditions_inhibit(m->conditions, message, what, who, why, &fd, error) < 0)
                return -1;
        (void) sd_bus_reply_method_return(message, "h", fd); /* where nobody gets it, it is closed, and nobody holds anything back */
        return 1;
}

#define DEFINE_VERB(name) \
        int bus_on_##name(sd_bus_message *m, void *userdata, sd_bus_error *ret) \
        { \
                return auth_run(userdata, m, ACTION(#name), verb_##name, ret); \
        }
DEFINE_VERB(check)
DEFINE_VERB(approve)
DEFINE_VERB(decline)
DEFINE_VERB(postpone)
DEFINE_VERB(cancel)
DEFINE_VERB(pause)
DEFINE_VERB(resume)
DEFINE_VERB(reboot)
DEFINE_VERB(inhibit)

int bus_on_set_condition(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        return auth_run(userdata, m, ACTION("set-condition"), verb_set_condition, ret);
}

/* ---- reading ---- */

static int append_entry(sd_bus_message *reply, const StoredHistory *h)
{
        return sd_bus_message_append(reply, "a{sv}", 5, "Time", "t", bus_usec(h->time), "Update", "s", h->update, "Result", "s",
                                     h->result, "Description", "s", h->description, "Details", "s", h->details);
}

static int history_reply(sd_bus_message *m, const StoredHistory *list, size_t n)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(m, &reply);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_entry(reply, &list[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int bus_on_history(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Manager *manager = userdata;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const StoredHistory *list;
        Error error = { 0 };
        uint32_t limit;
        size_t n;
        int r = sd_bus_message_read(m, "u", &limit);

        if (r < 0)
                return r;
        if (store_history_list(manager->store, limit < HISTORY_MAX ? limit : HISTORY_MAX, arena, &list, &n, &error) < 0)
                return peer_error_reply(&error, ret);
        return history_reply(m, list, n);
}

int bus_on_manifest(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Manager *manager = userdata;

        (void) ret;
        return sd_bus_reply_method_return(m, "s", buffer_str(&manager->last_manifest));
}
