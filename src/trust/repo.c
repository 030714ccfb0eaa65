/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the workflow. trusted[] holds what was verified in this cycle (and the Root); stored[] what was trusted
 * before, as the baseline for rollback checks and in place of a fetch where it is still the file that is listed.
 * A file is handed out for storing before the next one is asked for, so that a power cut leaves a baseline that was true.
 */
#include "trust/repo.h"

#include <assert.h>
#include <stdio.h>

#include "base/codec.h"
#include "trust/repo-check.h"

typedef enum Phase {
        PHASE_ROOT,
        PHASE_TIMESTAMP,
        PHASE_SNAPSHOT,
        PHASE_TARGETS,
        PHASE_SEARCH,
        PHASE_LOAD,    /* a delegated role that may be stored */
        PHASE_DELEGATED, /* the same from the repository */
        PHASE_DONE,
        PHASE_FAILED,
} Phase;

/* A delegated role, verified with these keys. */
typedef struct Delegated {
        char *name;
        Metadata *metadata;
        const Keyset *keys; /* in the delegating document */
} Delegated;

struct TrustRepo {
        TrustOptions options;
        Phase phase;
        Metadata *trusted[_ROLE_MAX];
        Metadata *stored[_ROLE_MAX]; /* never [ROLE_ROOT] */
        int64_t targets_baseline;    /* version; 0: none */
        Buffer shipped;              /* the first Root, if it is not stored */
        int64_t shipped_version;     /* 0: it was given out to be stored */
        unsigned n_roots;            /* taken in this cycle */
        int64_t offered;             /* version of the file being looked at; 0: not known yet */
        bool asked;                  /* a FETCH waits for its answer */
        const Metadata *store_due; /* NULL: nothing */
        const char *store_name;    /* of a delegated role, or NULL */
        bool forget_due;
        Delegated *delegated; /* loaded in this cycle */
        size_t n_delegated;
        size_t delegated_bytes;
        SearchQuery query; /* its strings are owned */
        uint64_t work;     /* query.work */
        SearchNeed need;   /* in PHASE_LOAD and PHASE_DELEGATED */
        Metadata *loaded;  /* in PHASE_DELEGATED: what was stored of that role, good but for being listed; or NULL */
        const Target *found;
};

static const char *const kind_names[] = { [TRUST_DIRECTOR] = "director", [TRUST_IMAGE] = "image" };
static_assert(ELEMENTSOF(kind_names) == _TRUST_KIND_MAX, "a repository without a name");

const char *trust_kind_name(TrustKind kind)
{
        assert(kind < _TRUST_KIND_MAX);
        return kind_names[kind];
}

/* "director timestamp" */
typedef struct What {
        char text[32 + ROLE_NAME_MAX];
} What;

static What what(const TrustRepo *repo, Role role)
{
        What w;

        (void) snprintf(w.text, sizeof w.text, "%s %s", trust_kind_name(repo->options.kind), role_name(role));
        return w;
}

/* "image role 'supplier'" */
static What what_delegated(const TrustRepo *repo, const char *name)
{
        What w;

        (void) snprintf(w.text, sizeof w.text, "%s role '%s'", trust_kind_name(repo->options.kind), name);
        return w;
}

/* Uptane 5.4.4.3 (2.2b), Uptane 5.4.4.4 (1b) */
char *trust_step_file(const TrustStep *step)
{
        cleanup_buffer Buffer encoded = { 0 };

        if (step->role == ROLE_ROOT)
                return xasprintf("%lld.root.json", (long long) step->version);
        if (!step->name)
                return xasprintf("%s.json", role_name(step->role));
        percent_encode(step->name, "", &encoded);
        return xasprintf("delegations/%s.json", buffer_str(&encoded));
}

TrustRepo *trust_repo_new(const TrustOptions *options)
{
        TrustRepo *repo = xcalloc(1, sizeof *repo);

        repo->options = *options;
        for (unsigned role = 0; role < _ROLE_MAX; role++)
                if (repo->options.max_bytes[role] == 0)
                        repo->options.max_bytes[role] = role_bytes_max((Role) role);
        if (repo->options.max_roots == 0)
                repo->options.max_roots = TRUST_ROOTS_PER_CYCLE;
        if (repo->options.max_delegated_bytes == 0)
                repo->options.max_delegated_bytes = TRUST_DELEGATED_BYTES_MAX;
        repo->query.work = &repo->work;
        repo->query.must_match = options->must_match;
        return repo;
}

