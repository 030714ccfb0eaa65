/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table says which keys there are, of what type, and where they go. libinih splits the lines; everything it is
 * lenient about is decided here. Drop-ins are read after the main file and win.
 */
#include "uptaned/config.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metadata/der.h"

#define VENDOR_DIR "/usr/lib/uptane"
#define LOCAL_DIR "/etc/uptane"
#define FILE_NAME "uptaned.conf"
#define DROPINS_MAX 256
#define SECONDS_MAX (30 * 86400)
#define SPEED_MAX (1024 * 1024)
#define BANDWIDTH_MIN 16384
#define BANDWIDTH_MAX ((size_t) 1024 * 1024 * 1024)
#define KEYS_MAX 64
#define PATTERNS_MAX 32 /* of kernel arguments */

typedef enum Type {
        TYPE_TEXT,
        TYPE_URL,
        TYPE_PATH,
        TYPE_BOOL,
        TYPE_CONSENT,
        TYPE_KEY_TYPE,
        TYPE_INSTALLER,
        TYPE_SECONDS,
        TYPE_INTERVAL,
        TYPE_PERCENT,
        TYPE_BYTES,
        TYPE_SPEED,
        TYPE_BANDWIDTH,
        TYPE_COUNT,
        TYPE_ON_FAILURE,
        TYPE_MAX_SPEED,
} Type;

