/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Breadth-first over everything that can happen to a vehicle with two ECUs and two updates, and to one with three and one:
 * every event in every state that can be reached, under each of the eight consent policies, at a clock that jumps between before and behind a
 * postponement. Beside the engine walks a model of what it must not get wrong: what the user agreed to, what was
 * verified and downloaded, which job runs, whether a timer is set, and whether what is known has been written down.
 */
#include "sample.h"

#include <stdio.h>

#define EARLY INT64_C(1000000)
#define LATE (EARLY + 10000)
#define UNTIL (EARLY + 5000)
#define NODES_MAX (1u << 19)
#define TARGET 4
#define ALL_STAGES ((1u << _ENGINE_STAGE_MAX) - 1)

/* ---- a state, small enough to keep hundreds of thousands ---- */

typedef struct Node {
        uint8_t state, paused_from, stage, update, ecus[3], begun, ended, awaits;
        uint8_t approved, postponed, waiting, downloaded, attempts, failures, rolling_back, completing;
        uint8_t blocked; /* by conditions, a bit per stage */
        uint8_t refused; /* a bit per update, and behind TARGET a bit for each software that did not stand its trial */
        /* the model */
        uint8_t offer;        /* the update that the last complete check found */
        uint8_t consent;      /* by stage, for it */
        uint8_t got;          /* it was downloaded */
        uint8_t job;          /* effect kind + 1 of the job that runs */
        uint8_t job_index; /* of one about a single ECU */
        uint8_t timer, asked, rebooting;
        uint8_t started;      /* since the process began */
        uint8_t dirty;        /* something that should survive has not been written down yet */
} Node;

typedef struct Search {
        EnginePolicy policy;
        Node *nodes;
        size_t n, done;
        uint32_t *written; /* states that were written down: a restart may begin here */
        uint8_t *is_written;
        size_t n_written, restarted;
        uint32_t *table; /* index + 1 into nodes */
        uint32_t (*edges)[2];
        size_t n_edges, edges_size;
        EngineUpdate samples[_SAMPLE_MAX]; /* made once: there are millions of steps */
        uint8_t targets[4][SHA256_SIZE];           /* of the software in them: A's for two ECUs, the Primary's of B and C */
} Search;

static uint32_t hash(const Node *node)
{
        const uint8_t *p = (const uint8_t *) node;
        uint32_t h = 2166136261u;

        for (size_t i = 0; i < sizeof *node; i++)
                h = (h ^ p[i]) * 16777619u;
        return h;
}

static uint32_t find_or_add(Search *s, const Node *node)
{
        uint32_t slot = hash(node) & (2 * NODES_MAX - 1);

        while (s->table[slot]) {
                if (memcmp(&s->nodes[s->table[slot] - 1], node, sizeof *node) == 0)
                        return s->table[slot] - 1;
                slot = (slot + 1) & (2 * NODES_MAX - 1);
        }
        assert_true(s->n < NODES_MAX);
        s->nodes[s->n] = *node;
        s->table[slot] = (uint32_t) ++s->n;
        return s->table[slot] - 1;
}

static void set_written(Search *s, uint32_t node)
{
        if (!s->is_written[node])
                s->written[s->n_written++] = node;
        s->is_written[node] = 1;
}

static void add_edge(Search *s, uint32_t from, uint32_t to)
{
        if (s->n_edges == s->edges_size)
                s->edges = xrealloc(s->edges, s->edges_size = 2 * s->edges_size + 4096, sizeof *s->edges);
        s->edges[s->n_edges][0] = from;
        s->edges[s->n_edges++][1] = to;
}

static uint8_t which_sample(const Search *s, const uint8_t *fingerprint)
{
        for (uint8_t i = SAMPLE_A; i < _SAMPLE_MAX; i++)
                if (memcmp(s->samples[i].fingerprint, fingerprint, SHA256_SIZE) == 0)
                        return i;
        fail_msg("an update nobody offered");
        return SAMPLE_NONE;
}

static uint8_t pack_refused(const Search *s, const Engine *e)
{
        unsigned bits = 0;

        for (size_t i = 0; i < e->n_refused; i++) {
                for (unsigned which = SAMPLE_A; which < _SAMPLE_MAX; which++)
                        bits |= (unsigned) (memcmp(e->refused[i], s->samples[which].fingerprint, SHA256_SIZE) == 0) << which;
                for (unsigned which = 0; which < ELEMENTSOF(s->targets); which++)
                        bits |= (unsigned) (memcmp(e->refused[i], s->targets[which], SHA256_SIZE) == 0) << (which + TARGET);
        }
        assert_int_equal(__builtin_popcount(bits), e->n_refused);
        return (uint8_t) bits;
}

static void unpack_refused(const Search *s, uint8_t bits, Engine *ret)
{
        for (unsigned which = SAMPLE_A; which < _SAMPLE_MAX; which++)
                if (bits >> which & 1)
                        memcpy(ret->refused[ret->n_refused++], s->samples[which].fingerprint, SHA256_SIZE);
        for (unsigned which = 0; which < ELEMENTSOF(s->targets); which++)
                if (bits >> (which + TARGET) & 1)
                        memcpy(ret->refused[ret->n_refused++], s->targets[which], SHA256_SIZE);
}

static bool is_refused(const Node *node)
{
        return node->refused >> node->update & 1;
}

