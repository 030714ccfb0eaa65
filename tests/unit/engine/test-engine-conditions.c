/* SPDX-License-Identifier: Apache-2.0 */
/* When the world says that a stage must not begin: stories. That it holds in every state, test-engine-search.c asks. */
#include "world.h"

#define BIT(stage) (1u << ENGINE_STAGE_##stage)

static void start(World *w, Sample assigned)
{
        world_init(w, 0);
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                w->policy.conditional[i] = w->engine.policy.conditional[i] = w->engine.blocked[i] = true;
        w->assigned = assigned;
        world_start(w, false);
}

static void tell(World *w, unsigned blocked)
{
        world_post(w, (EngineEvent) { .kind = ENGINE_CONDITIONS, .blocked = blocked });
}

static bool waits(World *w, EngineStage *ret)
{
        return engine_waits_for_conditions(&w->engine, w->clock, ret);
}

static bool is_installing(const World *w)
{
        for (size_t i = 0; i < w->engine.update.n_ecus; i++)
                if (w->engine.update.ecus[i].state == ENGINE_ECU_INSTALLING)
                        return true;
        return false;
}

/* Uptane 5.4.3.5 (b) */
static void each_stage_begins_when_its_conditions_hold_and_not_before(void **state)
{
        EngineStage stage;
        World w;

        (void) state;
        start(&w, SAMPLE_A);
        world_run(&w, 100);
        assert_true(waits(&w, &stage));
        assert_int_equal(stage, ENGINE_STAGE_DOWNLOAD);
        assert_int_equal(w.downloads, 0);
        tell(&w, BIT(INSTALL) | BIT(REBOOT));
        world_run(&w, 100);
        assert_true(waits(&w, &stage));
        assert_int_equal(stage, ENGINE_STAGE_INSTALL);
        assert_int_equal(w.downloads, 1);
        assert_int_equal(w.prepared + w.installs, 0);
        tell(&w, BIT(REBOOT));
        world_run(&w, 100);
        assert_true(waits(&w, &stage));
        assert_int_equal(stage, ENGINE_STAGE_REBOOT);
        assert_int_equal(w.reboots, 0);
        assert_true(w.holds > 0 && engine_holds_reboot(&w.engine, w.clock));
        tell(&w, 0);
        world_run(&w, 1000);
        assert_int_equal(w.reboots, 1);
        assert_int_equal(w.result, REPORT_OK);
        assert_false(waits(&w, &stage));
        world_done(&w);
}

static void what_waits_for_conditions_is_looked_at_at_every_poll_and_can_be_withdrawn(void **state)
{
        World w;

        (void) state;
        start(&w, SAMPLE_A);
        world_run(&w, 3 * 3600);
        assert_true(w.checks >= 3);
        w.assigned = SAMPLE_NONE;
        world_run(&w, 2 * 3600);
        assert_int_equal(w.engine.state, ENGINE_IDLE);
        assert_int_equal(w.downloads, 0);
        world_done(&w);
}

