/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_ATTACK_H
#define UPTANED_ATTACK_H

/*
 * Detected attacks: each is remembered until the Director has accepted a version report that names it, and told in the
 * journal under a MESSAGE_ID of its own.
 */
#include "uptaned/manager.h"

static inline bool is_attack(const Error *error)
{
        return error->code != ERR_NONE && error_info(error->code)->attack != ATTACK_NONE;
}

/* Remembers an attack. Within the transaction that is open, or durable at once. */
int attack_remember(Manager *m, const Error *error, Error *ret) __attribute__((nonnull, warn_unused_result));
/* The text for the Primary's next report, and the number up to which the Director knows everything if it takes that. */
int attack_report(Manager *m, Buffer *ret, int64_t *ret_sequence, Error *error) __attribute__((nonnull, warn_unused_result));
/* What a Secondary's verified report says it detected: into the journal, if that is new. The report itself tells the Director. */
void attack_of_ecu(Manager *m, VehicleEcu *ecu, const char *text) __attribute__((nonnull));

#endif