static void copy_sample(const Search *s, uint8_t which, EngineUpdate *ret)
{
        *ret = s->samples[which];
        ret->ecus = xmemdup(ret->ecus, ret->n_ecus * sizeof *ret->ecus);
}

static void pack(const Search *s, const Engine *e, Node *node)
{
        node->state = (uint8_t) e->state;
        node->paused_from = e->state == ENGINE_PAUSED && e->paused_from != ENGINE_UNPROVISIONED;
        node->stage = e->waiting ? (uint8_t) e->stage : 0;
        node->update = e->has_update ? which_sample(s, e->update.fingerprint) : 0;
        node->ecus[0] = node->ecus[1] = node->ecus[2] = node->begun = node->ended = node->awaits = 0;
        for (size_t i = 0; i < e->update.n_ecus; i++) {
                node->awaits |= (uint8_t) ((e->update.ecus[i].reboot_by != 0) << i);
                node->ecus[i] = (uint8_t) e->update.ecus[i].state;
                node->begun |= (uint8_t) (e->update.ecus[i].begun << i);
                node->ended |= (uint8_t) (e->update.ecus[i].ended << i);
        }
        node->approved = 0;
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                node->approved |= (uint8_t) (e->approved[i] << i);
        node->postponed = e->postponed_until != 0;
        node->waiting = e->waiting;
        node->downloaded = e->downloaded;
        node->attempts = e->attempts > 0; /* none, or all but the last: those between are alike */
        node->failures = e->failures > 0;
        node->rolling_back = e->rolling_back;
        node->completing = e->completing;
        node->blocked = 0;
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                node->blocked |= (uint8_t) (e->blocked[i] << i);
        node->refused = pack_refused(s, e);
}

static void unpack(const Search *s, const Node *node, Engine *ret)
{
        engine_init(ret, &s->policy);
        ret->state = (EngineState) node->state;
        ret->paused_from = node->paused_from ? ENGINE_IDLE : ENGINE_UNPROVISIONED;
        ret->stage = (EngineStage) node->stage;
        ret->has_update = node->update;
        if (node->update)
                copy_sample(s, node->update, &ret->update);
        for (size_t i = 0; i < ret->update.n_ecus; i++) {
                ret->update.ecus[i].state = (EngineEcuState) node->ecus[i];
                ret->update.ecus[i].begun = node->begun >> i & 1;
                ret->update.ecus[i].ended = node->ended >> i & 1;
                ret->update.ecus[i].reboot_by = node->awaits >> i & 1 ? UNTIL : 0;
                if (node->ecus[i] == ENGINE_ECU_FAILED || node->ecus[i] == ENGINE_ECU_ROLLING_BACK || node->ecus[i] == ENGINE_ECU_ROLLED_BACK)
                        ret->update.ecus[i].result = REPORT_INSTALL_FAILED;
        }
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                ret->approved[i] = node->approved >> i & 1;
        ret->postponed_until = node->postponed ? UNTIL : 0;
        ret->waiting = node->waiting;
        ret->downloaded = node->downloaded;
        ret->attempts = node->attempts ? ENGINE_ATTEMPTS_MAX - 1 : 0;
        ret->failures = node->failures;
        ret->rolling_back = node->rolling_back;
        ret->completing = node->completing;
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                ret->blocked[i] = node->blocked >> i & 1;
        unpack_refused(s, node->refused, ret);
}

/* That an ECU is prepared is known to this process only. */
static uint8_t stored_ecu(uint8_t state)
{
        return state == ENGINE_ECU_PREPARED ? ENGINE_ECU_PENDING : state;
}

/* What of a node has to be written down before something is done that rests on it. */
static bool same_to_store(const Node *a, const Node *b)
{
        for (size_t i = 0; i < ELEMENTSOF(a->ecus); i++)
                if (stored_ecu(a->ecus[i]) != stored_ecu(b->ecus[i]))
                        return false;
        return a->state == b->state && a->update == b->update && a->begun == b->begun && a->awaits == b->awaits &&
               a->approved == b->approved && a->postponed == b->postponed && a->attempts == b->attempts && a->refused == b->refused &&
               a->rolling_back == b->rolling_back && a->completing == b->completing;
}

/* ---- what must hold ---- */

static bool is_job(EngineEffectKind kind)
{
        return kind == ENGINE_DO_REGISTER || kind == ENGINE_DO_CHECK || kind == ENGINE_DO_DOWNLOAD || kind == ENGINE_DO_PREPARE ||
               kind == ENGINE_DO_INSTALL || kind == ENGINE_DO_RESTORE || kind == ENGINE_DO_ASSESS || kind == ENGINE_DO_ROLLBACK || kind == ENGINE_DO_FINALIZE || kind == ENGINE_DO_REPORT;
}

static bool consented(const Search *s, const Node *node, EngineStage stage)
{
        return !s->policy.ask[stage] || (node->consent >> stage & 1);
}

static bool is_blocked(const Node *node, EngineStage stage)
{
        return node->blocked >> stage & 1;
}

static size_t n_ecus(const Node *node)
{
        return node->update == SAMPLE_A ? 2 : node->update == SAMPLE_C ? 3 : node->update == SAMPLE_B;
}

static size_t count_ecus(const Node *node, EngineEcuState state)
{
        size_t n = 0;

        for (size_t i = 0; i < n_ecus(node); i++)
                n += node->ecus[i] == state;
        return n;
}

