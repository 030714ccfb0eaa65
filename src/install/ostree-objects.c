/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every object of a commit, from the commit down: is it there, and is it what its name says? libostree asks that of what it
 * fetches, never of what is there already: an object damaged on the disk would be a part of every later deployment. What is
 * damaged is removed, and the commit marked as incomplete, so that the next pull fetches just that.
 *
 * Reading everything takes its time. So of a commit that was found good, which inodes its objects are, and when they were changed
 * last, is kept, as one hash, until the next boot: while that is the same, they are not read again.
 */
#include "install/ostree-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"

#define GOOD INSTALL_RUN "/uptane-verified" /* the commit, and that hash */

typedef struct Walk {
        OstreeRepo *repo;
        const InstallWatch *watch;
        GHashTable *seen;   /* names of objects */
        GPtrArray *folders; /* checksums of dirtrees whose entries wait to be looked at */
        GChecksum *inodes;
        bool read;          /* the objects themselves, too */
        uint64_t n_bad;
        char first_bad[80];
} Walk;

static void walk_done(Walk *w)
{
        g_hash_table_unref(w->seen);
        g_ptr_array_unref(w->folders);
        g_checksum_free(w->inodes);
}

static Walk walk_new(OstreeRepo *repo, const InstallWatch *watch, bool read)
{
        return (Walk) { .repo = repo, .watch = watch, .read = read, .inodes = g_checksum_new(G_CHECKSUM_SHA256),
                        .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                        .folders = g_ptr_array_new_with_free_func(g_free) };
}

