/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployments are written in three steps, because a power cut may come between any two writes. The boot loader reads
 * /boot without replaying its journal: so the new entries are written while everything the old ones need stays (NO_CLEAN),
 * then /boot is brought to its place on the medium, and only then is the old cleaned up.
 */
#include "install/ostree-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"

#define LOCK_PAUSE 50000 /* usec between two looks at a lock that another program holds */

int install_check_commit(const char *commit, Error *error)
{
        if (strlen(commit) != INSTALL_COMMIT_SIZE - 1 || strspn(commit, "0123456789abcdef") != INSTALL_COMMIT_SIZE - 1)
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.80s' is no commit: 64 lower-case hex digits", commit);
        return 0;
}

/* libostree keeps a reserve of its own on the disk, and says so without a code. */
static bool is_no_space(const GError *g)
{
        return g_error_matches(g, G_IO_ERROR, G_IO_ERROR_NO_SPACE) ||
               (strstr(g->message, "min-free-space") && strstr(g->message, "would be exceeded"));
}

int install_set_error(Error *error, ErrorCode code, GError *g, const char *what)
{
        (void) error_set(error, is_no_space(g) ? ERR_NO_SPACE : code, "%s: %s", what, g->message);
        g_error_free(g);
        return -1;
}

/*
 * Where /sysroot and /boot are mounted read-only, libostree makes them writable: that must be seen by this process
 * alone. A unit's own mount namespace will do where another one is forbidden. To be called before anything is opened: where
 * this process was the only one in its old namespace, nothing is mounted any more on what was opened there.
 */
static bool has_private_mounts(void)
{
        struct stat self, init;

        if (unshare(CLONE_NEWNS) == 0)
                return true;
        return stat("/proc/self/ns/mnt", &self) == 0 && stat("/proc/1/ns/mnt", &init) == 0 && self.st_ino != init.st_ino;
}