/* Those that wait for a reboot of their own are installing, too. */
static size_t count_waiting(const Node *node)
{
        size_t n = 0;

        for (size_t i = 0; i < n_ecus(node); i++)
                n += node->ecus[i] == ENGINE_ECU_INSTALLING && (node->awaits >> i & 1);
        return n;
}

/* One bundle, one outcome. */
static void check_bundle(const Search *s, const Engine *e, const Node *node, EngineEffectKind kind)
{
        size_t n = e->update.n_ecus, there = count_ecus(node, ENGINE_ECU_INSTALLED) + count_ecus(node, ENGINE_ECU_NEED_REBOOT);
        size_t installing = count_ecus(node, ENGINE_ECU_INSTALLING), prepared = count_ecus(node, ENGINE_ECU_PREPARED);

        if (kind == ENGINE_DO_PREPARE) {
                assert_true(count_ecus(node, ENGINE_ECU_PENDING) > 0);
                assert_int_equal(installing, 0);
        }
        if (kind == ENGINE_DO_INSTALL) { /* nothing is installed before everything is prepared, and the Primary last */
                assert_true(installing >= 1 && installing - count_waiting(node) <= s->policy.parallel);
                assert_int_equal(installing + prepared + there, n);
                for (size_t i = 0; i < n; i++)
                        if (e->update.ecus[i].primary && e->update.ecus[i].state == ENGINE_ECU_INSTALLING)
                                assert_int_equal(there, n - 1);
        }
        if (kind == ENGINE_DO_RESTORE) {
                assert_true(count_ecus(node, ENGINE_ECU_ROLLING_BACK) > 0 && is_refused(node) && !s->policy.keep);
                for (size_t i = 0; i < n; i++)
                        if (e->update.ecus[i].state == ENGINE_ECU_ROLLING_BACK)
                                assert_true(e->update.ecus[i].begun && e->update.ecus[i].restorable);
        }
        if (kind == ENGINE_DO_REBOOT) /* never into a mixed set */
                assert_int_equal(there, n);
        if (kind == ENGINE_DO_FINALIZE)
                assert_int_equal(count_ecus(node, ENGINE_ECU_ROLLING_BACK), 0);
}

/* node is the engine after the step, with the model as it was before its effects. */
static void check_effect(const Search *s, const Engine *e, const Node *node, const EngineEffect *effect)
{
        bool back = e->rolling_back && e->state == ENGINE_FINALIZING; /* no consent is needed to get rid of bad software */

        if (!back)
                check_bundle(s, e, node, effect->kind);
        if (effect->kind == ENGINE_DO_DOWNLOAD || effect->kind == ENGINE_DO_PREPARE || effect->kind == ENGINE_DO_INSTALL ||
            (effect->kind == ENGINE_DO_REBOOT && !back)) {
                assert_int_equal(node->offer, node->update);
                assert_true(e->has_update);
                assert_false(is_refused(node));
        }
        if (effect->kind == ENGINE_DO_ASSESS) {
                assert_int_equal(e->state, ENGINE_FINALIZING);
                assert_true(e->update.ecus[effect->index].primary && e->update.ecus[effect->index].state == ENGINE_ECU_NEED_REBOOT);
                assert_false(e->rolling_back || e->completing);
                /* it may be confirmed now: no other ECU can fail any more */
                assert_int_equal(count_ecus(node, ENGINE_ECU_INSTALLED) + (s->policy.keep ? count_ecus(node, ENGINE_ECU_FAILED) : 0), n_ecus(node) - 1);
        }
        if (effect->kind == ENGINE_DO_ROLLBACK) {
                assert_true(back && e->update.ecus[effect->index].primary);
                assert_true(is_refused(node));
        }
        if (effect->kind == ENGINE_DO_DOWNLOAD)
                assert_true(consented(s, node, ENGINE_STAGE_DOWNLOAD) && !is_blocked(node, ENGINE_STAGE_DOWNLOAD));
        if (effect->kind == ENGINE_DO_INSTALL)
                assert_false(is_blocked(node, ENGINE_STAGE_INSTALL) && !node->completing && count_waiting(node) < count_ecus(node, ENGINE_ECU_INSTALLING));
        if (effect->kind == ENGINE_DO_PREPARE || effect->kind == ENGINE_DO_INSTALL) {
                assert_true(node->got);
                assert_true(consented(s, node, ENGINE_STAGE_INSTALL));
        }
        if (effect->kind == ENGINE_DO_REBOOT && !back) {
                assert_int_equal(e->state, ENGINE_REBOOT_REQUIRED);
                assert_true(consented(s, node, ENGINE_STAGE_REBOOT) && !is_blocked(node, ENGINE_STAGE_REBOOT));
        }
        if (effect->kind == ENGINE_DO_OFFER)
                assert_false(is_refused(node));
        if (effect->kind == ENGINE_DO_INSTALL || effect->kind == ENGINE_DO_RESTORE || effect->kind == ENGINE_DO_ROLLBACK || effect->kind == ENGINE_DO_REBOOT || effect->kind == ENGINE_DO_FINALIZE ||
            effect->kind == ENGINE_DO_REPORT || effect->kind == ENGINE_DO_FINISHED || effect->kind == ENGINE_DO_ATTACK)
                assert_false(node->dirty);
}

