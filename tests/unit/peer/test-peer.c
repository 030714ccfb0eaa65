/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of a connection: the helper's in a forked child, started as systemd would with Accept=yes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/file.h"
#include "peer/peer.h"

#define OBJECT "/org/uptane/Test1"
#define INTERFACE "org.uptane.Test1"
#define cleanup_message __attribute__((cleanup(sd_bus_message_unrefp)))

typedef struct Fixture {
        char folder[32], path[64];
        sd_event *event;
        Peer *peer;
        pid_t child;
        /* what came back */
        Error error;
        char text[64];
        bool answered;
        unsigned n_progress;
        uint64_t done;
} Fixture;

/* ---- the helper ---- */

static int method_echo(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        const char *text;
        int r = sd_bus_message_read(m, "s", &text);

        return r < 0 ? r : sd_bus_reply_method_return(m, "s", text);
}

static int method_fail(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Error error = { 0 };
        const char *text;
        int r = sd_bus_message_read(m, "s", &text);

        if (r < 0)
                return r;
        (void) error_set(&error, ERR_ROLLBACK, "%s \xff\xc3; \xed\xa0\x80 gr\xc3\xbc\xc3\x9f", text);
        return peer_error_reply(&error, ret);
}

static int method_foreign(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        return sd_bus_error_set(ret, "com.example.Odd", "odd");
}

static int method_crash(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        _exit(9);
}

/* Writes to the passed descriptor. */
static int method_write(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        int fd, r = sd_bus_message_read(m, "h", &fd);

        if (r < 0)
                return r;
        return write(fd, "body", 4) == 4 ? sd_bus_reply_method_return(m, "s", "written") : -EIO;
}

static int method_progress(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        for (uint64_t i = 1; i <= 1000; i++)
                peer_progress(m, i, 1000);
        return sd_bus_reply_method_return(m, "s", "done");
}

/* Ends with status 7 when it notices that nobody is there any more. */
static int method_wait_gone(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        int *announce = userdata;

        if (peer_gone(m) || write(*announce, "x", 1) != 1)
                _exit(8);
        for (unsigned i = 0; i < 1000; i++) {
                if (peer_gone(m))
                        _exit(7);
                usleep(10000);
        }
        _exit(8);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Echo", "s", "s", method_echo, 0),
        SD_BUS_METHOD("Fail", "s", "", method_fail, 0),
        SD_BUS_METHOD("Foreign", "", "", method_foreign, 0),
        SD_BUS_METHOD("Crash", "", "", method_crash, 0),
        SD_BUS_METHOD("Write", "h", "s", method_write, 0),
        SD_BUS_METHOD("Progress", "", "s", method_progress, 0),
        SD_BUS_METHOD("WaitGone", "", "", method_wait_gone, 0),
        SD_BUS_VTABLE_END,
};

static void serve(int fd, int announce)
{
        Error error = { 0 };
        char pid[16];

        (void) snprintf(pid, sizeof pid, "%d", (int) getpid());
        if (dup2(fd, 3) < 0 || setenv("LISTEN_PID", pid, 1) < 0 || setenv("LISTEN_FDS", "1", 1) < 0)
                _exit(1);
        if (peer_serve(OBJECT, INTERFACE, vtable, &announce, &error) < 0) {
                (void) fprintf(stderr, "# helper: %s\n", error.message);
                _exit(2);
        }
        _exit(0);
}

/* ---- the daemon ---- */

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(listen(fd, 1), 0);
        return fd;
}

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Fixture *f = userdata;
        uint64_t total;

        assert_true(sd_bus_message_read(m, "tt", &f->done, &total) >= 0);
        assert_int_equal(total, 1000);
        f->n_progress++;
        return 0;
}

static void start(Fixture *f, int announce)
{
        cleanup_close int fd = -1;

        memset(f, 0, sizeof *f);
        strcpy(f->folder, "/tmp/test-peer-XXXXXX");
        assert_non_null(mkdtemp(f->folder));
        (void) snprintf(f->path, sizeof f->path, "%s/socket", f->folder);
        fd = listen_at(f->path);
        f->child = fork();
        assert_true(f->child >= 0);
        if (f->child == 0)
                serve(accept(fd, NULL, NULL), announce);
        assert_true(sd_event_new(&f->event) >= 0);
        assert_int_equal(peer_connect(f->event, f->path, &f->peer, &f->error), 0);
        assert_true(sd_bus_match_signal(peer_bus(f->peer), NULL, NULL, OBJECT, INTERFACE, "Progress", on_progress, f) >= 0);
}

static int finish(Fixture *f)
{
        int status;

        f->peer = peer_free(f->peer);
        sd_event_unref(f->event);
        assert_int_equal(waitpid(f->child, &status, 0), f->child);
        (void) unlink(f->path);
        (void) rmdir(f->folder);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Fixture *f = userdata;
        const char *text = "";

        f->answered = true;
        if (sd_bus_message_is_method_error(m, NULL))
                assert_int_equal(peer_error_from_message(m, &f->error), -1);
        else if (sd_bus_message_read(m, "s", &text) >= 0)
                (void) snprintf(f->text, sizeof f->text, "%s", text);
        return 0;
}

static void wait_answer(Fixture *f)
{
        while (!f->answered)
                assert_true(sd_event_run(f->event, 10000000) > 0);
        f->answered = false;
}

#define call(f, member, ...) \
        do { \
                assert_true(sd_bus_call_method_async(peer_bus((f)->peer), NULL, NULL, OBJECT, INTERFACE, member, on_reply, (f), __VA_ARGS__) >= 0); \
                wait_answer(f); \
        } while (0)

