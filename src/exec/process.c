/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_spawn() with everything set before the program begins; then one poll() over its end, its two pipes and the
 * connection. Descendants are found through the kernel's list of our children: as subreaper, this process inherits every
 * orphan, so that a list without entries means that nothing is left.
 */
#include "exec/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "io/file.h"

#define PIECE 4096

typedef struct Run {
        const ExecProcess *process;
        pid_t pid;
        int end, output, messages; /* pidfd and the reading ends */
        Buffer *text;
        size_t n_messages;
        bool flooded, cancelled, overdue;
        int64_t deadline;
} Run;

static int64_t now_ms(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- starting ---- */

static int make_pipe(int *ret_read, int *ret_write, Error *error)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "pipe");
        *ret_read = fds[0];
        *ret_write = fds[1];
        return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? error_set_errno(error, ERR_SYSTEM, errno, "pipe") : 0;
}

static int set_files(posix_spawn_file_actions_t *files, const ExecProcess *p, int output, int messages)
{
        int r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

        if (r == 0)
                r = posix_spawn_file_actions_adddup2(files, output, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(files, messages, STDERR_FILENO);
        if (r == 0 && p->image_fd >= 0)
                r = posix_spawn_file_actions_adddup2(files, p->image_fd, EXEC_IMAGE_FD);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(files, p->image_fd >= 0 ? EXEC_IMAGE_FD + 1 : STDERR_FILENO + 1);
        if (r == 0)
                r = posix_spawn_file_actions_addchdir_np(files, "/");
        return r;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
        sigset_t none, all;
        int r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

        (void) sigemptyset(&none);
        (void) sigfillset(&all);
        if (r == 0)
                r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &all);
        return r;
}

static int spawn(const ExecProcess *p, int output, int messages, pid_t *ret, Error *error)
{
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attributes;
        int r = posix_spawn_file_actions_init(&files);

        if (r != 0)
                return error_set_errno(error, ERR_SYSTEM, r, "%s", p->argv[0]);
        r = posix_spawnattr_init(&attributes);
        if (r == 0) {
                r = set_files(&files, p, output, messages);
                if (r == 0)
                        r = set_attributes(&attributes);
                if (r == 0) /* which does not take the argument as const, and does not write there */
                        r = posix_spawn(ret, p->argv[0], &files, &attributes, (char *const *) p->argv, (char *const *) p->environment);
                (void) posix_spawnattr_destroy(&attributes);
        }
        (void) posix_spawn_file_actions_destroy(&files);
        return r ? error_set_errno(error, ERR_HANDLER, r, "%s cannot be started", p->argv[0]) : 0;
}

int exec_process_start(const ExecProcess *process, pid_t *ret_pid, int *ret_output, Error *error)
{
        cleanup_close int output = -1, end = -1;

        if (make_pipe(&output, &end, error) < 0 || spawn(process, end, STDERR_FILENO, ret_pid, error) < 0)
                return -1;
        *ret_output = TAKE_FD(output);
        return 0;
}

/* ---- ending ---- */

/* Of the children that are there now, every one is killed. */
static void kill_children(void)
{
        cleanup_free char *path = xasprintf("/proc/self/task/%d/children", (int) getpid());
        FILE *list = fopen(path, "re");
        int pid;

        while (list && fscanf(list, "%d", &pid) == 1)
                (void) kill(pid, SIGKILL);
        if (list)
                (void) fclose(list);
}

/* The program has ended, or is made to: its group first, then whoever left that group. Returns its status. */
static int bury(pid_t pid)
{
        int status = 0, ended;
        pid_t r;

        (void) kill(-pid, SIGKILL);
        (void) kill(pid, SIGKILL);
        do {
                kill_children();
                r = waitpid(-1, &ended, 0);
                if (r == pid)
                        status = ended;
        } while (r > 0 || (r < 0 && errno == EINTR));
        return status;
}

/* ---- running ---- */

/* Reads what is there. */
static void take_output(Run *run)
{
        uint8_t piece[PIECE];
        ssize_t n;

        while ((n = read(run->output, piece, sizeof piece)) > 0)
                if ((size_t) n > run->process->output_max - run->text->size)
                        run->flooded = true;
                else
                        buffer_put(run->text, piece, (size_t) n);
        if (n == 0) {
                (void) close(run->output);
                run->output = -1;
        }
}

static void pass_on(Slice text)
{
        Error error = { 0 };

        if (file_write_all(STDERR_FILENO, text, &error) < 0)
                return; /* our own journal is gone: the handler goes on all the same */
}

