/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs: their output and status come back, and nothing of them outlives its time. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/program.h"

static int run(const char *script, unsigned seconds, Buffer *ret, Error *error)
{
        const char *const argv[] = { "sh", "-c", script, NULL };

        return program_run(argv, seconds, ret, error);
}

static void output_and_status_come_back(void **state)
{
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };

        assert_int_equal(run("echo one; echo two; exit 7", 10, &b, &error), 7);
        assert_string_equal(buffer_str(&b), "one\ntwo\n");
        buffer_done(&b);
        assert_int_equal(run("cat; kill -TERM $$", 10, &b, &error), 128 + SIGTERM); /* nothing to read */
        assert_int_equal(b.size, 0);
}

static void arguments_are_handed_over_as_they_are(void **state)
{
        static const char *const argv[] = { "printf", "%s.", "a b", "$HOME;*", "", NULL };
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };

        assert_int_equal(program_run(argv, 10, &b, &error), 0);
        assert_string_equal(buffer_str(&b), "a b.$HOME;*..");
}

static void more_output_than_wanted_is_dropped_and_does_not_block(void **state)
{
        cleanup_buffer Buffer b = { .limit = 5000 };
        Error error = { 0 };

        assert_int_equal(run("head -c 1000000 /dev/zero | tr '\\0' x", 20, &b, &error), 0);
        assert_int_equal(b.size, 5000);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
        static const char *const argv[] = { "/nonexistent/program", NULL }, *const folder[] = { "/tmp", NULL };
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };

        assert_int_equal(program_run(argv, 10, &b, &error), -1);
        assert_int_equal(error.code, ERR_NOT_FOUND);
        error_clear(&error);
        assert_int_equal(program_run(folder, 10, &b, &error), -1);
        assert_int_equal(error.code, ERR_SYSTEM);
}

/* The process whose number stands in b is gone, or soon will be. */
static void must_die(Buffer *b)
{
        pid_t pid = (pid_t) strtol(buffer_str(b), NULL, 10);

        assert_true(pid > 1);
        for (int i = 0; kill(pid, 0) == 0; i++) {
                cleanup_free char *path = xasprintf("/proc/%d/stat", pid);
                char line[256] = "", *end;
                FILE *f = fopen(path, "re");

                if (!f)
                        return;
                (void) !fgets(line, sizeof line, f);
                (void) fclose(f);
                end = strrchr(line, ')');
                if (end && end[1] && end[2] == 'Z')
                        return; /* dead, and nobody's business here */
                assert_true(i < 1000);
                (void) usleep(10000);
        }
}

static void a_program_that_does_not_end_is_killed_with_all_it_started(void **state)
{
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };
        time_t before = time(NULL);

        assert_int_equal(run("sleep 1000 & echo $!; trap '' TERM; wait; sleep 1000", 1, &b, &error), -1);
        assert_int_equal(error.code, ERR_TIMEOUT);
        assert_true(time(NULL) - before < 30);
        must_die(&b);
}

static void what_a_program_leaves_behind_is_killed_and_not_waited_for(void **state)
{
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };
        time_t before = time(NULL);

        assert_int_equal(run("sleep 1000 & echo $!", 500, &b, &error), 0);
        assert_true(time(NULL) - before < 100);
        must_die(&b);
}

static void signals_ignored_here_are_not_ignored_there(void **state)
{
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };
        void (*old)(int) = signal(SIGPIPE, SIG_IGN);

        assert_int_equal(run("kill -PIPE $$; exit 3", 10, &b, &error), 128 + SIGPIPE);
        (void) signal(SIGPIPE, old);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(output_and_status_come_back),
                cmocka_unit_test(arguments_are_handed_over_as_they_are),
                cmocka_unit_test(more_output_than_wanted_is_dropped_and_does_not_block),
                cmocka_unit_test(a_program_that_is_not_there_is_an_error),
                cmocka_unit_test(a_program_that_does_not_end_is_killed_with_all_it_started),
                cmocka_unit_test(what_a_program_leaves_behind_is_killed_and_not_waited_for),
                cmocka_unit_test(signals_ignored_here_are_not_ignored_there),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
