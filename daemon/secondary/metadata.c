/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full verification, and partial. The core asks for the files in its own order and is answered from the message; what it wants
 * stored is collected, and stored in one transaction when both repositories and the assignment have been verified. Partial
 * verification is the same with one repository whose Timestamp nobody asks for.
 */
#include <assert.h>
#include <stdio.h>

#include "base/time.h"
#include "secondary/secondary.h"

#define CHANGES_MAX (16 + SEARCH_ROLES_MAX)

static_assert(DER_FILES_MAX >= _ROLE_MAX + SEARCH_ROLES_MAX, "a search may ask for more than a message has");

typedef struct Change {
        TrustKind kind;
        bool forget;
        Role role;
        const char *name; /* of a delegated role, in the arena; NULL: one of the four */
        int64_t version;
        Slice bytes; /* in the arena */
} Change;

typedef struct Changes {
        Arena *arena;
        Change list[CHANGES_MAX];
        size_t n;
} Changes;

static void changes_done(Changes *changes)
{
        arena_free(changes->arena);
}
#define cleanup_changes __attribute__((cleanup(changes_done)))

static int changes_add(Changes *changes, TrustKind kind, const TrustStep *step, Error *error)
{
        if (changes->n == CHANGES_MAX)
                return error_set(error, ERR_MALFORMED, "%s: more files than a repository has", trust_kind_name(kind));
        changes->list[changes->n++] = (Change) {
                .kind = kind,
                .forget = step->kind == TRUST_FORGET,
                .role = step->role,
                .name = step->name ? arena_strdup(changes->arena, step->name) : NULL,
                .version = step->version,
                .bytes = arena_dup(changes->arena, step->kind == TRUST_FORGET ? SLICE_NONE : step->bytes),
        };
        return 0;
}

static int changes_put(Secondary *s, const Changes *changes, Error *error)
{
        for (size_t i = 0; i < changes->n; i++) {
                const Change *c = &changes->list[i];
                int r;

                if (c->forget)
                        r = store_metadata_forget(s->store, c->kind, error);
                else if (c->name)
                        r = store_delegated_put(s->store, c->kind, c->name, c->version, c->bytes, error);
                else
                        r = store_metadata_put(s->store, c->kind, c->role, c->version, c->bytes, error);

                if (r < 0)
                        return -1;
        }
        return 0;
}

/* Uptane 5.4.2.6 (d). verified_at: when all of it was found fresh; 0 where that was not asked. */
static int changes_store(Secondary *s, const Changes *changes, int64_t verified_at, Error *error)
{
        if (store_begin(s->store, error) < 0)
                return -1;
        if (changes_put(s, changes, error) < 0 ||
            (verified_at > 0 && store_number_put(s->store, SECONDARY_TIME_FLOOR, verified_at, error) < 0) ||
            store_commit(s->store, error) < 0) {
                store_rollback(s->store);
                return -1;
        }
        return 0;
}

/* ---- one repository ---- */

static int restore(Secondary *s, TrustRepo *repo, TrustKind kind, Role role, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };
        int r = store_metadata_get(s->store, kind, role, NULL, &bytes, error);

        if (r == 0 && role == ROLE_ROOT)
                return error_set(error, ERR_NO_ROOT, "%s: no trusted Root", trust_kind_name(kind));
        if (r > 0)
                r = trust_repo_restore(repo, role, buffer_slice(&bytes), error);
        return r < 0 ? -1 : 0;
}

/* The one file of this name, or NULL. */
static const DerFile *find_file(const DerFile *files, size_t n, const char *role)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(files[i].role, role) == 0)
                        return &files[i];
        return NULL;
}

/* A role twice, or one that is none, would leave open which of them was verified. The time is no role, and as short as the shortest. */
static int role_of(TrustKind kind, const char *file, Role *ret, Error *error)
{
        if (kind == TRUST_DIRECTOR && strcmp(file, DER_TIME) == 0) {
                *ret = ROLE_TIMESTAMP;
                return 0;
        }
        if (kind == TRUST_IMAGE && strncmp(file, DER_DELEGATED, sizeof DER_DELEGATED - 1) == 0) {
                *ret = ROLE_TARGETS;
                return 0;
        }
        for (unsigned role = 0; role < _ROLE_MAX; role++) {
                if (strcmp(file, role_name((Role) role)) != 0)
                        continue;
                *ret = (Role) role;
                return 0;
        }
        return error_set(error, ERR_MALFORMED, "%s: file '%s' is of no role", trust_kind_name(kind), file);
}