TrustRepo *trust_repo_free(TrustRepo *repo)
{
        if (!repo)
                return NULL;
        for (unsigned role = 0; role < _ROLE_MAX; role++) {
                metadata_free(repo->trusted[role]);
                metadata_free(repo->stored[role]);
        }
        for (size_t i = 0; i < repo->n_delegated; i++) {
                metadata_free(repo->delegated[i].metadata);
                free(repo->delegated[i].name);
        }
        metadata_free(repo->loaded);
        buffer_done(&repo->shipped);
        free(repo->delegated);
        free((char *) repo->query.name);
        free((char *) repo->query.hardware_id);
        free(repo);
        return NULL;
}

static int parse(TrustRepo *repo, Role role, Slice bytes, Metadata **ret, Error *error)
{
        if (bytes.size > repo->options.max_bytes[role])
                return error_set(error, ERR_TOO_LARGE, "%s: %zu bytes, at most %zu are allowed", what(repo, role).text, bytes.size,
                                 repo->options.max_bytes[role]);
        if (metadata_parse(role, bytes, ret, error) < 0)
                return error_prefix(error, "%s", what(repo, role).text);
        repo->offered = (*ret)->version;
        return 0;
}

/* ---- what was trusted before ---- */

/* Uptane 5.4.4.3 (1): the Root from before */
static int restore_root(TrustRepo *repo, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;

        assert(!repo->trusted[ROLE_ROOT]);
        if (parse(repo, ROLE_ROOT, bytes, &m, error) < 0 ||
            trust_check_signatures(m, m, what(repo, ROLE_ROOT).text, error) < 0)
                return -1;
        repo->trusted[ROLE_ROOT] = TAKE_PTR(m);
        return 0;
}

int trust_repo_ship(TrustRepo *repo, Slice root, Error *error)
{
        if (restore_root(repo, root, error) < 0)
                return -1;
        buffer_put(&repo->shipped, root.data, root.size);
        repo->shipped_version = repo->trusted[ROLE_ROOT]->version;
        return 0;
}

int trust_repo_restore(TrustRepo *repo, Role role, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        Error why = { 0 };

        if (role == ROLE_ROOT)
                return restore_root(repo, bytes, error);
        assert(repo->trusted[ROLE_ROOT] && !repo->stored[role]);
        if (metadata_parse(role, bytes, &m, &why) < 0)
                return 1;
        if (role == ROLE_TARGETS && !repo->options.plain_tuf)
                repo->targets_baseline = m->version;
        if (trust_check_signatures(repo->trusted[ROLE_ROOT], m, "stored", &why) < 0) {
                repo->forget_due |= role != ROLE_TARGETS;
                return 1;
        }
        repo->stored[role] = TAKE_PTR(m);
        return 0;
}

/* ---- taking a file ---- */

static Metadata *take(TrustRepo *repo, Metadata *m)
{
        Role role = m->role;
        bool known = repo->stored[role] && slice_equal(repo->stored[role]->envelope->bytes, m->envelope->bytes);

        metadata_free(repo->trusted[role]);
        repo->trusted[role] = m;
        repo->store_due = known ? NULL : m;
        repo->store_name = NULL;
        return NULL;
}

static void forget(TrustRepo *repo)
{
        repo->stored[ROLE_TIMESTAMP] = metadata_free(repo->stored[ROLE_TIMESTAMP]);
        repo->stored[ROLE_SNAPSHOT] = metadata_free(repo->stored[ROLE_SNAPSHOT]);
        repo->forget_due = true;
}

static bool rotated(const Root *old, const Root *new, Role role)
{
        return old->has[role] != new->has[role] || (old->has[role] && !keyset_equal(&old->keys[role], &new->keys[role]));
}

static int feed_root(TrustRepo *repo, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        const Metadata *old = repo->trusted[ROLE_ROOT];

        if (parse(repo, ROLE_ROOT, bytes, &m, error) < 0 || trust_check_root(old, m, what(repo, ROLE_ROOT).text, error) < 0)
                return -1;
        /* Uptane 5.4.4.3 (4): recovery from a fast-forward attack */
        if (rotated(&old->root, &m->root, ROLE_TIMESTAMP) || rotated(&old->root, &m->root, ROLE_SNAPSHOT))
                forget(repo);
        repo->n_roots++;
        /* Uptane 5.4.4.3 (2.5): the latest now */
        m = take(repo, m);
        return 0;
}

