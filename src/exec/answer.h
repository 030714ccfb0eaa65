/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXEC_ANSWER_H
#define EXEC_ANSWER_H

/* What a handler program says on its standard output (docs/ACTION-HANDLERS.md), read strictly: one JSON object or nothing. */
#include "base/arena.h"
#include "base/slice.h"

typedef enum ExecAction {
        EXEC_GET_FIRMWARE_INFO,
        EXEC_INSTALL,
        EXEC_COMPLETE_INSTALL,
        EXEC_ROLLBACK,
        EXEC_HOLD,
        EXEC_RELEASE,
        _EXEC_ACTION_MAX,
} ExecAction;

typedef enum ExecStatus {
        EXEC_OK,
        EXEC_NEED_COMPLETION, /* EXEC_INSTALL and EXEC_ROLLBACK only: a boot is needed */
        EXEC_FAILED,
        EXEC_UNKNOWN, /* EXEC_GET_FIRMWARE_INFO only: it is not what was installed last, and nobody can say what it is */
        EXEC_NOT_HANDLED, /* the handler leaves this action to the default; said by its exit code */
        _EXEC_STATUS_MAX,
} ExecStatus;

#define EXEC_ANSWER_BYTES_MAX ((size_t) 64 * 1024)
#define EXEC_MESSAGE_MAX 1000

typedef struct ExecAnswer { /* strings live in the arena given */
        ExecStatus status;
        const char *message; /* "": none */
        /* with EXEC_GET_FIRMWARE_INFO and EXEC_OK: */
        const char *name;    /* "": it does not know */
        const char *sha256;  /* 64 lower-case hex digits */
        int64_t length;      /* -1: it does not know */
} ExecAnswer;

/* "get-firmware-info", ...: the program's first argument. */
const char *exec_action_name(ExecAction action) __attribute__((returns_nonnull));
/* "ok", "need-completion", "failed", "unknown", "not-handled". */
const char *exec_status_name(ExecStatus status) __attribute__((returns_nonnull));
/* ERR_HANDLER if text is anything else than such an object. */
int exec_answer_parse(Slice text, ExecAction action, Arena *arena, ExecAnswer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
