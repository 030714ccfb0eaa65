/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/repo-check.h"

#include "base/time.h"

#define ROOT_FILE "root.json" /* Snapshots of some back-ends list it; the Root chain has its own rules */

int trust_check_signatures(const Metadata *root, const Metadata *m, const char *what, Error *error)
{
        if (!root->root.has[m->role])
                return error_set(error, ERR_BAD_SIGNATURE, "%s: the trusted Root names no keys for this role", what);
        return envelope_verify(m->envelope, &root->root.keys[m->role], what, error);
}

int trust_check_root(const Metadata *trusted, const Metadata *next, const char *what, Error *error)
{
        int64_t expected = trusted->version + 1;

        /* Uptane 5.4.4.3 (2.4a): exactly the next version */
        if (next->version != expected)
                return error_set(error, next->version < expected ? ERR_ROLLBACK : ERR_MIX_AND_MATCH,
                                 "%s: version %lld was offered as version %lld", what, (long long) next->version, (long long) expected);
        /* Uptane 5.4.4.3 (2.3a): a threshold of the old keys; Uptane 5.4.4.3 (2.3b): and a threshold of the new ones */
        if (envelope_verify(next->envelope, &trusted->root.keys[ROLE_ROOT], "by the keys of the Root before", error) < 0 ||
            envelope_verify(next->envelope, &next->root.keys[ROLE_ROOT], "by its own keys", error) < 0)
                return error_prefix(error, "%s version %lld", what, (long long) next->version);
        return 0;
}

int trust_check_fresh(const Metadata *m, int64_t now, const char *what, Error *error)
{
        char expires[TIME_TEXT_SIZE], at[TIME_TEXT_SIZE];

        if (now < m->expires)
                return 0;
        time_format(m->expires, expires);
        time_format(now, at);
        return error_set(error, ERR_EXPIRED, "%s version %lld expired at %s, it is %s", what, (long long) m->version, expires, at);
}

int trust_check_version(int64_t baseline, const Metadata *m, const char *what, Error *error)
{
        if (m->version >= baseline)
                return 0;
        return error_set(error, ERR_ROLLBACK, "%s: version %lld, but version %lld was already trusted", what, (long long) m->version,
                         (long long) baseline);
}

int trust_check_listed_bytes(const FileMeta *meta, Slice bytes, const char *what, Error *error)
{
        if (file_meta_matches(meta, bytes))
                return 0;
        return error_set(error, ERR_MIX_AND_MATCH, "%s: its length or hash is not the one listed for version %lld", what,
                         (long long) meta->version);
}

int trust_check_listed_version(const FileMeta *meta, const Metadata *m, const char *what, Error *error)
{
        if (m->version == meta->version)
                return 0;
        return error_set(error, ERR_MIX_AND_MATCH, "%s: version %lld, but version %lld is listed", what, (long long) m->version,
                         (long long) meta->version);
}

/* Other signatures over the same content are no other file. */
static bool same_content(const Metadata *a, const Metadata *b)
{
        cleanup_buffer Buffer x = { 0 }, y = { 0 };
        Error ignored = { 0 };

        if (slice_equal(a->envelope->signed_span, b->envelope->signed_span))
                return true;
        return json_canonical_text(a->envelope->signed_span, JSON_FORM_UTF8, &x, &ignored) == 0 &&
               json_canonical_text(b->envelope->signed_span, JSON_FORM_UTF8, &y, &ignored) == 0 &&
               slice_equal(buffer_slice(&x), buffer_slice(&y));
}

int trust_check_content(const Metadata *old, const Metadata *new, const char *what, Error *error)
{
        if (!old || old->version != new->version || same_content(old, new))
                return 0;
        return error_set(error, ERR_MIX_AND_MATCH, "%s: two different files are version %lld", what, (long long) new->version);
}

int trust_check_timestamp(const Metadata *old, const Metadata *new, const char *what, Error *error)
{
        const FileMeta *was = old ? &old->timestamp.snapshot : NULL, *is = &new->timestamp.snapshot;

        if (!old)
                return 0;
        /* Uptane 5.4.4.4 (3): never older than the one before, nor does it take the Snapshot back */
        if (trust_check_version(old->version, new, what, error) < 0)
                return -1;
        if (is->version < was->version)
                return error_set(error, ERR_ROLLBACK, "%s: it lists Snapshot version %lld, the one before listed %lld", what,
                                 (long long) is->version, (long long) was->version);
        return 0;
}

int trust_check_snapshot(const Metadata *old, const Metadata *new, const char *what, Error *error)
{
        if (!old)
                return 0;
        /* Uptane 5.4.4.5 (4): never older than the one before */
        if (trust_check_version(old->version, new, what, error) < 0)
                return -1;
        for (size_t i = 0; i < old->snapshot.n_files; i++) {
                const FileMeta *was = &old->snapshot.files[i], *is = snapshot_find(&new->snapshot, was->name);

                if (strcmp(was->name, ROOT_FILE) == 0)
                        continue;
                /* Uptane 5.4.4.5 (6): no Targets file disappears */
                if (!is)
                        return error_set(error, ERR_ROLLBACK, "%s version %lld: %.100s is not listed any more", what,
                                         (long long) new->version, was->name);
                /* Uptane 5.4.4.5 (5): and none goes back */
                if (is->version < was->version)
                        return error_set(error, ERR_ROLLBACK, "%s version %lld: %.100s goes back from version %lld to %lld", what,
                                         (long long) new->version, was->name, (long long) was->version, (long long) is->version);
        }
        return 0;
}
