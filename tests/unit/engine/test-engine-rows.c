/* SPDX-License-Identifier: Apache-2.0 */
/* The stored engine: what comes back, and what is refused. */
#include <stdio.h>

#include <jansson.h>

#include "sample.h"

/* An engine in the middle of everything, so that every member is written. */
static void busy_engine(Engine *ret)
{
        EnginePolicy policy;
        EngineUpdate other;

        sample_policy(7, &policy);
        engine_init(ret, &policy);
        ret->state = ENGINE_INSTALLING;
        ret->stage = ENGINE_STAGE_REBOOT;
        ret->waiting = ret->has_update = ret->rolling_back = ret->completing = true;
        sample_update(SAMPLE_A, 1, &ret->update);
        ret->update.offered_at = 1234567;
        ret->update.ecus[0].hashes.has_sha512 = true;
        memset(ret->update.ecus[0].hashes.sha512, 0x77, SHA512_SIZE);
        ret->update.ecus[0].order = ENGINE_ORDER_MAX;
        ret->update.ecus[0].restorable = ret->update.ecus[0].begun = true;
        strcpy(ret->update.ecus[0].uri, "https://images.example.org/bcm-2.bin");
        ret->update.ecus[1].state = ENGINE_ECU_FAILED;
        ret->update.ecus[1].result = REPORT_INSTALL_FAILED;
        strcpy(ret->update.ecus[1].description, "na\xc3\xafve \"quotes\"");
        ret->approved[ENGINE_STAGE_INSTALL] = true;
        ret->postponed_until = 999;
        ret->attempts = 3;
        ret->interruptions = 2;
        ret->failures = 4000000000u;
        sample_update(SAMPLE_B, 0, &other);
        ret->assessments = 2;
        ret->n_refused = 2;
        memcpy(ret->refused[0], other.fingerprint, SHA256_SIZE);
        memcpy(ret->refused[1], ret->update.fingerprint, SHA256_SIZE);
        engine_update_done(&other);
        ret->last_error = sample_error(ERR_UNREACHABLE);
        ret->last_error_time = 4711;
        ret->last_check = 4712;
}

/* Member by member: padding is nobody's business. */
static void same(const Engine *a, const Engine *b)
{
#define SAME(member) assert_int_equal(a->member, b->member)
        SAME(state);
        SAME(paused_from);
        SAME(stage);
        SAME(has_update);
        SAME(waiting);
        SAME(downloaded);
        SAME(postponed_until);
        SAME(attempts);
        SAME(interruptions);
        SAME(failures);
        SAME(n_refused);
        SAME(assessments);
        SAME(rolling_back);
        SAME(completing);
        SAME(last_error.code);
        SAME(last_error_time);
        SAME(last_check);
        SAME(next_check);
        SAME(policy.interval);
        SAME(policy.jitter);
        SAME(update.n_ecus);
        SAME(update.offered_at);
        SAME(finished.n_ecus);
#undef SAME
        assert_memory_equal(a->policy.ask, b->policy.ask, sizeof a->policy.ask);
        assert_memory_equal(a->approved, b->approved, sizeof a->approved);
        assert_memory_equal(a->offered, b->offered, sizeof a->offered);
        assert_memory_equal(a->refused, b->refused, sizeof a->refused);
        assert_memory_equal(a->update.fingerprint, b->update.fingerprint, SHA256_SIZE);
        assert_string_equal(a->update.id, b->update.id);
        assert_string_equal(a->update.correlation_id, b->update.correlation_id);
        assert_string_equal(a->last_error.message, b->last_error.message);
        for (size_t i = 0; i < a->update.n_ecus; i++) {
                const EngineEcu *x = &a->update.ecus[i], *y = &b->update.ecus[i];

                assert_string_equal(x->serial, y->serial);
                assert_string_equal(x->hardware_id, y->hardware_id);
                assert_string_equal(x->image, y->image);
                assert_string_equal(x->uri, y->uri);
                assert_string_equal(x->kernel_arguments, y->kernel_arguments);
                assert_string_equal(x->description, y->description);
                assert_int_equal(x->hashes.has_sha256, y->hashes.has_sha256);
                assert_int_equal(x->hashes.has_sha512, y->hashes.has_sha512);
                assert_memory_equal(x->hashes.sha256, y->hashes.sha256, SHA256_SIZE);
                assert_memory_equal(x->hashes.sha512, y->hashes.sha512, SHA512_SIZE);
                assert_int_equal(x->length, y->length);
                assert_int_equal(x->release_counter, y->release_counter);
                assert_int_equal(x->primary, y->primary);
                assert_int_equal(x->ostree, y->ostree);
                assert_int_equal(x->order, y->order);
                assert_int_equal(x->restorable, y->restorable);
                assert_int_equal(x->begun, y->begun);
                assert_int_equal(x->state, y->state);
                assert_int_equal(x->result, y->result);
        }
}

static int load(const char *text, size_t size, Engine *ret, Error *error)
{
        cleanup_free char *copy = xmemdup(text, size); /* exactly so long: a sanitizer sees a byte too far */
        EnginePolicy policy;

        sample_policy(7, &policy);
        engine_init(ret, &policy);
        return engine_load(ret, slice(copy, size), error);
}