static const struct {
        const char *section, *key;
        Type type;
        size_t offset;
        const char *fallback;
} keys[] = {
#define ROW(section, key, type, member, fallback) { section, key, type, offsetof(Config, member), fallback }
        ROW("server", "url", TYPE_URL, server_url, NULL),
        ROW("server", "director-url", TYPE_URL, director_url, NULL),
        ROW("server", "repository-url", TYPE_URL, repository_url, NULL),
        ROW("server", "ostree-url", TYPE_URL, ostree_url, NULL),
        ROW("server", "require-director-timestamp", TYPE_BOOL, require_director_timestamp, "yes"),
        ROW("server", "require-vehicle-id", TYPE_BOOL, require_vehicle_id, "no"),
        ROW("server", "static-deltas", TYPE_BOOL, static_deltas, "no"),
        ROW("primary", "serial", TYPE_TEXT, serial, ""),
        ROW("primary", "hardware-id", TYPE_TEXT, hardware_id, NULL),
        ROW("primary", "vin", TYPE_TEXT, vin, ""),
        ROW("primary", "device-id", TYPE_TEXT, device_id, ""),
        ROW("primary", "secondaries-listen", TYPE_TEXT, secondaries_listen, ""),
        ROW("primary", "key-type", TYPE_KEY_TYPE, key_type, "ed25519"),
        ROW("primary", "installer", TYPE_INSTALLER, exec_installer, "ostree"),
        ROW("primary", "handler", TYPE_PATH, handler, NULL),
        ROW("primary", "handler-option", TYPE_TEXT, handler_option, ""),
        ROW("ostree", "kernel-arguments", TYPE_TEXT, kernel_arguments, ""),
        ROW("update", "poll-interval", TYPE_INTERVAL, policy.interval, "300"),
        ROW("update", "jitter", TYPE_PERCENT, policy.jitter, "10"),
        ROW("update", "consent-download", TYPE_CONSENT, policy.ask[ENGINE_STAGE_DOWNLOAD], "auto"),
        ROW("update", "consent-install", TYPE_CONSENT, policy.ask[ENGINE_STAGE_INSTALL], "auto"),
        ROW("update", "consent-reboot", TYPE_CONSENT, policy.ask[ENGINE_STAGE_REBOOT], "auto"),
        ROW("update", "conditions-download", TYPE_TEXT, conditions_text[ENGINE_STAGE_DOWNLOAD], ""),
        ROW("update", "conditions-install", TYPE_TEXT, conditions_text[ENGINE_STAGE_INSTALL], ""),
        ROW("update", "conditions-reboot", TYPE_TEXT, conditions_text[ENGINE_STAGE_REBOOT], ""),
        ROW("update", "parallel", TYPE_COUNT, policy.parallel, "8"),
        ROW("update", "on-failure", TYPE_ON_FAILURE, policy.keep, "rollback"),
        ROW("update", "must-match", TYPE_TEXT, must_match, ""),
        ROW("health", "boot-complete", TYPE_BOOL, health.boot_complete, "no"),
        ROW("health", "checks", TYPE_BOOL, health.checks, "no"),
        ROW("health", "director", TYPE_BOOL, health.director, "no"),
        ROW("health", "timeout", TYPE_SECONDS, health.timeout, "300"),
        ROW("health", "check-timeout", TYPE_SECONDS, health.check_timeout, "60"),
        ROW("limits", "root", TYPE_BYTES, max_bytes[ROLE_ROOT], "256K"),
        ROW("limits", "timestamp", TYPE_BYTES, max_bytes[ROLE_TIMESTAMP], "64K"),
        ROW("limits", "snapshot", TYPE_BYTES, max_bytes[ROLE_SNAPSHOT], "1M"),
        ROW("limits", "targets", TYPE_BYTES, max_bytes[ROLE_TARGETS], "16M"),
        ROW("limits", "delegations", TYPE_BYTES, max_delegated_bytes, "64M"),
        ROW("limits", "min-speed", TYPE_SPEED, slowest.speed, "100"),
        ROW("limits", "min-speed-seconds", TYPE_SECONDS, slowest.seconds, "30"),
        ROW("limits", "secondaries", TYPE_BANDWIDTH, secondaries_bandwidth, "0"),
        ROW("limits", "max-speed", TYPE_MAX_SPEED, max_speed, "0"),
        ROW("timeouts", "metadata", TYPE_SECONDS, metadata_timeout, "60"),
        ROW("timeouts", "image", TYPE_SECONDS, image_timeout, "60"),
        ROW("timeouts", "install", TYPE_SECONDS, install_timeout, "900"),
        ROW("timeouts", "completion", TYPE_SECONDS, completion_timeout, "86400"),
        ROW("timeouts", "secondary", TYPE_SECONDS, secondary_timeout, "20"),
        ROW("timeouts", "announce", TYPE_SECONDS, announce_timeout, "60"),
        ROW("paths", "state-directory", TYPE_PATH, state_directory, "/var/lib/uptane"),
        ROW("paths", "factory-image", TYPE_PATH, factory_image, NULL),
        ROW("paths", "root-directory", TYPE_PATH, root_directory, VENDOR_DIR),
        ROW("paths", "fetch-socket", TYPE_PATH, fetch_socket, "/run/uptane/fetch.sock"),
        ROW("paths", "verify-socket", TYPE_PATH, verify_socket, "/run/uptane/verify.sock"),
        ROW("paths", "ostree-socket", TYPE_PATH, ostree_socket, "/run/uptane/ostree.sock"),
        ROW("paths", "health-socket", TYPE_PATH, health_socket, "/run/uptane/health.sock"),
        ROW("paths", "secondary-ip-socket", TYPE_PATH, secondary_ip_socket, "/run/uptane/secondary-ip.sock"),
        ROW("paths", "exec-socket", TYPE_PATH, exec_socket, "/run/uptane/exec.sock"),
#undef ROW
};
static_assert(ELEMENTSOF(keys) <= KEYS_MAX, "more keys than the reader can tell apart");

typedef struct Reader {
        Config *config;
        const char *path;
        FILE *file;
        unsigned line;           /* being read */
        unsigned seen[KEYS_MAX]; /* line in this file; 0: not yet */
        Error *error;
} Reader;

static void replace(char **p, const char *value)
{
        free(*p);
        *p = xstrdup(value);
}

static int set_url(char **p, const char *value, Error *error)
{
        size_t n = strlen(value);

        if ((strncmp(value, "https://", 8) != 0 && strncmp(value, "http://", 7) != 0) || strpbrk(value, " \t?#"))
                return error_set(error, ERR_CONFIG, "'%.100s' is no https:// address", value);
        while (n > 0 && value[n - 1] == '/')
                n--;
        free(*p);
        *p = xstrndup(value, n);
        return 0;
}

static int set_bool(bool *p, const char *value, const char *yes, const char *no, Error *error)
{
        if (strcmp(value, yes) != 0 && strcmp(value, no) != 0)
                return error_set(error, ERR_CONFIG, "'%.40s' is neither %s nor %s", value, yes, no);
        *p = strcmp(value, yes) == 0;
        return 0;
}