static int check_roles(const DerFile *files, size_t n, TrustKind kind, Error *error)
{
        for (size_t i = 0; i < n; i++) {
                Role role = ROLE_ROOT;

                if (role_of(kind, files[i].role, &role, error) < 0)
                        return -1;
                if (find_file(files, i, files[i].role))
                        return error_set(error, ERR_MALFORMED, "%s: file '%s' is there twice", trust_kind_name(kind), files[i].role);
                if (files[i].json.size > role_bytes_max(role))
                        return error_set(error, ERR_TOO_LARGE, "%s: %s has %zu bytes, more than %zu", trust_kind_name(kind),
                                         files[i].role, files[i].json.size, role_bytes_max(role));
        }
        return 0;
}

/* One repository's part of a message, and what it makes to be stored. */
typedef struct Part {
        TrustKind kind;
        Store *store;
        const DerFile *files;
        size_t n;
        Changes *changes;
        const TrustRepo *repo;
        bool root_optional; /* the trusted one stays where the message has none */
} Part;

/* The message has the latest Root only: the trusted one, or the one behind it. */
static int get_root(const Part *part, const DerFile *root, Error *error)
{
        if (!root && part->root_optional)
                return 0;
        if (!root)
                return error_set(error, ERR_NOT_FOUND, "%s: the message has no Root", trust_kind_name(part->kind));
        return !slice_equal(trust_repo_metadata(part->repo, ROLE_ROOT)->envelope->bytes, root->json);
}

static const DerFile *file_for(const Part *part, const TrustStep *step)
{
        cleanup_free char *delegated = step->name ? xasprintf(DER_DELEGATED "%s", step->name) : NULL;

        return find_file(part->files, part->n, delegated ? delegated : role_name(step->role));
}

static int get(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        const Part *part = userdata;
        const DerFile *file;
        int r;

        if (step->kind == TRUST_LOAD) /* Uptane 5.4.2.6 (e), Uptane 5.4.4.6 (4c): what a new one is held to */
                return store_metadata_get(part->store, part->kind, ROLE_TARGETS, step->name, ret, error);
        file = file_for(part, step);
        r = step->role == ROLE_ROOT ? get_root(part, file, error) : file != NULL;
        if (r > 0)
                buffer_put(ret, file->json.data, file->json.size);
        return r;
}

static int put(void *userdata, const TrustStep *step, Error *error)
{
        const Part *part = userdata;

        return changes_add(part->changes, part->kind, step, error);
}

/* Uptane 5.4 (h), Uptane 5.4.4 (b): Root, Timestamp, Snapshot, Targets of one repository, from what the message holds. */
static int verify(Secondary *s, const TrustOptions *options, Part *part, TrustRepo **ret, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(options);

        part->kind = options->kind;
        part->repo = repo;
        if (check_roles(part->files, part->n, part->kind, error) < 0)
                return -1;
        for (unsigned role = 0; role < _ROLE_MAX; role++)
                if (restore(s, repo, part->kind, (Role) role, error) < 0)
                        return -1;
        if (trust_repo_drive(repo, &(TrustFiles) { .get = get, .put = put, .userdata = part }, error) < 0)
                return -1;
        *ret = TAKE_PTR(repo);
        return 0;
}

/* ---- the assignment ---- */

/* Uptane 5.4.3.3 (2): what is assigned to this ECU, or nothing */
static int take_assignment(const Secondary *s, const Plan *plan, Wanted *ret, Error *error)
{
        const Assignment *a = plan->assignments;
        Wanted wanted = { .any = plan->n_assignments > 0 };

        if (!wanted.any) {
                *ret = wanted;
                return 0;
        }
        if (a->ostree && s->config.driver != SECONDARY_OSTREE)
                return error_set(error, ERR_UNSUPPORTED, "%s: '%s' is an OSTree commit, and this ECU installs files", s->serial, a->director->name);
        if (!a->ostree && s->config.driver == SECONDARY_OSTREE)
                return error_set(error, ERR_UNSUPPORTED, "%s: '%s' is a file, and this ECU installs OSTree commits", s->serial, a->director->name);
        if (!a->ostree && a->director->length > s->config.image_max)
                return error_set(error, ERR_NO_SPACE, "%s: '%s' has %lld bytes, more than the %lld there is room for", s->serial,
                                 a->director->name, (long long) a->director->length, (long long) s->config.image_max);
        (void) snprintf(wanted.name, sizeof wanted.name, "%s", a->director->name);
        wanted.installed = a->installed;
        wanted.length = a->director->length;
        wanted.hashes = a->director->hashes;
        wanted.release_counter = a->director->release_counter > a->image->release_counter ? a->director->release_counter
                                                                                           : a->image->release_counter;
        *ret = wanted;
        return 0;
}

