/* SPDX-License-Identifier: Apache-2.0 */
/* Director against Image repository: what gets into the plan, and what is refused as what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "uptane/check.h"

#define SHA "1111111111111111111111111111111111111111111111111111111111111111"
#define SHB "2222222222222222222222222222222222222222222222222222222222222222"

static const Ecu ecus[] = {
        { .serial = "P", .hardware_id = "board", .primary = true, .release_counter = -1, .length = -1 },
        { .serial = "S1", .hardware_id = "mcu", .release_counter = 5, .image = "old.bin", .length = -1 },
        { .serial = "S2", .hardware_id = "mcu", .release_counter = -1, .length = -1 },
};

/* Signatures do not matter here: trust/ has looked at them. */
static Metadata *targets(const char *list, const char *more)
{
        cleanup_free char *text = xasprintf("{\"signatures\":[],\"signed\":{\"_type\":\"Targets\",\"version\":1,"
                                            "\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{%s}%s}}", list, more);
        Metadata *m = NULL;
        Error error = { 0 };

        if (metadata_parse(ROLE_TARGETS, slice_str(text), &m, &error) < 0)
                fail_msg("%s: %s", error.message, text);
        return m;
}

static char *target(const char *name, int length, const char *hash, const char *custom)
{
        return xasprintf("\"%s\":{\"length\":%d,\"hashes\":{\"sha256\":\"%s\"},\"custom\":{%s}}", name, length, hash, custom);
}

static const char *const must_match[] = { "train", NULL };

typedef struct Case {
        const char *director, *director_more, *image, *image_more;
        bool complete;
        ErrorCode expected;
} Case;

static void check(const Case *c)
{
        CLEANUP(metadata_free) Metadata *d = targets(c->director, c->director_more ? c->director_more : "");
        CLEANUP(metadata_free) Metadata *i = targets(c->image, c->image_more ? c->image_more : "");
        cleanup_plan Plan plan = { 0 };
        Error error = { 0 };
        int r = uptane_check_director(&d->targets, ecus, ELEMENTSOF(ecus), c->complete, &plan, &error);

        for (size_t n = 0; r >= 0 && n < plan.n_assignments; n++)
                r = uptane_check_image(&plan, n, targets_find(&i->targets, plan.assignments[n].director->name), must_match, &error);

        if ((r < 0 ? error.code : ERR_NONE) != c->expected)
                fail_msg("%s: %s", c->director, r < 0 ? error.message : "was taken");
}

#define TO_S1 "\"ecuIdentifiers\":{\"S1\":{\"hardwareId\":\"mcu\"}}"
#define FOR_MCU "\"hardwareIds\":[\"mcu\"],\"targetFormat\":\"BINARY\""

static void one(const char *d_custom, const char *i_custom, int i_length, const char *i_hash, ErrorCode expected)
{
        cleanup_free char *d = target("new.bin", 10, SHA, d_custom), *i = target("new.bin", i_length, i_hash, i_custom);

        check(&(Case) { .director = d, .image = i, .complete = true, .expected = expected });
}

static void an_image_both_repositories_agree_on_is_taken(void **state)
{
        (void) state;
        one(TO_S1 ",\"releaseCounter\":5", FOR_MCU ",\"releaseCounter\":5", 10, SHA, ERR_NONE);
        one(TO_S1, FOR_MCU ",\"releaseCounter\":6", 10, SHA, ERR_NONE);
}

/* T-22: Uptane 5.2.3.1, Targets that say for which vehicle they are */
static void targets_for_another_vehicle_are_refused(void **state)
{
        static const struct {
                const char *custom;
                VehicleId self;
                bool good;
        } table[] = {
                { "{}", { "V1", "D1", false }, true },
                { "{}", { "V1", "D1", true }, false },
                { "{\"vin\":\"V1\"}", { "V1", "", true }, true },
                { "{\"vin\":\"V2\"}", { "V1", "", false }, false },
                { "{\"vin\":\"V2\"}", { "", "", false }, true },
                { "{\"vin\":\"V2\"}", { "", "D1", true }, false },
                { "{\"deviceId\":\"D1\"}", { NULL, "D1", true }, true },
                { "{\"deviceId\":\"D2\"}", { NULL, "D1", false }, false },
                { "{\"vin\":\"V1\",\"deviceId\":\"D2\"}", { "V1", "D1", false }, false },
                { "{\"vin\":null}", { "V1", "D1", false }, true },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *more = xasprintf(",\"custom\":%s", table[i].custom);
                CLEANUP(metadata_free) Metadata *m = targets("", more);
                Error error = { 0 };

                assert_int_equal(uptane_check_vehicle(&m->targets, &table[i].self, &error), table[i].good ? 0 : -1);
                assert_int_equal(error.code, table[i].good ? ERR_NONE : ERR_WRONG_VEHICLE);
        }
}

