/* SPDX-License-Identifier: Apache-2.0 */
/* One repository's workflow: what is taken, what is refused and as what, and what a power cut leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake.h"

typedef struct World {
        Fake fake;
        Client client;
        Error error;
} World;

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        fake_init(&w->fake);
        client_init(&w->client, &w->fake);
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        fake_done(&w->fake);
        client_done(&w->client);
        free(w);
        return 0;
}

#define RUN(w) client_run(&(w)->client, &(w)->fake, &(w)->error)

static void must(World *w, ErrorCode expected)
{
        ErrorCode code = RUN(w);

        if (code != expected)
                fail_msg("%s where %s was expected: %s", code ? error_info(code)->name : "ok", expected ? error_info(expected)->name : "ok",
                         w->error.message);
}

/* The world after one good run, so that there is a baseline, with a newer publication waiting. */
static World *with_baseline(void **state)
{
        World *w = *state;

        must(w, ERR_NONE);
        fake_publish(&w->fake);
        return w;
}

static void a_good_repository_verifies_and_is_fetched_once(void **state)
{
        World *w = *state;

        must(w, ERR_NONE);
        for (unsigned r = 0; r < _ROLE_MAX; r++) {
                assert_int_equal(w->client.fetched[r], 1);
                assert_true(w->client.stored[r].size > 0);
        }
}

/* Uptane 5.4.4.2 (4a, 8a): what Timestamp still lists is not fetched again */
static void nothing_new_costs_root_and_timestamp_only(void **state)
{
        World *w = *state;

        must(w, ERR_NONE);
        must(w, ERR_NONE);
        assert_int_equal(w->client.fetched[ROLE_ROOT], 1);
        assert_int_equal(w->client.fetched[ROLE_TIMESTAMP], 1);
        assert_int_equal(w->client.fetched[ROLE_SNAPSHOT], 0);
        assert_int_equal(w->client.fetched[ROLE_TARGETS], 0);
}

/* The next file that is asked for, behind what is to be stored. */
static void expect_fetch(World *w, TrustRepo *repo, const char *file, size_t max_bytes)
{
        cleanup_free char *name = NULL;
        TrustStep step;

        do
                assert_int_equal(trust_repo_next(repo, &step, &w->error), 0);
        while (step.kind == TRUST_STORE);
        assert_int_equal(step.kind, TRUST_FETCH);
        name = trust_step_file(&step);
        assert_string_equal(name, file);
        assert_int_equal(step.max_bytes, max_bytes);
}

/* Uptane 5.4.4.3 (2.1, 2.2a, 2.2b), Uptane 5.4.4.4 (1a, 1b), Uptane 5.4.4.5 (1a), Uptane 5.4.4.6 (1a) */
static void what_is_asked_for_has_its_name_and_its_limit(void **state)
{
        World *w = *state;
        Fake *f = &w->fake;
        const TrustOptions options = { .kind = TRUST_DIRECTOR, .now = NOW,
                                       .max_bytes = { [ROLE_ROOT] = 9000, [ROLE_TIMESTAMP] = 5000, [ROLE_TARGETS] = f->files[ROLE_TARGETS].size - 1 } };
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&options);

        fake_sign_root(f, NULL);
        assert_int_equal(trust_repo_restore(repo, ROLE_ROOT, buffer_slice(&f->roots[1]), &w->error), 0);
        expect_fetch(w, repo, "2.root.json", 9000);
        assert_int_equal(trust_repo_feed(repo, buffer_slice(&f->roots[2]), &w->error), 0);
        expect_fetch(w, repo, "3.root.json", 9000);
        assert_int_equal(trust_repo_feed_absent(repo, &w->error), 0);
        expect_fetch(w, repo, "timestamp.json", 5000);
        assert_int_equal(trust_repo_feed(repo, buffer_slice(&f->files[ROLE_TIMESTAMP]), &w->error), 0);
        expect_fetch(w, repo, "snapshot.json", f->files[ROLE_SNAPSHOT].size); /* as Timestamp says */
        assert_int_equal(trust_repo_feed(repo, buffer_slice(&f->files[ROLE_SNAPSHOT]), &w->error), 0);
        expect_fetch(w, repo, "targets.json", f->files[ROLE_TARGETS].size - 1);
}

