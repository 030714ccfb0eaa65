/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper is given no more than a repository could give it, and keeps no more than a repository could have kept: the
 * roles of two repositories under their names. The limits of size are enforced here as well, where the bytes arrive.
 */
#include "uptaned/verify.h"

#include <errno.h>
#include <unistd.h>

#include "io/file.h"

#define PATH "/org/uptane/Files1"
#define INTERFACE "org.uptane.Files1"
#define COMPUTE_SECONDS 60 /* between two questions, beyond what a transfer may take */

struct Verify {
        Manager *m;
        Fetch *fetch; /* NULL: only what is stored */
        Helper *helper;
        sd_bus_message *asked; /* a Get that waits for its answer */
        TrustKind kind;        /* of it */
        char *role;
        int64_t version;
        char *url;
        int body;       /* file in memory */
        StoreFile file; /* being written by the helper */
        Error failure;
        sd_event_source *failing;
        VerifyDone done;
        void *userdata;
};

static void close_body(Verify *v)
{
        if (v->body >= 0)
                (void) close(v->body);
        v->body = -1;
}

Verify *verify_free(Verify *v)
{
        if (!v)
                return NULL;
        sd_event_source_disable_unref(v->failing);
        sd_bus_message_unref(v->asked);
        helper_free(v->helper);
        store_file_done(&v->file);
        close_body(v);
        free(v->role);
        free(v->url);
        free(v);
        return NULL;
}

/* ---- failures on this side ---- */

static int on_failing(sd_event_source *source, void *userdata)
{
        Verify *v = userdata;
        Error error = v->failure;

        (void) source;
        v->failing = sd_event_source_disable_unref(v->failing);
        v->done(v->userdata, NULL, &error);
        return 0;
}

/* From a handler of the helper's calls, which must not free the connection. The helper gets no answer any more. */
static int fail(Verify *v, const Error *error)
{
        v->failure = *error;
        if (sd_event_add_defer(v->m->event, &v->failing, on_failing, v) < 0)
                return -ENOMEM;
        return 1;
}

/* ---- files to the helper ---- */

/* "ah" with the file in it, or with none. */
static int append_file(sd_bus_message *reply, int fd)
{
        return fd < 0 ? sd_bus_message_append(reply, "ah", 0) : sd_bus_message_append(reply, "ah", 1, fd);
}

static int reply_file(sd_bus_message *call, int fd)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = append_file(reply, fd);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int read_kind(sd_bus_message *call, TrustKind *ret)
{
        uint32_t kind;
        int r = sd_bus_message_read(call, "u", &kind);

        if (r < 0 || kind >= _TRUST_KIND_MAX)
                return r < 0 ? r : -EINVAL;
        *ret = (TrustKind) kind;
        return 0;
}

static int read_role(sd_bus_message *call, Role *ret)
{
        uint32_t role;
        int r = sd_bus_message_read(call, "u", &role);

        if (r < 0 || role >= _ROLE_MAX)
                return r < 0 ? r : -EINVAL;
        *ret = (Role) role;
        return 0;
}

/* The first Root, as long as nothing that rests on it was verified. */
static int open_shipped_root(Verify *v, TrustKind kind, int *ret, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };

        if (store_root_shipped(kind, v->m->config.root_directory, &bytes, error) < 0)
                return -1;
        *ret = file_memory(buffer_slice(&bytes), error);
        return *ret < 0 ? -1 : 1;
}

