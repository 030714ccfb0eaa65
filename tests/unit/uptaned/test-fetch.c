/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's side of a transfer holds its limits against a helper that does not: a forked child that behaves as told. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "peer/peer.h"
#include "uptaned/fetch.h"

#define URL "https://ota.example.com/director/timestamp.json"

/* What the helper does with a Get: so many bytes at once, so many times, with a pause before each; then it answers. */
typedef struct Behaviour {
        size_t piece;
        unsigned times;
        unsigned pause_ms;
        bool hangs; /* in the place of an answer */
        bool goes_on; /* behind the answer, for ever */
} Behaviour;

typedef struct World {
        char folder[32], path[64];
        sd_event *event;
        pid_t child;
        Fetch *fetch;
        /* what came back */
        bool done;
        Error error;
        size_t size;
        uint64_t max, max_speed; /* to be asked for */
} World;

/* ---- the helper ---- */

static int method_get(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        const Behaviour *b = userdata;
        uint8_t bytes[4096] = { 0 };
        const char *url;
        int authenticate, sink, r;
        uint64_t offset, max;

        r = sd_bus_message_read(m, "sbtth", &url, &authenticate, &offset, &max, &sink);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < b->times; i++) {
                usleep(b->pause_ms * 1000);
                if (write(sink, bytes, b->piece) < 0)
                        _exit(3);
        }
        if (b->hangs)
                for (;;)
                        pause();
        if (b->goes_on) {
                if (sd_bus_reply_method_return(m, "ut", UINT32_C(200), offset) < 0 || sd_bus_flush(sd_bus_message_get_bus(m)) < 0)
                        _exit(5);
                while (write(sink, bytes, sizeof bytes) > 0)
                        ;
                _exit(0);
        }
        if (dup2(STDIN_FILENO, sink) < 0) /* the pipe ends before the answer */
                _exit(4);
        return sd_bus_reply_method_return(m, "ut", UINT32_C(200), offset);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Get", "sbtth", "ut", method_get, 0),
        SD_BUS_VTABLE_END,
};

static void serve(int fd, const Behaviour *b)
{
        Error error = { 0 };
        char pid[16];

        (void) signal(SIGPIPE, SIG_IGN);
        (void) snprintf(pid, sizeof pid, "%d", (int) getpid());
        if (dup2(fd, 3) < 0 || setenv("LISTEN_PID", pid, 1) < 0 || setenv("LISTEN_FDS", "1", 1) < 0)
                _exit(1);
        _exit(peer_serve("/org/uptane/Fetch1", "org.uptane.Fetch1", vtable, (void *) b, &error) < 0 ? 2 : 0);
}

/* ---- the daemon ---- */

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        strcpy(w->folder, "/tmp/uptaned-fetch.XXXXXX");
        if (!mkdtemp(w->folder))
                return -1;
        (void) snprintf(w->path, sizeof w->path, "%s/socket", w->folder);
        *state = w;
        return sd_event_new(&w->event) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
        World *w = *state;

        w->fetch = fetch_free(w->fetch);
        if (w->child > 0) {
                (void) kill(w->child, SIGKILL);
                (void) waitpid(w->child, NULL, 0);
        }
        sd_event_unref(w->event);
        (void) unlink(w->path);
        (void) rmdir(w->folder);
        free(w);
        return 0;
}

static void start_helper(World *w, const Behaviour *b)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s", w->path);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(listen(fd, 1), 0);
        w->child = fork();
        assert_true(w->child >= 0);
        if (w->child == 0)
                serve(accept(fd, NULL, NULL), b);
        close(fd);
}

static void on_done(void *userdata, const FetchAnswer *answer, Error *error)
{
        World *w = userdata;

        w->done = true;
        w->error = *error;
        w->size = answer ? answer->body.size : 0;
}

/* seconds: deadline for the next byte. */
static void get(World *w, const Behaviour *b, RateLimit slowest, unsigned seconds)
{
        const FetchRequest request = { .url = URL, .max = w->max ? w->max : 400000, .max_speed = w->max_speed, .seconds = seconds, .slowest = slowest, .done = on_done, .userdata = w };
        Error error = { 0 };

        start_helper(w, b);
        if (fetch_open(w->event, w->path, &w->fetch, &error) < 0 || fetch_get(w->fetch, &request, &error) < 0)
                fail_msg("%s", error.message);
        for (int i = 0; i < 10000 && !w->done; i++)
                assert_true(sd_event_run(w->event, 10 * 1000000) > 0);
        assert_true(w->done);
}