/* ---- Root ---- */

/* Uptane 5.4.4.3 (2.5): each is the latest, and then the next */
static void a_chain_of_roots_is_followed_and_every_root_kept(void **state)
{
        World *w = with_baseline(state);

        for (int i = 0; i < 5; i++)
                fake_rotate(&w->fake, ROLE_ROOT);
        must(w, ERR_NONE);
        assert_true(slice_equal(buffer_slice(&w->client.stored[ROLE_ROOT]), buffer_slice(&w->fake.roots[6])));
}

static World *with_shipped_root(void **state)
{
        World *w = *state;

        buffer_put(&w->client.shipped, w->client.stored[ROLE_ROOT].data, w->client.stored[ROLE_ROOT].size);
        buffer_done(&w->client.stored[ROLE_ROOT]);
        return w;
}

static void assert_stored_root(World *w, size_t version)
{
        assert_true(slice_equal(buffer_slice(&w->client.stored[ROLE_ROOT]), buffer_slice(&w->fake.roots[version])));
}

static void a_shipped_root_is_stored_before_anything_that_rests_on_it(void **state)
{
        World *w = with_shipped_root(state);

        w->client.stop_after = 1;
        must(w, ERR_NONE);
        assert_stored_root(w, 1);
        assert_int_equal(w->client.stored[ROLE_TIMESTAMP].size, 0);
        w->client.stop_after = -1;
        must(w, ERR_NONE);
        assert_true(w->client.stored[ROLE_TARGETS].size > 0);
}

/* T-9: an expired one is not stored; one that is followed by another is, for Secondaries need all of them */
static void an_expired_shipped_root_is_not_stored(void **state)
{
        World *w = with_shipped_root(state);

        w->client.now = NOW + 86400;
        must(w, ERR_EXPIRED);
        assert_int_equal(w->client.stored[ROLE_ROOT].size, 0);
        w->fake.expires[ROLE_ROOT] = NOW + 2 * 86400;
        fake_sign_root(&w->fake, NULL);
        w->client.stop_after = 1;
        must(w, ERR_NONE);
        assert_stored_root(w, 1);
        buffer_done(&w->client.stored[ROLE_ROOT]);
        w->client.stop_after = -1;
        must(w, ERR_EXPIRED); /* Timestamp */
        assert_stored_root(w, 2);
}

static void a_shipped_root_that_is_not_signed_by_itself_is_an_error(void **state)
{
        World *w = with_shipped_root(state);

        w->client.shipped.data[w->client.shipped.size / 2] ^= 1;
        assert_true(RUN(w) != ERR_NONE);
        assert_int_equal(w->client.stored[ROLE_ROOT].size, 0);
}

/* T-1: Uptane 5.4.4.3 (2.3a): signed by a threshold of the old keys */
static void a_root_without_the_old_keys_is_refused_and_the_old_one_stays(void **state)
{
        World *w = with_baseline(state);
        Signer *old = w->fake.signers[ROLE_ROOT];

        w->fake.signers[ROLE_ROOT] = fake_signer(KEY_ED25519);
        fake_sign_root(&w->fake, NULL);
        signer_free(old);
        must(w, ERR_BAD_SIGNATURE);
        assert_true(slice_equal(buffer_slice(&w->client.stored[ROLE_ROOT]), buffer_slice(&w->fake.roots[1])));
}

