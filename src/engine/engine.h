/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

/*
 * The update cycle as a pure state machine: (state, event, now) -> (state', effects).
 *
 * The engine decides what happens next and never does it. The daemon turns what happens into events and carries out
 * the effects in the order given; PERSIST always comes before the effect that must not be forgotten. Every effect is
 * idempotent, so after a crash the daemon loads the last persisted engine, tells it ENGINE_STARTED, and the cycle goes
 * on: before installing, by checking again (consent already given to the same offer still counts); while installing,
 * by asking the ECUs what they run; behind a reboot, by looking at what booted. New software of the Primary is on trial
 * then: what other ECUs complete only behind the reboot is completed, it is assessed, and confirmed or rolled back,
 * without asking anybody, before anything is written down or reported.
 *
 *   unprovisioned -> idle -> checking -> [awaiting-consent] -> downloading -> ready -> [awaiting-consent] -> installing
 *        -> [reboot-required -> reboot] -> finalizing -> reporting -> idle                     any of them <-> paused
 *
 * An update is one bundle with one outcome (bundle.c): every ECU is prepared before the first one installs, the Primary
 * installs last, and where one fails, those that can go back to what they ran before. An ECU that runs its image only behind a
 * reboot of its own is still installing, keeps no other of its order from it, and is waited for; not where another has failed.
 *
 * The world may say that a stage must not begin now (ENGINE_CONDITIONS): a condition does not hold, or somebody asked for it.
 * Then the next download, the next ECU's installation, the reboot wait, as they wait for consent; what runs is never
 * broken off but a download. The way back, and what has to be completed behind a reboot, wait for nobody.
 *
 * An Error beside the state says what went wrong last; it is never a state of its own. Holds no time of its own and no
 * randomness: both come in with the event.
 */
#include "crypto/digest.h"
#include "metadata/role.h"

typedef enum EngineState {
        ENGINE_UNPROVISIONED,
        ENGINE_IDLE,
        ENGINE_CHECKING,
        ENGINE_AWAITING_CONSENT,
        ENGINE_DOWNLOADING,
        ENGINE_READY,
        ENGINE_INSTALLING,
        ENGINE_REBOOT_REQUIRED,
        ENGINE_FINALIZING,
        ENGINE_REPORTING,
        ENGINE_PAUSED,
        _ENGINE_STATE_MAX,
} EngineState;

/* What the user is asked for, separately. */
typedef enum EngineStage {
        ENGINE_STAGE_DOWNLOAD,
        ENGINE_STAGE_INSTALL,
        ENGINE_STAGE_REBOOT,
        _ENGINE_STAGE_MAX,
} EngineStage;

/* Stored by number: new ones come at the end. */
typedef enum EngineEcuState {
        ENGINE_ECU_PENDING,      /* assigned */
        ENGINE_ECU_INSTALLING,
        ENGINE_ECU_NEED_REBOOT,  /* installed, runs after a reboot */
        ENGINE_ECU_INSTALLED,
        ENGINE_ECU_FAILED,
        ENGINE_ECU_ROLLING_BACK, /* the update has failed: it goes back to what it ran before */
        ENGINE_ECU_ROLLED_BACK,
        ENGINE_ECU_PREPARED,     /* everything is there and accepted, nothing is touched yet; stored as pending: a restart prepares again */
        _ENGINE_ECU_STATE_MAX,
} EngineEcuState;

#define ENGINE_ID_MAX 256
#define ENGINE_ECUS_MAX TARGET_ECUS_MAX
#define ENGINE_ATTEMPTS_MAX 5
#define ENGINE_INTERRUPTIONS_MAX 20 /* of one installation, by a crash or a power cut */
#define ENGINE_REFUSED_MAX 32
#define ENGINE_ORDER_MAX 1000

#define ENGINE_POSTPONE_MAX (INT64_C(366) * 86400)

