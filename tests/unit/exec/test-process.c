/* SPDX-License-Identifier: Apache-2.0 */
/* A program is run to its end and never beyond it: what it gets, what is taken from it, and that nothing of it is left. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "exec/process.h"
#include "io/file.h"

#define OUTPUT_MAX ((size_t) 1000)

typedef struct World {
        ExecProcess process;
        Buffer output;
        int code;
        Error error;
} World;

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        w->process = (ExecProcess) { .image_fd = -1, .seconds = 20, .output_max = OUTPUT_MAX, .messages_max = 100, .cancel_fd = -1 };
        *state = w;
        return 0;
}

/* Whatever the test was about: no child may be left. */
static int teardown(void **state)
{
        World *w = *state;
        bool alone = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;

        buffer_done(&w->output);
        free(w);
        return alone ? 0 : -1;
}

static int run(World *w, const char *script)
{
        static const char *const environment[] = { "PATH=/usr/bin:/bin", "WORDS=a b;$(false)", NULL };
        const char *const argv[] = { "/bin/sh", "-c", script, "name", "it's; $(not) a `shell`", NULL };
        ExecProcess process = w->process;

        process.argv = argv;
        process.environment = environment;
        w->code = -1;
        error_clear(&w->error);
        buffer_done(&w->output);
        return exec_process_run(&process, &w->output, &w->code, &w->error);
}

static void must_run(World *w, const char *script, const char *output)
{
        if (run(w, script) < 0)
                fail_msg("%s", w->error.message);
        assert_string_equal(buffer_str(&w->output), output);
}

static void must_fail(World *w, const char *script, ErrorCode code, const char *text)
{
        if (run(w, script) == 0)
                fail_msg("it ended well: %s", script);
        assert_int_equal(w->error.code, code);
        if (!strstr(w->error.message, text))
                fail_msg("'%s' does not say '%s'", w->error.message, text);
        assert_int_equal(w->output.size, 0);
}

static int64_t seconds_now(void)
{
        struct timespec t;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
        return t.tv_sec;
}

static void its_output_and_its_exit_code_come_back(void **state)
{
        World *w = *state;

        must_run(w, "echo one; echo two", "one\ntwo\n");
        assert_int_equal(w->code, 0);
        must_run(w, "printf three; exit 65", "three");
        assert_int_equal(w->code, 65);
        must_run(w, "exit 255", "");
        assert_int_equal(w->code, 255);
}

static void it_gets_its_arguments_and_environment_as_they_are_and_nothing_else(void **state)
{
        World *w = *state;

        assert_int_equal(setenv("OUR_OWN", "secret", 1), 0);
        must_run(w, "printf '%s|%s|%s|' \"$1\" \"$WORDS\" \"${OUR_OWN-none}\"; pwd; read x || echo end",
                 "it's; $(not) a `shell`|a b;$(false)|none|/\nend\n");
}

static void it_gets_no_descriptor_but_the_image(void **state)
{
        World *w = *state;
        cleanup_close int image = memfd_create("image", MFD_CLOEXEC), other = open("/dev/null", O_RDONLY); /* an inheritable one */

        assert_true(image >= 0 && other >= 0);
        assert_int_equal(write(image, "bytes", 5), 5);
        assert_int_equal(lseek(image, 0, SEEK_SET), 0);
        must_run(w, "for i in 3 4 5 6 7 8 9 10 11 12; do [ ! -e /proc/$$/fd/$i ] || echo $i; done; true", "");
        w->process.image_fd = image;
        must_run(w, "for i in 4 5 6 7 8 9 11 12; do [ ! -e /proc/$$/fd/$i ] || echo $i; done; cat /proc/self/fd/3; cat <&3", "bytesbytes");
}

static void it_has_a_session_and_the_usual_signals(void **state)
{
        World *w = *state;

        (void) signal(SIGPIPE, SIG_IGN);
        must_run(w, "[ \"$(cut -d' ' -f6 /proc/$$/stat)\" = $$ ] && echo leader; grep -c 'SigIgn.*0000000$' /proc/$$/status",
                 "leader\n1\n"); /* beyond those are two of the C library's own */
        (void) signal(SIGPIPE, SIG_DFL);
}

