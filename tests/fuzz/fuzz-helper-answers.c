/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers that have been taken over: uptane-fetch, uptane-ostree, uptane-health, uptane-secondary-ip and uptane-exec. Answers,
 * signals, calls and raw bytes to whatever asks them. Whatever they say: each job and each phase of a work ends once, or pauses
 * where it asks again later; limits hold; nobody is taken for somebody else, and nothing is remembered that could not be read again.
 *
 * The first line says who asks ("get", "file", "send", "status", "register", "reports", "assess", "back", "ip", "ostree", "exec",
 * "primary"), and flags of helper-world.h, or "again" (one more transfer) and "restore". Each other line is a step of
 * other-side.h, or "write BYTES" into the pipe for a body, "quit" (it closes that), "hang-up" (it closes the connection).
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"
#include "helper-world.h"
#include "message.h"
#include "other-side.h"
#include "uptaned/fetch.h"
#include "uptaned/reports.h"

#define STEPS_MAX 64
#define OTHERS_MAX 8
#define ROUNDS_MAX 20000
#define BODY_MAX 5000
#define SENT_ANSWER_MAX ((size_t) 64 * 1024)

typedef struct Play {
        World world;
        OtherSide others[OTHERS_MAX]; /* the oldest first */
        size_t n_others;
        bool answered[OTHERS_MAX]; /* its latest call was */
        int body; /* the pipe's end of a transfer; -1: none */
        Fetch *fetch;
        uint64_t got; /* bytes of it */
        Reports *reports;
        Work *work;
        bool may_pause;
} Play;

/* ---- who asks ---- */

static void start_fetch(Play *p, bool send, bool file);

static void on_fetched(void *userdata, const FetchAnswer *answer, Error *error)
{
        Play *p = userdata;

        REQUIRE(!answer == (error->code != ERR_NONE) && error->code < _ERR_MAX);
        if (answer)
                REQUIRE(answer->body.size <= (world_flag(&p->world, "send") ? SENT_ANSWER_MAX : BODY_MAX));
        if (answer && world_flag(&p->world, "again") && p->world.n_ended == 0) {
                p->world.n_ended = 0;
                p->world.flags = "get";
                start_fetch(p, false, false);
                return;
        }
        p->world.n_ended++;
        if (world_flag(&p->world, "free"))
                p->fetch = fetch_free(p->fetch);
}

static int on_piece(void *userdata, uint64_t offset, Slice piece, Error *error)
{
        Play *p = userdata;

        (void) error;
        REQUIRE(offset == 7 + p->got && piece.size > 0 && p->got + piece.size <= BODY_MAX);
        p->got += piece.size;
        return 0;
}

static void start_fetch(Play *p, bool send, bool file)
{
        FetchRequest request = { .url = "https://ota.example.com/x", .max = BODY_MAX, .seconds = 600, .slowest = { .speed = 1, .seconds = 600 },
                                 .offset = file ? 7 : 0, .sink = file ? on_piece : NULL, .done = on_fetched, .userdata = p };
        Error error = { 0 };
        int r;

        if (!p->fetch)
                REQUIRE(fetch_open(p->world.manager.event, p->world.manager.config.fetch_socket, &p->fetch, &error) == 0);
        r = send ? fetch_send(p->fetch, &request, "PUT", "text/plain", slice_str("body"), &error) : fetch_get(p->fetch, &request, &error);
        if (r < 0) /* it had closed before */
                p->world.n_ended++;
}

static void on_reports(void *userdata, Error *error)
{
        Play *p = userdata;

        REQUIRE(error->code == ERR_NONE);
        p->reports = reports_free(p->reports);
        p->world.n_ended++;
}

static void start_work(Play *p, const Driver *driver, size_t index)
{
        p->work = world_work_new(&p->world, driver, index);
        world_work_begin(p->work, driver->restore && world_flag(&p->world, "restore") ? WORK_RESTORE : WORK_PREPARE);
        p->may_pause = driver == &install_ip;
}

/* What could not be begun fails at once, as the caller sees to it. */
static void job_began(Play *p, int r)
{
        if (r < 0) {
                manager_stop_job(&p->world.manager);
                p->world.n_ended++;
        }
}

static void start(Play *p, const char *who)
{
        Manager *m = &p->world.manager;
        Error error = { 0 };

        if (strcmp(who, "status") == 0) {
                p->may_pause = true;
                job_began(p, status_start(m, &error));
        } else if (strcmp(who, "register") == 0)
                job_began(p, register_start(m, &error));
        else if (strcmp(who, "assess") == 0)
                job_began(p, assess_start(m, 0, &error));
        else if (strcmp(who, "back") == 0)
                job_began(p, rollback_start(m, 0, &error));
        else if (strcmp(who, "reports") == 0)
                REQUIRE(reports_start(m, on_reports, p, &p->reports, &error) == 0);
        else if (strcmp(who, "ip") == 0)
                start_work(p, &install_ip, 1);
        else if (strcmp(who, "exec") == 0)
                start_work(p, &install_exec, 2);
        else if (strcmp(who, "primary") == 0 && m->ecus[0].handler)
                start_work(p, &install_exec, 0);
        else if (strcmp(who, "ostree") == 0 && !m->ecus[0].handler)
                start_work(p, &install_ostree, 0);
        else
                start_fetch(p, strcmp(who, "send") == 0, strcmp(who, "file") == 0);
}

