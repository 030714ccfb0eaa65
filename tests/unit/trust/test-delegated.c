/* SPDX-License-Identifier: Apache-2.0 */
/* Delegated roles as the workflow fetches, verifies and keeps them: signed by others, listed by Snapshot, cached by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fake.h"
#include "trust/drive.h"

/* A repository with the roles "a" and "b", and a client's memory. */
typedef struct World {
        Fake fake;
        Buffer stored[_ROLE_MAX], delegated[FAKE_DELEGATED_MAX];
        size_t fetched[FAKE_DELEGATED_MAX], n_stored;
        bool gone; /* the repository has no delegated files */
        TrustOptions options;
        TrustRepo *repo;
        Error error;
} World;

static size_t index_of(const World *w, const char *name)
{
        for (size_t i = 0; i < FAKE_DELEGATED_MAX; i++)
                if (w->fake.delegated[i].name && strcmp(w->fake.delegated[i].name, name) == 0)
                        return i;
        fail_msg("role '%s' was asked for", name);
        return 0;
}

static void keep(Buffer *b, Slice bytes)
{
        cleanup_buffer Buffer copy = { 0 };

        buffer_put(&copy, bytes.data, bytes.size);
        buffer_done(b);
        buffer_put(b, copy.data, copy.size);
}

static int give(const Buffer *from, Buffer *ret)
{
        buffer_put(ret, from->data, from->size);
        return from->size > 0;
}

static int get(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        World *w = userdata;
        size_t i;

        (void) error;
        if (!step->name)
                return step->role == ROLE_ROOT ? 0 : give(&w->fake.files[step->role], ret);
        i = index_of(w, step->name);
        if (step->kind == TRUST_LOAD)
                return give(&w->delegated[i], ret);
        assert_int_equal(step->role, ROLE_TARGETS);
        assert_int_equal(step->version, w->fake.delegated[i].version);
        assert_true(step->max_bytes > 0);
        w->fetched[i]++;
        return w->gone ? 0 : give(&w->fake.delegated[i].file, ret);
}

static int put(void *userdata, const TrustStep *step, Error *error)
{
        World *w = userdata;

        (void) error;
        if (step->kind != TRUST_STORE)
                return 0;
        w->n_stored += step->name != NULL;
        keep(step->name ? &w->delegated[index_of(w, step->name)] : &w->stored[step->role], step->bytes);
        return 0;
}

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);
        static const char *const names[] = { "a", "b" };

        fake_init(&w->fake);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                w->fake.delegated[i] = (FakeDelegated) { .name = names[i], .signer = fake_signer(KEY_ED25519), .version = 1, .expires = NOW + 1000 };
                fake_sign_delegated(&w->fake.delegated[i], NULL);
        }
        w->fake.delegated[1].image = "in-b";
        fake_sign_delegated(&w->fake.delegated[1], NULL);
        fake_publish(&w->fake);
        keep(&w->stored[ROLE_ROOT], buffer_slice(&w->fake.roots[1]));
        w->options = (TrustOptions) { .kind = TRUST_IMAGE, .now = NOW };
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        trust_repo_free(w->repo);
        for (size_t i = 0; i < _ROLE_MAX; i++)
                buffer_done(&w->stored[i]);
        for (size_t i = 0; i < FAKE_DELEGATED_MAX; i++)
                buffer_done(&w->delegated[i]);
        fake_done(&w->fake);
        free(w);
        return 0;
}

/* A whole cycle that looks for an image. Returns the error's code. */
static ErrorCode find(World *w, const char *image)
{
        const TrustFiles files = { get, put, w };

        trust_repo_free(w->repo);
        w->repo = trust_repo_new(&w->options);
        error_clear(&w->error);
        memset(w->fetched, 0, sizeof w->fetched);
        w->n_stored = 0;
        for (unsigned role = 0; role < _ROLE_MAX; role++)
                if (w->stored[role].size)
                        assert_true(trust_repo_restore(w->repo, (Role) role, buffer_slice(&w->stored[role]), &w->error) >= 0);
        if (trust_repo_drive(w->repo, &files, &w->error) < 0)
                return w->error.code;
        trust_repo_search(w->repo, image, "hw");
        return trust_repo_drive(w->repo, &files, &w->error) < 0 ? w->error.code : ERR_NONE;
}

