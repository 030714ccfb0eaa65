/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_LOG_H
#define UPTANED_LOG_H

/*
 * What the daemon writes to the journal, with fields a manufacturer can filter by: MESSAGE_ID= (journal.h),
 * UPTANE_ERROR=, UPTANE_CYCLE=, UPTANE_UPDATE=, UPTANE_ECU=; of an attack UPTANE_ATTACK= and, where they are known,
 * UPTANE_REPOSITORY=, UPTANE_ROLE= and UPTANE_VERSION=. Where standard error is no journal (a container, a test), the same line
 * goes there.
 */
#include "base/error.h"

typedef struct LogContext {
        int priority;           /* LOG_ERR ... LOG_DEBUG */
        const char *message_id; /* NULL: none */
        const char *update;     /* NULL: none */
        const Error *error;     /* NULL: none; its name and origin become fields */
        const char *ecu;        /* its serial; NULL: none */
        ErrorAttack attack;     /* ATTACK_NONE: that of error */
        unsigned cycle;
} LogContext;

void log_write(const LogContext *context, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull));

#endif
