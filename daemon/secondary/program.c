/* SPDX-License-Identifier: Apache-2.0 */
/* An update may have replaced all of them meanwhile; so they are found by the folder, and by name. */
#include "secondary/program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define DELETED " (deleted)" /* what the kernel says of one that was replaced while it runs */

char *program_itself(Error *error)
{
        char path[PATH_MAX + sizeof DELETED];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        if (n <= 0 || n == sizeof path - 1) {
                (void) error_set_errno(error, ERR_SYSTEM, errno, "where this program lies");
                return NULL;
        }
        if ((size_t) n > strlen(DELETED) && memcmp(path + n - strlen(DELETED), DELETED, strlen(DELETED)) == 0)
                n -= (ssize_t) strlen(DELETED);
        return xstrndup(path, (size_t) n);
}

char *program_beside(const char *name, Error *error)
{
        cleanup_free char *itself = program_itself(error);
        char *slash = itself ? strrchr(itself, '/') : NULL;

        if (!itself)
                return NULL;
        if (slash)
                *slash = '\0';
        return xasprintf("%s/%s", itself, name);
}
