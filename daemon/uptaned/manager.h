/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_MANAGER_H
#define UPTANED_MANAGER_H

/*
 * Everything the daemon holds, and the one road through it: something happens -> manager_post() -> engine_step() ->
 * effects, carried out in order -> announced on D-Bus, in the journal and in the service status.
 *
 * At most one job runs at a time; that of a bundle (bundle.h) does something on many ECUs. A job is a chain of callbacks
 * on the event loop; it ends by posting an event, and is freed before that event is looked at. Freeing a job closes its
 * helpers, which cancels what they do.
 */
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "crypto/signer.h"
#include "engine/engine.h"
#include "store/store.h"
#include "uptane/manifest.h"
#include "uptaned/config.h"

typedef struct Manager Manager;
typedef struct Conditions Conditions;

/* An ECU of this vehicle as the daemon knows it; [0] is the Primary. */
typedef struct VehicleEcu {
        char *label;   /* object path element, "primary" or the configuration's name */
        char *driver;  /* "ostree", "ip", "exec", "virtual" */
        char *address; /* as helpers want it (docs/HELPERS.md); "" for the Primary */
        char *serial;  /* "" until a Secondary said it for the first time */
        char *hardware_id;
        bool primary;
        bool partial;  /* it verifies partially */
        KeyType key_type;
        char *key_text; /* "" as serial */
        PublicKey *key; /* NULL as serial */
        Signer *signer; /* of a Secondary that has a handler: the Primary keeps its key and signs for it; NULL: it does so itself */
        const char *handler, *handler_option; /* with driver "exec"; borrowed from the configuration */
        int order; /* in which it installs */
        bool reachable;
        char *image; /* "": unknown */
        Hashes hashes;
        int64_t length;
        int64_t release_counter; /* -1: none */
        Buffer report;           /* its last good signed version report, also from before the start; empty: none */
        bool report_fresh;       /* it gave that in the cycle that runs */
        bool report_unsaved;     /* and it is not in the store yet */
        bool report_due;         /* one is to be signed in its name */
        int64_t report_counter;  /* the highest of its reports; 0: they have none */
        int64_t report_time;     /* when it came; 0: never */
        bool may_be_replaced;    /* replacement = register */
        size_t chunk;            /* bytes of an image that it takes in one message */
        bool send_time;          /* what this clock shows, with the metadata */
        bool send_credentials;   /* for the server that it gets OSTree commits from */
        char *attacks; /* that it said it had detected, when the journal was told last; NULL: none yet */
        Error last_error;
        int64_t last_error_time; /* when D-Bus was told of it */
        uint64_t progress_done, progress_total;
        Manager *manager; /* for its D-Bus object */
        char *told;       /* what D-Bus was told last; NULL: nothing */
} VehicleEcu;

/* What runs. The first member of every job's own struct. */
typedef struct Job {
        void (*free)(struct Job *job);
} Job;

struct Manager {
        sd_event *event;
        sd_bus *bus;
        Config config;
        Store *store;
        Signer *signer;
        Engine engine;
        bool provisioned;
        bool registered;   /* the back-end knew this vehicle once, perhaps with other ECUs */
        bool ecus_changed; /* an ECU was learnt since: the back-end has to be told */
        VehicleEcu *ecus;
        size_t n_ecus;
        Conditions *conditions; /* conditions.h */
        Job *job;
        EngineEvent *events; /* posted, not looked at yet */
        size_t n_events;
        EngineEffects effects; /* of the last event looked at */
        size_t next_effect;    /* the first not carried out yet */
        sd_event_source *retry; /* set while something could not be written */
        bool started;           /* ENGINE_STARTED was posted: before that nothing else happens */
        sd_event_source *dispatch; /* runs them */
        sd_event_source *timer;    /* ENGINE_TIMER */
        int64_t time_floor[_TRUST_KIND_MAX];
        bool clock_behind;
        bool rebooted;  /* since the store was written */
        char boot_id[40];
        char booted[65]; /* OSTree commit that runs; "" unknown */
        char **deployed; /* commits that could boot, the next to boot first; NULL: unknown */
        bool rolled_back; /* the boot loader says that it gave something up */
        char step[64];  /* ProgressStep */
        uint64_t progress_done, progress_total;
        uint64_t progress_told; /* usec, when D-Bus was last told */
        EngineState announced_state;
        Error announced_error;
        int64_t announced_error_time;
        sd_bus_slot *reboot_call;
        unsigned n_asking; /* verbs that wait for polkit */
        Buffer last_manifest; /* as sent last; "" before */
        unsigned cycle; /* UPTANE_CYCLE= in the journal */
};