/* Somebody always has the next move: a job, a timer, the user, or the system that was asked to reboot. */
static void check_way_out(const Node *n)
{
        static const int jobs[_ENGINE_STATE_MAX] = {
                [ENGINE_CHECKING] = ENGINE_DO_CHECK + 1,
                [ENGINE_DOWNLOADING] = ENGINE_DO_DOWNLOAD + 1,
                [ENGINE_REPORTING] = ENGINE_DO_REPORT + 1,
        };

        if (n->state == ENGINE_UNPROVISIONED)
                assert_true(n->timer || n->job == ENGINE_DO_REGISTER + 1);
        else if (n->state == ENGINE_FINALIZING && n->rolling_back)
                assert_int_equal((n->job == ENGINE_DO_ROLLBACK + 1) + n->timer + n->rebooting, 1);
        else if (n->state == ENGINE_INSTALLING) {
                bool held = count_ecus(n, ENGINE_ECU_PREPARED) && !count_ecus(n, ENGINE_ECU_PENDING) && !count_ecus(n, ENGINE_ECU_INSTALLING);

                assert_true(!held || is_blocked(n, ENGINE_STAGE_INSTALL)); /* then the world has the next move */
                assert_int_equal(held + (n->job == ENGINE_DO_PREPARE + 1) + (n->job == ENGINE_DO_INSTALL + 1) + n->timer, 1);
                assert_int_equal(n->job == ENGINE_DO_INSTALL + 1, count_ecus(n, ENGINE_ECU_INSTALLING) > 0);
        } else if (n->state == ENGINE_FINALIZING && count_ecus(n, ENGINE_ECU_ROLLING_BACK) > 0)
                assert_int_equal((n->job == ENGINE_DO_RESTORE + 1) + n->timer, 1);
        else if (n->state == ENGINE_FINALIZING && count_ecus(n, ENGINE_ECU_NEED_REBOOT) > 0)
                assert_int_equal((n->job == ENGINE_DO_ASSESS + 1) + n->timer, 1);
        else if (n->state == ENGINE_FINALIZING)
                assert_int_equal(n->job, ENGINE_DO_FINALIZE + 1);
        else
                assert_int_equal(n->job, jobs[n->state]);
        if (n->state == ENGINE_IDLE || n->state == ENGINE_READY || n->state == ENGINE_AWAITING_CONSENT)
                assert_true(n->timer);
        if (n->state == ENGINE_REBOOT_REQUIRED)
                assert_true(n->timer || n->asked || n->rebooting || is_blocked(n, ENGINE_STAGE_REBOOT));
        if (n->state == ENGINE_PAUSED)
                assert_false(n->timer);
}

static void check_failures(const Search *s, const Engine *e, const Node *before, const Node *after, const EngineEffects *effects, EngineEventKind kind)
{
        const EngineEffect *finished = effect_find(effects, ENGINE_DO_FINISHED);
        bool failed = false;

        failed = count_ecus(after, ENGINE_ECU_FAILED) + count_ecus(after, ENGINE_ECU_ROLLING_BACK) + count_ecus(after, ENGINE_ECU_ROLLED_BACK);
        if (failed) { /* for good: it will be written down, reported and never tried again, as soon as those under way have ended */
                assert_true(e->state == ENGINE_FINALIZING || e->state == ENGINE_REPORTING || count_ecus(after, ENGINE_ECU_INSTALLING) ||
                            after->job == ENGINE_DO_PREPARE + 1);
                assert_true(is_refused(after));
        }
        if (before->update && before->update != after->update && kind != ENGINE_CANCEL) {
                assert_non_null(finished);
                assert_int_equal(which_sample(s, e->finished.fingerprint), before->update);
                for (size_t i = 0; i < e->finished.n_ecus; i++)
                        if (e->finished.ecus[i].state != ENGINE_ECU_INSTALLED)
                                assert_int_not_equal(finished->result, REPORT_OK);
        } else
                assert_null(finished);
}

/* The engine as a restart finds it is the one that was written, but for what is not meant to survive. */
static void check_round_trip(const Search *s, const Node *node)
{
        cleanup_buffer Buffer once = { 0 }, twice = { 0 };
        Error error = { 0 };
        Node back = *node;
        Engine e, loaded;

        unpack(s, node, &e);
        engine_save(&e, &once);
        engine_init(&loaded, &s->policy);
        assert_int_equal(engine_load(&loaded, buffer_slice(&once), &error), 0);
        engine_save(&loaded, &twice);
        assert_true(slice_equal(buffer_slice(&once), buffer_slice(&twice)));
        pack(s, &loaded, &back);
        back.downloaded = node->downloaded;
        back.blocked = node->blocked;
        back.ended = node->ended;
        for (size_t i = 0; i < ELEMENTSOF(back.ecus); i++)
                if (stored_ecu(node->ecus[i]) == back.ecus[i])
                        back.ecus[i] = node->ecus[i];
        assert_memory_equal(&back, node, sizeof back);
        engine_done(&loaded);
        engine_done(&e);
}

/* ---- what happens ---- */

