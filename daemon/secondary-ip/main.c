/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-secondary-ip: org.uptane.Secondary1 (docs/HELPERS.md) for Secondaries that speak the IP Secondary protocol.
 * Holds no key of the vehicle but those for protected links, and no state; what the Secondary says is
 * passed on bounded and well-formed, and judged by the daemon.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "io/file.h"
#include "metadata/role.h"
#include "peer/peer.h"
#include "secondary/address.h"
#include "secondary/ip.h"

#define CREDENTIAL_MAX ((size_t) 16 * 1024)
#define FILES_SLACK ((size_t) 4096) /* what the encoding of metadata adds to it, generously */

typedef struct Timeouts { /* seconds */
        unsigned connect, silence, exchange, install;
} Timeouts;

typedef struct Helper {
        Timeouts timeouts;
        SecondaryTls *tls, *psk; /* NULL until they are needed */
} Helper;

/* A Secondary, and the text of its address. */
typedef struct Contact {
        SecondaryIp ip;
        const char *address;
        char name[SECONDARY_TLS_NAME_MAX + 1];
} Contact;

static int load_credentials(Helper *h, Error *error)
{
        cleanup_free char *ca = peer_credential("secondary-ca.pem"), *certificate = peer_credential("primary.crt");
        cleanup_free char *key = peer_credential("primary.key");

        if (h->tls)
                return 0;
        if (!ca || !certificate || !key)
                return error_set(error, ERR_KEY, "a Secondary wants TLS, but no credentials were loaded: secondary-ca.pem, primary.crt, primary.key");
        return secondary_tls_new(&(SecondaryTlsFiles) { .ca = ca, .certificate = certificate, .key = key }, false, &h->tls, error);
}

static int load_keys(Helper *h, Error *error)
{
        cleanup_free char *psk = peer_credential("secondaries.psk");

        if (h->psk)
                return 0;
        if (!psk)
                return error_set(error, ERR_KEY, "a Secondary wants TLS with a key, but the credential secondaries.psk was not loaded");
        return secondary_tls_new(&(SecondaryTlsFiles) { .psk = psk }, false, &h->psk, error);
}

/* ret->address is set even on failure. */
static int contact_init(Contact *ret, const char *address, Helper *h, sd_bus_message *call, Error *error)
{
        SecondaryProtection protection;

        *ret = (Contact) { .address = address };
        ret->ip = (SecondaryIp) {
                .name = ret->name,
                .connect_ms = h->timeouts.connect * 1000,
                .idle_ms = h->timeouts.silence * 1000,
                .exchange_ms = h->timeouts.exchange * 1000,
                .install_ms = h->timeouts.install * 1000,
                .cancel_fd = sd_bus_get_fd(sd_bus_message_get_bus(call)),
        };
        if (secondary_address_split(address, &protection, ret->name, &ret->ip.address, error) < 0 ||
            (protection == SECONDARY_CERTIFICATES && load_credentials(h, error) < 0) || (protection == SECONDARY_PSK && load_keys(h, error) < 0))
                return -1;
        ret->ip.tls = protection == SECONDARY_CERTIFICATES ? h->tls : protection == SECONDARY_PSK ? h->psk : NULL;
        return 0;
}

/* The end of every method: the error names the Secondary, and the log the error. */
static int failed(const Contact *s, Error *error, sd_bus_error *ret)
{
        (void) error_prefix(error, "Secondary at %.100s", s->address);
        fprintf(stderr, "%s\n", error->message);
        return peer_error_reply(error, ret);
}

static int repo_from_name(const char *name, DerRepo *ret, Error *error)
{
        if (strcmp(name, "director") == 0)
                *ret = DER_REPO_DIRECTOR;
        else if (strcmp(name, "image") == 0)
                *ret = DER_REPO_IMAGE;
        else
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.100s' is no repository: it is 'director' or 'image'", name);
        return 0;
}