/* T-39; Uptane 5.4 (c): one byte a moment would keep a vehicle waiting for ever, and each puts the deadline off. */
static void a_body_that_trickles_is_slow_retrieval_whatever_the_helper_lets_pass(void **state)
{
        World *w = *state;

        get(w, &(Behaviour) { .piece = 1, .times = 100, .pause_ms = 100 }, (RateLimit) { .speed = 1000, .seconds = 1 }, 60);
        assert_int_equal(w->error.code, ERR_SLOW);
        assert_int_equal(error_info(w->error.code)->attack, ATTACK_SLOW);
        assert_non_null(strstr(w->error.message, URL ": "));
        assert_non_null(strstr(w->error.message, " bytes in 1 s, at least 1000 a second are demanded"));
}

/* T-39: nor does it help to say nothing for a while in between. */
static void a_pause_between_two_bytes_starts_nothing_anew(void **state)
{
        World *w = *state;

        get(w, &(Behaviour) { .piece = 1, .times = 100, .pause_ms = 1500 }, (RateLimit) { .speed = 1000, .seconds = 1 }, 60);
        assert_int_equal(w->error.code, ERR_SLOW);
}

/* T-39: a stall ends as well; but a lost network is no attack. */
static void a_body_that_stalls_ends_at_its_deadline_and_accuses_nobody(void **state)
{
        World *w = *state;

        get(w, &(Behaviour) { .piece = 10, .times = 1, .hangs = true }, (RateLimit) { .speed = 1000, .seconds = 1 }, 3);
        assert_int_equal(w->error.code, ERR_TIMEOUT);
        assert_int_equal(error_info(w->error.code)->attack, ATTACK_NONE);
}

static void an_answer_that_takes_its_time_is_not_slow(void **state)
{
        World *w = *state;

        get(w, &(Behaviour) { .piece = 10, .times = 1, .pause_ms = 2500 }, (RateLimit) { .speed = 1000, .seconds = 1 }, 60);
        assert_int_equal(w->error.code, ERR_NONE);
        assert_int_equal(w->size, 10);
}

static void a_body_that_is_fast_enough_arrives_whole(void **state)
{
        World *w = *state;

        get(w, &(Behaviour) { .piece = 300, .times = 30, .pause_ms = 100 }, (RateLimit) { .speed = 1000, .seconds = 1 }, 60);
        assert_int_equal(w->error.code, ERR_NONE);
        assert_int_equal(w->size, 9000);
}

/* T-39: and one that never ends is cut off where it is longer than allowed. */
static void an_endless_body_is_cut_off_at_the_limit(void **state)
{
        World *w = *state;

        get(w, &(Behaviour) { .piece = 4096, .times = 1000000 }, (RateLimit) { .speed = 1, .seconds = 1 }, 60);
        assert_int_equal(w->error.code, ERR_TOO_LARGE);
}

/* The reply is the end; nobody is listened to behind it for longer than it takes to read what lay in the pipe. */
static void a_helper_that_goes_on_writing_behind_its_reply_is_not_read_for_ever(void **state)
{
        World *w = *state;

        w->max = UINT64_C(1) << 40;
        get(w, &(Behaviour) { .piece = 4096, .times = 1, .goes_on = true }, (RateLimit) { .speed = 1, .seconds = 1 }, 60);
        assert_int_equal(w->error.code, ERR_HELPER);
        assert_non_null(strstr(w->error.message, "kept its pipe open"));
}

/* What a pipe holds comes at once in the end. */
static void no_more_is_taken_in_a_second_than_allowed(void **state)
{
        World *w = *state;
        uint64_t begin = 0, end = 0;

        w->max_speed = 100000;
        (void) sd_event_now(w->event, CLOCK_MONOTONIC, &begin);
        get(w, &(Behaviour) { .piece = 4096, .times = 60 }, (RateLimit) { .speed = 1000, .seconds = 1 }, 60);
        (void) sd_event_now(w->event, CLOCK_MONOTONIC, &end);
        assert_int_equal(w->error.code, ERR_NONE);
        assert_int_equal(w->size, 60 * 4096);
        assert_true(end - begin > 1500000);
}

static void an_image_slower_than_its_deadline_allows_a_piece_is_no_time_out(void **state)
{
        World *w = *state;

        w->max_speed = 2000;
        get(w, &(Behaviour) { .piece = 4096, .times = 17 }, (RateLimit) { .speed = 100, .seconds = 1 }, 2);
        assert_int_equal(w->error.code, ERR_NONE);
        assert_int_equal(w->size, 17 * 4096);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_body_that_trickles_is_slow_retrieval_whatever_the_helper_lets_pass),
                TEST(a_pause_between_two_bytes_starts_nothing_anew),
                TEST(a_body_that_stalls_ends_at_its_deadline_and_accuses_nobody),
                TEST(an_answer_that_takes_its_time_is_not_slow),
                TEST(a_body_that_is_fast_enough_arrives_whole),
                TEST(no_more_is_taken_in_a_second_than_allowed),
                TEST(an_image_slower_than_its_deadline_allows_a_piece_is_no_time_out),
                TEST(an_endless_body_is_cut_off_at_the_limit),
                TEST(a_helper_that_goes_on_writing_behind_its_reply_is_not_read_for_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
