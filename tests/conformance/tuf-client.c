/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client of one TUF repository around the same core, so that test suites of others can drive it:
 *
 *   tuf-client --metadata-dir DIR init ROOT.json
 *   tuf-client --metadata-dir DIR --metadata-url URL refresh
 *   tuf-client --metadata-dir DIR --metadata-url URL --target-name PATH [--target-name ...] --target-base-url URL
 *              --target-dir DIR download
 *
 * It follows the client workflow of the TUF specification (5.3 to 5.7) request for request. Trusted metadata lies in DIR
 * under unversioned names, byte for byte as it was served, and is written only after it was verified. Ends with 0 or 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/codec.h"
#include "io/file.h"
#include "trust/drive.h"

#define TARGETS_MAX_ARGUMENTS 64
#define ROOTS_MAX 1024
#define TARGET_BYTES_MAX ((size_t) 1024 * 1024 * 1024)

typedef struct Client {
        const char *metadata_dir, *metadata_url, *target_base_url, *target_dir;
        const char *targets[TARGETS_MAX_ARGUMENTS];
        size_t n_targets;
        CURL *curl;
        TrustRepo *repo;
} Client;

/* ---- transfers ---- */

typedef struct Body {
        Buffer *buffer;
        bool too_large;
} Body;

static size_t on_data(char *data, size_t size, size_t n, void *userdata)
{
        Body *body = userdata;
        Error error = { 0 };

        if (buffer_append(body->buffer, slice(data, size * n), &error) < 0) {
                body->too_large = true;
                return 0;
        }
        return size * n;
}

/* 1: there, 0: the server has no such file (403 and 404, as a file behind access control cannot be told from none). */
static int fetch(Client *c, const char *url, size_t max, Buffer *ret, Error *error)
{
        Body body = { .buffer = ret };
        long status = 0;
        CURLcode r;

        ret->limit = max;
        curl_easy_reset(c->curl);
        (void) curl_easy_setopt(c->curl, CURLOPT_URL, url);
        (void) curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
        (void) curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
        (void) curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &body);
        (void) curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
        (void) curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, 30L);
        (void) curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        (void) curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, 30L);
        r = curl_easy_perform(c->curl);
        if (body.too_large)
                return error_set(error, ERR_TOO_LARGE, "%s: more than %zu bytes", url, max);
        if (r != CURLE_OK)
                return error_set(error, ERR_NETWORK, "%s: %s", url, curl_easy_strerror(r));
        (void) curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status == 200)
                return 1;
        buffer_done(ret);
        if (status == 403 || status == 404)
                return 0;
        return error_set(error, ERR_HTTP, "%s: status %ld", url, status);
}

/* ---- metadata ---- */

static char *local_path(const Client *c, Role role, const char *name)
{
        cleanup_buffer Buffer encoded = { 0 };

        percent_encode(name ? name : role_name(role), "", &encoded);
        return xasprintf("%s/%s.json", c->metadata_dir, buffer_str(&encoded));
}

/* TUF 5.4.1, 5.5.1, 5.6.1: the version stands before the name where snapshots are consistent; Timestamp never has one. */
static char *metadata_url(const Client *c, const TrustStep *step)
{
        cleanup_buffer Buffer encoded = { 0 };
        bool versioned = step->role == ROLE_ROOT ||
                         (step->version > 0 && trust_repo_metadata(c->repo, ROLE_ROOT)->root.consistent_snapshot);

        percent_encode(step->name ? step->name : role_name(step->role), "", &encoded);
        if (versioned)
                return xasprintf("%s/%lld.%s.json", c->metadata_url, (long long) step->version, buffer_str(&encoded));
        return xasprintf("%s/%s.json", c->metadata_url, buffer_str(&encoded));
}

static int get(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        Client *c = userdata;
        cleanup_free char *path = local_path(c, step->role, step->name), *url = NULL;

        if (step->kind == TRUST_LOAD) /* an older one may be longer than what is listed now */
                return file_read(path, ROLE_BYTES_MAX, ret, error);
        url = metadata_url(c, step);
        return fetch(c, url, step->max_bytes, ret, error);
}

