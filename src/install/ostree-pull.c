/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libostree takes a server's address and credentials only from a configured remote. Ours lives as a file in a folder of
 * this process, given to the repository object alone: neither the repository's configuration nor /etc is written.
 */
#include "install/ostree-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#define REMOTE "uptane"
#define WATCH_MSEC 250
#define NETWORK_RETRIES 2

typedef struct Pull {
        const InstallWatch *watch;
        GCancellable *cancellable;
        OstreeAsyncProgress *progress;
        guint timer;
        uint64_t shown; /* bytes */
        char *folder, *file; /* of the remote */
} Pull;

static void remove_remote(Pull *p)
{
        if (p->file)
                (void) g_unlink(p->file);
        if (p->folder)
                (void) g_rmdir(p->folder);
        g_clear_pointer(&p->file, g_free);
        g_clear_pointer(&p->folder, g_free);
}

static void pull_done(Pull *p)
{
        if (p->timer)
                (void) g_source_remove(p->timer);
        if (p->progress)
                ostree_async_progress_finish(p->progress);
        g_clear_object(&p->progress);
        g_clear_object(&p->cancellable);
        remove_remote(p);
}

/* ---- the remote ---- */

static int check_url(const InstallOstree *o, const char *url, bool *ret_https, Error *error)
{
        g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
        const char *scheme = uri ? g_uri_get_scheme(uri) : "";
        bool https = strcmp(scheme, "https") == 0;

        if (!uri || !g_uri_get_host(uri) || !*g_uri_get_host(uri))
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.200s' is no URL", url);
        if (!https && !(o->allow_http && strcmp(scheme, "http") == 0))
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.200s' is not %s", url, o->allow_http ? "http or https" : "https");
        if (g_uri_get_userinfo(uri))
                return error_set(error, ERR_INVALID_ARGUMENT, "a URL with a user or password in it is not used");
        *ret_https = https;
        return 0;
}

static int add_credentials(const InstallOstree *o, bool authenticate, GKeyFile *remote, const char *group, Error *error)
{
        if (!o->ca_file)
                return error_set(error, ERR_TLS, "no CA certificate is configured");
        if (authenticate && (!o->cert_file || !o->key_file || access(o->cert_file, R_OK) < 0 || access(o->key_file, R_OK) < 0))
                return error_set(error, ERR_KEY, "no device certificate is configured");
        if (access(o->ca_file, R_OK) < 0)
                return error_set_errno(error, ERR_TLS, errno, "%s", o->ca_file);
        g_key_file_set_string(remote, group, "tls-ca-path", o->ca_file);
        if (authenticate) {
                g_key_file_set_string(remote, group, "tls-client-cert-path", o->cert_file);
                g_key_file_set_string(remote, group, "tls-client-key-path", o->key_file);
        }
        return 0;
}

static int write_remote(const InstallOstree *o, Pull *p, const char *url, bool authenticate, Error *error)
{
        static const char group[] = "remote \"" REMOTE "\"";
        g_autoptr(GKeyFile) remote = g_key_file_new();
        const char *base = g_getenv("RUNTIME_DIRECTORY");
        GError *g = NULL;
        bool https = false;

        if (check_url(o, url, &https, error) < 0)
                return -1;
        g_key_file_set_string(remote, group, "url", url);
        g_key_file_set_boolean(remote, group, "gpg-verify", FALSE); /* the commit's hash is already trusted */
        g_key_file_set_boolean(remote, group, "gpg-verify-summary", FALSE);
        if (https && add_credentials(o, authenticate, remote, group, error) < 0)
                return -1;
        p->folder = g_build_filename(base ? base : g_get_tmp_dir(), "uptane-ostree-XXXXXX", NULL);
        if (!g_mkdtemp(p->folder)) {
                g_clear_pointer(&p->folder, g_free);
                return error_set_errno(error, ERR_SYSTEM, errno, "making a folder in %s", base ? base : g_get_tmp_dir());
        }
        p->file = g_build_filename(p->folder, REMOTE ".conf", NULL);
        return g_key_file_save_to_file(remote, p->file, &g) ? 0 : install_set_error(error, ERR_SYSTEM, g, p->file);
}