static void take_messages(Run *run)
{
        const char dropped[] = "\n(more than is passed on)\n";
        size_t most = run->process->messages_max;
        uint8_t piece[PIECE];
        ssize_t n;

        while ((n = read(run->messages, piece, sizeof piece)) > 0) {
                size_t room = most - run->n_messages, part = (size_t) n < room ? (size_t) n : room;

                if (part > 0)
                        pass_on(slice(piece, part));
                if (part < (size_t) n && run->n_messages < most)
                        pass_on(slice_str(dropped));
                run->n_messages += part;
        }
        if (n == 0) {
                (void) close(run->messages);
                run->messages = -1;
        }
}

/* Asks it to end, and gives it a moment. */
static void stop(Run *run)
{
        (void) kill(-run->pid, SIGTERM);
        run->deadline = now_ms() + EXEC_GRACE_MS;
}

static bool is_stopping(const Run *run)
{
        return run->flooded || run->cancelled || run->overdue;
}

/* Until the program has ended, or has had its last chance to. */
static void watch(Run *run)
{
        for (;;) {
                bool stopping = is_stopping(run);
                struct pollfd p[] = {
                        { .fd = run->end, .events = POLLIN },
                        { .fd = run->output, .events = POLLIN },
                        { .fd = run->messages, .events = POLLIN },
                        { .fd = stopping ? -1 : run->process->cancel_fd, .events = POLLRDHUP },
                };
                int64_t rest = run->deadline - now_ms();

                if (poll(p, ELEMENTSOF(p), rest < 0 ? 0 : rest > 60000 ? 60000 : (int) rest) < 0 && errno != EINTR)
                        return;
                if (p[1].revents)
                        take_output(run);
                if (p[2].revents)
                        take_messages(run);
                if (p[0].revents)
                        return;
                run->cancelled |= (p[3].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
                if (now_ms() >= run->deadline) {
                        if (stopping)
                                return;
                        run->overdue = true;
                }
                if (!stopping && is_stopping(run))
                        stop(run);
        }
}

static int judge(const Run *run, int status, int *ret_code, Error *error)
{
        const ExecProcess *p = run->process;

        if (run->cancelled)
                return error_set(error, ERR_CANCELLED, "%s was stopped: nobody waits for it any more", p->argv[0]);
        if (run->overdue)
                return error_set(error, ERR_HANDLER, "%s did not end within %u s and was killed", p->argv[0], p->seconds);
        if (run->flooded)
                return error_set(error, ERR_HANDLER, "%s wrote more than %zu bytes", p->argv[0], p->output_max);
        if (WIFSIGNALED(status))
                return error_set(error, ERR_HANDLER, "%s was killed by signal %d (%s)", p->argv[0], WTERMSIG(status), strsignal(WTERMSIG(status)));
        *ret_code = WEXITSTATUS(status);
        return 0;
}

int exec_process_run(const ExecProcess *process, Buffer *ret_output, int *ret_code, Error *error)
{
        cleanup_close int output = -1, output_end = -1, messages = -1, messages_end = -1, end = -1;
        cleanup_buffer Buffer text = { 0 };
        Run run = { .process = process, .end = -1, .text = &text };
        int status;

        if (make_pipe(&output, &output_end, error) < 0 || make_pipe(&messages, &messages_end, error) < 0)
                return -1;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "%s", process->argv[0]);
        if (spawn(process, output_end, messages_end, &run.pid, error) < 0)
                return -1;
        (void) close(TAKE_FD(output_end));
        (void) close(TAKE_FD(messages_end));
        end = pidfd_open(run.pid, 0);
        if (end < 0) {
                int err = errno;

                (void) bury(run.pid);
                return error_set_errno(error, ERR_SYSTEM, err, "%s", process->argv[0]);
        }
        run.end = end;
        run.output = TAKE_FD(output);
        run.messages = TAKE_FD(messages);
        run.deadline = now_ms() + (int64_t) process->seconds * 1000;
        watch(&run);
        status = bury(run.pid);
        if (run.output >= 0)
                take_output(&run); /* what lay in the pipes; nobody can write there any more */
        if (run.messages >= 0)
                take_messages(&run);
        output = run.output;
        messages = run.messages;
        if (judge(&run, status, ret_code, error) < 0)
                return -1;
        return buffer_append(ret_output, buffer_slice(&text), error);
}
