/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler's four actions (docs/ACTION-HANDLERS.md) as steps of a goal: install, and look whether it runs; complete, and look; and
 * where any of that fails, roll back, and look what runs then. uptane-secondary-install takes each of them to the program that does
 * it, and says how it went in a handler's own words; OSTree is a handler, too, of which that program plays the part.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "exec/handler.h"
#include "exec/process.h"
#include "io/file.h"
#include "secondary/program.h"
#include "secondary/secondary.h"

#define EXEC_SOCKET "/run/uptane/secondary-exec.sock"
#define OSTREE_SOCKET "/run/uptane/secondary-ostree.sock"
#define FACTS_MAX 12

bool secondary_is_working(const Secondary *secondary)
{
        return secondary->job.goal != JOB_NONE;
}

/* ---- one step ---- */

static void add_fact(const char **list, size_t *n, Arena *arena, const char *name, const char *value)
{
        cleanup_free char *text = xasprintf("UPTANE_%s=%s", name, value);

        list[(*n)++] = arena_strdup(arena, text);
}

static const char *hex(const Hashes *hashes, char ret[static 2 * SHA256_SIZE + 1])
{
        ret[0] = '\0';
        if (hashes->has_sha256)
                hex_encode(slice(hashes->sha256, SHA256_SIZE), ret);
        return ret;
}

/* What is told of the ECU and of the image. An update has no name here but that of its image. */
static const char *const *make_facts(const Secondary *s, Arena *arena)
{
        const char **list = arena_alloc(arena, FACTS_MAX, sizeof *list);
        char digits[2 * SHA256_SIZE + 1], length[24];
        size_t n = 0;

        add_fact(list, &n, arena, "ECU_SERIAL", s->serial);
        add_fact(list, &n, arena, "HARDWARE_ID", s->config.hardware_id);
        add_fact(list, &n, arena, "OPTION", s->config.handler_option);
        add_fact(list, &n, arena, "INSTALLED_NAME", s->installed.image);
        add_fact(list, &n, arena, "INSTALLED_SHA256", hex(&s->installed.hashes, digits));
        if (s->job.goal == JOB_LOOK)
                return list;
        const StoredEcu fetched = { .image = s->wanted.name, .hashes = s->wanted.hashes };
        const StoredEcu *image = s->job.goal == JOB_FETCH ? &fetched : &s->announced;

        (void) snprintf(length, sizeof length, "%" PRId64, image->length);
        add_fact(list, &n, arena, "IMAGE_NAME", image->image);
        add_fact(list, &n, arena, "IMAGE_SHA256", hex(&image->hashes, digits));
        add_fact(list, &n, arena, "IMAGE_LENGTH", length);
        add_fact(list, &n, arena, "UPDATE_ID", digits);
        return list;
}

static const char *step_name(const Job *job)
{
        return job->goal == JOB_FETCH ? "fetch" : exec_action_name(job->action);
}

static int start_step(Secondary *s, ExecAction action, int image_fd, Error *error)
{
        const SecondaryConfig *c = &s->config;
        const bool ostree = c->driver == SECONDARY_OSTREE;
        cleanup_free char *program = program_beside("uptane-secondary-install", error);
        cleanup_free char *seconds = xasprintf("%" PRId64, c->install_timeout);
        CLEANUP(arena_free) Arena *arena = arena_new();

        if (!program)
                return -1;
        s->job.action = action;
        const char *const argv[] = {
                program, ostree ? (c->ostree_credentials ? "ostree-credentials" : "ostree") : "exec",
                *c->helper_socket ? c->helper_socket : ostree ? OSTREE_SOCKET : EXEC_SOCKET, seconds,
                ostree ? c->ostree_url : c->handler, step_name(&s->job), NULL,
        };
        const ExecProcess process = { .argv = argv, .environment = make_facts(s, arena), .image_fd = image_fd, .cancel_fd = -1 };

        return exec_process_start(&process, &s->job.pid, &s->job.output, error);
}

/* ---- the end ---- */

