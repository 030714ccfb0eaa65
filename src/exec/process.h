/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXEC_PROCESS_H
#define EXEC_PROCESS_H

/*
 * One external program, run to its end and never longer than it may. No shell is involved: what is given is its argv and
 * its whole environment. It gets a session of its own, /dev/null as input, "/" as working folder, and no descriptor but
 * those named here. What it writes is bounded; at its time limit, or when the other side of cancel_fd has gone, it gets
 * SIGTERM and a moment later SIGKILL. With its end everything it has started ends, too, whatever session that is in.
 *
 * Blocks in poll() only. For a process without other children and threads: it becomes the parent of every orphan, and
 * every child it has then is killed.
 */
#include <sys/types.h>

#include "base/slice.h"

#define EXEC_IMAGE_FD 3 /* where the program finds image_fd */
#define EXEC_GRACE_MS 2000

typedef struct ExecProcess {
        const char *const *argv; /* argv[0]: an absolute path; ends with NULL */
        const char *const *environment; /* ends with NULL */
        int image_fd;            /* -1: none */
        unsigned seconds;        /* to run */
        size_t output_max;       /* bytes of standard output; more is an error */
        size_t messages_max;     /* bytes of standard error that are passed on to ours; more is dropped */
        int cancel_fd;           /* a socket; -1: none */
} ExecProcess;

/* Appends what it wrote, and says its exit code. ERR_HANDLER if it cannot be started or ends in any other way, ERR_CANCELLED. */
int exec_process_run(const ExecProcess *process, Buffer *ret_output, int *ret_code, Error *error) __attribute__((nonnull, warn_unused_result));

/*
 * The same for a program of our own, which keeps the rules by itself: it is only started, and whoever waits for other things, too, reads
 * *ret_output (non-blocking) until its end, and then waitpid()s. Its standard error is ours. Of process only argv, environment and image_fd.
 */
int exec_process_start(const ExecProcess *process, pid_t *ret_pid, int *ret_output, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
