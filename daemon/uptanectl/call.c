/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>

#include "uptanectl/ctl.h"

#define CALL_SECONDS 90 /* polkit may have to ask somebody */

int ctl_error(const sd_bus_error *e, int r, Error *error)
{
        ErrorCode code = e && e->name ? error_code_from_dbus(e->name) : ERR_NONE;

        if (code != ERR_NONE)
                return error_set(error, code, "%s", e->message ? e->message : "");
        if (e && e->name && (strcmp(e->name, SD_BUS_ERROR_SERVICE_UNKNOWN) == 0 || strcmp(e->name, SD_BUS_ERROR_NAME_HAS_NO_OWNER) == 0))
                return error_set(error, ERR_HELPER, "uptaned does not run (see: systemctl status uptaned)");
        if (e && e->name && strcmp(e->name, SD_BUS_ERROR_ACCESS_DENIED) == 0)
                return error_set(error, ERR_ACCESS_DENIED, "%s", e->message ? e->message : "the bus does not allow it");
        if (e && e->message)
                return error_set(error, ERR_SYSTEM, "%s", e->message);
        return error_set_errno(error, ERR_SYSTEM, r < 0 ? -r : 0, "talking to uptaned");
}

static int send(Ctl *ctl, sd_bus_message *call, sd_bus_message **ret, Error *error)
{
        cleanup_bus_error e = SD_BUS_ERROR_NULL;
        int r;

        (void) sd_bus_message_set_allow_interactive_authorization(call, 1);
        r = sd_bus_call(ctl->bus, call, CALL_SECONDS * UINT64_C(1000000), &e, ret);
        return r < 0 ? ctl_error(&e, r, error) : 0;
}

int ctl_call(Ctl *ctl, sd_bus_message **ret, Error *error, const char *member, const char *types, ...)
{
        cleanup_message *call = NULL;
        va_list ap;
        int r = sd_bus_message_new_method_call(ctl->bus, &call, CTL_NAME, CTL_PATH, CTL_NAME, member);

        va_start(ap, types);
        if (r >= 0 && *types)
                r = sd_bus_message_appendv(call, types, ap);
        va_end(ap);
        return r < 0 ? ctl_error(NULL, r, error) : send(ctl, call, ret, error);
}

int ctl_get_all(Ctl *ctl, const char *path, const char *interface, sd_bus_message **ret, Error *error)
{
        cleanup_bus_error e = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(ctl->bus, CTL_NAME, path ? path : CTL_PATH, "org.freedesktop.DBus.Properties", "GetAll", &e, ret, "s",
                                   interface);

        return r < 0 ? ctl_error(&e, r, error) : 0;
}

int ctl_get_objects(Ctl *ctl, sd_bus_message **ret, Error *error)
{
        cleanup_bus_error e = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(ctl->bus, CTL_NAME, CTL_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &e, ret, "");

        return r < 0 ? ctl_error(&e, r, error) : 0;
}