/* Uptane 5.4.4.2 (10.2.2): the configured section */
static void custom_members_that_must_match_are_compared(void **state)
{
        (void) state;
        one(TO_S1 ",\"releaseCounter\":5,\"train\":7", FOR_MCU ",\"releaseCounter\":5,\"train\":7", 10, SHA, ERR_NONE);
        one(TO_S1 ",\"releaseCounter\":5,\"train\":7", FOR_MCU ",\"releaseCounter\":5,\"train\":8", 10, SHA, ERR_TARGET_MISMATCH);
        one(TO_S1 ",\"releaseCounter\":5", FOR_MCU ",\"releaseCounter\":5,\"train\":8", 10, SHA, ERR_TARGET_MISMATCH);
}

/* T-23: Uptane 5.4.4.2 (10.2.1): length and hashes */
static void other_length_or_hash_is_refused(void **state)
{
        (void) state;
        one(TO_S1 ",\"releaseCounter\":5", FOR_MCU, 11, SHA, ERR_TARGET_MISMATCH);
        one(TO_S1 ",\"releaseCounter\":5", FOR_MCU, 10, SHB, ERR_TARGET_MISMATCH);
}

/* T-26 */
static void hashes_without_one_in_common_are_refused(void **state)
{
        cleanup_free char *d = target("new.bin", 10, SHA, TO_S1);

        (void) state;
        check(&(Case) { .director = d, .complete = true, .expected = ERR_TARGET_MISMATCH,
                        .image = "\"new.bin\":{\"length\":10,\"hashes\":{\"sha512\":\"" SHA SHA "\"},\"custom\":{" FOR_MCU "}}" });
}

/* T-23: Uptane 5.4.4.2 (10.2.2): custom metadata that must match */
static void hardware_ids_and_release_counters_must_match(void **state)
{
        (void) state;
        one(TO_S1 ",\"releaseCounter\":5", "\"hardwareIds\":[\"board\"]", 10, SHA, ERR_HARDWARE_ID);
        one(TO_S1 ",\"releaseCounter\":5", "\"hardwareIds\":[]", 10, SHA, ERR_HARDWARE_ID);
        /* the Standard only recommends the list: where there is none, the Director's own stands alone */
        one(TO_S1 ",\"releaseCounter\":5", "\"hardwareIds\":null", 10, SHA, ERR_NONE);
        one("\"ecuIdentifiers\":{\"S1\":{\"hardwareId\":\"board\"}}", "\"releaseCounter\":5", 10, SHA, ERR_HARDWARE_ID);
        one(TO_S1 ",\"releaseCounter\":6", FOR_MCU ",\"releaseCounter\":7", 10, SHA, ERR_TARGET_MISMATCH);
        one("\"ecuIdentifiers\":{\"S1\":{\"hardwareId\":\"board\"}}", FOR_MCU, 10, SHA, ERR_HARDWARE_ID);
}

/* T-24: Uptane 5.4.4.2 (10.2.3): the release counter never falls, nor does it disappear */
static void a_lower_or_missing_release_counter_is_a_rollback(void **state)
{
        (void) state;
        one(TO_S1 ",\"releaseCounter\":4", FOR_MCU ",\"releaseCounter\":4", 10, SHA, ERR_ROLLBACK);
        one(TO_S1, FOR_MCU, 10, SHA, ERR_ROLLBACK);
}

/* T-23: Uptane 5.4.4.2 (10.1): exactly the same filename; Uptane 5.4.4.2 (10): for every image the Director lists */
static void a_name_the_image_repository_does_not_know_is_refused(void **state)
{
        cleanup_free char *d = target("new.bin", 10, SHA, TO_S1), *i = target("New.bin", 10, SHA, FOR_MCU);

        (void) state;
        check(&(Case) { .director = d, .image = i, .complete = true, .expected = ERR_TARGET_MISMATCH });
}

#define KEYS "\"keys\":{\"k\":{\"keytype\":\"ed25519\",\"keyval\":{\"public\":" \
             "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"}}}"
#define SIGNERS "\"keyids\":[\"k\"],\"threshold\":1"

/* T-22: Uptane 5.4.4.6 (6): the Director does not delegate */
static void delegations_of_the_director_are_refused(void **state)
{
        cleanup_free char *d = target("new.bin", 10, SHA, TO_S1);

        (void) state;
        check(&(Case) { .director = d, .image = d, .complete = true, .expected = ERR_WRONG_ROLE,
                        .director_more = ",\"delegations\":{" KEYS ",\"roles\":[{\"name\":\"a\",\"paths\":[]," SIGNERS "}]}" });
        check(&(Case) { .director = d, .image = d, .complete = true, .expected = ERR_WRONG_ROLE,
                        .director_more = ",\"delegations\":{" KEYS ",\"succinct_roles\":{\"bit_length\":1,\"name_prefix\":\"b\"," SIGNERS "}}" });
}

