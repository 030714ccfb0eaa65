/* SPDX-License-Identifier: Apache-2.0 */
/* Weeks on the road in milliseconds: polls, dead networks, clocks that jump, postponements. */
#include "world.h"

#define DAY 86400
#define INTERVAL 3600
#define SPREAD (INTERVAL / 5) /* jitter of 20 % */

static void quiet_polls_come_regularly_and_write_nothing(void **state)
{
        unsigned writes;
        World w;

        (void) state;
        world_init(&w, 0);
        world_start(&w, false);
        world_run(&w, DAY);
        writes = w.writes;
        world_run(&w, 42 * DAY);
        assert_int_equal(w.writes, writes); /* a poll that finds nothing costs no write to flash */
        assert_true(w.checks >= 43 * DAY / (INTERVAL + SPREAD + 10) && w.checks <= 43 * DAY / (INTERVAL - SPREAD));
        assert_true(w.longest_pause <= INTERVAL + SPREAD + 10);
        assert_int_equal(w.engine.last_check, w.clock - (w.uptime - w.last_check));
        world_done(&w);
}

static void a_dead_network_is_tried_ever_more_rarely_but_never_given_up(void **state)
{
        unsigned checks;
        World w;

        (void) state;
        world_init(&w, 0);
        w.check_fails = ERR_NETWORK;
        world_start(&w, false);
        world_run(&w, INTERVAL);
        assert_true(w.checks >= 5); /* soon at first */
        world_run(&w, DAY);
        checks = w.checks;
        world_run(&w, 14 * DAY);
        assert_true(w.checks - checks <= 14 * DAY / (4 * (INTERVAL - SPREAD)));
        assert_true(w.checks - checks >= 14 * DAY / (4 * (INTERVAL + SPREAD) + 10) - 1);
        assert_true(w.longest_pause <= 4 * (INTERVAL + SPREAD) + 10);
        w.check_fails = ERR_NONE;
        world_run(&w, DAY);
        assert_int_equal(w.engine.last_error.code, ERR_NONE);
        assert_int_equal(w.engine.failures, 0);
        w.longest_pause = 0;
        world_run(&w, DAY);
        assert_true(w.longest_pause <= INTERVAL + SPREAD + 10); /* and regularly again */
        world_done(&w);
}

/* Uptane 5.4.4 (d), Uptane 5.4.3.2 (b) */
static void what_verification_refuses_is_tried_at_the_next_regular_poll(void **state)
{
        unsigned checks;
        World w;

        (void) state;
        world_init(&w, 0);
        w.check_fails = ERR_ROLLBACK;
        world_start(&w, false);
        world_run(&w, 7 * DAY);
        assert_true(w.checks <= 7 * DAY / (INTERVAL - SPREAD) + 1); /* an attacker cannot make the vehicle hurry */
        assert_int_equal(w.attacks, w.checks); /* each is remembered, and written down with the state that follows */
        checks = w.checks;
        w.check_fails = ERR_NONE;
        world_run(&w, DAY);
        assert_int_equal(w.attacks, checks);
        assert_true(w.checks > checks);
        world_done(&w);
}

static void a_download_survives_days_without_network(void **state)
{
        World w;

        (void) state;
        world_init(&w, 0);
        w.assigned = SAMPLE_A;
        w.download_fails = ERR_NETWORK;
        world_start(&w, false);
        world_run(&w, 10 * DAY);
        assert_int_equal(w.finished, 0);
        assert_true(w.downloads > 20);
        w.download_fails = ERR_NONE;
        world_run(&w, DAY);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.booted, SAMPLE_A);
        world_done(&w);
}

static void a_clock_that_jumps_stops_nothing(void **state)
{
        static const int64_t jumps[] = { 20 * 365 * (int64_t) DAY, -20 * 365 * (int64_t) DAY, -3600, 3600, 7 * DAY, -7 * DAY };
        World w;

        (void) state;
        world_init(&w, 0);
        world_start(&w, false);
        for (unsigned i = 0; i < 200; i++) {
                w.clock += jumps[i % ELEMENTSOF(jumps)];
                world_run(&w, 5000 + i * 37 % 4000);
        }
        assert_true(w.longest_pause <= INTERVAL + SPREAD + 10);
        w.assigned = SAMPLE_A;
        world_run(&w, DAY);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.finished, 1);
        world_done(&w);
}

