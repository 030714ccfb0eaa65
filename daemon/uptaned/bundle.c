/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "uptaned/image.h"
#include "uptaned/pump.h"
#include "uptaned/verify.h"

#define PROGRESS_PAUSE UINT64_C(500000) /* usec between two announcements of one ECU's progress */
#define VERIFICATIONS_MAX 4 /* at the same time: they need no link, but memory and the processor */

/* One file for all ECUs that get it. */
struct SharedImage {
        Bundle *bundle;
        Hashes hashes;
        int64_t length;
        const EngineEcu *ecu; /* one of them */
        int fd;
        bool verified;
        ImageHash *hash; /* while it is hashed */
        SharedImage *next;
};

struct Bundle {
        Job job;
        Manager *m;
        WorkPhase phase;
        Work **works; /* by index in the update; NULL: not begun */
        size_t n_works, n_running, n_verifying;
        bool filling, verifying; /* the function of this name is running */
        SharedImage *images;
        Pump *pump; /* NULL: bandwidth is not limited, or nothing was sent yet */
};

static const struct {
        const char *step;
        EngineEcuState state; /* of the ECUs that it is about */
        EngineEventKind failed;
} phases[] = {
        [WORK_NONE] = { "", ENGINE_ECU_PENDING, ENGINE_ECU_REFUSED },
        [WORK_PREPARE] = { "preparing", ENGINE_ECU_PENDING, ENGINE_ECU_REFUSED },
        [WORK_INSTALL] = { "installing", ENGINE_ECU_INSTALLING, ENGINE_ECU_REFUSED },
        [WORK_RESTORE] = { "rolling back", ENGINE_ECU_ROLLING_BACK, ENGINE_ECU_RESTORED },
};

const EngineEcu *work_ecu(const Work *w)
{
        return &w->m->engine.update.ecus[w->index];
}

/* ---- the job ---- */

static void reset(Work *w)
{
        if (w->driver->reset)
                w->driver->reset(w);
        w->helper = helper_free(w->helper);
        w->bundle->n_verifying -= w->verify != NULL;
        w->verify = verify_free(w->verify);
        w->waits = false;
        w->next = NULL;
}

static SharedImage *image_free(SharedImage *image)
{
        SharedImage *next = image->next;

        image_hash_free(image->hash);
        if (image->fd >= 0)
                close(image->fd);
        free(image);
        return next;
}

static void bundle_free(Job *job)
{
        Bundle *b = (Bundle *) job;

        for (size_t i = 0; i < b->n_works; i++)
                if (b->works[i]) {
                        reset(b->works[i]);
                        strv_free(b->works[i]->roles);
                        free(b->works[i]);
                }
        while (b->images)
                b->images = image_free(b->images);
        pump_free(b->pump);
        free(b->works);
        free(b);
}

static Bundle *running_bundle(Manager *m)
{
        return m->job && m->job->free == bundle_free ? (Bundle *) m->job : NULL;
}

static Bundle *new_bundle(Manager *m)
{
        Bundle *b = xcalloc(1, sizeof *b);

        manager_stop_job(m);
        b->job.free = bundle_free;
        b->m = m;
        b->n_works = m->engine.update.n_ecus;
        b->works = xcalloc(b->n_works, sizeof *b->works);
        m->job = &b->job;
        return b;
}

static const Driver *find_driver(const VehicleEcu *ecu)
{
        static const struct {
                const char *name;
                const Driver *driver;
        } drivers[] = { { "ip", &install_ip }, { "ostree", &install_ostree }, { "exec", &install_exec }, { "virtual", &install_virtual } };

        for (size_t i = 0; i < ELEMENTSOF(drivers); i++)
                if (strcmp(drivers[i].name, ecu->driver) == 0)
                        return drivers[i].driver;
        return NULL;
}

/* Returns NULL where the vehicle has no such ECU any more. */
static Work *get_work(Bundle *b, size_t index)
{
        VehicleEcu *ecu = vehicle_find(b->m, b->m->engine.update.ecus[index].serial);
        const Driver *driver = ecu ? find_driver(ecu) : NULL;
        Work *w = b->works[index];

        if (w || !driver)
                return w;
        w = xcalloc(1, driver->size);
        w->driver = driver;
        w->bundle = b;
        w->m = b->m;
        w->ecu = ecu;
        w->index = index;
        return b->works[index] = w;
}

static void refuse_unknown(Bundle *b, size_t index)
{
        EngineEvent event = { .kind = phases[b->phase].failed, .index = index };

        (void) error_set(&event.error, ERR_UNKNOWN_ECU, "%s is not in this vehicle any more", b->m->engine.update.ecus[index].serial);
        manager_post(b->m, &event);
}