static int parse_number(const char *value, long long min, long long max, long long *ret, Error *error)
{
        char *end;

        errno = 0;
        *ret = strtoll(value, &end, 10);
        if (!isdigit((unsigned char) *value) || *end || errno || *ret < min || *ret > max)
                return error_set(error, ERR_CONFIG, "'%.40s' is no number from %lld to %lld", value, min, max);
        return 0;
}

/* From min to max bytes: a number, or one with K or M behind. */
static int parse_bytes(const char *value, long long min, size_t max, size_t *ret, Error *error)
{
        size_t n = strlen(value), unit = n > 0 && value[n - 1] == 'K' ? 1024 : n > 0 && value[n - 1] == 'M' ? (size_t) 1024 * 1024 : 1;
        cleanup_free char *digits = xstrndup(value, unit > 1 ? n - 1 : n);
        long long number;

        if (parse_number(digits, (min + (long long) unit - 1) / (long long) unit, (long long) (max / unit), &number, error) < 0)
                return -1;
        *ret = (size_t) number * unit;
        return 0;
}

/* 0, or 16K to 1024M a second. */
static int set_bandwidth(uint64_t *p, const char *value, Error *error)
{
        size_t bytes;

        if (parse_bytes(value, 0, BANDWIDTH_MAX, &bytes, error) < 0)
                return -1;
        if (bytes > 0 && bytes < BANDWIDTH_MIN)
                return error_set(error, ERR_CONFIG, "'%.40s' is less than 16K and not 0", value);
        *p = bytes;
        return 0;
}

static int set_key_type(KeyType *p, const char *value, Error *error)
{
        if (strcmp(value, "ed25519") == 0)
                *p = KEY_ED25519;
        else if (strcmp(value, "rsa") == 0)
                *p = KEY_RSA;
        else
                return error_set(error, ERR_CONFIG, "'%.40s' is neither ed25519 nor rsa", value); /* what back-ends can check */
        return 0;
}

/* Names go to D-Bus, into JSON and to the back-end, which do not all take the same bytes. */
static bool is_printable(const char *text)
{
        while (*text >= ' ' && *text <= '~')
                text++;
        return *text == '\0';
}

static int set_value(Type type, void *p, const char *value, Error *error)
{
        long long n;

        switch (type) {
        case TYPE_TEXT:
                if (strlen(value) > HARDWARE_ID_MAX)
                        return error_set(error, ERR_CONFIG, "longer than %d bytes", HARDWARE_ID_MAX);
                if (!is_printable(value))
                        return error_set(error, ERR_CONFIG, "names are made of printable ASCII characters");
                replace(p, value);
                return 0;
        case TYPE_PATH:
                if (*value != '/')
                        return error_set(error, ERR_CONFIG, "'%.100s' is no absolute path", value);
                replace(p, value);
                return 0;
        case TYPE_URL:
                return set_url(p, value, error);
        case TYPE_BOOL:
                return set_bool(p, value, "yes", "no", error);
        case TYPE_CONSENT:
                return set_bool(p, value, "ask", "auto", error);
        case TYPE_INSTALLER:
                return set_bool(p, value, "exec", "ostree", error);
        case TYPE_KEY_TYPE:
                return set_key_type(p, value, error);
        case TYPE_SECONDS:
                if (parse_number(value, 1, SECONDS_MAX, &n, error) < 0)
                        return -1;
                *(unsigned *) p = (unsigned) n;
                return 0;
        case TYPE_INTERVAL:
                if (parse_number(value, 1, SECONDS_MAX, &n, error) < 0)
                        return -1;
                *(int64_t *) p = n;
                return 0;
        case TYPE_BYTES:
                return parse_bytes(value, 1024, ROLE_BYTES_MAX, p, error);
        case TYPE_MAX_SPEED:
                *(size_t *) p = 0;
                return strcmp(value, "0") == 0 ? 0 : parse_bytes(value, 1024, ROLE_BYTES_MAX, p, error);
        case TYPE_SPEED:
                if (parse_number(value, 1, SPEED_MAX, &n, error) < 0)
                        return -1;
                *(unsigned *) p = (unsigned) n;
                return 0;
        case TYPE_BANDWIDTH:
                return set_bandwidth(p, value, error);
        case TYPE_COUNT:
                if (parse_number(value, 1, CONFIG_SECONDARIES_MAX, &n, error) < 0)
                        return -1;
                *(unsigned *) p = (unsigned) n;
                return 0;
        case TYPE_ON_FAILURE:
                return set_bool(p, value, "keep", "rollback", error);
        case TYPE_PERCENT:
                if (parse_number(value, 0, 50, &n, error) < 0)
                        return -1;
                *(int *) p = (int) n;
                return 0;
        }
        abort();
}

