/* SPDX-License-Identifier: Apache-2.0 */
/* Single stories, told to the end: what an integrator would ask about. */
#include "world.h"

static void start(World *w, unsigned asks, Sample assigned)
{
        world_init(w, asks);
        w->assigned = assigned;
        world_start(w, false);
}

static void an_update_of_both_ecus_runs_to_its_end(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        world_run(&w, 1000);
        assert_int_equal(w.engine.state, ENGINE_IDLE);
        assert_true(w.secondary_runs_a);
        assert_int_equal(w.booted, SAMPLE_A);
        assert_int_equal(w.reboots, 1);
        assert_int_equal(w.reports, 1);
        assert_int_equal(w.result, REPORT_OK);
        assert_string_equal(w.finished_id, SAMPLE_A_ID);
        world_done(&w);
}

static void consent_is_asked_for_each_stage_and_for_no_other(void **state)
{
        World w;

        (void) state;
        start(&w, 7, SAMPLE_A);
        world_run(&w, 100);
        assert_int_equal(w.engine.state, ENGINE_AWAITING_CONSENT);
        assert_int_equal(w.engine.stage, ENGINE_STAGE_DOWNLOAD);
        assert_int_equal(w.downloads, 0);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_APPROVE, .id = SAMPLE_A_ID, .stage = ENGINE_STAGE_DOWNLOAD }));
        world_run(&w, 100);
        assert_int_equal(w.downloads, 1);
        assert_int_equal(w.engine.stage, ENGINE_STAGE_INSTALL);
        assert_int_equal(w.installs, 0);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_APPROVE, .id = SAMPLE_A_ID, .stage = ENGINE_STAGE_INSTALL }));
        world_run(&w, 100);
        assert_int_equal(w.installs, 2);
        assert_int_equal(w.engine.state, ENGINE_REBOOT_REQUIRED);
        assert_int_equal(w.reboots, 0);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_APPROVE, .id = SAMPLE_A_ID, .stage = ENGINE_STAGE_REBOOT }));
        world_run(&w, 100);
        assert_int_equal(w.reboots, 1);
        assert_int_equal(w.result, REPORT_OK);
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                assert_int_equal(w.offers[i], 1);
        world_done(&w);
}

static void consent_to_one_update_is_none_to_the_next(void **state)
{
        World w;

        (void) state;
        start(&w, 2, SAMPLE_A);
        world_run_until(&w, ENGINE_AWAITING_CONSENT);
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_APPROVE, .id = SAMPLE_B_ID, .stage = ENGINE_STAGE_INSTALL }));
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock + 7200 }));
        w.engine.approved[ENGINE_STAGE_INSTALL] = true; /* given while it is postponed */
        w.assigned = SAMPLE_B;
        world_run(&w, 20000);
        assert_int_equal(w.engine.state, ENGINE_AWAITING_CONSENT);
        assert_string_equal(w.engine.update.id, SAMPLE_B_ID);
        assert_int_equal(w.installs, 0);
        assert_int_equal(w.finished, 1); /* who was asked about the first is told that it is over */
        assert_string_equal(w.finished_id, SAMPLE_A_ID);
        assert_int_equal(w.result, REPORT_OPERATION_CANCELLED);
        world_done(&w);
}

static void a_withdrawn_update_is_forgotten_and_must_be_agreed_to_anew(void **state)
{
        World w;

        (void) state;
        start(&w, 3, SAMPLE_A);
        world_run_until(&w, ENGINE_AWAITING_CONSENT);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_APPROVE, .id = SAMPLE_A_ID, .stage = ENGINE_STAGE_DOWNLOAD }));
        world_run(&w, 100);
        assert_int_equal(w.engine.stage, ENGINE_STAGE_INSTALL);
        w.assigned = SAMPLE_NONE;
        world_run(&w, 2 * 3600);
        assert_int_equal(w.engine.state, ENGINE_IDLE);
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_APPROVE, .id = SAMPLE_A_ID, .stage = ENGINE_STAGE_INSTALL }));
        w.assigned = SAMPLE_A;
        world_run(&w, 2 * 3600);
        assert_int_equal(w.engine.state, ENGINE_AWAITING_CONSENT);
        assert_int_equal(w.engine.stage, ENGINE_STAGE_DOWNLOAD);
        assert_int_equal(w.downloads, 1);
        world_done(&w);
}