static void start(Work *w)
{
        const Driver *d = w->driver;
        WorkStep step = w->bundle->phase == WORK_PREPARE ? d->prepare : w->bundle->phase == WORK_INSTALL ? d->install : d->restore;
        Error error = { 0 };

        w->phase = w->bundle->phase;
        w->running = true;
        w->awaits = false;
        w->bundle->n_running++;
        if (!step)
                (void) error_set(&error, ERR_NOT_SUPPORTED, "driver '%s' cannot go back", w->ecu->driver);
        if (!step || step(w, &error) < 0)
                work_failed(w, &error);
}

/* Begins what there is room for. What ends at once makes room for more. */
static void fill(Bundle *b)
{
        const EngineUpdate *update = &b->m->engine.update;

        if (b->filling)
                return;
        b->filling = true;
        for (size_t i = 0; i < b->n_works && b->n_running < b->m->engine.policy.parallel; i++) {
                Work *w;

                if (update->ecus[i].state != phases[b->phase].state || (b->works[i] && b->works[i]->phase == b->phase))
                        continue;
                w = get_work(b, i);
                if (w)
                        start(w);
                else
                        refuse_unknown(b, i);
        }
        b->filling = false;
}

static void begin(Bundle *b, WorkPhase phase)
{
        b->phase = phase;
        for (size_t i = 0; i < b->m->n_ecus; i++)
                b->m->ecus[i].progress_done = b->m->ecus[i].progress_total = 0;
        manager_set_step(b->m, phases[phase].step, 0, 0);
        fill(b);
}

void bundle_prepare(Manager *m)
{
        begin(new_bundle(m), WORK_PREPARE);
}

void bundle_install(Manager *m)
{
        Bundle *b = running_bundle(m);

        begin(b ? b : new_bundle(m), WORK_INSTALL);
}

void bundle_restore(Manager *m)
{
        begin(new_bundle(m), WORK_RESTORE);
}

void bundle_settle(Manager *m)
{
        Bundle *b = running_bundle(m);

        if (!b || b->n_running > 0 || m->engine.state == ENGINE_INSTALLING)
                return;
        manager_stop_job(m);
        manager_set_step(m, "", 0, 0);
}

/* ---- the end of a phase ---- */

static void ended(Work *w, EngineEvent event)
{
        Bundle *b = w->bundle;

        event.index = w->index;
        w->ecu->last_error = event.error;
        w->running = false;
        b->n_running -= !w->awaits;
        reset(w);
        manager_post(w->m, &event);
        fill(b);
        if (b->n_running == 0)
                manager_set_step(b->m, "", 0, 0);
}

void work_ready(Work *w)
{
        ended(w, (EngineEvent) { .kind = ENGINE_ECU_READY });
}

void work_done(Work *w, bool need_reboot)
{
        ended(w, (EngineEvent) { .kind = ENGINE_ECU_DONE, .need_reboot = need_reboot });
}

void work_awaits(Work *w, int64_t until)
{
        const EngineEvent event = { .kind = ENGINE_ECU_AWAITS, .index = w->index, .until = until };
        Bundle *b = w->bundle;

        b->n_running -= !w->awaits;
        w->awaits = true;
        manager_post(w->m, &event);
        fill(b);
        if (b->n_running == 0)
                manager_set_step(b->m, "", 0, 0);
}

void work_restored(Work *w)
{
        ended(w, (EngineEvent) { .kind = ENGINE_ECU_RESTORED });
}

void work_failed(Work *w, const Error *error)
{
        EngineEvent event = { .kind = phases[w->phase].failed, .error = *error };

        if (!w->ecu->primary)
                (void) error_prefix(&event.error, "%s", w->ecu->label);
        ended(w, event);
}

/* ---- progress ---- */

/* Of all ECUs together; what is being prepared may have no length yet. */
static void show_progress(Bundle *b)
{
        uint64_t done = 0, total = 0;

        for (size_t i = 0; i < b->n_works; i++)
                if (b->works[i]) {
                        done += b->works[i]->ecu->progress_done;
                        total += b->works[i]->ecu->progress_total;
                }
        manager_set_step(b->m, phases[b->phase].step, done, total);
}

void work_progress(void *userdata, uint64_t done, uint64_t total)
{
        Work *w = userdata;
        uint64_t now = 0;

        w->ecu->progress_done = done;
        w->ecu->progress_total = total;
        show_progress(w->bundle);
        (void) sd_event_now(w->m->event, CLOCK_BOOTTIME, &now);
        if (done != total && now < w->told + PROGRESS_PAUSE)
                return;
        w->told = now;
        bus_ecu_changed(w->m, w->ecu);
}

/* ---- what drivers have in common ---- */

static void go_on(Work *w)
{
        WorkStep next = TAKE_PTR(w->next);
        Error error = { 0 };

        if (next(w, &error) < 0)
                work_failed(w, &error);
}

static void verify_next(Bundle *b);