/* ---- [secondary LABEL] ---- */

static bool is_label(const char *text)
{
        size_t n = strlen(text);

        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) text[i]) && text[i] != '_')
                        return false;
        return n > 0 && n <= 32 && strcmp(text, "primary") != 0;
}

static ConfigSecondary *find_secondary(Config *c, const char *label)
{
        for (size_t i = 0; i < c->n_secondaries; i++)
                if (strcmp(c->secondaries[i].label, label) == 0)
                        return &c->secondaries[i];
        if (c->n_secondaries == CONFIG_SECONDARIES_MAX)
                return NULL;
        c->secondaries = xrealloc(c->secondaries, c->n_secondaries + 1, sizeof *c->secondaries);
        c->secondaries[c->n_secondaries] = (ConfigSecondary) {
                .label = xstrdup(label),
                .driver = xstrdup("ip"),
                .address = xstrdup(""),
                .handler = xstrdup(""),
                .handler_option = xstrdup(""),
                .hardware_id = xstrdup(""),
                .serial = xstrdup(""),
                .chunk = DER_CHUNK,
        };
        return &c->secondaries[c->n_secondaries++];
}

/* The keys of drivers exec and virtual. */
static int set_exec_secondary(ConfigSecondary *s, const char *key, const char *value, Error *error)
{
        if (strcmp(key, "handler") == 0)
                return set_value(TYPE_PATH, &s->handler, value, error);
        if (strcmp(key, "handler-option") == 0)
                return set_value(TYPE_TEXT, &s->handler_option, value, error);
        if (strcmp(key, "hardware-id") == 0)
                return set_value(TYPE_TEXT, &s->hardware_id, value, error);
        if (strcmp(key, "serial") == 0)
                return set_value(TYPE_TEXT, &s->serial, value, error);
        return error_set(error, ERR_CONFIG, "unknown key");
}

static int set_secondary(Config *c, const char *label, const char *key, const char *value, Error *error)
{
        ConfigSecondary *s;

        if (!is_label(label))
                return error_set(error, ERR_CONFIG, "'%.40s' is no label: 1 to 32 letters, digits and '_', and not 'primary'", label);
        s = find_secondary(c, label);
        if (!s)
                return error_set(error, ERR_CONFIG, "more than %d Secondaries", CONFIG_SECONDARIES_MAX);
        if (strcmp(key, "driver") == 0) {
                if (strcmp(value, "ip") != 0 && strcmp(value, "exec") != 0 && strcmp(value, "virtual") != 0)
                        return error_set(error, ERR_CONFIG, "driver '%.40s' is not known; there are: ip, exec, virtual", value);
                replace(&s->driver, value);
        } else if (strcmp(key, "order") == 0) {
                long long order;

                if (parse_number(value, 0, ENGINE_ORDER_MAX, &order, error) < 0)
                        return -1;
                s->order = (int) order;
        } else if (strcmp(key, "address") == 0) {
                const char *colon = strrchr(value, ':');
                long long port;

                if (!colon || colon == value || parse_number(colon + 1, 1, 65535, &port, &(Error) { 0 }) < 0)
                        return error_set(error, ERR_CONFIG, "'%.100s' is no host:port", value);
                replace(&s->address, value);
        } else if (strcmp(key, "verification") == 0)
                return set_bool(&s->partial, value, "partial", "full", error);
        else if (strcmp(key, "replacement") == 0)
                return set_bool(&s->may_be_replaced, value, "register", "refuse", error);
        else if (strcmp(key, "send-credentials") == 0)
                return set_bool(&s->send_credentials, value, "yes", "no", error);
        else if (strcmp(key, "send-time") == 0)
                return set_bool(&s->send_time, value, "yes", "no", error);
        else if (strcmp(key, "chunk") == 0)
                return parse_bytes(value, DER_CHUNK, DER_CHUNK_MAX, &s->chunk, error);
        else if (strcmp(key, "tls") == 0) {
                s->psk = strcmp(value, "psk") == 0;
                s->tls = false;
                return s->psk ? 0 : set_bool(&s->tls, value, "yes", "no", error);
        }
        else
                return set_exec_secondary(s, key, value, error);
        return 0;
}

