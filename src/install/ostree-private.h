/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTALL_OSTREE_PRIVATE_H
#define INSTALL_OSTREE_PRIVATE_H

/* Between the files of InstallOstree. */
#include <ostree.h>

#include "install/ostree.h"

/* Keeps what was pulled: libostree prunes whatever neither a ref nor a deployment reaches. */
#define PULLED_REF "uptane/pulled"
/* libostree's own: what a shutdown is to write, and that it must not. */
#define INSTALL_RUN "/run/ostree"
#define INSTALL_STAGED INSTALL_RUN "/staged-deployment"
#define INSTALL_HELD INSTALL_STAGED "-locked"

struct InstallOstree {
        OstreeSysroot *sysroot;
        GFile *path;
        char *os_name, *ca_file, *cert_file, *key_file;
        bool allow_http, no_stage, private_mounts;
        const BootDriver *boot;
};

int install_check_commit(const char *commit, Error *error);
/* code is used unless g says something more exact. Takes g. */
int install_set_error(Error *error, ErrorCode code, GError *g, const char *what);
int install_reload(InstallOstree *o, Error *error);
/* Of a booted sysroot that is mounted read-only; the repository is in it, and pulling locks nothing. */
int install_make_writable(InstallOstree *o, Error *error);
/* As watch lets it wait; unlock with ostree_sysroot_unlock(). */
int install_lock(InstallOstree *o, const InstallWatch *watch, Error *error);
/* Brings /boot to its place on the medium. */
int install_sync_boot(InstallOstree *o, Error *error);
/* The next to boot, or NULL; only of one OS if a name is given. Transfer full. */
OstreeDeployment *install_first_deployment(InstallOstree *o, const char *os_name);

/* ostree-trial.c: keeps this deployment, which is known to be good, until install_ostree_mark_good(). */
int install_pin(InstallOstree *o, OstreeDeployment *d, Error *error);
/* Tells the boot loader that the first deployment is on trial, or the one that will be. */
int install_begin_trial(InstallOstree *o, Error *error);

#endif
