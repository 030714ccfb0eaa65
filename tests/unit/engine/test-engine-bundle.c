/* SPDX-License-Identifier: Apache-2.0 */
/* One bundle, one outcome: stories of a vehicle with three ECUs, the Primary in front, whose first Secondary can go back. */
#include <stdio.h>

#include "world.h"

enum { PRIMARY, BCM, ZONE };

static void start(World *w)
{
        world_init(w, 0);
        w->assigned = SAMPLE_C;
        world_start(w, false);
}

static EngineEcu *ecu(World *w, size_t index)
{
        return &w->engine.update.ecus[index];
}

static const EngineEcu *finished(const World *w, size_t index)
{
        return &w->engine.finished.ecus[index];
}

static void every_ecu_is_prepared_before_the_first_installs_and_the_primary_is_the_last(void **state)
{
        World w;

        (void) state;
        start(&w);
        world_run_until(&w, ENGINE_INSTALLING);
        while (w.installs == 0) {
                if (ecu(&w, BCM)->state == ENGINE_ECU_INSTALLING)
                        assert_int_equal(w.prepared, 3);
                world_run(&w, 1);
        }
        assert_int_equal(ecu(&w, PRIMARY)->state, ENGINE_ECU_PREPARED);
        while (ecu(&w, PRIMARY)->state == ENGINE_ECU_PREPARED)
                world_run(&w, 1);
        assert_int_equal(ecu(&w, BCM)->state, ENGINE_ECU_INSTALLED);
        assert_int_equal(ecu(&w, ZONE)->state, ENGINE_ECU_INSTALLED);
        world_run(&w, 1000);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.booted, SAMPLE_C);
        assert_int_equal(w.reboots, 1);
        world_done(&w);
}

static void what_cannot_be_prepared_touches_nobody_and_everybody_is_told_why(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.prepare_fails = ERR_INSTALL;
        world_run(&w, 1000);
        assert_int_equal(w.installs + w.restores, 0);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        assert_string_equal(finished(&w, ZONE)->description, sample_error(ERR_INSTALL).message);
        assert_string_equal(finished(&w, BCM)->description, "not installed: as tried by this test");
        assert_string_equal(finished(&w, PRIMARY)->description, "not installed: as tried by this test");
        world_done(&w);
}

static void what_could_not_be_prepared_for_now_is_checked_again_first(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.prepare_fails = ERR_UNREACHABLE;
        w.fails = 2;
        world_run(&w, 3600);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.installs, 3);
        assert_true(w.checks >= 3);
        world_done(&w);
}

static void a_lower_order_installs_first_and_equal_ones_together(void **state)
{
        EngineEffects effects;
        EngineUpdate update;
        Engine e;
        EnginePolicy policy;

        (void) state;
        for (int order = -1; order <= 1; order++) {
                sample_policy(0, &policy);
                engine_init(&e, &policy);
                sample_update(SAMPLE_C, 0, &update);
                update.ecus[BCM].order = order > 0 ? 7 : 3;
                update.ecus[ZONE].order = order < 0 ? 7 : 3;
                e.update = update;
                e.has_update = true;
                e.state = ENGINE_INSTALLING;
                for (size_t i = 0; i < 3; i++)
                        engine_step(&e, &(EngineEvent) { .kind = ENGINE_ECU_READY, .index = i }, 1, &effects);
                assert_int_equal(e.update.ecus[PRIMARY].state, ENGINE_ECU_PREPARED);
                assert_int_equal(e.update.ecus[BCM].state, order > 0 ? ENGINE_ECU_PREPARED : ENGINE_ECU_INSTALLING);
                assert_int_equal(e.update.ecus[ZONE].state, order < 0 ? ENGINE_ECU_PREPARED : ENGINE_ECU_INSTALLING);
                engine_done(&e);
        }
}

static void no_more_install_at_the_same_time_than_may(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.engine.policy.parallel = w.policy.parallel = 1;
        world_run_until(&w, ENGINE_INSTALLING);
        for (unsigned i = 0; i < 200 && w.engine.state == ENGINE_INSTALLING; i++) {
                unsigned n = 0;

                for (size_t k = 0; k < 3; k++)
                        n += ecu(&w, k)->state == ENGINE_ECU_INSTALLING;
                assert_true(n <= 1);
                world_run(&w, 1);
        }
        assert_int_equal(w.installs, 3);
        world_done(&w);
}