static void a_declined_update_is_reported_and_not_offered_again(void **state)
{
        World w;

        (void) state;
        start(&w, 2, SAMPLE_A);
        world_run_until(&w, ENGINE_AWAITING_CONSENT);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_DECLINE, .id = SAMPLE_A_ID, .text = "on holiday" }));
        world_run(&w, 30 * 3600);
        assert_int_equal(w.reports, 1);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_OPERATION_CANCELLED);
        assert_non_null(strstr(w.why, "on holiday"));
        assert_int_equal(w.installs, 0);
        assert_int_equal(w.engine.last_error.code, ERR_DECLINED); /* why nothing happens stays visible */
        w.assigned = SAMPLE_B; /* but another is */
        world_run(&w, 2 * 3600);
        assert_int_equal(w.engine.state, ENGINE_AWAITING_CONSENT);
        world_done(&w);
}

static void a_refused_update_costs_no_writes_while_it_stays_assigned(void **state)
{
        unsigned writes;
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        w.primary_fails = ERR_INSTALL;
        world_run(&w, 3600);
        assert_int_equal(w.finished, 1);
        writes = w.writes;
        world_run(&w, 100 * 3600);
        assert_int_equal(w.writes, writes);
        assert_int_equal(w.installs, 1);
        world_done(&w);
}

/* Uptane 5.4.3.3 (e), Uptane 5.4.3.4 (c) */
static void an_update_that_may_be_repeated_is_given_up_after_some_attempts(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        w.secondary_fails = ERR_UNREACHABLE;
        world_run(&w, 7 * 86400);
        assert_int_equal(w.installs, ENGINE_ATTEMPTS_MAX);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        assert_int_equal(w.reports, 1);
        assert_int_equal(w.booted, SAMPLE_NONE); /* the Primary is not touched where a Secondary failed */
        world_done(&w);
}

static void an_ecu_that_failed_once_gets_its_image_the_next_time(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        w.primary_fails = ERR_NO_SPACE;
        w.fails = 2;
        world_run(&w, 86400);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.installs, 4); /* the Secondary's is not installed again */
        world_done(&w);
}

static void a_success_that_came_behind_a_failure_is_reported_as_one(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        w.booted = SAMPLE_A; /* only the Secondary is left */
        w.secondary_fails = ERR_SECONDARY;
        w.fails = 1;
        world_run_until(&w, ENGINE_INSTALLING);
        world_run(&w, 15);
        assert_int_equal(w.engine.attempts, 1);
        w.secondary_runs_a = true; /* it took its time */
        world_run(&w, 2 * 3600);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.reports, 1);
        assert_int_equal(w.installs, 1);
        world_done(&w);
}

static void what_no_shutdown_has_written_is_installed_again(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        w.loses = true;
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        assert_int_equal(w.installs, 1);
        world_crash(&w);
        world_start(&w, true);
        assert_int_equal(w.engine.state, ENGINE_INSTALLING);
        assert_int_equal(w.reports, 0); /* nothing has failed */
        w.loses = false;
        world_run(&w, 3600);
        assert_int_equal(w.installs, 2);
        assert_int_equal(w.booted, SAMPLE_B);
        assert_int_equal(w.reports, 1);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void an_installation_that_is_lost_each_time_is_given_up(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        w.loses = true;
        world_run(&w, 86400);
        assert_int_equal(w.installs, ENGINE_INTERRUPTIONS_MAX);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        assert_int_equal(w.booted, SAMPLE_NONE);
        world_done(&w);
}

static void a_reboot_nobody_agreed_to_changes_nothing_however_often(void **state)
{
        World w;

        (void) state;
        start(&w, 1 << ENGINE_STAGE_REBOOT, SAMPLE_B);
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        assert_true(engine_holds_reboot(&w.engine, w.clock));
        for (unsigned i = 0; i < 2 * ENGINE_INTERRUPTIONS_MAX; i++) {
                w.loses = true;
                world_crash(&w);
                world_start(&w, true);
                world_run_until(&w, ENGINE_REBOOT_REQUIRED);
                assert_int_equal(w.booted, SAMPLE_NONE);
                assert_int_equal(w.finished, 0);
        }
        w.loses = false;
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_APPROVE, .id = SAMPLE_B_ID, .stage = ENGINE_STAGE_REBOOT }));
        assert_false(engine_holds_reboot(&w.engine, w.clock));
        world_run(&w, 3600);
        assert_int_equal(w.booted, SAMPLE_B);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void software_that_does_not_boot_is_reported_and_left_alone(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        w.falls_back = true;
        world_run(&w, 86400);
        assert_int_equal(w.reboots, 1);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, error_info(ERR_BOOT_FALLBACK)->report);
        assert_non_null(strstr(w.why, "is running"));
        world_done(&w);
}