static void follow_effects(const Search *s, const Engine *e, const EngineEffects *effects, Node *node)
{
        for (size_t i = 0; i < effects->n; i++) {
                const EngineEffect *effect = &effects->list[i];

                check_effect(s, e, node, effect);
                if (effect->kind == ENGINE_DO_PERSIST) {
                        assert_int_equal(i, 0);
                        node->dirty = 0;
                } else if (effect->kind == ENGINE_DO_STOP)
                        node->job = node->rebooting = 0;
                else if (effect->kind == ENGINE_DO_TIMER)
                        node->timer = effect->seconds >= 0;
                else if (effect->kind == ENGINE_DO_REBOOT)
                        node->rebooting = 1;
                else if (effect->kind == ENGINE_DO_HOLD && is_blocked(node, ENGINE_STAGE_REBOOT))
                        assert_true(engine_holds_reboot(e, EARLY));
                else if (effect->kind == ENGINE_DO_OFFER)
                        node->asked = effect->stage == ENGINE_STAGE_REBOOT;
                else if (is_job(effect->kind)) {
                        node->job = (uint8_t) (effect->kind + 1);
                        node->job_index = effect->kind == ENGINE_DO_ASSESS ? (uint8_t) effect->index : 0;
                }
        }
}

/* The model's own view of an event, before the engine sees it. */
static void follow_event(const Search *s, const Engine *e, const EngineEvent *event, int64_t now, Node *node)
{
        uint8_t found = event->update ? which_sample(s, event->update->fingerprint) : SAMPLE_NONE;
        Error error = { 0 };

        if (event->kind == ENGINE_CHECKED && e->state == ENGINE_CHECKING && found != node->offer) {
                node->offer = found;
                node->consent = node->got = node->asked = 0;
        }
        if (event->kind == ENGINE_DOWNLOADED && e->state == ENGINE_DOWNLOADING)
                node->got = 1;
        if (event->kind < ENGINE_CHECK || engine_check(e, event, now, &error) < 0)
                return;
        if (event->kind == ENGINE_APPROVE)
                node->consent |= (uint8_t) (1 << event->stage);
        if (event->kind == ENGINE_REBOOT)
                node->consent |= 1 << ENGINE_STAGE_REBOOT;
        if (event->kind == ENGINE_CANCEL)
                node->offer = node->consent = node->got = 0;
}

/* The state of the ECUs that the running job is about. */
static int under_way(const Node *node)
{
        return node->job == ENGINE_DO_PREPARE + 1   ? ENGINE_ECU_PENDING
               : node->job == ENGINE_DO_INSTALL + 1 ? ENGINE_ECU_INSTALLING
               : node->job == ENGINE_DO_RESTORE + 1 ? ENGINE_ECU_ROLLING_BACK
                                                    : -1;
}

static bool is_ecu_event(EngineEventKind kind)
{
        return kind == ENGINE_ECU_READY || kind == ENGINE_ECU_DONE || kind == ENGINE_ECU_AWAITS || kind == ENGINE_ECU_REFUSED || kind == ENGINE_ECU_RESTORED;
}

static bool is_ecu_event_possible(const Node *node, const EngineEvent *event)
{
        int state = under_way(node);

        if (event->index >= n_ecus(node) || state < 0 || node->ecus[event->index] != state || node->ended >> event->index & 1)
                return false;
        if (event->kind == ENGINE_ECU_READY)
                return state == ENGINE_ECU_PENDING;
        if (event->kind == ENGINE_ECU_AWAITS)
                return state == ENGINE_ECU_INSTALLING && !(node->awaits >> event->index & 1) && !node->completing && event->index > 0;
        return (event->kind == ENGINE_ECU_RESTORED) == (state == ENGINE_ECU_ROLLING_BACK);
}

/* Whether the world can produce this event here at all; what it cannot is thrown at the engine too, and must bounce off. */
static bool is_possible(const Node *node, const EngineEvent *event)
{
        static const uint8_t jobs[_ENGINE_EVENT_MAX] = {
                [ENGINE_REGISTERED] = ENGINE_DO_REGISTER + 1, [ENGINE_REGISTER_FAILED] = ENGINE_DO_REGISTER + 1,
                [ENGINE_CHECKED] = ENGINE_DO_CHECK + 1,       [ENGINE_CHECK_FAILED] = ENGINE_DO_CHECK + 1,
                [ENGINE_DOWNLOADED] = ENGINE_DO_DOWNLOAD + 1, [ENGINE_DOWNLOAD_FAILED] = ENGINE_DO_DOWNLOAD + 1,
                [ENGINE_ROLLED_BACK] = ENGINE_DO_ROLLBACK + 1, [ENGINE_FINALIZED] = ENGINE_DO_FINALIZE + 1,
                [ENGINE_REPORTED] = ENGINE_DO_REPORT + 1,     [ENGINE_REPORT_FAILED] = ENGINE_DO_REPORT + 1,
                [ENGINE_ASSESSED] = ENGINE_DO_ASSESS + 1,
        };

        if (is_ecu_event(event->kind))
                return is_ecu_event_possible(node, event);
        if (event->kind == ENGINE_REBOOT_FAILED || event->kind == ENGINE_TIMER)
                return event->kind == ENGINE_TIMER ? node->timer : node->rebooting;
        if (event->kind == ENGINE_CONDITIONS)
                return event->blocked != node->blocked;
        if (event->kind == ENGINE_ASSESSED && node->job_index != event->index)
                return false;
        return !jobs[event->kind] || node->job == jobs[event->kind];
}

