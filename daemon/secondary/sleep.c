/* SPDX-License-Identifier: Apache-2.0 */
/* The idle program lies beside this one; an update of both may have replaced them meanwhile, so they are found by name. */
#include "secondary/sleep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

int sleep_at(int listener, const char *config, Error *error)
{
        char folder[PATH_MAX], number[16];
        cleanup_free char *idle = NULL, *awake = NULL;
        ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
        char *slash;

        if (n <= 0 || n == sizeof folder - 1)
                return error_set_errno(error, ERR_SYSTEM, errno, "where this program lies");
        folder[n] = '\0';
        slash = strrchr(folder, '/');
        if (slash)
                *slash = '\0';
        idle = xasprintf("%s/uptane-secondary-idle", folder);
        awake = xasprintf("%s/uptane-secondary", folder);
        (void) snprintf(number, sizeof number, "%d", listener);
        if (fcntl(listener, F_SETFD, 0) >= 0)
                (void) execl(idle, idle, number, awake, config, (char *) NULL);
        (void) error_set_errno(error, ERR_SYSTEM, errno, "%s", idle);
        (void) fcntl(listener, F_SETFD, FD_CLOEXEC);
        return -1;
}
