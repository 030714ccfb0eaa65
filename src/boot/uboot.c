/* SPDX-License-Identifier: Apache-2.0 */
/*
 * U-Boot's environment, through fw_printenv and fw_setenv as $PATH has them. The variables are those that boot scripts in
 * the field look at: bootcount (raised by U-Boot or its script at each boot), upgrade_available (1: on trial), rollback (1:
 * set by the script, which then boots the older software).
 *
 * One variable is written at a time, since not every tool of that name can do more, so the order counts: at no point may
 * software run that is neither known to be good nor counted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "boot/boot.h"
#include "io/program.h"

#define TOOL_SECONDS 30
#define ENVIRONMENT_MAX ((size_t) 1024 * 1024)

/* All of them at once: that one is not there must not look like a tool that cannot read. */
static int read_variables(Buffer *ret, Error *error)
{
        static const char *const argv[] = { "fw_printenv", NULL };
        Error why = { 0 };
        int r;

        ret->limit = ENVIRONMENT_MAX;
        r = program_run(argv, TOOL_SECONDS, ret, &why);
        if (r < 0)
                return error_set(error, ERR_BOOT_LOADER, "%.300s", why.message);
        if (r > 0)
                return error_set(error, ERR_BOOT_LOADER, "U-Boot's variables cannot be read (fw_env.config): fw_printenv ended with status %d", r);
        return 0;
}

/* Whether the variable has this value; one that is not there has the value "". */
static bool has_value(Buffer *v, const char *name, const char *value)
{
        const char *p = buffer_str(v);
        size_t n = strlen(name);

        for (; *p; p += strcspn(p, "\n"), p += *p == '\n')
                if (strncmp(p, name, n) == 0 && p[n] == '=') {
                        size_t length = strcspn(p + n + 1, "\r\n");

                        return strlen(value) == length && strncmp(p + n + 1, value, length) == 0;
                }
        return !*value;
}

static int set_variable(const char *name, const char *value, Error *error)
{
        const char *const argv[] = { "fw_setenv", name, value, NULL };
        cleanup_buffer Buffer output = { .limit = 1024 };
        Error why = { 0 };
        int r = program_run(argv, TOOL_SECONDS, &output, &why);

        if (r < 0)
                return error_set(error, ERR_BOOT_LOADER, "%.300s", why.message);
        return r > 0 ? error_set(error, ERR_BOOT_LOADER, "fw_setenv %s %s ended with status %d", name, value, r) : 0;
}

/* Flash wears out: what is there already is not written again. */
static int put_variable(Buffer *v, const char *name, const char *value, Error *error)
{
        return has_value(v, name, value) ? 0 : set_variable(name, value, error);
}

/*
 * rollback goes last: with it, the script boots what was good before; without it and without a count, it would boot
 * what has just failed, and nobody would notice.
 */
static int set_trial(const BootContext *context, Error *error)
{
        cleanup_buffer Buffer v = { 0 };

        (void) context;
        if (read_variables(&v, error) < 0 || put_variable(&v, "bootcount", "0", error) < 0 ||
            put_variable(&v, "upgrade_available", "1", error) < 0)
                return -1;
        return put_variable(&v, "rollback", "0", error);
}

/* rollback stays: while it is set, the script boots what runs now. */
static int set_good(const BootContext *context, Error *error)
{
        cleanup_buffer Buffer v = { 0 };

        (void) context;
        if (read_variables(&v, error) < 0 || put_variable(&v, "bootcount", "0", error) < 0)
                return -1;
        return put_variable(&v, "upgrade_available", "0", error);
}

static int get_masked_state(const BootContext *context, BootState *ret, Error *error)
{
        cleanup_buffer Buffer v = { 0 };

        (void) context;
        if (read_variables(&v, error) < 0)
                return -1;
        *ret = (BootState) { .counting = has_value(&v, "upgrade_available", "1"), .rolled_back = has_value(&v, "rollback", "1") };
        return 0;
}

/* A script that knows no upgrade_available counts every boot: the count has to go back to 0 behind each. */
static int get_generic_state(const BootContext *context, BootState *ret, Error *error)
{
        cleanup_buffer Buffer v = { 0 };

        (void) context;
        if (read_variables(&v, error) < 0)
                return -1;
        *ret = (BootState) {
                .counting = has_value(&v, "upgrade_available", "1") || !(has_value(&v, "bootcount", "0") || has_value(&v, "bootcount", "")),
                .rolled_back = has_value(&v, "rollback", "1"),
        };
        return 0;
}

const BootDriver boot_uboot_generic = {
        .name = "uboot-generic", .set_trial = set_trial, .set_good = set_good, .get_state = get_generic_state,
};
const BootDriver boot_uboot_masked = {
        .name = "uboot-masked", .set_trial = set_trial, .set_good = set_good, .get_state = get_masked_state,
};
