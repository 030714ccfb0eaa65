/* SPDX-License-Identifier: Apache-2.0 */
/* Power goes away before every effect and inside every job, once and twice: the vehicle ends where it ends without. */
#include <stdio.h>

#include "world.h"

typedef struct Ending {
        EngineState state;
        size_t n_refused;
        uint8_t refused[ENGINE_REFUSED_MAX][SHA256_SIZE];
        bool confirmed;
        bool secondary_runs_a, zone_runs;
        Sample booted;
        unsigned history;
        bool told;
        ErrorReport result;
        unsigned points;
} Ending;

typedef struct Scenario {
        unsigned asks;
        bool user, declines, falls_back;
        Sample assigned;
        int64_t awaits;
        ErrorCode secondary, primary, report, assess, rollback, zone, prepare;
        ErrorReport result;
} Scenario;

static void play(const Scenario *s, unsigned cut, unsigned again, Ending *ret)
{
        World w;

        world_init(&w, s->asks);
        w.user = s->user;
        w.declines = s->declines;
        w.falls_back = s->falls_back;
        w.assigned = s->assigned;
        w.secondary_awaits = s->awaits;
        w.secondary_fails = s->secondary;
        w.primary_fails = s->primary;
        w.zone_fails = s->zone;
        w.prepare_fails = s->prepare;
        w.report_fails = s->report;
        w.assess_fails = s->assess;
        w.rollback_fails = s->rollback;
        w.cut = cut;
        w.cut_again = again;
        world_start(&w, false);
        world_run(&w, 30 * 3600); /* failures are repeated at polls until they count as final */
        world_run_until(&w, ENGINE_IDLE);  /* a poll may be under way just then */
        *ret = (Ending) {
                .state = w.engine.state,
                .n_refused = w.engine.n_refused,
                .confirmed = w.confirmed,
                .secondary_runs_a = w.secondary_runs_a,
                .zone_runs = w.zone_runs,
                .booted = w.booted,
                .history = w.history,
                .told = w.finished > 0,
                .result = w.result,
                .points = w.points,
        };
        memcpy(ret->refused, w.engine.refused, sizeof ret->refused);
        assert_false(w.engine.has_update);
        world_done(&w);
}

static void same_end(void **state)
{
        const Scenario *s = *state;
        Ending whole, broken;
        unsigned cuts = 0;

        play(s, 0, 0, &whole);
        assert_int_equal(whole.state, ENGINE_IDLE);
        assert_int_equal(whole.history, 1);
        assert_true(whole.told);
        assert_int_equal(whole.result, s->result);
        for (unsigned cut = 1; cut <= whole.points; cut++)
                for (unsigned again = 0; again <= 5; again++, cuts++) {
                        play(s, cut, again, &broken);
                        assert_int_equal(broken.state, whole.state);
                        assert_int_equal(broken.n_refused, whole.n_refused);
                        assert_memory_equal(broken.refused, whole.refused, sizeof whole.refused);
                        assert_int_equal(broken.confirmed, whole.confirmed);
                        assert_int_equal(broken.secondary_runs_a, whole.secondary_runs_a);
                        assert_int_equal(broken.zone_runs, whole.zone_runs);
                        assert_int_equal(broken.booted, whole.booted);
                        assert_int_equal(broken.history, whole.history);
                        /* "finished" may be lost to the user's ears, never to the books */
                        assert_true(!broken.told || broken.result == whole.result);
                }
        print_message("# %u power cuts\n", cuts);
}