static void end(Secondary *s, int result, const Error *error)
{
        Job *job = &s->job;

        s->outcome = (Outcome) { .goal = job->goal, .result = result, .error = *error };
        if (result < 0)
                fprintf(stderr, "%s: %s\n", step_name(job), error->message);
        if (result < 0 && (job->goal == JOB_INSTALL || job->goal == JOB_COMPLETE))
                secondary_keep_failure(s, s->announced.image, error);
        if (job->goal == JOB_FETCH) {
                s->wanted.fetched = result == SECONDARY_DONE;
                if (result == SECONDARY_DONE)
                        s->outcome = (Outcome) { 0 };
        }
        if (job->goal == JOB_INSTALL) {
                secondary_drop_upload(s);
                s->stalled = result < 0;
                s->wanted.installed = result == SECONDARY_DONE;
        }
        *job = (Job) { .output = -1 };
}

static void fail(Secondary *s, const Error *error)
{
        end(s, -1, error);
}

/* ---- from one step to the next ---- */

static void go(Secondary *s, ExecAction action)
{
        Error error = { 0 };

        if (start_step(s, action, -1, &error) < 0)
                fail(s, s->job.going_back ? &s->job.error : &error);
}

static void go_back(Secondary *s, const Error *why)
{
        s->job.going_back = true;
        s->job.error = *why;
        go(s, EXEC_ROLLBACK);
}

static int take_info(Secondary *s, const ExecAnswer *answer, Error *error)
{
        Hashes hashes = { .has_sha256 = true };

        if (answer->status == EXEC_NOT_HANDLED)
                return 0; /* what was installed last still runs */
        if (answer->status == EXEC_UNKNOWN)
                return secondary_take_firmware(s, "", -1, NULL, error);
        if (hex_decode(answer->sha256, hashes.sha256, sizeof hashes.sha256, error) < 0)
                return -1;
        return secondary_take_firmware(s, answer->name, answer->length, &hashes, error);
}

/* What the installer says that runs decides, whatever was said before. */
static void looked(Secondary *s, const ExecAnswer *answer, Error *error)
{
        Job *job = &s->job;
        bool as_announced;

        if (!answer || take_info(s, answer, error) < 0) {
                if (job->goal == JOB_LOOK || job->going_back)
                        fail(s, job->going_back ? &job->error : error);
                else
                        go_back(s, error);
                return;
        }
        as_announced = *s->installed.image && hashes_match(&s->installed.hashes, &s->announced.hashes);
        if (job->goal != JOB_LOOK && !as_announced && !job->going_back) {
                (void) error_set(error, ERR_INSTALL, "'%s' was installed, but is not what runs", s->announced.image);
                go_back(s, error);
        } else if (s->pending && (job->goal != JOB_LOOK || as_announced) && secondary_set_pending(s, false, error) < 0)
                fail(s, error);
        else
                end(s, job->going_back ? -1 : SECONDARY_DONE, &job->error);
}

static void installed(Secondary *s, const ExecAnswer *answer, Error *error)
{
        if (answer && answer->status == EXEC_NOT_HANDLED)
                (void) error_set(error, ERR_HANDLER, "%s does not install", s->config.handler);
        if (answer && answer->status == EXEC_NEED_COMPLETION && secondary_set_pending(s, true, error) == 0)
                end(s, SECONDARY_NEED_COMPLETION, error);
        else if (error->code != ERR_NONE)
                go_back(s, error);
        else
                go(s, EXEC_GET_FIRMWARE_INFO);
}

static void stepped(Secondary *s, const ExecAnswer *answer, Error *error)
{
        Job *job = &s->job;

        if (job->goal == JOB_FETCH) {
                end(s, answer ? SECONDARY_DONE : -1, error);
                return;
        }
        switch (job->action) {
        case EXEC_GET_FIRMWARE_INFO:
                looked(s, answer, error);
                return;
        case EXEC_INSTALL:
                installed(s, answer, error);
                return;
        case EXEC_COMPLETE_INSTALL: /* one that does not handle it has nothing to complete */
                if (answer)
                        go(s, EXEC_GET_FIRMWARE_INFO);
                else
                        go_back(s, error);
                return;
        case EXEC_ROLLBACK:
                if (!answer)
                        (void) error_prefix(&job->error, "rolling back failed, too (%.200s)", error->message);
                else if (answer->status == EXEC_OK)
                        (void) error_prefix(&job->error, "rolled back");
                go(s, EXEC_GET_FIRMWARE_INFO);
                return;
        case EXEC_HOLD: /* never asked: whoever boots this ECU needs nobody's consent */
        case EXEC_RELEASE:
        case _EXEC_ACTION_MAX:
        default:
                return;
        }
}

