/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From new software that nobody knows to software that is good, or back to the old: what is pinned, what the boot loader
 * counts, and the order of the deployments. Whatever the boot loader counts or remembers is the driver's business.
 */
#include <string.h>

#include "install/ostree-private.h"

#define OUR_GROUP "uptane"
#define OUR_PIN "pinned" /* beside libostree's own: one that somebody else set is not taken away */
#define TRANSIENT_GROUP "libostree-transient"
#define TRANSIENT_PIN "pinned"

/* ---- the boot loader ---- */

typedef struct Loader {
        BootContext context;
        char *entries, *first, *booted;
} Loader;

static void loader_done(Loader *l)
{
        g_free(l->entries);
        g_free(l->first);
        g_free(l->booted);
}
#define cleanup_loader __attribute__((cleanup(loader_done)))

/* "ostree=..." of its kernel arguments, which no other deployment has. */
static char *boot_word(OstreeDeployment *d)
{
        OstreeBootconfigParser *config = d ? ostree_deployment_get_bootconfig(d) : NULL;
        const char *options = config ? ostree_bootconfig_parser_get(config, "options") : NULL;
        g_auto(GStrv) words = g_strsplit_set(options ? options : "", " \t", -1);

        for (size_t i = 0; words[i]; i++)
                if (g_str_has_prefix(words[i], "ostree="))
                        return g_strdup(words[i]);
        return g_strdup("");
}

static const BootContext *look_at_loader(InstallOstree *o, Loader *ret)
{
        g_autoptr(OstreeDeployment) first = install_first_deployment(o, NULL);
        OstreeDeployment *booted = ostree_sysroot_get_booted_deployment(o->sysroot);

        ret->entries = g_build_filename(g_file_peek_path(o->path), "boot", "loader", "entries", NULL);
        ret->first = boot_word(first);
        ret->booted = boot_word(booted ? booted : first);
        ret->context = (BootContext) { .entries = ret->entries, .first = ret->first, .booted = ret->booted };
        return &ret->context;
}

int install_begin_trial(InstallOstree *o, Error *error)
{
        cleanup_loader Loader l = { 0 };

        if (o->boot->set_trial(look_at_loader(o, &l), error) < 0)
                return -1;
        return o->boot->counts_entries ? install_sync_boot(o, error) : 0;
}

/* ---- pins ---- */

static bool is_ours(OstreeDeployment *d)
{
        GKeyFile *origin = ostree_deployment_get_origin(d);

        return origin && g_key_file_get_boolean(origin, OUR_GROUP, OUR_PIN, NULL);
}

static void remove_key(GKeyFile *file, const char *group, const char *key)
{
        gsize n = 0;

        (void) g_key_file_remove_key(file, group, key, NULL);
        g_strfreev(g_key_file_get_keys(file, group, &n, NULL));
        if (n == 0)
                (void) g_key_file_remove_group(file, group, NULL);
}

/* Both marks in one write: after a power cut there are both or none. */
static int write_pin(InstallOstree *o, OstreeDeployment *d, bool pinned, Error *error)
{
        GKeyFile *old = ostree_deployment_get_origin(d);
        g_autofree char *text = old ? g_key_file_to_data(old, NULL, NULL) : g_strdup("");
        g_autoptr(GKeyFile) origin = g_key_file_new();
        GError *g = NULL;

        if (!g_key_file_load_from_data(origin, text, strlen(text), G_KEY_FILE_KEEP_COMMENTS, &g))
                return install_set_error(error, ERR_INSTALL, g, "reading an origin");
        if (pinned) {
                g_key_file_set_boolean(origin, OUR_GROUP, OUR_PIN, TRUE);
                g_key_file_set_boolean(origin, TRANSIENT_GROUP, TRANSIENT_PIN, TRUE);
        } else {
                remove_key(origin, OUR_GROUP, OUR_PIN);
                remove_key(origin, TRANSIENT_GROUP, TRANSIENT_PIN);
        }
        if (!ostree_sysroot_write_origin_file(o->sysroot, d, origin, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "pinning a deployment");
        ostree_deployment_set_origin(d, origin);
        return 0;
}

int install_pin(InstallOstree *o, OstreeDeployment *d, Error *error)
{
        return ostree_deployment_is_pinned(d) ? 0 : write_pin(o, d, true, error);
}

static int unpin_all(InstallOstree *o, Error *error)
{
        g_autoptr(GPtrArray) all = ostree_sysroot_get_deployments(o->sysroot);

        for (guint i = 0; i < all->len; i++) {
                OstreeDeployment *d = g_ptr_array_index(all, i);

                if (is_ours(d) && write_pin(o, d, false, error) < 0)
                        return -1;
        }
        return 0;
}

/* ---- looking ---- */

static bool has_pins(InstallOstree *o)
{
        g_autoptr(GPtrArray) all = ostree_sysroot_get_deployments(o->sysroot);

        for (guint i = 0; i < all->len; i++)
                if (is_ours(g_ptr_array_index(all, i)))
                        return true;
        return false;
}

void install_status_done(InstallStatus *status)
{
        g_strfreev(status->deployed);
        *status = (InstallStatus) { 0 };
}

static char **list_commits(InstallOstree *o)
{
        g_autoptr(GPtrArray) all = ostree_sysroot_get_deployments(o->sysroot);
        g_autoptr(GPtrArray) commits = g_ptr_array_new();

        for (guint i = 0; i < all->len; i++)
                g_ptr_array_add(commits, g_strdup(ostree_deployment_get_csum(g_ptr_array_index(all, i))));
        g_ptr_array_add(commits, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&commits), FALSE);
}

