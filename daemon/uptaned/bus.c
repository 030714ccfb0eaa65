/* SPDX-License-Identifier: Apache-2.0 */
/* The Primary's object: properties read straight from the manager, signals, the name, and the call for a reboot. */
#include "uptaned/bus.h"
#include "uptaned/conditions.h"

#include <errno.h>

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error)
{
        Manager *m = userdata;
        const struct {
                const char *name, *value;
        } table[] = {
                { "State", engine_state_name(m->engine.state) },
                { "ProgressStep", m->step },
                { "DeviceId", m->config.device_id },
                { "Vin", m->config.vin },
                { "PrimarySerial", m->ecus[0].serial },
                { "TimeSource", m->clock_behind ? "clock-behind" : "system" },
                { "Version", VERSION },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(table[i].name, property) == 0)
                        return sd_bus_message_append(reply, "s", table[i].value);
        return -ENOENT;
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error)
{
        const Manager *m = userdata;
        const struct {
                const char *name;
                uint64_t value;
        } table[] = {
                { "ProgressDone", m->progress_done },
                { "ProgressTotal", m->progress_total },
                { "LastCheck", bus_usec(m->engine.last_check) },
                { "NextCheck", bus_usec(m->engine.next_check) },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(table[i].name, property) == 0)
                        return sd_bus_message_append(reply, "t", table[i].value);
        return -ENOENT;
}

static int get_bool(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *error)
{
        const Manager *m = userdata;
        bool yes = strcmp(property, "Provisioned") == 0 ? m->provisioned : m->config.require_director_timestamp;

        return sd_bus_message_append(reply, "b", (int) yes);
}

static int get_update(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error)
{
        return bus_append_update(reply, &((Manager *) userdata)->engine);
}

static int get_error(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error)
{
        const Manager *m = userdata;

        return bus_append_error(reply, &m->engine.last_error, m->engine.last_error_time);
}

static int get_conditions(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error)
{
        Manager *m = userdata;

        if (strcmp(property, "Conditions") == 0)
                return conditions_append(m->conditions, reply);
        if (strcmp(property, "Inhibitors") == 0)
                return conditions_append_inhibitors(m->conditions, reply);
        return conditions_append_waiting(m->conditions, manager_now(m), reply);
}

int bus_append_error(sd_bus_message *m, const Error *error, int64_t seconds)
{
        bool none = error->code == ERR_NONE;

        return sd_bus_message_append(m, "(sst)", none ? "" : error_info(error->code)->dbus_name, none ? "" : error->message,
                                     none ? (uint64_t) 0 : bus_usec(seconds));
}