static int put(void *userdata, const TrustStep *step, Error *error)
{
        static const Role forgotten[] = { ROLE_TIMESTAMP, ROLE_SNAPSHOT };
        Client *c = userdata;
        cleanup_free char *path = NULL;

        if (step->kind == TRUST_STORE) {
                path = local_path(c, step->role, step->name);
                return file_write(path, step->bytes, 0644, error);
        }
        for (size_t i = 0; i < ELEMENTSOF(forgotten); i++) {
                free(path);
                path = local_path(c, forgotten[i], NULL);
                if (unlink(path) < 0 && errno != ENOENT)
                        return error_set_errno(error, ERR_SYSTEM, errno, "%s", path);
        }
        return 0;
}

static int restore(Client *c, Error *error)
{
        for (unsigned role = 0; role < _ROLE_MAX; role++) {
                cleanup_free char *path = local_path(c, (Role) role, NULL);
                cleanup_buffer Buffer bytes = { 0 };
                int r = file_read(path, ROLE_BYTES_MAX, &bytes, error);

                if (r == 0 && role == ROLE_ROOT)
                        return error_set(error, ERR_NO_ROOT, "%s is missing: init comes first", path);
                if (r < 0 || (r > 0 && trust_repo_restore(c->repo, (Role) role, buffer_slice(&bytes), error) < 0))
                        return -1;
        }
        return 0;
}

static int refresh(Client *c, Error *error)
{
        if (!c->metadata_url)
                return error_set(error, ERR_INVALID_ARGUMENT, "--metadata-url is missing");
        c->repo = trust_repo_new(&(TrustOptions) { .kind = TRUST_IMAGE, .now = time(NULL), .plain_tuf = true, .max_roots = ROOTS_MAX });
        if (restore(c, error) < 0)
                return -1;
        return trust_repo_drive(c->repo, &(TrustFiles) { get, put, c }, error);
}

static int init(Client *c, const char *path, Error *error)
{
        cleanup_free char *to = local_path(c, ROLE_ROOT, NULL);
        cleanup_buffer Buffer bytes = { 0 };
        int r = file_read(path, ROLE_ROOT_BYTES_MAX, &bytes, error);

        if (r <= 0)
                return r < 0 ? -1 : error_set(error, ERR_NO_ROOT, "%s is missing", path);
        if (mkdir(c->metadata_dir, 0755) < 0 && errno != EEXIST)
                return error_set_errno(error, ERR_SYSTEM, errno, "%s", c->metadata_dir);
        c->repo = trust_repo_new(&(TrustOptions) { .kind = TRUST_IMAGE });
        if (trust_repo_restore(c->repo, ROLE_ROOT, buffer_slice(&bytes), error) < 0)
                return -1;
        return file_write(to, buffer_slice(&bytes), 0644, error);
}

/* ---- targets ---- */

static bool is_target(const Target *target, Slice bytes)
{
        Hashes got;

        digest_hashes(bytes, &got);
        return (uint64_t) target->length == bytes.size && hashes_match(&target->hashes, &got);
}

/* TUF 5.7.3: HASH.name where snapshots are consistent; the hash stands before the last part of the path. */
static char *target_url(const Client *c, const Target *target)
{
        const char *base = strrchr(target->name, '/');
        char hex[2 * SHA512_SIZE + 1];
        cleanup_buffer Buffer path = { 0 };

        base = base ? base + 1 : target->name;
        if (target->hashes.has_sha256)
                hex_encode(slice(target->hashes.sha256, SHA256_SIZE), hex);
        else
                hex_encode(slice(target->hashes.sha512, SHA512_SIZE), hex);
        if (trust_repo_metadata(c->repo, ROLE_ROOT)->root.consistent_snapshot)
                buffer_printf(&path, "%.*s%s.%s", (int) (base - target->name), target->name, hex, base);
        else
                buffer_put_str(&path, target->name);
        {
                cleanup_buffer Buffer encoded = { 0 };

                percent_encode(buffer_str(&path), "/", &encoded);
                return xasprintf("%s/%s", c->target_base_url, buffer_str(&encoded));
        }
}