static void a_download_stops_when_its_condition_ceases_and_goes_on_later(void **state)
{
        World w;

        (void) state;
        start(&w, SAMPLE_A);
        tell(&w, 0);
        world_run_until(&w, ENGINE_DOWNLOADING);
        tell(&w, BIT(DOWNLOAD));
        assert_int_equal(w.engine.state, ENGINE_READY);
        assert_false(w.has_job);
        tell(&w, 0);
        assert_int_equal(w.engine.state, ENGINE_DOWNLOADING);
        world_run(&w, 1000);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void a_condition_that_ceases_while_ecus_are_prepared_lets_none_install(void **state)
{
        World w;

        (void) state;
        start(&w, SAMPLE_C);
        tell(&w, 0);
        world_run_until(&w, ENGINE_INSTALLING);
        tell(&w, BIT(INSTALL));
        world_run(&w, 600);
        assert_int_equal(w.engine.state, ENGINE_READY);
        assert_int_equal(w.installs, 0);
        tell(&w, 0);
        world_run(&w, 1000);
        assert_int_equal(w.result, REPORT_OK);
        assert_int_equal(w.installs, 3);
        world_done(&w);
}

/* The first to install ends, the others wait, through restarts, too; then they are prepared again: it may be long ago. */
static void a_condition_that_ceases_breaks_off_no_installation_and_begins_no_other(void **state)
{
        EngineStage stage;
        unsigned prepared;
        World w;

        (void) state;
        start(&w, SAMPLE_C);
        w.policy.parallel = w.engine.policy.parallel = 1;
        tell(&w, 0);
        while (!is_installing(&w))
                world_run(&w, 1);
        tell(&w, BIT(INSTALL));
        assert_true(w.has_job);
        world_run(&w, 600);
        assert_int_equal(w.installs, 1);
        assert_int_equal(w.engine.state, ENGINE_INSTALLING);
        assert_true(waits(&w, &stage));
        for (unsigned i = 0; i < 2 * ENGINE_INTERRUPTIONS_MAX; i++) {
                world_crash(&w);
                world_start(&w, true);
                world_run(&w, 600);
                assert_int_equal(w.installs, 1);
        }
        prepared = w.prepared;
        tell(&w, 0);
        world_run(&w, 1000);
        assert_int_equal(w.prepared, prepared + 2);
        assert_int_equal(w.result, REPORT_OK);
        world_done(&w);
}

static void nothing_holds_after_a_restart_before_it_is_told_again(void **state)
{
        World w;

        (void) state;
        start(&w, SAMPLE_A);
        tell(&w, 0);
        world_run_until(&w, ENGINE_DOWNLOADING);
        world_crash(&w);
        world_start(&w, false);
        world_run(&w, 600);
        assert_int_equal(w.engine.state, ENGINE_READY);
        assert_int_equal(w.downloads, 0);
        world_done(&w);
}

/* Reboot() is consent, and no more. */
static void a_reboot_that_was_asked_for_waits_for_its_conditions(void **state)
{
        World w;

        (void) state;
        start(&w, SAMPLE_B);
        tell(&w, BIT(REBOOT));
        world_run_until(&w, ENGINE_REBOOT_REQUIRED);
        assert_true(world_verb(&w, (EngineEvent) { .kind = ENGINE_REBOOT }));
        world_run(&w, 600);
        assert_int_equal(w.reboots, 0);
        tell(&w, 0);
        world_run(&w, 600);
        assert_int_equal(w.reboots, 1);
        world_done(&w);
}

static void a_poll_is_not_put_off_by_conditions_that_come_and_go(void **state)
{
        World w;

        (void) state;
        start(&w, SAMPLE_A);
        world_run(&w, 100);
        for (unsigned i = 0; i < 100; i++) {
                tell(&w, i % 2 ? BIT(DOWNLOAD) | BIT(INSTALL) : BIT(DOWNLOAD));
                world_run(&w, 60);
        }
        assert_true(w.checks >= 2);
        world_done(&w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_stage_begins_when_its_conditions_hold_and_not_before),
                cmocka_unit_test(what_waits_for_conditions_is_looked_at_at_every_poll_and_can_be_withdrawn),
                cmocka_unit_test(a_download_stops_when_its_condition_ceases_and_goes_on_later),
                cmocka_unit_test(a_condition_that_ceases_while_ecus_are_prepared_lets_none_install),
                cmocka_unit_test(a_condition_that_ceases_breaks_off_no_installation_and_begins_no_other),
                cmocka_unit_test(nothing_holds_after_a_restart_before_it_is_told_again),
                cmocka_unit_test(a_reboot_that_was_asked_for_waits_for_its_conditions),
                cmocka_unit_test(a_poll_is_not_put_off_by_conditions_that_come_and_go),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