/* ---- what it says ---- */

/* 0 and the answer, or why there is none: its own words, or what became of it. */
static int judge(const Job *job, int status, Arena *arena, ExecAnswer *ret, Error *error)
{
        const ExecAction as = job->goal == JOB_FETCH ? EXEC_ROLLBACK : job->action;

        if (WIFEXITED(status) && WEXITSTATUS(status) == EXEC_NOT_HANDLED_CODE) {
                *ret = (ExecAnswer) { .status = EXEC_NOT_HANDLED, .message = "", .name = "", .sha256 = "", .length = -1 };
                return 0;
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return error_set(error, ERR_HELPER, "%s: uptane-secondary-install ended with status %d, see the log", step_name(job), status);
        if (exec_answer_parse(buffer_slice(&job->text), as, arena, ret, error) < 0)
                return -1;
        return ret->status == EXEC_FAILED ? error_set(error, job->goal == JOB_FETCH ? ERR_NETWORK : ERR_INSTALL, "%s", ret->message) : 0;
}

/* It has closed its output, and so ends. */
static void ended(Secondary *s)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        ExecAnswer answer;
        Error error = { 0 };
        int status = 0, r;

        file_cleanup_close(&s->job.output);
        s->job.output = -1;
        while (waitpid(s->job.pid, &status, 0) < 0 && errno == EINTR)
                ;
        r = judge(&s->job, status, arena, &answer, &error);
        buffer_done(&s->job.text);
        stepped(s, r == 0 ? &answer : NULL, &error);
}

void secondary_job_advance(Secondary *secondary)
{
        uint8_t piece[4096];
        ssize_t n;

        while ((n = read(secondary->job.output, piece, sizeof piece)) > 0)
                if ((size_t) n <= EXEC_ANSWER_BYTES_MAX - secondary->job.text.size)
                        buffer_put(&secondary->job.text, piece, (size_t) n);
                else
                        (void) kill(secondary->job.pid, SIGKILL); /* what it says is too long already */
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
                ended(secondary);
}

void secondary_job_stop(Secondary *secondary)
{
        Job *job = &secondary->job;

        if (job->output >= 0) {
                (void) kill(job->pid, SIGKILL); /* the connection that it has ends, too, and so what it asked for */
                (void) waitpid(job->pid, NULL, 0);
                (void) close(job->output);
        }
        buffer_done(&job->text);
        *job = (Job) { .output = -1 };
}

/* ---- goals ---- */

static int begin(Secondary *s, JobGoal goal, ExecAction action, int image_fd, Error *error)
{
        s->job = (Job) { .goal = goal, .output = -1 };
        if (start_step(s, action, image_fd, error) == 0)
                return SECONDARY_LATER;
        s->job = (Job) { .output = -1 };
        return -1;
}

int secondary_job_look(Secondary *secondary, Error *error)
{
        int r = secondary_was_booted(secondary, error);

        if (r < 0)
                return -1;
        if (r > 0 && secondary->announced.label)
                return begin(secondary, JOB_COMPLETE, EXEC_COMPLETE_INSTALL, -1, error);
        return begin(secondary, JOB_LOOK, EXEC_GET_FIRMWARE_INFO, -1, error);
}

int secondary_job_install(Secondary *secondary, int image_fd, Error *error)
{
        return begin(secondary, JOB_INSTALL, EXEC_INSTALL, image_fd, error);
}

int secondary_job_fetch(Secondary *secondary, Error *error)
{
        Outcome outcome = secondary->outcome;

        if (!secondary->wanted.any)
                return error_set(error, ERR_WRONG_STATE, "no commit is expected: accepted metadata assigns none to %s", secondary->serial);
        if (secondary->wanted.fetched || secondary->wanted.installed)
                return SECONDARY_DONE;
        if (outcome.goal != JOB_FETCH)
                return begin(secondary, JOB_FETCH, EXEC_INSTALL, -1, error);
        secondary->outcome = (Outcome) { 0 }; /* a failure is told once, and may be tried again */
        *error = outcome.error;
        return outcome.result;
}