static void expect(World *w, const char *image, ErrorCode code, size_t fetched_a, size_t fetched_b)
{
        ErrorCode got = find(w, image);

        if (got != code)
                fail_msg("%s: %s", error_info(got)->name, w->error.message);
        assert_int_equal(w->fetched[0], fetched_a);
        assert_int_equal(w->fetched[1], fetched_b);
}

/* Signs everything again with the roles as they are. */
static void publish(World *w, const Signer *a_signer)
{
        fake_sign_delegated(&w->fake.delegated[0], a_signer);
        fake_sign_delegated(&w->fake.delegated[1], NULL);
        fake_publish(&w->fake);
}

/* Uptane 5.4.4.7 (a) */
static void roles_are_fetched_once_stored_and_found_again(void **state)
{
        World *w = *state;

        expect(w, "in-b", ERR_NONE, 1, 1);
        assert_int_equal(trust_repo_found(w->repo)->length, 7);
        assert_int_equal(w->n_stored, 2);
        expect(w, "in-b", ERR_NONE, 0, 0);
        assert_non_null(trust_repo_found(w->repo));
        assert_int_equal(w->n_stored, 0);
        expect(w, "nowhere", ERR_NONE, 0, 0);
        assert_null(trust_repo_found(w->repo));
        /* a second search in the same cycle asks for nothing that is there */
        trust_repo_search(w->repo, "in-b", NULL);
        assert_int_equal(trust_repo_drive(w->repo, &(TrustFiles) { get, put, w }, &w->error), 0);
        assert_non_null(trust_repo_found(w->repo));
}

static void a_new_version_is_fetched_and_a_stored_one_that_is_spoilt_too(void **state)
{
        World *w = *state;

        expect(w, "in-b", ERR_NONE, 1, 1);
        w->fake.delegated[0].version++;
        publish(w, NULL);
        expect(w, "in-b", ERR_NONE, 1, 0);
        w->delegated[1].data[w->delegated[1].size / 2] ^= 1;
        expect(w, "in-b", ERR_NONE, 0, 1);
}

/* Uptane 5.2.4: T-31 */
static void what_snapshot_does_not_list_is_not_used(void **state)
{
        World *w = *state;

        w->fake.delegated[0].unlisted = true;
        publish(w, NULL);
        expect(w, "in-b", ERR_MIX_AND_MATCH, 0, 0);
        assert_non_null(strstr(w->error.message, "image role 'a'"));
}

/* T-31: a stored file by a key that is trusted no more */
static void a_stored_role_is_held_to_the_keys_of_its_delegator(void **state)
{
        World *w = *state;
        Signer *old = w->fake.delegated[0].signer;

        expect(w, "in-b", ERR_NONE, 1, 1);
        w->fake.delegated[0].signer = fake_signer(KEY_ED25519);
        fake_sign_delegated(&w->fake.delegated[0], old);
        fake_publish(&w->fake);
        expect(w, "in-b", ERR_BAD_SIGNATURE, 1, 0);
        signer_free(old);
        publish(w, NULL);
        expect(w, "in-b", ERR_NONE, 1, 0);
}

static void rotate_snapshot(World *w)
{
        fake_rotate(&w->fake, ROLE_SNAPSHOT);
        keep(&w->stored[ROLE_ROOT], buffer_slice(&w->fake.roots[w->fake.versions[ROLE_ROOT]]));
}

/*
 * Uptane 5.4.4.6 (4b): new keys of Snapshot make the old one void, and with it what it said of delegated roles; what is stored
 * of them still counts.
 */