/* Which software runs is known, even where the boot loader's tools fail: then marking it good will say so. */
int install_ostree_status(InstallOstree *o, InstallStatus *ret, Error *error)
{
        g_autoptr(OstreeDeployment) first = NULL;
        cleanup_loader Loader l = { 0 };
        BootState state = { .counting = true };
        OstreeDeployment *booted;
        Error why = { 0 };

        if (install_reload(o, error) < 0)
                return -1;
        first = install_first_deployment(o, o->os_name);
        booted = ostree_sysroot_get_booted_deployment(o->sysroot);
        if (!booted)
                booted = first;
        if (o->boot->get_state(look_at_loader(o, &l), &state, &why) < 0)
                g_printerr("uptane-ostree: %s\n", why.message);
        *ret = (InstallStatus) { .trial = state.counting || has_pins(o), .rolled_back = state.rolled_back, .deployed = list_commits(o) };
        (void) g_strlcpy(ret->booted, booted ? ostree_deployment_get_csum(booted) : "", sizeof ret->booted);
        return 0;
}

/* ---- ending a trial ---- */

/* The pins go last: a power cut before leaves something that is called a trial, and is ended again. */
static int mark_good_locked(InstallOstree *o, Error *error)
{
        cleanup_loader Loader l = { 0 };

        if (install_reload(o, error) < 0 || o->boot->set_good(look_at_loader(o, &l), error) < 0 ||
            (o->boot->counts_entries && install_sync_boot(o, error) < 0))
                return -1;
        return unpin_all(o, error);
}

int install_ostree_mark_good(InstallOstree *o, const InstallWatch *watch, Error *error)
{
        int r;

        if (install_lock(o, watch, error) < 0)
                return -1;
        r = mark_good_locked(o, error);
        ostree_sysroot_unlock(o->sysroot);
        return r;
}

static const char *os_of(GPtrArray *all, const char *commit)
{
        for (guint i = 0; i < all->len; i++)
                if (strcmp(ostree_deployment_get_csum(g_ptr_array_index(all, i)), commit) == 0)
                        return ostree_deployment_get_osname(g_ptr_array_index(all, i));
        return NULL;
}

/* The deployment to go back to: one of the same OS that was pinned as good, or else the next in order. Borrowed; NULL: none. */
static OstreeDeployment *known_good(GPtrArray *all, const char *bad)
{
        const char *os = os_of(all, bad);
        OstreeDeployment *found = NULL;

        for (guint i = 0; i < all->len; i++) {
                OstreeDeployment *d = g_ptr_array_index(all, i);

                if (strcmp(ostree_deployment_get_csum(d), bad) == 0 || ostree_deployment_is_staged(d) ||
                    (os && strcmp(ostree_deployment_get_osname(d), os) != 0))
                        continue;
                if (is_ours(d))
                        return d;
                if (!found)
                        found = d;
        }
        return found;
}

/* What is only staged is not among them, and given up with that. */
static int write_order(InstallOstree *o, GPtrArray *all, OstreeDeployment *first, Error *error)
{
        g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func(g_object_unref);
        OstreeSysrootWriteDeploymentsOpts options = { .do_postclean = FALSE };
        GError *g = NULL;

        g_ptr_array_add(order, g_object_ref(first));
        for (guint i = 0; i < all->len; i++)
                if (g_ptr_array_index(all, i) != first && !ostree_deployment_is_staged(g_ptr_array_index(all, i)))
                        g_ptr_array_add(order, g_object_ref(g_ptr_array_index(all, i)));
        if (!ostree_sysroot_write_deployments_with_options(o->sysroot, order, &options, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "writing the boot entries");
        return install_sync_boot(o, error);
}

/*
 * Where the boot loader counts, it counts anew for the old, which gets as many tries; until it is written as first, so has
 * the new. libostree may swap what two entries lead to and leave the entries as they are, with the count of the new: hence
 * the count of entries is always set.
 */
static int rollback_locked(InstallOstree *o, const char *bad, bool *ret_need_reboot, Error *error)
{
        g_autoptr(GPtrArray) all = NULL;
        OstreeDeployment *good, *booted;
        bool need_reboot, wrong;

        if (install_reload(o, error) < 0)
                return -1;
        all = ostree_sysroot_get_deployments(o->sysroot);
        booted = ostree_sysroot_get_booted_deployment(o->sysroot);
        good = known_good(all, bad);
        if (!good)
                return error_set(error, ERR_INSTALL, "there is nothing to go back to");
        need_reboot = !booted || strcmp(ostree_deployment_get_csum(booted), bad) == 0;
        wrong = strcmp(ostree_deployment_get_csum(g_ptr_array_index(all, 0)), bad) == 0;
        if ((wrong && !o->boot->counts_entries && install_begin_trial(o, error) < 0) || (wrong && write_order(o, all, good, error) < 0) ||
            (o->boot->counts_entries && install_begin_trial(o, error) < 0))
                return -1;
        *ret_need_reboot = need_reboot;
        return 0;
}

int install_ostree_rollback(InstallOstree *o, const char *commit, const InstallWatch *watch, bool *ret_need_reboot, Error *error)
{
        int r;

        if (install_check_commit(commit, error) < 0 || install_lock(o, watch, error) < 0)
                return -1;
        r = rollback_locked(o, commit, ret_need_reboot, error);
        ostree_sysroot_unlock(o->sysroot);
        return r;
}