static void where_one_fails_those_that_can_go_back_and_the_primary_is_not_touched(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.zone_fails = ERR_INSTALL;
        world_run(&w, 10 * 3600);
        assert_int_equal(w.installs, 2); /* it was under way when the other failed: it is heard first */
        assert_int_equal(w.restores, 1);
        assert_false(w.secondary_runs_a);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.reboots, 0);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.reports, 1);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_ROLLED_BACK);
        assert_string_equal(finished(&w, BCM)->description, "rolled back: as tried by this test");
        assert_int_equal(finished(&w, BCM)->result, REPORT_INSTALL_FAILED);
        assert_int_equal(finished(&w, ZONE)->state, ENGINE_ECU_FAILED);
        assert_string_equal(finished(&w, PRIMARY)->description, "not installed: as tried by this test");
        world_done(&w);
}

static void one_that_cannot_go_back_stays_and_is_reported_as_what_it_runs(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.secondary_fails = ERR_INSTALL; /* and the other, which cannot, has installed */
        world_run(&w, 10 * 3600);
        assert_true(w.zone_runs);
        assert_int_equal(w.restores, 0);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(finished(&w, ZONE)->state, ENGINE_ECU_INSTALLED);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_FAILED);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        world_done(&w);
}

static void where_the_policy_is_to_keep_nobody_goes_back(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.engine.policy.keep = w.policy.keep = true;
        w.primary_fails = ERR_INSTALL;
        world_run(&w, 10 * 3600);
        assert_true(w.secondary_runs_a && w.zone_runs);
        assert_int_equal(w.restores, 0);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_INSTALLED);
        world_done(&w);
}

static void one_that_cannot_go_back_tries_some_times_and_is_reported_so(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.primary_fails = ERR_INSTALL;
        w.restore_fails = ERR_HANDLER;
        world_run(&w, 10 * 3600);
        assert_int_equal(w.restores, ENGINE_ATTEMPTS_MAX);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_FAILED);
        assert_string_equal(finished(&w, BCM)->description, "it could not be rolled back: as tried by this test");
        assert_int_equal(w.finished, 1);
        world_done(&w);
}

static void one_that_could_not_go_back_at_first_does_so_later(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.primary_fails = ERR_INSTALL;
        world_run_until(&w, ENGINE_FINALIZING);
        w.restore_fails = ERR_HANDLER;
        w.fails = 2;
        world_run(&w, 10 * 3600);
        assert_int_equal(w.restores, 3);
        assert_false(w.secondary_runs_a);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_ROLLED_BACK);
        assert_string_equal(finished(&w, BCM)->description, "rolled back: not at the first attempt");
        assert_int_equal(w.finished, 1);
        world_done(&w);
}

/* Whether the daemon dies or the machine, between two attempts or in one. */
static void a_way_back_that_is_interrupted_goes_on_but_not_for_ever(void **state)
{
        unsigned i;
        World w;

        (void) state;
        for (unsigned reboots = 0; reboots < 2; reboots++) {
                start(&w);
                w.primary_fails = ERR_INSTALL;
                w.restore_fails = ERR_HANDLER;
                while (w.restores == 0)
                        world_run(&w, 1);
                world_crash(&w);
                world_start(&w, reboots);
                assert_int_equal(w.job.kind, ENGINE_DO_RESTORE);
                for (i = 0; i < 2 * ENGINE_INTERRUPTIONS_MAX && w.job.kind == ENGINE_DO_RESTORE; i++) {
                        world_crash(&w);
                        world_start(&w, reboots);
                }
                assert_in_range(i, ENGINE_INTERRUPTIONS_MAX - 2, ENGINE_INTERRUPTIONS_MAX);
                world_run(&w, 3600);
                assert_int_equal(w.finished, 1);
                assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_FAILED);
                world_done(&w);
        }
}