static int read_bytes(sd_bus_message *call, Slice *ret)
{
        const void *data;
        size_t size;
        int r = sd_bus_message_read_array(call, 'y', &data, &size);

        if (r >= 0)
                *ret = slice(data, size);
        return r;
}

static int method_get_info(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        SecondaryIpInfo info;
        const char *address;
        Error error = { 0 };
        Contact s;
        int r = sd_bus_message_read(call, "s", &address);

        if (r < 0)
                return r;
        if (contact_init(&s, address, userdata, call, &error) < 0 || secondary_ip_get_info(&s.ip, arena, &info, &error) < 0)
                return failed(&s, &error, ret_error);
        return sd_bus_reply_method_return(call, "ssss", info.serial, info.hardware_id, info.key_type, info.key);
}

static int method_await_info(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        const char *address, *listen;
        SecondaryIpInfo info;
        Error error = { 0 };
        uint32_t seconds;
        Contact s;
        int r = sd_bus_message_read(call, "ssu", &address, &listen, &seconds);

        if (r < 0)
                return r;
        if (seconds > 86400)
                seconds = 86400;
        if (contact_init(&s, address, userdata, call, &error) < 0 || secondary_ip_await_info(&s.ip, listen, seconds * 1000, arena, &info, &error) < 0)
                return failed(&s, &error, ret_error);
        return sd_bus_reply_method_return(call, "ssss", info.serial, info.hardware_id, info.key_type, info.key);
}

static int method_get_manifest(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const char *address;
        Error error = { 0 };
        Contact s;
        Slice report;
        int r = sd_bus_message_read(call, "s", &address);

        if (r < 0)
                return r;
        if (contact_init(&s, address, userdata, call, &error) < 0 || secondary_ip_get_manifest(&s.ip, arena, &report, &error) < 0)
                return failed(&s, &error, ret_error);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', report.data, report.size);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_get_root_version(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        const char *address, *repository;
        Error error = { 0 };
        int64_t version;
        Contact s;
        DerRepo repo = DER_REPO_DIRECTOR;
        int r = sd_bus_message_read(call, "ss", &address, &repository);

        if (r < 0)
                return r;
        if (contact_init(&s, address, userdata, call, &error) < 0 || repo_from_name(repository, &repo, &error) < 0 ||
            secondary_ip_get_root_version(&s.ip, repo, &version, &error) < 0)
                return failed(&s, &error, ret_error);
        return sd_bus_reply_method_return(call, "x", version);
}

static int method_put_root(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        const char *address, *repository;
        Error error = { 0 };
        Contact s;
        DerRepo repo = DER_REPO_DIRECTOR;
        Slice root;
        int r = sd_bus_message_read(call, "ss", &address, &repository);

        if (r >= 0)
                r = read_bytes(call, &root);
        if (r < 0)
                return r;
        if (contact_init(&s, address, userdata, call, &error) < 0 || repo_from_name(repository, &repo, &error) < 0 ||
            secondary_ip_put_root(&s.ip, repo, root, &error) < 0)
                return failed(&s, &error, ret_error);
        return sd_bus_reply_method_return(call, NULL);
}