/* T-1: Uptane 5.4.4.3 (2.3b): and by a threshold of the new ones */
static void a_root_without_its_own_keys_is_refused(void **state)
{
        World *w = with_baseline(state);
        Signer *old = w->fake.signers[ROLE_ROOT];
        cleanup_json json_t *json = NULL;

        w->fake.signers[ROLE_ROOT] = fake_signer(KEY_ED25519);
        fake_sign_root(&w->fake, old);
        assert_int_equal(json_read(buffer_slice(&w->fake.roots[2]), &json, &w->error), 0);
        json_array_remove(json_object_get(json, "signatures"), 0);
        buffer_done(&w->fake.roots[2]);
        json_canonical(json, &w->fake.roots[2]);
        signer_free(old);
        must(w, ERR_BAD_SIGNATURE);
}

/* T-2: Uptane 5.4.4.3 (2.4a): exactly N+1 */
static void a_root_of_another_version_than_asked_for_is_refused(void **state)
{
        World *w = with_baseline(state);

        fake_sign_root(&w->fake, NULL);
        fake_sign_root(&w->fake, NULL);
        buffer_done(&w->fake.roots[2]);
        buffer_put(&w->fake.roots[2], w->fake.roots[3].data, w->fake.roots[3].size);
        must(w, ERR_MIX_AND_MATCH);
        buffer_done(&w->fake.roots[2]);
        buffer_put(&w->fake.roots[2], w->fake.roots[1].data, w->fake.roots[1].size);
        must(w, ERR_ROLLBACK);
}

/* Uptane 5.2.5 (b): hashes of the Snapshot */
static void a_timestamp_without_hashes_is_refused(void **state)
{
        World *w = with_baseline(state);

        w->fake.bare = true;
        fake_publish(&w->fake);
        must(w, ERR_MALFORMED);
}

/* T-6: Uptane 5.4.4.3 (3): only the last Root must be unexpired */
static void an_expired_root_on_the_way_is_taken_an_expired_last_one_is_not(void **state)
{
        World *w = with_baseline(state);

        w->fake.expires[ROLE_ROOT] = NOW;
        fake_sign_root(&w->fake, NULL);
        must(w, ERR_EXPIRED);
        assert_non_null(strstr(w->error.message, "expired"));
        for (int i = 0; i < 3; i++)
                fake_sign_root(&w->fake, NULL); /* expired, all of them */
        w->fake.expires[ROLE_ROOT] = NOW + 1;
        fake_sign_root(&w->fake, NULL);
        must(w, ERR_NONE);
}

/* T-8, Uptane 5.4.4.3 (2.6) */
static void endless_roots_stop_at_a_limit_and_go_on_in_the_next_cycle(void **state)
{
        World *w = with_baseline(state);

        for (int i = 0; i < TRUST_ROOTS_PER_CYCLE + 5; i++)
                fake_sign_root(&w->fake, NULL);
        must(w, ERR_TOO_LARGE);
        assert_int_equal(w->client.fetched[ROLE_ROOT], TRUST_ROOTS_PER_CYCLE);
        must(w, ERR_NONE);
}

/* T-11: Uptane 5.4.4.3 (4): recovery from a fast-forward attack */
static void rotated_timestamp_keys_forget_timestamp_and_snapshot(void **state)
{
        World *w = with_baseline(state);

        w->fake.versions[ROLE_TIMESTAMP] = w->fake.versions[ROLE_SNAPSHOT] = INT64_MAX - 10;
        fake_publish(&w->fake);
        must(w, ERR_NONE);
        w->fake.versions[ROLE_TIMESTAMP] = w->fake.versions[ROLE_SNAPSHOT] = 1;
        fake_publish(&w->fake);
        must(w, ERR_ROLLBACK);
        fake_rotate(&w->fake, ROLE_TIMESTAMP);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_NONE);
        assert_int_equal(w->client.forgotten, 1);
}

