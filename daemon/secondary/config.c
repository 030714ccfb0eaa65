/* SPDX-License-Identifier: Apache-2.0 */
/* libinih goes on behind an error and tells the line of the first; so the first message is kept. */
#include "secondary/config.h"

#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <string.h>

#include "metadata/role.h"

#define SLEEP_AFTER_DEFAULT 10
#define SECONDS_MAX 86400
#define MIN_SPEED_DEFAULT 100
#define MIN_SPEED_SECONDS_DEFAULT 30
#define MIN_SPEED_MAX (INT64_C(1) << 30)
#define INSTALL_TIMEOUT_DEFAULT 3600
#define IMAGE_MAX_DEFAULT (INT64_C(64) * 1024 * 1024)

typedef struct Reader {
        SecondaryConfig config;
        unsigned seen; /* a bit for each key */
        Error error;
} Reader;

typedef int (*Parse)(const char *value, void *ret, Error *error);

static int parse_text(const char *value, void *ret, Error *error)
{
        char **text = ret;

        if (!*value)
                return error_set(error, ERR_CONFIG, "must not be empty");
        free(*text);
        *text = xstrdup(value);
        return 0;
}

static int parse_path(const char *value, void *ret, Error *error)
{
        if (value[0] != '/')
                return error_set(error, ERR_CONFIG, "'%s' is not an absolute path", value);
        return parse_text(value, ret, error);
}

static int parse_serial(const char *value, void *ret, Error *error)
{
        if (strlen(value) > ECU_SERIAL_MAX)
                return error_set(error, ERR_CONFIG, "'%s' is longer than %d bytes", value, ECU_SERIAL_MAX);
        return parse_text(value, ret, error);
}

static int parse_hardware_id(const char *value, void *ret, Error *error)
{
        if (strlen(value) > HARDWARE_ID_MAX)
                return error_set(error, ERR_CONFIG, "'%s' is longer than %d bytes", value, HARDWARE_ID_MAX);
        return parse_text(value, ret, error);
}

static int parse_key_type(const char *value, void *ret, Error *error)
{
        if (strcmp(value, "ed25519") == 0)
                *(KeyType *) ret = KEY_ED25519;
        else if (strcmp(value, "rsa") == 0)
                *(KeyType *) ret = KEY_RSA;
        else
                return error_set(error, ERR_CONFIG, "'%s' is neither 'ed25519' nor 'rsa'", value);
        return 0;
}

static int parse_size(const char *value, void *ret, Error *error)
{
        char *end;
        long long size;

        errno = 0;
        size = strtoll(value, &end, 10);
        if (errno || end == value || *end || size < 1)
                return error_set(error, ERR_CONFIG, "'%s' is not a number of bytes", value);
        *(int64_t *) ret = size;
        return 0;
}

static int parse_seconds(const char *value, void *ret, Error *error)
{
        if (strcmp(value, "0") != 0 && parse_size(value, ret, error) < 0)
                return error_set(error, ERR_CONFIG, "'%s' is not a number of seconds", value);
        if (strcmp(value, "0") == 0)
                *(int64_t *) ret = 0;
        return *(int64_t *) ret > SECONDS_MAX ? error_set(error, ERR_CONFIG, "%s seconds are more than a day", value) : 0;
}

static int parse_bool(const char *value, void *ret, Error *error)
{
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
                return error_set(error, ERR_CONFIG, "'%s' is neither 'yes' nor 'no'", value);
        *(bool *) ret = value[0] == 'y';
        return 0;
}

static int parse_speed(const char *value, void *ret, Error *error)
{
        int64_t speed = 0;

        if (strcmp(value, "0") != 0 && parse_size(value, &speed, error) < 0)
                return -1;
        if (speed > MIN_SPEED_MAX)
                return error_set(error, ERR_CONFIG, "%s bytes a second are too many to be demanded", value);
        *(int64_t *) ret = speed;
        return 0;
}

static int parse_install(const char *value, void *ret, Error *error)
{
        SecondaryConfig *config = ret;

        config->driver = strcmp(value, "exec") == 0 ? SECONDARY_EXEC : strcmp(value, "ostree") == 0 ? SECONDARY_OSTREE : SECONDARY_FILE;
        if (config->driver != SECONDARY_FILE)
                return 0;
        if (value[0] != '/')
                return error_set(error, ERR_CONFIG, "'%s' is neither 'exec' nor 'ostree' nor an absolute path", value);
        return parse_text(value, &config->install, error);
}

static int parse_url(const char *value, void *ret, Error *error)
{
        if (strncmp(value, "https://", 8) != 0 && strncmp(value, "http://", 7) != 0)
                return error_set(error, ERR_CONFIG, "'%s' does not begin with https://", value);
        return parse_text(value, ret, error);
}