/* ---- files ---- */

static int set_key(Reader *r, const char *section, const char *key, const char *value, Error *error)
{
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                if (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].key, key) != 0)
                        continue;
                if (r->seen[i])
                        return error_set(error, ERR_CONFIG, "given before, in line %u", r->seen[i]);
                r->seen[i] = r->line;
                return set_value(keys[i].type, (char *) r->config + keys[i].offset, value, error);
        }
        return error_set(error, ERR_CONFIG, "unknown key, see uptaned.conf(5)");
}

/*
 * Counts lines on the way: the library, as distributions build it, does not tell. A line that does not fit into its
 * buffer would be taken for two, and half of a value for the whole.
 */
static char *read_line(char *text, int size, void *stream)
{
        Reader *r = stream;

        if (!fgets(text, size, r->file))
                return NULL;
        r->line++;
        if (strchr(text, '\n') || feof(r->file))
                return text;
        if (r->error->code == ERR_NONE)
                (void) error_set(r->error, ERR_CONFIG, "%s, line %u: longer than %d bytes", r->path, r->line, size - 2);
        return NULL;
}

static int on_line(void *user, const char *section, const char *key, const char *value)
{
        Reader *r = user;
        int n;

        if (r->error->code != ERR_NONE)
                return 0;
        if (strncmp(section, "secondary ", 10) == 0)
                n = set_secondary(r->config, section + 10, key, value, r->error);
        else
                n = set_key(r, section, key, value, r->error);
        if (n < 0)
                (void) error_prefix(r->error, "%s, line %u, [%s] %s", r->path, r->line, section, key);
        return n < 0 ? 0 : 1;
}

/* What everybody can write says what anybody wants: where the Roots are, which handler runs. */
static int check_mode(int fd, const char *path, Error *error)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set_errno(error, ERR_CONFIG, errno, "%s", path);
        return st.st_mode & S_IWOTH ? error_set(error, ERR_CONFIG, "%s can be written by everybody", path) : 0;
}

/* 1: read, 0: not there. */
static int read_file(const char *path, Config *config, Error *error)
{
        Reader reader = { .config = config, .path = path, .file = fopen(path, "re"), .error = error };
        int line = 0;

        if (!reader.file && errno == ENOENT)
                return 0;
        if (!reader.file)
                return error_set_errno(error, ERR_CONFIG, errno, "%s", path);
        if (check_mode(fileno(reader.file), path, error) == 0)
                line = ini_parse_stream(read_line, &reader, on_line, &reader);
        (void) fclose(reader.file);
        if (error->code != ERR_NONE)
                return -1;
        return line ? error_set(error, ERR_CONFIG, "%s, line %d: neither a [section] nor a key = value", path, line) : 1;
}

typedef struct Dropins {
        char *names[DROPINS_MAX];
        size_t n;
} Dropins;