/* Uptane 5.4.4.3 (2.2c): there is no other */
static int end_roots(TrustRepo *repo, Error *error)
{
        const Metadata *root = repo->trusted[ROLE_ROOT];
        bool simple = repo->options.without_timestamp;

        repo->offered = root->version;
        /* Uptane 5.4.4.3 (3): the last Root, and only the last, must not be expired */
        if (trust_check_fresh(root, repo->options.now, what(repo, ROLE_ROOT).text, error) < 0)
                return -1;
        /* Uptane 5.2.2 (a) */
        if (!simple && (!root->root.has[ROLE_TIMESTAMP] || !root->root.has[ROLE_SNAPSHOT]))
                return error_set(error, ERR_MALFORMED, "%s: it has no keys for Timestamp and Snapshot%s", what(repo, ROLE_ROOT).text,
                                 repo->options.kind == TRUST_DIRECTOR ? " (a back-end without them needs require-director-timestamp=no)" : "");
        repo->phase = simple ? PHASE_TARGETS : PHASE_TIMESTAMP;
        return 0;
}

/* A version is given once: what was trusted under it is not taken for something else later. */
static int check_content(const TrustRepo *repo, const Metadata *m, const char *what, Error *error)
{
        return repo->options.plain_tuf ? 0 : trust_check_content(repo->stored[m->role], m, what, error);
}

static int feed_timestamp(TrustRepo *repo, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        What w = what(repo, ROLE_TIMESTAMP);

        /* Uptane 5.4.4.4 (2): signatures; Uptane 5.4.4.4 (4): expiry */
        if (parse(repo, ROLE_TIMESTAMP, bytes, &m, error) < 0 ||
            trust_check_signatures(repo->trusted[ROLE_ROOT], m, w.text, error) < 0)
                return -1;
        if (repo->options.plain_tuf && repo->stored[ROLE_TIMESTAMP] && m->version == repo->stored[ROLE_TIMESTAMP]->version) {
                metadata_free(m);
                m = TAKE_PTR(repo->stored[ROLE_TIMESTAMP]);
        }
        /* Uptane 5.2.5 (b): hashes of the Snapshot */
        if (!repo->options.plain_tuf && !m->timestamp.snapshot.has_hashes)
                return error_set(error, ERR_MALFORMED, "%s: timestamp.meta.snapshot.json.hashes is missing", w.text);
        if (trust_check_timestamp(repo->stored[ROLE_TIMESTAMP], m, w.text, error) < 0 || check_content(repo, m, w.text, error) < 0 ||
            trust_check_fresh(m, repo->options.now, w.text, error) < 0)
                return -1;
        m = take(repo, m);
        repo->phase = PHASE_SNAPSHOT;
        return 0;
}

static int feed_snapshot(TrustRepo *repo, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        const FileMeta *listed = &repo->trusted[ROLE_TIMESTAMP]->timestamp.snapshot;
        What w = what(repo, ROLE_SNAPSHOT);

        /* Uptane 5.4.4.5 (2): as listed; Uptane 5.4.4.5 (3): signatures; Uptane 5.4.4.5 (7): expiry */
        if (trust_check_listed_bytes(listed, bytes, w.text, error) < 0 || parse(repo, ROLE_SNAPSHOT, bytes, &m, error) < 0 ||
            trust_check_listed_version(listed, m, w.text, error) < 0 ||
            trust_check_signatures(repo->trusted[ROLE_ROOT], m, w.text, error) < 0 ||
            trust_check_snapshot(repo->stored[ROLE_SNAPSHOT], m, w.text, error) < 0 || check_content(repo, m, w.text, error) < 0 ||
            trust_check_fresh(m, repo->options.now, w.text, error) < 0)
                return -1;
        m = take(repo, m);
        repo->phase = PHASE_TARGETS;
        return 0;
}

/* Uptane 5.2.4: how Snapshot lists Targets; NULL where there is no Snapshot to list it. */
static int listed_targets(const TrustRepo *repo, const FileMeta **ret, Error *error)
{
        *ret = NULL;
        if (repo->options.without_timestamp)
                return 0;
        *ret = snapshot_find(&repo->trusted[ROLE_SNAPSHOT]->snapshot, "targets.json");
        return *ret ? 0 : error_set(error, ERR_MIX_AND_MATCH, "%s version %lld does not list targets.json", what(repo, ROLE_SNAPSHOT).text,
                                    (long long) repo->trusted[ROLE_SNAPSHOT]->version);
}

