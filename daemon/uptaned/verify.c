/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/verify.h"

#include <assert.h>

struct Verify {
        Manager *m;
        Fetch *fetch;
        TrustKind kind;
        TrustRepo *repo;
        TrustStep step;
        char *url;
        sd_event_source *start;
        VerifyDone done;
        void *userdata;
};

static void drive(Verify *v);

Verify *verify_free(Verify *v)
{
        if (!v)
                return NULL;
        sd_event_source_disable_unref(v->start);
        trust_repo_free(v->repo);
        free(v->url);
        free(v);
        return NULL;
}

const Targets *verify_targets(const Verify *v)
{
        return trust_repo_targets(v->repo);
}

int64_t verify_targets_version(const Verify *v)
{
        return trust_repo_metadata(v->repo, ROLE_TARGETS)->version;
}

/* A repository as it was trusted last. */
static int repo_from_store(Manager *m, TrustKind kind, TrustRepo **ret, Error *error)
{
        const TrustOptions options = {
                .kind = kind,
                .now = manager_now_for(m, kind), /* Uptane 5.4.4.2 (1a) */
                .without_timestamp = kind == TRUST_DIRECTOR && !m->config.require_director_timestamp,
                .max_bytes = { m->config.max_bytes[0], m->config.max_bytes[1], m->config.max_bytes[2], m->config.max_bytes[3] },
                .max_delegated_bytes = m->config.max_delegated_bytes,
                .must_match = (const char *const *) m->config.must_match_names,
        };
        static_assert(_ROLE_MAX == 4, "a role without a limit");
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&options);

        for (unsigned role = 0; role < _ROLE_MAX; role++) {
                cleanup_buffer Buffer bytes = { 0 };
                int r = store_metadata_get(m->store, kind, (Role) role, &bytes, error);

                if (r < 0)
                        return -1;
                if (r == 0 && role == ROLE_ROOT)
                        return error_set(error, ERR_NO_ROOT, "%s: no trusted Root", trust_kind_name(kind));
                if (r > 0 && trust_repo_restore(repo, (Role) role, buffer_slice(&bytes), error) < 0)
                        return -1;
        }
        *ret = TAKE_PTR(repo);
        return 0;
}

static void finish(Verify *v, Error *error)
{
        VerifyDone done = v->done;

        v->done = NULL;
        done(v->userdata, error);
}

static void on_fetched(void *userdata, const FetchAnswer *answer, Error *error)
{
        Verify *v = userdata;
        int r;

        if (!answer) {
                const char *role = v->step.name ? v->step.name : role_name(v->step.role);

                (void) error_prefix(error, "%s %s", trust_kind_name(v->kind), role);
                error_about(error, trust_kind_name(v->kind), role, v->step.version);
                finish(v, error);
                return;
        }
        if (answer->status == 404)
                r = trust_repo_feed_absent(v->repo, error);
        else
                r = trust_repo_feed(v->repo, answer->body, error);
        if (r < 0)
                finish(v, error);
        else
                drive(v);
}

/* Uptane 5.4.4.2 (c): from the repository's URL */
static int fetch_step(Verify *v, Error *error)
{
        cleanup_free char *file = trust_step_file(&v->step);
        const char *base = v->kind == TRUST_DIRECTOR ? v->m->config.director_url : v->m->config.repository_url;
        FetchRequest request = {
                .max = v->step.max_bytes,
                .seconds = v->m->config.metadata_timeout,
                .slowest = v->m->config.slowest,
                .done = on_fetched,
                .userdata = v,
        };

        free(v->url);
        v->url = xasprintf("%s/%s", base, file);
        request.url = v->url;
        request.authenticate = manager_authenticates(v->m, v->url);
        return fetch_get(v->fetch, &request, error);
}

static int store_step(Manager *m, TrustKind kind, const TrustStep *step, Error *error)
{
        if (step->kind == TRUST_FORGET)
                return store_metadata_forget(m->store, kind, error);
        if (step->name)
                return store_delegated_put(m->store, kind, step->name, step->version, step->bytes, error);
        return store_metadata_put(m->store, kind, step->role, step->version, step->bytes, error);
}

