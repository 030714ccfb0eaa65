/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTALL_OSTREE_H
#define INSTALL_OSTREE_H

/*
 * An OSTree sysroot: which commit runs, getting another one, making it the next to boot. It blocks: only the helper
 * program uses it. GLib stays behind this header.
 *
 * A commit is named by its SHA-256 and nothing else: refs, summaries and signatures of the server are not looked at.
 * Whoever knows the right hash from verified metadata needs to believe nothing of the server's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "boot/boot.h"

#define INSTALL_COMMIT_SIZE 65 /* 64 lower-case hex digits and a NUL */

typedef struct InstallOstree InstallOstree;

/* The strings are copied; a NULL file is one that is not there. */
typedef struct InstallOstreeOptions {
        const char *sysroot; /* "/" */
        const char *os_name; /* NULL: that of the booted deployment, or the only one there is */
        const char *ca_file, *cert_file, *key_file;
        bool allow_http;     /* plain http:// too */
        bool no_stage;       /* write deployments at once even where they could wait for the shutdown */
        const BootDriver *boot; /* NULL: none */
        /* Kept by the caller, the last is NULL, NULL: none. Patterns of fnmatch(3): kernel arguments that metadata may change. */
        const char *const *kernel_arguments;
        /* Those a new deployment has to have; each takes the place of all others of its name. */
        const char *const *wanted_arguments;
} InstallOstreeOptions;

typedef enum InstallStep {
        INSTALL_FETCHING,
        INSTALL_VERIFYING,
} InstallStep;

typedef struct InstallWatch {
        bool (*cancelled)(void *userdata);
        void (*step)(void *userdata, InstallStep step, uint64_t done, uint64_t total); /* objects; total 0: not known */
        void (*progress)(void *userdata, uint64_t done, uint64_t total); /* bytes; total 0: not known */
        void *userdata;
} InstallWatch;

/* ERR_INSTALL if there is no sysroot. */
int install_ostree_open(const InstallOstreeOptions *options, InstallOstree **ret, Error *error) __attribute__((nonnull, warn_unused_result));
InstallOstree *install_ostree_free(InstallOstree *o);
DEFINE_CLEANUP(InstallOstree, install_ostree_free)

typedef struct InstallStatus {
        char booted[INSTALL_COMMIT_SIZE]; /* commit; the first deployment's where nothing is booted; "" if there is none */
        char **deployed;  /* commits of all deployments, the next to boot first; ends with NULL */
        bool trial;       /* something is pinned or counted until install_ostree_mark_good() */
        bool rolled_back; /* the boot loader says that it gave up the newest software */
} InstallStatus;

void install_status_done(InstallStatus *status) __attribute__((nonnull));
int install_ostree_status(InstallOstree *o, InstallStatus *ret, Error *error) __attribute__((nonnull, warn_unused_result));
typedef struct InstallPull {
        const char *url, *commit;
        bool authenticate;
        bool deltas;        /* ask for static deltas */
        uint64_t size;      /* bytes it needs, if it does not say so itself; 0: not known */
        uint64_t max_speed; /* bytes a second; 0: any */
} InstallPull;

/*
 * Gets exactly this commit, complete, and keeps it from being pruned until it is deployed or another one is pulled. Every object is
 * verified, also those that were there before. ERR_INVALID_ARGUMENT, ERR_NETWORK, ERR_TIMEOUT, ERR_TLS, ERR_KEY, ERR_HTTP,
 * ERR_NOT_FOUND, ERR_NO_SPACE (before anything big is fetched, where sizes are known), ERR_HARDWARE_ID (another architecture's),
 * ERR_CANCELLED, ERR_IMAGE_MISMATCH (the server's object is not what its name says), ERR_COMMIT_DAMAGED (the disk's is not, again and
 * again), ERR_KERNEL_ARGUMENT (before anything big is fetched), ERR_SYSTEM, ERR_INSTALL (no repository).
 */
int install_ostree_pull(InstallOstree *o, const InstallPull *pull, const InstallWatch *watch, Error *error)
        __attribute__((nonnull, warn_unused_result));
typedef struct InstallDeployment {
        const char *commit; /* pulled before */
        const char *name;   /* kept as a note in its origin */
        bool hold;          /* where it waits for the shutdown: no shutdown makes it the next to boot until install_ostree_release() */
} InstallDeployment;

/*
 * Makes a commit the next to boot, on trial. Kernel arguments and /etc come from the booted deployment, or the first, which is
 * pinned: nobody prunes it before install_ostree_mark_good(). Waits while another program changes the sysroot, until watch says
 * otherwise (ERR_CANCELLED); never interrupted once it has begun. Every object is verified before. ERR_INVALID_ARGUMENT, ERR_NOT_FOUND
 * (not pulled), ERR_COMMIT_DAMAGED (pull it again), ERR_HARDWARE_ID, ERR_NO_SPACE,
 * ERR_KERNEL_ARGUMENT, ERR_CONFIG (which OS?), ERR_BOOT_LOADER, ERR_INSTALL.
 */
int install_ostree_deploy(InstallOstree *o, const InstallDeployment *deployment, const InstallWatch *watch, bool *ret_need_reboot,
                          Error *error)
        __attribute__((nonnull, warn_unused_result));
/* What is held is the next to boot now, and on trial; nothing happens where nothing is held. ERR_BOOT_LOADER, ERR_INSTALL. */
int install_ostree_release(InstallOstree *o, Error *error) __attribute__((nonnull, warn_unused_result));
/* What is booted is good: the trial, if there is one, is over. Waits as above. ERR_CANCELLED, ERR_BOOT_LOADER, ERR_INSTALL. */
int install_ostree_mark_good(InstallOstree *o, const InstallWatch *watch, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * Afterwards: removes the deployments that nobody needs (all but what runs, what ran before, what is next, and what is pinned) and the
 * objects that none of them has. Waits as above, and says what goes wrong on standard error only.
 */
void install_ostree_clean_up(InstallOstree *o, const InstallWatch *watch) __attribute__((nonnull));
/*
 * Makes what was good before this commit the next to boot again; does nothing where another commit than this one is that
 * already. Waits as above. ERR_INVALID_ARGUMENT, ERR_CANCELLED, ERR_BOOT_LOADER, ERR_INSTALL (there is nothing to go back to).
 */
int install_ostree_rollback(InstallOstree *o, const char *commit, const InstallWatch *watch, bool *ret_need_reboot, Error *error)
        __attribute__((nonnull, warn_unused_result));
/*
 * For the shutdown, in the place of "ostree admin finalize-staged": the same, but what the old boot entries need stays, because a
 * power cut may bring them back. Nothing happens where nothing is staged, or it is held. ERR_INSTALL, ERR_NOT_FOUND, ERR_TIMEOUT.
 */
int install_ostree_finalize(InstallOstree *o, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