static int download_one(Client *c, const char *name, Error *error)
{
        cleanup_buffer Buffer encoded = { 0 }, bytes = { 0 };
        cleanup_free char *path = NULL, *url = NULL;
        const Target *target;
        int r;

        trust_repo_search(c->repo, name, NULL);
        if (trust_repo_drive(c->repo, &(TrustFiles) { get, put, c }, error) < 0)
                return -1;
        target = trust_repo_found(c->repo);
        if (!target)
                return error_set(error, ERR_NOT_FOUND, "target '%s': no role lists it", name);
        if ((uint64_t) target->length > TARGET_BYTES_MAX)
                return error_set(error, ERR_TOO_LARGE, "target '%s': %lld bytes", name, (long long) target->length);
        percent_encode(name, "", &encoded); /* one file: no name reaches out of the folder */
        path = xasprintf("%s/%s", c->target_dir, buffer_str(&encoded));
        r = file_read(path, (size_t) target->length, &bytes, error);
        if (r > 0 && is_target(target, buffer_slice(&bytes)))
                return 0;
        error_clear(error); /* something else lies there: it is replaced */
        buffer_done(&bytes);
        url = target_url(c, target);
        r = fetch(c, url, (size_t) target->length, &bytes, error);
        if (r <= 0)
                return r < 0 ? -1 : error_set(error, ERR_NOT_FOUND, "%s", url);
        if (!is_target(target, buffer_slice(&bytes)))
                return error_set(error, ERR_IMAGE_MISMATCH, "target '%s': not the length or hash that is listed", name);
        return file_write(path, buffer_slice(&bytes), 0644, error);
}

static int download(Client *c, Error *error)
{
        if (c->n_targets == 0 || !c->target_base_url || !c->target_dir)
                return error_set(error, ERR_INVALID_ARGUMENT, "--target-name, --target-base-url and --target-dir are needed");
        if (refresh(c, error) < 0)
                return -1;
        for (size_t i = 0; i < c->n_targets; i++)
                if (download_one(c, c->targets[i], error) < 0)
                        return -1;
        return 0;
}

/* ---- the command line ---- */

/* "http://host/" and "http://host" are the same base. Arguments may be changed. */
static const char *without_slash(char *url)
{
        size_t n = strlen(url);

        while (n > 0 && url[n - 1] == '/')
                url[--n] = '\0';
        return url;
}

static int parse(Client *c, int argc, char **argv, Error *error)
{
        static const struct option options[] = {
                { "metadata-dir", required_argument, NULL, 'm' },    { "metadata-url", required_argument, NULL, 'u' },
                { "target-name", required_argument, NULL, 't' },     { "target-base-url", required_argument, NULL, 'b' },
                { "target-dir", required_argument, NULL, 'd' },      { 0 },
        };
        int option;

        while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (option == 't' && c->n_targets < TARGETS_MAX_ARGUMENTS)
                        c->targets[c->n_targets++] = optarg;
                else if (option == 'm')
                        c->metadata_dir = optarg;
                else if (option == 'u')
                        c->metadata_url = without_slash(optarg);
                else if (option == 'b')
                        c->target_base_url = without_slash(optarg);
                else if (option == 'd')
                        c->target_dir = optarg;
                else
                        return error_set(error, ERR_INVALID_ARGUMENT, "see the head of tuf-client.c for the arguments");
        }
        if (!c->metadata_dir || optind >= argc)
                return error_set(error, ERR_INVALID_ARGUMENT, "--metadata-dir DIR and one of init, refresh, download are needed");
        return 0;
}

static int run(Client *c, int argc, char **argv, Error *error)
{
        const char *verb;

        if (parse(c, argc, argv, error) < 0)
                return -1;
        verb = argv[optind];
        if (strcmp(verb, "init") == 0 && optind + 2 == argc)
                return init(c, argv[optind + 1], error);
        if (strcmp(verb, "refresh") == 0 && optind + 1 == argc)
                return refresh(c, error);
        if (strcmp(verb, "download") == 0 && optind + 1 == argc)
                return download(c, error);
        return error_set(error, ERR_INVALID_ARGUMENT, "'%s' is none of init ROOT.json, refresh, download", verb);
}

int main(int argc, char **argv)
{
        Client c = { 0 };
        Error error = { 0 };
        int r;

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c.curl = curl_easy_init()))
                return 1;
        r = run(&c, argc, argv, &error);
        if (r < 0)
                fprintf(stderr, "tuf-client: %s: %s\n", error_info(error.code)->name, error.message);
        trust_repo_free(c.repo);
        curl_easy_cleanup(c.curl);
        curl_global_cleanup();
        return r < 0;
}