static void must_refuse(const char *text, size_t size)
{
        Engine e, fresh;
        Error error = { 0 };
        EnginePolicy policy;

        sample_policy(7, &policy);
        engine_init(&fresh, &policy);
        if (load(text, size, &e, &error) == 0)
                fail_msg("was taken: %.*s", (int) size, text);
        assert_int_equal(error.code, ERR_STORAGE);
        same(&e, &fresh); /* nothing half-filled */
        assert_null(e.update.ecus);
}

static void everything_that_survives_comes_back(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        Engine e, back;
        Error error = { 0 };

        (void) state;
        busy_engine(&e);
        engine_save(&e, &bytes);
        assert_int_equal(load(buffer_str(&bytes), bytes.size, &back, &error), 0);
        same(&back, &e);
        engine_done(&back);
        engine_done(&e);
}

static void a_fresh_engine_comes_back(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        EnginePolicy policy;
        Engine e, back;
        Error error = { 0 };

        (void) state;
        sample_policy(7, &policy);
        engine_init(&e, &policy);
        engine_save(&e, &bytes);
        assert_int_equal(load(buffer_str(&bytes), bytes.size, &back, &error), 0);
        same(&back, &e);
}

static void every_truncation_is_refused(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        Engine e;

        (void) state;
        busy_engine(&e);
        engine_save(&e, &bytes);
        for (size_t n = 0; n < bytes.size; n++)
                must_refuse(buffer_str(&bytes), n);
        engine_done(&e);
}

static void refuse_json(json_t *root)
{
        cleanup_free char *text = json_dumps(root, JSON_COMPACT);

        must_refuse(text, strlen(text));
}

static bool is_optional(const char *key)
{
        static const char *const optional[] = { "refused", "assessments", "rollingBack", "completing",
                                               "error", "errorMessage", "errorTime", "sha256", "sha512",
                                                "order", "restorable", "begun" };

        for (size_t i = 0; i < ELEMENTSOF(optional); i++)
                if (strcmp(key, optional[i]) == 0)
                        return true;
        return false;
}

/* Every member of object in turn: gone, and as every wrong type. root contains object. */
static void spoil_members(json_t *root, json_t *object)
{
        json_t *copy = json_copy(object), *value;
        const char *key;

        json_object_foreach(copy, key, value) {
                json_t *const wrong[] = { json_true(), json_array(), json_object(), json_integer(-1), json_real(1.5),
                                          json_integer(INT64_MAX), json_string("zz"), json_null() };

                for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                        bool fits = (json_is_integer(value) && json_is_integer(wrong[i]) && json_integer_value(wrong[i]) > 0 &&
                                     (strstr(key, "At") || strstr(key, "Until") || strstr(key, "Time") || strstr(key, "last") ||
                                      strcmp(key, "length") == 0 || strcmp(key, "releaseCounter") == 0)) ||
                                    (json_is_string(value) && json_is_string(wrong[i]) && strlen(json_string_value(value)) < 64) ||
                                    (json_is_string(value) && json_is_string(wrong[i]) && strcmp(key, "uri") == 0) ||
                                    (json_is_null(wrong[i]) && is_optional(key));

                        json_object_set(object, key, wrong[i]);
                        if (!fits)
                                refuse_json(root);
                        json_decref(wrong[i]);
                }
                json_object_del(object, key);
                if (!is_optional(key) && strcmp(key, "update") != 0)
                        refuse_json(root);
                json_object_set(object, key, value);
        }
        json_decref(copy);
}

static void every_wrong_type_and_every_gap_is_refused(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        json_t *root, *update;
        Engine e;

        (void) state;
        busy_engine(&e);
        engine_save(&e, &bytes);
        root = json_loads(buffer_str(&bytes), 0, NULL);
        update = json_object_get(root, "update");
        spoil_members(root, root);
        spoil_members(root, update);
        spoil_members(root, json_array_get(json_object_get(update, "ecus"), 0));
        json_decref(root);
        engine_done(&e);
}

/* As many fingerprints as there is room for, whole ones, and nothing else. */
static void a_list_of_refused_updates_is_taken_whole_or_not_at_all(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        char text[2 * SHA256_SIZE * (ENGINE_REFUSED_MAX + 1) + 1];
        EnginePolicy policy;
        json_t *root;
        Engine e, back;
        Error error = { 0 };

        (void) state;
        sample_policy(0, &policy);
        engine_init(&e, &policy);
        engine_save(&e, &bytes);
        root = json_loads(buffer_str(&bytes), 0, NULL);
        memset(text, 'a', sizeof text);
        for (size_t n = 0; n < sizeof text; n += SHA256_SIZE / 2) {
                cleanup_free char *whole = NULL;

                json_object_set_new(root, "refused", json_stringn(text, n));
                whole = json_dumps(root, JSON_COMPACT);
                if (n == 0 || n % (2 * SHA256_SIZE) || n > 2 * SHA256_SIZE * ENGINE_REFUSED_MAX) {
                        must_refuse(whole, strlen(whole));
                        continue;
                }
                assert_int_equal(load(whole, strlen(whole), &back, &error), 0);
                assert_int_equal(back.n_refused, n / (2 * SHA256_SIZE));
        }
        json_decref(root);
        assert_int_equal(back.n_refused, ENGINE_REFUSED_MAX);
        buffer_done(&bytes);
        engine_save(&back, &bytes);
        assert_int_equal(load(buffer_str(&bytes), bytes.size, &e, &error), 0);
        assert_memory_equal(e.refused, back.refused, sizeof e.refused);
}