/* One event is behind the other: what the second says is its own result. */
static void every_ecu_that_cannot_be_prepared_says_why_itself(void **state)
{
        static const ErrorCode seconds[] = { ERR_IMAGE_MISMATCH, ERR_UNREACHABLE };
        EngineEffects effects;

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(seconds); i++) {
                World w;

                start(&w);
                world_run_until(&w, ENGINE_INSTALLING);
                engine_step(&w.engine, &(EngineEvent) { .kind = ENGINE_ECU_REFUSED, .index = BCM, .error = sample_error(ERR_INSTALL) }, w.clock, &effects);
                assert_null(effect_find(&effects, ENGINE_DO_STOP));
                assert_int_equal(w.engine.state, ENGINE_INSTALLING);
                engine_step(&w.engine, &(EngineEvent) { .kind = ENGINE_ECU_REFUSED, .index = ZONE, .error = sample_error(seconds[i]) }, w.clock, &effects);
                engine_step(&w.engine, &(EngineEvent) { .kind = ENGINE_ECU_READY, .index = PRIMARY }, w.clock, &effects);
                assert_int_equal(w.engine.state, ENGINE_FINALIZING);
                assert_int_equal(ecu(&w, BCM)->result, REPORT_INSTALL_FAILED);
                assert_int_equal(ecu(&w, ZONE)->state, ENGINE_ECU_FAILED);
                assert_int_equal(ecu(&w, ZONE)->result, error_info(seconds[i])->report);
                assert_string_equal(ecu(&w, ZONE)->description, sample_error(seconds[i]).message);
                assert_string_equal(ecu(&w, PRIMARY)->description, "not installed: as tried by this test");
                world_done(&w);
        }
}

static void what_fails_for_now_behind_the_first_installation_is_repeated_soon_and_nobody_can_interfere(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.zone_fails = ERR_SECONDARY; /* otherwise a matter for the next poll */
        w.fails = 2;
        world_run_until(&w, ENGINE_INSTALLING);
        world_run(&w, 65);
        assert_int_equal(w.engine.state, ENGINE_INSTALLING);
        assert_false(w.has_job);
        assert_true(w.engine.next_check > 0);
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_CANCEL }));
        world_run(&w, 600);
        assert_int_equal(w.engine.state, ENGINE_IDLE);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.checks, 1);
        assert_int_equal(w.installs, 5); /* the other Secondary's is not repeated */
        world_done(&w);
}

static void what_fails_for_now_too_often_has_failed(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.zone_fails = ERR_UNREACHABLE;
        world_run(&w, 3600);
        assert_int_equal(w.installs, 1 + ENGINE_ATTEMPTS_MAX);
        assert_int_equal(w.restores, 1);
        assert_int_equal(w.finished, 1);
        assert_int_equal(finished(&w, ZONE)->state, ENGINE_ECU_FAILED);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_ROLLED_BACK);
        assert_int_equal(w.booted, SAMPLE_NONE);
        world_done(&w);
}

static void bad_software_of_the_primary_takes_the_secondaries_back_with_it(void **state)
{
        World w;

        (void) state;
        for (int falls_back = 0; falls_back < 2; falls_back++) {
                start(&w);
                w.assess_fails = ERR_HEALTH;
                w.falls_back = falls_back;
                world_run(&w, 10 * 3600);
                assert_int_equal(w.booted, SAMPLE_NONE);
                assert_false(w.secondary_runs_a);
                assert_true(w.zone_runs);
                assert_int_equal(w.finished, 1);
                assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_ROLLED_BACK);
                assert_int_equal(finished(&w, PRIMARY)->state, ENGINE_ECU_FAILED);
                assert_int_equal(w.rollbacks, !falls_back);
                world_done(&w);
        }
}

static void where_the_user_does_not_want_the_reboot_the_secondaries_go_back_too(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.policy.ask[ENGINE_STAGE_REBOOT] = w.engine.policy.ask[ENGINE_STAGE_REBOOT] = true;
        w.secondary_needs_reboot = true;
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        assert_int_equal(ecu(&w, BCM)->state, ENGINE_ECU_NEED_REBOOT);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_DECLINE, .id = SAMPLE_C_ID, .text = "no" }));
        world_run(&w, 10 * 3600);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_OPERATION_CANCELLED);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_ROLLED_BACK);
        assert_string_equal(finished(&w, BCM)->description, "rolled back: declined by the user: no");
        assert_int_equal(w.restores, 1);
        assert_int_equal(w.booted, SAMPLE_NONE);
        world_done(&w);
}

