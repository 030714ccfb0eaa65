/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata/role.h"

#include <assert.h>
#include <strings.h>

#include "base/codec.h"
#include "base/time.h"
#include "metadata/json-text.h"
#include "metadata/role-parse.h"

#define TYPE_MAX 64
#define EXPIRES_MAX 64
#define HASH_ALGORITHMS_MAX 16

static const char *const names[] = {
        [ROLE_ROOT] = "root",
        [ROLE_TIMESTAMP] = "timestamp",
        [ROLE_SNAPSHOT] = "snapshot",
        [ROLE_TARGETS] = "targets",
};
static_assert(ELEMENTSOF(names) == _ROLE_MAX, "a role without a name");

const char *role_name(Role role)
{
        assert(role < _ROLE_MAX);
        return names[role];
}

size_t role_bytes_max(Role role)
{
        static const size_t sizes[] = {
                [ROLE_ROOT] = ROLE_ROOT_BYTES_MAX,
                [ROLE_TIMESTAMP] = ROLE_TIMESTAMP_BYTES_MAX,
                [ROLE_SNAPSHOT] = ROLE_SNAPSHOT_BYTES_MAX,
                [ROLE_TARGETS] = ROLE_TARGETS_BYTES_MAX,
        };

        assert(role < _ROLE_MAX);
        return sizes[role];
}

/* ---- what all roles have ---- */

static int parse_version(const json_t *object, const char *where, int64_t *ret, Error *error)
{
        int64_t version;

        if (json_get_int(object, where, "version", &version, error) < 0)
                return -1;
        if (version < 1)
                return error_set(error, ERR_MALFORMED, "%s.version is %lld, versions start at 1", where, (long long) version);
        *ret = version;
        return 0;
}

/* Uptane 5.2.1 (d, e, f): type, expiry and version */
static int parse_header(Metadata *m, Error *error)
{
        const char *where = role_name(m->role), *type, *expires;

        if (json_get_string(m->envelope->body, where, "_type", TYPE_MAX, &type, error) < 0)
                return -1;
        if (strcasecmp(type, where) != 0)
                return error_set(error, ERR_WRONG_ROLE, "'%s' where '%s' was expected", type, where);
        if (json_get_string(m->envelope->body, where, "expires", EXPIRES_MAX, &expires, error) < 0 ||
            parse_version(m->envelope->body, where, &m->version, error) < 0)
                return -1;
        if (time_parse(expires, &m->expires, error) < 0)
                return error_prefix(error, "%s.expires", where);
        return 0;
}

static int parse_hash(const json_t *hashes, const char *where, const char *name, uint8_t *ret, size_t size, bool *ret_has, Error *error)
{
        const char *text;

        *ret_has = false;
        if (!json_object_get(hashes, name))
                return 0;
        if (json_get_string(hashes, where, name, 2 * size, &text, error) < 0)
                return -1;
        if (hex_decode(text, ret, size, error) < 0)
                return error_prefix(error, "%s.%s", where, name);
        *ret_has = true;
        return 0;
}

int role_parse_hashes(const json_t *object, const char *where, Hashes *ret, Error *error)
{
        Hashes h = { 0 };
        json_t *hashes;

        if (json_get_object(object, where, "hashes", HASH_ALGORITHMS_MAX, &hashes, error) < 0 ||
            parse_hash(hashes, where, "sha256", h.sha256, SHA256_SIZE, &h.has_sha256, error) < 0 ||
            parse_hash(hashes, where, "sha512", h.sha512, SHA512_SIZE, &h.has_sha512, error) < 0)
                return -1;
        if (!h.has_sha256 && !h.has_sha512)
                return error_set(error, ERR_UNSUPPORTED, "%s.hashes has neither sha256 nor sha512", where);
        *ret = h;
        return 0;
}

/* ---- Timestamp and Snapshot ---- */

static int parse_file_meta(const char *name, const json_t *object, FileMeta *ret, Error *error)
{
        ret->name = name;
        ret->length = -1;
        if (!json_is_object(object))
                return error_set(error, ERR_MALFORMED, "meta.%.100s is no object", name);
        if (parse_version(object, name, &ret->version, error) < 0 ||
            (json_has(object, "length") && json_get_int(object, name, "length", &ret->length, error) < 0))
                return -1;
        ret->has_hashes = json_has(object, "hashes");
        return ret->has_hashes ? role_parse_hashes(object, name, &ret->hashes, error) : 0;
}

/* Uptane 5.2.5 (a): name and version of the Snapshot */
static int parse_timestamp(Metadata *m, Error *error)
{
        json_t *meta, *entry;

        if (json_get_object(m->envelope->body, "timestamp", "meta", 16, &meta, error) < 0 ||
            json_get_object(meta, "timestamp.meta", "snapshot.json", 16, &entry, error) < 0)
                return -1;
        return parse_file_meta("snapshot.json", entry, &m->timestamp.snapshot, error);
}

static int compare_files(const void *a, const void *b)
{
        return strcmp(((const FileMeta *) a)->name, ((const FileMeta *) b)->name);
}