static int parse_tls(const char *value, void *ret, Error *error)
{
        SecondaryConfig *config = ret;

        if (strcmp(value, "psk") != 0)
                return parse_bool(value, &config->tls, error);
        config->psk = true;
        return 0;
}

static int parse_names(const char *value, void *ret, Error *error)
{
        cleanup_free char *text = xstrdup(value);
        char **names = *(char ***) ret, *rest = NULL;
        size_t n = 0;

        (void) error;
        for (char *name = strtok_r(text, " \t", &rest); name; name = strtok_r(NULL, " \t", &rest)) {
                names = xrealloc(names, n + 2, sizeof *names);
                names[n++] = xstrdup(name);
                names[n] = NULL;
        }
        *(char ***) ret = names;
        return 0;
}

static int parse_verification(const char *value, void *ret, Error *error)
{
        if (strcmp(value, "full") != 0 && strcmp(value, "partial") != 0)
                return error_set(error, ERR_CONFIG, "'%s' is neither 'full' nor 'partial'", value);
        *(bool *) ret = value[0] == 'p';
        return 0;
}

static const struct {
        const char *name;
        Parse parse;
        size_t offset;
        bool required;
} keys[] = {
        { "serial", parse_serial, offsetof(SecondaryConfig, serial), false },
        { "hardware-id", parse_hardware_id, offsetof(SecondaryConfig, hardware_id), true },
        { "listen", parse_text, offsetof(SecondaryConfig, listen), false },
        { "primary", parse_text, offsetof(SecondaryConfig, primary), false },
        { "key-type", parse_key_type, offsetof(SecondaryConfig, key_type), false },
        { "state-directory", parse_path, offsetof(SecondaryConfig, state_directory), false },
        { "root-directory", parse_path, offsetof(SecondaryConfig, root_directory), false },
        { "install", parse_install, 0, true },
        { "handler", parse_path, offsetof(SecondaryConfig, handler), false },
        { "handler-option", parse_text, offsetof(SecondaryConfig, handler_option), false },
        { "helper-socket", parse_path, offsetof(SecondaryConfig, helper_socket), false },
        { "install-timeout", parse_seconds, offsetof(SecondaryConfig, install_timeout), false },
        { "ostree-url", parse_url, offsetof(SecondaryConfig, ostree_url), false },
        { "ostree-credentials", parse_bool, offsetof(SecondaryConfig, ostree_credentials), false },
        { "accept-credentials", parse_bool, offsetof(SecondaryConfig, accept_credentials), false },
        { "image-max", parse_size, offsetof(SecondaryConfig, image_max), false },
        { "sleep-after", parse_seconds, offsetof(SecondaryConfig, sleep_after), false },
        { "min-speed", parse_speed, offsetof(SecondaryConfig, min_speed), false },
        { "min-speed-seconds", parse_seconds, offsetof(SecondaryConfig, min_speed_seconds), false },
        { "verification", parse_verification, offsetof(SecondaryConfig, partial), false },
        { "tls", parse_tls, 0, false },
        { "tls-psk", parse_path, offsetof(SecondaryConfig, tls_psk), false },
        { "tls-ca", parse_path, offsetof(SecondaryConfig, tls_ca), false },
        { "tls-certificate", parse_path, offsetof(SecondaryConfig, tls_certificate), false },
        { "tls-key", parse_path, offsetof(SecondaryConfig, tls_key), false },
        { "tls-primary", parse_serial, offsetof(SecondaryConfig, tls_primary), false },
        { "must-match", parse_names, offsetof(SecondaryConfig, must_match), false },
        { "require-director-timestamp", parse_bool, offsetof(SecondaryConfig, require_director_timestamp), false },
};

static int take(Reader *reader, const char *section, const char *name, const char *value, Error *error)
{
        if (strcmp(section, "secondary") != 0)
                return error_set(error, ERR_CONFIG, "[%s]: there is no such section", section);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                if (strcmp(keys[i].name, name) != 0)
                        continue;
                if (reader->seen & (1u << i))
                        return error_set(error, ERR_CONFIG, "%s: given twice", name);
                reader->seen |= 1u << i;
                if (keys[i].parse(value, (char *) &reader->config + keys[i].offset, error) < 0)
                        return error_prefix(error, "%s", name);
                return 0;
        }
        return error_set(error, ERR_CONFIG, "%s: there is no such key", name);
}

static int on_line(void *userdata, const char *section, const char *name, const char *value)
{
        Reader *reader = userdata;

        if (reader->error.code != ERR_NONE)
                return 0;
        return take(reader, section, name ? name : "", value ? value : "", &reader->error) == 0;
}

