/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a manager, the clock and the job. What happens to events and effects is in cycle.c.
 */
#include "uptaned/manager.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include <openssl/crypto.h>

#include "base/codec.h"
#include "io/file.h"
#include "uptaned/attack.h"
#include "uptaned/conditions.h"
#include "uptaned/image.h"
#include "uptaned/journal.h"
#include "uptaned/log.h"

#define DATABASE "uptaned.db"
#define KEY_FILE "primary.key"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define FLOOR_STEP 3600 /* seconds: a floor this much older than now is written anew */
#define PROGRESS_PAUSE UINT64_C(200000) /* usec between two announcements of progress */

/* ---- what must be there before anything runs ---- */

/*
 * The Primary's own key (Uptane 5.4.1 (3a)), and those of Secondaries that cannot sign. They are made once; a vehicle that
 * is registered and has lost one must be looked at by a person, because the back-end would refuse another key anyway.
 */
int manager_load_key(Manager *m, const char *name, bool must_exist, Signer **ret, Error *error)
{
        cleanup_free char *path = xasprintf("%s/%s", m->config.state_directory, name);
        cleanup_buffer Buffer pem = { 0 };
        int r = file_make_private(path, error) < 0 ? -1 : file_read(path, KEY_TEXT_MAX, &pem, error);

        if (r < 0)
                return error_prefix(error, "a key of this vehicle");
        if (r == 0 && must_exist)
                return error_set(error, ERR_KEY, "%s is gone, but this vehicle is registered with it", path);
        if (r == 0 && (signer_generate_pem(m->config.key_type, &pem, error) < 0 ||
                       file_write(path, buffer_slice(&pem), 0600, error) < 0))
                return error_prefix(error, "making %s", name);
        r = signer_new_pem(buffer_slice(&pem), ret, error);
        OPENSSL_cleanse(pem.data, pem.size);
        return r < 0 ? error_prefix(error, "%s", path) : 0;
}

static int load_engine(Manager *m, Error *error)
{
        cleanup_buffer Buffer bytes = { .limit = ENGINE_BYTES_MAX };
        int r;

        engine_init(&m->engine, &m->config.policy);
        r = store_bytes_get(m->store, "engine", &bytes, error);
        if (r > 0)
                r = engine_load(&m->engine, buffer_slice(&bytes), error);
        return r < 0 ? -1 : 0;
}

/* Whether the system was booted since the engine was written down last. */
static int look_at_boot_id(Manager *m, Error *error)
{
        cleanup_buffer Buffer now = { 0 }, then = { 0 };
        int r = file_read(BOOT_ID, sizeof m->boot_id - 1, &now, error);

        if (r == 0)
                return error_set(error, ERR_SYSTEM, BOOT_ID " is missing");
        if (r < 0)
                return -1;
        (void) snprintf(m->boot_id, sizeof m->boot_id, "%.36s", buffer_str(&now));
        r = store_value_get(m->store, "boot-id", &then, error);
        m->rebooted = r > 0 && strcmp(buffer_str(&then), m->boot_id) != 0;
        return r < 0 ? -1 : 0;
}

static const char *const floor_names[] = { [TRUST_DIRECTOR] = "time-floor", [TRUST_IMAGE] = "time-floor-image" };
static_assert(ELEMENTSOF(floor_names) == _TRUST_KIND_MAX, "a repository without a floor");

/* Uptane 5.4.1 (2a): never before the time of the build; Uptane 5.4 (b, j), Uptane 5.4.2 (2), Uptane 5.4.2.2: nor before one that was seen */
static int load_floors(Manager *m, Error *error)
{
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX; kind++) {
                if (store_number_get(m->store, floor_names[kind], &m->time_floor[kind], error) < 0)
                        return -1;
                if (m->time_floor[kind] < BUILD_TIME)
                        m->time_floor[kind] = BUILD_TIME;
        }
        return 0;
}

static int load_registered(Manager *m, Error *error)
{
        cleanup_buffer Buffer text = { 0 };
        int r = store_value_get(m->store, "registered", &text, error);

        m->provisioned = m->registered = r > 0;
        return r < 0 ? -1 : 0;
}

/* Without a trusted Root there is nothing to begin with. A shipped one is stored with the first thing that rests on it. */
static int check_roots(Manager *m, Error *error)
{
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX; kind++) {
                cleanup_buffer Buffer root = { 0 };
                int r = store_metadata_get(m->store, (TrustKind) kind, ROLE_ROOT, NULL, &root, error);

                if (r < 0 || (r == 0 && store_root_shipped((TrustKind) kind, m->config.root_directory, &root, error) < 0))
                        return -1;
        }
        return 0;
}

int manager_new(sd_event *event, const char *config_path, Manager **ret, Error *error)
{
        CLEANUP(manager_free) Manager *m = xcalloc(1, sizeof *m);

        m->event = sd_event_ref(event);
        if (config_load(config_path, &m->config, error) < 0 || file_make_private(m->config.state_directory, error) < 0 ||
            store_open(m->config.state_directory, DATABASE, &m->store, error) < 0 || load_floors(m, error) < 0 ||
            load_registered(m, error) < 0 || check_roots(m, error) < 0 ||
            manager_load_key(m, KEY_FILE, m->provisioned, &m->signer, error) < 0 || load_engine(m, error) < 0 ||
            look_at_boot_id(m, error) < 0 || vehicle_load(m, error) < 0)
                return -1;
        m->conditions = conditions_new(m);
        *ret = TAKE_PTR(m);
        return 0;
}