/* T-11 */
static void rotated_timestamp_keys_do_not_forget_targets(void **state)
{
        World *w = with_baseline(state);

        w->fake.versions[ROLE_TARGETS] = 50;
        fake_publish(&w->fake);
        must(w, ERR_NONE);
        fake_rotate(&w->fake, ROLE_SNAPSHOT);
        w->fake.versions[ROLE_TARGETS] = 10;
        fake_publish(&w->fake);
        must(w, ERR_ROLLBACK);
}

/* T-11 */
static void rotated_root_keys_forget_nothing(void **state)
{
        World *w = with_baseline(state);

        must(w, ERR_NONE);
        fake_rotate(&w->fake, ROLE_ROOT);
        must(w, ERR_NONE);
        assert_int_equal(w->client.forgotten, 0);
}

static void a_power_cut_between_a_new_root_and_forgetting_does_not_block_recovery(void **state)
{
        World *w = with_baseline(state);

        w->fake.versions[ROLE_TIMESTAMP] = 1000;
        fake_publish(&w->fake);
        must(w, ERR_NONE);
        fake_rotate(&w->fake, ROLE_TIMESTAMP);
        buffer_done(&w->client.stored[ROLE_ROOT]);
        buffer_put(&w->client.stored[ROLE_ROOT], w->fake.roots[2].data, w->fake.roots[2].size);
        w->fake.versions[ROLE_TIMESTAMP] = 1;
        fake_publish(&w->fake);
        must(w, ERR_NONE);
}

/* Journal and reports name what was offered. */
static void a_failure_says_which_file_it_is_about(void **state)
{
        World *w = with_baseline(state);

        must(w, ERR_NONE);
        w->fake.versions[ROLE_TIMESTAMP]--;
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_ROLLBACK);
        assert_string_equal(w->error.repository, "director");
        assert_string_equal(w->error.role, "timestamp");
        assert_int_equal(w->error.version, w->fake.versions[ROLE_TIMESTAMP]);
}

/* ---- Timestamp ---- */

/* Uptane 5.4.4.4 (2): signatures */
static void a_timestamp_by_another_key_is_refused(void **state)
{
        World *w = with_baseline(state);

        fake_sign(&w->fake, ROLE_TIMESTAMP, w->fake.signers[ROLE_SNAPSHOT]);
        must(w, ERR_BAD_SIGNATURE);
}

/* T-13: Uptane 5.4.4.4 (3): rollback */
static void an_older_timestamp_is_refused(void **state)
{
        World *w = with_baseline(state);

        must(w, ERR_NONE);
        w->fake.versions[ROLE_TIMESTAMP]--;
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_ROLLBACK);
}

static void a_timestamp_that_takes_the_snapshot_back_is_refused(void **state)
{
        World *w = with_baseline(state);

        must(w, ERR_NONE);
        w->fake.versions[ROLE_SNAPSHOT]--;
        w->fake.versions[ROLE_TIMESTAMP]++;
        fake_sign(&w->fake, ROLE_SNAPSHOT, NULL);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_ROLLBACK);
}

/* Signs what lists role, and what lists that, as new versions. */
static void list_again(Fake *f, Role role)
{
        static const Role order[] = { ROLE_TARGETS, ROLE_SNAPSHOT, ROLE_TIMESTAMP };
        bool behind = false;

        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                if (behind) {
                        f->versions[order[i]]++;
                        fake_sign(f, order[i], NULL);
                }
                behind |= order[i] == role;
        }
}

/* T-15 */
static void two_files_of_one_version_are_refused(void **state)
{
        World *w = with_baseline(state);
        Fake *f = &w->fake;

        must(w, ERR_NONE);
        for (unsigned r = ROLE_TIMESTAMP; r < _ROLE_MAX; r++) {
                f->expires[r]++;
                fake_sign(f, (Role) r, NULL);
                list_again(f, (Role) r);
                must(w, ERR_MIX_AND_MATCH);
                assert_non_null(strstr(w->error.message, role_name((Role) r)));
                assert_non_null(strstr(w->error.message, "two different files"));
                fake_publish(f);
                must(w, ERR_NONE);
        }
}

