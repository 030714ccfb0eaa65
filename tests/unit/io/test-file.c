/* SPDX-License-Identifier: Apache-2.0 */
/* Files are read whole within a limit, and a death while one is written leaves the old one or the new one. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "io/file.h"

#define BIG ((size_t) 100000)

typedef struct World {
        char folder[64];
        char *path;
        Error error;
} World;

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        strcpy(w->folder, "/tmp/uptaned-file.XXXXXX");
        if (!mkdtemp(w->folder))
                return -1;
        w->path = xasprintf("%s/file", w->folder);
        *state = w;
        return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static int teardown(void **state)
{
        World *w = *state;

        (void) nftw(w->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(w->path);
        free(w);
        return 0;
}

static void must_write(World *w, const char *text, unsigned mode)
{
        if (file_write(w->path, slice_str(text), mode, &w->error) < 0)
                fail_msg("%s", w->error.message);
}

static void must_hold(World *w, const char *text)
{
        cleanup_buffer Buffer b = { 0 };

        assert_int_equal(file_read(w->path, BIG, &b, &w->error), 1);
        assert_string_equal(buffer_str(&b), text);
}

static void what_is_written_is_read_back_and_nothing_is_left_beside_it(void **state)
{
        World *w = *state;
        cleanup_free char *new = xasprintf("%s.new", w->path);

        must_write(w, "first", 0600);
        must_hold(w, "first");
        must_write(w, "2", 0600);
        must_hold(w, "2");
        must_write(w, "", 0600);
        must_hold(w, "");
        assert_int_equal(access(new, F_OK), -1);
}

static void a_file_gets_the_mode_it_was_given(void **state)
{
        World *w = *state;
        struct stat st;

        must_write(w, "secret", 0600);
        assert_int_equal(stat(w->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_missing_file_is_no_error(void **state)
{
        World *w = *state;
        cleanup_buffer Buffer b = { 0 };

        assert_int_equal(file_read(w->path, BIG, &b, &w->error), 0);
        assert_int_equal(w->error.code, ERR_NONE);
        assert_int_equal(b.size, 0);
}

static void reading_stops_at_the_limit_and_takes_all_up_to_it(void **state)
{
        World *w = *state;
        cleanup_buffer Buffer b = { 0 }, endless = { 0 };

        must_write(w, "12345", 0600);
        assert_int_equal(file_read(w->path, 4, &b, &w->error), -1);
        assert_int_equal(w->error.code, ERR_TOO_LARGE);
        assert_int_equal(b.size, 0);
        error_clear(&w->error);
        assert_int_equal(file_read(w->path, 5, &b, &w->error), 1);
        assert_string_equal(buffer_str(&b), "12345");
        assert_int_equal(file_read("/dev/zero", BIG, &endless, &w->error), -1);
        assert_int_equal(w->error.code, ERR_TOO_LARGE);
}

static void what_is_read_is_appended(void **state)
{
        World *w = *state;
        cleanup_buffer Buffer b = { 0 };

        must_write(w, "tail", 0600);
        buffer_put_str(&b, "head ");
        assert_int_equal(file_read(w->path, BIG, &b, &w->error), 1);
        assert_string_equal(buffer_str(&b), "head tail");
}

static void what_is_no_file_is_refused_by_name(void **state)
{
        World *w = *state;
        cleanup_buffer Buffer b = { 0 };
        cleanup_free char *nowhere = xasprintf("%s/no/file", w->folder);

        assert_int_equal(file_read(w->folder, BIG, &b, &w->error), -1);
        assert_int_equal(w->error.code, ERR_STORAGE);
        assert_non_null(strstr(w->error.message, w->folder));
        error_clear(&w->error);
        assert_int_equal(file_write(nowhere, slice_str("x"), 0600, &w->error), -1);
        assert_int_equal(w->error.code, ERR_STORAGE);
}

/* Somebody's link in the place of the new file would have us write into what it points to. */
static void a_link_in_the_place_of_the_new_file_is_not_followed(void **state)
{
        World *w = *state;
        cleanup_free char *new = xasprintf("%s.new", w->path), *victim = xasprintf("%s/victim", w->folder);

        assert_int_equal(symlink(victim, new), 0);
        assert_int_equal(file_write(w->path, slice_str("x"), 0600, &w->error), -1);
        assert_int_equal(w->error.code, ERR_STORAGE);
        assert_int_equal(access(victim, F_OK), -1);
}

static void a_full_disk_is_told_apart(void **state)
{
        World *w = *state;
        cleanup_close int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                skip();
        assert_int_equal(file_write_all(fd, slice_str("x"), &w->error), -1);
        assert_int_equal(w->error.code, ERR_NO_SPACE);
}

static void __attribute__((noreturn)) write_for_ever(World *w)
{
        static char text[BIG];

        for (unsigned i = 0;; i++) {
                Error error = { 0 };

                memset(text, 'a' + i % 26, sizeof text);
                if (file_write(w->path, slice(text, sizeof text), 0600, &error) < 0)
                        _exit(1);
        }
}

static void a_writer_killed_at_any_moment_leaves_a_whole_file(void **state)
{
        World *w = *state;
        unsigned changed = 0;
        uint8_t last = 0;

        must_write(w, "first", 0600);
        for (unsigned i = 0; i < 15; i++) {
                cleanup_buffer Buffer b = { 0 };
                pid_t pid = fork();

                if (pid == 0)
                        write_for_ever(w);
                assert_true(pid > 0);
                usleep(2000 + i * 1700); /* the moment is what is varied */
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                assert_int_equal(file_read(w->path, BIG, &b, &w->error), 1);
                assert_true(b.size == BIG || b.size == 5);
                for (size_t n = 1; b.size == BIG && n < b.size; n++)
                        assert_int_equal(b.data[n], b.data[0]);
                changed += b.data[0] != last;
                last = b.data[0];
        }
        assert_true(changed > 1); /* or nothing was ever written, and this test shows nothing */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* T-58 */
static void a_file_that_others_may_read_is_made_private(void **state)
{
        World *w = *state;
        struct stat st;

        assert_int_equal(file_make_private(w->path, &w->error), 0); /* it is not there */
        assert_int_equal(file_write(w->path, slice("key", 3), 0600, &w->error), 0);
        assert_int_equal(chmod(w->path, 0666), 0);
        assert_int_equal(file_make_private(w->path, &w->error), 0);
        assert_int_equal(stat(w->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(chmod(w->folder, 0755), 0);
        assert_int_equal(file_make_private(w->folder, &w->error), 0);
        assert_int_equal(stat(w->folder, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(what_is_written_is_read_back_and_nothing_is_left_beside_it),
                TEST(a_file_gets_the_mode_it_was_given),
                TEST(a_missing_file_is_no_error),
                TEST(reading_stops_at_the_limit_and_takes_all_up_to_it),
                TEST(what_is_read_is_appended),
                TEST(what_is_no_file_is_refused_by_name),
                TEST(a_link_in_the_place_of_the_new_file_is_not_followed),
                TEST(a_full_disk_is_told_apart),
                TEST(a_writer_killed_at_any_moment_leaves_a_whole_file),
                TEST(a_file_that_others_may_read_is_made_private),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