/* It had its image before this update: that is none of its business. */
static void an_ecu_that_this_update_did_not_install_does_not_go_back(void **state)
{
        World w;

        (void) state;
        start(&w);
        w.secondary_runs_a = true;
        w.zone_fails = ERR_INSTALL;
        world_run(&w, 10 * 3600);
        assert_true(w.secondary_runs_a);
        assert_int_equal(w.restores, 0);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_INSTALLED);
        world_done(&w);
}

static void one_that_turns_out_to_have_its_image_is_not_installed_again(void **state)
{
        EngineEffects effects;
        World w;

        (void) state;
        start(&w);
        world_run_until(&w, ENGINE_INSTALLING);
        engine_step(&w.engine, &(EngineEvent) { .kind = ENGINE_ECU_DONE, .index = BCM }, w.clock, &effects);
        assert_int_equal(ecu(&w, BCM)->state, ENGINE_ECU_INSTALLED);
        assert_int_equal(effects.n, 1);
        assert_int_equal(effects.list[0].kind, ENGINE_DO_PERSIST);
        w.secondary_runs_a = true;
        world_run(&w, 1000);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.installs, 2);
        world_done(&w);
}

/* ---- BCM runs its image behind a reboot that is no business of the Primary's ---- */

static void start_awaiting(World *w, int64_t seconds)
{
        start(w);
        w->secondary_awaits = seconds;
        world_run_until(w, ENGINE_INSTALLING);
        while (!ecu(w, BCM)->reboot_by)
                world_run(w, 1);
}

static void one_that_waits_for_its_reboot_keeps_none_of_its_order_from_it_but_the_primary(void **state)
{
        World w;

        (void) state;
        start_awaiting(&w, 3000);
        assert_string_equal(engine_ecu_shown(ecu(&w, BCM)), "awaiting-reboot");
        world_run(&w, 1000);
        assert_int_equal(ecu(&w, ZONE)->state, ENGINE_ECU_INSTALLED);
        assert_int_equal(ecu(&w, PRIMARY)->state, ENGINE_ECU_PREPARED);
        assert_int_equal(w.engine.last_error.code, ERR_NONE);
        assert_string_equal(engine_ecu_shown(ecu(&w, BCM)), "awaiting-reboot");
        world_run(&w, 3000);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.booted, SAMPLE_C);
        assert_string_equal(engine_ecu_shown(finished(&w, BCM)), "installed");
        world_done(&w);
}

static void it_waits_through_more_restarts_than_an_installation_may_be_interrupted_by(void **state)
{
        World w;

        (void) state;
        start_awaiting(&w, 3000);
        while (ecu(&w, ZONE)->state != ENGINE_ECU_INSTALLED)
                world_run(&w, 1);
        for (unsigned i = 0; i < 2 * ENGINE_INTERRUPTIONS_MAX; i++) {
                world_crash(&w);
                world_start(&w, i % 2);
                world_run(&w, 30);
                assert_string_equal(engine_ecu_shown(ecu(&w, BCM)), "awaiting-reboot");
        }
        world_run(&w, 3000);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.finished, 1);
        world_done(&w);
}

static void one_that_is_not_rebooted_in_time_has_failed_and_the_primary_is_not_touched(void **state)
{
        World w;

        (void) state;
        start_awaiting(&w, 3 * WORLD_AWAITS_MAX);
        world_run(&w, 2 * WORLD_AWAITS_MAX);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_FAILED);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.reboots, 0);
        world_done(&w);
}

static void whoever_fails_does_not_wait_for_the_reboot_of_another(void **state)
{
        World w;

        (void) state;
        start_awaiting(&w, 3000);
        ecu(&w, BCM)->restorable = false;
        w.zone_fails = ERR_INSTALL;
        world_run(&w, 1000);
        assert_int_equal(w.finished, 1);
        assert_string_equal(finished(&w, BCM)->description, "it waits for its reboot still: as tried by this test");
        assert_string_equal(finished(&w, ZONE)->description, "as tried by this test");
        assert_string_equal(engine_ecu_shown(finished(&w, BCM)), "failed");
        world_done(&w);
}