static Ecu as_plan_ecu(const Secondary *s)
{
        return (Ecu) {
                .serial = s->serial,
                .hardware_id = s->config.hardware_id,
                .release_counter = s->installed.release_counter,
                .image = *s->installed.image ? s->installed.image : NULL,
                .hashes = s->installed.hashes,
                .length = s->installed.length,
        };
}

/* Uptane 5.4.4.2 (10), Uptane 5.4.4.2 (10.2.2d), Uptane 5.4.3.3 (4a): both repositories agree on the image for this ECU */
static int check_assignment(const Secondary *s, const TrustRepo *director, TrustRepo *image, Part *part, Wanted *ret, Error *error)
{
        const Ecu self = as_plan_ecu(s);
        cleanup_plan Plan plan = { 0 };

        if (uptane_check_director(trust_repo_targets(director), &self, 1, false, &plan, error) < 0 ||
            uptane_check_images(&plan, image, &(TrustFiles) { .get = get, .put = put, .userdata = part },
                                (const char *const *) s->config.must_match, error) < 0)
                return -1;
        return take_assignment(s, &plan, ret, error);
}

/*
 * Uptane 5.4.4.2 (3b, 4c): a Director without Timestamp and Snapshot is accepted unless configured otherwise. One that had
 * them once is held to them: leaving them out of a message must not open the way to older Targets. 1: it may go without.
 */
static int without_timestamp(Secondary *s, const DerMessage *files, Error *error)
{
        cleanup_buffer Buffer stored = { 0 };
        int r = store_metadata_get(s->store, TRUST_DIRECTOR, ROLE_TIMESTAMP, NULL, &stored, error);

        if (r < 0)
                return -1;
        return r == 0 && !s->config.require_director_timestamp &&
               !find_file(files->director_files, files->n_director_files, role_name(ROLE_TIMESTAMP));
}

/*
 * Uptane 5.4 (i), Uptane 5.4.4 (c), Uptane 5.4.4.1 (1a, 2): the Director's Root chain and Targets; whatever else the message
 * holds is not looked at.
 */
static int verify_partially(Secondary *s, const DerMessage *files, int64_t now, Changes *changes, Wanted *ret, Error *error)
{
        const TrustOptions options = { .kind = TRUST_DIRECTOR, .now = now, .without_timestamp = true };
        Part part = { .store = s->store, .files = files->director_files, .n = files->n_director_files, .changes = changes, .root_optional = true };
        CLEANUP(trust_repo_free) TrustRepo *director = NULL;
        cleanup_plan Plan plan = { 0 };
        const Ecu self = as_plan_ecu(s);

        if (verify(s, &options, &part, &director, error) < 0 ||
            uptane_check_director(trust_repo_targets(director), &self, 1, false, &plan, error) < 0 || uptane_check_partial(&plan, error) < 0)
                return -1;
        return take_assignment(s, &plan, ret, error);
}

/* Uptane 5.4.4.2 (b) */
static int verify_fully(Secondary *s, const DerMessage *files, int64_t now, Changes *changes, Wanted *ret, Error *error)
{
        TrustOptions for_director = { .kind = TRUST_DIRECTOR, .now = now };
        const TrustOptions for_image = { .kind = TRUST_IMAGE, .now = now };
        CLEANUP(trust_repo_free) TrustRepo *director = NULL, *image = NULL;
        Part director_part = { .store = s->store, .files = files->director_files, .n = files->n_director_files, .changes = changes };
        Part image_part = { .store = s->store, .files = files->image_files, .n = files->n_image_files, .changes = changes };
        int r = without_timestamp(s, files, error);

        if (r < 0)
                return -1;
        for_director.without_timestamp = r;
        if (verify(s, &for_director, &director_part, &director, error) < 0 || verify(s, &for_image, &image_part, &image, error) < 0)
                return -1;
        return check_assignment(s, director, image, &image_part, ret, error);
}