/* One image for one ECU, as verified. All strings are owned. */
typedef struct EngineEcu {
        char serial[ECU_SERIAL_MAX + 1];
        char hardware_id[HARDWARE_ID_MAX + 1];
        char image[TARGET_NAME_MAX + 1];
        char uri[URI_MAX + 1]; /* "": default */
        char kernel_arguments[KERNEL_ARGUMENTS_MAX + 1]; /* to be set, a space between two of them; "": none */
        Hashes hashes;
        int64_t length;
        int64_t release_counter; /* -1: none */
        bool primary;
        bool ostree;
        int order;       /* lower ones install before higher ones, equal ones at the same time, the Primary behind all of them */
        bool restorable; /* it can go back to what it ran before */
        bool begun;      /* its installation was begun by this update */
        int64_t reboot_by; /* it has its image, and runs it behind a reboot of its own, by then; 0: it waits for none */
        bool ended;      /* not persisted: its preparation, or its way back, has ended this time, and did not succeed */
        EngineEcuState state;
        ErrorReport result; /* with ENGINE_ECU_FAILED, _ROLLING_BACK and _ROLLED_BACK */
        char description[256];
} EngineEcu;

/* What the Director wants installed, verified against both repositories. */
typedef struct EngineUpdate {
        char id[ENGINE_ID_MAX + 1];             /* names it to the user: the correlation id, or "targets-VERSION" */
        char correlation_id[ENGINE_ID_MAX + 1]; /* "": the Director gave none */
        uint8_t fingerprint[SHA256_SIZE];       /* of all that makes it this update and no other; engine_update_seal() */
        EngineEcu *ecus;
        size_t n_ecus;
        int64_t offered_at;
} EngineUpdate;

void engine_update_done(EngineUpdate *update) __attribute__((nonnull));
/* Computes the fingerprint after everything else was filled in. */
void engine_update_seal(EngineUpdate *update) __attribute__((nonnull));

typedef struct EnginePolicy {
        bool ask[_ENGINE_STAGE_MAX]; /* false: auto */
        int64_t interval;            /* seconds between polls */
        int jitter;                  /* percent of every pause, 0..50, taken off or added */
        unsigned parallel;           /* ECUs that install at the same time */
        bool conditional[_ENGINE_STAGE_MAX]; /* begins under conditions only: none is known to hold at the start */
        bool keep;                   /* where one ECU has failed, the others stay as they are then */
} EnginePolicy;

typedef struct Engine {
        EnginePolicy policy; /* not persisted */
        EngineState state;
        EngineState paused_from; /* with ENGINE_PAUSED */
        EngineStage stage;       /* with ENGINE_AWAITING_CONSENT */
        bool has_update;
        EngineUpdate update;
        bool approved[_ENGINE_STAGE_MAX]; /* by the user, for this update */
        int64_t postponed_until;          /* 0: not */
        bool waiting;                     /* for consent to .stage; survives a check in between */
        bool blocked[_ENGINE_STAGE_MAX];  /* by conditions; not persisted: what held before a restart need not hold now */
        bool downloaded;                  /* not persisted: the next download finds everything there and says so */
        bool offered[_ENGINE_STAGE_MAX];  /* not persisted: the user is told again after a restart */
        int attempts;                     /* of this update that failed and may be repeated */
        int interruptions;                /* of its installation */
        unsigned failures;                /* in a row, for back-off */
        int assessments;                  /* boots in which the software on trial was not assessed to the end */
        bool rolling_back;                /* it is bad: the old is on its way back */
        bool completing;                  /* it runs, on trial, and the other ECUs complete what they installed */
        /* What failed for good or was declined, the latest last, is never tried again by itself: fingerprints of updates, and
           of software that did not stand its trial, with the correlation id it was assigned under. */
        uint8_t refused[ENGINE_REFUSED_MAX][SHA256_SIZE];
        size_t n_refused;
        Error last_error;
        int64_t last_error_time;
        int64_t last_check; /* end of the last complete check; 0: never */
        int64_t next_check; /* 0: none planned */
        EngineUpdate finished; /* not persisted: what ENGINE_DO_FINISHED is about */
} Engine;