/* The installer is called again behind the reboot, and finds out by itself that this is to complete. */
static void a_secondary_that_needs_a_reboot_is_completed_behind_it(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        w.secondary_needs_reboot = true;
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        assert_false(w.secondary_runs_a);
        world_crash(&w);
        world_start(&w, false); /* the daemon alone: that completes nothing */
        assert_int_equal(w.engine.state, ENGINE_REBOOT_REQUIRED);
        assert_int_equal(w.installs, 2);
        world_run_until(&w, ENGINE_INSTALLING);
        assert_int_equal(w.reboots, 1);
        world_crash(&w);
        world_start(&w, false);
        world_run(&w, 1000);
        assert_int_equal(w.installs, 3); /* the Primary's is not made again */
        assert_true(w.secondary_runs_a);
        assert_int_equal(w.reboots, 1);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void a_secondary_that_cannot_be_completed_is_reported(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        w.secondary_needs_reboot = true;
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        w.secondary_fails = ERR_INSTALL;
        world_run(&w, 1000);
        assert_int_equal(w.engine.state, ENGINE_IDLE);
        assert_int_equal(w.booted, SAMPLE_NONE); /* nobody runs one half of a bundle */
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        world_done(&w);
}

static void good_software_is_confirmed_before_it_is_reported(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        world_run_until(&w, ENGINE_FINALIZING);
        assert_int_equal(w.job.kind, ENGINE_DO_ASSESS);
        assert_int_equal(w.reports, 0);
        assert_false(w.confirmed);
        world_run(&w, 1000);
        assert_true(w.confirmed);
        assert_int_equal(w.assessments, 1);
        assert_int_equal(w.rollbacks, 0);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void bad_software_is_rolled_back_reported_once_and_never_installed_again_by_itself(void **state)
{
        World w;

        (void) state;
        start(&w, 4, SAMPLE_A); /* asks before a reboot */
        w.user = true;
        w.assess_fails = ERR_HEALTH;
        world_run(&w, 30 * 86400);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.reboots, 2);
        assert_int_equal(w.assessments, 1);
        assert_int_equal(w.rollbacks, 1);
        assert_int_equal(w.reports, 1);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, error_info(ERR_HEALTH)->report);
        assert_non_null(strstr(w.why, sample_error(ERR_HEALTH).message));
        assert_int_equal(w.installs, 2);
        assert_int_equal(w.engine.last_error.code, ERR_HEALTH);
        assert_int_equal(w.offers[ENGINE_STAGE_REBOOT], 1); /* for the first reboot only */
        w.assess_fails = ERR_NONE;
        w.assigned = SAMPLE_B; /* but another update is */
        world_run(&w, 86400);
        assert_int_equal(w.booted, SAMPLE_B);
        w.assigned = SAMPLE_A; /* and the first is remembered still */
        world_run(&w, 30 * 86400);
        assert_int_equal(w.booted, SAMPLE_B);
        assert_int_equal(w.finished, 2);
        world_done(&w);
}

static void failed_software_is_refused_in_any_other_company_of_the_same_assignment(void **state)
{
        EngineEvent event = { .kind = ENGINE_CHECKED };
        EngineEffects effects;
        EngineUpdate less;
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        w.falls_back = true;
        world_run(&w, 3000);
        assert_int_equal(w.finished, 1);
        for (int i = 0; i < 3; i++) { /* the Primary alone: as assigned before; under another id; the id of before with other software */
                sample_update(SAMPLE_A, 0, &less);
                less.ecus[0] = less.ecus[--less.n_ecus];
                if (i == 1)
                        less.correlation_id[0]++;
                if (i == 2)
                        less.ecus[0].hashes.sha256[0]++;
                engine_update_seal(&less);
                event.update = &less;
                w.engine.state = ENGINE_CHECKING;
                engine_step(&w.engine, &event, w.clock, &effects);
                assert_int_equal(w.engine.has_update, i > 0);
                engine_update_done(&less);
        }
        world_done(&w);
}