int main(void)
{
        static Scenario all_auto = { .assigned = SAMPLE_A }, consenting = { .assigned = SAMPLE_A, .asks = 7, .user = true },
                        primary = { .assigned = SAMPLE_B },
                        declined = { .assigned = SAMPLE_A, .asks = 2, .user = true, .declines = true, .result = REPORT_OPERATION_CANCELLED },
                        fallback = { .assigned = SAMPLE_A, .falls_back = true, .result = REPORT_INSTALL_FAILED },
                        refused = { .assigned = SAMPLE_A, .primary = ERR_INSTALL, .result = REPORT_INSTALL_FAILED },
                        stubborn = { .assigned = SAMPLE_A, .secondary = ERR_SECONDARY, .result = REPORT_INSTALL_FAILED },
                        bad = { .assigned = SAMPLE_A, .assess = ERR_HEALTH, .result = REPORT_INSTALL_FAILED },
                        trapped = { .assigned = SAMPLE_B, .assess = ERR_HEALTH, .rollback = ERR_INSTALL, .result = REPORT_INSTALL_FAILED },
                        mute = { .assigned = SAMPLE_B, .report = ERR_NETWORK },
                        three = { .assigned = SAMPLE_C },
                        one_of_three = { .assigned = SAMPLE_C, .zone = ERR_INSTALL, .result = REPORT_INSTALL_FAILED },
                        slow_one_of_three = { .assigned = SAMPLE_C, .zone = ERR_SECONDARY, .result = REPORT_INSTALL_FAILED },
                        unprepared = { .assigned = SAMPLE_C, .prepare = ERR_UNREACHABLE, .result = REPORT_INSTALL_FAILED },
                        three_bad = { .assigned = SAMPLE_C, .assess = ERR_HEALTH, .result = REPORT_INSTALL_FAILED },
                        three_await = { .assigned = SAMPLE_C, .awaits = 1000 },
                        three_await_long = { .assigned = SAMPLE_C, .awaits = 400000, .result = REPORT_INSTALL_FAILED },
                        three_await_fail = { .assigned = SAMPLE_C, .awaits = 400000, .zone = ERR_INSTALL, .result = REPORT_INSTALL_FAILED },
                        three_fallback = { .assigned = SAMPLE_C, .falls_back = true, .result = REPORT_INSTALL_FAILED };
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_prestate(same_end, &all_auto),
                cmocka_unit_test_prestate(same_end, &consenting),
                cmocka_unit_test_prestate(same_end, &primary),
                cmocka_unit_test_prestate(same_end, &declined),
                cmocka_unit_test_prestate(same_end, &fallback),
                cmocka_unit_test_prestate(same_end, &refused),
                cmocka_unit_test_prestate(same_end, &stubborn),
                cmocka_unit_test_prestate(same_end, &bad),
                cmocka_unit_test_prestate(same_end, &trapped),
                cmocka_unit_test_prestate(same_end, &mute),
                cmocka_unit_test_prestate(same_end, &three),
                cmocka_unit_test_prestate(same_end, &one_of_three),
                cmocka_unit_test_prestate(same_end, &slow_one_of_three),
                cmocka_unit_test_prestate(same_end, &unprepared),
                cmocka_unit_test_prestate(same_end, &three_bad),
                cmocka_unit_test_prestate(same_end, &three_fallback),
                cmocka_unit_test_prestate(same_end, &three_await),
                cmocka_unit_test_prestate(same_end, &three_await_long),
                cmocka_unit_test_prestate(same_end, &three_await_fail),
        };
        static const char *const names[] = { "all_auto", "consenting", "primary_alone", "declined", "falls_back", "installer_refuses",
                                             "secondary_fails_for_good", "software_is_bad", "nothing_to_go_back_to", "report_cannot_be_sent",
                                             "three_ecus", "one_of_three_fails", "one_of_three_fails_for_now", "one_of_three_is_not_prepared",
                                             "software_of_three_is_bad", "three_fall_back", "one_of_three_waits_for_its_reboot", "one_of_three_waits_too_long", "one_waits_and_one_fails" };
        struct CMUnitTest named[ELEMENTSOF(tests)];

        for (size_t i = 0; i < ELEMENTSOF(tests); i++) {
                named[i] = tests[i];
                named[i].name = names[i];
        }
        return cmocka_run_group_tests(named, NULL, NULL);
}
