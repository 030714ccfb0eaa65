/* SPDX-License-Identifier: Apache-2.0 */
/* Which programs may be handlers (T-59), what they are told, and what their end means. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "exec/handler.h"

typedef struct World {
        char folder[64];
        char *folders[2]; /* the one for handlers, and the end of the list */
        char *path;
        Arena *arena;
        ExecHandler handler;
        ExecAnswer answer;
        Error error;
} World;

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        strcpy(w->folder, "/tmp/uptaned-handler.XXXXXX");
        if (!mkdtemp(w->folder))
                return -1;
        w->folders[0] = xasprintf("%s/handlers", w->folder);
        w->path = xasprintf("%s/flash", w->folders[0]);
        w->arena = arena_new();
        w->handler = (ExecHandler) { .path = w->path, .folders = (const char *const *) w->folders, .seconds = 20, .cancel_fd = -1 };
        *state = w;
        return mkdir(w->folders[0], 0755);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static int teardown(void **state)
{
        World *w = *state;

        (void) nftw(w->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(w->folders[0]);
        free(w->path);
        arena_free(w->arena);
        free(w);
        return 0;
}

static void write_handler(World *w, const char *text)
{
        FILE *f = fopen(w->path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(w->path, 0755), 0);
}

static void must_pass(World *w)
{
        error_clear(&w->error);
        if (exec_handler_check(w->path, w->handler.folders, &w->error) < 0)
                fail_msg("%s", w->error.message);
}

static void must_refuse(World *w, const char *path, const char *text)
{
        error_clear(&w->error);
        if (exec_handler_check(path, w->handler.folders, &w->error) == 0)
                fail_msg("%s passed", path);
        assert_int_equal(w->error.code, ERR_HANDLER);
        if (!strstr(w->error.message, text))
                fail_msg("'%s' does not say '%s'", w->error.message, text);
}

static int run(World *w, ExecAction action)
{
        error_clear(&w->error);
        return exec_handler_run(&w->handler, action, -1, w->arena, &w->answer, &w->error);
}

static void must_run(World *w, ExecAction action, ExecStatus status, const char *message)
{
        if (run(w, action) < 0)
                fail_msg("%s", w->error.message);
        assert_int_equal(w->answer.status, status);
        assert_string_equal(w->answer.message, message);
}

static void must_fail(World *w, ExecAction action, ErrorCode code, const char *text)
{
        assert_int_equal(run(w, action), -1);
        assert_int_equal(w->error.code, code);
        if (!strstr(w->error.message, text))
                fail_msg("'%s' does not say '%s'", w->error.message, text);
}

/* T-59 */
static void t59_a_handler_that_others_can_write_is_refused(void **state)
{
        World *w = *state;

        write_handler(w, "#!/bin/sh\n");
        must_pass(w);
        assert_int_equal(chmod(w->path, 0757), 0);
        must_refuse(w, w->path, "can be written by others");
        must_fail(w, EXEC_INSTALL, ERR_HANDLER, "can be written by others"); /* nor run */
        assert_int_equal(chmod(w->path, 0775), 0);
        must_refuse(w, w->path, "can be written by others");
        assert_int_equal(chmod(w->path, 0700), 0);
        must_pass(w);
}

/* T-59 */
static void t59_a_handler_in_a_folder_that_others_can_write_is_refused(void **state)
{
        World *w = *state;

        write_handler(w, "#!/bin/sh\n");
        assert_int_equal(chmod(w->folders[0], 0777), 0);
        must_refuse(w, w->path, "can be written by others");
        assert_int_equal(chmod(w->folders[0], 01777), 0);
        must_refuse(w, w->path, "can be written by others");
        assert_int_equal(chmod(w->folders[0], 0755), 0);
        assert_int_equal(chmod(w->folder, 0777), 0); /* further up it could be moved away */
        must_refuse(w, w->path, "can be written by others");
        assert_int_equal(chmod(w->folder, 01777), 0); /* there it cannot, as /tmp shows */
        must_pass(w);
}

/* T-59 */
static void t59_a_handler_of_somebody_else_is_refused(void **state)
{
        World *w = *state;

        if (geteuid() != 0)
                skip();
        write_handler(w, "#!/bin/sh\n");
        assert_int_equal(chown(w->path, 4711, 0), 0);
        must_refuse(w, w->path, "belongs to user 4711");
        assert_int_equal(chown(w->path, 0, 4711), 0);
        must_pass(w);
        assert_int_equal(chown(w->folders[0], 4711, 0), 0);
        must_refuse(w, w->path, "belongs to user 4711");
}

/* T-59 */
static void t59_links_detours_and_other_folders_are_refused(void **state)
{
        World *w = *state;
        cleanup_free char *link = xasprintf("%s/link", w->folders[0]), *outside = xasprintf("%s/outside", w->folder);
        cleanup_free char *dots = xasprintf("%s/../outside", w->folders[0]), *twice = xasprintf("%s//flash", w->folders[0]);
        cleanup_free char *missing = xasprintf("%s/missing", w->folders[0]), *through = xasprintf("%s/through/flash", w->folders[0]);
        cleanup_free char *way = xasprintf("%s/through", w->folders[0]), *near = xasprintf("%s-other/flash", w->folders[0]);

        write_handler(w, "#!/bin/sh\n");
        assert_int_equal(symlink(w->path, link), 0);
        assert_int_equal(symlink(w->folders[0], way), 0);
        assert_int_equal(rename(w->path, outside), 0);
        must_refuse(w, outside, "not in a folder for handlers");
        assert_int_equal(rename(outside, w->path), 0);
        must_refuse(w, link, "links are not followed");
        must_refuse(w, through, "links are not followed");
        must_refuse(w, dots, "no plain absolute path");
        must_refuse(w, twice, "no plain absolute path");
        must_refuse(w, missing, "No such file");
        must_refuse(w, near, "not in a folder for handlers");
        must_refuse(w, "/bin/sh", "not in a folder for handlers");
        must_refuse(w, "flash", "not in a folder for handlers");
        must_refuse(w, "", "not in a folder for handlers");
        must_refuse(w, w->folders[0], "not in a folder for handlers");
        must_pass(w);
}

/* T-59 */
static void t59_what_it_is_told_is_text_and_never_a_command(void **state)
{
        World *w = *state;
        cleanup_free char *mark = xasprintf("%s/mark", w->folder), *words = xasprintf("x';$(touch %s)`touch %s`\n| touch %s", mark, mark, mark);

        write_handler(w, "#!/bin/sh\n[ \"$#\" = 1 ] && [ \"$UPTANE_ECU_SERIAL\" = \"$UPTANE_OPTION\" ] && [ ${#UPTANE_OPTION} -gt 20 ] || exit 1\n"
                         "printf '{\"status\":\"ok\",\"message\":\"%s %s\"}' \"$1\" \"$UPTANE_ACTION\"\n");
        assert_int_equal(exec_handler_add(&w->handler, "ECU_SERIAL", words, &w->error), 0);
        assert_int_equal(exec_handler_add(&w->handler, "OPTION", words, &w->error), 0);
        must_run(w, EXEC_INSTALL, EXEC_OK, "install install");
        must_run(w, EXEC_ROLLBACK, EXEC_OK, "rollback rollback");
        assert_int_equal(access(mark, F_OK), -1);
}

static void facts_are_named_so_that_they_can_be_nothing_else(void **state)
{
        static const char *const bad[] = { "", "a", "A=B", "A-B", "LD PRELOAD", "AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDE" };
        World *w = *state;
        cleanup_free char *big = xcalloc(EXEC_FACT_VALUE_MAX + 2, 1);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                error_clear(&w->error);
                assert_int_equal(exec_handler_add(&w->handler, bad[i], "", &w->error), -1);
                assert_int_equal(w->error.code, ERR_INVALID_ARGUMENT);
        }
        memset(big, 'x', EXEC_FACT_VALUE_MAX + 1);
        error_clear(&w->error);
        assert_int_equal(exec_handler_add(&w->handler, "BIG", big, &w->error), -1);
        big[EXEC_FACT_VALUE_MAX] = '\0';
        error_clear(&w->error);
        for (int i = 0; i < EXEC_FACTS_MAX; i++)
                assert_int_equal(exec_handler_add(&w->handler, "BIG", big, &w->error), 0);
        assert_int_equal(exec_handler_add(&w->handler, "MORE", "", &w->error), -1);
        write_handler(w, "#!/bin/sh\n[ ${#UPTANE_BIG} = 4096 ] && echo '{\"status\":\"ok\"}'\n");
        must_run(w, EXEC_INSTALL, EXEC_OK, "");
}