/* What is to be done behind the waiting is prepared again: it may have been prepared days ago. */
static void conditions_that_cease_hold_back_the_others_and_not_the_waiting(void **state)
{
        World w;

        (void) state;
        start_awaiting(&w, 3000);
        world_run(&w, 1000);
        world_post(&w, (EngineEvent) { .kind = ENGINE_CONDITIONS, .blocked = 1 << ENGINE_STAGE_INSTALL });
        world_crash(&w);
        w.policy.conditional[ENGINE_STAGE_INSTALL] = w.engine.blocked[ENGINE_STAGE_INSTALL] = true;
        world_start(&w, false);
        world_run(&w, 2900);
        assert_int_equal(ecu(&w, BCM)->state, ENGINE_ECU_INSTALLED);
        assert_int_equal(ecu(&w, PRIMARY)->state, ENGINE_ECU_PREPARED);
        world_post(&w, (EngineEvent) { .kind = ENGINE_CONDITIONS });
        world_run(&w, 1000);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.booted, SAMPLE_C);
        world_done(&w);
}

/* ---- behind the reboot, where BCM completes what it installed ---- */

static void reboot(World *w)
{
        start(w);
        w->secondary_needs_reboot = true;
        world_run_until(w, ENGINE_REBOOT_REQUIRED);
        while (w->boots == 0)
                world_run(w, 1);
        assert_int_equal(w->booted, SAMPLE_C);
}

static void the_primary_is_confirmed_only_when_every_other_ecu_is_complete(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        assert_int_equal(w.engine.state, ENGINE_INSTALLING);
        assert_true(w.engine.completing && engine_awaits_boot(&w.engine));
        assert_ptr_equal(engine_on_trial(&w.engine, sample_commit(SAMPLE_C)), ecu(&w, PRIMARY));
        while (w.assessments == 0) {
                assert_false(w.confirmed);
                world_run(&w, 1);
        }
        assert_true(w.secondary_runs_a);
        world_run(&w, 1000);
        assert_int_equal(w.result, REPORT_OK);
        assert_true(w.confirmed);
        world_done(&w);
}

static void a_completion_that_fails_takes_the_primary_back_and_then_the_others(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        w.secondary_fails = ERR_HANDLER;
        world_run(&w, 10 * 3600);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.assessments, 0);
        assert_int_equal(w.rollbacks, 1);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.boots, 2);
        assert_int_equal(finished(&w, PRIMARY)->state, ENGINE_ECU_ROLLED_BACK);
        assert_string_equal(finished(&w, PRIMARY)->description, "rolled back: as tried by this test");
        assert_string_equal(finished(&w, BCM)->description, "as tried by this test");
        world_done(&w);
}

static void software_that_does_not_stand_its_trial_takes_back_what_was_completed(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        w.assess_fails = ERR_HEALTH;
        world_run(&w, 10 * 3600);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_ROLLED_BACK);
        assert_false(w.secondary_runs_a);
        world_done(&w);
}

static void an_ecu_that_is_gone_does_not_hold_the_trial_for_ever(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        w.secondary_fails = ERR_UNREACHABLE;
        world_run(&w, 3600);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.finished, 1);
        assert_int_equal(finished(&w, PRIMARY)->state, ENGINE_ECU_ROLLED_BACK);
        world_done(&w);
}

static void where_the_policy_is_to_keep_the_primary_is_assessed_all_the_same(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        w.policy.keep = w.engine.policy.keep = true;
        w.secondary_fails = ERR_HANDLER;
        world_run(&w, 10 * 3600);
        assert_int_equal(w.booted, SAMPLE_C);
        assert_true(w.confirmed);
        assert_int_equal(w.rollbacks + w.restores, 0);
        assert_int_equal(finished(&w, PRIMARY)->state, ENGINE_ECU_INSTALLED);
        assert_int_equal(finished(&w, BCM)->state, ENGINE_ECU_FAILED);
        world_done(&w);
}

static void a_primary_that_cannot_go_back_says_so(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        w.secondary_fails = ERR_HANDLER;
        w.rollback_fails = ERR_INSTALL;
        world_run(&w, 10 * 3600);
        assert_int_equal(w.booted, SAMPLE_C);
        assert_int_equal(finished(&w, PRIMARY)->state, ENGINE_ECU_FAILED);
        assert_string_equal(finished(&w, PRIMARY)->description, "it could not be rolled back: as tried by this test");
        world_done(&w);
}

