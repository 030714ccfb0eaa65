/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/exec.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"

#define SLACK 15 /* seconds that stopping a handler may take beyond its time limit */

int exec_open(Manager *m, Helper **ret, Error *error)
{
        return helper_open(m->event, HELPER_EXEC, m->config.exec_socket, ret, error);
}

static void hex_sha256(const Hashes *hashes, char ret[static 2 * SHA256_SIZE + 1])
{
        ret[0] = '\0';
        if (hashes->has_sha256)
                hex_encode(slice(hashes->sha256, SHA256_SIZE), ret);
}

/* What a handler is told beside the name of the action; c->want is NULL where nothing is to be installed. */
static int append_facts(sd_bus_message *call, Manager *m, const ExecCall *c)
{
        const VehicleEcu *ecu = c->ecu;
        const EngineEcu *want = c->want;
        char installed[2 * SHA256_SIZE + 1], sha256[2 * SHA256_SIZE + 1] = "", length[24] = "";

        hex_sha256(&ecu->hashes, installed);
        if (want) {
                hex_sha256(&want->hashes, sha256);
                (void) snprintf(length, sizeof length, "%" PRId64, want->length);
        }
        const struct {
                const char *name, *value;
        } facts[] = {
                { "ECU_SERIAL", ecu->serial },      { "HARDWARE_ID", ecu->hardware_id }, { "OPTION", ecu->handler_option },
                { "INSTALLED_NAME", ecu->image },   { "INSTALLED_SHA256", installed },   { "IMAGE_NAME", want ? want->image : "" },
                { "IMAGE_SHA256", sha256 },         { "IMAGE_LENGTH", length },          { "UPDATE_ID", m->engine.update.id },
        };
        int r = sd_bus_message_open_container(call, 'a', "{ss}");

        for (size_t i = 0; r >= 0 && i < (want ? ELEMENTSOF(facts) : 5); i++)
                r = sd_bus_message_append(call, "{ss}", facts[i].name, facts[i].value);
        if (r >= 0 && c->hold)
                r = sd_bus_message_append(call, "{ss}", "HOLD", "1");
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static int send(Manager *m, const ExecCall *c, Helper *helper, unsigned seconds, HelperReply reply, void *userdata, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        if (helper_message(helper, c->member, &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "su", c->ecu->handler, (uint32_t) seconds);
        if (r >= 0)
                r = append_facts(call, m, c);
        if (r >= 0 && c->fd >= 0)
                r = sd_bus_message_append(call, "h", c->fd);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking uptane-exec");
        return helper_call(helper, call, seconds + SLACK, reply, userdata, error);
}

int exec_ask_info(Manager *m, const VehicleEcu *ecu, Helper *helper, HelperReply reply, void *userdata, Error *error)
{
        const ExecCall call = { .member = "GetFirmwareInfo", .ecu = ecu, .fd = -1 };

        return send(m, &call, helper, m->config.secondary_timeout, reply, userdata, error);
}

int exec_call(Manager *m, const ExecCall *call, Helper *helper, HelperReply reply, void *userdata, Error *error)
{
        return send(m, call, helper, m->config.install_timeout, reply, userdata, error);
}

const char *exec_read_status(sd_bus_message *reply, Error *error)
{
        const char *status, *message;

        if (!reply)
                return NULL;
        if (sd_bus_message_read(reply, "ss", &status, &message) < 0) {
                (void) error_set(error, ERR_HELPER, "uptane-exec answered in another form than agreed");
                return NULL;
        }
        return status;
}

/* ---- the note that a boot is waited for ---- */

#define HELD " held"

static char *note_name(const VehicleEcu *ecu)
{
        return xasprintf("pending %s", ecu->label);
}

/* Which image, installed in which boot. */
static char *note_text(Manager *m, const EngineEcu *want)
{
        char sha256[2 * SHA256_SIZE + 1];

        hex_encode(slice(want->hashes.sha256, SHA256_SIZE), sha256);
        return xasprintf("%s %s", sha256, m->boot_id);
}

int exec_note_put(Manager *m, const VehicleEcu *ecu, const EngineEcu *want, bool held, Error *error)
{
        cleanup_free char *name = note_name(ecu), *here = note_text(m, want), *text = xasprintf("%s%s", here, held ? HELD : "");

        return store_value_put(m->store, name, text, error);
}

int exec_note_get(Manager *m, const VehicleEcu *ecu, const EngineEcu *want, ExecNote *ret, bool *ret_held, Error *error)
{
        cleanup_free char *name = note_name(ecu), *here = note_text(m, want);
        cleanup_buffer Buffer text = { 0 };
        const char *note;

        *ret = EXEC_NOTE_NONE;
        *ret_held = false;
        if (store_value_get(m->store, name, &text, error) < 0)
                return -1;
        note = text.size > 0 ? buffer_str(&text) : "";
        if (strncmp(note, here, 2 * SHA256_SIZE + 1) != 0)
                return 0;
        *ret_held = strlen(note) > sizeof HELD && strcmp(note + strlen(note) - strlen(HELD), HELD) == 0;
        *ret = strncmp(note, here, strlen(here)) == 0 ? EXEC_NOTE_THIS_BOOT : EXEC_NOTE_EARLIER_BOOT;
        return 0;
}

void exec_note_forget(Manager *m, const VehicleEcu *ecu)
{
        cleanup_free char *name = note_name(ecu);
        cleanup_buffer Buffer text = { 0 };
        Error error = { 0 };
        int r = store_value_get(m->store, name, &text, &error);

        if (r > 0 && text.size > 0)
                r = store_value_put(m->store, name, "", &error);
        if (r < 0)
                manager_note(m, &error);
}

/* ---- what it says that its ECU runs ---- */

static int forget_installed(Manager *m, VehicleEcu *ecu, Error *error)
{
        if (!*ecu->image && !ecu->hashes.has_sha256 && !ecu->hashes.has_sha512)
                return 0;
        return vehicle_set_installed(m, ecu, "", &(Hashes) { 0 }, -1, -1, error);
}

int exec_take_info(Manager *m, VehicleEcu *ecu, sd_bus_message *reply, Error *error)
{
        Hashes hashes = { .has_sha256 = true };
        const char *status, *name, *sha256;
        int64_t length;

        if (sd_bus_message_read(reply, "sssx", &status, &name, &sha256, &length) < 0)
                return error_set(error, ERR_HELPER, "uptane-exec answered in another form than agreed");
        if (strcmp(status, "unknown") == 0)
                return forget_installed(m, ecu, error) < 0 ? -1 : 1;
        if (strcmp(status, "ok") != 0)
                return 0;
        if (length < -1 || strlen(name) > TARGET_NAME_MAX)
                return error_set(error, ERR_HELPER, "uptane-exec names firmware '%.80s' of %lld bytes", name, (long long) length);
        if (hex_decode(sha256, hashes.sha256, sizeof hashes.sha256, error) < 0)
                return error_prefix(error, "uptane-exec names firmware '%.80s'", sha256);
        /* A release counter, and mostly a name, is known only of what this Primary had installed. */
        if (hashes_match(&hashes, &ecu->hashes))
                return 1;
        return vehicle_set_installed(m, ecu, name, &hashes, length, -1, error) < 0 ? -1 : 1;
}

int exec_take_runs(Manager *m, VehicleEcu *ecu, const EngineEcu *want, sd_bus_message *reply, ExecRuns *ret, Error *error)
{
        int known = reply ? exec_take_info(m, ecu, reply, error) : -1;

        *ret = known <= 0 ? EXEC_RUNS_UNKNOWN : hashes_match(&ecu->hashes, &want->hashes) ? EXEC_RUNS_WANTED : EXEC_RUNS_OTHER;
        return known < 0 ? -1 : 0;
}