/*
 * Uptane 5.4.2.5: the Primary's clock, where it sent its time along. Nobody has signed that, so it counts for this message alone,
 * and only where it is later than one's own: then more is expired, never less, and what comes next is not held to it.
 */
static int time_with(const DerMessage *files, int64_t own, int64_t *ret, Error *error)
{
        const DerFile *file = find_file(files->director_files, files->n_director_files, DER_TIME);
        cleanup_free char *text = file ? xstrndup((const char *) file->json.data, file->json.size) : NULL;
        int64_t sent = own;

        if (text && time_parse(text, &sent, error) < 0)
                return error_prefix(error, "the Primary's time");
        *ret = sent > own ? sent : own;
        return 0;
}

int secondary_put_metadata(Secondary *secondary, const DerMessage *files, Error *error)
{
        cleanup_changes Changes changes = { .arena = arena_new() };
        Wanted wanted;
        int64_t own = 0, now = 0;

        secondary_drop_upload(secondary);
        secondary->wanted = (Wanted) { 0 };
        secondary->outcome = (Outcome) { 0 };
        if (secondary_time(secondary, &own, error) < 0 || time_with(files, own, &now, error) < 0)
                return -1;
        if ((secondary->config.partial ? verify_partially : verify_fully)(secondary, files, now, &changes, &wanted, error) < 0 ||
            changes_store(secondary, &changes, own, error) < 0)
                return -1;
        secondary->wanted = wanted;
        return 0;
}

/* ---- Roots ---- */

bool secondary_trusts(const Secondary *secondary, TrustKind kind)
{
        return kind == TRUST_DIRECTOR || !secondary->config.partial;
}

int secondary_root_version(Secondary *secondary, TrustKind kind, int64_t *ret, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&(TrustOptions) { .kind = kind });

        if (!secondary_trusts(secondary, kind)) {
                *ret = 0;
                return 0;
        }
        if (restore(secondary, repo, kind, ROLE_ROOT, error) < 0)
                return -1;
        *ret = trust_repo_metadata(repo, ROLE_ROOT)->version;
        return 0;
}

/*
 * The core stores a Root as soon as the one before it vouches for it, and says what its keys make void; that it is fresh
 * matters when it is used. Its next question, for the Root behind this one, is left open.
 */
static int step_root(TrustRepo *repo, TrustKind kind, Slice root, Changes *changes, Error *error)
{
        TrustStep step;

        if (trust_repo_next(repo, &step, error) < 0)
                return -1;
        if (step.kind != TRUST_FETCH || step.role != ROLE_ROOT)
                return error_set(error, ERR_WRONG_STATE, "%s: no Root is asked for", trust_kind_name(kind));
        if (trust_repo_feed(repo, root, error) < 0)
                return -1;
        for (;;) {
                if (trust_repo_next(repo, &step, error) < 0)
                        return -1;
                if (step.kind == TRUST_FETCH)
                        return 0;
                if (changes_add(changes, kind, &step, error) < 0)
                        return -1;
        }
}

int secondary_put_root(Secondary *secondary, TrustKind kind, Slice root, Error *error)
{
        cleanup_changes Changes changes = { .arena = arena_new() };
        CLEANUP(trust_repo_free) TrustRepo *repo = NULL;
        int64_t now;

        if (!secondary_trusts(secondary, kind))
                return 0;
        if (secondary_time(secondary, &now, error) < 0)
                return -1;
        repo = trust_repo_new(&(TrustOptions) { .kind = kind, .now = now, .without_timestamp = kind == TRUST_DIRECTOR });
        if (restore(secondary, repo, kind, ROLE_ROOT, error) < 0)
                return -1;
        if (slice_equal(trust_repo_metadata(repo, ROLE_ROOT)->envelope->bytes, root))
                return 0;
        if (step_root(repo, kind, root, &changes, error) < 0)
                return -1;
        return changes_store(secondary, &changes, 0, error);
}
