/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use a verb. The bus says who the sender is, so nothing is asked of the sender itself; polkit is asked without
 * waiting for it. Where there is no polkit, only root and the group may. What is done then is what was asked for, as
 * long as who asked is still there: the message is kept and cannot change. Of those that wait there are few, and small.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "peer/peer.h"
#include "uptaned/bus.h"

#define GROUP "uptane"
#define GROUPS_MAX 256
#define POLKIT_SECONDS 60 /* somebody may have to type a password */
#define ASKING_MAX 32     /* verbs that wait for it */
#define TEXT_MAX 1024     /* of an argument */

typedef struct Auth {
        Manager *m;
        sd_bus_message *message;
        sd_bus_track *caller;
        AuthVerb verb;
} Auth;

static bool in_group(uid_t uid)
{
        const struct group *group = getgrnam(GROUP);
        gid_t wanted = group ? group->gr_gid : 0, list[GROUPS_MAX];
        const struct passwd *user = group ? getpwuid(uid) : NULL;
        int n = GROUPS_MAX;

        if (!user || getgrouplist(user->pw_name, user->pw_gid, list, &n) < 0)
                return false;
        for (int i = 0; i < n; i++)
                if (list[i] == wanted)
                        return true;
        return false;
}

/* 1: allowed, 0: ask polkit, -1 with error. */
static int allowed_by_uid(sd_bus_message *message, Error *error)
{
        __attribute__((cleanup(sd_bus_creds_unrefp))) sd_bus_creds *creds = NULL;
        uid_t uid;
        int r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID, &creds);

        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        if (r < 0)
                return error_set_errno(error, ERR_ACCESS_DENIED, -r, "the bus does not say who is calling");
        return uid == 0 || uid == getuid() || in_group(uid);
}

/* What the verbs take is short; nobody fills this memory with other things. */
static int check_size(sd_bus_message *message, Error *error)
{
        const char *text;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(message, &type, NULL)) > 0) {
                r = type == SD_BUS_TYPE_STRING ? sd_bus_message_read_basic(message, type, &text) : sd_bus_message_skip(message, NULL);
                if (r < 0)
                        break;
                if (type == SD_BUS_TYPE_STRING && strlen(text) > TEXT_MAX)
                        return error_set(error, ERR_INVALID_ARGUMENT, "an argument is longer than %d bytes", TEXT_MAX);
        }
        if (r >= 0)
                r = sd_bus_message_rewind(message, 1);
        return r < 0 ? error_set_errno(error, ERR_INVALID_ARGUMENT, -r, "the arguments cannot be read") : 0;
}

static void answer(Manager *m, sd_bus_message *message, AuthVerb verb, Error *error)
{
        int r = error->code == ERR_NONE ? verb(m, message, error) : -1;

        if (r == 0)
                (void) sd_bus_reply_method_return(message, NULL);
        else if (r < 0)
                (void) sd_bus_reply_method_errorf(message, error_info(error->code)->dbus_name, "%s", error->message);
}

static void auth_free(void *userdata)
{
        Auth *a = userdata;

        a->m->n_asking--;
        sd_bus_track_unref(a->caller);
        sd_bus_message_unref(a->message);
        free(a);
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *ret)
{
        Auth *a = userdata;
        Error error = { 0 };
        int yes = 0, challenge = 0;

        (void) ret;
        if (sd_bus_track_count(a->caller) == 0)
                return 0; /* who asked is gone: nobody wants it any more */
        if (sd_bus_message_is_method_error(reply, NULL))
                (void) error_set(&error, ERR_ACCESS_DENIED, "only root and members of group " GROUP " may do this");
        else if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 || sd_bus_message_read(reply, "bb", &yes, &challenge) < 0 || !yes)
                (void) error_set(&error, ERR_ACCESS_DENIED, challenge ? "this needs an authentication that nobody gave" : "polkit does not allow it");
        answer(a->m, a->message, a->verb, &error);
        return 0;
}

static int ask_polkit(Auth *a, const char *action)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        __attribute__((cleanup(sd_bus_slot_unrefp))) sd_bus_slot *slot = NULL;
        int r = sd_bus_track_new(a->m->bus, &a->caller, NULL, NULL);

        if (r >= 0)
                r = sd_bus_track_add_sender(a->caller, a->message);
        if (r >= 0)
                r = sd_bus_message_new_method_call(a->m->bus, &call, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                                                   "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s", sd_bus_message_get_sender(a->message),
                                          action, 0, sd_bus_message_get_allow_interactive_authorization(a->message) > 0 ? 1 : 0, "");
        if (r >= 0)
                r = sd_bus_call_async(a->m->bus, &slot, call, on_polkit, a, POLKIT_SECONDS * UINT64_C(1000000));
        if (r >= 0)
                r = sd_bus_slot_set_destroy_callback(slot, auth_free);
        if (r >= 0)
                r = sd_bus_slot_set_floating(slot, 1);
        return r;
}

int auth_run(Manager *m, sd_bus_message *message, const char *action, AuthVerb verb, sd_bus_error *ret)
{
        Error error = { 0 };
        int r = check_size(message, &error) < 0 ? -1 : allowed_by_uid(message, &error);
        Auth *a;

        if (r == 0 && m->n_asking == ASKING_MAX)
                r = error_set(&error, ERR_ACCESS_DENIED, "%d questions wait for polkit already", ASKING_MAX);
        if (r != 0) {
                answer(m, message, verb, &error);
                return 1;
        }
        a = xcalloc(1, sizeof *a);
        *a = (Auth) { .m = m, .message = sd_bus_message_ref(message), .verb = verb };
        m->n_asking++;
        r = ask_polkit(a, action);
        if (r >= 0)
                return 1;
        auth_free(a);
        (void) error_set_errno(&error, ERR_ACCESS_DENIED, -r, "polkit cannot be asked");
        return peer_error_reply(&error, ret);
}
