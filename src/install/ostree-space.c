/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a commit fits, asked before anything big is fetched. How much the objects need that are not there yet is known where
 * the commit lists their sizes ("ostree.sizes"), or its image's metadata has a length; otherwise the disk will say it.
 * What /boot needs is the kernel and the initramfs, if no deployment has the same.
 */
#include "install/ostree-private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define MODULES "/usr/lib/modules"
#define BOOT_RESERVE (UINT64_C(256) * 1024) /* entries, and the folders they are in */
#define N_PARTS ELEMENTSOF(parts)

static const char *const parts[] = { "vmlinuz", "initramfs.img" };

/* What a disk gives for it: whole blocks. */
static uint64_t on_disk(uint64_t size)
{
        return (size + 4095) & ~UINT64_C(4095);
}

static int check_fits(const char *where, uint64_t needed, uint64_t reserve, Error *error)
{
        struct statvfs vfs;
        uint64_t available;

        if (statvfs(where, &vfs) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "%s", where);
        available = (uint64_t) vfs.f_bavail * vfs.f_frsize;
        available = available > reserve ? available - reserve : 0;
        if (needed <= available)
                return 0;
        return error_set(error, ERR_NO_SPACE, "%s: %llu KiB are needed, %llu KiB are available", where,
                         (unsigned long long) (needed >> 10), (unsigned long long) (available >> 10));
}

/* ---- the repository ---- */

static uint64_t sum_sizes(OstreeRepo *repo, GPtrArray *sizes)
{
        uint64_t sum = 0;

        for (guint i = 0; i < sizes->len; i++) {
                const OstreeCommitSizesEntry *entry = g_ptr_array_index(sizes, i);
                gboolean there = FALSE;

                if (ostree_repo_has_object(repo, entry->objtype, entry->checksum, &there, NULL, NULL) && there)
                        continue;
                sum += on_disk(entry->unpacked);
        }
        return sum;
}

int install_check_repo_space(OstreeRepo *repo, GVariant *commit, uint64_t size, Error *error)
{
        g_autofree char *path = g_file_get_path(ostree_repo_get_path(repo));
        g_autoptr(GPtrArray) sizes = NULL;
        guint64 reserve = 0;

        if (ostree_commit_get_object_sizes(commit, &sizes, NULL))
                size = sum_sizes(repo, sizes);
        if (!ostree_repo_get_min_free_space_bytes(repo, &reserve, NULL))
                reserve = 0;
        return size > 0 ? check_fits(path, size, reserve, error) : 0;
}

/* ---- /boot ---- */