static void an_assessment_that_could_not_be_made_is_repeated_and_then_counts_as_failed(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        w.assess_fails = ERR_BOOT_LOADER;
        w.fails = ENGINE_ATTEMPTS_MAX - 1;
        world_run(&w, 86400);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.assessments, ENGINE_ATTEMPTS_MAX);
        world_done(&w);
        start(&w, 0, SAMPLE_B);
        w.assess_fails = ERR_HELPER;
        world_run(&w, 86400);
        assert_int_equal(w.assessments, ENGINE_ATTEMPTS_MAX);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.finished, 1);
        assert_int_not_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void software_that_brings_the_machine_down_while_it_is_assessed_is_rolled_back(void **state)
{
        World w;
        int i;

        (void) state;
        start(&w, 0, SAMPLE_B);
        world_run_until(&w, ENGINE_FINALIZING);
        for (i = 0; i < 20 && !w.engine.rolling_back; i++) {
                world_crash(&w);
                world_start(&w, false); /* the daemon alone: no word against the software */
                assert_int_equal(w.engine.state, ENGINE_FINALIZING);
                world_crash(&w);
                world_start(&w, true);
        }
        assert_int_equal(i, ENGINE_ATTEMPTS_MAX);
        world_run(&w, 1000);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, error_info(ERR_HEALTH)->report);
        assert_non_null(strstr(w.why, "interrupted by 5 reboots"));
        world_done(&w);
}

static void bad_software_without_a_way_back_is_reported_as_such(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        w.assess_fails = ERR_HEALTH;
        w.rollback_fails = ERR_INSTALL;
        world_run(&w, 86400);
        assert_int_equal(w.rollbacks, 1);
        assert_int_equal(w.booted, SAMPLE_B);
        assert_int_equal(w.finished, 1);
        assert_int_equal(w.result, error_info(ERR_HEALTH)->report);
        world_done(&w);
        start(&w, 0, SAMPLE_B);
        w.assess_fails = ERR_HEALTH;
        w.rollback_fails = ERR_BOOT_LOADER; /* for a while */
        w.fails = 3;
        world_run(&w, 86400);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.finished, 1);
        world_done(&w);
}

static void a_deployment_that_is_there_and_did_not_boot_is_not_made_again(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        w.falls_back = true;
        world_run(&w, 86400);
        assert_int_equal(w.installs, 1);
        assert_int_equal(w.finished, 1);
        assert_non_null(strstr(w.why, "the boot loader gave it up"));
        world_done(&w);
}

/* Power went between deploying and hearing of it: what runs is on trial all the same. */
static void software_that_booted_before_its_installation_was_heard_of_is_assessed(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        w.assess_fails = ERR_HEALTH;
        world_run_until(&w, ENGINE_INSTALLING);
        while (w.engine.update.ecus[1].state != ENGINE_ECU_INSTALLING)
                world_run(&w, 1);
        w.staged = SAMPLE_A;
        world_crash(&w);
        world_start(&w, true);
        assert_int_equal(w.engine.state, ENGINE_FINALIZING);
        world_run(&w, 1000);
        assert_int_equal(w.assessments, 1);
        assert_int_equal(w.booted, SAMPLE_NONE);
        assert_int_equal(w.result, error_info(ERR_HEALTH)->report);
        assert_true(w.secondary_runs_a);
        world_done(&w);
}

static void a_daemon_that_only_restarts_does_not_think_the_system_did(void **state)
{
        World w;

        (void) state;
        start(&w, 4, SAMPLE_B);
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        world_crash(&w);
        world_start(&w, false);
        assert_int_equal(w.engine.state, ENGINE_REBOOT_REQUIRED);
        assert_int_equal(w.offers[ENGINE_STAGE_REBOOT], 2); /* the user is told again */
        assert_int_equal(w.finished, 0);
        world_done(&w);
}