static void dropins_done(Dropins *d)
{
        for (size_t i = 0; i < d->n; i++)
                free(d->names[i]);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int list_dropins(const char *folder, Dropins *d, Error *error)
{
        DIR *dir = opendir(folder);

        if (!dir)
                return errno == ENOENT ? 0 : error_set_errno(error, ERR_CONFIG, errno, "%s", folder);
        if (check_mode(dirfd(dir), folder, error) < 0) {
                (void) closedir(dir);
                return -1;
        }
        for (struct dirent *e; (e = readdir(dir)) && d->n < DROPINS_MAX;) {
                size_t n = strlen(e->d_name);
                bool there = false;

                for (size_t i = 0; i < d->n; i++)
                        there |= strcmp(d->names[i], e->d_name) == 0;
                if (!there && n > 5 && e->d_name[0] != '.' && strcmp(e->d_name + n - 5, ".conf") == 0)
                        d->names[d->n++] = xstrdup(e->d_name);
        }
        (void) closedir(dir);
        return 0;
}

/* Of two namesakes, the one in the later folder counts. */
static int read_dropins(const char *const *folders, size_t n_folders, Config *config, Error *error)
{
        __attribute__((cleanup(dropins_done))) Dropins d = { 0 };

        for (size_t i = 0; i < n_folders; i++)
                if (list_dropins(folders[i], &d, error) < 0)
                        return -1;
        qsort(d.names, d.n, sizeof *d.names, compare_names);
        for (size_t i = 0; i < d.n; i++) {
                int r = 0;

                for (size_t f = n_folders; r == 0 && f > 0; f--) {
                        cleanup_free char *path = xasprintf("%s/%s", folders[f - 1], d.names[i]);

                        r = read_file(path, config, error);
                }
                if (r < 0)
                        return -1;
        }
        return 0;
}

static int read_all(const char *path, Config *config, Error *error)
{
        cleanup_free char *folder = path ? xasprintf("%s.d", path) : NULL;
        int r;

        if (path) {
                r = read_file(path, config, error);
                if (r == 0)
                        return error_set(error, ERR_CONFIG, "%s is missing", path);
                return r < 0 ? -1 : read_dropins((const char *const[]) { folder }, 1, config, error);
        }
        if (read_file(VENDOR_DIR "/" FILE_NAME, config, error) < 0 || read_file(LOCAL_DIR "/" FILE_NAME, config, error) < 0)
                return -1;
        return read_dropins((const char *const[]) { VENDOR_DIR "/" FILE_NAME ".d", LOCAL_DIR "/" FILE_NAME ".d" }, 2, config, error);
}

/* ---- the whole ---- */

static void set_defaults(Config *c)
{
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                Error error = { 0 };

                if (keys[i].fallback && set_value(keys[i].type, (char *) c + keys[i].offset, keys[i].fallback, &error) < 0)
                        abort(); /* our own table is wrong */
        }
}

/* Uptane 5.2.6 (b, c), Uptane 5.4.1 (1c): where the two repositories are; that both must sign every image is the business of uptane/ */
static void default_url(char **p, const char *base, const char *path)
{
        if (!*p)
                *p = xasprintf("%s/%s", base, path);
}

static int complete_secondary(const ConfigSecondary *s, Error *error)
{
        bool exec = strcmp(s->driver, "exec") == 0, ip = strcmp(s->driver, "ip") == 0;

        if (ip && !*s->address)
                return error_set(error, ERR_CONFIG, "[secondary %s] address is missing", s->label);
        if (ip && s->psk != (*s->serial != '\0'))
                return error_set(error, ERR_CONFIG, "[secondary %s] serial is %s", s->label,
                                 s->psk ? "missing: tls = psk shows the key of that name" : "for driver = exec, driver = virtual and tls = psk");
        if (!ip && (*s->address || s->tls || s->psk || s->partial || s->may_be_replaced || s->send_time || s->chunk != DER_CHUNK))
                return error_set(error, ERR_CONFIG, "[secondary %s] address, tls, verification, replacement, send-time and chunk are for driver = ip",
                                 s->label);
        if (s->send_credentials && !s->tls && !s->psk)
                return error_set(error, ERR_CONFIG, "[secondary %s] send-credentials needs tls = yes or tls = psk", s->label);
        if (ip && *s->hardware_id)
                return error_set(error, ERR_CONFIG, "[secondary %s] hardware-id is for driver = exec and driver = virtual", s->label);
        if (!exec && (*s->handler || *s->handler_option))
                return error_set(error, ERR_CONFIG, "[secondary %s] handler and handler-option are for driver = exec", s->label);
        if (exec && !*s->handler)
                return error_set(error, ERR_CONFIG, "[secondary %s] handler is missing", s->label);
        if (!ip && !*s->hardware_id)
                return error_set(error, ERR_CONFIG, "[secondary %s] hardware-id is missing", s->label);
        if (strlen(s->serial) > ECU_SERIAL_MAX)
                return error_set(error, ERR_CONFIG, "[secondary %s] serial is longer than %d bytes", s->label, ECU_SERIAL_MAX);
        return 0;
}

static bool is_condition_name(const char *name)
{
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");

        return n > 0 && n <= CONFIG_CONDITION_NAME_MAX && name[n] == '\0';
}