/* The entry of a folder of the commit. files: in (say), otherwise in (sayay). False if it is not there. */
static bool find_entry(GVariant *tree, bool files, const char *name, char **ret)
{
        g_autoptr(GVariant) entries = g_variant_get_child_value(tree, files ? 0 : 1);
        gsize low = 0, high = g_variant_n_children(entries);

        while (low < high) {
                gsize middle = low + (high - low) / 2;
                g_autoptr(GVariant) checksum = NULL;
                const char *found;
                int order;

                g_variant_get_child(entries, middle, files ? "(&s@ay)" : "(&s@ay@ay)", &found, &checksum, NULL);
                order = strcmp(name, found);
                if (order == 0) {
                        *ret = ostree_checksum_from_bytes_v(checksum);
                        return true;
                }
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return false;
}

static GVariant *load_tree(OstreeRepo *repo, const char *checksum)
{
        GVariant *tree = NULL;

        return ostree_repo_load_variant_if_exists(repo, OSTREE_OBJECT_TYPE_DIR_TREE, checksum, &tree, NULL) ? tree : NULL;
}

/* The folder path of the commit, as far as its metadata is there. */
static GVariant *find_tree(OstreeRepo *repo, GVariant *commit, const char *path)
{
        g_autoptr(GVariant) root = g_variant_get_child_value(commit, 6);
        g_autofree char *checksum = ostree_checksum_from_bytes_v(root);
        g_auto(GStrv) names = g_strsplit(path + 1, "/", -1);
        g_autoptr(GVariant) tree = load_tree(repo, checksum);

        for (size_t i = 0; tree && names[i]; i++) {
                g_autoptr(GVariant) above = g_steal_pointer(&tree);
                g_autofree char *next = NULL;

                if (find_entry(above, false, names[i], &next))
                        tree = load_tree(repo, next);
        }
        return g_steal_pointer(&tree);
}

/* Its only folder below MODULES; NULL if there is none or there are several: then libostree looks elsewhere. */
static char *kernel_folder(GVariant *modules)
{
        g_autoptr(GVariant) folders = g_variant_get_child_value(modules, 1);
        const char *name;

        if (g_variant_n_children(folders) != 1)
                return NULL;
        g_variant_get_child(folders, 0, "(&s@ay@ay)", &name, NULL, NULL);
        return g_build_filename(MODULES, name, NULL);
}

static void kernel_done(InstallKernel *kernel)
{
        for (size_t i = 0; i < N_PARTS; i++)
                g_free(kernel->checksums[i]);
        g_free(kernel->folder);
}
#define cleanup_kernel __attribute__((cleanup(kernel_done)))

/* ostree_repo_pull_with_options() of a path that nothing has fetches the folders on the way there. */
static int fetch_tree(const InstallFetch *fetch, const char *folder, Error *error)
{
        g_autofree char *path = g_build_filename(folder, ".nothing", NULL);

        return fetch ? fetch->paths(fetch->userdata, (const char *const[]) { path, NULL }, error) : 0;
}

/* 1; 0: no kernel where it belongs, which libostree has older places for. fetch: NULL where the commit is complete. */
static int find_kernel(OstreeRepo *repo, GVariant *commit, const InstallFetch *fetch, InstallKernel *ret, Error *error)
{
        g_autoptr(GVariant) modules = NULL, tree = NULL;

        if (fetch_tree(fetch, MODULES, error) < 0)
                return -1;
        modules = find_tree(repo, commit, MODULES);
        ret->folder = modules ? kernel_folder(modules) : NULL;
        if (!ret->folder)
                return 0;
        if (fetch_tree(fetch, ret->folder, error) < 0)
                return -1;
        tree = find_tree(repo, commit, ret->folder);
        for (size_t i = 0; i < N_PARTS; i++)
                if (!tree || (!find_entry(tree, true, parts[i], &ret->checksums[i]) && i == 0))
                        return 0;
        return 1;
}

static bool is_same_kernel(const InstallKernel *a, const InstallKernel *b)
{
        for (size_t i = 0; i < N_PARTS; i++)
                if (g_strcmp0(a->checksums[i], b->checksums[i]) != 0)
                        return false;
        return true;
}

/* Kernel files of the same content are in /boot once. */
static bool is_in_boot(InstallOstree *o, OstreeRepo *repo, const InstallKernel *kernel)
{
        g_autoptr(GPtrArray) all = ostree_sysroot_get_deployments(o->sysroot);

        for (guint i = 0; i < all->len; i++) {
                OstreeDeployment *d = g_ptr_array_index(all, i);
                g_autoptr(GVariant) commit = NULL;
                cleanup_kernel InstallKernel other = { 0 };
                Error ignored = { 0 };

                if (!ostree_deployment_is_staged(d) &&
                    ostree_repo_load_variant(repo, OSTREE_OBJECT_TYPE_COMMIT, ostree_deployment_get_csum(d), &commit, NULL) &&
                    find_kernel(repo, commit, NULL, &other, &ignored) > 0 && is_same_kernel(kernel, &other))
                        return true;
        }
        return false;
}

static bool size_from_commit(GVariant *commit, const char *checksum, uint64_t *ret)
{
        g_autoptr(GPtrArray) sizes = NULL;

        if (!ostree_commit_get_object_sizes(commit, &sizes, NULL))
                return false;
        for (guint i = 0; i < sizes->len; i++) {
                const OstreeCommitSizesEntry *entry = g_ptr_array_index(sizes, i);

                if (entry->objtype == OSTREE_OBJECT_TYPE_FILE && strcmp(entry->checksum, checksum) == 0) {
                        *ret = entry->unpacked;
                        return true;
                }
        }
        return false;
}

/* Where no size is told, they are fetched: they will be needed if they fit, and are little beside the rest. */
static int add_size(OstreeRepo *repo, GVariant *commit, const InstallFetch *fetch, const char *path, const char *checksum, uint64_t *sum,
                    Error *error)
{
        g_autoptr(GFileInfo) info = NULL;
        uint64_t size = 0;
        GError *g = NULL;

        if (!size_from_commit(commit, checksum, &size)) {
                if (fetch && fetch->paths(fetch->userdata, (const char *const[]) { path, NULL }, error) < 0)
                        return -1;
                if (!ostree_repo_load_file(repo, checksum, NULL, &info, NULL, NULL, &g))
                        return install_set_error(error, ERR_SYSTEM, g, "the kernel of the commit");
                size = (uint64_t) g_file_info_get_size(info);
        }
        *sum += on_disk(size);
        return 0;
}

int install_check_boot_space(InstallOstree *o, OstreeRepo *repo, GVariant *commit, const InstallFetch *fetch, Error *error)
{
        g_autofree char *boot = g_build_filename(g_file_peek_path(o->path), "boot", NULL);
        cleanup_kernel InstallKernel kernel = { 0 };
        uint64_t needed = BOOT_RESERVE;
        struct stat a, b;
        int r;

        if (stat(boot, &a) < 0 || stat(g_file_peek_path(o->path), &b) < 0 || a.st_dev == b.st_dev)
                return 0; /* links to what the repository has */
        r = find_kernel(repo, commit, fetch, &kernel, error);
        if (r <= 0)
                return r;
        for (size_t i = 0; i < N_PARTS && !is_in_boot(o, repo, &kernel); i++) {
                g_autofree char *path = g_build_filename(kernel.folder, parts[i], NULL);

                if (kernel.checksums[i] && add_size(repo, commit, fetch, path, kernel.checksums[i], &needed, error) < 0)
                        return -1;
        }
        return check_fits(boot, needed, 0, error);
}