static int load_step(Verify *v, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };
        int r = store_delegated_get(v->m->store, v->kind, v->step.name, &bytes, error);

        if (r < 0)
                return -1;
        return r ? trust_repo_feed(v->repo, buffer_slice(&bytes), error) : trust_repo_feed_absent(v->repo, error);
}

static void drive(Verify *v)
{
        Error error = { 0 };

        for (;;) {
                int r = trust_repo_next(v->repo, &v->step, &error);

                if (r < 0 || v->step.kind == TRUST_DONE)
                        break;
                if (v->step.kind == TRUST_FETCH) {
                        if (fetch_step(v, &error) < 0)
                                break;
                        return;
                }
                r = v->step.kind == TRUST_LOAD ? load_step(v, &error) : store_step(v->m, v->kind, &v->step, &error);
                if (r < 0)
                        break;
        }
        finish(v, &error);
}

/* The first drive comes from the event loop, so that done is never called before verify_online() has returned. */
static int on_ready(sd_event_source *source, void *userdata)
{
        Verify *v = userdata;

        (void) source;
        v->start = sd_event_source_disable_unref(v->start);
        drive(v);
        return 0;
}

static int start(Verify *v, VerifyDone done, void *userdata, Error *error)
{
        int r = sd_event_add_defer(v->m->event, &v->start, on_ready, v);

        if (r < 0)
                return error_set_errno(error, ERR_SYSTEM, -r, "event loop");
        v->done = done;
        v->userdata = userdata;
        return 0;
}

int verify_online(Manager *m, Fetch *fetch, TrustKind kind, VerifyDone done, void *userdata, Verify **ret, Error *error)
{
        CLEANUP(verify_free) Verify *v = xcalloc(1, sizeof *v);

        v->m = m;
        v->fetch = fetch;
        v->kind = kind;
        if (repo_from_store(m, kind, &v->repo, error) < 0 || start(v, done, userdata, error) < 0)
                return -1;
        *ret = TAKE_PTR(v);
        return 0;
}

int verify_search(Verify *v, const char *name, const char *hardware_id, VerifyDone done, void *userdata, Error *error)
{
        trust_repo_search(v->repo, name, hardware_id);
        return start(v, done, userdata, error);
}

const Target *verify_found(const Verify *v)
{
        return trust_repo_found(v->repo);
}

/* ---- with what is stored ---- */

typedef struct Stored {
        Manager *m;
        TrustKind kind;
} Stored;

static int get_stored(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        const Stored *s = userdata;

        if (step->role == ROLE_ROOT)
                return 0;
        if (step->name)
                return store_delegated_get(s->m->store, s->kind, step->name, ret, error);
        return store_metadata_get(s->m->store, s->kind, step->role, ret, error);
}

static int verify_stored(Manager *m, TrustKind kind, TrustRepo **ret, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = NULL;
        /* what is asked to be stored is what was given */
        const TrustFiles files = { .get = get_stored, .userdata = &(Stored) { m, kind } };

        if (repo_from_store(m, kind, &repo, error) < 0 || trust_repo_drive(repo, &files, error) < 0)
                return -1;
        *ret = TAKE_PTR(repo);
        return 0;
}

/* Uptane 5.4.3.2 (a), Uptane 5.4.3.4 (1) */
int verify_again(Manager *m, const Ecu *ecus, StoredPlan *ret, Error *error)
{
        const TrustFiles files = { .get = get_stored, .userdata = &(Stored) { m, TRUST_IMAGE } };

        if (verify_stored(m, TRUST_DIRECTOR, &ret->director, error) < 0 || verify_stored(m, TRUST_IMAGE, &ret->image, error) < 0 ||
            vehicle_check_targets(m, trust_repo_targets(ret->director), error) < 0 ||
            uptane_check_director(trust_repo_targets(ret->director), ecus, m->n_ecus, true, &ret->plan, error) < 0)
                return -1;
        return uptane_check_images(&ret->plan, ret->image, &files, (const char *const *) m->config.must_match_names, error);
}

void stored_plan_done(StoredPlan *stored)
{
        plan_done(&stored->plan);
        trust_repo_free(stored->director);
        trust_repo_free(stored->image);
}