static void end_job(const EngineEvent *event, Node *node)
{
        if (event->kind == ENGINE_TIMER)
                node->timer = 0;
        else if (event->kind == ENGINE_REBOOT_FAILED)
                node->rebooting = 0;
        else if (event->kind == ENGINE_ECU_AWAITS)
                ; /* it goes on */
        else if (is_ecu_event(event->kind)) {
                if (count_ecus(node, (EngineEcuState) under_way(node)) - (size_t) __builtin_popcount(node->ended) == 1)
                        node->job = 0;
        } else if (event->kind < ENGINE_CHECK && event->kind != ENGINE_CONDITIONS)
                node->job = 0;
}

static void step(Search *s, uint32_t from, Engine *e, EngineEvent *event, int64_t now)
{
        Node before = s->nodes[from], after = before;
        bool possible = is_possible(&before, event);
        EngineEffects effects = { 0 };
        uint32_t to;

        if (!possible && (event->kind == ENGINE_CONDITIONS || event->kind == ENGINE_ROLLED_BACK || event->kind == ENGINE_ASSESSED || event->kind == ENGINE_TIMER || event->kind == ENGINE_REBOOT_FAILED ||
                          before.state == ENGINE_UNPROVISIONED || (is_ecu_event(event->kind) && (before.state == ENGINE_INSTALLING || before.state == ENGINE_FINALIZING))))
                return; /* the engine does not count these; the daemon has at most one of each */
        if (possible) {
                follow_event(s, e, event, now, &after);
                after.started |= event->kind == ENGINE_STARTED;
                end_job(event, &after);
        }
        engine_step(e, event, now, &effects);
        pack(s, e, &after);
        if (!possible) {
                assert_int_equal(effects.n, 0);
                assert_memory_equal(&after, &before, sizeof after);
                return;
        }
        after.dirty |= !same_to_store(&before, &after);
        follow_effects(s, e, &effects, &after);
        check_failures(s, e, &before, &after, &effects, event->kind);
        if (effect_find(&effects, ENGINE_DO_FINISHED) && after.offer == before.update)
                after.offer = after.consent = after.got = after.asked = 0;
        if (after.state != ENGINE_REBOOT_REQUIRED && !after.rolling_back)
                after.rebooting = 0;
        check_way_out(&after);
        to = find_or_add(s, &after);
        add_edge(s, from, to);
        if (effect_find(&effects, ENGINE_DO_PERSIST) || effect_find(&effects, ENGINE_DO_REBOOT))
                set_written(s, to); /* and before a reboot it had been */
}

static const ErrorCode check_errors[] = { ERR_NETWORK, ERR_ROLLBACK };
static const ErrorCode download_errors[] = { ERR_NETWORK, ERR_IMAGE_MISMATCH, ERR_CONFIG };
static const ErrorCode install_errors[] = { ERR_UNREACHABLE, ERR_SECONDARY, ERR_INSTALL };

static const ErrorCode assess_errors[] = { ERR_HEALTH, ERR_BOOT_LOADER, ERR_BOOT_FALLBACK };
static const ErrorCode rollback_errors[] = { ERR_BOOT_LOADER, ERR_INSTALL };

typedef struct Happening {
        EngineEvent event;
        Sample found; /* with ENGINE_CHECKED */
        size_t installed;
        int64_t now;
} Happening;

static size_t put(Happening *list, size_t n, EngineEvent event)
{
        for (int late = 0; late < 2; late++)
                list[n++] = (Happening) { .event = event, .now = late ? LATE : EARLY };
        return n;
}