int install_ostree_open(const InstallOstreeOptions *options, InstallOstree **ret, Error *error)
{
        CLEANUP(install_ostree_free) InstallOstree *o = xcalloc(1, sizeof *o);
        GError *g = NULL;

        o->private_mounts = has_private_mounts();
        o->os_name = options->os_name ? xstrdup(options->os_name) : NULL;
        o->ca_file = options->ca_file ? xstrdup(options->ca_file) : NULL;
        o->cert_file = options->cert_file ? xstrdup(options->cert_file) : NULL;
        o->key_file = options->key_file ? xstrdup(options->key_file) : NULL;
        o->allow_http = options->allow_http;
        o->no_stage = options->no_stage;
        o->boot = options->boot ? options->boot : boot_driver_find("none");
        o->kernel_arguments = options->kernel_arguments;
        o->wanted_arguments = options->wanted_arguments;
        o->path = g_file_new_for_path(options->sysroot);
        o->sysroot = ostree_sysroot_new(o->path);
        if (!ostree_sysroot_initialize(o->sysroot, &g))
                return install_set_error(error, ERR_INSTALL, g, "opening the sysroot");
        if (ostree_sysroot_is_booted(o->sysroot) && o->private_mounts)
                ostree_sysroot_set_mount_namespace_in_use(o->sysroot);
        if (!ostree_sysroot_load(o->sysroot, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "reading the sysroot");
        *ret = TAKE_PTR(o);
        return 0;
}

InstallOstree *install_ostree_free(InstallOstree *o)
{
        if (!o)
                return NULL;
        g_clear_object(&o->sysroot);
        g_clear_object(&o->path);
        free(o->os_name);
        free(o->ca_file);
        free(o->cert_file);
        free(o->key_file);
        free(o);
        return NULL;
}

int install_reload(InstallOstree *o, Error *error)
{
        GError *g = NULL;

        if (!ostree_sysroot_load_if_changed(o->sysroot, NULL, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "reading the sysroot");
        return 0;
}

OstreeDeployment *install_first_deployment(InstallOstree *o, const char *os_name)
{
        g_autoptr(GPtrArray) all = ostree_sysroot_get_deployments(o->sysroot);

        for (guint i = 0; i < all->len; i++) {
                OstreeDeployment *d = g_ptr_array_index(all, i);

                if (!os_name || strcmp(ostree_deployment_get_osname(d), os_name) == 0)
                        return g_object_ref(d);
        }
        return NULL;
}

/* ---- cleaning up ---- */

static bool is_written(InstallOstree *o, const char *commit)
{
        g_autoptr(GPtrArray) all = ostree_sysroot_get_deployments(o->sysroot);

        for (guint i = 0; i < all->len; i++) {
                OstreeDeployment *d = g_ptr_array_index(all, i);

                if (!ostree_deployment_is_staged(d) && strcmp(ostree_deployment_get_csum(d), commit) == 0)
                        return true;
        }
        return false;
}

void install_clean_up_locked(InstallOstree *o)
{
        g_autoptr(OstreeRepo) repo = NULL;
        g_autofree char *pulled = NULL;
        g_autoptr(GError) g = NULL;

        if (ostree_sysroot_get_repo(o->sysroot, &repo, NULL, NULL) && ostree_repo_resolve_rev(repo, PULLED_REF, TRUE, &pulled, NULL) &&
            pulled && is_written(o, pulled))
                (void) ostree_repo_set_ref_immediate(repo, NULL, PULLED_REF, NULL, NULL, NULL);
        if (!ostree_sysroot_cleanup(o->sysroot, NULL, &g))
                g_printerr("uptane-ostree: cleaning up: %s\n", g->message);
}

void install_ostree_clean_up(InstallOstree *o, const InstallWatch *watch)
{
        Error error = { 0 };
        int r = install_lock(o, watch, &error);

        if (r == 0) {
                r = install_sync_boot(o, &error);
                if (r == 0)
                        install_clean_up_locked(o);
                ostree_sysroot_unlock(o->sysroot);
        }
        if (r < 0)
                g_printerr("uptane-ostree: cleaning up: %s\n", error.message);
}

/* ---- deploying ---- */

/* The only folder below ostree/deploy. */
static int only_stateroot(InstallOstree *o, char **ret, Error *error)
{
        g_autofree char *path = g_build_filename(g_file_peek_path(o->path), "ostree", "deploy", NULL);
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        g_autofree char *found = NULL;
        const char *name;

        while (folder && (name = g_dir_read_name(folder))) {
                g_autofree char *full = g_build_filename(path, name, NULL);

                if (!g_file_test(full, G_FILE_TEST_IS_DIR))
                        continue;
                if (found)
                        return error_set(error, ERR_CONFIG, "the sysroot has several OS names, '%.60s' and '%.60s': say --os", found, name);
                found = g_strdup(name);
        }
        if (!found)
                return error_set(error, ERR_CONFIG, "the sysroot has no OS yet");
        *ret = xstrdup(found);
        return 0;
}

static int choose_os(InstallOstree *o, char **ret, Error *error)
{
        OstreeDeployment *booted = ostree_sysroot_get_booted_deployment(o->sysroot);

        if (!o->os_name && !booted)
                return only_stateroot(o, ret, error);
        *ret = xstrdup(o->os_name ? o->os_name : ostree_deployment_get_osname(booted));
        return 0;
}

static int check_pulled(InstallOstree *o, OstreeRepo *repo, const char *commit, const InstallWatch *watch, GVariant **ret, Error *error)
{
        g_autoptr(GVariant) bytes = NULL;
        OstreeRepoCommitState state = 0;
        GError *g = NULL;

        if (!ostree_repo_load_commit(repo, commit, &bytes, &state, &g))
                return install_set_error(error, ERR_NOT_FOUND, g, "the commit is not there");
        if (state & OSTREE_REPO_COMMIT_STATE_PARTIAL)
                return error_set(error, ERR_NOT_FOUND, "commit %s is there only in part", commit);
        if (install_verify_objects(repo, commit, watch, error) < 0 || install_check_architecture(bytes, error) < 0)
                return -1;
        if (install_check_boot_space(o, repo, bytes, NULL, error) < 0)
                return -1;
        *ret = g_steal_pointer(&bytes);
        return 0;
}

/* Freezing writes the journal's content to where a boot loader looks for it. No signal may come between the two. */
static void freeze_and_thaw(int fd)
{
        sigset_t all, old;

        (void) sigfillset(&all);
        if (sigprocmask(SIG_BLOCK, &all, &old) < 0)
                return;
        if (ioctl(fd, FIFREEZE, 0) == 0)
                while (ioctl(fd, FITHAW, 0) < 0 && errno == EINTR)
                        ;
        (void) sigprocmask(SIG_SETMASK, &old, NULL);
}

/* Only a file system that is /boot's alone is frozen: the root's would take this process with it. */
int install_sync_boot(InstallOstree *o, Error *error)
{
        g_autofree char *boot = g_build_filename(g_file_peek_path(o->path), "boot", NULL);
        cleanup_close int fd = open(boot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat a, b;

        if (fd < 0 || fstat(fd, &a) < 0 || stat(g_file_peek_path(o->path), &b) < 0)
                return error_set_errno(error, ERR_INSTALL, errno, "%s", boot);
        if (syncfs(fd) < 0)
                return error_set_errno(error, errno == ENOSPC ? ERR_NO_SPACE : ERR_INSTALL, errno, "writing %s to the medium", boot);
        if (ostree_sysroot_get_booted_deployment(o->sysroot) && a.st_dev != b.st_dev)
                freeze_and_thaw(fd);
        return 0;
}

typedef struct Deploy {
        char *os_name;
        OstreeDeployment *booted; /* borrowed */
        OstreeDeployment *first, *merge;
        OstreeRepo *repo;
        GKeyFile *origin;
        char **arguments;
} Deploy;

static void deploy_done(Deploy *d)
{
        free(d->os_name);
        g_clear_object(&d->first);
        g_clear_object(&d->merge);
        g_clear_object(&d->repo);
        g_clear_pointer(&d->origin, g_key_file_unref);
        g_strfreev(d->arguments);
}

/* What waits for a reboot with other kernel arguments than those wanted now is made again. */
static bool is_next_already(const InstallOstree *o, const Deploy *d, const char *commit)
{
        return d->first && strcmp(ostree_deployment_get_csum(d->first), commit) == 0 &&
               strcmp(ostree_deployment_get_osname(d->first), d->os_name) == 0 &&
               (d->first == d->booted || install_has_wanted_arguments(o, d->first));
}

static int deploy_prepare(InstallOstree *o, Deploy *d, const InstallDeployment *new, const InstallWatch *watch, Error *error)
{
        g_autoptr(GVariant) commit = NULL;
        GError *g = NULL;

        if (install_reload(o, error) < 0 || choose_os(o, &d->os_name, error) < 0)
                return -1;
        if (!ostree_sysroot_get_repo(o->sysroot, &d->repo, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "opening the repository");
        d->booted = ostree_sysroot_get_booted_deployment(o->sysroot);
        d->first = install_first_deployment(o, NULL);
        if (!is_next_already(o, d, new->commit) && check_pulled(o, d->repo, new->commit, watch, &commit, error) < 0)
                return -1;
        d->merge = ostree_sysroot_get_merge_deployment(o->sysroot, d->os_name);
        if (!is_next_already(o, d, new->commit) && install_kernel_arguments(o, d->merge, commit, &d->arguments, error) < 0)
                return -1;
        d->origin = ostree_sysroot_origin_new_from_refspec(o->sysroot, new->commit);
        g_key_file_set_string(d->origin, "uptane", "image", new->name);
        return 0;
}

/* libostree's own word for it: while this file is there, no shutdown writes what is staged. */
static int set_held(bool hold, Error *error)
{
        cleanup_close int fd = -1;

        if (!hold)
                return unlink(INSTALL_HELD) < 0 && errno != ENOENT ? error_set_errno(error, ERR_INSTALL, errno, INSTALL_HELD) : 0;
        if (mkdir(INSTALL_RUN, 0755) < 0 && errno != EEXIST)
                return error_set_errno(error, ERR_INSTALL, errno, INSTALL_RUN);
        fd = open(INSTALL_HELD, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        return fd < 0 ? error_set_errno(error, ERR_INSTALL, errno, INSTALL_HELD) : 0;
}

int install_ostree_release(InstallOstree *o, Error *error)
{
        if (access(INSTALL_HELD, F_OK) < 0)
                return errno == ENOENT ? 0 : error_set_errno(error, ERR_INSTALL, errno, INSTALL_HELD);
        return install_begin_trial(o, error) < 0 ? -1 : set_held(false, error);
}

/* It becomes a deployment at shutdown, with the /etc of that moment. */
static int stage(InstallOstree *o, Deploy *d, const InstallDeployment *new, Error *error)
{
        OstreeSysrootDeployTreeOpts options = { .override_kernel_argv = d->arguments };
        g_autoptr(OstreeDeployment) staged = NULL;
        GError *g = NULL;

        /* what was staged and never written lies about; one of each drive without consent would fill the disk */
        if (!ostree_sysroot_prepare_cleanup(o->sysroot, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "cleaning up");
        if (set_held(new->hold, error) < 0)
                return -1;
        if (!ostree_sysroot_stage_tree_with_options(o->sysroot, d->os_name, new->commit, d->origin, d->merge, &options, &staged, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "staging the deployment");
        return 0;
}

static int write_now(InstallOstree *o, Deploy *d, const char *commit, Error *error)
{
        g_autoptr(OstreeDeployment) new = NULL;
        GError *g = NULL;

        if (!ostree_sysroot_deploy_tree(o->sysroot, d->os_name, commit, d->origin, d->merge, d->arguments, &new, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "checking out the deployment");
        if (!ostree_sysroot_simple_write_deployment(o->sysroot, d->os_name, new, d->merge,
                                                    OSTREE_SYSROOT_SIMPLE_WRITE_DEPLOYMENT_FLAGS_NO_CLEAN, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "writing the boot entries");
        return install_sync_boot(o, error);
}

/* Kept until the new one is known to be good: what runs; where nothing is booted, what would. */
static int pin_known_good(InstallOstree *o, Deploy *d, const char *commit, Error *error)
{
        OstreeDeployment *good = d->booted ? d->booted : d->first;

        return good && strcmp(ostree_deployment_get_csum(good), commit) != 0 ? install_pin(o, good, error) : 0;
}

/* New software never becomes the next to boot before the boot loader counts its boots, if that can be helped. */
static int deploy_new(InstallOstree *o, Deploy *d, const InstallDeployment *new, Error *error)
{
        bool staged = d->booted && !o->no_stage && !o->boot->counts_entries && access("/run/systemd/system", F_OK) == 0;
        bool held = staged && new->hold; /* then it is counted from install_ostree_release() on */

        if (!held && !o->boot->counts_entries && install_begin_trial(o, error) < 0)
                return -1;
        if (staged)
                return stage(o, d, new, error);
        if (write_now(o, d, new->commit, error) < 0 || (o->boot->counts_entries && install_begin_trial(o, error) < 0))
                return -1;
        install_clean_up_locked(o);
        return 0;
}

/* A power cut may have come between the deployment and what belongs to it. */
static int complete_trial(InstallOstree *o, Deploy *d, const InstallDeployment *new, Error *error)
{
        bool staged = ostree_deployment_is_staged(d->first);

        if (!(staged && new->hold) && install_begin_trial(o, error) < 0)
                return -1;
        return staged ? set_held(new->hold, error) : 0;
}

static int deploy_locked(InstallOstree *o, const InstallDeployment *new, const InstallWatch *watch, bool *ret_need_reboot, Error *error)
{
        __attribute__((cleanup(deploy_done))) Deploy d = { 0 };
        bool need_reboot = true;

        if (deploy_prepare(o, &d, new, watch, error) < 0 || pin_known_good(o, &d, new->commit, error) < 0)
                return -1;
        if (!is_next_already(o, &d, new->commit)) {
                if (deploy_new(o, &d, new, error) < 0)
                        return -1;
        } else {
                need_reboot = !d.booted || !ostree_deployment_equal(d.first, d.booted);
                if (need_reboot && complete_trial(o, &d, new, error) < 0)
                        return -1;
        }
        *ret_need_reboot = need_reboot;
        return 0;
}

/* Where /sysroot is mounted read-only: libostree does that before it locks, whether it gets the lock or not. */
int install_make_writable(InstallOstree *o, Error *error)
{
        gboolean locked = FALSE;
        GError *g = NULL;

        if (!ostree_sysroot_is_booted(o->sysroot))
                return 0;
        if (!ostree_sysroot_try_lock(o->sysroot, &locked, &g))
                return install_set_error(error, ERR_INSTALL, g, "making the sysroot writable");
        if (locked)
                ostree_sysroot_unlock(o->sysroot);
        return 0;
}

/*
 * Who has it may be our own predecessor: a daemon that died while it installed installs again, and the helper it had asked
 * still works.
 */
int install_lock(InstallOstree *o, const InstallWatch *watch, Error *error)
{
        gboolean locked = FALSE;
        GError *g = NULL;

        for (;;) {
                if (!ostree_sysroot_try_lock(o->sysroot, &locked, &g))
                        return install_set_error(error, ERR_INSTALL, g, "locking the sysroot");
                if (locked)
                        break;
                if (watch->cancelled(watch->userdata))
                        return error_set(error, ERR_CANCELLED, "given up while another program was changing the sysroot");
                g_usleep(LOCK_PAUSE);
        }
        if (ostree_sysroot_load_if_changed(o->sysroot, NULL, NULL, &g))
                return 0;
        ostree_sysroot_unlock(o->sysroot);
        return install_set_error(error, ERR_INSTALL, g, "reading the sysroot");
}

int install_ostree_deploy(InstallOstree *o, const InstallDeployment *deployment, const InstallWatch *watch, bool *ret_need_reboot,
                          Error *error)
{
        int r;

        if (install_check_commit(deployment->commit, error) < 0 || install_lock(o, watch, error) < 0)
                return -1;
        r = deploy_locked(o, deployment, watch, ret_need_reboot, error);
        ostree_sysroot_unlock(o->sysroot);
        return r;
}
