/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control characters never reach a message: much of what is quoted in one was chosen by a peer, and it ends up on
 * terminals and in the journal. sanitize() replaces them after formatting, and cuts at a UTF-8 boundary.
 */
#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define X(code, name, report, attack, retry, exit, help) \
        [ERR_##code] = { #code, "org.uptane.Error." name, REPORT_##report, ATTACK_##attack, RETRY_##retry, exit, help },
static const ErrorInfo table[_ERR_MAX] = {
#include "base/error.def"
};
#undef X

static const char *const report_names[] = {
        [REPORT_OK] = "OK",
        [REPORT_VERIFICATION_FAILED] = "VERIFICATION_FAILED",
        [REPORT_DOWNLOAD_FAILED] = "DOWNLOAD_FAILED",
        [REPORT_INSTALL_FAILED] = "INSTALL_FAILED",
        [REPORT_INTERNAL_ERROR] = "INTERNAL_ERROR",
        [REPORT_GENERAL_ERROR] = "GENERAL_ERROR",
        [REPORT_OPERATION_CANCELLED] = "OPERATION_CANCELLED",
};
static_assert(sizeof report_names / sizeof *report_names == _REPORT_MAX, "a report code without a name");

static const char *const attack_names[] = {
        [ATTACK_NONE] = "",
        [ATTACK_ARBITRARY] = "arbitrary software",
        [ATTACK_ROLLBACK] = "rollback",
        [ATTACK_FREEZE] = "freeze",
        [ATTACK_MIX_MATCH] = "mix and match",
        [ATTACK_ENDLESS] = "endless data",
        [ATTACK_SLOW] = "slow retrieval",
        [ATTACK_FORGED] = "forged report",
        [ATTACK_REPLAYED] = "replayed report",
};
static_assert(sizeof attack_names / sizeof *attack_names == _ATTACK_MAX, "an attack without a name");

/* Uptane 5.4.4.2 (d): what an error code means */
const ErrorInfo *error_info(ErrorCode code)
{
        assert(code > ERR_NONE && code < _ERR_MAX);
        return &table[code];
}

ErrorCode error_code_from_dbus(const char *dbus_name)
{
        for (int i = ERR_NONE + 1; i < _ERR_MAX; i++)
                if (dbus_name && strcmp(table[i].dbus_name, dbus_name) == 0)
                        return (ErrorCode) i;
        return ERR_NONE;
}

const char *error_report_name(ErrorReport report)
{
        assert(report < _REPORT_MAX);
        return report_names[report];
}

/* Uptane 5.4.4.2 (e): which kind of attack */
const char *error_attack_name(ErrorAttack attack)
{
        assert(attack < _ATTACK_MAX);
        return attack_names[attack];
}

ErrorAttack error_attack_from_text(const char *text)
{
        for (int i = ATTACK_NONE + 1; i < _ATTACK_MAX; i++)
                if (strncmp(text, attack_names[i], strlen(attack_names[i])) == 0)
                        return (ErrorAttack) i;
        return ATTACK_NONE;
}

/* Bytes of the UTF-8 character at p; 0 if there is none, or if the text ends inside it (*ret_cut). */
static size_t character(const unsigned char *p, bool *ret_cut)
{
        size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;

        for (size_t i = 1; i < n; i++)
                if ((p[i] & 0xc0) != 0x80) {
                        *ret_cut = p[i] == '\0';
                        return 0;
                }
        /* overlong forms, surrogates and what lies behind the last plane */
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
                return 0;
        return n;
}

/* Messages go to D-Bus and into JSON: masks control characters and what is no UTF-8, and drops a cut character at the end. */
static void sanitize(char *text)
{
        unsigned char *p = (unsigned char *) text;

        while (*p) {
                bool cut = false;
                size_t n = character(p, &cut);

                if (cut) {
                        *p = '\0';
                        return;
                }
                if (n == 0 || *p < 0x20 || *p == 0x7f)
                        *p = '?';
                p += n ? n : 1;
        }
}

static void set(Error *e, ErrorCode code, int sys, const char *file, int line)
{
        assert(e->code == ERR_NONE); /* an error is reported once, where it happened */
        assert(code > ERR_NONE && code < _ERR_MAX);
        e->code = code;
        e->sys = sys;
        e->file = file;
        e->line = line;
        e->message[0] = '\0';
        e->repository = NULL;
        e->role[0] = '\0';
        e->version = 0;
}

int error_set_at(Error *e, ErrorCode code, int sys, const char *file, int line, const char *fmt, ...)
{
        va_list ap;

        set(e, code, sys, file, line);
        va_start(ap, fmt);
        (void) vsnprintf(e->message, sizeof e->message, fmt, ap);
        va_end(ap);
        sanitize(e->message);
        return -1;
}

int error_set_errno_at(Error *e, ErrorCode code, int err, const char *file, int line, const char *fmt, ...)
{
        char text[sizeof e->message], why[128] = "";
        va_list ap;

        set(e, code, err, file, line);
        va_start(ap, fmt);
        (void) vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        (void) snprintf(e->message, sizeof e->message, "%.*s: %s", (int) (sizeof text - sizeof why - 3), text,
                        strerror_r(err, why, sizeof why));
        sanitize(e->message);
        return -1;
}

int error_prefix(Error *e, const char *fmt, ...)
{
        char tail[sizeof e->message], head[sizeof e->message];
        va_list ap;

        assert(e->code != ERR_NONE);
        memcpy(tail, e->message, sizeof tail);
        va_start(ap, fmt);
        (void) vsnprintf(head, sizeof head, fmt, ap);
        va_end(ap);
        (void) snprintf(e->message, sizeof e->message, "%.200s: %.300s", head, tail);
        sanitize(e->message);
        return -1;
}

void error_about(Error *e, const char *repository, const char *role, int64_t version)
{
        assert(e->code != ERR_NONE);
        if (e->repository)
                return;
        e->repository = repository;
        (void) snprintf(e->role, sizeof e->role, "%s", role);
        sanitize(e->role);
        e->version = version;
}

void error_copy_message(const Error *e, char *ret, size_t size)
{
        (void) snprintf(ret, size, "%.*s", (int) size - 1, e->message);
        sanitize(ret);
}

void error_clear(Error *e)
{
        *e = (Error) { 0 };
}