static int feed_targets(TrustRepo *repo, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        const FileMeta *listed;
        What w = what(repo, ROLE_TARGETS);

        if (listed_targets(repo, &listed, error) < 0 || (listed && trust_check_listed_bytes(listed, bytes, w.text, error) < 0) ||
            parse(repo, ROLE_TARGETS, bytes, &m, error) < 0)
                return -1;
        /* Uptane 5.4.4.6 (2): version; Uptane 5.4.4.6 (3.1): signatures; Uptane 5.4.4.6 (4a): rollback; Uptane 5.4.4.6 (5): expiry */
        if ((listed && trust_check_listed_version(listed, m, w.text, error) < 0) ||
            trust_check_signatures(repo->trusted[ROLE_ROOT], m, w.text, error) < 0 ||
            trust_check_version(repo->targets_baseline, m, w.text, error) < 0 || check_content(repo, m, w.text, error) < 0 ||
            trust_check_fresh(m, repo->options.now, w.text, error) < 0)
                return -1;
        m = take(repo, m);
        repo->phase = PHASE_DONE;
        return 0;
}

/* ---- the workflow ---- */

/* What was stored takes the place of a fetch if it is, to the byte, what is listed now. */
static bool is_listed(const Metadata *stored, const FileMeta *listed)
{
        return stored && listed && stored->version == listed->version && file_meta_matches(listed, stored->envelope->bytes);
}

static int use_stored(TrustRepo *repo, Role role, Error *error)
{
        Slice bytes = repo->stored[role]->envelope->bytes;

        return role == ROLE_SNAPSHOT ? feed_snapshot(repo, bytes, error) : feed_targets(repo, bytes, error);
}

/* Uptane 5.4.4.3 (2.2a), Uptane 5.4.4.4 (1a), Uptane 5.4.4.5 (1a), Uptane 5.4.4.6 (1a): no more than was said, or than anybody needs */
static size_t limit(const TrustRepo *repo, Role role, const FileMeta *listed)
{
        size_t max = repo->options.max_bytes[role];

        return listed && listed->length >= 0 && (uint64_t) listed->length < max ? (size_t) listed->length : max;
}

static int ask(TrustRepo *repo, Role role, const FileMeta *listed, TrustStep *ret)
{
        *ret = (TrustStep) {
                .kind = TRUST_FETCH,
                .role = role,
                .version = role == ROLE_ROOT ? repo->trusted[ROLE_ROOT]->version + 1 : listed ? listed->version : 0,
                .max_bytes = limit(repo, role, listed),
        };
        repo->asked = true;
        return 0;
}

/* Uptane 5.4.4.3 (2.1): behind the latest that is trusted; Uptane 5.4.4.3 (2.6): until none follows */
static int next_root(TrustRepo *repo, TrustStep *ret, Error *error)
{
        if (repo->n_roots == repo->options.max_roots)
                return error_set(error, ERR_TOO_LARGE, "%s: more than %u new versions; the rest follows in the next cycle",
                                 what(repo, ROLE_ROOT).text, repo->options.max_roots);
        if (repo->trusted[ROLE_ROOT]->version == INT64_MAX)
                return error_set(error, ERR_MALFORMED, "%s: no version can follow this one", what(repo, ROLE_ROOT).text);
        return ask(repo, ROLE_ROOT, NULL, ret);
}

/* ---- delegated roles ---- */

/* Uptane 5.2.4: what Snapshot does not list is not used */
static int listed_role(const TrustRepo *repo, const char *name, const FileMeta **ret, Error *error)
{
        char file[ROLE_NAME_MAX + sizeof ".json"];

        *ret = NULL;
        if (repo->options.without_timestamp)
                return 0;
        (void) snprintf(file, sizeof file, "%s.json", name);
        *ret = snapshot_find(&repo->trusted[ROLE_SNAPSHOT]->snapshot, file);
        return *ret ? 0 : error_set(error, ERR_MIX_AND_MATCH, "%s: it is delegated to, but Snapshot version %lld does not list it",
                                    what_delegated(repo, name).text, (long long) repo->trusted[ROLE_SNAPSHOT]->version);
}