static void an_installation_that_kills_the_system_is_not_tried_for_ever(void **state)
{
        World w;
        unsigned i;

        (void) state;
        start(&w, 0, SAMPLE_B);
        for (i = 0; i < 100 && !w.finished; i++) {
                world_run_until(&w, w.engine.has_update ? ENGINE_INSTALLING : ENGINE_CHECKING);
                if (w.engine.state == ENGINE_CHECKING) {
                        world_run_until(&w, ENGINE_INSTALLING);
                        continue;
                }
                world_crash(&w);
                world_start(&w, true);
                if (w.engine.state == ENGINE_FINALIZING)
                        world_run(&w, 100);
        }
        assert_int_equal(w.finished, 1);
        assert_true(i >= ENGINE_INTERRUPTIONS_MAX && i <= ENGINE_INTERRUPTIONS_MAX + 2);
        assert_int_equal(w.result, REPORT_INSTALL_FAILED);
        assert_non_null(strstr(w.why, "interrupted 20 times"));
        world_done(&w);
}

static void pausing_stops_everything_until_resumed(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        world_run_until(&w, ENGINE_DOWNLOADING);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_PAUSE }));
        assert_false(w.has_job);
        world_run(&w, 7 * 86400);
        assert_int_equal(w.checks, 1);
        world_crash(&w);
        world_start(&w, true);
        assert_int_equal(w.engine.state, ENGINE_PAUSED);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_RESUME }));
        world_run(&w, 3600);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.finished, 1);
        world_done(&w);
}

static void an_installation_under_way_cannot_be_taken_back(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_A);
        world_run_until(&w, ENGINE_INSTALLING);
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_CANCEL }));
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_PAUSE }));
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_DECLINE, .id = SAMPLE_A_ID }));
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock + 10 }));
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_CHECK }));
        world_done(&w);
}

/* T-56: what the user does not want is not booted, by no reboot */
static void an_update_that_waits_for_a_reboot_can_be_declined(void **state)
{
        World w;

        (void) state;
        for (unsigned ask = 0; ask < 8; ask += 4) { /* whether or not the reboot needs consent */
                start(&w, ask, SAMPLE_B);
                world_run_until(&w, ENGINE_REBOOT_REQUIRED);
                w.reboot_asked = false; /* logind did not */
                assert_int_equal(w.staged, SAMPLE_B);
                assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_DECLINE, .id = SAMPLE_B_ID, .text = "never" }));
                assert_int_equal(w.engine.state, ENGINE_FINALIZING);
                world_run(&w, 30 * 86400);
                assert_int_equal(w.staged, SAMPLE_NONE);
                assert_int_equal(w.rollbacks, 1);
                assert_int_equal(w.reboots, 0);
                assert_int_equal(w.reports, 1);
                assert_int_equal(w.finished, 1);
                assert_int_equal(w.result, REPORT_OPERATION_CANCELLED);
                assert_int_equal(w.installs, 1);
                world_done(&w);
        }
}

static void a_reboot_that_is_put_off_is_held_back_until_then(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        w.reboot_asked = false; /* logind did not */
        assert_false(engine_holds_reboot(&w.engine, w.clock));
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_B_ID, .until = w.clock + 7200 }));
        assert_true(engine_holds_reboot(&w.engine, w.clock));
        assert_int_equal(w.holds, 1);
        world_crash(&w);
        world_start(&w, false); /* and after a crash, that may have come before it was held */
        assert_int_equal(w.holds, 2);
        world_run(&w, 7000);
        assert_int_equal(w.reboots, 0);
        world_run(&w, 1000);
        assert_int_equal(w.reboots, 1);
        assert_int_equal(w.booted, SAMPLE_B);
        world_done(&w);
}

