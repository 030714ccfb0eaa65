/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-verify: full verification of both repositories for uptaned, in a process of its own. Whoever reads what comes from
 * outside has neither the vehicle's key nor its state, and the daemon's event loop goes on meanwhile.
 *
 * It answers one question, "what do the repositories want installed on these ECUs", and asks uptaned, over the same
 * connection, for every file that it needs (docs/HELPERS.md). Without clock, files or network: with the same answers it
 * comes to the same result.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "io/file.h"
#include "peer/peer.h"
#include "verify/wire.h"

#define FILES_PATH "/org/uptane/Files1"
#define FILES_INTERFACE "org.uptane.Files1"
#define PUT_MAX ((size_t) 256 * 1024) /* what is larger goes into a file */

/* One repository as uptaned serves it. */
typedef struct Source {
        sd_bus *bus;
        TrustKind kind;
} Source;

#define cleanup_message __attribute__((cleanup(sd_bus_message_unrefp)))

static int ask(const Source *s, sd_bus_message *call, sd_bus_message **ret, Error *error)
{
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error failure = SD_BUS_ERROR_NULL;
        int r = sd_bus_call(s->bus, call, UINT64_MAX, &failure, ret);

        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "uptaned: %s", failure.message ? failure.message : sd_bus_message_get_member(call)) : 0;
}

static int new_call(const Source *s, const char *member, sd_bus_message **ret, Error *error)
{
        int r = sd_bus_message_new_method_call(s->bus, ret, NULL, FILES_PATH, FILES_INTERFACE, member);

        if (r >= 0)
                r = sd_bus_message_append(*ret, "u", (uint32_t) s->kind);
        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "%s", member) : 0;
}

/* A file as "ah": one descriptor, or none where it is absent. 1, 0. */
static int take_file(sd_bus_message *reply, Buffer *ret, Error *error)
{
        int fd, n, r = sd_bus_message_enter_container(reply, 'a', "h");

        if (r >= 0)
                r = n = sd_bus_message_read(reply, "h", &fd);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "uptaned answered in another form than agreed");
        return n == 0 ? 0 : file_read_fd(fd, "a file from uptaned", SIZE_MAX, ret, error) < 0 ? -1 : 1;
}

static int get(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        cleanup_message sd_bus_message *call = NULL, *reply = NULL;
        const Source *s = userdata;
        bool load = step->kind == TRUST_LOAD;
        int r;

        if (new_call(s, load ? "Load" : "Get", &call, error) < 0)
                return -1;
        if (load)
                r = sd_bus_message_append(call, "s", step->name);
        else
                r = sd_bus_message_append(call, "usxt", (uint32_t) step->role, step->name ? step->name : "", step->version,
                                          (uint64_t) step->max_bytes);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking for a file");
        return ask(s, call, &reply, error) < 0 ? -1 : take_file(reply, ret, error);
}

/* Written and made durable here: that may take long, and uptaned waits for nothing. */
static int write_file(const Source *s, Slice bytes, Error *error)
{
        cleanup_message sd_bus_message *call = NULL, *reply = NULL;
        int fd, r;

        if (new_call(s, "Create", &call, error) < 0 || ask(s, call, &reply, error) < 0)
                return -1;
        r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "uptaned answered in another form than agreed");
        if (file_write_all(fd, bytes, error) < 0)
                return -1;
        return fsync(fd) < 0 ? error_set_errno(error, errno == ENOSPC ? ERR_NO_SPACE : ERR_STORAGE, errno, "writing metadata") : 0;
}

static int put(void *userdata, const TrustStep *step, Error *error)
{
        cleanup_message sd_bus_message *call = NULL, *reply = NULL;
        const Source *s = userdata;
        bool large = step->bytes.size > PUT_MAX && step->role != ROLE_ROOT, forget = step->kind == TRUST_FORGET;
        int r = 0;

        if ((large && write_file(s, step->bytes, error) < 0) ||
            new_call(s, forget ? "Forget" : large ? "PutFile" : "Put", &call, error) < 0)
                return -1;
        if (!forget)
                r = sd_bus_message_append(call, "usx", (uint32_t) step->role, step->name ? step->name : "", step->version);
        if (r >= 0 && !forget && !large)
                r = sd_bus_message_append_array(call, 'y', step->bytes.data, step->bytes.size);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "having a file kept");
        return ask(s, call, &reply, error);
}