/* Everything that can happen, ENGINE_STARTED apart, to a vehicle of two ECUs or of three. */
static size_t happenings(Happening *list, bool three, bool conditions)
{
        static const EngineEventKind plain[] = { ENGINE_REGISTERED, ENGINE_TIMER, ENGINE_DOWNLOADED, ENGINE_FINALIZED, ENGINE_REPORTED,
                                                 ENGINE_CHECK, ENGINE_CANCEL, ENGINE_PAUSE, ENGINE_RESUME, ENGINE_REBOOT };
        static const struct { Sample found; size_t installed; } found[] = { { SAMPLE_NONE, 0 }, { SAMPLE_A, 0 }, { SAMPLE_A, 1 },
                                                                             { SAMPLE_A, 2 }, { SAMPLE_B, 0 }, { SAMPLE_B, 1 },
                                                                             { SAMPLE_C, 0 }, { SAMPLE_C, 1 }, { SAMPLE_C, 2 }, { SAMPLE_C, 3 } };
        size_t n = 0, m;

        for (size_t i = 0; i < ELEMENTSOF(plain); i++)
                n = put(list, n, (EngineEvent) { .kind = plain[i] });
        for (size_t i = 0; i < ELEMENTSOF(found); i++) {
                if (found[i].found != SAMPLE_NONE && (found[i].found == SAMPLE_C) != three)
                        continue;
                m = n;
                n = put(list, n, (EngineEvent) { .kind = ENGINE_CHECKED });
                for (; m < n; m++) {
                        list[m].found = found[i].found;
                        list[m].installed = found[i].installed;
                }
        }
        for (unsigned blocked = 0; conditions && blocked < 2; blocked++)
                n = put(list, n, (EngineEvent) { .kind = ENGINE_CONDITIONS, .blocked = blocked ? ALL_STAGES : 0 });
        n = put(list, n, (EngineEvent) { .kind = ENGINE_CHECKED, .error = sample_error(ERR_REJECTED) });
        n = put(list, n, (EngineEvent) { .kind = ENGINE_REGISTER_FAILED, .error = sample_error(ERR_NETWORK) });
        n = put(list, n, (EngineEvent) { .kind = ENGINE_REPORT_FAILED, .error = sample_error(ERR_NETWORK) });
        n = put(list, n, (EngineEvent) { .kind = ENGINE_REBOOT_FAILED, .error = sample_error(ERR_SYSTEM) });
        for (size_t i = 0; i < ELEMENTSOF(check_errors); i++)
                n = put(list, n, (EngineEvent) { .kind = ENGINE_CHECK_FAILED, .error = sample_error(check_errors[i]) });
        for (size_t i = 0; i < ELEMENTSOF(download_errors); i++)
                n = put(list, n, (EngineEvent) { .kind = ENGINE_DOWNLOAD_FAILED, .error = sample_error(download_errors[i]) });
        for (size_t ecu = 0; ecu < (three ? 4 : 3); ecu++) {
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ECU_READY, .index = ecu });
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ECU_AWAITS, .index = ecu, .until = UNTIL });
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ECU_RESTORED, .index = ecu });
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ECU_RESTORED, .index = ecu, .error = sample_error(ERR_HANDLER) });
                for (int reboot = 0; reboot < 2; reboot++)
                        n = put(list, n, (EngineEvent) { .kind = ENGINE_ECU_DONE, .index = ecu, .need_reboot = reboot });
                for (size_t i = 0; i < ELEMENTSOF(install_errors); i++)
                        n = put(list, n, (EngineEvent) { .kind = ENGINE_ECU_REFUSED, .index = ecu, .error = sample_error(install_errors[i]) });
        }
        for (size_t ecu = 0; ecu < 2; ecu++) {
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ASSESSED, .index = ecu });
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ASSESSED, .index = ecu, .need_reboot = true });
                for (size_t i = 0; i < ELEMENTSOF(assess_errors); i++)
                        n = put(list, n, (EngineEvent) { .kind = ENGINE_ASSESSED, .index = ecu, .error = sample_error(assess_errors[i]) });
        }
        for (int reboot = 0; reboot < 2; reboot++)
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ROLLED_BACK, .need_reboot = reboot });
        for (size_t i = 0; i < ELEMENTSOF(rollback_errors); i++)
                n = put(list, n, (EngineEvent) { .kind = ENGINE_ROLLED_BACK, .error = sample_error(rollback_errors[i]) });
        for (unsigned which = 0; which < _SAMPLE_MAX; which++) {
                const char *id = sample_id((Sample) which);

                for (unsigned stage = 0; stage < _ENGINE_STAGE_MAX; stage++)
                        n = put(list, n, (EngineEvent) { .kind = ENGINE_APPROVE, .id = id, .stage = (EngineStage) stage });
                n = put(list, n, (EngineEvent) { .kind = ENGINE_DECLINE, .id = id, .text = "not today" });
                list[n++] = (Happening) { .event = { .kind = ENGINE_POSTPONE, .id = id, .until = UNTIL }, .now = EARLY };
        }
        return n;
}

static void try_happening(Search *s, uint32_t from, const Happening *what)
{
        EngineEvent event = what->event;
        EngineUpdate update = { 0 };
        Engine e;

        /* What cannot happen here, or not differently, need not be tried in every one of so many states. */
        if (from % 32 && (!is_possible(&s->nodes[from], &event) || (what->now == LATE && !s->nodes[from].postponed)))
                return;
        unpack(s, &s->nodes[from], &e);
        event.entropy = 0x9e3779b9u * from;
        if (what->found) {
                copy_sample(s, (uint8_t) what->found, &update);
                for (size_t i = 0; i < what->installed; i++)
                        update.ecus[i].state = ENGINE_ECU_INSTALLED;
                event.update = &update;
        }
        step(s, from, &e, &event, what->now);
        engine_update_done(&update);
        engine_done(&e);
}

/* A restart: what was written comes back, everything else of engine and model is gone. */
static void try_restart(Search *s, uint32_t from, bool provisioned, bool rebooted, const char *booted, bool lost)
{
        EngineEvent event = { .kind = ENGINE_STARTED, .provisioned = provisioned, .rebooted = rebooted, .booted = booted,
                              .lost = lost };
        Node node = s->nodes[from];
        uint32_t to;
        Engine e;

        node.blocked = s->policy.conditional[0] ? ALL_STAGES : 0;
        node.ended = node.started = node.job = node.timer = node.asked = node.rebooting = node.downloaded = node.job_index = 0;
        if (node.state != ENGINE_INSTALLING && node.state != ENGINE_REBOOT_REQUIRED && node.state != ENGINE_FINALIZING)
                node.got = 0;
        to = find_or_add(s, &node);
        add_edge(s, from, to);
        unpack(s, &node, &e);
        step(s, to, &e, &event, EARLY);
        engine_done(&e);
}

static void restart(Search *s, uint32_t from)
{
        Sample update = (Sample) s->nodes[from].update;

        check_round_trip(s, &s->nodes[from]);
        try_restart(s, from, true, false, "", false);
        try_restart(s, from, true, true, sample_commit(update), false);
        try_restart(s, from, true, true, sample_commit(SAMPLE_NONE), false);
        try_restart(s, from, true, true, sample_commit(SAMPLE_NONE), true);
        try_restart(s, from, false, true, sample_commit(SAMPLE_NONE), false);
}