static void a_timestamp_that_lists_another_snapshot_under_its_old_version_is_refused(void **state)
{
        World *w = with_baseline(state);

        must(w, ERR_NONE);
        w->fake.versions[ROLE_SNAPSHOT]++;
        fake_sign(&w->fake, ROLE_SNAPSHOT, NULL);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_MIX_AND_MATCH);
}

/* T-15: signatures come and go, and the order of members says nothing */
static void the_same_content_with_other_signatures_is_the_same_version(void **state)
{
        World *w = with_baseline(state);
        Fake *f = &w->fake;

        must(w, ERR_NONE);
        for (unsigned r = ROLE_TIMESTAMP; r < _ROLE_MAX; r++) {
                cleanup_json json_t *json = NULL;
                json_t *more;

                assert_int_equal(json_read(buffer_slice(&f->files[r]), &json, &w->error), 0);
                more = json_deep_copy(json_array_get(json_object_get(json, "signatures"), 0));
                json_object_set_new(more, "keyid", json_string("0000000000000000000000000000000000000000000000000000000000000000"));
                json_array_append_new(json_object_get(json, "signatures"), more);
                buffer_done(&f->files[r]);
                json_canonical(json, &f->files[r]);
                list_again(f, (Role) r);
                must(w, ERR_NONE);
                assert_true(slice_equal(buffer_slice(&w->client.stored[r]), buffer_slice(&f->files[r])));
        }
}

/* T-20: Uptane 5.4.4.4 (4), Uptane 5.4.4.5 (7), Uptane 5.4.4.6 (5): a freeze shows in every role */
static void every_expired_role_is_refused(void **state)
{
        static const Role roles[] = { ROLE_TIMESTAMP, ROLE_SNAPSHOT, ROLE_TARGETS };
        World *w = with_baseline(state);

        for (size_t i = 0; i < ELEMENTSOF(roles); i++) {
                w->fake.expires[roles[i]] = NOW;
                fake_publish(&w->fake);
                must(w, ERR_EXPIRED);
                w->fake.expires[roles[i]] = NOW + 1;
                fake_publish(&w->fake);
                must(w, ERR_NONE);
        }
}

/* ---- Snapshot ---- */

/* T-17: Uptane 5.4.4.5 (2): the Snapshot that Timestamp lists, to the byte */
static void a_snapshot_that_is_not_the_listed_one_is_refused(void **state)
{
        World *w = with_baseline(state);

        w->fake.expires[ROLE_SNAPSHOT]++;
        fake_sign(&w->fake, ROLE_SNAPSHOT, NULL);
        must(w, ERR_MIX_AND_MATCH);
}

/* Uptane 5.4.4.5 (2): nor is one that is called another version there than it calls itself */
static void a_snapshot_of_another_version_than_listed_is_refused(void **state)
{
        World *w = with_baseline(state);

        w->fake.versions[ROLE_SNAPSHOT]++;
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_MIX_AND_MATCH);
        assert_non_null(strstr(w->error.message, "is listed"));
}

/* Uptane 5.4.4.5 (3): signatures */
static void a_snapshot_by_another_key_is_refused(void **state)
{
        World *w = with_baseline(state);

        fake_sign(&w->fake, ROLE_SNAPSHOT, w->fake.signers[ROLE_TARGETS]);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_BAD_SIGNATURE);
}

/* T-13: Uptane 5.4.4.5 (4): rollback, also where the Timestamp that would tell is gone */
static void an_older_snapshot_is_refused(void **state)
{
        World *w = with_baseline(state);

        must(w, ERR_NONE);
        buffer_done(&w->client.stored[ROLE_TIMESTAMP]);
        w->fake.versions[ROLE_SNAPSHOT]--;
        fake_sign(&w->fake, ROLE_SNAPSHOT, NULL);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_ROLLBACK);
}

