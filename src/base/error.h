/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

/*
 * The one error type. A plain value: copy it, send it, store it; it owns nothing and is never freed.
 *
 * A fallible function returns 0 (or a documented payload >= 0) or -1 and takes a never-NULL Error as its last
 * parameter. An error is born once, with error_set(); callers that know more put it in front with error_prefix().
 * Journal, D-Bus, installation report, manifest, documentation and exit code are all derived from error.def.
 */
#include <stddef.h>
#include <stdint.h>

/* Result codes of an installation report; the names are those of the device API. */
typedef enum ErrorReport {
        REPORT_OK,
        REPORT_VERIFICATION_FAILED,
        REPORT_DOWNLOAD_FAILED,
        REPORT_INSTALL_FAILED,
        REPORT_INTERNAL_ERROR,
        REPORT_GENERAL_ERROR,
        REPORT_OPERATION_CANCELLED,
        _REPORT_MAX,
} ErrorReport;

/* What an ECU version report says about a detected attack (Uptane 5.4.2.1.2). */
typedef enum ErrorAttack {
        ATTACK_NONE,
        ATTACK_ARBITRARY,
        ATTACK_ROLLBACK,
        ATTACK_FREEZE,
        ATTACK_MIX_MATCH,
        ATTACK_ENDLESS,
        ATTACK_SLOW,
        ATTACK_FORGED,
        ATTACK_REPLAYED,
        _ATTACK_MAX,
} ErrorAttack;

typedef enum ErrorRetry {
        RETRY_NEVER,      /* not without a new assignment or somebody's help */
        RETRY_BACKOFF,    /* by itself, with growing pauses */
        RETRY_NEXT_CYCLE, /* at the next regular poll */
} ErrorRetry;

#define X(code, ...) ERR_##code,
typedef enum ErrorCode {
        ERR_NONE = 0,
#include "base/error.def"
        _ERR_MAX,
} ErrorCode;
#undef X

typedef struct Error {
        ErrorCode code;
        int sys;          /* errno, CURLcode, SQLite code or HTTP status; 0 if none */
        const char *file; /* where it was born; static storage */
        int line;
        char message[512]; /* a sentence fragment, English, no trailing dot */
        /* which metadata it is about, where that is known: */
        const char *repository; /* "director", "image"; static storage; NULL: unknown */
        char role[64];          /* cut where a delegated role is called longer; "": unknown */
        int64_t version;        /* that was offered; 0: unknown */
} Error;

typedef struct ErrorInfo {
        const char *name;      /* the code as written in error.def, e.g. "ROLLBACK" */
        const char *dbus_name; /* "org.uptane.Error.Rollback" */
        ErrorReport report;
        ErrorAttack attack;
        ErrorRetry retry;
        int exit_code;
        const char *help;
} ErrorInfo;

/* The row of a code other than ERR_NONE. Static storage. */
const ErrorInfo *error_info(ErrorCode code) __attribute__((returns_nonnull));
/* The code that owns this D-Bus error name, or ERR_NONE. */
ErrorCode error_code_from_dbus(const char *dbus_name);
/* "VERIFICATION_FAILED", "OK", ... as the device API spells them. */
const char *error_report_name(ErrorReport report);
/* "", "rollback", "freeze", ... as written into attacks_detected. */
const char *error_attack_name(ErrorAttack attack);
/* The attack that such a text begins with: another ECU's word for it. ATTACK_NONE if it begins with none. */
ErrorAttack error_attack_from_text(const char *text) __attribute__((nonnull));

/*
 * Sets *e, which must hold no error yet, and returns -1: "return error_set(...)" is the only way to fail. The -1 stands
 * in the macros so that the compiler sees it too, and does not warn about what is unset only behind a failure.
 */
#define error_set(e, c, ...) (error_set_at((e), (c), 0, __FILE__, __LINE__, __VA_ARGS__), -1)
#define error_set_sys(e, c, sys, ...) (error_set_at((e), (c), (sys), __FILE__, __LINE__, __VA_ARGS__), -1)
/* Like error_set(), and ends the message with strerror of err (a positive errno). */
#define error_set_errno(e, c, err, ...) (error_set_errno_at((e), (c), (err), __FILE__, __LINE__, __VA_ARGS__), -1)

int error_set_at(Error *e, ErrorCode code, int sys, const char *file, int line, const char *fmt, ...)
        __attribute__((format(printf, 6, 7), nonnull, cold));
int error_set_errno_at(Error *e, ErrorCode code, int err, const char *file, int line, const char *fmt, ...)
        __attribute__((format(printf, 6, 7), nonnull, cold));
/* Puts "context: " in front of the message and returns -1. */
int error_prefix(Error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull, cold));
/* Says which metadata it is about, unless somebody who knew better has said so before. */
void error_about(Error *e, const char *repository, const char *role, int64_t version) __attribute__((nonnull));
/* The message into size bytes (at most sizeof e->message), cut between two characters where it does not fit. */
void error_copy_message(const Error *e, char *ret, size_t size) __attribute__((nonnull));
/* Forgets the error, for the few places that handle one and go on. */
void error_clear(Error *e) __attribute__((nonnull));

#endif