/* The keys of every delegation that leads to a role must have signed it, not only those of the first one. */
static int load(void *userdata, const char *name, const Keyset *keys, const Metadata **ret, Error *error)
{
        TrustRepo *repo = userdata;

        for (size_t i = 0; i < repo->n_delegated; i++) {
                Delegated *d = &repo->delegated[i];

                if (strcmp(d->name, name) != 0)
                        continue;
                if (d->keys != keys && envelope_verify(d->metadata->envelope, keys, what_delegated(repo, name).text, error) < 0)
                        return -1;
                d->keys = keys;
                *ret = d->metadata;
                return 1;
        }
        return 0;
}

static void take_delegated(TrustRepo *repo, Metadata *m, bool store)
{
        repo->delegated = xrealloc(repo->delegated, repo->n_delegated + 1, sizeof *repo->delegated);
        repo->delegated[repo->n_delegated] = (Delegated) { xstrdup(repo->need.name), m, repo->need.keys };
        repo->store_due = store ? m : NULL;
        repo->store_name = repo->delegated[repo->n_delegated].name;
        repo->n_delegated++;
        repo->delegated_bytes += m->envelope->bytes.size;
        repo->loaded = metadata_free(repo->loaded);
        repo->phase = PHASE_SEARCH;
}

/*
 * What is stored is used if it is, to the byte, what is listed now, and signed with the keys of the delegation as it is now.
 * If it is only signed so, it is the baseline for what is fetched instead: Snapshot, which lists versions, may be a first
 * one after its keys were rotated.
 */
static int feed_loaded(TrustRepo *repo, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        What w = what_delegated(repo, repo->need.name);
        const FileMeta *listed;
        Error why = { 0 };

        repo->phase = PHASE_DELEGATED;
        if (listed_role(repo, repo->need.name, &listed, error) < 0)
                return -1;
        if (metadata_parse(ROLE_TARGETS, bytes, &m, &why) < 0 || envelope_verify(m->envelope, repo->need.keys, w.text, &why) < 0)
                return 0;
        if (!is_listed(m, listed)) {
                repo->loaded = TAKE_PTR(m);
                return 0;
        }
        repo->offered = m->version;
        if (trust_check_fresh(m, repo->options.now, w.text, error) < 0)
                return -1;
        take_delegated(repo, TAKE_PTR(m), false);
        return 0;
}

static int check_loaded(const TrustRepo *repo, const Metadata *m, const char *what, Error *error)
{
        if (!repo->loaded || repo->options.plain_tuf)
                return 0;
        return trust_check_version(repo->loaded->version, m, what, error) < 0 ? -1 : trust_check_content(repo->loaded, m, what, error);
}

static int feed_delegated(TrustRepo *repo, Slice bytes, Error *error)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        What w = what_delegated(repo, repo->need.name);
        const FileMeta *listed;

        if (listed_role(repo, repo->need.name, &listed, error) < 0)
                return -1;
        if (bytes.size > repo->options.max_bytes[ROLE_TARGETS] || bytes.size > repo->options.max_delegated_bytes - repo->delegated_bytes)
                return error_set(error, ERR_TOO_LARGE, "%s: %zu bytes, at most %zu for one and %zu for all delegated roles are allowed", w.text,
                                 bytes.size, repo->options.max_bytes[ROLE_TARGETS], repo->options.max_delegated_bytes);
        /* Uptane 5.4.4.6 (2): version; Uptane 5.4.4.6 (3.2): the keys of the delegation; Uptane 5.4.4.6 (4b): rollback;
           Uptane 5.4.4.6 (5): expiry */
        if (listed && trust_check_listed_bytes(listed, bytes, w.text, error) < 0)
                return -1;
        if (metadata_parse(ROLE_TARGETS, bytes, &m, error) < 0)
                return error_prefix(error, "%s", w.text);
        repo->offered = m->version;
        if ((listed && trust_check_listed_version(listed, m, w.text, error) < 0) ||
            envelope_verify(m->envelope, repo->need.keys, w.text, error) < 0 || check_loaded(repo, m, w.text, error) < 0 ||
            trust_check_fresh(m, repo->options.now, w.text, error) < 0)
                return -1;
        take_delegated(repo, TAKE_PTR(m), true);
        return 0;
}

static size_t smaller(size_t a, size_t b)
{
        return a < b ? a : b;
}