static void a_postponed_update_waits_exactly_so_long(void **state)
{
        World w;

        (void) state;
        world_init(&w, 0);
        w.assigned = SAMPLE_A;
        world_start(&w, false);
        world_run_until(&w, ENGINE_DOWNLOADING);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock + 3 * DAY }));
        world_run(&w, 3 * DAY - 60);
        assert_int_equal(w.installs, 0);
        assert_true(w.checks > 60); /* the Director is asked meanwhile whether it still wants it */
        assert_true(w.checks < 90);
        world_run(&w, 120);
        assert_int_equal(w.installs, 2);
        world_run(&w, 600);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void a_postponed_update_can_be_withdrawn(void **state)
{
        World w;

        (void) state;
        world_init(&w, 7);
        w.assigned = SAMPLE_A;
        world_start(&w, false);
        world_run_until(&w, ENGINE_AWAITING_CONSENT);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock + 30 * DAY }));
        world_run(&w, DAY);
        assert_true(w.engine.has_update);
        w.assigned = SAMPLE_NONE;
        world_run(&w, 2 * INTERVAL);
        assert_false(w.engine.has_update);
        assert_int_equal(w.engine.state, ENGINE_IDLE);
        world_done(&w);
}

static void the_user_is_asked_again_when_a_postponement_is_over(void **state)
{
        World w;

        (void) state;
        world_init(&w, 7);
        w.assigned = SAMPLE_A;
        world_start(&w, false);
        world_run_until(&w, ENGINE_AWAITING_CONSENT);
        assert_int_equal(w.offers[ENGINE_STAGE_DOWNLOAD], 1);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock + 2 * DAY }));
        world_run(&w, 2 * DAY - 60);
        assert_int_equal(w.offers[ENGINE_STAGE_DOWNLOAD], 1);
        world_run(&w, 120);
        assert_int_equal(w.offers[ENGINE_STAGE_DOWNLOAD], 2);
        world_run(&w, 7 * DAY);
        assert_int_equal(w.offers[ENGINE_STAGE_DOWNLOAD], 2); /* and not at every poll */
        world_done(&w);
}

static void a_postponement_by_a_wrong_clock_does_not_last_for_decades(void **state)
{
        World w;

        (void) state;
        world_init(&w, 0);
        w.assigned = SAMPLE_A;
        w.clock += 50 * 365 * (int64_t) DAY;
        world_start(&w, false);
        world_run_until(&w, ENGINE_DOWNLOADING);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock + DAY }));
        w.clock -= 50 * 365 * (int64_t) DAY;
        world_run(&w, 2 * DAY);
        assert_int_equal(w.finished, 1);
        world_done(&w);
}

static void a_postponed_reboot_is_made_up_for_when_the_clock_jumps_ahead(void **state)
{
        World w;

        (void) state;
        world_init(&w, 4);
        w.assigned = SAMPLE_B;
        world_start(&w, false);
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_B_ID, .until = w.clock + 300 * DAY }));
        w.clock += 301 * (int64_t) DAY;
        world_run(&w, 2 * INTERVAL);
        assert_int_equal(w.offers[ENGINE_STAGE_REBOOT], 2);
        assert_int_equal(w.reboots, 0);
        world_done(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(quiet_polls_come_regularly_and_write_nothing),
                cmocka_unit_test(a_dead_network_is_tried_ever_more_rarely_but_never_given_up),
                cmocka_unit_test(what_verification_refuses_is_tried_at_the_next_regular_poll),
                cmocka_unit_test(a_download_survives_days_without_network),
                cmocka_unit_test(a_clock_that_jumps_stops_nothing),
                cmocka_unit_test(a_postponed_update_waits_exactly_so_long),
                cmocka_unit_test(a_postponed_update_can_be_withdrawn),
                cmocka_unit_test(the_user_is_asked_again_when_a_postponement_is_over),
                cmocka_unit_test(a_postponement_by_a_wrong_clock_does_not_last_for_decades),
                cmocka_unit_test(a_postponed_reboot_is_made_up_for_when_the_clock_jumps_ahead),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
