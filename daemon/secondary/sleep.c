/* SPDX-License-Identifier: Apache-2.0 */
#include "secondary/sleep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "secondary/program.h"

int sleep_at(int listener, const char *config, Error *error)
{
        cleanup_free char *idle = program_beside("uptane-secondary-idle", error), *awake = NULL;
        char number[16];

        if (!idle)
                return -1;
        awake = program_itself(error);
        if (!awake)
                return -1;
        (void) snprintf(number, sizeof number, "%d", listener);
        if (fcntl(listener, F_SETFD, 0) >= 0)
                (void) execl(idle, idle, number, awake, config, (char *) NULL);
        (void) error_set_errno(error, ERR_SYSTEM, errno, "%s", idle);
        (void) fcntl(listener, F_SETFD, FD_CLOEXEC);
        return -1;
}
