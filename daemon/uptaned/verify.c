/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/verify.h"

#include <stdio.h>

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
                .now = manager_now(m),
                .without_timestamp = kind == TRUST_DIRECTOR && !m->config.require_director_timestamp,
        };
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
                (void) error_prefix(error, "%s %s", trust_kind_name(v->kind), role_name(v->step.role));
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

static int fetch_step(Verify *v, Error *error)
{
        const char *base = v->kind == TRUST_DIRECTOR ? v->m->config.director_url : v->m->config.repository_url;
        FetchRequest request = {
                .max = v->step.max_bytes,
                .seconds = v->m->config.metadata_timeout,
                .done = on_fetched,
                .userdata = v,
        };
        char name[64];

        if (v->step.role == ROLE_ROOT)
                (void) snprintf(name, sizeof name, "%lld.root.json", (long long) v->step.version);
        else
                (void) snprintf(name, sizeof name, "%s.json", role_name(v->step.role));
        free(v->url);
        v->url = manager_url(base, name);
        request.url = v->url;
        request.authenticate = manager_authenticates(v->m, v->url);
        return fetch_get(v->fetch, &request, error);
}

static int store_step(Manager *m, TrustKind kind, const TrustStep *step, Error *error)
{
        if (step->kind == TRUST_FORGET)
                return store_metadata_forget(m->store, kind, error);
        return store_metadata_put(m->store, kind, step->role, step->version, step->bytes, error);
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
                if (store_step(v->m, v->kind, &v->step, &error) < 0)
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

int verify_online(Manager *m, Fetch *fetch, TrustKind kind, VerifyDone done, void *userdata, Verify **ret, Error *error)
{
        CLEANUP(verify_free) Verify *v = xcalloc(1, sizeof *v);
        int r;

        v->m = m;
        v->fetch = fetch;
        v->kind = kind;
        v->done = done;
        v->userdata = userdata;
        if (repo_from_store(m, kind, &v->repo, error) < 0)
                return -1;
        r = sd_event_add_defer(m->event, &v->start, on_ready, v);
        if (r < 0)
                return error_set_errno(error, ERR_SYSTEM, -r, "event loop");
        *ret = TAKE_PTR(v);
        return 0;
}

/* Answers a FETCH with what is stored. */
static int feed_stored(Manager *m, TrustKind kind, TrustRepo *repo, const TrustStep *step, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };
        int r;

        if (step->role == ROLE_ROOT)
                return trust_repo_feed_absent(repo, error);
        r = store_metadata_get(m->store, kind, step->role, &bytes, error);
        if (r < 0)
                return -1;
        return r ? trust_repo_feed(repo, buffer_slice(&bytes), error) : trust_repo_feed_absent(repo, error);
}

int verify_stored(Manager *m, TrustKind kind, TrustRepo **ret, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = NULL;
        TrustStep step;

        if (repo_from_store(m, kind, &repo, error) < 0)
                return -1;
        for (;;) {
                if (trust_repo_next(repo, &step, error) < 0)
                        return -1;
                if (step.kind == TRUST_DONE)
                        break;
                if (step.kind == TRUST_FETCH && feed_stored(m, kind, repo, &step, error) < 0)
                        return -1;
                /* TRUST_STORE and TRUST_FORGET: what is stored is what was fed */
        }
        *ret = TAKE_PTR(repo);
        return 0;
}