static int open_repo(const InstallOstree *o, const Pull *p, OstreeRepo **ret, Error *error)
{
        g_autoptr(GFile) path = g_file_resolve_relative_path(o->path, "ostree/repo");
        g_autoptr(OstreeRepo) repo = g_object_new(OSTREE_TYPE_REPO, "path", path, "sysroot-path", o->path,
                                                  "remotes-config-dir", p->folder, NULL);
        GError *g = NULL;

        if (!ostree_repo_open(repo, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "opening the repository");
        *ret = g_steal_pointer(&repo);
        return 0;
}

/* ---- pulling ---- */

/* Only what is new: who waits takes every word of progress for a sign of life. */
static void show_progress(Pull *p)
{
        uint64_t bytes = ostree_async_progress_get_uint64(p->progress, "bytes-transferred");

        if (bytes > p->shown)
                p->watch->progress(p->watch->userdata, bytes, 0);
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

static GVariant *pull_options(const char *commit)
{
        const char *const refs[] = { commit, NULL };
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "refs", g_variant_new_strv(refs, 1));
        g_variant_builder_add(&b, "{sv}", "flags", g_variant_new_int32(OSTREE_REPO_PULL_FLAGS_NONE));
        g_variant_builder_add(&b, "{sv}", "depth", g_variant_new_int32(0));
        g_variant_builder_add(&b, "{sv}", "disable-static-deltas", g_variant_new_boolean(TRUE));
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
        if (strstr(g->message, "Server returned"))
                return g_error_matches(g, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ? ERR_NOT_FOUND : ERR_HTTP;
        if (strstr(g->message, "While fetching"))
                return code_of_curl(g->message);
        if (strstr(g->message, "Corrupted ") || strstr(g->message, "checksum expected"))
                return ERR_IMAGE_MISMATCH;
        return ERR_SYSTEM;
}

/* That it is there, whole, and what its name says. 1: yes, 0: no. */
static int is_complete(OstreeRepo *repo, const char *commit, Error *error)
{
        g_autoptr(GVariant) bytes = NULL;
        g_autofree char *sum = NULL;
        OstreeRepoCommitState state = 0;

        if (!ostree_repo_load_commit(repo, commit, &bytes, &state, NULL) || (state & OSTREE_REPO_COMMIT_STATE_PARTIAL))
                return 0;
        sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, g_variant_get_data(bytes), g_variant_get_size(bytes));
        if (strcmp(sum, commit) != 0)
                return error_set(error, ERR_IMAGE_MISMATCH, "the commit object has hash %s instead of %s", sum, commit);
        return 1;
}

static int fetch(Pull *p, OstreeRepo *repo, const char *commit, Error *error)
{
        g_autoptr(GVariant) options = pull_options(commit);
        GError *g = NULL;
        int r;

        p->cancellable = g_cancellable_new();
        p->progress = ostree_async_progress_new();
        p->timer = g_timeout_add(WATCH_MSEC, on_timer, p);
        if (!ostree_repo_pull_with_options(repo, REMOTE, options, p->progress, p->cancellable, &g))
                return install_set_error(error, code_of(g), g, "pulling");
        show_progress(p);
        r = is_complete(repo, commit, error);
        if (r == 0)
                return error_set(error, ERR_INSTALL, "the pull succeeded and left the commit incomplete");
        return r < 0 ? -1 : 0;
}

static int keep(OstreeRepo *repo, const char *commit, Error *error)
{
        GError *g = NULL;

        if (!ostree_repo_set_ref_immediate(repo, NULL, PULLED_REF, commit, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "keeping the commit");
        return 0;
}

static int pull(InstallOstree *o, Pull *p, const char *url, const char *commit, bool authenticate, Error *error)
{
        g_autoptr(OstreeRepo) repo = NULL;
        int r;

        if (write_remote(o, p, url, authenticate, error) < 0 || open_repo(o, p, &repo, error) < 0)
                return -1;
        remove_remote(p); /* it has been read */
        r = is_complete(repo, commit, error);
        if (r == 0)
                r = fetch(p, repo, commit, error);
        return r < 0 ? -1 : keep(repo, commit, error);
}

int install_ostree_pull(InstallOstree *o, const char *url, const char *commit, bool authenticate, const InstallWatch *watch, Error *error)
{
        __attribute__((cleanup(pull_done))) Pull p = { .watch = watch };

        if (install_check_commit(commit, error) < 0 || install_make_writable(o, error) < 0)
                return -1;
        return pull(o, &p, url, commit, authenticate, error) < 0 ? error_prefix(error, "commit %.12s from %.120s", commit, url) : 0;
}
