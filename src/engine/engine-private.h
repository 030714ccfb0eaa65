/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_PRIVATE_H
#define ENGINE_ENGINE_PRIVATE_H

/* Between the files of the engine. */
#include "engine/engine.h"

/* engine.c: effects */
EngineEffect *engine_emit(EngineEffects *effects, EngineEffectKind kind);
/* Stores the engine as it is after this step, before any other effect of it. */
void engine_persist(EngineEffects *effects);
/* The only setter of the state. */
void engine_enter(Engine *engine, EngineState state);
void engine_note_error(Engine *engine, const Error *error, int64_t now, EngineEffects *effects);
void engine_arm_backoff(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects);
void engine_disarm(Engine *engine, EngineEffects *effects);
/* engine.c: what follows */
void engine_request_reboot(Engine *engine, int64_t now, EngineEffects *effects);
/* Nothing of the next stage begins before its conditions hold. */
void engine_await_conditions(Engine *engine, int64_t now, EngineEffects *effects);
void engine_finalize(Engine *engine, EngineEffects *effects);
/* It could not be downloaded or installed, and nothing of it is on any ECU: again later, or never. */
void engine_update_failed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects);

/* bundle.c */
/* The first ECU in this state, or n_ecus. */
size_t engine_find_ecu(const Engine *engine, EngineEcuState state);
bool engine_has_ecu(const Engine *engine, EngineEcuState state);
/* What the bundle waits for next: preparation, installation, a reboot, or to be written down. */
void engine_go_on(Engine *engine, int64_t now, EngineEffects *effects);
/* What was interrupted is done again, but not for ever. */
/* Behind a restart, with what is left of the bundle; what was interrupted too often, or has failed, is given up. */
void engine_go_on_interrupted(Engine *engine, const char *what, int64_t now, EngineEffects *effects);
void engine_resume_install(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects);
/* All is prepared, some of it is installed, and the rest waits for conditions. */
bool engine_is_held(const Engine *engine);
/* They hold: what was prepared before is prepared again, for it may be long ago. */
void engine_let_go(Engine *engine, int64_t now, EngineEffects *effects);
/* The ECUs that can go back do so: again, where that was interrupted or could not be done, but not for ever. */
void engine_resume_restore(Engine *engine, EngineEffects *effects);
void engine_ecu_event(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects);
/* This ECU is at fault. The update is refused from now on. */
void engine_fail_ecu(Engine *engine, EngineEcu *ecu, const Error *error);
/* The update is over for good: the ECUs that can go back, every other one that has not got its image fails. */
void engine_give_up(Engine *engine, const Error *error, EngineEffects *effects);
/* The same, for the reason that is written at the ECU that is at fault. */
void engine_give_up_failed(Engine *engine, EngineEffects *effects);

/* prefix and why become the description of this ECU. */
void engine_set_reason(EngineEcu *ecu, ErrorReport result, const char *prefix, const char *why);

/* update.c: what is never tried again by itself */
void engine_refuse(Engine *engine, const uint8_t *fingerprint);
/* This ECU's image under this correlation id, in whatever other company it is assigned. */
void engine_refuse_target(Engine *engine, const EngineEcu *ecu);
bool engine_is_refused(const Engine *engine, const EngineUpdate *update);

/* trial.c */
void engine_after_reboot(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects);
void engine_assessed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects);
void engine_rolled_back(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects);
/* The user does not want what waits for a reboot. */
void engine_decline_reboot(Engine *engine, const Error *error, int64_t now, EngineEffects *effects);
/* Behind the reboot nothing is left to complete. */
void engine_assess(Engine *engine, EngineEffects *effects);
/* Something could not be completed. The Primary goes back, as if its software were bad, and then the others; or they stay, as the policy says. */
void engine_completion_failed(Engine *engine, ErrorReport result, const char *why, EngineEffects *effects);
void engine_trial_timer(Engine *engine, EngineEffects *effects);

#endif