static int restore(const Source *s, TrustRepo *repo, Role role, Error *error)
{
        cleanup_message sd_bus_message *call = NULL, *reply = NULL;
        cleanup_buffer Buffer bytes = { 0 };
        int shipped, r;

        if (new_call(s, "GetTrusted", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "u", (uint32_t) role);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking for a trusted file");
        if (ask(s, call, &reply, error) < 0)
                return -1;
        r = sd_bus_message_read(reply, "b", &shipped);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "uptaned answered in another form than agreed");
        r = take_file(reply, &bytes, error);
        if (r == 0 && role == ROLE_ROOT)
                return error_set(error, ERR_NO_ROOT, "%s: no trusted Root", trust_kind_name(s->kind));
        if (r <= 0)
                return r;
        return shipped ? trust_repo_ship(repo, buffer_slice(&bytes), error) : trust_repo_restore(repo, role, buffer_slice(&bytes), error);
}

/* Uptane 5.4.2.3 (b): one repository in full */
static int verify_repository(const Source *s, const VerifyRequest *request, TrustRepo **ret, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&request->options[s->kind]);
        const TrustFiles files = { .get = get, .put = request->install ? NULL : put, .userdata = (void *) s };

        for (unsigned role = 0; role < _ROLE_MAX; role++)
                if (restore(s, repo, (Role) role, error) < 0)
                        return -1;
        if (trust_repo_drive(repo, &files, error) < 0)
                return -1;
        *ret = TAKE_PTR(repo);
        return 0;
}

/* Uptane 5.4.4.2 (10a), Uptane 5.4.2.3 (a): every image that the Director lists, or the one that is about to be installed */
static int check_images(const Source *s, const VerifyRequest *request, TrustRepo *images, Plan *plan, Error *error)
{
        const TrustFiles files = { .get = get, .put = request->install ? NULL : put, .userdata = (void *) s };

        for (size_t i = 0; i < plan->n_assignments; i++)
                if ((!request->install || strcmp(plan->assignments[i].ecu->serial, request->install) == 0) &&
                    uptane_search_image(plan, i, images, &files, (const char *const *) request->must_match, error) < 0)
                        return -1;
        return 0;
}

/* Uptane 5.4.4 (a), Uptane 5.4.4.2 (a): both repositories */
static int verify(sd_bus_message *call, const VerifyRequest *request, VerifyResult *result)
{
        CLEANUP(trust_repo_free) TrustRepo *director = NULL, *images = NULL;
        const Source d = { sd_bus_message_get_bus(call), TRUST_DIRECTOR }, i = { sd_bus_message_get_bus(call), TRUST_IMAGE };
        cleanup_plan Plan plan = { 0 };
        Error *error = &result->error;
        const Targets *targets;

        if (verify_repository(&d, request, &director, error) < 0)
                return verify_result_reply(call, result);
        targets = trust_repo_targets(director);
        result->correlation_id = targets->correlation_id;
        result->targets_version = trust_repo_metadata(director, ROLE_TARGETS)->version;
        if (uptane_check_vehicle(targets, &request->vehicle, error) < 0 ||
            uptane_check_director(targets, request->ecus, request->n_ecus, true, &plan, error) < 0)
                return verify_result_reply(call, result);
        result->plan = &plan;
        /* Uptane 5.4.4.2 (6a): nothing new for this vehicle ends the check */
        result->image = plan.n_pending > 0 || request->install;
        if (result->image && verify_repository(&i, request, &images, error) == 0)
                (void) !check_images(&i, request, images, &plan, error);
        result->images = request->install ? images : NULL;
        return verify_result_reply(call, result);
}

static int on_verify(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        __attribute__((cleanup(verify_request_done))) VerifyRequest request;
        VerifyResult result = { 0 };
        int r = verify_request_read(call, &request);

        (void) userdata;
        (void) ret;
        return r < 0 ? r : verify(call, &request, &result);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Verify",
                SD_BUS_ARGS("s", install, "x", director_now, "x", image_now, "b", director_timestamp, "(ttttt)", limits, "as", must_match,
                            "(ssb)", vehicle, "a(ssbxsayayx)", ecus),
                SD_BUS_RESULT("(ssssx)", error, "b", image_repository, "x", targets_version, "s", correlation_id, "t", pending,
                              "a(sssayayxxbbs)", assignments, "as", roles), on_verify, 0),
        SD_BUS_VTABLE_END,
};

int main(int argc, char **argv)
{
        Error error = { 0 };

        (void) argv;
        (void) signal(SIGPIPE, SIG_IGN);
        if (argc > 1)
                (void) error_set(&error, ERR_INVALID_ARGUMENT, "usage: uptane-verify, started by its socket");
        else if (peer_serve("/org/uptane/Verify1", "org.uptane.Verify1", vtable, NULL, &error) == 0)
                return EXIT_SUCCESS;
        (void) fprintf(stderr, "uptane-verify: %s\n", error.message);
        return error_info(error.code)->exit_code;
}
