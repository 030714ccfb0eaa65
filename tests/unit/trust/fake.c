/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/time.h"

Signer *fake_signer(KeyType type)
{
        cleanup_buffer Buffer pem = { 0 };
        Error error = { 0 };
        Signer *signer;

        if (signer_generate_pem(type, &pem, &error) < 0 || signer_new_pem(buffer_slice(&pem), &signer, &error) < 0)
                abort();
        return signer;
}

static json_t *header(const Fake *f, Role role)
{
        char expires[TIME_TEXT_SIZE], type[16];

        time_format(f->expires[role], expires);
        (void) snprintf(type, sizeof type, "%s", role_name(role));
        type[0] = (char) (type[0] - 'a' + 'A');
        return json_pack("{ss ss sI}", "_type", type, "expires", expires, "version", (json_int_t) f->versions[role]);
}

static json_t *meta(const Buffer *file, int64_t version)
{
        char hex[2 * SHA256_SIZE + 1];
        uint8_t sha256[SHA256_SIZE];

        digest_sha256(buffer_slice(file), sha256);
        hex_encode(slice(sha256, sizeof sha256), hex);
        return json_pack("{sI sI s{ss}}", "version", (json_int_t) version, "length", (json_int_t) file->size, "hashes", "sha256", hex);
}

/* {keytype, keyval} */
static json_t *public_key(const Signer *signer)
{
        return json_pack("{ss s{ss}}", "keytype", key_type_name(signer_key_type(signer)), "keyval", "public", signer_public_text(signer));
}

static void put_delegations(const Fake *f, json_t *body)
{
        json_t *keys = json_object(), *roles = json_array();

        for (size_t i = 0; i < FAKE_DELEGATED_MAX && f->delegated[i].name; i++) {
                const Signer *signer = f->delegated[i].signer;

                json_object_set_new(keys, signer_key_id(signer), public_key(signer));
                json_array_append_new(roles, json_pack("{ss s[s] si s[s] sb}", "name", f->delegated[i].name, "keyids", signer_key_id(signer),
                                                       "threshold", 1, "paths", "*", "terminating", 0));
        }
        json_object_set_new(body, "delegations", json_pack("{so so}", "keys", keys, "roles", roles));
}

static void list_delegated(const Fake *f, json_t *list)
{
        for (size_t i = 0; i < FAKE_DELEGATED_MAX && f->delegated[i].name; i++) {
                const FakeDelegated *d = &f->delegated[i];
                cleanup_free char *name = xasprintf("%s.json", d->name);

                if (!d->unlisted)
                        json_object_set_new(list, name, d->bare ? json_pack("{sI}", "version", (json_int_t) d->version) : meta(&d->file, d->version));
        }
}

void fake_sign_delegated(FakeDelegated *d, const Signer *signer)
{
        char expires[TIME_TEXT_SIZE], sha256[2 * SHA256_SIZE + 1];
        json_t *body, *targets = json_object();
        Error error = { 0 };

        memset(sha256, '1', sizeof sha256 - 1);
        sha256[sizeof sha256 - 1] = '\0';
        time_format(d->expires, expires);
        if (d->image)
                json_object_set_new(targets, d->image, json_pack("{si s{ss}}", "length", 7, "hashes", "sha256", sha256));
        body = json_pack("{ss ss sI so}", "_type", "Targets", "expires", expires, "version", (json_int_t) d->version, "targets", targets);
        buffer_done(&d->file);
        if (envelope_sign(body, signer ? signer : d->signer, &d->file, &error) < 0)
                abort();
}

void fake_sign(Fake *f, Role role, const Signer *signer)
{
        json_t *body = header(f, role), *list = json_object();
        Error error = { 0 };

        if (role == ROLE_TARGETS) {
                json_object_set_new(body, "targets", list);
                put_delegations(f, body);
        }
        else
                json_object_set_new(body, "meta", list);
        if (role == ROLE_SNAPSHOT)
                json_object_set_new(list, "targets.json", meta(&f->files[ROLE_TARGETS], f->versions[ROLE_TARGETS]));
        if (role == ROLE_SNAPSHOT)
                list_delegated(f, list);
        if (role == ROLE_SNAPSHOT && f->extra)
                json_object_set_new(list, f->extra, json_pack("{sI}", "version", (json_int_t) f->extra_version));
        if (role == ROLE_TIMESTAMP)
                json_object_set_new(list, "snapshot.json", f->bare ? json_pack("{sI}", "version", (json_int_t) f->versions[ROLE_SNAPSHOT])
                                                                   : meta(&f->files[ROLE_SNAPSHOT], f->versions[ROLE_SNAPSHOT]));
        buffer_done(&f->files[role]);
        if (envelope_sign(body, signer ? signer : f->signers[role], &f->files[role], &error) < 0)
                abort();
}

/* Puts the signatures of b beside those of a: both are over the same body. */
static void merge_signatures(Buffer *a, const Buffer *b)
{
        Error error = { 0 };
        cleanup_json json_t *x = NULL, *y = NULL;

        if (json_read(buffer_slice(a), &x, &error) < 0 || json_read(buffer_slice(b), &y, &error) < 0)
                abort();
        json_array_extend(json_object_get(x, "signatures"), json_object_get(y, "signatures"));
        buffer_done(a);
        json_canonical(x, a);
}