typedef enum EngineEventKind {
        ENGINE_STARTED,         /* .booted, .lost, .rolled_back, .provisioned, .rebooted */
        ENGINE_REGISTERED,
        ENGINE_REGISTER_FAILED, /* .error */
        ENGINE_TIMER,
        ENGINE_CHECKED,         /* .update (all that is assigned, NULL: nothing) taken over; .error if the manifest was refused */
        ENGINE_CHECK_FAILED,    /* .error */
        ENGINE_DOWNLOADED,
        ENGINE_DOWNLOAD_FAILED, /* .error */
        ENGINE_ECU_READY,       /* .index: prepared */
        ENGINE_ECU_DONE,        /* .index, .need_reboot; also where preparing found out that it has its image */
        ENGINE_ECU_AWAITS,      /* .index, .until: it is installed, and somebody else reboots it, by then; it goes on installing until it runs */
        ENGINE_ECU_REFUSED,     /* .index, .error: it could not be prepared, or not install */
        ENGINE_ECU_RESTORED,    /* .index; .error if it could not go back */
        ENGINE_ASSESSED,        /* .index; .error: none: good and confirmed, ERR_HEALTH: bad, others: could not be found out;
                                   .need_reboot: it never was let go, and the boot was another */
        ENGINE_ROLLED_BACK,     /* .need_reboot; .error if it could not be done */
        ENGINE_FINALIZED,
        ENGINE_REPORTED,
        ENGINE_REPORT_FAILED,   /* .error */
        ENGINE_REBOOT_FAILED,   /* .error */
        ENGINE_CONDITIONS,      /* .blocked: the stages that must not begin now, as of now */
        /* the user's verbs; ask engine_check() first */
        ENGINE_CHECK,
        ENGINE_APPROVE,         /* .id, .stage */
        ENGINE_DECLINE,         /* .id, .text: reason */
        ENGINE_POSTPONE,        /* .id, .until */
        ENGINE_CANCEL,
        ENGINE_PAUSE,
        ENGINE_RESUME,
        ENGINE_REBOOT,
        _ENGINE_EVENT_MAX,
} EngineEventKind;

typedef struct EngineEvent {
        EngineEventKind kind;
        uint32_t entropy; /* spreads pauses over a fleet */
        const char *booted; /* OSTree commit that runs, "" if unknown */
        bool rolled_back;   /* the boot loader says that it gave something up */
        bool provisioned;
        bool rebooted; /* since the engine was persisted */
        bool lost;     /* with .rebooted: what waited for a reboot has no boot entry, no shutdown has made it one */
        EngineUpdate *update;
        Error error;
        size_t index;
        bool need_reboot;
        const char *id;
        EngineStage stage;
        unsigned blocked; /* a bit per stage */
        const char *text;
        int64_t until;
} EngineEvent;

