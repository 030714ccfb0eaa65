/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Primary's own software, an OSTree commit. It is prepared when all of it is in the sysroot's repository; installing is
 * a new deployment, which the shutdown writes. It comes last: by then every other ECU has its image.
 */
#include "base/codec.h"
#include "uptaned/bundle.h"

/* What uptane-ostree is asked about. */
static int open_call(Work *w, const char *member, sd_bus_message **ret, Error *error)
{
        w->helper = helper_free(w->helper);
        return helper_open(w->m->event, HELPER_OSTREE, w->m->config.ostree_socket, &w->helper, error) < 0 ||
                       download_tell_arguments(w->m, w->helper, work_ecu(w), error) < 0 || helper_message(w->helper, member, ret, error) < 0
                   ? -1
                   : 0;
}

/* ---- preparing ---- */

static void on_pulled(void *userdata, sd_bus_message *reply, Error *error)
{
        if (reply)
                work_ready(userdata);
        else
                work_failed(userdata, error);
}

/* It was pulled before; here it is found out that nothing of it is missing, and what is gone since then is fetched again. */
static int pull(Work *w, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        if (open_call(w, "Pull", &call, error) < 0)
                return -1;
        r = download_append_pull(w->m, call, work_ecu(w));
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking uptane-ostree");
        return helper_call(w->helper, call, w->m->config.image_timeout, on_pulled, w, error);
}

static int prepare(Work *w, Error *error)
{
        if (!work_ecu(w)->ostree)
                return error_set(error, ERR_NOT_SUPPORTED, "'%.100s' is no OSTree image; the Primary takes no other", work_ecu(w)->image);
        return work_verify(w, pull, error);
}

/* ---- installing ---- */

static void on_deployed(void *userdata, sd_bus_message *reply, Error *error)
{
        int need_reboot;

        if (reply && sd_bus_message_read(reply, "b", &need_reboot) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-ostree answered in another form than agreed");
        if (error->code != ERR_NONE)
                work_failed(userdata, error);
        else
                work_done(userdata, need_reboot);
}

/* Uptane 5.4.3 (5), Uptane 5.4.3.5 (a) */
static int deploy(Work *w, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        char commit[2 * SHA256_SIZE + 1];
        int hold = engine_holds_reboot(&w->m->engine, manager_now(w->m)), r;

        hex_encode(slice(work_ecu(w)->hashes.sha256, SHA256_SIZE), commit);
        if (open_call(w, "Deploy", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "ssb", commit, work_ecu(w)->image, hold);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking for a deployment");
        return helper_call(w->helper, call, w->m->config.install_timeout, on_deployed, w, error);
}

/* The others may have taken long: all metadata is looked at once more. */
static int install(Work *w, Error *error)
{
        return work_verify(w, deploy, error);
}

const Driver install_ostree = { .size = sizeof(Work), .prepare = prepare, .install = install };