static int append_update_ecus(sd_bus_message *m, const EngineUpdate *update)
{
        int r = sd_bus_message_open_container(m, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", "Ecus");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "aa{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < update->n_ecus; i++) {
                const EngineEcu *ecu = &update->ecus[i];

                r = sd_bus_message_append(m, "a{sv}", 6, "Serial", "s", ecu->serial, "HardwareId", "s", ecu->hardware_id, "Image", "s",
                                          ecu->image, "Length", "t", (uint64_t) ecu->length, "State", "s",
                                          engine_ecu_shown(ecu), "Description", "s", ecu->description);
        }
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_entry(sd_bus_message *m, const char *key, const char *value)
{
        return sd_bus_message_append(m, "{sv}", key, "s", value);
}

/* The stage that waits for somebody's consent, or "". */
static const char *waiting_stage(const Engine *engine)
{
        if (engine->state == ENGINE_AWAITING_CONSENT)
                return engine_stage_name(engine->stage);
        if (engine->state == ENGINE_REBOOT_REQUIRED && engine->policy.ask[ENGINE_STAGE_REBOOT] && !engine->approved[ENGINE_STAGE_REBOOT])
                return engine_stage_name(ENGINE_STAGE_REBOOT);
        return "";
}

int bus_append_update(sd_bus_message *m, const Engine *engine)
{
        const EngineUpdate *update = &engine->update;
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0 && engine->has_update) {
                r = append_entry(m, "Id", update->id);
                if (r >= 0)
                        r = append_entry(m, "CorrelationId", update->correlation_id);
                if (r >= 0)
                        r = append_entry(m, "Stage", waiting_stage(engine));
                if (r >= 0)
                        r = sd_bus_message_append(m, "{sv}", "OfferedAt", "t", bus_usec(update->offered_at));
                if (r >= 0)
                        r = append_update_ecus(m, update);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define OPEN SD_BUS_VTABLE_UNPRIVILEGED /* whoever may, is decided in auth.c */

const sd_bus_vtable bus_primary_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("CheckForUpdates", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_on_check, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Approve", SD_BUS_ARGS("s", update, "s", stage), SD_BUS_NO_RESULT, bus_on_approve, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Decline", SD_BUS_ARGS("s", update, "s", reason), SD_BUS_NO_RESULT, bus_on_decline, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Postpone", SD_BUS_ARGS("s", update, "t", until_usec), SD_BUS_NO_RESULT, bus_on_postpone, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_on_cancel, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_on_pause, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_on_resume, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Reboot", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_on_reboot, OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetCondition", SD_BUS_ARGS("s", name, "b", satisfied, "t", valid_usec), SD_BUS_NO_RESULT,
                                bus_on_set_condition, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Inhibit", SD_BUS_ARGS("s", what, "s", who, "s", why), SD_BUS_RESULT("h", fd), bus_on_inhibit, OPEN),
        SD_BUS_METHOD_WITH_ARGS("GetHistory", SD_BUS_ARGS("u", limit), SD_BUS_RESULT("aa{sv}", entries), bus_on_history, OPEN),
        SD_BUS_METHOD_WITH_ARGS("GetManifest", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", manifest), bus_on_manifest, OPEN),
        SD_BUS_PROPERTY("State", "s", get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Update", "a{sv}", get_update, 0, CHANGES),
        SD_BUS_PROPERTY("ProgressStep", "s", get_string, 0, CHANGES),
        SD_BUS_PROPERTY("ProgressDone", "t", get_number, 0, CHANGES),
        SD_BUS_PROPERTY("ProgressTotal", "t", get_number, 0, CHANGES),
        SD_BUS_PROPERTY("LastError", "(sst)", get_error, 0, CHANGES),
        SD_BUS_PROPERTY("LastCheck", "t", get_number, 0, CHANGES),
        SD_BUS_PROPERTY("NextCheck", "t", get_number, 0, CHANGES),
        SD_BUS_PROPERTY("Provisioned", "b", get_bool, 0, CHANGES),
        SD_BUS_PROPERTY("DeviceId", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Vin", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("PrimarySerial", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("TimeSource", "s", get_string, 0, CHANGES),
        SD_BUS_PROPERTY("Conditions", "a{sb}", get_conditions, 0, CHANGES),
        SD_BUS_PROPERTY("Inhibitors", "a(sss)", get_conditions, 0, CHANGES),
        SD_BUS_PROPERTY("WaitingFor", "as", get_conditions, 0, CHANGES),
        SD_BUS_PROPERTY("DirectorTimestamp", "b", get_bool, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Version", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_SIGNAL_WITH_ARGS("UpdateOffered", SD_BUS_ARGS("s", update, "a{sv}", details), 0),
        SD_BUS_SIGNAL_WITH_ARGS("UpdateFinished", SD_BUS_ARGS("s", update, "s", result, "s", description), 0),
        SD_BUS_VTABLE_END,
};

/* ---- signals ---- */

void bus_changed(Manager *m, const char *const *names)
{
        if (m->bus)
                (void) sd_bus_emit_properties_changed_strv(m->bus, BUS_PATH, BUS_INTERFACE, (char **) names);
}

void bus_offered(Manager *m)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *signal = NULL;

        if (m->bus && sd_bus_message_new_signal(m->bus, &signal, BUS_PATH, BUS_INTERFACE, "UpdateOffered") >= 0 &&
            sd_bus_message_append(signal, "s", m->engine.update.id) >= 0 && bus_append_update(signal, &m->engine) >= 0)
                (void) sd_bus_send(m->bus, signal, NULL);
}

void bus_finished(Manager *m, const EngineUpdate *update, const EngineEffect *effect)
{
        if (m->bus)
                (void) sd_bus_emit_signal(m->bus, BUS_PATH, BUS_INTERFACE, "UpdateFinished", "sss", update->id,
                                          error_report_name(effect->result), effect->text);
}

/* ---- reboot ---- */

static int on_reboot_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret)
{
        Manager *m = userdata;
        EngineEvent event = { .kind = ENGINE_REBOOT_FAILED };
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        (void) ret;
        m->reboot_call = sd_bus_slot_unref(m->reboot_call);
        if (!e)
                return 0;
        (void) error_set(&event.error, ERR_REBOOT, "logind does not reboot: %s: %s", e->name, e->message ? e->message : "");
        manager_post(m, &event);
        return 0;
}

int bus_reboot(Manager *m, Error *error)
{
        int r;

        m->reboot_call = sd_bus_slot_unref(m->reboot_call);
        r = sd_bus_call_method_async(m->bus, &m->reboot_call, "org.freedesktop.login1", "/org/freedesktop/login1",
                                     "org.freedesktop.login1.Manager", "Reboot", on_reboot_reply, m, "b", 0);
        return r < 0 ? error_set_errno(error, ERR_REBOOT, -r, "asking logind for a reboot") : 0;
}

/* ---- start ---- */

static int on_lost(sd_bus_message *message, void *userdata, sd_bus_error *ret)
{
        Manager *m = userdata;

        (void) message;
        (void) ret;
        return sd_event_exit(m->event, -ECONNRESET); /* the service manager starts the daemon again, with a new bus */
}

static int add_objects(Manager *m)
{
        int r = sd_bus_add_object_manager(m->bus, NULL, BUS_PATH);

        if (r >= 0)
                r = sd_bus_add_object_vtable(m->bus, NULL, BUS_PATH, BUS_INTERFACE, bus_primary_vtable, m);
        for (size_t i = 0; r >= 0 && i < m->n_ecus; i++) {
                cleanup_free char *path = xasprintf(BUS_PATH "/ecu/%s", m->ecus[i].label);

                m->ecus[i].manager = m;
                r = sd_bus_add_object_vtable(m->bus, NULL, path, BUS_INTERFACE ".Ecu", bus_ecu_vtable, &m->ecus[i]);
        }
        return r;
}

int bus_start(Manager *m, Error *error)
{
        int r = sd_bus_open_system_with_description(&m->bus, "system");

        if (r >= 0)
                r = sd_bus_match_signal_async(m->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_lost, NULL, m);
        if (r >= 0)
                r = add_objects(m);
        if (r >= 0)
                r = sd_bus_request_name(m->bus, BUS_NAME, 0);
        if (r >= 0)
                r = sd_bus_attach_event(m->bus, m->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? error_set_errno(error, ERR_SYSTEM, -r, "the system bus, name " BUS_NAME) : 0;
}