static int add_file(DerMessage *files, const char *repository, DerFile file, Error *error)
{
        DerRepo repo = DER_REPO_DIRECTOR;
        DerFile *list;
        size_t *n;

        if (repo_from_name(repository, &repo, error) < 0)
                return -1;
        list = repo == DER_REPO_IMAGE ? files->image_files : files->director_files;
        n = repo == DER_REPO_IMAGE ? &files->n_image_files : &files->n_director_files;
        if (*n == DER_FILES_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "more than %d files of the %s repository", DER_FILES_MAX, repository);
        if (strlen(file.role) > sizeof DER_DELEGATED - 1 + ROLE_NAME_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.100s' is no role", file.role);
        list[(*n)++] = file;
        return 0;
}

/* Slices of ret are borrowed from call. Returns a negative errno where call has another form; error says the rest. */
static int read_files(sd_bus_message *call, DerMessage *ret, Error *error)
{
        const char *repository;
        size_t total = 0;
        DerFile file;
        int r = sd_bus_message_enter_container(call, 'a', "(ssay)");

        while (r >= 0 && (r = sd_bus_message_enter_container(call, 'r', "ssay")) > 0) {
                r = sd_bus_message_read(call, "ss", &repository, &file.role);
                if (r >= 0)
                        r = read_bytes(call, &file.json);
                if (r >= 0)
                        r = sd_bus_message_exit_container(call);
                if (r < 0 || error->code != ERR_NONE)
                        continue;
                total += file.json.size;
                if (total > DER_MESSAGE_MAX - FILES_SLACK)
                        (void) error_set(error, ERR_TOO_LARGE, "more than %zu bytes of metadata", DER_MESSAGE_MAX - FILES_SLACK);
                else
                        (void) add_file(ret, repository, file, error);
        }
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int method_put_metadata(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        DerFile image[DER_FILES_MAX], director[DER_FILES_MAX];
        DerMessage files = { .kind = DER_PUT_META_REQ2, .image_files = image, .director_files = director };
        Error error = { 0 }, no_contact = { 0 };
        const char *address;
        Contact s;
        int r = sd_bus_message_read(call, "s", &address);

        if (r >= 0)
                r = read_files(call, &files, &error);
        if (r < 0)
                return r;
        if (contact_init(&s, address, userdata, call, &no_contact) < 0 && error.code == ERR_NONE)
                error = no_contact;
        if (error.code != ERR_NONE || secondary_ip_put_metadata(&s.ip, &files, &error) < 0)
                return failed(&s, &error, ret_error);
        return sd_bus_reply_method_return(call, NULL);
}

static void show_progress(void *userdata, uint64_t done, uint64_t total)
{
        peer_progress(userdata, done, total);
}

static int method_put_image(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        SecondaryIpImage image = { .progress = show_progress, .userdata = call };
        const char *address, *name;
        Error error = { 0 };
        uint32_t chunk;
        Contact s;
        int r = sd_bus_message_read(call, "sstuh", &address, &name, &image.length, &chunk, &image.fd);

        if (r < 0)
                return r;
        image.chunk = chunk;
        if (contact_init(&s, address, userdata, call, &error) < 0 || secondary_ip_put_image(&s.ip, &image, &error) < 0) {
                (void) error_prefix(&error, "image '%.100s'", name);
                return failed(&s, &error, ret_error);
        }
        return sd_bus_reply_method_return(call, NULL);
}

static const char *result_name(DerResult result)
{
        return result == DER_OK ? "OK" : result == DER_ALREADY_PROCESSED ? "ALREADY_PROCESSED" : "NEED_COMPLETION";
}

/* In this order, which the Secondary takes apart by the key. */
static int read_credentials(Buffer *ret, Error *error)
{
        static const char *const names[] = { "treehub.crt", "treehub.key", "treehub-ca.pem" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                cleanup_free char *path = peer_credential(names[i]);
                int r = path ? file_read(path, CREDENTIAL_MAX, ret, error) : 0;

                if (r <= 0)
                        return r < 0 ? -1 : error_set(error, ERR_KEY, "credentials are to be sent, but %s was not loaded", names[i]);
        }
        return 0;
}

static int fetch_commit(const Contact *s, bool send, Error *error)
{
        cleanup_buffer Buffer credentials = { 0 };
        int r = send ? read_credentials(&credentials, error) : 0;

        if (r == 0)
                r = secondary_ip_fetch_commit(&s->ip, buffer_slice(&credentials), error);
        if (credentials.data)
                explicit_bzero(credentials.data, credentials.capacity);
        return r;
}

static int method_fetch_commit(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        const char *address;
        Error error = { 0 };
        Contact s;
        int send, r = sd_bus_message_read(call, "sb", &address, &send);

        if (r < 0)
                return r;
        if (contact_init(&s, address, userdata, call, &error) < 0 || fetch_commit(&s, send, &error) < 0)
                return failed(&s, &error, ret_error);
        return sd_bus_reply_method_return(call, NULL);
}

static int method_install(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        const char *address, *name, *description;
        Error error = { 0 };
        DerResult result;
        Contact s;
        int r = sd_bus_message_read(call, "ss", &address, &name);

        if (r < 0)
                return r;
        if (contact_init(&s, address, userdata, call, &error) < 0 || secondary_ip_install(&s.ip, name, arena, &result, &description, &error) < 0) {
                (void) error_prefix(&error, "image '%.100s'", name);
                return failed(&s, &error, ret_error);
        }
        return sd_bus_reply_method_return(call, "ss", result_name(result), description);
}

#define METHOD(name, in, out, handler) SD_BUS_METHOD(name, in, out, handler, SD_BUS_VTABLE_UNPRIVILEGED)

/* Who may call is decided by the mode of the socket. */
static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("GetInfo", "s", "ssss", method_get_info),
        METHOD("AwaitInfo", "ssu", "ssss", method_await_info),
        METHOD("GetManifest", "s", "ay", method_get_manifest),
        METHOD("GetRootVersion", "ss", "x", method_get_root_version),
        METHOD("PutRoot", "ssay", "", method_put_root),
        METHOD("PutMetadata", "sa(ssay)", "", method_put_metadata),
        METHOD("PutImage", "sstuh", "", method_put_image),
        METHOD("FetchCommit", "sb", "", method_fetch_commit),
        METHOD("Install", "ss", "ss", method_install),
        SD_BUS_SIGNAL("Progress", "tt", 0),
        SD_BUS_VTABLE_END,
};

/* 1..86400 */
static int parse_seconds(const char *text, unsigned *ret)
{
        char *end;
        unsigned long value;

        errno = 0;
        value = strtoul(text, &end, 10);
        if (errno || end == text || *end || value < 1 || value > 86400) {
                fprintf(stderr, "'%s' is not a number of seconds between 1 and 86400\n", text);
                return -1;
        }
        *ret = (unsigned) value;
        return 0;
}

static int parse_options(int argc, char **argv, Timeouts *ret)
{
        static const struct option options[] = {
                { "connect-timeout", required_argument, NULL, 'c' },
                { "silence-timeout", required_argument, NULL, 's' },
                { "exchange-timeout", required_argument, NULL, 'e' },
                { "install-timeout", required_argument, NULL, 'i' },
                { 0 },
        };
        int c, r = 0;

        while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
                r = c == 'c' ? parse_seconds(optarg, &ret->connect) : c == 's' ? parse_seconds(optarg, &ret->silence)
                    : c == 'e' ? parse_seconds(optarg, &ret->exchange) : c == 'i' ? parse_seconds(optarg, &ret->install) : -1;
        if (r < 0 || optind < argc) {
                fprintf(stderr, "Usage: %s [--connect-timeout S] [--silence-timeout S] [--exchange-timeout S] [--install-timeout S]\n",
                        argv[0]);
                return -1;
        }
        return 0;
}

int main(int argc, char **argv)
{
        Helper helper = { .timeouts = { .connect = 10, .silence = 30, .exchange = 120, .install = 3600 } };
        Error error = { 0 };

        if (parse_options(argc, argv, &helper.timeouts) < 0)
                return EXIT_FAILURE;
        (void) signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without asking for silence */
        if (peer_serve("/org/uptane/Secondary1", "org.uptane.Secondary1", vtable, &helper, &error) < 0) {
                fprintf(stderr, "%s\n", error.message);
                return error_info(error.code)->exit_code;
        }
        secondary_tls_free(helper.tls);
        secondary_tls_free(helper.psk);
        return EXIT_SUCCESS;
}
