/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/helper.h"

#include <assert.h>
#include <errno.h>

#include "peer/peer.h"

static const struct {
        const char *name, *path, *interface;
} kinds[] = {
        [HELPER_FETCH] = { "uptane-fetch", "/org/uptane/Fetch1", "org.uptane.Fetch1" },
        [HELPER_VERIFY] = { "uptane-verify", "/org/uptane/Verify1", "org.uptane.Verify1" },
        [HELPER_OSTREE] = { "uptane-ostree", "/org/uptane/Install1", "org.uptane.Install1" },
        [HELPER_HEALTH] = { "uptane-health", "/org/uptane/Health1", "org.uptane.Health1" },
        [HELPER_SECONDARY_IP] = { "uptane-secondary-ip", "/org/uptane/Secondary1", "org.uptane.Secondary1" },
        [HELPER_EXEC] = { "uptane-exec", "/org/uptane/Exec1", "org.uptane.Exec1" },
};
static_assert(ELEMENTSOF(kinds) == _HELPER_KIND_MAX, "a helper without a name");

struct Helper {
        HelperKind kind;
        sd_event *event;
        Peer *peer;
        sd_bus_slot *call, *match, *step_match, *served, *connected, *disconnected;
        sd_bus_message *waiting; /* the call, until the other side has let us in */
        sd_event_source *deadline;
        uint64_t seconds;
        HelperReply reply;
        void *userdata;
        HelperProgress progress;
        void *progress_userdata;
        HelperStep step;
        void *step_userdata;
};

static void answer(Helper *helper, sd_bus_message *reply, Error *error)
{
        HelperReply f = helper->reply;

        helper->reply = NULL;
        helper->call = sd_bus_slot_unref(helper->call);
        helper->waiting = sd_bus_message_unref(helper->waiting);
        helper->deadline = sd_event_source_disable_unref(helper->deadline);
        if (f)
                f(helper->userdata, reply, error);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Helper *helper = userdata;
        Error error = { 0 };

        (void) ret;
        if (sd_bus_message_is_method_error(m, NULL)) {
                (void) peer_error_from_message(m, &error);
                if (error.code == ERR_HELPER)
                        (void) error_prefix(&error, "%s", kinds[helper->kind].name);
                answer(helper, NULL, &error);
        } else
                answer(helper, m, &error);
        return 0;
}

static int send_call(Helper *helper, sd_bus_message *call)
{
        return sd_bus_call_async(peer_bus(helper->peer), &helper->call, call, on_reply, helper, UINT64_MAX);
}

static int on_connected(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Helper *helper = userdata;
        Error error = { 0 };
        int r;

        (void) m;
        (void) ret;
        call = TAKE_PTR(helper->waiting);
        r = call ? send_call(helper, call) : 0;
        if (r < 0) {
                (void) error_set_errno(&error, ERR_HELPER, -r, "%s", kinds[helper->kind].name);
                answer(helper, NULL, &error);
        }
        return 0;
}

/* What was sent is answered by sd-bus then. */
static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Helper *helper = userdata;
        Error error = { 0 };

        (void) m;
        (void) ret;
        if (helper->waiting) {
                (void) error_set(&error, ERR_HELPER, "%s: connection lost", kinds[helper->kind].name);
                answer(helper, NULL, &error);
        }
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Helper *helper = userdata;
        Error error = { 0 };

        (void) source;
        (void) usec;
        (void) error_set(&error, ERR_TIMEOUT, "%s gave no answer for %llu s", kinds[helper->kind].name,
                         (unsigned long long) helper->seconds);
        answer(helper, NULL, &error);
        return 0;
}

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Helper *helper = userdata;
        uint64_t done, total;

        (void) ret;
        if (sd_bus_message_read(m, "tt", &done, &total) < 0)
                return 0;
        helper_touch(helper);
        if (helper->progress)
                helper->progress(helper->progress_userdata, done, total);
        return 0;
}

static int on_step(sd_bus_message *m, void *userdata, sd_bus_error *ret)
{
        Helper *helper = userdata;
        const char *what;
        uint64_t done, total;

        (void) ret;
        if (sd_bus_message_read(m, "stt", &what, &done, &total) < 0)
                return 0;
        helper_touch(helper);
        if (helper->step)
                helper->step(helper->step_userdata, what, done, total);
        return 0;
}

static int match_local(Helper *helper, const char *member, sd_bus_message_handler_t f, sd_bus_slot **ret)
{
        return sd_bus_match_signal(peer_bus(helper->peer), ret, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", member, f,
                                   helper);
}

