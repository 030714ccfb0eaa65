/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/attack.h"

#include <syslog.h>

#include "uptaned/journal.h"
#include "uptaned/log.h"

/*
 * What makes two attacks the same: the file that was offered, where it is known, and not every word; that of an expired
 * file, for one, says what time it is.
 */
static char *make_key(const Error *e)
{
        const char *name = error_info(e->code)->name;

        if (e->repository)
                return xasprintf("%s %s %lld %s", name, e->repository, (long long) e->version, e->role);
        return xasprintf("%s %s", name, e->message);
}

int attack_remember(Manager *m, const Error *error, Error *ret)
{
        cleanup_free char *key = make_key(error);

        return store_attack_add(m->store, key, error_attack_name(error_info(error->code)->attack), error->message, manager_now(m), ret);
}

int attack_report(Manager *m, Buffer *ret, int64_t *ret_sequence, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        const DetectedAttack *list;
        size_t n;

        if (store_attack_list(m->store, arena, &list, &n, error) < 0)
                return -1;
        n = attacks_write(list, n, ret);
        *ret_sequence = n ? list[n - 1].sequence : 0;
        return 0;
}

void attack_of_ecu(Manager *m, VehicleEcu *ecu, const char *text)
{
        Error error = { 0 };

        if (strcmp(ecu->attacks ? ecu->attacks : "", text) == 0)
                return;
        free(ecu->attacks);
        ecu->attacks = xstrdup(text);
        if (!*text)
                return;
        (void) error_set(&error, ERR_SECONDARY, "%s: ECU %s detected an attack: %s", ecu->label, ecu->serial, text);
        log_write(&(LogContext) { .priority = LOG_ERR, .message_id = MESSAGE_ATTACK_DETECTED, .error = &error, .ecu = ecu->serial,
                                  .attack = error_attack_from_text(text), .cycle = m->cycle },
                  "%s", error.message);
}
