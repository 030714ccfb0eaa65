/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-secondary-idle FD PROGRAM CONFIG: what uptane-secondary becomes while nobody talks to it (sleep.c), in the same
 * process: it waits at the socket FD, and becomes PROGRAM again when somebody connects. It is linked with nothing but the C
 * library, because most of what a program takes of the memory are the libraries it could use.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* 1: somebody connects; 0: a signal says to end; -1. The signals are blocked since before this program was this one. */
static int wait_at(int listener)
{
        struct pollfd p[] = { { .fd = listener, .events = POLLIN }, { .events = POLLIN } };
        sigset_t mask;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        p[1].fd = sigprocmask(SIG_BLOCK, &mask, NULL) < 0 ? -1 : signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        if (p[1].fd < 0)
                return -1;
        while (poll(p, 2, -1) < 0)
                ; /* EINTR: it was stopped, and goes on */
        return p[1].revents ? 0 : 1;
}

int main(int argc, char **argv)
{
        int r = argc == 4 ? wait_at(atoi(argv[1])) : -1;

        if (r > 0)
                (void) execl(argv[2], argv[2], "--config", argv[3], "--listener", argv[1], (char *) NULL);
        if (r != 0)
                perror("uptane-secondary-idle");
        return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