static void test_calls_are_answered_one_after_the_other(void **state)
{
        Fixture f;

        start(&f, -1);
        call(&f, "Echo", "s", "one");
        assert_string_equal(f.text, "one");
        call(&f, "Echo", "s", "two");
        assert_string_equal(f.text, "two");
        assert_int_equal(finish(&f), 0); /* closing is a good end */
}

static void test_errors_cross_by_name_and_stay_readable(void **state)
{
        Fixture f;

        start(&f, -1);
        call(&f, "Fail", "s", "version 3 < 7");
        assert_int_equal(f.error.code, ERR_ROLLBACK);
        assert_string_equal(f.error.message, "version 3 < 7 ??; ??? gr\xc3\xbc\xc3\x9f");
        assert_int_equal(finish(&f), 0);
}

static void test_foreign_error_is_the_helpers(void **state)
{
        Fixture f;

        start(&f, -1);
        call(&f, "Foreign", "");
        assert_int_equal(f.error.code, ERR_HELPER);
        assert_string_equal(f.error.message, "com.example.Odd: odd");
        error_clear(&f.error);
        call(&f, "NoSuchMethod", "");
        assert_int_equal(f.error.code, ERR_HELPER);
        assert_int_equal(finish(&f), 0);
}

static void test_dead_helper_is_a_lost_connection(void **state)
{
        Fixture f;

        start(&f, -1);
        call(&f, "Crash", "");
        assert_int_equal(f.error.code, ERR_HELPER);
        assert_string_equal(f.error.message, "connection lost");
        assert_int_equal(finish(&f), 9);
}

static void test_descriptors_cross(void **state)
{
        Fixture f;
        char body[8];
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        start(&f, -1);
        call(&f, "Write", "h", fds[1]);
        assert_string_equal(f.text, "written");
        assert_int_equal(read(fds[0], body, sizeof body), 4);
        assert_memory_equal(body, "body", 4);
        close(fds[0]);
        close(fds[1]);
        assert_int_equal(finish(&f), 0);
}

static void test_progress_is_rare_but_its_end_is_told(void **state)
{
        Fixture f;

        start(&f, -1);
        call(&f, "Progress", "");
        assert_int_equal(f.done, 1000);
        assert_in_range(f.n_progress, 2, 100);
        assert_int_equal(finish(&f), 0);
}

static void test_busy_helper_sees_that_the_other_side_has_gone(void **state)
{
        Fixture f;
        char c;
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        start(&f, fds[1]);
        assert_true(sd_bus_call_method_async(peer_bus(f.peer), NULL, NULL, OBJECT, INTERFACE, "WaitGone", on_reply, &f, "") >= 0);
        for (unsigned i = 0; i < 20; i++)
                assert_true(sd_event_run(f.event, 10000) >= 0);
        assert_int_equal(read(fds[0], &c, 1), 1);
        close(fds[0]);
        close(fds[1]);
        assert_int_equal(finish(&f), 7);
}

static void test_nobody_listening_is_said_at_once(void **state)
{
        CLEANUP(peer_free) Peer *peer = NULL;
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        Error error = { 0 };
        char path[200];

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(peer_connect(event, "/nonexistent/socket", &peer, &error), -1);
        assert_int_equal(error.code, ERR_HELPER);
        error_clear(&error);
        memset(path, 'x', sizeof path - 1);
        path[sizeof path - 1] = '\0';
        assert_int_equal(peer_connect(event, path, &peer, &error), -1);
        assert_int_equal(error.code, ERR_HELPER);
        assert_null(peer);
}

static void test_full_backlog_does_not_wait(void **state)
{
        Peer *peers[8] = { 0 };
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        char folder[] = "/tmp/test-peer-XXXXXX", path[64];
        cleanup_close int fd = -1;
        Error error = { 0 };

        assert_non_null(mkdtemp(folder));
        (void) snprintf(path, sizeof path, "%s/socket", folder);
        fd = listen_at(path);
        assert_true(sd_event_new(&event) >= 0);
        for (unsigned i = 0; i < ELEMENTSOF(peers); i++)
                if (peer_connect(event, path, &peers[i], &error) < 0)
                        break;
        assert_int_equal(error.code, ERR_HELPER);
        assert_int_equal(error.sys, EAGAIN);
        for (unsigned i = 0; i < ELEMENTSOF(peers); i++)
                peer_free(peers[i]);
        (void) unlink(path);
        (void) rmdir(folder);
}

static void test_serving_without_a_socket_is_refused(void **state)
{
        Error error = { 0 };

        unsetenv("LISTEN_FDS");
        assert_int_equal(peer_serve(OBJECT, INTERFACE, vtable, NULL, &error), -1);
        assert_int_equal(error.code, ERR_HELPER);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_calls_are_answered_one_after_the_other),
                cmocka_unit_test(test_errors_cross_by_name_and_stay_readable),
                cmocka_unit_test(test_foreign_error_is_the_helpers),
                cmocka_unit_test(test_dead_helper_is_a_lost_connection),
                cmocka_unit_test(test_descriptors_cross),
                cmocka_unit_test(test_progress_is_rare_but_its_end_is_told),
                cmocka_unit_test(test_busy_helper_sees_that_the_other_side_has_gone),
                cmocka_unit_test(test_nobody_listening_is_said_at_once),
                cmocka_unit_test(test_full_backlog_does_not_wait),
                cmocka_unit_test(test_serving_without_a_socket_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
