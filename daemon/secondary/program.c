/* SPDX-License-Identifier: Apache-2.0 */
/* An update may have replaced all of them meanwhile; so they are found by the folder, and by name. */
#include "secondary/program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

char *program_beside(const char *name, Error *error)
{
        char folder[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
        char *slash;

        if (n <= 0 || n == sizeof folder - 1) {
                (void) error_set_errno(error, ERR_SYSTEM, errno, "where this program lies");
                return NULL;
        }
        folder[n] = '\0';
        slash = strrchr(folder, '/');
        if (slash)
                *slash = '\0';
        return xasprintf("%s/%s", folder, name);
}