int role_count_members(Slice object, const char *where, size_t max, size_t *ret, Error *error)
{
        Slice key, value;
        JsonEach each;
        int r;

        *ret = 0;
        (void) json_each_begin(&each, object, '{');
        while ((r = json_each_next(&each, &key, &value, error)) > 0)
                if (++*ret > max)
                        return error_set(error, ERR_MALFORMED, "%s has more than the %zu members that are allowed", where, max);
        return r;
}

static int parse_listed(Metadata *m, Slice key, Slice value, FileMeta *ret, Error *error)
{
        cleanup_json json_t *entry = NULL;
        const char *name;

        if (json_load_key(key, m->envelope->arena, &name, error) < 0 || json_load(value, ROLE_MEMBER_DEPTH, &entry, error) < 0)
                return -1;
        return parse_file_meta(name, entry, ret, error);
}

static int parse_snapshot(Metadata *m, Error *error)
{
        json_t *meta;
        FileMeta *files;
        Slice key, value;
        JsonEach each;
        size_t n;
        int r;

        if (json_get_object(m->envelope->body, "snapshot", "meta", SNAPSHOT_META_MAX, &meta, error) < 0 ||
            role_count_members(m->envelope->cut, "snapshot.meta", SNAPSHOT_META_MAX, &n, error) < 0)
                return -1;
        files = arena_alloc(m->envelope->arena, n, sizeof *files);
        n = 0;
        (void) json_each_begin(&each, m->envelope->cut, '{');
        while ((r = json_each_next(&each, &key, &value, error)) > 0)
                if (parse_listed(m, key, value, &files[n++], error) < 0)
                        return -1;
        qsort(files, n, sizeof *files, compare_files);
        m->snapshot = (Snapshot) { files, n };
        for (size_t i = 1; i < n; i++)
                if (strcmp(files[i - 1].name, files[i].name) == 0)
                        return error_set(error, ERR_MALFORMED, "not valid JSON, '%.100s' occurs twice", files[i].name);
        return r;
}

/* ---- all ---- */

/* Uptane 5.2.1 (g): what the role is there for */
static int parse_body(Metadata *m, Error *error)
{
        switch (m->role) {
        case ROLE_ROOT:
                return role_parse_root(m, error);
        case ROLE_TIMESTAMP:
                return parse_timestamp(m, error);
        case ROLE_SNAPSHOT:
                return parse_snapshot(m, error);
        case ROLE_TARGETS:
                return role_parse_targets(m, error);
        case _ROLE_MAX:
                break;
        }
        abort();
}

int metadata_parse(Role role, Slice bytes, Metadata **ret, Error *error)
{
        static const char *const large[_ROLE_MAX] = { [ROLE_SNAPSHOT] = "meta", [ROLE_TARGETS] = "targets" };
        CLEANUP(metadata_free) Metadata *m = xcalloc(1, sizeof *m);

        m->role = role;
        if (bytes.size > ROLE_BYTES_MAX)
                return error_set(error, ERR_TOO_LARGE, "%zu bytes, at most %zu are allowed for %s metadata", bytes.size, ROLE_BYTES_MAX,
                                 role_name(role));
        if (envelope_parse(bytes, large[role], &m->envelope, error) < 0 || parse_header(m, error) < 0 || parse_body(m, error) < 0)
                return -1;
        *ret = TAKE_PTR(m);
        return 0;
}

Metadata *metadata_free(Metadata *m)
{
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n_owned_keys; i++)
                public_key_free(m->owned_keys[i]);
        free(m->owned_keys);
        if (m->role == ROLE_TARGETS)
                role_free_targets(&m->targets);
        envelope_free(m->envelope);
        free(m);
        return NULL;
}

static int find_file(const void *name, const void *file)
{
        return strcmp(name, ((const FileMeta *) file)->name);
}

const FileMeta *snapshot_find(const Snapshot *snapshot, const char *name)
{
        return snapshot->n_files ? bsearch(name, snapshot->files, snapshot->n_files, sizeof *snapshot->files, find_file) : NULL;
}

static bool has_length(const FileMeta *meta, Slice content)
{
        return meta->length < 0 || (uint64_t) meta->length == content.size;
}

static bool has_hashes(const FileMeta *meta, Slice content)
{
        Hashes got;

        if (!meta->has_hashes)
                return true;
        digest_hashes(content, &got);
        return hashes_match(&meta->hashes, &got);
}

/* The length of the bytes and the hash of the canonical form stand side by side in the field: each may fit either. */
bool file_meta_matches(const FileMeta *meta, Slice content)
{
        bool length = has_length(meta, content), hashes = has_hashes(meta, content);

        for (JsonForm form = JSON_FORM_UTF8; form <= JSON_FORM_ASCII && !(length && hashes); form++) {
                cleanup_buffer Buffer text = { 0 };
                Error ignored = { 0 };

                if (json_canonical_text(content, form, &text, &ignored) < 0)
                        return false;
                length = length || has_length(meta, buffer_slice(&text));
                hashes = hashes || has_hashes(meta, buffer_slice(&text));
        }
        return length && hashes;
}