static bool is_over(Play *p)
{
        if (p->work && p->world.ready && p->work->phase == WORK_PREPARE) {
                world_work_begin(p->work, WORK_INSTALL);
                return p->world.n_ended == 2;
        }
        return p->work ? !p->work->running : p->world.n_ended > 0;
}

/* ---- the other side ---- */

static void close_body(Play *p)
{
        if (p->body >= 0)
                (void) close(p->body);
        p->body = -1;
}

static void drop(Play *p, size_t i)
{
        other_side_close(&p->others[i]);
        p->n_others--;
        memmove(&p->others[i], &p->others[i + 1], (p->n_others - i) * sizeof p->others[0]);
        memmove(&p->answered[i], &p->answered[i + 1], (p->n_others - i) * sizeof p->answered[0]);
}

static void accept_all(Play *p)
{
        OtherSide new;

        while (other_side_accept(&new)) {
                if (p->n_others == OTHERS_MAX)
                        drop(p, 0);
                p->answered[p->n_others] = false;
                p->others[p->n_others++] = new;
        }
}

/* The daemon hands the pipe's end over, and has no other. */
static void take_body(Play *p, sd_bus_message *asked)
{
        int fd;

        if (sd_bus_message_is_method_call(asked, "org.uptane.Fetch1", "Get") <= 0)
                return;
        REQUIRE(sd_bus_message_skip(asked, "sbtt") >= 0 && sd_bus_message_read(asked, "h", &fd) >= 0);
        close_body(p);
        p->body = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        REQUIRE(p->body >= 0 && fcntl(p->body, F_SETFL, O_WRONLY | O_NONBLOCK) >= 0);
}

static bool process(Play *p, size_t i)
{
        const sd_bus_message *before = p->others[i].asked;
        int r = other_side_process(&p->others[i]);

        if (p->others[i].asked != before) {
                p->answered[i] = false;
                take_body(p, p->others[i].asked);
        }
        if (r < 0)
                drop(p, i);
        return r > 0;
}

/* Until nobody has anything more to do. */
static void settle(Play *p)
{
        unsigned rounds = 0;
        bool busy;

        do {
                busy = false;
                accept_all(p);
                for (size_t i = p->n_others; i > 0; i--)
                        busy |= process(p, i - 1);
                busy |= sd_event_run(p->world.manager.event, 0) > 0;
                REQUIRE(++rounds < ROUNDS_MAX);
        } while (busy);
}

/* The first that was asked and has not answered; or else the last of all, for what nobody waits for. */
static size_t whose_turn(const Play *p)
{
        size_t i = 0;

        while (i + 1 < p->n_others && (!p->others[i].asked || p->answered[i]))
                i++;
        return i;
}

static void take_step(Play *p, Slice line)
{
        cleanup_free char *what = message_word(&line, NULL);
        size_t i = whose_turn(p), n;

        if (*what == 'w' && p->body >= 0) {
                cleanup_free char *bytes = message_word(&line, &n);

                (void) !write(p->body, bytes, n);
        } else if (*what == 'q')
                close_body(p);
        else if (*what == 'h' && i < p->n_others)
                drop(p, i);
        else if (i < p->n_others) {
                other_side_step(&p->others[i], what, &line);
                p->answered[i] |= *what == 'r' || *what == 'e';
        }
}

/* It is gone for good, and so is every other that is asked behind it. */
static void leave(Play *p)
{
        close_body(p);
        for (unsigned rounds = 0; !is_over(p) && rounds < 100; rounds++) {
                accept_all(p);
                while (p->n_others > 0)
                        drop(p, 0);
                settle(p);
        }
        REQUIRE(is_over(p) || p->may_pause);
        while (p->n_others > 0)
                drop(p, 0);
        close_body(p);
}

static void play(Play *p, Slice rest, const char *who)
{
        Slice line;

        start(p, who);
        settle(p);
        for (unsigned i = 0; i < STEPS_MAX && !is_over(p) && message_line(&rest, &line); i++) {
                take_step(p, line);
                settle(p);
        }
        leave(p);
        REQUIRE(p->world.n_ended <= (p->work ? 2 : 1));
        p->fetch = fetch_free(p->fetch);
        p->reports = reports_free(p->reports);
        if (p->work)
                world_work_free(p->work);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Play p = { .body = -1 };
        Slice rest = slice(data, size), first = SLICE_NONE, words;
        cleanup_free char *flags = NULL, *who = NULL;

        (void) signal(SIGPIPE, SIG_IGN);
        (void) message_line(&rest, &first);
        flags = xstrndup(first.data ? (const char *) first.data : "", first.size);
        words = slice_str(flags);
        who = message_word(&words, NULL);
        world_init(&p.world, flags, other_side_path());
        play(&p, rest, who);
        world_done(&p.world);
        return 0;
}
