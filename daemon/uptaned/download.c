/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gets every image of the update that is not installed yet, one after the other: OSTree commits into the sysroot's
 * repository through uptane-ostree, files into the image folder through uptane-fetch. What is already there and right
 * is not fetched again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "io/file.h"
#include "uptaned/fetch.h"
#include "uptaned/image.h"

typedef struct Download {
        Job job;
        Manager *m;
        size_t index;
        Helper *ostree;
        Rate *rate;      /* while a commit is pulled */
        uint64_t pulled; /* bytes */
        char step[64];   /* in words */
        Fetch *fetch;
        int fd;
        ImageHash *hash;
        Hasher *hasher;
        uint64_t size;   /* bytes in the part, all of them hashed */
        uint64_t resumed_at;
        bool from_start; /* a resumed transfer went wrong: no second try to resume */
        char *url;
} Download;

static void next(Download *d);
static void open_part(Download *d);

static EngineEcu *current(Download *d)
{
        return &d->m->engine.update.ecus[d->index];
}

static void close_file(Download *d)
{
        d->hash = image_hash_free(d->hash);
        d->hasher = hasher_free(d->hasher);
        if (d->fd >= 0)
                close(d->fd);
        d->fd = -1;
        free(d->url);
        d->url = NULL;
}

static void download_free(Job *job)
{
        Download *d = (Download *) job;

        close_file(d);
        rate_free(d->rate);
        helper_free(d->ostree);
        fetch_free(d->fetch);
        free(d);
}

static void failed(Download *d, Error *error)
{
        manager_job_failed(d->m, ENGINE_DOWNLOAD_FAILED, error);
}

static void show_progress(void *userdata, uint64_t done, uint64_t total)
{
        Download *d = userdata;
        VehicleEcu *ecu = vehicle_find(d->m, current(d)->serial);

        manager_set_step(d->m, d->step, done, total);
        if (!ecu)
                return;
        ecu->progress_done = done;
        ecu->progress_total = total;
}

/* ---- OSTree ---- */

/* The bytes arrive in the helper; between its words of progress it may be busy with something else. */
static void pull_progress(void *userdata, uint64_t done, uint64_t total)
{
        Download *d = userdata;

        rate_add(d->rate, done > d->pulled ? done - d->pulled : 0);
        d->pulled = done;
        show_progress(d, done, total);
}

/* "downloading: 12 of 300 objects" */
static void pull_step(void *userdata, const char *what, uint64_t done, uint64_t total)
{
        Download *d = userdata;

        if (total > 0)
                (void) snprintf(d->step, sizeof d->step, "%.20s: %" PRIu64 " of %" PRIu64 " objects", what, done, total);
        else
                (void) snprintf(d->step, sizeof d->step, "%.20s: %" PRIu64 " objects", what, done);
        manager_set_step(d->m, d->step, d->m->progress_done, d->m->progress_total);
}

static void on_slow_pull(void *userdata, Error *error)
{
        Download *d = userdata;
        const EngineEcu *ecu = current(d);

        (void) error_prefix(error, "pulling '%.60s' from %.130s", ecu->image, *ecu->uri ? ecu->uri : d->m->config.ostree_url);
        failed(d, error);
}

static void on_pulled(void *userdata, sd_bus_message *reply, Error *error)
{
        Download *d = userdata;

        d->ostree = helper_free(d->ostree);
        d->rate = rate_free(d->rate);
        if (!reply) {
                (void) error_prefix(error, "pulling '%.100s'", current(d)->image);
                failed(d, error);
                return;
        }
        d->index++;
        next(d);
}

int download_append_pull(Manager *m, sd_bus_message *call, const EngineEcu *ecu)
{
        const char *url = *ecu->uri ? ecu->uri : m->config.ostree_url;
        char commit[2 * SHA256_SIZE + 1];

        hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), commit);
        return sd_bus_message_append(call, "ssbttb", url, commit, manager_authenticates(m, url), (uint64_t) (ecu->length > 0 ? ecu->length : 0),
                                     (uint64_t) m->config.max_speed, m->config.static_deltas);
}