/* T-18: Uptane 5.4.4.5 (5), Uptane 5.4.4.5 (6): no Targets file goes back, and none disappears */
static void a_snapshot_that_lowers_or_drops_a_targets_file_is_refused(void **state)
{
        World *w = with_baseline(state);

        w->fake.extra = "supplier.json";
        w->fake.extra_version = 7;
        fake_publish(&w->fake);
        must(w, ERR_NONE);
        w->fake.extra_version = 6;
        fake_publish(&w->fake);
        must(w, ERR_ROLLBACK);
        w->fake.extra = NULL;
        fake_publish(&w->fake);
        must(w, ERR_ROLLBACK);
        w->fake.extra = "supplier.json";
        w->fake.extra_version = 7;
        fake_publish(&w->fake);
        must(w, ERR_NONE);
}

/* ---- Targets ---- */

/* Uptane 5.2.4 */
static void targets_that_snapshot_does_not_list_are_not_asked_for(void **state)
{
        World *w = *state;
        Buffer *file = &w->fake.files[ROLE_SNAPSHOT];
        cleanup_json json_t *json = NULL;
        json_t *body;

        assert_int_equal(json_read(buffer_slice(file), &json, &w->error), 0);
        body = json_object_get(json, "signed");
        assert_int_equal(json_object_del(json_object_get(body, "meta"), "targets.json"), 0);
        buffer_done(file);
        assert_int_equal(envelope_sign(json_incref(body), w->fake.signers[ROLE_SNAPSHOT], file, &w->error), 0);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_MIX_AND_MATCH);
        assert_int_equal(w->client.fetched[ROLE_TARGETS], 0);
}

/* T-19: the content that Snapshot lists */
static void targets_that_are_not_the_listed_ones_are_refused(void **state)
{
        World *w = with_baseline(state);

        w->fake.versions[ROLE_TARGETS]++;
        fake_sign(&w->fake, ROLE_TARGETS, NULL);
        must(w, ERR_MIX_AND_MATCH);
}

/* Uptane 5.4.4.6 (2) */
static void targets_of_another_version_than_listed_are_refused(void **state)
{
        World *w = with_baseline(state);

        w->fake.versions[ROLE_TARGETS]++;
        fake_sign(&w->fake, ROLE_SNAPSHOT, NULL);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_MIX_AND_MATCH);
        assert_non_null(strstr(w->error.message, "is listed"));
}

/* Uptane 5.4.4.6 (3.1): signatures */
static void targets_by_another_key_are_refused(void **state)
{
        World *w = with_baseline(state);

        fake_sign(&w->fake, ROLE_TARGETS, w->fake.signers[ROLE_SNAPSHOT]);
        fake_sign(&w->fake, ROLE_SNAPSHOT, NULL);
        fake_sign(&w->fake, ROLE_TIMESTAMP, NULL);
        must(w, ERR_BAD_SIGNATURE);
}

/* T-13: Uptane 5.4.4.6 (4a): rollback, also where Snapshot's keys were rotated and its baseline is gone */
static void older_targets_are_refused_without_a_snapshot_to_tell(void **state)
{
        World *w = with_baseline(state);

        w->client.without_timestamp = true;
        must(w, ERR_NONE);
        w->fake.versions[ROLE_TARGETS]--;
        fake_sign(&w->fake, ROLE_TARGETS, NULL);
        must(w, ERR_ROLLBACK);
}

static void a_director_without_timestamp_is_asked_for_root_and_targets_only(void **state)
{
        World *w = *state;

        w->client.without_timestamp = true;
        must(w, ERR_NONE);
        assert_int_equal(w->client.fetched[ROLE_TIMESTAMP] + w->client.fetched[ROLE_SNAPSHOT], 0);
        assert_int_equal(w->client.fetched[ROLE_TARGETS], 1);
}