/* Uptane 5.4 (f), Uptane 5.4.3 (2), Uptane 5.4.3.2 (a), Uptane 5.4.3.4 (1): verified again, then installed */
static void on_verified(void *userdata, Verified *verified, Error *error)
{
        Work *w = userdata;
        Bundle *b = w->bundle;

        strv_free(w->roles);
        w->roles = verified ? TAKE_PTR(verified->roles) : NULL;
        w->verify = verify_free(w->verify);
        b->n_verifying--;
        if (!verified || verified_check(verified, work_ecu(w), error) < 0)
                work_failed(w, error);
        else
                go_on(w);
        verify_next(b);
}

static Work *find_waiting(const Bundle *b)
{
        for (size_t i = 0; i < b->n_works; i++)
                if (b->works[i] && b->works[i]->waits)
                        return b->works[i];
        return NULL;
}

/* Those that wait for it, while there is room. */
static void verify_next(Bundle *b)
{
        if (b->verifying)
                return;
        b->verifying = true;
        for (Work *w; b->n_verifying < VERIFICATIONS_MAX && (w = find_waiting(b));) {
                Error error = { 0 };

                w->waits = false;
                if (verify_start(b->m, NULL, w->ecu->serial, on_verified, w, &w->verify, &error) < 0)
                        work_failed(w, &error);
                else
                        b->n_verifying++;
        }
        b->verifying = false;
}

int work_verify(Work *w, WorkStep next, Error *error)
{
        (void) error;
        w->next = next;
        w->waits = true;
        verify_next(w->bundle);
        return 0;
}

static void forget_image(Bundle *b, const SharedImage *image)
{
        for (SharedImage **p = &b->images; *p; p = &(*p)->next)
                if (*p == image) {
                        *p = image_free(*p);
                        return;
                }
}

/* Uptane 5.4.3 (4), Uptane 5.4.3.4 (a): everybody who waits for it goes on, or nobody does. */
static void on_image_hashed(void *userdata, Hasher *hasher, uint64_t size, Error *error)
{
        CLEANUP(hasher_free) Hasher *owned = hasher;
        SharedImage *image = userdata;
        Bundle *b = image->bundle;
        bool good = error->code == ERR_NONE && image_verify(image->ecu, owned, size, error) == 0;

        image->hash = image_hash_free(image->hash);
        image->verified = good;
        if (!good)
                image_remove(b->m, image->ecu, IMAGE_WHOLE);
        for (size_t i = 0; i < b->n_works; i++) {
                Work *w = b->works[i];

                if (!w || w->image != image)
                        continue;
                if (!good)
                        w->image = NULL;
                if (!w->running || !w->next)
                        continue;
                if (good)
                        go_on(w);
                else
                        work_failed(w, error);
        }
        if (!good)
                forget_image(b, image);
}

static SharedImage *find_image(const Bundle *b, const EngineEcu *ecu)
{
        for (SharedImage *i = b->images; i; i = i->next)
                if (i->length == ecu->length && i->hashes.has_sha256 == ecu->hashes.has_sha256 && i->hashes.has_sha512 == ecu->hashes.has_sha512 &&
                    hashes_match(&i->hashes, &ecu->hashes))
                        return i;
        return NULL;
}

static int open_image(Work *w, Error *error)
{
        Bundle *b = w->bundle;
        SharedImage *image = xcalloc(1, sizeof *image);

        *image = (SharedImage) { .bundle = b, .ecu = work_ecu(w), .next = b->images };
        image->hashes = image->ecu->hashes;
        image->length = image->ecu->length;
        image->fd = image_open(b->m, image->ecu, IMAGE_WHOLE, error);
        if (image->fd < 0 ||
            image_hash_start(b->m, image->fd, (uint64_t) image->length, on_image_hashed, image, &image->hash, error) < 0) {
                (void) image_free(image);
                return -1;
        }
        w->image = b->images = image;
        return 0;
}

int work_image(Work *w, WorkStep next, Error *error)
{
        w->image = find_image(w->bundle, work_ecu(w));
        if (w->image && w->image->verified)
                return next(w, error);
        w->next = next;
        return w->image ? 0 : open_image(w, error);
}

int work_image_open(const Work *w, Error *error)
{
        cleanup_free char *path = xasprintf("/proc/self/fd/%d", w->image->fd);
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        return fd < 0 ? error_set_errno(error, ERR_STORAGE, errno, "opening an image again") : fd;
}

int work_image_send(Work *w, Error *error)
{
        Bundle *b = w->bundle;

        if (b->m->config.secondaries_bandwidth == 0)
                return work_image_open(w, error);
        if (!b->pump && pump_new(b->m->event, b->m->config.secondaries_bandwidth, &b->pump, error) < 0)
                return -1;
        return pump_add(b->pump, w->image->fd, (uint64_t) w->image->length, error);
}