typedef enum EngineEffectKind {
        ENGINE_DO_PERSIST,  /* store engine_save() before anything after it */
        ENGINE_DO_STOP,     /* give up the running job, if any; a reboot that was asked for is not waited for any more */
        ENGINE_DO_REGISTER,
        ENGINE_DO_CHECK,    /* send the manifest, verify both repositories */
        ENGINE_DO_DOWNLOAD, /* get every image of .update */
        ENGINE_DO_PREPARE,  /* every pending ECU, after looking whether the metadata is still fresh; touches nothing that runs */
        ENGINE_DO_INSTALL,  /* every ECU that is installing; those under way go on */
        ENGINE_DO_RESTORE,  /* every ECU that is rolling back */
        ENGINE_DO_ASSESS,   /* .index: find out whether what was booted is good; if so, confirm it to the boot loader */
        ENGINE_DO_ROLLBACK, /* .index: make what ran before it the next to boot */
        ENGINE_DO_FINALIZE, /* write down what is installed now */
        ENGINE_DO_REPORT,   /* send the manifest with the installation report */
        ENGINE_DO_OFFER,    /* tell the user: .stage is waiting for consent */
        ENGINE_DO_REBOOT,
        ENGINE_DO_HOLD,     /* what waits for a reboot must not boot before ENGINE_DO_REBOOT; ENGINE_REBOOT_FAILED if that cannot be done */
        ENGINE_DO_TIMER,    /* ENGINE_TIMER after .seconds, or none if negative; replaces an earlier one */
        ENGINE_DO_FINISHED, /* engine->finished is over: .result, .text. To be made durable together with ENGINE_DO_PERSIST */
        ENGINE_DO_ATTACK,   /* one was detected: .error. To be made durable together with ENGINE_DO_PERSIST */
} EngineEffectKind;

typedef struct EngineEffect {
        EngineEffectKind kind;
        int64_t seconds;
        size_t index;
        EngineStage stage;
        ErrorReport result;
        char text[256];
        Error error;
} EngineEffect;

#define ENGINE_EFFECTS_MAX 8
typedef struct EngineEffects {
        EngineEffect list[ENGINE_EFFECTS_MAX];
        size_t n;
} EngineEffects;

/* A fresh, unprovisioned engine. */
void engine_init(Engine *engine, const EnginePolicy *policy) __attribute__((nonnull));
void engine_done(Engine *engine) __attribute__((nonnull));

/* Whether what is installed now must not boot, not by accident either, before the user agrees to the reboot, or has put it off until. */
bool engine_holds_reboot(const Engine *engine, int64_t now) __attribute__((nonnull));

/* Whether nothing but conditions is waited for, and before which stage. */
bool engine_waits_for_conditions(const Engine *engine, int64_t now, EngineStage *ret) __attribute__((nonnull));

/* Total: every (state, event) pair is defined; what does not fit the state is ignored. ret is overwritten. */
void engine_step(Engine *engine, EngineEvent *event, int64_t now, EngineEffects *ret) __attribute__((nonnull));
/* Whether a user's verb makes sense now; ERR_WRONG_STATE, ERR_NO_SUCH_UPDATE or ERR_INVALID_ARGUMENT if not. */
int engine_check(const Engine *engine, const EngineEvent *event, int64_t now, Error *error) __attribute__((nonnull, warn_unused_result));

/* What survives, as JSON (engine-state.c). */
#define ENGINE_BYTES_MAX ((size_t) 2 * 1024 * 1024)
void engine_save(const Engine *engine, Buffer *ret) __attribute__((nonnull));
/* engine was just initialised. ERR_STORAGE if bytes are not what engine_save() wrote. */
int engine_load(Engine *engine, Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));

/* Whether this update waits for a reboot, or for what has to be found out behind one: then what booted must be known. */
bool engine_awaits_boot(const Engine *engine) __attribute__((nonnull));
/* The Primary's part of the update, if this commit is it, and it is neither confirmed nor left behind yet; or NULL. */
const EngineEcu *engine_on_trial(const Engine *engine, const char *booted) __attribute__((nonnull(1)));

const char *engine_state_name(EngineState state) __attribute__((returns_nonnull));
const char *engine_stage_name(EngineStage stage) __attribute__((returns_nonnull));
const char *engine_ecu_state_name(EngineEcuState state) __attribute__((returns_nonnull));
/* The same, or that it waits for a reboot of its own: what the user sees. */
const char *engine_ecu_shown(const EngineEcu *ecu) __attribute__((nonnull, returns_nonnull));
/* Returns 0, or -1 and ERR_INVALID_ARGUMENT. */
int engine_stage_from_name(const char *name, EngineStage *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