/* Uptane 5.4.4.3 (2.2c): there is no other */
static void a_file_that_is_missing_is_not_found_unless_it_is_the_next_root(void **state)
{
        World *w = with_baseline(state);

        for (unsigned r = ROLE_TIMESTAMP; r < _ROLE_MAX; r++) {
                w->client.gone[r] = true;
                must(w, ERR_NOT_FOUND);
                assert_non_null(strstr(w->error.message, role_name((Role) r)));
                w->client.gone[r] = false;
                fake_publish(&w->fake);
        }
        w->client.gone[ROLE_ROOT] = true;
        must(w, ERR_NONE);
}

static void an_empty_answer_is_no_file(void **state)
{
        World *w = *state;

        buffer_done(&w->fake.files[ROLE_TIMESTAMP]);
        must(w, ERR_MALFORMED);
}

/* T-19 */
static void a_file_of_another_role_is_refused(void **state)
{
        World *w = with_baseline(state);
        Buffer *files = w->fake.files;
        Buffer timestamp = files[ROLE_TIMESTAMP];

        files[ROLE_TIMESTAMP] = files[ROLE_TARGETS];
        must(w, ERR_WRONG_ROLE);
        files[ROLE_TIMESTAMP] = timestamp;
        must(w, ERR_NONE);
}

/* Uptane 5.4.4.3 (1): the Root from before */
static void a_root_the_client_cannot_read_or_that_signs_nothing_is_an_error(void **state)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&(TrustOptions) { .kind = TRUST_IMAGE, .now = NOW });
        cleanup_json json_t *json = NULL;
        cleanup_buffer Buffer bare = { 0 };
        World *w = *state;

        assert_int_equal(trust_repo_restore(repo, ROLE_ROOT, slice_str("{}"), &w->error), -1);
        assert_int_equal(w->error.code, ERR_MALFORMED);
        error_clear(&w->error);
        assert_int_equal(json_read(buffer_slice(&w->fake.roots[1]), &json, &w->error), 0);
        assert_int_equal(json_array_clear(json_object_get(json, "signatures")), 0);
        json_canonical(json, &bare);
        assert_int_equal(trust_repo_restore(repo, ROLE_ROOT, buffer_slice(&bare), &w->error), -1);
        assert_int_equal(w->error.code, ERR_BAD_SIGNATURE);
        assert_non_null(strstr(w->error.message, "image root"));
}

/* What is stored and cannot be read is fetched anew; a damaged file never blocks an update. */
static void stored_files_that_do_not_verify_are_fetched_again(void **state)
{
        World *w = *state;

        for (unsigned r = ROLE_TIMESTAMP; r < _ROLE_MAX; r++) {
                must(w, ERR_NONE);
                w->client.stored[r].data[w->client.stored[r].size / 2] ^= 1;
                must(w, ERR_NONE);
                assert_int_equal(w->client.fetched[r], 1);
                assert_true(slice_equal(buffer_slice(&w->client.stored[r]), buffer_slice(&w->fake.files[r])));
        }
}

/* ---- power cuts ---- */

static void a_power_cut_after_any_store_leaves_a_true_baseline(void **state)
{
        World *w = with_baseline(state);

        for (int cut = 0; cut < 8; cut++) {
                fake_rotate(&w->fake, cut % 2 ? ROLE_ROOT : ROLE_TARGETS);
                fake_publish(&w->fake);
                w->client.stop_after = cut;
                must(w, ERR_NONE);
                w->client.stop_after = -1;
                must(w, ERR_NONE);
                for (unsigned r = ROLE_TIMESTAMP; r < _ROLE_MAX; r++)
                        assert_true(slice_equal(buffer_slice(&w->client.stored[r]), buffer_slice(&w->fake.files[r])));
        }
}