Manager *manager_free(Manager *m)
{
        if (!m)
                return NULL;
        if (m->job)
                m->job->free(m->job);
        cycle_done(m);
        m->conditions = conditions_free(m->conditions);
        sd_bus_slot_unref(m->reboot_call);
        sd_event_source_disable_unref(m->dispatch);
        sd_event_source_disable_unref(m->timer);
        sd_event_source_disable_unref(m->retry);
        sd_bus_flush_close_unref(m->bus);
        vehicle_done(m);
        for (size_t i = 0; m->deployed && m->deployed[i]; i++)
                free(m->deployed[i]);
        free(m->deployed);
        buffer_done(&m->last_manifest);
        engine_done(&m->engine);
        signer_free(m->signer);
        store_free(m->store);
        config_done(&m->config);
        sd_event_unref(m->event);
        free(m);
        return NULL;
}

int manager_start(Manager *m, Error *error)
{
        m->announced_state = _ENGINE_STATE_MAX;
        if (cycle_start(m, error) < 0 || bus_start(m, error) < 0)
                return -1;
        return status_start(m, error);
}

/* ---- time ---- */

int64_t manager_now(Manager *m)
{
        int64_t now = time(NULL);
        bool behind = now < m->time_floor[TRUST_DIRECTOR];

        if (behind != m->clock_behind) {
                m->clock_behind = behind;
                log_write(&(LogContext) { .priority = behind ? LOG_WARNING : LOG_NOTICE, .message_id = MESSAGE_CLOCK_BEHIND },
                          behind ? "the system clock is behind a time already seen; that time is used instead"
                                 : "the system clock is right again");
                if (m->bus)
                        bus_changed(m, (const char *const[]) { "TimeSource", NULL });
        }
        return behind ? m->time_floor[TRUST_DIRECTOR] : now;
}

int64_t manager_now_for(Manager *m, TrustKind kind)
{
        int64_t now = time(NULL), floor = m->time_floor[kind];

        return now < floor ? floor : now;
}

int manager_raise_floor(Manager *m, TrustKind kind, Error *error)
{
        int64_t now = manager_now_for(m, kind);

        if (now < m->time_floor[kind] + FLOOR_STEP)
                return 0;
        if (store_number_put(m->store, floor_names[kind], now, error) < 0)
                return -1;
        m->time_floor[kind] = now;
        return 0;
}

/* ---- the job ---- */

void manager_job_done(Manager *m, const EngineEvent *event)
{
        EngineEvent copy = *event; /* it may lie in the job */

        manager_stop_job(m);
        manager_set_step(m, "", 0, 0);
        manager_post(m, &copy);
}

void manager_job_failed(Manager *m, EngineEventKind kind, const Error *error)
{
        manager_job_done(m, &(EngineEvent) { .kind = kind, .error = *error });
}

void manager_stop_job(Manager *m)
{
        Job *job = TAKE_PTR(m->job);

        if (job)
                job->free(job);
}

void manager_note(Manager *m, const Error *error)
{
        manager_note_ecu(m, NULL, error);
}

void manager_note_ecu(Manager *m, const VehicleEcu *ecu, const Error *error)
{
        Error storing = { 0 };

        log_write(&(LogContext) { .priority = LOG_WARNING, .message_id = is_attack(error) ? MESSAGE_ATTACK_DETECTED : NULL, .error = error,
                                  .ecu = ecu && *ecu->serial ? ecu->serial : NULL, .cycle = m->cycle },
                  "%s", error->message);
        if (is_attack(error) && attack_remember(m, error, &storing) < 0)
                manager_note(m, &storing); /* which is none */
}

void manager_set_step(Manager *m, const char *step, uint64_t done, uint64_t total)
{
        bool same = strcmp(m->step, step) == 0;
        uint64_t now = 0;

        (void) snprintf(m->step, sizeof m->step, "%s", step);
        m->progress_done = done;
        m->progress_total = total;
        (void) sd_event_now(m->event, CLOCK_BOOTTIME, &now);
        if (same && done != total && now < m->progress_told + PROGRESS_PAUSE)
                return;
        m->progress_told = now;
        bus_changed(m, (const char *const[]) { "ProgressStep", "ProgressDone", "ProgressTotal", NULL });
}

/* ---- addresses ---- */

/* Percent-encodes all but what RFC 3986 leaves alone, and '/'. */
char *manager_url(const char *base, const char *path)
{
        cleanup_buffer Buffer b = { 0 };

        buffer_printf(&b, "%s/", base);
        percent_encode(path, "/", &b);
        return xstrdup(buffer_str(&b));
}

/* scheme://authority of url, as a length; 0 if it has none. */
static size_t origin_length(const char *url)
{
        const char *p = strstr(url, "://");

        return p ? (size_t) (p - url) + 3 + strcspn(p + 3, "/?#") : 0;
}

bool manager_authenticates(const Manager *m, const char *url)
{
        const char *const bases[] = { m->config.server_url, m->config.director_url, m->config.repository_url, m->config.ostree_url };
        size_t n = origin_length(url);

        for (size_t i = 0; n && i < ELEMENTSOF(bases); i++)
                if (origin_length(bases[i]) == n && strncmp(bases[i], url, n) == 0)
                        return true;
        return false;
}
