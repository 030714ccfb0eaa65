/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTALL_OSTREE_PRIVATE_H
#define INSTALL_OSTREE_PRIVATE_H

/* Between the files of InstallOstree. */
#include <ostree.h>

#include "base/mem.h"
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
        const char *const *kernel_arguments, *const *wanted_arguments; /* borrowed; NULL: none */
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
/* What was pulled is held by its deployment once that is written. Whatever boots next boots whether or not this succeeds. */
void install_clean_up_locked(InstallOstree *o);

/* ostree-remote.c: the repository, with a server as its remote of this name. */
#define INSTALL_REMOTE "uptane"
int install_open_remote(const InstallOstree *o, const char *url, bool authenticate, OstreeRepo **ret, Error *error);

/* ostree-kargs.c: ERR_KERNEL_ARGUMENT if something is asked for that is not allowed; commit: NULL where it is not there yet. */
int install_check_kernel_arguments(const InstallOstree *o, GVariant *commit, Error *error);
bool install_has_wanted_arguments(const InstallOstree *o, OstreeDeployment *d);
/* Of a deployment of this commit behind merge (NULL: none), ends with NULL. ERR_KERNEL_ARGUMENT. */
int install_kernel_arguments(const InstallOstree *o, OstreeDeployment *merge, GVariant *commit, char ***ret, Error *error);

/* ostree-pull.c: ERR_HARDWARE_ID if the commit names another architecture than this machine's. */
int install_check_architecture(GVariant *commit, Error *error);

/* ostree-objects.c: ERR_COMMIT_DAMAGED if not all are good; then what is bad is removed and the commit marked as incomplete. */
int install_verify_objects(OstreeRepo *repo, const char *commit, const InstallWatch *watch, Error *error);

/* ostree-meter.c: holds this thread up as long as more has arrived than max_speed (bytes a second, 0: any) allows. */
typedef struct InstallMeter InstallMeter;
InstallMeter *install_meter_new(uint64_t max_speed);
InstallMeter *install_meter_free(InstallMeter *meter);
void install_meter_hold(InstallMeter *meter, const InstallWatch *watch);

/* ostree-space.c: ERR_NO_SPACE if it does not fit, as far as that is known. size: what its image's metadata says; 0: nothing. */
typedef struct InstallFetch {
        int (*paths)(void *userdata, const char *const *paths, Error *error); /* gets these of the commit, and the folders above */
        void *userdata;
} InstallFetch;
typedef struct InstallKernel {
        char *folder;
        char *checksums[2];
} InstallKernel;
int install_check_repo_space(OstreeRepo *repo, GVariant *commit, uint64_t size, Error *error);
/* fetch: NULL where the commit is complete. */
int install_check_boot_space(InstallOstree *o, OstreeRepo *repo, GVariant *commit, const InstallFetch *fetch, Error *error);

/* ostree-trial.c: keeps this deployment, which is known to be good, until install_ostree_mark_good(). */
int install_pin(InstallOstree *o, OstreeDeployment *d, Error *error);
/* Tells the boot loader that the first deployment is on trial, or the one that will be. */
int install_begin_trial(InstallOstree *o, Error *error);

#endif
