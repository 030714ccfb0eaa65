/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting a commit: the commit object alone, then, if that says that it is for this machine and fits, all that belongs to it, and
 * then every object is verified, those that were there before as well. What is damaged is fetched again.
 */
#include "install/ostree-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "io/file.h"

#define WATCH_MSEC 250
#define METER_MSEC 5
#define NETWORK_RETRIES 2
#define ROUNDS 8 /* of fetching what was found damaged: below a damaged folder may be another one */

typedef struct Pull {
        const InstallPull *request;
        const InstallWatch *watch;
        OstreeRepo *repo;
        InstallMeter *meter;
        GCancellable *cancellable;
        OstreeAsyncProgress *progress; /* of what is fetched now */
        uint64_t before, shown;        /* bytes: of all before it; told */
} Pull;

static void pull_done(Pull *p)
{
        g_clear_object(&p->repo);
        g_clear_object(&p->cancellable);
        p->meter = install_meter_free(p->meter);
}

/* ---- one transfer ---- */

/* Only what is new: who waits takes every word of progress for a sign of life. */
static void show_progress(Pull *p)
{
        uint64_t bytes = p->before + ostree_async_progress_get_uint64(p->progress, "bytes-transferred");

        if (bytes > p->shown) {
                p->watch->progress(p->watch->userdata, bytes, 0);
                p->watch->step(p->watch->userdata, INSTALL_FETCHING, ostree_async_progress_get_uint(p->progress, "fetched"),
                               ostree_async_progress_get_uint(p->progress, "requested"));
        }
        p->shown = MAX(p->shown, bytes);
}

static gboolean on_timer(gpointer userdata)
{
        Pull *p = userdata;

        if (p->watch->cancelled(p->watch->userdata))
                g_cancellable_cancel(p->cancellable);
        else
                show_progress(p);
        return G_SOURCE_CONTINUE;
}

static gboolean on_meter(gpointer userdata)
{
        Pull *p = userdata;

        install_meter_hold(p->meter, p->watch);
        return G_SOURCE_CONTINUE;
}

static GVariant *pull_options(const InstallPull *request, OstreeRepoPullFlags flags, const char *const *paths)
{
        const char *const refs[] = { request->commit, NULL };
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "refs", g_variant_new_strv(refs, 1));
        g_variant_builder_add(&b, "{sv}", "flags", g_variant_new_int32((gint32) flags));
        g_variant_builder_add(&b, "{sv}", "depth", g_variant_new_int32(0));
        if (paths)
                g_variant_builder_add(&b, "{sv}", "subdirs", g_variant_new_strv(paths, -1));
        g_variant_builder_add(&b, "{sv}", "disable-static-deltas", g_variant_new_boolean(!request->deltas));
        g_variant_builder_add(&b, "{sv}", "n-network-retries", g_variant_new_uint32(NETWORK_RETRIES));
        return g_variant_ref_sink(g_variant_builder_end(&b));
}

/* libostree's own words for what libcurl said: "While fetching URL: [60] ..." */
static ErrorCode code_of_curl(const char *message)
{
        const char *at = strstr(message, ": [");
        unsigned n = 0;

        if (!at || sscanf(at, ": [%u]", &n) != 1)
                return ERR_NETWORK;
        switch (n) {
        case 35: /* CURLE_SSL_CONNECT_ERROR */
        case 51: /* CURLE_PEER_FAILED_VERIFICATION of old */
        case 60: /* CURLE_PEER_FAILED_VERIFICATION */
        case 77: /* CURLE_SSL_CACERT_BADFILE */
                return ERR_TLS;
        case 58: /* CURLE_SSL_CERTPROBLEM */
                return ERR_KEY;
        case 28: /* CURLE_OPERATION_TIMEDOUT */
                return ERR_TIMEOUT;
        default:
                return ERR_NETWORK;
        }
}