/* manager.c */
int manager_new(sd_event *event, const char *config_path, Manager **ret, Error *error) __attribute__((nonnull(1, 3, 4), warn_unused_result));
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager, manager_free)
/* Connects to the bus, loads the engine and tells it what booted. */
int manager_start(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* Hands an event over (event->update is taken over) to be looked at from the event loop. Strings in it must be static. */
void manager_post(Manager *m, const EngineEvent *event) __attribute__((nonnull));
/* Ends the running job with this event; error, if any, is copied. */
void manager_job_done(Manager *m, const EngineEvent *event) __attribute__((nonnull));
/* Posts a failure of the running job. */
void manager_job_failed(Manager *m, EngineEventKind kind, const Error *error) __attribute__((nonnull));
/* Gives the running job up, if there is one. */
void manager_stop_job(Manager *m) __attribute__((nonnull));
/* ERR_WRONG_STATE before ENGINE_STARTED. */
int manager_check_started(const Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* A user's verb, at once: checked, then stepped. */
int manager_verb(Manager *m, EngineEvent *event, Error *error) __attribute__((nonnull, warn_unused_result));
/* Seconds since 1970, never below the Director's floor: what is told, planned and remembered. */
int64_t manager_now(Manager *m) __attribute__((nonnull));
/* The same with the floor of this repository: what its metadata is held against. */
int64_t manager_now_for(Manager *m, TrustKind kind) __attribute__((nonnull));
/* All metadata of this repository was just found unexpired: remembers now as its new floor; rarely writes. */
int manager_raise_floor(Manager *m, TrustKind kind, Error *error) __attribute__((nonnull, warn_unused_result));
/* Writes an error to the journal that does not end a cycle; an attack is remembered, too. */
void manager_note(Manager *m, const Error *error) __attribute__((nonnull));
/* The same about this ECU. */
void manager_note_ecu(Manager *m, const VehicleEcu *ecu, const Error *error) __attribute__((nonnull(1, 3)));
void manager_set_step(Manager *m, const char *step, uint64_t done, uint64_t total) __attribute__((nonnull));
/* URL of something below one of the back-end's bases; free() it. */
char *manager_url(const char *base, const char *path) __attribute__((nonnull, returns_nonnull));
/* Whether url is at the back-end's own origin, so that the device certificate may be shown there. */
bool manager_authenticates(const Manager *m, const char *url) __attribute__((nonnull));

/* The key in this file of the state directory; made if it is not there, unless it must be. */
int manager_load_key(Manager *m, const char *name, bool must_exist, Signer **ret, Error *error) __attribute__((nonnull, warn_unused_result));

/* cycle.c: manager_post(), manager_verb(), and what they cause */
int cycle_start(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
void cycle_done(Manager *m) __attribute__((nonnull));

/* vehicle.c */
int vehicle_load(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
void vehicle_done(Manager *m) __attribute__((nonnull));
VehicleEcu *vehicle_find(Manager *m, const char *serial) __attribute__((nonnull));
/* Remembers what an ECU runs now; writes only what changed. */
int vehicle_set_installed(Manager *m, VehicleEcu *ecu, const char *image, const Hashes *hashes, int64_t length,
                          int64_t release_counter, Error *error) __attribute__((nonnull, warn_unused_result));

/* The back-end knows all ECUs as they are now. */
int vehicle_registered(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* What runs is the truth: where it is not what was written down, it is known by its hash alone from now on, or by its factory name. */
int vehicle_take_booted(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
int vehicle_learn(Manager *m, VehicleEcu *ecu, const char *serial, const char *hardware_id, const char *key_type, const char *key_text,
                  Error *error) __attribute__((nonnull, warn_unused_result));

/* factory.c: 1 if a file names what is booted; its strings live in arena. */
int factory_name(Manager *m, const Hashes *booted, Arena *arena, VersionReport *ret) __attribute__((nonnull, warn_unused_result));

/* vehicle-changes.c: which ECUs came, went, or are others than before */
/* Against what is stored; what changed is told in the journal, and the back-end has to be told (m->provisioned). */
int vehicle_notice_changes(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* The back-end knows: those that are not in this vehicle any more are forgotten. */
int vehicle_forget_gone(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* Somebody says who it is: 0 if that is who it always was, 1 if it is new or has replaced the one before, where that may be; ERR_ECU_REPLACED. */
int vehicle_meet(Manager *m, VehicleEcu *ecu, const char *serial, const char *hardware_id, const char *key_type, const char *key_text,
                 Error *error) __attribute__((nonnull, warn_unused_result));
/* It was replaced: whatever was known of it is not true any more. */
void vehicle_unlearn(Manager *m, VehicleEcu *ecu) __attribute__((nonnull));

/* register.c: tells the back-end which ECUs this vehicle has */
int register_start(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* check.c: sends the manifest, then verifies both repositories; or, for a report, only the first */
int check_start(Manager *m, bool report_only, Error *error) __attribute__((nonnull, warn_unused_result));
/* download.c; the arguments of Pull for this ECU's commit: a negative errno, or not */
struct Helper;
/* What uptane-ostree needs to know before it is asked to pull or deploy for this ECU. */
int download_tell_arguments(Manager *m, struct Helper *helper, const EngineEcu *ecu, Error *error) __attribute__((nonnull, warn_unused_result));
int download_append_pull(Manager *m, sd_bus_message *call, const EngineEcu *ecu) __attribute__((nonnull, warn_unused_result));
int download_start(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* install-exec.c: the update is over: what waited for a reboot does not any more. */
void install_exec_forget(Manager *m) __attribute__((nonnull));
/* assess.c: finds out whether what was booted is good and confirms it; the way back */
int assess_start(Manager *m, size_t index, Error *error) __attribute__((nonnull, warn_unused_result));
int rollback_start(Manager *m, size_t index, Error *error) __attribute__((nonnull, warn_unused_result));
/* reboot.c: into what was installed; ENGINE_REBOOT_FAILED is posted if it comes to nothing later */
int reboot_start(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* What was installed must not be booted by any reboot but that: whether or not it was let go before. The same event. */
int reboot_hold(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* status.c: asks uptane-ostree what is booted, then posts ENGINE_STARTED */
int status_start(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));

/* manifest.c: the vehicle version manifest from the ECUs' reports and the waiting installation report */
/* A new version report of an ECU whose key is here, into ecu->report; in a transaction of the caller, who uses it behind its end only. */
int manifest_sign_report(Manager *m, VehicleEcu *ecu, Error *error) __attribute__((nonnull, warn_unused_result));
int manifest_build(Manager *m, Buffer *ret, int64_t *ret_attacks, Error *error) __attribute__((nonnull, warn_unused_result));
/* The Director has taken it: forgets the installation report and the attacks that it carried. */
int manifest_accepted(Manager *m, int64_t attacks, Error *error) __attribute__((nonnull, warn_unused_result));
/* Writes down what the ECUs of the update run now and the installation report about it. */
int manifest_finalize(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
int history_add(Manager *m, const EngineEffect *finished, Error *error) __attribute__((nonnull, warn_unused_result));

/* bus.c */
int bus_start(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* Tells the bus that these properties of the Primary's object changed; names ends with NULL. */
void bus_changed(Manager *m, const char *const *names) __attribute__((nonnull));
void bus_ecu_changed(Manager *m, const VehicleEcu *ecu) __attribute__((nonnull));
void bus_offered(Manager *m) __attribute__((nonnull));
void bus_finished(Manager *m, const EngineUpdate *update, const EngineEffect *effect) __attribute__((nonnull));
int bus_reboot(Manager *m, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
