/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_CONFIG_H
#define SECONDARY_CONFIG_H

/*
 * The configuration of uptane-secondary: one INI file with one section, [secondary]. An unknown section or key, a key
 * given twice, or a value that does not fit is an error that names file, line and key.
 */
#include <stdbool.h>

#include "crypto/key.h"

typedef enum SecondaryDriver { SECONDARY_FILE, SECONDARY_EXEC, SECONDARY_OSTREE } SecondaryDriver;

typedef struct SecondaryConfig {
        char *serial;          /* serial: "" for the id of its key */
        char *hardware_id;     /* hardware-id */
        char *listen;          /* listen = host:port; port 0: any, see state-directory/address */
        char *primary;         /* primary = host:port: where it announces itself at its start; "": nowhere */
        KeyType key_type;      /* key-type = ed25519 | rsa: of a key made at first start */
        char *state_directory; /* state-directory */
        char *root_directory;  /* root-directory: director.root.json and image.root.json, trusted at first start */
        SecondaryDriver driver; /* install = exec | ostree | the absolute path of a file */
        char *install;         /* of the file that is the firmware; "" for the others */
        char *handler;         /* handler: the program that installs */
        char *handler_option;  /* handler-option: what it is told as UPTANE_OPTION */
        char *helper_socket;   /* helper-socket: of uptane-exec or uptane-ostree; "": the usual one */
        int64_t install_timeout; /* install-timeout: seconds that one action of these may take */
        char *ostree_url;      /* ostree-url: where commits are fetched from */
        bool ostree_credentials; /* ostree-credentials = yes | no: whether that server is shown the device certificate */
        int64_t image_max;     /* image-max: bytes */
        int64_t sleep_after;   /* sleep-after: seconds without a connection; 0: it never sleeps */
        int64_t min_speed, min_speed_seconds; /* min-speed, min-speed-seconds: bytes a second, 0: any, over so long a span */
        bool accept_credentials; /* accept-credentials = yes | no: for that server, from the Primary, over a protected link */
        bool partial;          /* verification = full | partial */
        bool tls;              /* tls = yes | no | psk: certificates */
        bool psk;              /* or the key in this file: */
        char *tls_psk;         /* tls-psk: "": a credential of the service */
        char *tls_ca, *tls_certificate, *tls_key; /* tls-ca, tls-certificate, tls-key: "": a credential of the service */
        char *tls_primary;     /* tls-primary: name of the Primary's certificate; "": any of the CA's */
        char **must_match;     /* must-match = NAME NAME...: members of "custom" that both repositories must agree on; ends with NULL */
        bool require_director_timestamp; /* require-director-timestamp = yes | no */
} SecondaryConfig;

/* ERR_CONFIG. */
int secondary_config_load(const char *path, SecondaryConfig *ret, Error *error) __attribute__((nonnull, warn_unused_result));
void secondary_config_done(SecondaryConfig *config) __attribute__((nonnull));
#define cleanup_secondary_config __attribute__((cleanup(secondary_config_done)))

#endif
