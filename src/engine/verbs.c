/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the user's verbs make sense when. An installation under way is never taken back: half of it is on the ECUs. */
#include "engine/engine.h"

static bool busy_installing(EngineState state)
{
        return state == ENGINE_INSTALLING || state == ENGINE_REBOOT_REQUIRED || state == ENGINE_FINALIZING ||
               state == ENGINE_REPORTING;
}

static int check_update(const Engine *engine, const EngineEvent *event, Error *error)
{
        if (!engine->has_update || !event->id || strcmp(engine->update.id, event->id) != 0)
                return error_set(error, ERR_NO_SUCH_UPDATE, "no update '%.100s' is waiting", event->id ? event->id : "");
        return 0;
}

int engine_check(const Engine *engine, const EngineEvent *event, int64_t now, Error *error)
{
        EngineState s = engine->state;
        bool ok = true;

        switch (event->kind) {
        case ENGINE_CHECK:
                ok = s != ENGINE_PAUSED && s != ENGINE_DOWNLOADING && !busy_installing(s);
                break;
        case ENGINE_APPROVE:
                if (check_update(engine, event, error) < 0)
                        return -1;
                ok = s != ENGINE_PAUSED && s != ENGINE_FINALIZING && s != ENGINE_REPORTING && event->stage < _ENGINE_STAGE_MAX;
                break;
        case ENGINE_DECLINE:
                if (check_update(engine, event, error) < 0)
                        return -1;
                ok = s != ENGINE_PAUSED && (s == ENGINE_REBOOT_REQUIRED || !busy_installing(s));
                break;
        case ENGINE_POSTPONE:
                if (check_update(engine, event, error) < 0)
                        return -1;
                if (event->until <= now || event->until - now > ENGINE_POSTPONE_MAX)
                        return error_set(error, ERR_INVALID_ARGUMENT, "an update can be postponed to a time within the next year");
                ok = s != ENGINE_PAUSED && s != ENGINE_INSTALLING && s != ENGINE_FINALIZING && s != ENGINE_REPORTING;
                break;
        case ENGINE_CANCEL:
                ok = s == ENGINE_CHECKING || s == ENGINE_DOWNLOADING || s == ENGINE_READY || s == ENGINE_AWAITING_CONSENT;
                break;
        case ENGINE_PAUSE:
                ok = s != ENGINE_PAUSED && !busy_installing(s);
                break;
        case ENGINE_RESUME:
                ok = s == ENGINE_PAUSED;
                break;
        case ENGINE_REBOOT:
                ok = s == ENGINE_REBOOT_REQUIRED;
                break;
        case ENGINE_STARTED:
        case ENGINE_REGISTERED:
        case ENGINE_REGISTER_FAILED:
        case ENGINE_TIMER:
        case ENGINE_CHECKED:
        case ENGINE_CHECK_FAILED:
        case ENGINE_DOWNLOADED:
        case ENGINE_DOWNLOAD_FAILED:
        case ENGINE_ECU_READY:
        case ENGINE_ECU_DONE:
        case ENGINE_ECU_AWAITS:
        case ENGINE_ECU_REFUSED:
        case ENGINE_ECU_RESTORED:
        case ENGINE_ASSESSED:
        case ENGINE_ROLLED_BACK:
        case ENGINE_FINALIZED:
        case ENGINE_REPORTED:
        case ENGINE_REPORT_FAILED:
        case ENGINE_REBOOT_FAILED:
        case ENGINE_CONDITIONS:
        case _ENGINE_EVENT_MAX:
                break;
        }
        return ok ? 0 : error_set(error, ERR_WRONG_STATE, "not possible while %s", engine_state_name(s));
}