static ErrorCode code_of(const GError *g)
{
        if (g_error_matches(g, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                return ERR_CANCELLED;
        if (strstr(g->message, "Server returned HTTP"))
                return g_error_matches(g, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ? ERR_NOT_FOUND : ERR_HTTP;
        if (strstr(g->message, "While fetching"))
                return code_of_curl(g->message);
        if (strstr(g->message, "Corrupted ") || strstr(g->message, "checksum expected"))
                return ERR_IMAGE_MISMATCH;
        return ERR_SYSTEM;
}

static int transfer(Pull *p, OstreeRepoPullFlags flags, const char *const *paths, Error *error)
{
        g_autoptr(GVariant) options = pull_options(p->request, flags, paths);
        guint timer = g_timeout_add(WATCH_MSEC, on_timer, p), meter = 0;
        GError *g = NULL;

        if (p->request->max_speed > 0)
                meter = g_timeout_add_full(G_PRIORITY_HIGH, METER_MSEC, on_meter, p, NULL);
        p->progress = ostree_async_progress_new();
        if (ostree_repo_pull_with_options(p->repo, INSTALL_REMOTE, options, p->progress, p->cancellable, &g))
                show_progress(p);
        ostree_async_progress_finish(p->progress);
        p->before = MAX(p->shown, p->before);
        g_clear_object(&p->progress);
        (void) g_source_remove(timer);
        if (meter)
                (void) g_source_remove(meter);
        return g ? install_set_error(error, code_of(g), g, "pulling") : 0;
}

static int fetch_paths(void *userdata, const char *const *paths, Error *error)
{
        return transfer(userdata, OSTREE_REPO_PULL_FLAGS_NONE, paths, error);
}

/* ---- what is fetched ---- */

/* What the commit is called by those who name machines, by the name that uname has for it. */
static const char *architecture_of(const char *name)
{
        static const char *const same[][2] = { { "amd64", "x86_64" }, { "x86-64", "x86_64" }, { "arm64", "aarch64" }, { "i386", "i686" },
                                               { "i486", "i686" }, { "i586", "i686" }, { "arm", "armv7l" }, { "armhf", "armv7l" },
                                               { "armhfp", "armv7l" }, { "armv7hl", "armv7l" }, { "armv8l", "armv7l" } };

        for (size_t i = 0; i < ELEMENTSOF(same); i++)
                if (strcmp(name, same[i][0]) == 0)
                        return same[i][1];
        return name;
}

int install_check_architecture(GVariant *commit, Error *error)
{
        g_autoptr(GVariant) metadata = g_variant_get_child_value(commit, 0);
        const char *name = NULL;
        struct utsname machine;

        if (!g_variant_lookup(metadata, "ostree.architecture", "&s", &name))
                return 0;
        if (uname(&machine) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "uname");
        if (strcmp(architecture_of(name), architecture_of(machine.machine)) != 0)
                return error_set(error, ERR_HARDWARE_ID, "the commit is for architecture '%.40s', this machine is %s", name, machine.machine);
        return 0;
}

/* The commit object, from the repository if it is there and what its name says. */
static int get_commit(Pull *p, GVariant **ret, Error *error)
{
        const char *commit = p->request->commit;
        g_autofree char *sum = NULL;
        GError *g = NULL;

        if (!ostree_repo_fsck_object(p->repo, OSTREE_OBJECT_TYPE_COMMIT, commit, NULL, NULL)) {
                (void) ostree_repo_delete_object(p->repo, OSTREE_OBJECT_TYPE_COMMIT, commit, NULL, NULL);
                if (transfer(p, OSTREE_REPO_PULL_FLAGS_COMMIT_ONLY, NULL, error) < 0)
                        return -1;
        }
        if (!ostree_repo_load_variant(p->repo, OSTREE_OBJECT_TYPE_COMMIT, commit, ret, &g))
                return install_set_error(error, ERR_INSTALL, g, "the pull succeeded and left no commit");
        sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, g_variant_get_data(*ret), g_variant_get_size(*ret));
        if (strcmp(sum, commit) != 0)
                return error_set(error, ERR_IMAGE_MISMATCH, "the commit object has hash %s instead of %s", sum, commit);
        return 0;
}

static bool is_complete(OstreeRepo *repo, const char *commit)
{
        OstreeRepoCommitState state = 0;

        return ostree_repo_load_commit(repo, commit, NULL, &state, NULL) && !(state & OSTREE_REPO_COMMIT_STATE_PARTIAL);
}

/* 1: it is there, and good; 0: something of it has to be fetched. */
static int is_good(Pull *p, Error *error)
{
        Error damage = { 0 };

        if (!is_complete(p->repo, p->request->commit))
                return 0;
        if (install_verify_objects(p->repo, p->request->commit, p->watch, &damage) == 0)
                return 1;
        if (damage.code != ERR_COMMIT_DAMAGED) {
                *error = damage;
                return -1;
        }
        g_printerr("uptane-ostree: %s; fetching again\n", damage.message);
        return 0;
}

static int fetch(InstallOstree *o, Pull *p, Error *error)
{
        const InstallFetch paths = { .paths = fetch_paths, .userdata = p };
        g_autoptr(GVariant) commit = NULL;

        if (get_commit(p, &commit, error) < 0 || install_check_architecture(commit, error) < 0 ||
            install_check_kernel_arguments(o, commit, error) < 0 || install_check_repo_space(p->repo, commit, p->request->size, error) < 0 ||
            install_check_boot_space(o, p->repo, commit, &paths, error) < 0)
                return -1;
        return transfer(p, OSTREE_REPO_PULL_FLAGS_NONE, NULL, error);
}

static int keep(OstreeRepo *repo, const char *commit, Error *error)
{
        GError *g = NULL;

        if (!ostree_repo_set_ref_immediate(repo, NULL, PULLED_REF, commit, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "keeping the commit");
        return 0;
}

static int pull(InstallOstree *o, Pull *p, Error *error)
{
        for (unsigned round = 0; round < ROUNDS; round++) {
                int r = is_good(p, error);

                if (r > 0)
                        return keep(p->repo, p->request->commit, error);
                if (r < 0 || fetch(o, p, error) < 0)
                        return -1;
        }
        return error_set(error, ERR_COMMIT_DAMAGED, "whatever is fetched is damaged on the disk");
}

/* ---- what a disk that is full is left with ---- */

static void remove_folder(int at, const char *name)
{
        int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;

        if (fd >= 0 && !folder)
                close(fd);
        for (struct dirent *e; folder && (e = readdir(folder));)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dirfd(folder), e->d_name, 0) < 0 &&
                    errno == EISDIR)
                        remove_folder(dirfd(folder), e->d_name);
        if (folder)
                closedir(folder);
        (void) unlinkat(at, name, AT_REMOVEDIR);
}

/* libostree keeps what a broken pull has got, for the next one: on a disk that is full, nobody else could go on. */
static void forget_parts(OstreeRepo *repo)
{
        DIR *folder;
        int fd = openat(ostree_repo_get_dfd(repo), "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        folder = fd >= 0 ? fdopendir(fd) : NULL;
        if (fd >= 0 && !folder)
                close(fd);
        for (struct dirent *e; folder && (e = readdir(folder));) {
                g_autofree char *lock = g_strconcat(e->d_name, "-lock", NULL);
                struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
                cleanup_close int held = -1;

                if (!g_str_has_prefix(e->d_name, "staging-") || g_str_has_suffix(e->d_name, "-lock"))
                        continue;
                held = openat(dirfd(folder), lock, O_RDWR | O_CLOEXEC);
                if (held >= 0 && fcntl(held, F_OFD_SETLK, &whole) < 0)
                        continue; /* of a pull that runs */
                remove_folder(dirfd(folder), e->d_name);
        }
        if (folder)
                closedir(folder);
}

int install_ostree_pull(InstallOstree *o, const InstallPull *request, const InstallWatch *watch, Error *error)
{
        __attribute__((cleanup(pull_done))) Pull p = { .request = request, .watch = watch };
        int r;

        if (install_check_commit(request->commit, error) < 0 || install_check_kernel_arguments(o, NULL, error) < 0 ||
            install_make_writable(o, error) < 0)
                return -1;
        r = install_open_remote(o, request->url, request->authenticate, &p.repo, error);
        if (r == 0) {
                p.meter = install_meter_new(request->max_speed);
                p.cancellable = g_cancellable_new();
                r = pull(o, &p, error);
        }
        if (r < 0 && error->code == ERR_NO_SPACE && p.repo)
                forget_parts(p.repo);
        return r < 0 ? error_prefix(error, "commit %.12s from %.120s", request->commit, request->url) : 0;
}
