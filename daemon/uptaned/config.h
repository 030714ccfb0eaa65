/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_CONFIG_H
#define UPTANED_CONFIG_H

/*
 * uptaned.conf(5): INI, one main file and drop-ins. Lower-case keys; an unknown section or key, a value that does not
 * fit, or a key given twice in one file is an error naming file, line and key. Everything has a default but the URL and
 * the hardware id.
 */
#include "crypto/key.h"
#include "engine/engine.h"
#include "metadata/role.h"
#include "uptaned/rate.h"

#define CONFIG_SECONDARIES_MAX 255

typedef struct ConfigSecondary {
        char *label;   /* [secondary LABEL]: letters, digits, '_' */
        char *driver;  /* "ip", "exec" or "virtual" */
        int order;     /* lower ones install before higher ones */
        /* ip: */
        char *address; /* host:port */
        bool tls;      /* tls = yes | no | psk: it is spoken to over a protected link or not at all */
        bool psk;      /* the key of its serial protects the link, not certificates; the serial is configured */
        bool partial;  /* verification = full | partial: it gets the Director's Root and Targets only */
        bool may_be_replaced; /* replacement = refuse | register: another ECU at its address becomes this one */
        bool send_time;       /* send-time = yes | no: what the Primary's clock shows, with the metadata */
        size_t chunk;         /* bytes of an image that it takes in one message */
        bool send_credentials; /* send-credentials = yes | no: for the server that it gets OSTree commits from */
        /* exec, and the last two virtual: */
        char *handler;        /* absolute path of a program */
        char *handler_option; /* told to it as it is */
        char *hardware_id;
        char *serial;         /* "": the id of the key that the Primary makes for it */
} ConfigSecondary;

#define CONFIG_CONDITIONS_MAX 16
#define CONFIG_CONDITION_NAME_MAX 32

/* What must hold before a stage of an update begins; whether it does, is told over D-Bus. */
typedef struct ConfigCondition {
        char name[CONFIG_CONDITION_NAME_MAX + 1];
        unsigned stages; /* a bit per EngineStage */
} ConfigCondition;

/* What new software has to pass before it is good. */
typedef struct ConfigHealth {
        bool boot_complete, checks, director;
        unsigned timeout;       /* seconds: for boot-complete.target, and again for the Director */
        unsigned check_timeout; /* seconds, for each check */
} ConfigHealth;

typedef struct Config {
        /* [server] */
        char *server_url;     /* url: no trailing slash */
        char *director_url;   /* director-url: default url/director */
        char *repository_url; /* repository-url: default url/repo */
        char *ostree_url;     /* ostree-url: default url/treehub */
        bool require_director_timestamp;
        bool require_vehicle_id;
        bool static_deltas;   /* static-deltas: OSTree's are asked for */
        /* [primary] */
        char *serial;      /* "": the id of its key */
        char *hardware_id;
        char *vin;         /* "": none */
        char *device_id;   /* "": unknown */
        char *secondaries_listen; /* secondaries-listen: where Secondaries announce themselves; "": nowhere */
        KeyType key_type;  /* of a key made at first start: ed25519 or rsa */
        bool exec_installer;  /* installer = exec, not ostree */
        char *handler;        /* with it; absolute path of a program, NULL: none */
        char *handler_option; /* told to it as it is */
        /* [update] */
        EnginePolicy policy; /* poll-interval, jitter, consent-download|install|reboot = auto|ask, parallel, on-failure = rollback|keep */
        char *conditions_text[_ENGINE_STAGE_MAX]; /* conditions-download|install|reboot, as written */
        ConfigCondition conditions[CONFIG_CONDITIONS_MAX]; /* the same, each name once */
        size_t n_conditions;
        char *kernel_arguments;           /* kernel-arguments, as written */
        char **kernel_argument_patterns;  /* the same as a list that ends with NULL: what metadata may change */
        char *must_match;        /* must-match, as written */
        char **must_match_names; /* the same as a list that ends with NULL */
        ConfigHealth health; /* [health] */
        /* [limits], bytes */
        size_t max_bytes[_ROLE_MAX]; /* root, timestamp, snapshot, targets: one file */
        size_t max_delegated_bytes;  /* delegations: all delegated roles of one cycle */
        RateLimit slowest;           /* min-speed, min-speed-seconds */
        uint64_t secondaries_bandwidth; /* bytes a second to all of them together; 0: no limit */
        size_t max_speed;            /* max-speed: bytes a second of images; 0: any */
        /* [timeouts], seconds */
        unsigned metadata_timeout, image_timeout, install_timeout, completion_timeout, secondary_timeout, announce_timeout;
        /* [paths] */
        char *state_directory;
        char *factory_image;  /* factory-image; NULL: in the usual places */
        char *root_directory; /* director.root.json and image.root.json: trusted at first start */
        char *fetch_socket, *verify_socket, *ostree_socket, *health_socket, *secondary_ip_socket, *exec_socket;
        /* [secondary LABEL] */
        ConfigSecondary *secondaries;
        size_t n_secondaries;
} Config;

/*
 * path: that file alone and path.d/ *.conf; NULL: /usr/lib/uptane/uptaned.conf, then /etc/uptane/uptaned.conf, then the
 * uptaned.conf.d/ *.conf of both folders by name (one in /etc hides its namesake). ERR_CONFIG.
 */
int config_load(const char *path, Config *ret, Error *error) __attribute__((nonnull(2, 3), warn_unused_result));
void config_done(Config *config) __attribute__((nonnull));

#endif