/* Uptane 5.4.3 (3) */
static void a_cancelled_download_begins_again_at_the_next_poll(void **state)
{
        World w;

        (void) state;
        start(&w, 0, SAMPLE_B);
        world_run_until(&w, ENGINE_DOWNLOADING);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_CANCEL }));
        assert_int_equal(w.engine.state, ENGINE_IDLE);
        assert_false(w.has_job);
        world_run(&w, 2 * 3600);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void nobody_can_postpone_for_ever_or_into_the_past(void **state)
{
        World w;

        (void) state;
        start(&w, 7, SAMPLE_A);
        world_run_until(&w, ENGINE_AWAITING_CONSENT);
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock }));
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = w.clock + 2 * ENGINE_POSTPONE_MAX }));
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = INT64_MAX }));
        assert_false(world_verb(&w, (EngineEvent) { .kind = ENGINE_POSTPONE, .id = SAMPLE_A_ID, .until = INT64_MIN }));
        world_done(&w);
}

static void a_long_reason_is_cut_between_two_characters(void **state)
{
        Engine *e;
        World w;
        char reason[400];

        (void) state;
        for (size_t i = 0; i + 2 < sizeof reason; i += 2)
                memcpy(reason + i, "\xc3\xa4", 3);
        for (unsigned shift = 0; shift < 2; shift++) {
                cleanup_buffer Buffer bytes = { 0 };

                start(&w, 2, SAMPLE_A);
                world_run_until(&w, ENGINE_AWAITING_CONSENT);
                assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_DECLINE, .id = SAMPLE_A_ID, .text = reason + 2 - 2 * shift }));
                e = &w.engine;
                engine_save(e, &bytes);
                assert_null(strstr(buffer_str(&bytes), "not UTF-8"));
                world_done(&w);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_update_of_both_ecus_runs_to_its_end),
                cmocka_unit_test(consent_is_asked_for_each_stage_and_for_no_other),
                cmocka_unit_test(consent_to_one_update_is_none_to_the_next),
                cmocka_unit_test(a_withdrawn_update_is_forgotten_and_must_be_agreed_to_anew),
                cmocka_unit_test(a_declined_update_is_reported_and_not_offered_again),
                cmocka_unit_test(an_update_that_waits_for_a_reboot_can_be_declined),
                cmocka_unit_test(a_reboot_that_is_put_off_is_held_back_until_then),
                cmocka_unit_test(a_refused_update_costs_no_writes_while_it_stays_assigned),
                cmocka_unit_test(an_update_that_may_be_repeated_is_given_up_after_some_attempts),
                cmocka_unit_test(an_ecu_that_failed_once_gets_its_image_the_next_time),
                cmocka_unit_test(a_success_that_came_behind_a_failure_is_reported_as_one),
                cmocka_unit_test(what_no_shutdown_has_written_is_installed_again),
                cmocka_unit_test(an_installation_that_is_lost_each_time_is_given_up),
                cmocka_unit_test(a_reboot_nobody_agreed_to_changes_nothing_however_often),
                cmocka_unit_test(software_that_does_not_boot_is_reported_and_left_alone),
                cmocka_unit_test(a_secondary_that_needs_a_reboot_is_completed_behind_it),
                cmocka_unit_test(a_secondary_that_cannot_be_completed_is_reported),
                cmocka_unit_test(good_software_is_confirmed_before_it_is_reported),
                cmocka_unit_test(bad_software_is_rolled_back_reported_once_and_never_installed_again_by_itself),
                cmocka_unit_test(failed_software_is_refused_in_any_other_company_of_the_same_assignment),
                cmocka_unit_test(an_assessment_that_could_not_be_made_is_repeated_and_then_counts_as_failed),
                cmocka_unit_test(software_that_brings_the_machine_down_while_it_is_assessed_is_rolled_back),
                cmocka_unit_test(bad_software_without_a_way_back_is_reported_as_such),
                cmocka_unit_test(a_deployment_that_is_there_and_did_not_boot_is_not_made_again),
                cmocka_unit_test(software_that_booted_before_its_installation_was_heard_of_is_assessed),
                cmocka_unit_test(a_daemon_that_only_restarts_does_not_think_the_system_did),
                cmocka_unit_test(an_installation_that_kills_the_system_is_not_tried_for_ever),
                cmocka_unit_test(pausing_stops_everything_until_resumed),
                cmocka_unit_test(an_installation_under_way_cannot_be_taken_back),
                cmocka_unit_test(a_cancelled_download_begins_again_at_the_next_poll),
                cmocka_unit_test(nobody_can_postpone_for_ever_or_into_the_past),
                cmocka_unit_test(a_long_reason_is_cut_between_two_characters),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
