/* SPDX-License-Identifier: Apache-2.0 */
/* The variables boot scripts look at, in the order in which no power cut does harm. fw_printenv and fw_setenv are scripts. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/slice.h"
#include "boot/boot.h"
#include "io/file.h"

#define PRINTENV "#!/bin/sh\n[ ! -e \"$W/broken\" ] || exit 1\ncat \"$W/env\"\n"
/* Dies before the write with the number in $W/die. */
#define SETENV \
        "#!/bin/sh\necho \"$#:$1=$2\" >> \"$W/calls\"\n" \
        "[ ! -e \"$W/die\" ] || [ $(wc -l < \"$W/calls\") -lt $(cat \"$W/die\") ] || exit 9\n" \
        "grep -v \"^$1=\" \"$W/env\" > \"$W/env.new\"\necho \"$1=$2\" >> \"$W/env.new\"\nmv \"$W/env.new\" \"$W/env\"\n"

typedef struct World {
        char folder[64];
        char *path; /* $PATH before */
        Error error;
        BootState state;
} World;

static void put(const World *w, const char *name, const char *text)
{
        cleanup_free char *path = xasprintf("%s/%s", w->folder, name);
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0755), 0);
}

static void must_hold(const World *w, const char *name, const char *want)
{
        cleanup_free char *path = xasprintf("%s/%s", w->folder, name);
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };

        assert_true(file_read(path, 10000, &b, &error) >= 0);
        assert_string_equal(buffer_str(&b), want);
}

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);
        cleanup_free char *path = NULL;

        (void) snprintf(w->folder, sizeof w->folder, "/tmp/uptaned-uboot.XXXXXX");
        if (!mkdtemp(w->folder))
                return -1;
        w->path = xstrdup(getenv("PATH"));
        path = xasprintf("%s:%s", w->folder, w->path);
        put(w, "fw_printenv", PRINTENV);
        put(w, "fw_setenv", SETENV);
        *state = w;
        return setenv("W", w->folder, 1) || setenv("PATH", path, 1);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static int teardown(void **state)
{
        World *w = *state;
        int r = setenv("PATH", w->path, 1);

        (void) nftw(w->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(w->path);
        free(w);
        return r;
}

static const BootDriver *driver(const char *name)
{
        const BootDriver *d = boot_driver_find(name);

        assert_non_null(d);
        assert_string_equal(d->name, name);
        return d;
}

static const BootContext nowhere = { .entries = "/nonexistent", .first = "", .booted = "" };

static void must(World *w, int r)
{
        if (r < 0)
                fail_msg("%s", w->error.message);
}

static void a_trial_resets_the_count_before_the_fallback_is_taken_back(void **state)
{
        static const char *const names[] = { "uboot-generic", "uboot-masked" };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                put(w, "calls", "");
                put(w, "env", "arch=arm\nbootcount=3\nupgrade_available=0\nrollback=1\nbootcmd=run x; bootcount=7\n");
                must(w, driver(names[i])->set_trial(&nowhere, &w->error));
                must_hold(w, "calls", "2:bootcount=0\n2:upgrade_available=1\n2:rollback=0\n");
                must_hold(w, "env", "arch=arm\nbootcmd=run x; bootcount=7\nbootcount=0\nupgrade_available=1\nrollback=0\n");
        }
}

static void good_software_is_not_counted_any_more_and_the_fallback_stays(void **state)
{
        static const char *const names[] = { "uboot-generic", "uboot-masked" };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                put(w, "calls", "");
                put(w, "env", "bootcount=2\nupgrade_available=1\nrollback=1\n");
                must(w, driver(names[i])->set_good(&nowhere, &w->error));
                must_hold(w, "calls", "2:bootcount=0\n2:upgrade_available=0\n");
                must(w, driver(names[i])->get_state(&nowhere, &w->state, &w->error));
                assert_false(w->state.counting);
                assert_true(w->state.rolled_back);
        }
}

static void what_is_said_already_is_not_written_again(void **state)
{
        World *w = *state;

        put(w, "calls", "");
        put(w, "env", "bootcount=0\nupgrade_available=1\nrollback=0\n");
        must(w, driver("uboot-masked")->set_trial(&nowhere, &w->error));
        must_hold(w, "calls", "");
        put(w, "env", "bootcount=0\nupgrade_available=0\n");
        must(w, driver("uboot-generic")->set_good(&nowhere, &w->error));
        must_hold(w, "calls", "");
}