static void expand(Search *s, uint32_t from, const Happening *list, size_t n)
{
        Node node = s->nodes[from];

        /* Before ENGINE_STARTED nothing else happens. */
        for (size_t i = 0; i < n && node.started; i++)
                try_happening(s, from, &list[i]);
}

/* Every state that was reached leads, in some way, back to idleness. */
static void check_all_lead_home(const Search *s)
{
        cleanup_free uint8_t *home = xcalloc(s->n, 1);
        bool more = true;

        for (size_t i = 0; i < s->n; i++)
                home[i] = s->nodes[i].state == ENGINE_IDLE && !s->nodes[i].update && s->nodes[i].timer;
        while (more) {
                more = false;
                for (size_t i = s->n_edges; i-- > 0;)
                        if (home[s->edges[i][1]] && !home[s->edges[i][0]])
                                home[s->edges[i][0]] = more = true;
        }
        for (size_t i = 0; i < s->n; i++)
                assert_true(home[i]);
}

/* The Primary's image is no commit, that its boot would name. */
static void give_handler(EngineUpdate *update)
{
        for (size_t i = 0; i < update->n_ecus; i++)
                if (update->ecus[i].primary) {
                        update->ecus[i].ostree = false;
                        update->ecus[i].restorable = true;
                }
        engine_update_seal(update);
}

/*
 * asks: a bit for each stage, then whether others stay where one ECU has failed, then whether it is the vehicle of three, then
 * whether conditions come and go, then whether a handler installs for the Primary.
 */
static void search(unsigned asks)
{
        Search s = { .nodes = xcalloc(NODES_MAX, sizeof(Node)), .table = xcalloc(2 * (size_t) NODES_MAX, sizeof(uint32_t)) };
        bool seen[_ENGINE_STATE_MAX] = { false };
        Happening *list = xcalloc(512, sizeof *list);
        size_t n = happenings(list, asks & 16, asks & 32);
        Node first = { 0 };

        assert_true(n <= 512);
        s.written = xcalloc(NODES_MAX, sizeof *s.written);
        s.is_written = xcalloc(NODES_MAX, 1);
        sample_policy(asks & 7, &s.policy);
        s.policy.keep = asks & 8;
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                s.policy.conditional[i] = asks & 32;
        first.blocked = asks & 32 ? ALL_STAGES : 0;
        for (unsigned i = SAMPLE_A; i < _SAMPLE_MAX; i++) {
                sample_update((Sample) i, 0, &s.samples[i]);
                if (asks & 64)
                        give_handler(&s.samples[i]);
        }
        sample_target(SAMPLE_A, 0, s.targets[0]);
        sample_target(SAMPLE_A, 1, s.targets[1]);
        sample_target(SAMPLE_B, 0, s.targets[2]);
        sample_target(SAMPLE_C, 0, s.targets[3]);
        set_written(&s, find_or_add(&s, &first));
        while (s.done < s.n || s.restarted < s.n_written)
                if (s.restarted < s.n_written)
                        restart(&s, s.written[s.restarted++]);
                else {
                        seen[s.nodes[s.done].state] = true;
                        expand(&s, (uint32_t) s.done++, list, n);
                }
        for (unsigned i = 0; i < _ENGINE_STATE_MAX; i++)
                assert_int_equal(seen[i], i != ENGINE_AWAITING_CONSENT || (asks & 3));
        print_message("# asks %u: %zu states, %zu transitions\n", asks, s.n, s.n_edges);
        check_all_lead_home(&s);
        for (unsigned i = SAMPLE_A; i < _SAMPLE_MAX; i++)
                engine_update_done(&s.samples[i]);
        free(s.nodes);
        free(s.table);
        free(s.written);
        free(s.is_written);
        free(s.edges);
        free(list);
}

/* Uptane 5.4 (a) */
static void nothing_is_done_without_consent_verification_and_writing(void **state)
{
        search(*(const unsigned *) *state);
}

/* The arguments choose: names of searches, none for all. */
int main(int argc, char *argv[])
{
        static const struct { const char *name; unsigned asks; } all[] = {
                { "all_auto", 0 }, { "ask_download", 1 }, { "ask_install", 2 }, { "ask_download_install", 3 }, { "ask_reboot", 4 },
                { "ask_download_reboot", 5 }, { "ask_install_reboot", 6 }, { "ask_all", 7 }, { "three_ecus", 16 },
                { "conditions", 32 }, { "conditions_ask_install_reboot", 32 + 6 }, { "three_ecus_conditions", 32 + 16 },
                { "three_ecus_keep", 16 + 8 }, { "three_ecus_ask_reboot", 16 + 4 },
                { "handler", 64 }, { "handler_ask_reboot", 64 + 4 }, { "three_ecus_handler", 64 + 16 },
        };
        struct CMUnitTest tests[ELEMENTSOF(all)];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                bool chosen = argc < 2;

                for (int k = 1; k < argc; k++)
                        chosen |= strcmp(argv[k], all[i].name) == 0;
                if (chosen)
                        tests[n++] = (struct CMUnitTest) { all[i].name, nothing_is_done_without_consent_verification_and_writing, NULL, NULL,
                                                           (void *) &all[i].asks };
        }
        return n < (size_t) argc - 1 ? EXIT_FAILURE : _cmocka_run_group_tests("search", tests, n, NULL, NULL);
}
