/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXEC_HANDLER_H
#define EXEC_HANDLER_H

/*
 * A handler program (docs/ACTION-HANDLERS.md): asked what runs on an ECU, and made to install there.
 *
 * It runs with the rights of the caller, so it must be one that nobody else could have put there: its file and every
 * folder above it belong to root or to the caller and can be written by nobody else, there is no link on the way, and it
 * lies below a folder that is set aside for handlers. What comes from repositories and ECUs reaches it in its
 * environment, as text, and no shell reads that.
 */
#include "exec/answer.h"

#define EXEC_FACTS_MAX 32
#define EXEC_FACT_NAME_MAX 40
#define EXEC_FACT_VALUE_MAX 4096
#define EXEC_NOT_HANDLED_CODE 65 /* exit code: not handled here, do what is usual */

/* UPTANE_NAME=value in the program's environment; name is of A to Z, 0 to 9 and '_'. */
typedef struct ExecFact {
        const char *name, *value;
} ExecFact;

typedef struct ExecHandler {
        const char *path;
        const char *const *folders; /* that are set aside; ends with NULL */
        ExecFact facts[EXEC_FACTS_MAX];
        size_t n_facts;
        unsigned seconds;
        int cancel_fd; /* a socket: once its other end has gone, the program is stopped; -1: none */
} ExecHandler;

/* Whether the program may be run at all. ERR_HANDLER. */
int exec_handler_check(const char *path, const char *const *folders, Error *error) __attribute__((nonnull, warn_unused_result));
/* ERR_INVALID_ARGUMENT if there is no room for it, or the name is none. Borrows both. */
int exec_handler_add(ExecHandler *handler, const char *name, const char *value, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * Runs it. image_fd (-1: none) is its descriptor EXEC_IMAGE_FD. EXEC_FAILED never comes back: it is ERR_INSTALL with the
 * program's own words, or ERR_HANDLER for EXEC_GET_FIRMWARE_INFO, as is everything that the protocol does not know.
 */
int exec_handler_run(const ExecHandler *handler, ExecAction action, int image_fd, Arena *arena, ExecAnswer *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