static int on_get_trusted(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        static const char *const steps[] = { [TRUST_DIRECTOR] = "verifying the Director", [TRUST_IMAGE] = "verifying the Image repository" };
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        Verify *v = userdata;
        cleanup_close int fd = -1;
        Error error = { 0 };
        TrustKind kind;
        bool shipped = false;
        Role role;
        int r = read_kind(call, &kind), there;

        (void) ret;
        if (r >= 0)
                r = read_role(call, &role);
        if (r < 0)
                return r;
        helper_touch(v->helper);
        if (role == ROLE_ROOT && v->fetch)
                manager_set_step(v->m, steps[kind], 0, 0);
        there = store_metadata_open(v->m->store, kind, role, NULL, &fd, &error);
        if (there == 0 && role == ROLE_ROOT) {
                shipped = true;
                there = open_shipped_root(v, kind, &fd, &error);
        }
        if (there < 0)
                return fail(v, &error);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", shipped);
        if (r >= 0)
                r = append_file(reply, fd);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int give_stored(Verify *v, sd_bus_message *call, TrustKind kind, Role role, const char *name)
{
        cleanup_close int fd = -1;
        Error error = { 0 };

        if (role != ROLE_ROOT && store_metadata_open(v->m->store, kind, role, *name ? name : NULL, &fd, &error) < 0)
                return fail(v, &error);
        return reply_file(call, fd);
}

static int on_load(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Verify *v = userdata;
        const char *name;
        TrustKind kind;
        int r = read_kind(call, &kind);

        (void) ret;
        if (r >= 0)
                r = sd_bus_message_read(call, "s", &name);
        if (r < 0)
                return r;
        helper_touch(v->helper);
        return give_stored(v, call, kind, ROLE_TARGETS, name);
}

/* ---- from the network ---- */

static int take_piece(void *userdata, uint64_t offset, Slice piece, Error *error)
{
        Verify *v = userdata;

        (void) offset;
        helper_touch(v->helper);
        return file_write_all(v->body, piece, error);
}

static void on_fetched(void *userdata, const FetchAnswer *answer, Error *error)
{
        Verify *v = userdata;
        int r;

        if (!answer) {
                (void) error_prefix(error, "%s %s", trust_kind_name(v->kind), v->role);
                error_about(error, trust_kind_name(v->kind), v->role, v->version);
                v->done(v->userdata, NULL, error);
                return;
        }
        helper_touch(v->helper);
        (void) lseek(v->body, 0, SEEK_SET);
        r = reply_file(v->asked, answer->status == 404 ? -1 : v->body);
        v->asked = sd_bus_message_unref(v->asked);
        close_body(v);
        if (r < 0) {
                (void) error_set_errno(error, ERR_HELPER, -r, "answering uptane-verify");
                v->done(v->userdata, NULL, error);
        }
}

/* Uptane 5.4.4.2 (c): from the repository's URL */
static int fetch(Verify *v, const TrustStep *step, Error *error)
{
        cleanup_free char *file = trust_step_file(step);
        const Config *c = &v->m->config;
        const char *base = v->kind == TRUST_DIRECTOR ? c->director_url : c->repository_url;
        FetchRequest request = {
                .max = step->max_bytes < c->max_bytes[step->role] ? step->max_bytes : c->max_bytes[step->role],
                .seconds = c->metadata_timeout,
                .slowest = c->slowest,
                .sink = take_piece,
                .done = on_fetched,
                .userdata = v,
        };

        v->body = file_memory(SLICE_NONE, error);
        if (v->body < 0)
                return -1;
        free(v->url);
        v->url = xasprintf("%s/%s", base, file);
        request.url = v->url;
        request.authenticate = manager_authenticates(v->m, v->url);
        return fetch_get(v->fetch, &request, error);
}

static int on_get(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        TrustStep step = { .kind = TRUST_FETCH };
        Verify *v = userdata;
        Error error = { 0 };
        const char *name;
        uint64_t max;
        TrustKind kind;
        int r = read_kind(call, &kind);

        (void) ret;
        if (r >= 0)
                r = read_role(call, &step.role);
        if (r >= 0)
                r = sd_bus_message_read(call, "sxt", &name, &step.version, &max);
        if (r < 0 || v->asked)
                return r < 0 ? r : -EBUSY;
        helper_touch(v->helper);
        if (!v->fetch)
                return give_stored(v, call, kind, step.role, name);
        step.name = *name ? name : NULL;
        step.max_bytes = max;
        v->kind = kind;
        v->version = step.version;
        free(v->role);
        v->role = xstrdup(step.name ? step.name : role_name(step.role));
        if (fetch(v, &step, &error) < 0)
                return fail(v, &error);
        v->asked = sd_bus_message_ref(call);
        return 1;
}

/* ---- what was verified ---- */

static int keep(Verify *v, TrustKind kind, Role role, const char *name, int64_t version, Slice bytes, Error *error)
{
        if (*name)
                return store_delegated_put(v->m->store, kind, name, version, bytes, error);
        return store_metadata_put(v->m->store, kind, role, version, bytes, error);
}

static int read_kept(sd_bus_message *call, TrustKind *kind, Role *role, const char **name, int64_t *version)
{
        int r = read_kind(call, kind);

        if (r >= 0)
                r = read_role(call, role);
        return r < 0 ? r : sd_bus_message_read(call, "sx", name, version);
}

static int on_put(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Verify *v = userdata;
        Error error = { 0 };
        const char *name;
        const void *data;
        int64_t version;
        TrustKind kind;
        size_t size;
        Role role;
        int r = read_kept(call, &kind, &role, &name, &version);

        (void) ret;
        if (r >= 0)
                r = sd_bus_message_read_array(call, 'y', &data, &size);
        if (r < 0 || !v->fetch || size > v->m->config.max_bytes[role])
                return r < 0 ? r : -EINVAL;
        helper_touch(v->helper);
        if (keep(v, kind, role, name, version, slice(data, size), &error) < 0)
                return fail(v, &error);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_create(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Verify *v = userdata;
        Error error = { 0 };
        TrustKind kind;
        int r = read_kind(call, &kind);

        (void) ret;
        if (r < 0 || !v->fetch)
                return r < 0 ? r : -EINVAL;
        helper_touch(v->helper);
        store_file_done(&v->file);
        if (store_file_new(v->m->store, &v->file, &error) < 0)
                return fail(v, &error);
        return sd_bus_reply_method_return(call, "h", v->file.fd);
}

static int on_put_file(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Verify *v = userdata;
        Error error = { 0 };
        const char *name;
        int64_t version;
        TrustKind kind;
        Role role;
        int r = read_kept(call, &kind, &role, &name, &version);

        (void) ret;
        if (r < 0 || !v->fetch || role == ROLE_ROOT || v->file.fd < 0)
                return r < 0 ? r : -EINVAL;
        helper_touch(v->helper);
        if (store_metadata_put_file(v->m->store, kind, role, *name ? name : NULL, version, &v->file, &error) < 0)
                return fail(v, &error);
        store_file_done(&v->file);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_forget(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Verify *v = userdata;
        Error error = { 0 };
        TrustKind kind;
        int r = read_kind(call, &kind);

        (void) ret;
        if (r < 0 || !v->fetch)
                return r < 0 ? r : -EINVAL;
        helper_touch(v->helper);
        if (store_metadata_forget(v->m->store, kind, &error) < 0)
                return fail(v, &error);
        return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable files[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetTrusted", "uu", "bah", on_get_trusted, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Get", "uusxt", "ah", on_get, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Load", "us", "ah", on_load, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Put", "uusxay", "", on_put, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Create", "u", "h", on_create, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("PutFile", "uusx", "", on_put_file, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Forget", "u", "", on_forget, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* ---- the whole ---- */

static void on_verified(void *userdata, sd_bus_message *reply, Error *error)
{
        Verify *v = userdata;
        Verified verified;

        if (v->failing)
                return; /* its connection ends because of what on_failing() tells */
        if (!reply || verify_read_result(v->m, reply, &verified, error) < 0) {
                v->done(v->userdata, NULL, error);
                return;
        }
        v->done(v->userdata, &verified, error);
        if (verified.update)
                engine_update_done(verified.update);
        free(verified.update);
        strv_free(verified.roles);
}

int verified_check(const Verified *verified, const EngineEcu *want, Error *error)
{
        for (size_t i = 0; verified->update && i < verified->update->n_ecus; i++) {
                const EngineEcu *a = &verified->update->ecus[i];

                if (strcmp(a->serial, want->serial) == 0 && strcmp(a->image, want->image) == 0 && a->length == want->length &&
                    hashes_match(&a->hashes, &want->hashes))
                        return 0;
        }
        return error_set(error, ERR_WITHDRAWN, "%s: '%.100s' is not assigned any more", want->serial, want->image);
}

int verify_start(Manager *m, Fetch *fetch, const char *install, VerifyDone done, void *userdata, Verify **ret, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        CLEANUP(verify_free) Verify *v = xcalloc(1, sizeof *v);
        /* Uptane 5.4.4.2 (1a) */
        const int64_t now[_TRUST_KIND_MAX] = { manager_now_for(m, TRUST_DIRECTOR), manager_now_for(m, TRUST_IMAGE) };
        int r;

        v->m = m;
        v->fetch = fetch;
        v->body = v->file.fd = -1;
        v->done = done;
        v->userdata = userdata;
        if (helper_open(m->event, HELPER_VERIFY, m->config.verify_socket, &v->helper, error) < 0 ||
            helper_serve(v->helper, PATH, INTERFACE, files, v, error) < 0 || helper_message(v->helper, "Verify", &call, error) < 0)
                return -1;
        r = verify_append_request(m, call, now, install ? install : "");
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking uptane-verify");
        if (helper_call(v->helper, call, m->config.metadata_timeout + COMPUTE_SECONDS, on_verified, v, error) < 0)
                return -1;
        *ret = TAKE_PTR(v);
        return 0;
}