/* Nothing where neither the vehicle's own policy nor the Director has a word on it. */
int download_tell_arguments(Manager *m, Helper *helper, const EngineEcu *ecu, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *message = NULL;
        cleanup_free char *wanted = xstrdup(ecu->kernel_arguments);
        char *rest = NULL;
        int r;

        if (!*wanted && !*m->config.kernel_argument_patterns)
                return 0;
        if (helper_message(helper, "SetKernelArguments", &message, error) < 0)
                return -1;
        r = sd_bus_message_append_strv(message, m->config.kernel_argument_patterns);
        if (r >= 0)
                r = sd_bus_message_open_container(message, 'a', "s");
        for (char *word = strtok_r(wanted, " ", &rest); word && r >= 0; word = strtok_r(NULL, " ", &rest))
                r = sd_bus_message_append(message, "s", word);
        if (r >= 0)
                r = sd_bus_message_close_container(message);
        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "SetKernelArguments") : helper_tell(helper, message, error);
}

/* Uptane 5.4.2.4 (a) */
static int pull(Download *d, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        const EngineEcu *ecu = current(d);
        const VehicleEcu *target = vehicle_find(d->m, ecu->serial);
        int r;

        if (target && target->handler)
                return error_set(error, ERR_NOT_SUPPORTED, "'%.100s' is an OSTree image; a handler takes files", ecu->image);
        if (helper_open(d->m->event, HELPER_OSTREE, d->m->config.ostree_socket, &d->ostree, error) < 0 ||
            download_tell_arguments(d->m, d->ostree, ecu, error) < 0 || helper_message(d->ostree, "Pull", &call, error) < 0 ||
            rate_new(d->m->event, &d->m->config.slowest, on_slow_pull, d, &d->rate, error) < 0)
                return -1;
        d->pulled = 0;
        helper_set_progress(d->ostree, pull_progress, d);
        helper_set_step(d->ostree, pull_step, d);
        r = download_append_pull(d->m, call, ecu);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking uptane-ostree");
        return helper_call(d->ostree, call, d->m->config.image_timeout, on_pulled, d, error);
}

/* ---- files ---- */

/* Uptane 5.4.3.3 (4d) */
static void finish_file(Download *d)
{
        Error error = { 0 };

        if (image_verify(current(d), d->hasher, d->size, &error) < 0) {
                image_remove(d->m, current(d), IMAGE_PART);
                failed(d, &error);
        } else if (image_commit(d->m, current(d), d->fd, &error) < 0) {
                failed(d, &error);
        } else {
                close_file(d);
                d->index++;
                next(d);
        }
}

static int take_piece(void *userdata, uint64_t offset, Slice piece, Error *error)
{
        Download *d = userdata;

        for (size_t done = 0; done < piece.size;) {
                ssize_t n = pwrite(d->fd, piece.data + done, piece.size - done, (off_t) (offset + done));

                if (n < 0 && errno != EINTR)
                        return error_set_errno(error, errno == ENOSPC ? ERR_NO_SPACE : ERR_STORAGE, errno, "writing an image");
                done += n > 0 ? (size_t) n : 0;
        }
        hasher_update(d->hasher, piece);
        d->size = offset + piece.size;
        show_progress(d, d->size, (uint64_t) current(d)->length);
        return 0;
}

/* Throws the part away and begins again, without asking for an offset. */
static void restart(Download *d)
{
        close_file(d);
        d->fetch = fetch_free(d->fetch);
        image_remove(d->m, current(d), IMAGE_PART);
        d->from_start = true;
        open_part(d);
}

static void on_fetched(void *userdata, const FetchAnswer *answer, Error *error)
{
        Download *d = userdata;
        bool resumed = !d->from_start && d->resumed_at > 0;

        if (resumed && (answer ? answer->offset != d->resumed_at : error->code == ERR_TOO_LARGE || error->code == ERR_HTTP)) {
                restart(d); /* the server does not know what a range is, or has another image under this name by now */
                return;
        }
        if (answer && answer->status == 404)
                (void) error_set(error, ERR_NOT_FOUND, "the back-end has no such image");
        if (error->code != ERR_NONE) {
                (void) error_prefix(error, "image '%.100s'", current(d)->image);
                failed(d, error);
                return;
        }
        finish_file(d);
}

/* Uptane 5.4.2.4 (b); Uptane 5.4.3.3 (4c): no more bytes than the Director says; Uptane 5.4.3.3 (3): from its URL, if it gives one */
static void fetch_rest(Download *d)
{
        const EngineEcu *ecu = current(d);
        cleanup_free char *path = xasprintf("targets/%s", ecu->image);
        FetchRequest request = {
                .offset = d->size,
                .max = (uint64_t) ecu->length - d->size,
                .seconds = d->m->config.image_timeout,
                .slowest = d->m->config.slowest,
                .max_speed = d->m->config.max_speed,
                .sink = take_piece,
                .done = on_fetched,
                .userdata = d,
        };
        Error error = { 0 };

        d->resumed_at = d->size;
        d->url = *ecu->uri ? xstrdup(ecu->uri) : manager_url(d->m->config.repository_url, path);
        request.url = d->url;
        request.authenticate = manager_authenticates(d->m, d->url);
        if (image_check_space(d->m, request.max, &error) < 0 ||
            (!d->fetch && fetch_open(d->m->event, d->m->config.fetch_socket, &d->fetch, &error) < 0) ||
            fetch_get(d->fetch, &request, &error) < 0)
                failed(d, &error);
}

