/* SPDX-License-Identifier: Apache-2.0 */
#include "verify/wire.h"

#include <errno.h>

#include "peer/peer.h"

static int read_sizes(sd_bus_message *call, VerifyRequest *ret)
{
        uint64_t max[_ROLE_MAX], delegated;
        int r = sd_bus_message_read(call, "(ttttt)", &max[ROLE_ROOT], &max[ROLE_TIMESTAMP], &max[ROLE_SNAPSHOT], &max[ROLE_TARGETS], &delegated);

        for (unsigned kind = 0; kind < _TRUST_KIND_MAX && r >= 0; kind++) {
                for (unsigned role = 0; role < _ROLE_MAX; role++)
                        ret->options[kind].max_bytes[role] = max[role];
                ret->options[kind].max_delegated_bytes = delegated;
        }
        return r;
}

static int read_hashes(sd_bus_message *call, Hashes *ret)
{
        const void *sha256, *sha512;
        size_t n256, n512;
        int r = sd_bus_message_read_array(call, 'y', &sha256, &n256);

        if (r >= 0)
                r = sd_bus_message_read_array(call, 'y', &sha512, &n512);
        if (r < 0)
                return r;
        if ((n256 && n256 != SHA256_SIZE) || (n512 && n512 != SHA512_SIZE))
                return -EBADMSG;
        ret->has_sha256 = n256 > 0;
        ret->has_sha512 = n512 > 0;
        if (n256)
                memcpy(ret->sha256, sha256, n256);
        if (n512)
                memcpy(ret->sha512, sha512, n512);
        return 0;
}

static int read_ecu(sd_bus_message *call, Ecu *ret)
{
        int primary, r = sd_bus_message_read(call, "ssbxs", &ret->serial, &ret->hardware_id, &primary, &ret->release_counter, &ret->image);

        if (r >= 0)
                r = read_hashes(call, &ret->hashes);
        if (r >= 0)
                r = sd_bus_message_read(call, "x", &ret->length);
        if (r < 0)
                return r;
        ret->primary = primary;
        if (!*ret->image)
                ret->image = NULL;
        return 0;
}

static int read_ecus(sd_bus_message *call, VerifyRequest *ret)
{
        int r = sd_bus_message_enter_container(call, 'a', "(ssbxsayayx)");

        while (r >= 0 && (r = sd_bus_message_enter_container(call, 'r', "ssbxsayayx")) > 0) {
                ret->ecus = xrealloc(ret->ecus, ret->n_ecus + 1, sizeof *ret->ecus);
                ret->ecus[ret->n_ecus] = (Ecu) { 0 };
                r = read_ecu(call, &ret->ecus[ret->n_ecus++]);
                if (r >= 0)
                        r = sd_bus_message_exit_container(call);
        }
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

int verify_request_read(sd_bus_message *call, VerifyRequest *ret)
{
        int with_timestamp, required;
        int64_t now[_TRUST_KIND_MAX];
        const char *install;
        int r = sd_bus_message_read(call, "sxxb", &install, &now[TRUST_DIRECTOR], &now[TRUST_IMAGE], &with_timestamp);

        *ret = (VerifyRequest) { 0 };
        if (r >= 0)
                r = read_sizes(call, ret);
        if (r >= 0)
                r = sd_bus_message_read_strv(call, &ret->must_match);
        if (r >= 0)
                r = sd_bus_message_read(call, "(ssb)", &ret->vehicle.vin, &ret->vehicle.device_id, &required);
        if (r >= 0)
                r = read_ecus(call, ret);
        if (r < 0)
                return r;
        ret->install = *install ? install : NULL;
        ret->vehicle.required = required;
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX; kind++) {
                ret->options[kind].kind = (TrustKind) kind;
                ret->options[kind].now = now[kind];
                ret->options[kind].must_match = (const char *const *) ret->must_match;
        }
        ret->options[TRUST_DIRECTOR].without_timestamp = !with_timestamp;
        return 0;
}

void verify_request_done(VerifyRequest *request)
{
        strv_free(request->must_match);
        free(request->ecus);
        *request = (VerifyRequest) { 0 };
}

static int append_error(sd_bus_message *reply, const Error *error)
{
        cleanup_free char *message = peer_utf8(error->message), *role = peer_utf8(error->role);

        return sd_bus_message_append(reply, "(ssssx)", error->code ? error_info(error->code)->dbus_name : "", message,
                                     error->repository ? error->repository : "", role, error->version);
}

/* Uptane 5.4.3.3 (1), Uptane 5.4.2.4 (c): what the Director says */
static int append_assignment(sd_bus_message *reply, const Assignment *a)
{
        const Target *d = a->director;
        int r = sd_bus_message_open_container(reply, 'r', "sssayayxxbbs");

        if (r >= 0)
                r = sd_bus_message_append(reply, "sss", a->ecu->serial, d->name, a->uri ? a->uri : "");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', d->hashes.sha256, d->hashes.has_sha256 ? SHA256_SIZE : 0);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', d->hashes.sha512, d->hashes.has_sha512 ? SHA512_SIZE : 0);
        if (r >= 0)
                r = sd_bus_message_append(reply, "xxbbs", d->length, a->image ? a->image->release_counter : d->release_counter, a->ostree,
                                          a->installed, d->kernel_arguments ? d->kernel_arguments : "");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_roles(sd_bus_message *reply, const TrustRepo *images)
{
        const char *name;
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (size_t i = 0; images && r >= 0 && trust_repo_delegated(images, i, &name); i++)
                r = sd_bus_message_append(reply, "s", name);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int verify_result_reply(sd_bus_message *call, const VerifyResult *result)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        static const Plan none = { 0 };
        const Plan *plan = result->plan ? result->plan : &none;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = append_error(reply, &result->error);
        if (r >= 0)
                r = sd_bus_message_append(reply, "bxst", result->image, result->targets_version,
                                          result->correlation_id ? result->correlation_id : "", (uint64_t) plan->n_pending);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssayayxxbbs)");
        for (size_t i = 0; i < plan->n_assignments && r >= 0; i++)
                r = append_assignment(reply, &plan->assignments[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = append_roles(reply, result->images);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