static void a_rotation_of_snapshot_keys_takes_no_delegated_role_back(void **state)
{
        World *w = *state;
        FakeDelegated *a = &w->fake.delegated[0];
        Signer *old;

        a->version = 5;
        publish(w, NULL);
        expect(w, "in-b", ERR_NONE, 1, 1);
        rotate_snapshot(w);
        a->version = 4;
        publish(w, NULL);
        expect(w, "in-b", ERR_ROLLBACK, 1, 0);
        assert_non_null(strstr(w->error.message, "image role 'a'"));
        assert_non_null(strstr(w->error.message, "version 5 was already trusted"));
        /* nor is other content given under the same version */
        a->version = 5;
        a->expires++;
        publish(w, NULL);
        expect(w, "in-b", ERR_MIX_AND_MATCH, 1, 0);
        /* recovery from a fast-forward: new keys for Snapshot and for the role */
        rotate_snapshot(w);
        a->version = 2;
        old = a->signer;
        a->signer = fake_signer(KEY_ED25519);
        signer_free(old);
        publish(w, NULL);
        expect(w, "in-b", ERR_NONE, 1, 0);
}

/* T-32; Uptane 5.4.4.6 (2): version; Uptane 5.4.4.6 (3.2): the keys of who delegates; Uptane 5.4.4.6 (5): expiry */
static void a_role_that_is_not_good_ends_the_search(void **state)
{
        World *w = *state;
        FakeDelegated *a = &w->fake.delegated[0];

        a->expires = NOW;
        publish(w, NULL);
        expect(w, "in-b", ERR_EXPIRED, 1, 0);
        a->expires = NOW + 1;
        publish(w, w->fake.signers[ROLE_TARGETS]);
        expect(w, "in-b", ERR_BAD_SIGNATURE, 1, 0);
        publish(w, NULL);
        a->version++;
        fake_sign_delegated(a, NULL);
        a->version--;
        expect(w, "in-b", ERR_MIX_AND_MATCH, 1, 0);
        a->bare = true; /* neither length nor hash to tell: the version does */
        fake_publish(&w->fake);
        expect(w, "in-b", ERR_MIX_AND_MATCH, 1, 0);
        keep(&a->file, slice_str("{}"));
        expect(w, "in-b", ERR_MALFORMED, 1, 0);
        keep(&a->file, buffer_slice(&w->fake.files[ROLE_SNAPSHOT]));
        expect(w, "in-b", ERR_WRONG_ROLE, 1, 0);
        w->gone = true;
        expect(w, "in-b", ERR_NOT_FOUND, 1, 0);
        assert_int_equal(w->n_stored, 0);
}

/* T-20: what is stored is not fresher than what was fetched */
static void a_stored_role_that_has_expired_since_is_refused(void **state)
{
        World *w = *state;

        w->fake.delegated[1].expires = NOW + 10;
        publish(w, NULL);
        expect(w, "in-b", ERR_NONE, 1, 1);
        w->options.now = NOW + 9;
        expect(w, "in-b", ERR_NONE, 0, 0);
        w->options.now = NOW + 10;
        expect(w, "in-b", ERR_EXPIRED, 0, 0);
        assert_non_null(strstr(w->error.message, "role 'b'"));
}

static void all_delegated_roles_together_are_bounded(void **state)
{
        World *w = *state;
        size_t one = w->fake.delegated[0].file.size;

        w->options.max_delegated_bytes = one - 1;
        w->fake.delegated[0].bare = true;
        fake_publish(&w->fake);
        expect(w, "in-b", ERR_TOO_LARGE, 1, 0);
        w->options.max_delegated_bytes = one;
        expect(w, "in-b", ERR_TOO_LARGE, 1, 0);
        w->options.max_delegated_bytes = one + w->fake.delegated[1].file.size;
        expect(w, "in-b", ERR_NONE, 0, 1);
        w->options.max_bytes[ROLE_SNAPSHOT] = 10;
        w->fake.delegated[1].version++;
        publish(w, NULL);
        expect(w, "in-b", ERR_TOO_LARGE, 0, 0);
}