/* False if there is no such object. */
static bool add_inode(Walk *w, const char *path)
{
        g_autofree char *text = NULL;
        struct stat st;

        if (fstatat(ostree_repo_get_dfd(w->repo), path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return false;
        text = g_strdup_printf("%s %llu %llu %lld %lld.%09ld\n", path, (unsigned long long) st.st_dev, (unsigned long long) st.st_ino,
                               (long long) st.st_size, (long long) st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
        g_checksum_update(w->inodes, (const guchar *) text, -1);
        return true;
}

/* Removing it may fail, where the disk is read-only: then fetching it again will, too, and say why. */
static void remove_bad(Walk *w, OstreeObjectType type, const char *checksum)
{
        if (w->n_bad++ == 0)
                (void) snprintf(w->first_bad, sizeof w->first_bad, "%.64s.%s", checksum, ostree_object_type_to_string(type));
        (void) ostree_repo_delete_object(w->repo, type, checksum, NULL, NULL);
}

/* 1: it is good, and was not seen before; 0: nothing more to do. */
static int look_at(Walk *w, OstreeObjectType type, const char *checksum, Error *error)
{
        g_autofree char *name = ostree_object_to_string(checksum, type), *path = g_strdup_printf("objects/%.2s/%s", name, name + 2);

        if (!g_hash_table_add(w->seen, g_steal_pointer(&name)))
                return 0;
        if (w->watch->cancelled(w->watch->userdata))
                return error_set(error, ERR_CANCELLED, "given up while objects were verified");
        if (w->read)
                w->watch->step(w->watch->userdata, INSTALL_VERIFYING, g_hash_table_size(w->seen), 0);
        if (add_inode(w, path) && (!w->read || ostree_repo_fsck_object(w->repo, type, checksum, NULL, NULL)))
                return 1;
        if (w->read)
                remove_bad(w, type, checksum);
        return 0;
}

static int look_at_bytes(Walk *w, OstreeObjectType type, GVariant *bytes, Error *error)
{
        g_autofree char *checksum = ostree_checksum_from_bytes_v(bytes);
        int r = look_at(w, type, checksum, error);

        if (r > 0 && type == OSTREE_OBJECT_TYPE_DIR_TREE)
                g_ptr_array_add(w->folders, g_steal_pointer(&checksum));
        return r;
}

static int look_at_folder(Walk *w, const char *checksum, Error *error)
{
        g_autoptr(GVariant) tree = NULL, files = NULL, folders = NULL;
        GError *g = NULL;

        if (!ostree_repo_load_variant(w->repo, OSTREE_OBJECT_TYPE_DIR_TREE, checksum, &tree, &g))
                return install_set_error(error, ERR_SYSTEM, g, "reading a folder of the commit");
        files = g_variant_get_child_value(tree, 0);
        folders = g_variant_get_child_value(tree, 1);
        for (gsize i = 0; i < g_variant_n_children(files); i++) {
                g_autoptr(GVariant) file = NULL;

                g_variant_get_child(files, i, "(&s@ay)", NULL, &file);
                if (look_at_bytes(w, OSTREE_OBJECT_TYPE_FILE, file, error) < 0)
                        return -1;
        }
        for (gsize i = 0; i < g_variant_n_children(folders); i++) {
                g_autoptr(GVariant) contents = NULL, meta = NULL;

                g_variant_get_child(folders, i, "(&s@ay@ay)", NULL, &contents, &meta);
                if (look_at_bytes(w, OSTREE_OBJECT_TYPE_DIR_TREE, contents, error) < 0 ||
                    look_at_bytes(w, OSTREE_OBJECT_TYPE_DIR_META, meta, error) < 0)
                        return -1;
        }
        return 0;
}

static int walk(Walk *w, const char *commit, Error *error)
{
        g_autoptr(GVariant) bytes = NULL, contents = NULL, meta = NULL;
        GError *g = NULL;
        int r = look_at(w, OSTREE_OBJECT_TYPE_COMMIT, commit, error);

        if (r <= 0)
                return r;
        if (!ostree_repo_load_variant(w->repo, OSTREE_OBJECT_TYPE_COMMIT, commit, &bytes, &g))
                return install_set_error(error, ERR_SYSTEM, g, "reading the commit");
        contents = g_variant_get_child_value(bytes, 6);
        meta = g_variant_get_child_value(bytes, 7);
        if (look_at_bytes(w, OSTREE_OBJECT_TYPE_DIR_META, meta, error) < 0 ||
            look_at_bytes(w, OSTREE_OBJECT_TYPE_DIR_TREE, contents, error) < 0)
                return -1;
        while (w->folders->len > 0) {
                g_autofree char *folder = g_ptr_array_steal_index_fast(w->folders, w->folders->len - 1);

                if (look_at_folder(w, folder, error) < 0)
                        return -1;
        }
        return 0;
}

/* ---- what is known to be good ---- */

static char *good_text(Walk *w, const char *commit)
{
        return g_strdup_printf("%s %s\n", commit, g_checksum_get_string(w->inodes));
}

static bool is_known(OstreeRepo *repo, const char *commit, const InstallWatch *watch)
{
        __attribute__((cleanup(walk_done))) Walk w = walk_new(repo, watch, false);
        cleanup_buffer Buffer known = { 0 };
        g_autofree char *text = NULL;
        Error ignored = { 0 };

        if (file_read(GOOD, 256, &known, &ignored) <= 0 || !g_str_has_prefix(buffer_str(&known), commit) || walk(&w, commit, &ignored) < 0)
                return false;
        text = good_text(&w, commit);
        return strcmp(text, buffer_str(&known)) == 0;
}

/* Where it cannot be kept, it is found out again. */
static void remember(Walk *w, const char *commit)
{
        g_autofree char *text = good_text(w, commit);
        Error ignored = { 0 };

        (void) mkdir(INSTALL_RUN, 0755);
        if (file_write(GOOD, slice_str(text), 0600, &ignored) < 0)
                (void) unlink(GOOD);
}

int install_verify_objects(OstreeRepo *repo, const char *commit, const InstallWatch *watch, Error *error)
{
        __attribute__((cleanup(walk_done))) Walk w = walk_new(repo, watch, true);

        if (is_known(repo, commit, watch))
                return 0;
        if (walk(&w, commit, error) < 0)
                return -1;
        if (w.n_bad == 0) {
                remember(&w, commit);
                return 0;
        }
        (void) ostree_repo_mark_commit_partial(repo, commit, TRUE, NULL);
        return error_set(error, ERR_COMMIT_DAMAGED, "%llu objects are missing or damaged, the first is %s", (unsigned long long) w.n_bad,
                         w.first_bad);
}