/* Whether software brings the machine down while it is assessed, or while others complete, it is bad. */
static void software_that_brings_the_machine_down_while_others_complete_goes_back(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        for (unsigned i = 0; i < ENGINE_ATTEMPTS_MAX && !w.engine.rolling_back; i++) {
                assert_int_equal(w.engine.state, ENGINE_INSTALLING);
                world_crash(&w);
                world_start(&w, true);
        }
        assert_true(w.engine.rolling_back);
        world_run(&w, 3600);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(finished(&w, PRIMARY)->state, ENGINE_ECU_FAILED);
        world_done(&w);
}

static void a_daemon_that_cannot_complete_gives_up(void **state)
{
        World w;

        (void) state;
        reboot(&w);
        for (unsigned i = 0; i < ENGINE_INTERRUPTIONS_MAX && !w.engine.rolling_back; i++) {
                world_crash(&w);
                world_start(&w, false);
        }
        assert_true(w.engine.rolling_back);
        world_run(&w, 3600);
        assert_int_equal(w.booted, SAMPLE_NONE);
        world_done(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_ecu_is_prepared_before_the_first_installs_and_the_primary_is_the_last),
                cmocka_unit_test(what_cannot_be_prepared_touches_nobody_and_everybody_is_told_why),
                cmocka_unit_test(what_could_not_be_prepared_for_now_is_checked_again_first),
                cmocka_unit_test(a_lower_order_installs_first_and_equal_ones_together),
                cmocka_unit_test(no_more_install_at_the_same_time_than_may),
                cmocka_unit_test(where_one_fails_those_that_can_go_back_and_the_primary_is_not_touched),
                cmocka_unit_test(one_that_cannot_go_back_stays_and_is_reported_as_what_it_runs),
                cmocka_unit_test(where_the_policy_is_to_keep_nobody_goes_back),
                cmocka_unit_test(one_that_cannot_go_back_tries_some_times_and_is_reported_so),
                cmocka_unit_test(one_that_could_not_go_back_at_first_does_so_later),
                cmocka_unit_test(a_way_back_that_is_interrupted_goes_on_but_not_for_ever),
                cmocka_unit_test(every_ecu_that_cannot_be_prepared_says_why_itself),
                cmocka_unit_test(what_fails_for_now_behind_the_first_installation_is_repeated_soon_and_nobody_can_interfere),
                cmocka_unit_test(what_fails_for_now_too_often_has_failed),
                cmocka_unit_test(bad_software_of_the_primary_takes_the_secondaries_back_with_it),
                cmocka_unit_test(where_the_user_does_not_want_the_reboot_the_secondaries_go_back_too),
                cmocka_unit_test(an_ecu_that_this_update_did_not_install_does_not_go_back),
                cmocka_unit_test(one_that_turns_out_to_have_its_image_is_not_installed_again),
                cmocka_unit_test(one_that_waits_for_its_reboot_keeps_none_of_its_order_from_it_but_the_primary),
                cmocka_unit_test(it_waits_through_more_restarts_than_an_installation_may_be_interrupted_by),
                cmocka_unit_test(one_that_is_not_rebooted_in_time_has_failed_and_the_primary_is_not_touched),
                cmocka_unit_test(whoever_fails_does_not_wait_for_the_reboot_of_another),
                cmocka_unit_test(conditions_that_cease_hold_back_the_others_and_not_the_waiting),
                cmocka_unit_test(the_primary_is_confirmed_only_when_every_other_ecu_is_complete),
                cmocka_unit_test(a_completion_that_fails_takes_the_primary_back_and_then_the_others),
                cmocka_unit_test(software_that_does_not_stand_its_trial_takes_back_what_was_completed),
                cmocka_unit_test(an_ecu_that_is_gone_does_not_hold_the_trial_for_ever),
                cmocka_unit_test(where_the_policy_is_to_keep_the_primary_is_assessed_all_the_same),
                cmocka_unit_test(a_primary_that_cannot_go_back_says_so),
                cmocka_unit_test(software_that_brings_the_machine_down_while_others_complete_goes_back),
                cmocka_unit_test(a_daemon_that_cannot_complete_gives_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