static void the_environment_is_ours_and_nothing_else(void **state)
{
        World *w = *state;

        assert_int_equal(setenv("SECRET", "yes", 1), 0);
        assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/x", 1), 0);
        write_handler(w, "#!/bin/sh\nprintf '{\"status\":\"ok\",\"message\":\"'; env | grep -v -e ^PWD= -e ^_= -e ^PATH= -e ^SHLVL= -e ^OLDPWD= | sort | tr '\\n' ' '\n"
                         "printf '\"}'\n");
        must_run(w, EXEC_COMPLETE_INSTALL, EXEC_OK,
                 "LANG=C.UTF-8 STATE_DIRECTORY=/var/lib/x UPTANE_ACTION=complete-install UPTANE_INTERFACE=1 UPTANE_TIMEOUT=20 ");
        assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
}

static void what_its_end_means(void **state)
{
        static const struct {
                const char *script;
                ErrorCode code;
                const char *text;
        } bad[] = {
                { "echo '{\"status\":\"failed\",\"message\":\"no device\"}'", ERR_INSTALL, "flash install: no device (exit code 0)" },
                { "echo '{\"status\":\"failed\",\"message\":\"no device\"}'; exit 3", ERR_INSTALL, "flash install: no device (exit code 3)" },
                { "echo '{\"status\":\"ok\"}'; exit 1", ERR_INSTALL, "flash install failed (exit code 1)" },
                { "echo nonsense; exit 1", ERR_INSTALL, "flash install failed (exit code 1)" },
                { "echo nonsense", ERR_HANDLER, "its answer" },
                { "true", ERR_HANDLER, "its answer" },
                { "kill -KILL $$", ERR_HANDLER, "signal 9" },
                { "head -c 70000 /dev/zero", ERR_HANDLER, "more than 65536 bytes" },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cleanup_free char *text = xasprintf("#!/bin/sh\n%s\n", bad[i].script);

                write_handler(w, text);
                must_fail(w, EXEC_INSTALL, bad[i].code, bad[i].text);
                must_fail(w, EXEC_GET_FIRMWARE_INFO, ERR_HANDLER, "");
        }
        write_handler(w, "#!/bin/sh\necho ignored; exit 65\n");
        for (unsigned action = 0; action < _EXEC_ACTION_MAX; action++)
                must_run(w, (ExecAction) action, EXEC_NOT_HANDLED, "");
        write_handler(w, "echo '{\"status\":\"ok\"}'\n"); /* no shell is tried where the kernel finds no program */
        must_fail(w, EXEC_INSTALL, ERR_HANDLER, "cannot be started");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(t59_a_handler_that_others_can_write_is_refused),
                TEST(t59_a_handler_in_a_folder_that_others_can_write_is_refused),
                TEST(t59_a_handler_of_somebody_else_is_refused),
                TEST(t59_links_detours_and_other_folders_are_refused),
                TEST(t59_what_it_is_told_is_text_and_never_a_command),
                TEST(facts_are_named_so_that_they_can_be_nothing_else),
                TEST(the_environment_is_ours_and_nothing_else),
                TEST(what_its_end_means),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