static void one_that_cannot_be_started_is_named(void **state)
{
        const char *const argv[] = { "/nonexistent/program", NULL }, *const environment[] = { NULL };
        World *w = *state;
        ExecProcess process = w->process;

        process.argv = argv;
        process.environment = environment;
        assert_int_equal(exec_process_run(&process, &w->output, &w->code, &w->error), -1);
        assert_int_equal(w->error.code, ERR_HANDLER);
        assert_non_null(strstr(w->error.message, "/nonexistent/program"));
}

static void one_that_is_killed_says_by_what(void **state)
{
        must_fail(*state, "kill -SEGV $$", ERR_HANDLER, "signal 11");
}

static void one_that_floods_is_stopped(void **state)
{
        World *w = *state;
        int64_t begin = seconds_now();

        must_fail(w, "while :; do echo flood; done", ERR_HANDLER, "more than 1000 bytes");
        assert_true(seconds_now() - begin < 10);
        must_run(w, "head -c 1000 /dev/zero | tr '\\0' x | wc -c", "1000\n");
}

static void a_flood_of_messages_is_dropped_and_does_no_harm(void **state)
{
        must_run(*state, "head -c 300000 /dev/zero | tr '\\0' x >&2; echo done", "done\n");
}

static void one_that_hangs_is_killed_at_its_time(void **state)
{
        World *w = *state;
        int64_t begin = seconds_now();

        w->process.seconds = 1;
        must_fail(w, "trap '' TERM; while :; do sleep 1; done", ERR_HANDLER, "within 1 s");
        assert_true(seconds_now() - begin < 10);
}

static void one_that_is_asked_to_end_may_clean_up(void **state)
{
        World *w = *state;
        char path[] = "/tmp/uptaned-process.XXXXXX";
        cleanup_close int fd = mkstemp(path);
        cleanup_free char *script = xasprintf("trap 'rm %s; exit 0' TERM; while :; do sleep 0.05; done", path);

        assert_true(fd >= 0);
        w->process.seconds = 1;
        must_fail(w, script, ERR_HANDLER, "within 1 s");
        assert_int_equal(access(path, F_OK), -1);
}

/* The shell writes the number of a program that has left its session; it must be gone. */
static void whoever_left_its_session_ends_with_it(void **state)
{
        World *w = *state;
        int pid;

        for (int i = 0; i < 2; i++) {
                w->process.seconds = 2;
                if (i == 0)
                        assert_int_equal(run(w, "setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.2"), 0);
                else
                        must_run(w, "setsid sh -c 'setsid sleep 1000 & sleep 1000' & sleep 0.2; echo 1", "1\n");
                if (i == 0) {
                        assert_int_equal(sscanf(buffer_str(&w->output), "%d", &pid), 1);
                        assert_int_equal(kill(pid, 0), -1);
                        assert_int_equal(errno, ESRCH);
                }
        }
}

static void it_is_stopped_when_nobody_waits_for_it(void **state)
{
        World *w = *state;
        int sockets[2];
        int64_t begin = seconds_now();

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
        w->process.cancel_fd = sockets[0];
        must_run(w, "echo fine", "fine\n");
        assert_int_equal(close(sockets[1]), 0);
        must_fail(w, "sleep 1000", ERR_CANCELLED, "nobody");
        assert_int_equal(close(sockets[0]), 0);
        assert_true(seconds_now() - begin < 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(its_output_and_its_exit_code_come_back),
                TEST(it_gets_its_arguments_and_environment_as_they_are_and_nothing_else),
                TEST(it_gets_no_descriptor_but_the_image),
                TEST(it_has_a_session_and_the_usual_signals),
                TEST(one_that_cannot_be_started_is_named),
                TEST(one_that_is_killed_says_by_what),
                TEST(one_that_floods_is_stopped),
                TEST(a_flood_of_messages_is_dropped_and_does_no_harm),
                TEST(one_that_hangs_is_killed_at_its_time),
                TEST(one_that_is_asked_to_end_may_clean_up),
                TEST(whoever_left_its_session_ends_with_it),
                TEST(it_is_stopped_when_nobody_waits_for_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