int helper_open(sd_event *event, HelperKind kind, const char *socket_path, Helper **ret, Error *error)
{
        CLEANUP(helper_free) Helper *helper = xcalloc(1, sizeof *helper);
        int r;

        helper->kind = kind;
        helper->event = sd_event_ref(event);
        if (peer_connect(event, socket_path, &helper->peer, error) < 0)
                return error_prefix(error, "%s", kinds[kind].name);
        r = sd_bus_match_signal(peer_bus(helper->peer), &helper->match, NULL, kinds[kind].path, kinds[kind].interface,
                                "Progress", on_progress, helper);
        if (r >= 0)
                r = sd_bus_match_signal(peer_bus(helper->peer), &helper->step_match, NULL, kinds[kind].path, kinds[kind].interface, "Step",
                                        on_step, helper);
        if (r >= 0)
                r = match_local(helper, "Connected", on_connected, &helper->connected);
        if (r >= 0)
                r = match_local(helper, "Disconnected", on_disconnected, &helper->disconnected);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "%s", kinds[kind].name);
        *ret = TAKE_PTR(helper);
        return 0;
}

Helper *helper_free(Helper *helper)
{
        if (!helper)
                return NULL;
        sd_bus_slot_unref(helper->call);
        sd_bus_slot_unref(helper->match);
        sd_bus_slot_unref(helper->step_match);
        sd_bus_slot_unref(helper->served);
        sd_bus_slot_unref(helper->connected);
        sd_bus_slot_unref(helper->disconnected);
        sd_bus_message_unref(helper->waiting);
        sd_event_source_disable_unref(helper->deadline);
        peer_free(helper->peer);
        sd_event_unref(helper->event);
        free(helper);
        return NULL;
}

int helper_serve(Helper *helper, const char *path, const char *interface, const sd_bus_vtable *vtable, void *userdata, Error *error)
{
        int r = sd_bus_add_object_vtable(peer_bus(helper->peer), &helper->served, path, interface, vtable, userdata);

        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "%s", kinds[helper->kind].name) : 0;
}

int helper_message(Helper *helper, const char *member, sd_bus_message **ret, Error *error)
{
        int r = sd_bus_message_new_method_call(peer_bus(helper->peer), ret, NULL, kinds[helper->kind].path,
                                               kinds[helper->kind].interface, member);

        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "%s: %s", kinds[helper->kind].name, member) : 0;
}

/* sd-bus sends no descriptors before the other side has let us in: it would wait for that, for as long as the other side likes. */
static int send_when_connected(Helper *helper, sd_bus_message *call)
{
        sd_bus *bus = peer_bus(helper->peer);

        if (sd_bus_is_ready(bus) > 0)
                return send_call(helper, call);
        if (sd_bus_is_open(bus) <= 0)
                return -ENOTCONN;
        helper->waiting = sd_bus_message_ref(call);
        return 0;
}

int helper_call(Helper *helper, sd_bus_message *call, unsigned seconds, HelperReply reply, void *userdata, Error *error)
{
        int r;

        assert(!helper->reply);
        r = send_when_connected(helper, call);
        if (r >= 0)
                r = sd_event_add_time_relative(helper->event, &helper->deadline, CLOCK_BOOTTIME, (uint64_t) seconds * 1000000,
                                               100000, on_deadline, helper);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "%s", kinds[helper->kind].name);
        helper->seconds = seconds;
        helper->reply = reply;
        helper->userdata = userdata;
        return 0;
}

int helper_tell(Helper *helper, sd_bus_message *message, Error *error)
{
        int r = sd_bus_message_set_expect_reply(message, 0);

        if (r >= 0)
                r = sd_bus_send(peer_bus(helper->peer), message, NULL);
        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "%s", kinds[helper->kind].name) : 0;
}

void helper_set_step(Helper *helper, HelperStep step, void *userdata)
{
        helper->step = step;
        helper->step_userdata = userdata;
}

void helper_set_progress(Helper *helper, HelperProgress progress, void *userdata)
{
        helper->progress = progress;
        helper->progress_userdata = userdata;
}

void helper_touch(Helper *helper)
{
        if (helper->deadline)
                (void) sd_event_source_set_time_relative(helper->deadline, helper->seconds * 1000000);
}

int helper_append_bytes(sd_bus_message *call, Slice bytes, Error *error)
{
        int r = sd_bus_message_append_array(call, 'y', bytes.data, bytes.size);

        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "adding %zu bytes to a call", bytes.size) : 0;
}

int helper_read_bytes(sd_bus_message *message, size_t max, Slice *ret, Error *error)
{
        const void *data;
        size_t size;
        int r = sd_bus_message_read_array(message, 'y', &data, &size);

        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "a helper answered in another form than agreed");
        if (size > max)
                return error_set(error, ERR_TOO_LARGE, "%zu bytes where at most %zu are allowed", size, max);
        *ret = slice(data, size);
        return 0;
}