static void on_part_hashed(void *userdata, Hasher *hasher, uint64_t size, Error *error)
{
        Download *d = userdata;

        d->hash = image_hash_free(d->hash);
        d->hasher = hasher;
        d->size = size;
        if (error->code == ERR_IMAGE_MISMATCH)
                restart(d); /* more there than the image has */
        else if (error->code != ERR_NONE)
                failed(d, error);
        else if (size == (uint64_t) current(d)->length)
                finish_file(d);
        else
                fetch_rest(d);
}

static void open_part(Download *d)
{
        Error error = { 0 };

        d->fd = image_open(d->m, current(d), IMAGE_PART, &error);
        if (d->fd < 0 || image_hash_start(d->m, d->fd, (uint64_t) current(d)->length, on_part_hashed, d, &d->hash, &error) < 0)
                failed(d, &error);
}

/* Uptane 5.4.3.3 (b): what is there is not fetched */
static void on_whole_hashed(void *userdata, Hasher *hasher, uint64_t size, Error *error)
{
        Download *d = userdata;

        d->hasher = hasher;
        if (error->code == ERR_NONE && image_verify(current(d), hasher, size, error) == 0) {
                close_file(d);
                d->index++;
                next(d);
                return;
        }
        manager_note(d->m, error); /* it was right when it got this name */
        close_file(d);
        image_remove(d->m, current(d), IMAGE_WHOLE);
        open_part(d);
}

static void start_file(Download *d)
{
        Error error = { 0 };

        d->from_start = false;
        d->fd = image_open(d->m, current(d), IMAGE_WHOLE, &error);
        if (d->fd < 0 && error.code == ERR_NOT_FOUND)
                open_part(d);
        else if (d->fd < 0 ||
                 image_hash_start(d->m, d->fd, (uint64_t) current(d)->length, on_whole_hashed, d, &d->hash, &error) < 0)
                failed(d, &error);
}

/* Another ECU gets the same file: it was just fetched, or found to be there. */
static bool is_there(const EngineUpdate *update, size_t index)
{
        const EngineEcu *ecu = &update->ecus[index];

        for (size_t i = 0; i < index; i++) {
                const EngineEcu *other = &update->ecus[i];

                if (other->state == ENGINE_ECU_PENDING && !other->ostree && !ecu->ostree && other->length == ecu->length &&
                    other->hashes.has_sha256 == ecu->hashes.has_sha256 && other->hashes.has_sha512 == ecu->hashes.has_sha512 &&
                    hashes_match(&other->hashes, &ecu->hashes))
                        return true;
        }
        return false;
}

/* A Secondary gets its commits by itself. */
static bool is_others(const Download *d, const EngineEcu *ecu)
{
        const VehicleEcu *target = ecu->ostree ? vehicle_find(d->m, ecu->serial) : NULL;

        return target && strcmp(target->driver, "ip") == 0;
}

static void next(Download *d)
{
        EngineUpdate *update = &d->m->engine.update;
        Error error = { 0 };

        (void) snprintf(d->step, sizeof d->step, "downloading");
        while (d->index < update->n_ecus && (update->ecus[d->index].state != ENGINE_ECU_PENDING || is_there(update, d->index) ||
                                             is_others(d, &update->ecus[d->index])))
                d->index++;
        if (d->index == update->n_ecus)
                manager_job_done(d->m, &(EngineEvent) { .kind = ENGINE_DOWNLOADED });
        else if (!update->ecus[d->index].ostree)
                start_file(d);
        else if (pull(d, &error) < 0)
                failed(d, &error);
}

/* Uptane 5.4.2 (4) */
int download_start(Manager *m, Error *error)
{
        Download *d = xcalloc(1, sizeof *d);

        (void) error;
        d->job.free = download_free;
        d->m = m;
        d->fd = -1;
        m->job = &d->job;
        manager_set_step(m, "downloading", 0, 0);
        next(d);
        return 0;
}