/* T-22: Uptane 5.4.4.6 (7): no ECU twice */
static void an_ecu_with_two_images_is_refused(void **state)
{
        cleanup_free char *a = target("a.bin", 10, SHA, TO_S1), *b = target("b.bin", 10, SHB, TO_S1), *both = xasprintf("%s,%s", a, b);

        (void) state;
        check(&(Case) { .director = both, .image = both, .complete = true, .expected = ERR_UNKNOWN_ECU });
}

/* T-22: Uptane 5.4.4.6 (8): only ECUs of this vehicle */
static void an_ecu_of_another_vehicle_is_refused_by_a_primary_and_ignored_by_a_secondary(void **state)
{
        cleanup_free char *d = target("x.bin", 10, SHA, "\"ecuIdentifiers\":{\"X\":{\"hardwareId\":\"mcu\"}}");

        (void) state;
        check(&(Case) { .director = d, .image = d, .complete = true, .expected = ERR_UNKNOWN_ECU });
        check(&(Case) { .director = d, .image = d, .complete = false, .expected = ERR_NONE });
}

/* Uptane 5.2.3.1.1: T-22 */
static void a_target_for_no_ecu_is_refused(void **state)
{
        (void) state;
        one("\"uri\":null", FOR_MCU, 10, SHA, ERR_UNKNOWN_ECU);
}

static void the_same_name_with_other_content_than_installed_is_refused(void **state)
{
        cleanup_free char *d = target("old.bin", 10, SHA, TO_S1 ",\"releaseCounter\":9");
        cleanup_free char *i = target("old.bin", 10, SHA, FOR_MCU ",\"releaseCounter\":9");

        (void) state;
        check(&(Case) { .director = d, .image = i, .complete = true, .expected = ERR_TARGET_MISMATCH });
}

static void an_ostree_commit_needs_its_sha256(void **state)
{
        (void) state;
        check(&(Case) { .director = "\"os\":{\"length\":0,\"hashes\":{\"sha512\":\"" SHA SHA "\"},\"custom\":{\"ecuIdentifiers\":{\"P\":{\"hardwareId\":\"board\"}}}}",
                        .image = "\"os\":{\"length\":0,\"hashes\":{\"sha512\":\"" SHA SHA "\"},\"custom\":{\"hardwareIds\":[\"board\"],\"targetFormat\":\"OSTREE\"}}",
                        .complete = true, .expected = ERR_UNSUPPORTED });
}

static void a_format_nobody_knows_is_refused_only_where_it_is_assigned(void **state)
{
        cleanup_free char *d = target("new.bin", 10, SHA, TO_S1 ",\"releaseCounter\":5"), *i = target("new.bin", 10, SHA, FOR_MCU);
        cleanup_free char *other = target("app", 1, SHB, "\"targetFormat\":\"DOCKER\""), *beside = xasprintf("%s,%s", i, other);

        (void) state;
        check(&(Case) { .director = d, .image = beside, .complete = true, .expected = ERR_NONE });
        one(TO_S1 ",\"releaseCounter\":5", "\"hardwareIds\":[\"mcu\"],\"targetFormat\":\"DOCKER\"", 10, SHA, ERR_UNSUPPORTED);
}

/* Uptane 5.4.4.1: one Secondary, which knows itself and the Director */
static void partial(const char *custom, ErrorCode expected)
{
        cleanup_free char *list = target("new.bin", 10, SHA, custom);
        CLEANUP(metadata_free) Metadata *d = targets(list, "");
        cleanup_plan Plan plan = { 0 };
        Error error = { 0 };
        int r = uptane_check_director(&d->targets, &ecus[1], 1, false, &plan, &error);

        if (r == 0)
                r = uptane_check_partial(&plan, &error);
        if ((r < 0 ? error.code : ERR_NONE) != expected)
                fail_msg("%s: %s", custom, r < 0 ? error.message : "was taken");
        if (r == 0)
                assert_true(plan.n_assignments == 0 || plan.assignments[0].image == plan.assignments[0].director);
}