static void variables_that_are_not_there_yet_are_made(void **state)
{
        World *w = *state;

        put(w, "calls", "");
        put(w, "env", "");
        must(w, driver("uboot-generic")->get_state(&nowhere, &w->state, &w->error));
        assert_false(w->state.counting || w->state.rolled_back);
        must(w, driver("uboot-generic")->set_trial(&nowhere, &w->error));
        must_hold(w, "env", "bootcount=0\nupgrade_available=1\nrollback=0\n");
}

static void masked_boots_are_not_counted_generic_ones_are(void **state)
{
        static const struct {
                const char *env;
                bool generic, masked;
        } cases[] = {
                { "bootcount=1\nupgrade_available=0\n", true, false },
                { "bootcount=1\n", true, false },
                { "bootcount=0\n", false, false },
                { "upgrade_available=0\n", false, false },
                { "bootcount=0\nupgrade_available=1\n", true, true },
                { "bootcount=2\nupgrade_available=1\r\n", true, true },
                { "xbootcount=2\nbootcount2=3\nmyupgrade_available=1\n", false, false },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                put(w, "env", cases[i].env);
                must(w, driver("uboot-generic")->get_state(&nowhere, &w->state, &w->error));
                assert_int_equal(w->state.counting, cases[i].generic);
                must(w, driver("uboot-masked")->get_state(&nowhere, &w->state, &w->error));
                assert_int_equal(w->state.counting, cases[i].masked);
                assert_false(w->state.rolled_back);
        }
}

static void only_a_rollback_of_1_is_one(void **state)
{
        static const char *const no[] = { "rollback=0\n", "rollback=\n", "rollback=11\n", "norollback=1\n", "x=rollback=1\n", "" };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(no); i++) {
                put(w, "env", no[i]);
                must(w, driver("uboot-masked")->get_state(&nowhere, &w->state, &w->error));
                assert_false(w->state.rolled_back);
        }
        put(w, "env", "a=b\nrollback=1");
        must(w, driver("uboot-masked")->get_state(&nowhere, &w->state, &w->error));
        assert_true(w->state.rolled_back);
}

/* The script of such a vehicle: rollback boots the older one, a count ends in it, everything else boots the newer one unseen. */
static bool is_safe(const char *env)
{
        return strstr(env, "rollback=1") || strstr(env, "upgrade_available=1");
}

static void a_power_cut_between_two_writes_never_boots_what_failed_uncounted(void **state)
{
        World *w = *state;

        for (int die = 1; die <= 3; die++) {
                cleanup_free char *path = xasprintf("%s/env", w->folder), *number = xasprintf("%d", die);
                cleanup_buffer Buffer b = { 0 };

                put(w, "calls", "");
                put(w, "die", number);
                put(w, "env", "bootcount=3\nupgrade_available=0\nrollback=1\n");
                assert_int_equal(driver("uboot-masked")->set_trial(&nowhere, &w->error), -1);
                assert_int_equal(w->error.code, ERR_BOOT_LOADER);
                assert_non_null(strstr(w->error.message, "status 9"));
                error_clear(&w->error);
                assert_int_equal(file_read(path, 10000, &b, &w->error), 1);
                assert_true(is_safe(buffer_str(&b)));
        }
}

static void a_tool_that_cannot_read_is_an_error_and_no_answer(void **state)
{
        World *w = *state;

        put(w, "env", "");
        put(w, "broken", "");
        assert_int_equal(driver("uboot-generic")->get_state(&nowhere, &w->state, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
        error_clear(&w->error);
        assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
        assert_int_equal(driver("uboot-masked")->set_good(&nowhere, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
        assert_non_null(strstr(w->error.message, "fw_printenv"));
}

static void none_needs_no_tool(void **state)
{
        World *w = *state;

        assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
        must(w, driver("none")->set_trial(&nowhere, &w->error));
        must(w, driver("none")->set_good(&nowhere, &w->error));
        w->state = (BootState) { true, true };
        must(w, driver("none")->get_state(&nowhere, &w->state, &w->error));
        assert_false(w->state.counting || w->state.rolled_back);
        assert_null(boot_driver_find("grub"));
        assert_null(boot_driver_find(""));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_trial_resets_the_count_before_the_fallback_is_taken_back),
                TEST(good_software_is_not_counted_any_more_and_the_fallback_stays),
                TEST(what_is_said_already_is_not_written_again),
                TEST(variables_that_are_not_there_yet_are_made),
                TEST(masked_boots_are_not_counted_generic_ones_are),
                TEST(only_a_rollback_of_1_is_one),
                TEST(a_power_cut_between_two_writes_never_boots_what_failed_uncounted),
                TEST(a_tool_that_cannot_read_is_an_error_and_no_answer),
                TEST(none_needs_no_tool),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