/* In what is signed: of the rest, a spoiled name of the method says no less than none. */
static void a_flipped_bit_in_what_is_signed_never_verifies(void **state)
{
        World *w = with_baseline(state);
        static const Role roles[] = { ROLE_TIMESTAMP, ROLE_SNAPSHOT, ROLE_TARGETS };

        for (size_t i = 0; i < ELEMENTSOF(roles); i++) {
                Buffer *file = &w->fake.files[roles[i]];

                for (size_t n = (size_t) (strstr(buffer_str(file), "\"signed\"") - buffer_str(file)); n < file->size; n += 3) {
                        file->data[n] ^= 1;
                        if (RUN(w) == ERR_NONE)
                                fail_msg("%s: byte %zu was changed and nobody noticed", role_name(roles[i]), n);
                        file->data[n] ^= 1;
                }
        }
        must(w, ERR_NONE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_good_repository_verifies_and_is_fetched_once),
                TEST(nothing_new_costs_root_and_timestamp_only),
                TEST(what_is_asked_for_has_its_name_and_its_limit),
                TEST(a_chain_of_roots_is_followed_and_every_root_kept),
                TEST(a_shipped_root_is_stored_before_anything_that_rests_on_it),
                TEST(an_expired_shipped_root_is_not_stored),
                TEST(a_shipped_root_that_is_not_signed_by_itself_is_an_error),
                TEST(a_root_without_the_old_keys_is_refused_and_the_old_one_stays),
                TEST(a_root_without_its_own_keys_is_refused),
                TEST(a_root_of_another_version_than_asked_for_is_refused),
                TEST(a_timestamp_without_hashes_is_refused),
                TEST(an_expired_root_on_the_way_is_taken_an_expired_last_one_is_not),
                TEST(endless_roots_stop_at_a_limit_and_go_on_in_the_next_cycle),
                TEST(rotated_timestamp_keys_forget_timestamp_and_snapshot),
                TEST(rotated_timestamp_keys_do_not_forget_targets),
                TEST(rotated_root_keys_forget_nothing),
                TEST(a_power_cut_between_a_new_root_and_forgetting_does_not_block_recovery),
                TEST(a_failure_says_which_file_it_is_about),
                TEST(a_timestamp_by_another_key_is_refused),
                TEST(an_older_timestamp_is_refused),
                TEST(a_timestamp_that_takes_the_snapshot_back_is_refused),
                TEST(two_files_of_one_version_are_refused),
                TEST(a_timestamp_that_lists_another_snapshot_under_its_old_version_is_refused),
                TEST(the_same_content_with_other_signatures_is_the_same_version),
                TEST(every_expired_role_is_refused),
                TEST(a_snapshot_that_is_not_the_listed_one_is_refused),
                TEST(a_snapshot_of_another_version_than_listed_is_refused),
                TEST(a_snapshot_by_another_key_is_refused),
                TEST(an_older_snapshot_is_refused),
                TEST(a_snapshot_that_lowers_or_drops_a_targets_file_is_refused),
                TEST(targets_that_snapshot_does_not_list_are_not_asked_for),
                TEST(targets_that_are_not_the_listed_ones_are_refused),
                TEST(targets_of_another_version_than_listed_are_refused),
                TEST(targets_by_another_key_are_refused),
                TEST(older_targets_are_refused_without_a_snapshot_to_tell),
                TEST(a_director_without_timestamp_is_asked_for_root_and_targets_only),
                TEST(a_file_that_is_missing_is_not_found_unless_it_is_the_next_root),
                TEST(an_empty_answer_is_no_file),
                TEST(a_file_of_another_role_is_refused),
                TEST(a_root_the_client_cannot_read_or_that_signs_nothing_is_an_error),
                TEST(stored_files_that_do_not_verify_are_fetched_again),
                TEST(a_power_cut_after_any_store_leaves_a_true_baseline),
                TEST(a_flipped_bit_in_what_is_signed_never_verifies),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
