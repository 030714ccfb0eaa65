/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
/* the place in the source comes from the Error, not from here */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/mem.h"

static const char *attack_of(const LogContext *c)
{
        if (c->attack != ATTACK_NONE)
                return error_attack_name(c->attack);
        return c->error && c->error->code != ERR_NONE ? error_attack_name(error_info(c->error->code)->attack) : "";
}

static void to_stderr(const LogContext *c, const char *text)
{
        const char *attack = attack_of(c);

        if (*attack)
                fprintf(stderr, "<%d>%s [%s, %s]\n", c->priority, text, error_info(c->error->code)->dbus_name, attack);
        else if (c->error && c->error->code != ERR_NONE)
                fprintf(stderr, "<%d>%s [%s]\n", c->priority, text, error_info(c->error->code)->dbus_name);
        else
                fprintf(stderr, "<%d>%s\n", c->priority, text);
}

#define FIELDS_MAX 16

static size_t put_error(const LogContext *c, char **fields, size_t n)
{
        const Error *e = c->error;
        const char *attack = attack_of(c);

        fields[n++] = xasprintf("UPTANE_ERROR=%s", error_info(e->code)->dbus_name);
        fields[n++] = xasprintf("CODE_FILE=%s", e->file ? e->file : "");
        fields[n++] = xasprintf("CODE_LINE=%d", e->line);
        if (*attack)
                fields[n++] = xasprintf("UPTANE_ATTACK=%s", attack);
        if (e->repository) {
                fields[n++] = xasprintf("UPTANE_REPOSITORY=%s", e->repository);
                fields[n++] = xasprintf("UPTANE_ROLE=%s", e->role);
        }
        if (e->version > 0)
                fields[n++] = xasprintf("UPTANE_VERSION=%lld", (long long) e->version);
        return n;
}

void log_write(const LogContext *c, const char *fmt, ...)
{
        char *fields[FIELDS_MAX];
        struct iovec iov[FIELDS_MAX];
        char text[1024];
        size_t n = 0;
        va_list ap;

        va_start(ap, fmt);
        (void) vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        if (!getenv("JOURNAL_STREAM")) {
                to_stderr(c, text);
                return;
        }
        fields[n++] = xasprintf("MESSAGE=%s", text);
        fields[n++] = xasprintf("PRIORITY=%d", c->priority);
        fields[n++] = xasprintf("UPTANE_CYCLE=%u", c->cycle);
        if (c->message_id)
                fields[n++] = xasprintf("MESSAGE_ID=%s", c->message_id);
        if (c->update)
                fields[n++] = xasprintf("UPTANE_UPDATE=%s", c->update);
        if (c->ecu)
                fields[n++] = xasprintf("UPTANE_ECU=%s", c->ecu);
        if (c->error && c->error->code != ERR_NONE)
                n = put_error(c, fields, n);
        for (size_t i = 0; i < n; i++)
                iov[i] = (struct iovec) { fields[i], strlen(fields[i]) };
        if (sd_journal_sendv(iov, (int) n) < 0)
                to_stderr(c, text);
        for (size_t i = 0; i < n; i++)
                free(fields[i]);
}
