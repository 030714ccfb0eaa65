/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

static void every_state_has_its_own_name(void **state)
{
        (void) state;
        for (unsigned i = 0; i < _ENGINE_STATE_MAX; i++)
                for (unsigned j = 0; j < i; j++)
                        assert_string_not_equal(engine_state_name((EngineState) i), engine_state_name((EngineState) j));
        for (unsigned i = 0; i < _ENGINE_ECU_STATE_MAX; i++)
                for (unsigned j = 0; j < i; j++)
                        assert_string_not_equal(engine_ecu_state_name((EngineEcuState) i), engine_ecu_state_name((EngineEcuState) j));
}

static void a_stage_is_read_as_it_is_written(void **state)
{
        (void) state;
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++) {
                EngineStage stage = _ENGINE_STAGE_MAX;
                Error error = { 0 };

                assert_int_equal(engine_stage_from_name(engine_stage_name((EngineStage) i), &stage, &error), 0);
                assert_int_equal(stage, i);
        }
}

static void another_word_is_no_stage(void **state)
{
        static const char *const words[] = { "", "Download", "installs", "reboo", "auto", "download\n" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                EngineStage stage = ENGINE_STAGE_REBOOT;
                Error error = { 0 };

                assert_int_equal(engine_stage_from_name(words[i], &stage, &error), -1);
                assert_int_equal(error.code, ERR_INVALID_ARGUMENT);
                assert_int_equal(stage, ENGINE_STAGE_REBOOT);
        }
}

static void an_update_is_told_from_another_by_everything_in_it(void **state)
{
        EngineUpdate original;

        (void) state;
        sample_update(SAMPLE_A, 0, &original);
        for (unsigned i = 0; i < 8; i++) {
                EngineUpdate other;

                sample_update(SAMPLE_A, 0, &other);
                if (i == 0)
                        other.correlation_id[0] ^= 1;
                else if (i == 1)
                        other.ecus[1].serial[0] ^= 1;
                else if (i == 2)
                        other.ecus[0].image[3] ^= 1;
                else if (i == 3)
                        other.ecus[1].hashes.sha256[31] ^= 1;
                else if (i == 4)
                        other.ecus[0].hashes.has_sha512 = true;
                else if (i == 5)
                        other.ecus[0].length++;
                else if (i == 6)
                        other.n_ecus--;
                else { /* a border moved between two fields */
                        strcpy(other.ecus[0].serial, "bcmb");
                        strcpy(other.ecus[0].image, "cm-2.bin");
                }
                engine_update_seal(&other);
                assert_memory_not_equal(other.fingerprint, original.fingerprint, SHA256_SIZE);
                engine_update_done(&other);
        }
        engine_update_done(&original);
}

static void what_an_ecu_has_done_so_far_does_not_make_another_update(void **state)
{
        EngineUpdate a, b;

        (void) state;
        sample_update(SAMPLE_A, 0, &a);
        sample_update(SAMPLE_A, 2, &b);
        strcpy(b.id, "another name for it");
        engine_update_seal(&b);
        assert_memory_equal(a.fingerprint, b.fingerprint, SHA256_SIZE);
        engine_update_done(&a);
        engine_update_done(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_state_has_its_own_name),
                cmocka_unit_test(a_stage_is_read_as_it_is_written),
                cmocka_unit_test(another_word_is_no_stage),
                cmocka_unit_test(an_update_is_told_from_another_by_everything_in_it),
                cmocka_unit_test(what_an_ecu_has_done_so_far_does_not_make_another_update),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