static int ask_delegated(TrustRepo *repo, TrustStepKind kind, TrustStep *ret, Error *error)
{
        const FileMeta *listed;
        size_t left = repo->options.max_delegated_bytes - repo->delegated_bytes;

        if (listed_role(repo, repo->need.name, &listed, error) < 0)
                return -1;
        if (left == 0)
                return error_set(error, ERR_TOO_LARGE, "%s: %zu bytes of delegated roles were read already, no more are allowed",
                                 what_delegated(repo, repo->need.name).text, repo->delegated_bytes);
        *ret = (TrustStep) {
                .kind = kind,
                .role = ROLE_TARGETS,
                .name = repo->need.name,
                .version = listed ? listed->version : 0,
                .max_bytes = smaller(limit(repo, ROLE_TARGETS, listed), left),
        };
        repo->asked = true;
        return 1;
}

/* Uptane 5.4.4.7 (a), Uptane 5.2.3.2 (a) */
static int search(TrustRepo *repo, TrustStep *ret, Error *error)
{
        int r = delegation_search(&repo->trusted[ROLE_TARGETS]->targets, &repo->query, load, repo, &repo->found, &repo->need, error);

        if (r < 0)
                return error_prefix(error, "%s", trust_kind_name(repo->options.kind));
        repo->phase = r == SEARCH_NEEDS ? PHASE_LOAD : PHASE_DONE;
        return r == SEARCH_NEEDS ? ask_delegated(repo, TRUST_LOAD, ret, error) : 0;
}

/* Returns 1 if ret was filled, 0 if the phase ended without a question. */
static int next_step(TrustRepo *repo, TrustStep *ret, Error *error)
{
        const FileMeta *listed = NULL;

        switch (repo->phase) {
        case PHASE_ROOT: /* Uptane 5.4.4.2 (2, 6b) */
                return next_root(repo, ret, error) < 0 ? -1 : 1;
        case PHASE_TIMESTAMP: /* Uptane 5.4.4.2 (3a, 3b, 7) */
                (void) ask(repo, ROLE_TIMESTAMP, NULL, ret);
                return 1;
        case PHASE_SNAPSHOT: /* Uptane 5.4.4.2 (4b, 4c, 8b) */
                /* Uptane 5.4.4.2 (4a, 8a): not fetched again where it is still the one listed */
                listed = &repo->trusted[ROLE_TIMESTAMP]->timestamp.snapshot;
                if (is_listed(repo->stored[ROLE_SNAPSHOT], listed))
                        return use_stored(repo, ROLE_SNAPSHOT, error);
                (void) ask(repo, ROLE_SNAPSHOT, listed, ret);
                return 1;
        case PHASE_TARGETS: /* Uptane 5.4.4.2 (5, 9) */
                if (listed_targets(repo, &listed, error) < 0)
                        return -1;
                if (is_listed(repo->stored[ROLE_TARGETS], listed))
                        return use_stored(repo, ROLE_TARGETS, error);
                (void) ask(repo, ROLE_TARGETS, listed, ret);
                return 1;
        case PHASE_SEARCH:
                return search(repo, ret, error);
        case PHASE_DELEGATED:
                return ask_delegated(repo, TRUST_FETCH, ret, error);
        case PHASE_DONE:
                *ret = (TrustStep) { .kind = TRUST_DONE };
                return 1;
        case PHASE_LOAD:
        case PHASE_FAILED:
                break;
        }
        abort(); /* after a failure there is no next step */
}

/* Uptane 5.4.4.3 (2.3d, 2.4b): the workflow ends here; phase is the one that failed. */
static int fail(TrustRepo *repo, Phase phase, Error *error)
{
        static const Role roles[] = { [PHASE_ROOT] = ROLE_ROOT, [PHASE_TIMESTAMP] = ROLE_TIMESTAMP, [PHASE_SNAPSHOT] = ROLE_SNAPSHOT,
                                      [PHASE_TARGETS] = ROLE_TARGETS, [PHASE_SEARCH] = ROLE_TARGETS };
        const char *role = phase == PHASE_LOAD || phase == PHASE_DELEGATED ? repo->need.name : role_name(roles[phase]);

        repo->phase = PHASE_FAILED;
        error_about(error, trust_kind_name(repo->options.kind), role, repo->offered);
        return -1;
}

