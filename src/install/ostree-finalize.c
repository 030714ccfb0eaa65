/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shutdown writes what is staged: libostree does it, by its own program, and cleans up at once. It removes what the old
 * boot entries lead to while the new ones may still lie in the journal of /boot alone, where no boot loader looks: a power
 * cut then leaves a vehicle that boots nothing. So in the mount namespace of that program, which is this one's, the folder
 * of the old entries is read-only. That is where the clean-up begins, and ends. Who comes next cleans up: Deploy and
 * MarkGood, each with /boot at its place on the medium.
 */
#include "install/ostree-private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/program.h"

#define SECONDS 290 /* systemd gives ostree-finalize-staged.service 5 minutes */
#define ENTRIES "/boot/loader"
#define FAILURE "/boot/ostree/finalize-failure.stamp" /* lets a unit of the next boot fail */

static int guard_old_entries(Error *error)
{
        cleanup_free char *folder = realpath(ENTRIES, NULL);

        if (!folder)
                return errno == ENOENT ? 0 : error_set_errno(error, ERR_INSTALL, errno, ENTRIES);
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount(folder, folder, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, folder, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
                return error_set_errno(error, ERR_INSTALL, errno, "keeping %s as it is", folder);
        return 0;
}

/* It was written by a clean-up that was meant to fail. */
static void forget_failure(void)
{
        if (unlink(FAILURE) == 0 || errno != EROFS)
                return;
        if (mount(NULL, "/boot", NULL, MS_REMOUNT | MS_SILENT, NULL) < 0 || unlink(FAILURE) < 0)
                g_printerr("uptane-ostree: removing %s: %s\n", FAILURE, g_strerror(errno));
}

static bool is_written(InstallOstree *o, const char *commit)
{
        g_autoptr(OstreeDeployment) first = install_first_deployment(o, NULL);

        return first && !ostree_deployment_is_staged(first) && strcmp(ostree_deployment_get_csum(first), commit) == 0;
}

/* Its exit status. */
static int write_staged(InstallOstree *o, const char *commit, Error *error)
{
        static const char *const argv[] = { "ostree", "admin", "finalize-staged", NULL };
        cleanup_buffer Buffer output = { .limit = 4096 };
        int status = program_run(argv, SECONDS, &output, error);

        if (status < 0 || install_reload(o, error) < 0)
                return -1;
        if (access(INSTALL_HELD, F_OK) < 0 && !is_written(o, commit))
                return error_set(error, ERR_INSTALL, "ostree admin finalize-staged ended with status %d, and the deployment is not written",
                                 status);
        return status;
}

int install_ostree_finalize(InstallOstree *o, Error *error)
{
        OstreeDeployment *staged = ostree_sysroot_get_staged_deployment(o->sysroot);
        g_autofree char *commit = staged ? g_strdup(ostree_deployment_get_csum(staged)) : NULL;
        int status;

        if (!commit)
                return 0;
        if (!o->private_mounts)
                return error_set(error, ERR_INSTALL, "this needs a mount namespace of its own");
        if (guard_old_entries(error) < 0)
                return -1;
        status = write_staged(o, commit, error);
        if (status < 0)
                return -1;
        if (status > 0) {
                g_printerr("uptane-ostree: the old boot entries and what they need stay until the new software is found good\n");
                forget_failure();
        }
        return install_sync_boot(o, error);
}