/* What belongs to certificates says that somebody expects them. */
static int check_tls(const SecondaryConfig *c, Error *error)
{
        if (c->psk && (*c->tls_ca || *c->tls_certificate || *c->tls_key || *c->tls_primary))
                return error_set(error, ERR_CONFIG, "tls-ca, tls-certificate, tls-key and tls-primary are not for tls = psk");
        if (!c->psk && *c->tls_psk)
                return error_set(error, ERR_CONFIG, "tls-psk is for tls = psk");
        return 0;
}

/* Every way to install has its own keys; one that is not looked at was meant for something else. */
static int check_install(const SecondaryConfig *c, Error *error)
{
        if (c->driver == SECONDARY_EXEC && !*c->handler)
                return error_set(error, ERR_CONFIG, "install = exec needs a handler");
        if (c->driver == SECONDARY_OSTREE && !*c->ostree_url)
                return error_set(error, ERR_CONFIG, "install = ostree needs an ostree-url");
        if (c->driver != SECONDARY_EXEC && (*c->handler || *c->handler_option))
                return error_set(error, ERR_CONFIG, "handler and handler-option are for install = exec");
        if (c->driver != SECONDARY_OSTREE && (*c->ostree_url || c->ostree_credentials))
                return error_set(error, ERR_CONFIG, "ostree-url and ostree-credentials are for install = ostree");
        if (c->accept_credentials && (!c->ostree_credentials || (!c->tls && !c->psk)))
                return error_set(error, ERR_CONFIG, "accept-credentials needs ostree-credentials = yes, and tls = yes or psk");
        if (c->driver == SECONDARY_FILE && *c->helper_socket)
                return error_set(error, ERR_CONFIG, "helper-socket is for install = exec and install = ostree");
        if (c->install_timeout == 0 || c->min_speed_seconds == 0)
                return error_set(error, ERR_CONFIG, "%s is 0", c->install_timeout == 0 ? "install-timeout" : "min-speed-seconds");
        return 0;
}

static int check(const Reader *reader, int line, Error *error)
{
        if (line < 0)
                return error_set(error, ERR_CONFIG, "cannot be read");
        if (line > 0 && reader->error.code == ERR_NONE)
                return error_set(error, ERR_CONFIG, "line %d: not of the form key = value", line);
        if (line > 0)
                return error_set(error, ERR_CONFIG, "line %d: %s", line, reader->error.message);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (keys[i].required && !(reader->seen & (1u << i)))
                        return error_set(error, ERR_CONFIG, "%s is missing", keys[i].name);
        return check_install(&reader->config, error) < 0 ? -1 : check_tls(&reader->config, error);
}

int secondary_config_load(const char *path, SecondaryConfig *ret, Error *error)
{
        Reader reader = {
                .config = {
                        .serial = xstrdup(""),
                        .listen = xstrdup("0.0.0.0:9050"),
                        .primary = xstrdup(""),
                        .key_type = KEY_ED25519,
                        .state_directory = xstrdup("/var/lib/uptane-secondary"),
                        .root_directory = xstrdup("/usr/lib/uptane"),
                        .install = xstrdup(""),
                        .handler = xstrdup(""),
                        .handler_option = xstrdup(""),
                        .helper_socket = xstrdup(""),
                        .install_timeout = INSTALL_TIMEOUT_DEFAULT,
                        .ostree_url = xstrdup(""),
                        .image_max = IMAGE_MAX_DEFAULT,
                        .sleep_after = SLEEP_AFTER_DEFAULT,
                        .min_speed = MIN_SPEED_DEFAULT,
                        .min_speed_seconds = MIN_SPEED_SECONDS_DEFAULT,
                        .tls_ca = xstrdup(""),
                        .tls_certificate = xstrdup(""),
                        .tls_key = xstrdup(""),
                        .tls_primary = xstrdup(""),
                        .tls_psk = xstrdup(""),
                        .must_match = xcalloc(1, sizeof *reader.config.must_match),
                },
        };
        int line = ini_parse(path, on_line, &reader);

        if (check(&reader, line, error) < 0) {
                secondary_config_done(&reader.config);
                return error_prefix(error, "%s", path);
        }
        *ret = reader.config;
        return 0;
}

void secondary_config_done(SecondaryConfig *config)
{
        free(config->serial);
        free(config->hardware_id);
        free(config->listen);
        free(config->primary);
        free(config->state_directory);
        free(config->root_directory);
        free(config->install);
        free(config->handler);
        free(config->handler_option);
        free(config->helper_socket);
        free(config->ostree_url);
        free(config->tls_ca);
        free(config->tls_certificate);
        free(config->tls_key);
        free(config->tls_primary);
        free(config->tls_psk);
        strv_free(config->must_match);
        *config = (SecondaryConfig) { 0 };
}