static int add_condition(Config *c, const char *name, EngineStage stage, Error *error)
{
        size_t i = 0;

        if (!is_condition_name(name))
                return error_set(error, ERR_CONFIG, "[update] conditions-%s: '%.40s' is no name: 1 to %d of a-z, 0-9, '-' and '_'",
                                 engine_stage_name(stage), name, CONFIG_CONDITION_NAME_MAX);
        while (i < c->n_conditions && strcmp(c->conditions[i].name, name) != 0)
                i++;
        if (i == CONFIG_CONDITIONS_MAX)
                return error_set(error, ERR_CONFIG, "[update] conditions-%s: more than %d conditions", engine_stage_name(stage),
                                 CONFIG_CONDITIONS_MAX);
        if (i == c->n_conditions)
                (void) snprintf(c->conditions[c->n_conditions++].name, sizeof c->conditions[i].name, "%s", name);
        c->conditions[i].stages |= 1u << stage;
        c->policy.conditional[stage] = true;
        return 0;
}

/* What stands between spaces; ends with NULL. */
static char **split_words(const char *text)
{
        cleanup_free char *copy = xstrdup(text);
        char **words = xcalloc(1, sizeof *words), *rest = NULL;
        size_t n = 0;

        for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
                words = xrealloc(words, n + 2, sizeof *words);
                words[n++] = xstrdup(word);
                words[n] = NULL;
        }
        return words;
}

static int complete_conditions(Config *c, Error *error)
{
        for (unsigned stage = 0; stage < _ENGINE_STAGE_MAX; stage++) {
                char **names = split_words(c->conditions_text[stage]);
                int r = 0;

                for (char **name = names; *name && r == 0; name++)
                        r = add_condition(c, *name, (EngineStage) stage, error);
                strv_free(names);
                if (r < 0)
                        return -1;
        }
        return 0;
}

/* Uptane 5.2.6 (a) */
static int complete(Config *c, Error *error)
{
        if (!c->server_url)
                return error_set(error, ERR_CONFIG, "[server] url is missing: the address of the back-end");
        if (!c->hardware_id || !*c->hardware_id)
                return error_set(error, ERR_CONFIG, "[primary] hardware-id is missing: what the back-end calls this kind of ECU");
        if (strlen(c->serial) > ECU_SERIAL_MAX)
                return error_set(error, ERR_CONFIG, "[primary] serial is longer than %d bytes", ECU_SERIAL_MAX);
        if (c->exec_installer != (c->handler != NULL))
                return error_set(error, ERR_CONFIG, "[primary] handler is %s", c->handler ? "for installer = exec" : "missing");
        if (c->max_speed > 0 && c->max_speed < 2 * (size_t) c->slowest.speed)
                return error_set(error, ERR_CONFIG, "[limits] max-speed is not twice min-speed");
        for (size_t i = 0; i < c->n_secondaries; i++)
                if (complete_secondary(&c->secondaries[i], error) < 0)
                        return -1;
        if (complete_conditions(c, error) < 0)
                return -1;
        default_url(&c->director_url, c->server_url, "director");
        default_url(&c->repository_url, c->server_url, "repo");
        default_url(&c->ostree_url, c->server_url, "treehub");
        return 0;
}

static int split_lists(Config *c, Error *error)
{
        size_t n = 0;

        c->must_match_names = split_words(c->must_match);
        c->kernel_argument_patterns = split_words(c->kernel_arguments);
        while (c->kernel_argument_patterns[n])
                n++;
        return n > PATTERNS_MAX ? error_set(error, ERR_CONFIG, "[ostree] kernel-arguments has more than %d patterns", PATTERNS_MAX) : 0;
}

int config_load(const char *path, Config *ret, Error *error)
{
        Config config = { 0 };

        set_defaults(&config);
        if (read_all(path, &config, error) < 0 || complete(&config, error) < 0 || split_lists(&config, error) < 0) {
                config_done(&config);
                return -1;
        }
        *ret = config;
        return 0;
}

void config_done(Config *c)
{
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (keys[i].type == TYPE_TEXT || keys[i].type == TYPE_URL || keys[i].type == TYPE_PATH)
                        free(*(char **) ((char *) c + keys[i].offset));
        for (size_t i = 0; i < c->n_secondaries; i++) {
                free(c->secondaries[i].label);
                free(c->secondaries[i].driver);
                free(c->secondaries[i].address);
                free(c->secondaries[i].handler);
                free(c->secondaries[i].handler_option);
                free(c->secondaries[i].hardware_id);
                free(c->secondaries[i].serial);
        }
        free(c->secondaries);
        strv_free(c->must_match_names);
        strv_free(c->kernel_argument_patterns);
        *c = (Config) { 0 };
}