void fake_sign_root(Fake *f, const Signer *old)
{
        json_t *body, *keys = json_object(), *roles = json_object();
        cleanup_buffer Buffer by_old = { 0 };
        Error error = { 0 };
        Buffer *file;

        f->versions[ROLE_ROOT]++;
        assert(f->versions[ROLE_ROOT] < (int64_t) ELEMENTSOF(f->roots));
        body = header(f, ROLE_ROOT);
        for (unsigned r = 0; r < _ROLE_MAX; r++) {
                const Signer *s = f->signers[r];

                json_object_set_new(keys, signer_key_id(s), json_pack("{ss s{ss}}", "keytype", key_type_name(signer_key_type(s)), "keyval",
                                                                      "public", signer_public_text(s)));
                json_object_set_new(roles, role_name((Role) r), json_pack("{s[s] si}", "keyids", signer_key_id(s), "threshold", 1));
        }
        json_object_set_new(body, "keys", keys);
        json_object_set_new(body, "roles", roles);
        file = &f->roots[f->versions[ROLE_ROOT]];
        buffer_done(file);
        if (envelope_sign(json_incref(body), f->signers[ROLE_ROOT], file, &error) < 0 ||
            (old && envelope_sign(json_incref(body), old, &by_old, &error) < 0))
                abort();
        json_decref(body);
        if (old && strcmp(signer_key_id(old), signer_key_id(f->signers[ROLE_ROOT])) != 0)
                merge_signatures(file, &by_old);
}

void fake_publish(Fake *f)
{
        static const Role order[] = { ROLE_TARGETS, ROLE_SNAPSHOT, ROLE_TIMESTAMP };

        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                f->versions[order[i]]++;
                fake_sign(f, order[i], NULL);
        }
}

void fake_rotate(Fake *f, Role role)
{
        Signer *old = f->signers[role];

        f->signers[role] = fake_signer(KEY_ED25519);
        fake_sign_root(f, role == ROLE_ROOT ? old : NULL);
        signer_free(old);
}

void fake_init(Fake *f)
{
        *f = (Fake) { 0 };
        for (unsigned r = 0; r < _ROLE_MAX; r++) {
                f->signers[r] = fake_signer(KEY_ED25519);
                f->expires[r] = NOW + 86400;
        }
        fake_sign_root(f, NULL);
        fake_publish(f);
}

void fake_done(Fake *f)
{
        for (unsigned r = 0; r < _ROLE_MAX; r++) {
                signer_free(f->signers[r]);
                buffer_done(&f->files[r]);
        }
        for (size_t i = 0; i < ELEMENTSOF(f->roots); i++)
                buffer_done(&f->roots[i]);
        for (size_t n = 0; n < FAKE_DELEGATED_MAX; n++) {
                signer_free(f->delegated[n].signer);
                buffer_done(&f->delegated[n].file);
        }
}

/* ---- the client ---- */

static void keep(Buffer *b, Slice bytes)
{
        cleanup_buffer Buffer copy = { 0 };

        buffer_put(&copy, bytes.data, bytes.size);
        buffer_done(b);
        buffer_put(b, copy.data, copy.size);
}

void client_init(Client *c, const Fake *f)
{
        *c = (Client) { .stop_after = -1, .now = NOW };
        keep(&c->stored[ROLE_ROOT], buffer_slice(&f->roots[1]));
}

void client_done(Client *c)
{
        for (unsigned r = 0; r < _ROLE_MAX; r++)
                buffer_done(&c->stored[r]);
        buffer_done(&c->shipped);
}

static int answer(Client *c, const Fake *f, TrustRepo *repo, const TrustStep *step, Error *error)
{
        c->fetched[step->role]++;
        if (c->gone[step->role])
                return trust_repo_feed_absent(repo, error);
        if (step->role != ROLE_ROOT)
                return trust_repo_feed(repo, buffer_slice(&f->files[step->role]), error);
        if (step->version < (int64_t) ELEMENTSOF(f->roots) && f->roots[step->version].size)
                return trust_repo_feed(repo, buffer_slice(&f->roots[step->version]), error);
        return trust_repo_feed_absent(repo, error);
}

/* 1: done, or the power is cut. */
static int one_step(Client *c, const Fake *f, TrustRepo *repo, Error *error)
{
        TrustStep step;

        if (trust_repo_next(repo, &step, error) < 0)
                return -1;
        switch (step.kind) {
        case TRUST_DONE:
                return 1;
        case TRUST_FETCH:
                return answer(c, f, repo, &step, error);
        case TRUST_FORGET:
                c->forgotten++;
                buffer_done(&c->stored[ROLE_TIMESTAMP]);
                buffer_done(&c->stored[ROLE_SNAPSHOT]);
                return 0;
        case TRUST_LOAD:
                return -1; /* this repository has no delegations */
        case TRUST_STORE:
                if (c->stop_after == 0)
                        return 1;
                c->stop_after -= c->stop_after > 0;
                keep(&c->stored[step.role], step.bytes);
                return 0;
        }
        abort();
}

ErrorCode client_run(Client *c, const Fake *f, Error *error)
{
        const TrustOptions options = { .kind = TRUST_DIRECTOR, .now = c->now, .without_timestamp = c->without_timestamp };
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&options);
        int r = 0;

        error_clear(error);
        memset(c->fetched, 0, sizeof c->fetched);
        c->forgotten = 0;
        if (!c->stored[ROLE_ROOT].size && trust_repo_ship(repo, buffer_slice(&c->shipped), error) < 0)
                return error->code;
        for (unsigned role = 0; role < _ROLE_MAX; role++)
                if (c->stored[role].size && trust_repo_restore(repo, (Role) role, buffer_slice(&c->stored[role]), error) < 0)
                        return error->code;
        while (r == 0)
                r = one_step(c, f, repo, error);
        return r < 0 ? error->code : ERR_NONE;
}