/* Uptane 5.4.4.1 */
static void partial_verification_takes_the_directors_word_but_checks_it_against_the_ecu(void **state)
{
        (void) state;
        partial(TO_S1 ",\"releaseCounter\":5", ERR_NONE);
        partial(TO_S1 ",\"releaseCounter\":6,\"hardwareIds\":[\"mcu\"]", ERR_NONE);
        partial("\"ecuIdentifiers\":{\"X\":{\"hardwareId\":\"board\"}}", ERR_NONE);
        partial(TO_S1 ",\"releaseCounter\":4", ERR_ROLLBACK);
        partial(TO_S1, ERR_ROLLBACK);
        partial("\"ecuIdentifiers\":{\"S1\":{\"hardwareId\":\"board\"}},\"releaseCounter\":5", ERR_HARDWARE_ID);
        partial(TO_S1 ",\"releaseCounter\":5,\"hardwareIds\":[\"board\"]", ERR_HARDWARE_ID);
        partial(TO_S1 ",\"releaseCounter\":5,\"targetFormat\":\"DOCKER\"", ERR_UNSUPPORTED);
}

static void partial_verification_refuses_an_installed_name_with_other_content(void **state)
{
        cleanup_free char *list = target("old.bin", 10, SHA, TO_S1 ",\"releaseCounter\":9");
        CLEANUP(metadata_free) Metadata *d = targets(list, "");
        cleanup_plan Plan plan = { 0 };
        Error error = { 0 };

        (void) state;
        assert_int_equal(uptane_check_director(&d->targets, &ecus[1], 1, false, &plan, &error), 0);
        assert_int_equal(uptane_check_partial(&plan, &error), -1);
        assert_int_equal(error.code, ERR_TARGET_MISMATCH);
}

static void the_primary_comes_last_and_what_is_installed_is_known(void **state)
{
        Ecu mine[ELEMENTSOF(ecus)];
        CLEANUP(metadata_free) Metadata *d = NULL;
        cleanup_plan Plan plan = { 0 };
        Error error = { 0 };

        (void) state;
        memcpy(mine, ecus, sizeof mine);
        mine[1].image = "fw";
        mine[1].hashes.has_sha256 = true;
        memset(mine[1].hashes.sha256, 0x11, SHA256_SIZE);
        d = targets("\"os\":{\"length\":0,\"hashes\":{\"sha256\":\"" SHB "\"},\"custom\":{\"ecuIdentifiers\":{\"P\":{\"hardwareId\":\"board\"}}}},"
                    "\"fw\":{\"length\":10,\"hashes\":{\"sha256\":\"" SHA "\"},\"custom\":{\"uri\":\"https://example.com/\","
                    "\"ecuIdentifiers\":{\"S2\":{\"hardwareId\":\"mcu\"},\"S1\":{\"hardwareId\":\"mcu\"}}}}", "");
        assert_int_equal(uptane_check_director(&d->targets, mine, ELEMENTSOF(mine), true, &plan, &error), 0);
        assert_int_equal(plan.n_assignments, 3);
        assert_int_equal(plan.n_pending, 2);
        assert_string_equal(plan.assignments[0].ecu->serial, "S1");
        assert_true(plan.assignments[0].installed);
        assert_null(plan.assignments[0].uri);
        assert_string_equal(plan.assignments[1].ecu->serial, "S2");
        assert_string_equal(plan.assignments[2].ecu->serial, "P");
        assert_false(plan.assignments[2].installed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_image_both_repositories_agree_on_is_taken),
                cmocka_unit_test(other_length_or_hash_is_refused),
                cmocka_unit_test(hashes_without_one_in_common_are_refused),
                cmocka_unit_test(hardware_ids_and_release_counters_must_match),
                cmocka_unit_test(a_lower_or_missing_release_counter_is_a_rollback),
                cmocka_unit_test(a_name_the_image_repository_does_not_know_is_refused),
                cmocka_unit_test(custom_members_that_must_match_are_compared),
                cmocka_unit_test(targets_for_another_vehicle_are_refused),
                cmocka_unit_test(delegations_of_the_director_are_refused),
                cmocka_unit_test(an_ecu_with_two_images_is_refused),
                cmocka_unit_test(an_ecu_of_another_vehicle_is_refused_by_a_primary_and_ignored_by_a_secondary),
                cmocka_unit_test(a_target_for_no_ecu_is_refused),
                cmocka_unit_test(the_same_name_with_other_content_than_installed_is_refused),
                cmocka_unit_test(an_ostree_commit_needs_its_sha256),
                cmocka_unit_test(a_format_nobody_knows_is_refused_only_where_it_is_assigned),
                cmocka_unit_test(partial_verification_takes_the_directors_word_but_checks_it_against_the_ecu),
                cmocka_unit_test(partial_verification_refuses_an_installed_name_with_other_content),
                cmocka_unit_test(the_primary_comes_last_and_what_is_installed_is_known),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
