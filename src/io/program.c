/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program is the leader of its own process group, which is killed before it is reaped: until then its number cannot
 * belong to anybody else. Its end is seen on a pidfd: something that it left running may keep the pipe open for ever.
 */
#include "io/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/file.h"

extern char **environ;

typedef struct Spawn {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
} Spawn;

static int spawn(Spawn *s, const char *const *argv, int output, pid_t *ret)
{
        sigset_t none, all;
        int r;

        (void) sigemptyset(&none);
        (void) sigfillset(&all);
        r = posix_spawn_file_actions_addopen(&s->actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&s->actions, output, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawnattr_setflags(&s->attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawnattr_setpgroup(&s->attributes, 0);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&s->attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(&s->attributes, &all);
        return r == 0 ? posix_spawnp(ret, argv[0], &s->actions, &s->attributes, (char *const *) argv, environ) : r;
}

static int start(const char *const *argv, int output, pid_t *ret, Error *error)
{
        Spawn s;
        int r = posix_spawn_file_actions_init(&s.actions);

        if (r == 0) {
                r = posix_spawnattr_init(&s.attributes);
                if (r == 0) {
                        r = spawn(&s, argv, output, ret);
                        (void) posix_spawnattr_destroy(&s.attributes);
                }
                (void) posix_spawn_file_actions_destroy(&s.actions);
        }
        return r == 0 ? 0 : error_set_errno(error, r == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, r, "starting %s", argv[0]);
}

static int64_t now_msec(void)
{
        struct timespec t = { 0 };

        (void) clock_gettime(CLOCK_BOOTTIME, &t);
        return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What is in the pipe now. 1: there may be more; 0: it has ended. */
static int drain(int fd, Buffer *ret)
{
        char piece[4096];
        ssize_t n;

        while ((n = read(fd, piece, sizeof piece)) > 0) {
                size_t room = ret->limit && ret->limit > ret->size ? ret->limit - ret->size : ret->limit ? 0 : sizeof piece;

                buffer_put(ret, piece, (size_t) n < room ? (size_t) n : room);
        }
        return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Until it has ended. */
static int watch(const char *name, int pid_fd, int output, unsigned seconds, Buffer *ret, Error *error)
{
        struct pollfd p[] = { { .fd = pid_fd, .events = POLLIN }, { .fd = output, .events = POLLIN } };
        int64_t end = now_msec() + (int64_t) seconds * 1000;

        for (;;) {
                int64_t rest = end - now_msec();

                if (rest <= 0)
                        return error_set(error, ERR_TIMEOUT, "%s did not end within %u s", name, seconds);
                if (poll(p, ELEMENTSOF(p), (int) (rest < INT32_MAX ? rest : INT32_MAX)) < 0 && errno != EINTR)
                        return error_set_errno(error, ERR_SYSTEM, errno, "waiting for %s", name);
                if (p[1].revents && !drain(output, ret))
                        p[1].fd = -1;
                if (p[0].revents) {
                        if (p[1].fd >= 0)
                                (void) drain(output, ret);
                        return 0;
                }
        }
}

static int reap(pid_t pid, const char *name, Error *error)
{
        int status = 0;

        (void) kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return error_set_errno(error, ERR_SYSTEM, errno, "waiting for %s", name);
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int program_run(const char *const *argv, unsigned seconds, Buffer *ret, Error *error)
{
        cleanup_close int output = -1, other_end = -1, pid_fd = -1;
        int pipe_fds[2], r, status;
        Error ignored = { 0 };
        pid_t pid;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "making a pipe");
        output = pipe_fds[0];
        other_end = pipe_fds[1];
        if (fcntl(output, F_SETFL, O_NONBLOCK) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "making a pipe");
        if (start(argv, other_end, &pid, error) < 0)
                return -1;
        (void) close(TAKE_FD(other_end));
        pid_fd = pidfd_open(pid, 0);
        r = pid_fd < 0 ? error_set_errno(error, ERR_SYSTEM, errno, "watching %s", argv[0])
                       : watch(argv[0], pid_fd, output, seconds, ret, error);
        status = reap(pid, argv[0], r < 0 ? &ignored : error);
        return r < 0 ? -1 : status;
}
