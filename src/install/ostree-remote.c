/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libostree takes a server's address and credentials only from a configured remote. Ours lives as a file in a folder of
 * this process, given to the repository object alone: neither the repository's configuration nor /etc is written.
 */
#include "install/ostree-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

typedef struct Remote {
        char *folder, *file;
} Remote;

static void remove_remote(Remote *r)
{
        if (r->file)
                (void) g_unlink(r->file);
        if (r->folder)
                (void) g_rmdir(r->folder);
        g_free(r->file);
        g_free(r->folder);
}

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

static int write_remote(const InstallOstree *o, Remote *r, const char *url, bool authenticate, Error *error)
{
        static const char group[] = "remote \"" INSTALL_REMOTE "\"";
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
        r->folder = g_build_filename(base ? base : g_get_tmp_dir(), "uptane-ostree-XXXXXX", NULL);
        if (!g_mkdtemp(r->folder)) {
                g_clear_pointer(&r->folder, g_free);
                return error_set_errno(error, ERR_SYSTEM, errno, "making a folder in %s", base ? base : g_get_tmp_dir());
        }
        r->file = g_build_filename(r->folder, INSTALL_REMOTE ".conf", NULL);
        return g_key_file_save_to_file(remote, r->file, &g) ? 0 : install_set_error(error, ERR_SYSTEM, g, r->file);
}

/* It is read at once: the file is gone when this returns. */
int install_open_remote(const InstallOstree *o, const char *url, bool authenticate, OstreeRepo **ret, Error *error)
{
        __attribute__((cleanup(remove_remote))) Remote r = { 0 };
        g_autoptr(GFile) path = g_file_resolve_relative_path(o->path, "ostree/repo");
        g_autoptr(OstreeRepo) repo = NULL;
        GError *g = NULL;

        if (write_remote(o, &r, url, authenticate, error) < 0)
                return -1;
        repo = g_object_new(OSTREE_TYPE_REPO, "path", path, "sysroot-path", o->path, "remotes-config-dir", r.folder, NULL);
        if (!ostree_repo_open(repo, NULL, &g))
                return install_set_error(error, ERR_INSTALL, g, "opening the repository");
        *ret = g_steal_pointer(&repo);
        return 0;
}