static void a_row_of_an_older_version_is_taken(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        cleanup_free char *text = NULL;
        json_t *root, *ecu;
        size_t i;
        Engine e, back;
        Error error = { 0 };

        (void) state;
        busy_engine(&e);
        engine_save(&e, &bytes);
        root = json_loads(buffer_str(&bytes), 0, NULL);
        json_object_del(root, "assessments");
        json_object_del(root, "rollingBack");
        json_object_del(root, "completing");
        json_array_foreach(json_object_get(json_object_get(root, "update"), "ecus"), i, ecu)
                for (size_t k = 0; k < 3; k++)
                        json_object_del(ecu, ((const char *const[]) { "order", "restorable", "begun" })[k]);
        text = json_dumps(root, JSON_COMPACT);
        assert_int_equal(load(text, strlen(text), &back, &error), 0);
        assert_false(back.rolling_back || back.completing || back.assessments);
        for (i = 0; i < back.update.n_ecus; i++)
                assert_false(back.update.ecus[i].order || back.update.ecus[i].restorable || back.update.ecus[i].begun);
        json_decref(root);
        engine_done(&back);
        engine_done(&e);
}

static void a_state_about_an_update_needs_one(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        json_t *root;
        Engine e;

        (void) state;
        busy_engine(&e);
        engine_save(&e, &bytes);
        root = json_loads(buffer_str(&bytes), 0, NULL);
        json_object_del(root, "update");
        refuse_json(root);
        json_decref(root);
        engine_done(&e);
}

static void more_ecus_than_a_vehicle_may_have_are_refused(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        json_t *root, *ecus;
        Engine e;

        (void) state;
        busy_engine(&e);
        engine_save(&e, &bytes);
        root = json_loads(buffer_str(&bytes), 0, NULL);
        ecus = json_object_get(json_object_get(root, "update"), "ecus");
        while (json_array_size(ecus) <= ENGINE_ECUS_MAX)
                json_array_append(ecus, json_array_get(ecus, 0));
        refuse_json(root);
        json_array_clear(ecus);
        refuse_json(root);
        json_array_append_new(ecus, json_integer(1));
        refuse_json(root);
        json_decref(root);
        engine_done(&e);
}

static void the_largest_engine_fits_the_limit_of_its_row(void **state)
{
        cleanup_buffer Buffer bytes = { 0 };
        EnginePolicy policy;
        Engine e, back;
        Error error = { 0 };

        (void) state;
        sample_policy(0, &policy);
        engine_init(&e, &policy);
        e.has_update = true;
        e.update.n_ecus = ENGINE_ECUS_MAX;
        e.update.ecus = xcalloc(e.update.n_ecus, sizeof *e.update.ecus);
        for (size_t i = 0; i < e.update.n_ecus; i++) {
                EngineEcu *ecu = &e.update.ecus[i];

                memset(ecu->serial, '"', sizeof ecu->serial - 1);
                memset(ecu->hardware_id, '"', sizeof ecu->hardware_id - 1);
                memset(ecu->image, '"', sizeof ecu->image - 1);
                memset(ecu->uri, '"', sizeof ecu->uri - 1);
                memset(ecu->description, '"', sizeof ecu->description - 1);
                ecu->hashes.has_sha256 = ecu->hashes.has_sha512 = true;
                ecu->length = ecu->release_counter = INT64_MAX - 1;
                memset(ecu->kernel_arguments, '"', KERNEL_ARGUMENTS_MAX);
        }
        engine_update_seal(&e.update);
        engine_save(&e, &bytes);
        assert_true(bytes.size <= ENGINE_BYTES_MAX);
        assert_int_equal(load(buffer_str(&bytes), bytes.size, &back, &error), 0);
        engine_done(&back);
        engine_done(&e);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(everything_that_survives_comes_back),
                cmocka_unit_test(a_fresh_engine_comes_back),
                cmocka_unit_test(every_truncation_is_refused),
                cmocka_unit_test(every_wrong_type_and_every_gap_is_refused),
                cmocka_unit_test(a_list_of_refused_updates_is_taken_whole_or_not_at_all),
                cmocka_unit_test(a_row_of_an_older_version_is_taken),
                cmocka_unit_test(a_state_about_an_update_needs_one),
                cmocka_unit_test(more_ecus_than_a_vehicle_may_have_are_refused),
                cmocka_unit_test(the_largest_engine_fits_the_limit_of_its_row),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