/* ---- the TUF specification's own rules ---- */

static void a_timestamp_of_the_trusted_version_is_passed_over_in_plain_tuf(void **state)
{
        World *w = *state;
        cleanup_buffer Buffer kept = { 0 };

        w->options.plain_tuf = true;
        expect(w, "in-b", ERR_NONE, 1, 1);
        keep(&kept, buffer_slice(&w->stored[ROLE_TIMESTAMP]));
        w->fake.expires[ROLE_TIMESTAMP] += 100;
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        expect(w, "in-b", ERR_NONE, 0, 0);
        assert_true(slice_equal(buffer_slice(&kept), buffer_slice(&w->stored[ROLE_TIMESTAMP])));
        w->fake.bare = true;
        fake_publish(&w->fake);
        expect(w, "in-b", ERR_NONE, 0, 0);
}

static void an_older_targets_file_that_snapshot_lists_is_good_in_plain_tuf(void **state)
{
        World *w = *state;

        w->options.plain_tuf = true;
        w->fake.versions[ROLE_TARGETS] = 40;
        fake_publish(&w->fake);
        expect(w, "in-b", ERR_NONE, 1, 1);
        w->fake.versions[ROLE_TARGETS] = 2;
        fake_rotate(&w->fake, ROLE_SNAPSHOT);
        fake_publish(&w->fake);
        buffer_done(&w->stored[ROLE_TIMESTAMP]);
        buffer_done(&w->stored[ROLE_SNAPSHOT]);
        keep(&w->stored[ROLE_ROOT], buffer_slice(&w->fake.roots[w->fake.versions[ROLE_ROOT]]));
        expect(w, "in-b", ERR_NONE, 0, 0);
        w->options.plain_tuf = false;
        w->fake.versions[ROLE_TARGETS] = 0;
        fake_publish(&w->fake);
        assert_true(find(w, "in-b") == ERR_ROLLBACK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Uptane 5.4.2.6 (b) */
static void the_roles_that_another_ecu_needs_for_an_image_are_those_that_were_asked(void **state)
{
        World *w = *state;
        const char *name = NULL;

        expect(w, "in-b", ERR_NONE, 1, 1);
        assert_true(slice_equal(trust_repo_delegated(w->repo, 0, &name)->envelope->bytes, buffer_slice(&w->fake.delegated[0].file)));
        assert_string_equal(name, "a");
        assert_true(slice_equal(trust_repo_delegated(w->repo, 1, &name)->envelope->bytes, buffer_slice(&w->fake.delegated[1].file)));
        assert_string_equal(name, "b");
        assert_null(trust_repo_delegated(w->repo, 2, &name));
        w->fake.delegated[0].image = "in-a";
        w->fake.delegated[0].version++;
        fake_sign_delegated(&w->fake.delegated[0], NULL);
        fake_publish(&w->fake);
        expect(w, "in-a", ERR_NONE, 1, 0);
        assert_non_null(trust_repo_delegated(w->repo, 0, &name));
        assert_string_equal(name, "a");
        assert_null(trust_repo_delegated(w->repo, 1, &name));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(roles_are_fetched_once_stored_and_found_again),
                TEST(a_new_version_is_fetched_and_a_stored_one_that_is_spoilt_too),
                TEST(what_snapshot_does_not_list_is_not_used),
                TEST(a_stored_role_is_held_to_the_keys_of_its_delegator),
                TEST(a_rotation_of_snapshot_keys_takes_no_delegated_role_back),
                TEST(a_role_that_is_not_good_ends_the_search),
                TEST(a_stored_role_that_has_expired_since_is_refused),
                TEST(all_delegated_roles_together_are_bounded),
                TEST(a_timestamp_of_the_trusted_version_is_passed_over_in_plain_tuf),
                TEST(an_older_targets_file_that_snapshot_lists_is_good_in_plain_tuf),
                TEST(the_roles_that_another_ecu_needs_for_an_image_are_those_that_were_asked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