int trust_repo_next(TrustRepo *repo, TrustStep *ret, Error *error)
{
        Phase phase = repo->phase;
        int r = 0;

        assert(repo->trusted[ROLE_ROOT] && !repo->asked);
        repo->offered = 0;
        while (r == 0) {
                if (repo->shipped_version && (repo->store_due || repo->phase != PHASE_ROOT)) {
                        *ret = (TrustStep) { .kind = TRUST_STORE, .role = ROLE_ROOT, .version = repo->shipped_version,
                                             .bytes = buffer_slice(&repo->shipped) };
                        repo->shipped_version = 0;
                        return 0;
                }
                if (repo->store_due) {
                        const Metadata *m = repo->store_due;

                        repo->store_due = NULL;
                        *ret = (TrustStep) { .kind = TRUST_STORE, .role = m->role, .name = repo->store_name, .version = m->version,
                                             .expires = m->expires, .bytes = m->envelope->bytes };
                        return 0;
                }
                if (repo->forget_due) {
                        repo->forget_due = false;
                        *ret = (TrustStep) { .kind = TRUST_FORGET };
                        return 0;
                }
                phase = repo->phase;
                r = next_step(repo, ret, error);
        }
        return r < 0 ? fail(repo, phase, error) : 0;
}

int trust_repo_feed(TrustRepo *repo, Slice bytes, Error *error)
{
        Phase phase = repo->phase;
        int r = -1;

        assert(repo->asked);
        repo->asked = false;
        repo->offered = 0;
        switch (phase) {
        case PHASE_ROOT:
                r = feed_root(repo, bytes, error);
                break;
        case PHASE_TIMESTAMP:
                r = feed_timestamp(repo, bytes, error);
                break;
        case PHASE_SNAPSHOT:
                r = feed_snapshot(repo, bytes, error);
                break;
        case PHASE_TARGETS:
                r = feed_targets(repo, bytes, error);
                break;
        case PHASE_LOAD:
                r = feed_loaded(repo, bytes, error);
                break;
        case PHASE_DELEGATED:
                r = feed_delegated(repo, bytes, error);
                break;
        case PHASE_SEARCH:
        case PHASE_DONE:
        case PHASE_FAILED:
                abort();
        }
        return r < 0 ? fail(repo, phase, error) : r;
}

int trust_repo_feed_absent(TrustRepo *repo, Error *error)
{
        static const Role roles[] = { [PHASE_TIMESTAMP] = ROLE_TIMESTAMP, [PHASE_SNAPSHOT] = ROLE_SNAPSHOT, [PHASE_TARGETS] = ROLE_TARGETS };
        Phase phase = repo->phase;
        int r = 0;

        assert(repo->asked);
        repo->asked = false;
        repo->offered = 0;
        if (repo->phase == PHASE_ROOT)
                r = end_roots(repo, error);
        else if (repo->phase == PHASE_LOAD)
                repo->phase = PHASE_DELEGATED;
        else
                r = error_set(error, ERR_NOT_FOUND, "%s: the repository has no such file",
                              (repo->phase == PHASE_DELEGATED ? what_delegated(repo, repo->need.name) : what(repo, roles[repo->phase])).text);
        return r < 0 ? fail(repo, phase, error) : r;
}

const Targets *trust_repo_targets(const TrustRepo *repo)
{
        assert(repo->phase == PHASE_DONE);
        return &repo->trusted[ROLE_TARGETS]->targets;
}

const Metadata *trust_repo_metadata(const TrustRepo *repo, Role role)
{
        return repo->trusted[role];
}

void trust_repo_search(TrustRepo *repo, const char *name, const char *hardware_id)
{
        assert(repo->phase == PHASE_DONE);
        free((char *) repo->query.name);
        free((char *) repo->query.hardware_id);
        repo->query.name = xstrdup(name);
        repo->query.hardware_id = hardware_id ? xstrdup(hardware_id) : NULL;
        repo->found = NULL;
        repo->work = 0;
        repo->phase = PHASE_SEARCH;
}

const Target *trust_repo_found(const TrustRepo *repo)
{
        assert(repo->phase == PHASE_DONE);
        return repo->found;
}

const Metadata *trust_repo_delegated(const TrustRepo *repo, size_t index, const char **ret_name)
{
        if (index >= repo->n_delegated)
                return NULL;
        *ret_name = repo->delegated[index].name;
        return repo->delegated[index].metadata;
}
