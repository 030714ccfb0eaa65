/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECUs that came, went, or answer as somebody else. What is stored of an ECU is the memory of it: a label that is stored and
 * not configured is one that went, and stays stored until the back-end has taken a registration without it.
 */
#include <string.h>
#include <syslog.h>

#include "uptaned/journal.h"
#include "uptaned/log.h"
#include "uptaned/manager.h"

static bool is_configured(const Manager *m, const char *label)
{
        for (size_t i = 0; i < m->n_ecus; i++)
                if (strcmp(m->ecus[i].label, label) == 0)
                        return true;
        return false;
}

static bool is_listed(const char *const *labels, size_t n, const char *label)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(labels[i], label) == 0)
                        return true;
        return false;
}

static void tell(const Manager *m, const char *label, const char *serial, const char *what)
{
        log_write(&(LogContext) { .priority = LOG_NOTICE, .message_id = MESSAGE_ECUS_CHANGED, .ecu = *serial ? serial : NULL, .cycle = m->cycle },
                  "%s%s%s: %s", label, *serial ? ": ECU " : "", serial, what);
}

/* Each label that is stored and not configured. */
static int for_each_gone(Manager *m, const char *const *labels, size_t n, int (*what)(Manager *m, const char *label, Error *error), Error *error)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(labels[i], "primary") != 0 && !is_configured(m, labels[i]) && what(m, labels[i], error) < 0)
                        return -1;
        return 0;
}

static int notice_gone(Manager *m, const char *label, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        StoredEcu stored = { .serial = "" };

        if (store_ecu_get(m->store, label, arena, &stored, error) < 0)
                return -1;
        tell(m, label, stored.serial, "it is not in this vehicle any more");
        m->provisioned = false;
        return 0;
}

int vehicle_notice_changes(Manager *m, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        const char *const *labels;
        size_t n;

        if (store_ecu_list(m->store, arena, &labels, &n, error) < 0 || for_each_gone(m, labels, n, notice_gone, error) < 0)
                return -1;
        for (size_t i = 1; m->registered && i < m->n_ecus; i++)
                if (!is_listed(labels, n, m->ecus[i].label))
                        tell(m, m->ecus[i].label, m->ecus[i].serial, "it is new in this vehicle");
        return 0;
}

static int forget_label(Manager *m, const char *label, Error *error)
{
        return store_ecu_forget(m->store, label, error);
}

int vehicle_forget_gone(Manager *m, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        const char *const *labels;
        size_t n;

        return store_ecu_list(m->store, arena, &labels, &n, error) < 0 ? -1 : for_each_gone(m, labels, n, forget_label, error);
}

/* ---- somebody else ---- */

static bool is_same(const VehicleEcu *ecu, const char *serial, const char *hardware_id, const char *key_type, const char *key_text)
{
        CLEANUP(public_key_free) PublicKey *key = NULL;
        Error ignored = { 0 };
        KeyType type;

        return strcmp(ecu->serial, serial) == 0 && strcmp(ecu->hardware_id, hardware_id) == 0 &&
               key_type_from_name(key_type, &type, &ignored) == 0 && public_key_new(type, key_text, &key, &ignored) == 0 &&
               public_key_equal(ecu->key, key);
}

/* In the store, too, before it is learnt: a power cut in between makes it an ECU that nobody has met yet. */
static int forget(Manager *m, VehicleEcu *ecu, Error *error)
{
        if (store_ecu_forget(m->store, ecu->label, error) < 0)
                return -1;
        vehicle_unlearn(m, ecu);
        return 0;
}

int vehicle_meet(Manager *m, VehicleEcu *ecu, const char *serial, const char *hardware_id, const char *key_type, const char *key_text,
                 Error *error)
{
        bool known = ecu->key != NULL;

        if (known && is_same(ecu, serial, hardware_id, key_type, key_text))
                return 0;
        if (known && !ecu->may_be_replaced)
                return error_set(error, ERR_ECU_REPLACED, "%s: ECU %s (%.80s) with %s key answers in the place of ECU %s (%.80s)", ecu->label,
                                 serial, hardware_id, strcmp(key_text, ecu->key_text) == 0 ? "the same" : "another", ecu->serial, ecu->hardware_id);
        if (known && forget(m, ecu, error) < 0)
                return -1;
        if (vehicle_learn(m, ecu, serial, hardware_id, key_type, key_text, error) < 0)
                return error_prefix(error, "%s", ecu->label);
        tell(m, ecu->label, ecu->serial, known ? "it has replaced the one before" : "it is new in this vehicle");
        m->provisioned = false;
        m->ecus_changed = true;
        return 1;
}
