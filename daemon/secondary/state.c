/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a restart: the key in a file only root reads, everything else in secondary.db. The firmware itself decides what
 * is installed: at the start the file is hashed, or the installer asked, and the record that fits is the true one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "io/file.h"
#include "secondary/secondary.h"

#define PIECE_SIZE ((size_t) 64 * 1024)
#define KEY_FILE_MAX ((size_t) 64 * 1024)
#define ECU_INSTALLED "installed"
#define ECU_ANNOUNCED "announced"
#define PENDING "pending" /* the boot in which something was installed that runs behind the next */
#define FAILURE "failure"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_MAX ((size_t) 64)

/*
 * Uptane 5.4.4.1 (1a, 1b), Uptane 5.4.4.2 (1a, 1b): its own clock. Uptane 5.4.1 (2b): never before the time of the build, nor
 * before one at which metadata was found good.
 */
int secondary_time(Secondary *secondary, int64_t *ret, Error *error)
{
        int64_t now = (int64_t) time(NULL), seen, floor;

        if (store_number_get(secondary->store, SECONDARY_TIME_FLOOR, &seen, error) < 0)
                return -1;
        floor = seen > BUILD_TIME ? seen : BUILD_TIME;
        *ret = now > floor ? now : floor;
        return 0;
}

/* ---- the key ---- */

/* Uptane 5.4.1 (3a) */
static int open_key(Secondary *s, Error *error)
{
        cleanup_free char *path = xasprintf("%s/key.pem", s->config.state_directory);
        cleanup_buffer Buffer pem = { 0 };
        int r = file_read(path, KEY_FILE_MAX, &pem, error);

        if (r == 0) {
                r = signer_generate_pem(s->config.key_type, &pem, error);
                if (r == 0)
                        r = file_write(path, buffer_slice(&pem), 0600, error);
        }
        if (r >= 0)
                r = signer_new_pem(buffer_slice(&pem), &s->signer, error);
        if (pem.data)
                explicit_bzero(pem.data, pem.capacity);
        return r < 0 ? error_prefix(error, "%s", path) : 0;
}

/* ---- what is installed ---- */

/* 1 and its length and hashes; 0 if there is no such file or it is larger than any image. */
static int hash_firmware(const Secondary *s, int64_t *ret_length, Hashes *ret, Error *error)
{
        CLEANUP(hasher_free) Hasher *hasher = hasher_new();
        cleanup_close int fd = open(s->config.install, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        cleanup_free uint8_t *piece = xcalloc(PIECE_SIZE, 1);
        int64_t length = 0;
        ssize_t n;

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0)
                return error_set_errno(error, ERR_STORAGE, errno, "opening %s", s->config.install);
        while ((n = read(fd, piece, PIECE_SIZE)) != 0) {
                if (n < 0 && errno != EINTR)
                        return error_set_errno(error, ERR_STORAGE, errno, "reading %s", s->config.install);
                if (n < 0)
                        continue;
                length += n;
                if (length > s->config.image_max)
                        return 0;
                hasher_update(hasher, slice(piece, (size_t) n));
        }
        hasher_finish(hasher, ret);
        *ret_length = length;
        return 1;
}

/* The record under label if it says what the file is: 1. */
static int load_if_fitting(Secondary *s, const char *label, int64_t length, const Hashes *hashes, Error *error)
{
        StoredEcu ecu;
        int r = store_ecu_get(s->store, label, s->arena, &ecu, error);

        if (r <= 0 || (length >= 0 && ecu.length > 0 && ecu.length != length) || !hashes_match(&ecu.hashes, hashes))
                return r < 0 ? -1 : 0;
        s->installed = ecu;
        return 1;
}

static StoredEcu as_ecu(const Secondary *s, const char *label, const Wanted *image)
{
        return (StoredEcu) {
                .label = label,
                .serial = s->serial,
                .hardware_id = s->config.hardware_id,
                .key_type = signer_key_type(s->signer),
                .key_text = signer_public_text(s->signer),
                .image = image->name,
                .hashes = image->hashes,
                .length = image->length,
                .release_counter = image->release_counter,
        };
}

int secondary_announce(Secondary *secondary, const Wanted *image, Error *error)
{
        StoredEcu ecu = as_ecu(secondary, ECU_ANNOUNCED, image);

        if (store_ecu_put(secondary->store, &ecu, error) < 0)
                return -1;
        ecu.image = arena_strdup(secondary->arena, ecu.image);
        secondary->announced = ecu;
        return 0;
}

/* Uptane 5.4.4.2 (10.2.3), Uptane 5.4.3.4 (5): the baseline of the release counter never falls, whatever is installed. */
int secondary_set_installed(Secondary *secondary, const Wanted *image, Error *error)
{
        StoredEcu ecu = as_ecu(secondary, ECU_INSTALLED, image);

        if (ecu.release_counter < secondary->installed.release_counter)
                ecu.release_counter = secondary->installed.release_counter;
        if (store_ecu_put(secondary->store, &ecu, error) < 0)
                return -1;
        ecu.image = arena_strdup(secondary->arena, ecu.image);
        secondary->installed = ecu;
        return 0;
}

/* Firmware that fits no record was not installed by this program: it is what it is called, the release counter stays. */
int secondary_take_firmware(Secondary *s, const char *name, int64_t length, const Hashes *hashes, Error *error)
{
        StoredEcu old = { .release_counter = -1 };
        int r = store_ecu_get(s->store, ECU_INSTALLED, s->arena, &old, error);

        if (r < 0)
                return -1;
        s->installed = (StoredEcu) { .label = ECU_INSTALLED, .image = "", .length = -1, .release_counter = old.release_counter };
        if (!hashes)
                return 0;
        r = load_if_fitting(s, ECU_INSTALLED, length, hashes, error);
        if (r != 0)
                return r < 0 ? -1 : 0;
        r = load_if_fitting(s, ECU_ANNOUNCED, length, hashes, error);
        if (r < 0)
                return -1;
        if (r == 0) {
                s->installed.image = arena_strdup(s->arena, name);
                s->installed.hashes = *hashes;
                s->installed.length = length;
                return 0;
        }
        s->installed.label = ECU_INSTALLED;
        if (s->installed.release_counter < old.release_counter)
                s->installed.release_counter = old.release_counter;
        return store_ecu_put(s->store, &s->installed, error);
}

/* Of a file it is known at once; of the others, what was known last is taken until they say so themselves. */
static int find_installed(Secondary *s, Error *error)
{
        int64_t length = 0;
        Hashes hashes = { 0 };
        int r;

        if (s->config.driver == SECONDARY_FILE) {
                r = hash_firmware(s, &length, &hashes, error);
                return r < 0 ? -1 : secondary_take_firmware(s, "", length, r > 0 ? &hashes : NULL, error);
        }
        if (secondary_take_firmware(s, "", -1, NULL, error) < 0)
                return -1;
        r = store_ecu_get(s->store, ECU_INSTALLED, s->arena, &s->installed, error);
        if (r >= 0)
                r = store_ecu_get(s->store, ECU_ANNOUNCED, s->arena, &s->announced, error);
        return r < 0 ? -1 : secondary_job_look(s, error);
}

/* ---- behind a boot ---- */

static int get_boot_id(Buffer *ret, Error *error)
{
        int r = file_read(BOOT_ID, BOOT_ID_MAX, ret, error);

        return r == 0 ? error_set(error, ERR_SYSTEM, "%s is missing", BOOT_ID) : r;
}

/* For whoever reboots this ECU there is a file beside the state, too. */
static int tell_reboot(Secondary *s, bool pending, Error *error)
{
        cleanup_free char *path = xasprintf("%s/reboot-required", s->config.state_directory);

        if (pending)
                return file_write(path, SLICE_NONE, 0644, error);
        return unlink(path) < 0 && errno != ENOENT ? error_set_errno(error, ERR_STORAGE, errno, "removing %s", path) : 0;
}

int secondary_set_pending(Secondary *secondary, bool pending, Error *error)
{
        cleanup_buffer Buffer boot = { 0 };

        if (pending && get_boot_id(&boot, error) < 0)
                return -1;
        if (store_value_put(secondary->store, PENDING, buffer_str(&boot), error) < 0 || tell_reboot(secondary, pending, error) < 0)
                return -1;
        secondary->pending = pending;
        return 0;
}

int secondary_was_booted(Secondary *secondary, Error *error)
{
        cleanup_buffer Buffer then = { 0 }, now = { 0 };

        if (store_value_get(secondary->store, PENDING, &then, error) < 0)
                return -1;
        secondary->pending = then.size > 0;
        if (tell_reboot(secondary, secondary->pending, error) < 0) /* the power may have gone between the note and the file */
                return -1;
        if (!secondary->pending)
                return 0;
        return get_boot_id(&now, error) < 0 ? -1 : !slice_equal(buffer_slice(&then), buffer_slice(&now));
}

/* ---- what went wrong last ---- */

static void put_failure(Secondary *s, const char *text)
{
        Error error = { 0 };

        if (store_value_put(s->store, FAILURE, text, &error) < 0)
                fprintf(stderr, "storing why it failed: %s\n", error.message);
}

/* Which error, of which image, in which words: a line each, the image's as long as its name. */
void secondary_keep_failure(Secondary *secondary, const char *image, const Error *why)
{
        cleanup_free char *text = xasprintf("%s\n%s\n%s", error_info(why->code)->dbus_name, image, why->message);

        put_failure(secondary, text);
}

void secondary_forget_failure(Secondary *secondary)
{
        cleanup_buffer Buffer text = { 0 };
        Error ignored = { 0 };

        if (store_value_get(secondary->store, FAILURE, &text, &ignored) > 0 && text.size > 0)
                put_failure(secondary, "");
}

bool secondary_find_failure(Secondary *secondary, Slice image, Error *ret)
{
        cleanup_buffer Buffer text = { 0 };
        Error ignored = { 0 };
        ErrorCode code;
        char *name;

        if (store_value_get(secondary->store, FAILURE, &text, &ignored) <= 0 || !(name = strchr(buffer_str(&text), '\n')))
                return false;
        *name++ = '\0';
        code = error_code_from_dbus(buffer_str(&text));
        if (code == ERR_NONE || strlen(name) <= image.size || memcmp(name, image.data, image.size) != 0 || name[image.size] != '\n')
                return false;
        (void) error_set(ret, code, "%s", name + image.size + 1);
        return true;
}

/* ---- all of it ---- */

static int open_state(Secondary *s, Error *error)
{
        if (mkdir(s->config.state_directory, 0700) < 0 && errno != EEXIST)
                return error_set_errno(error, ERR_STORAGE, errno, "making %s", s->config.state_directory);
        if (open_key(s, error) < 0 || store_open(s->config.state_directory, "secondary.db", &s->store, error) < 0)
                return -1;
        s->serial = *s->config.serial ? s->config.serial : signer_key_id(s->signer);
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX; kind++)
                if (secondary_trusts(s, (TrustKind) kind) && store_root_install(s->store, (TrustKind) kind, s->config.root_directory, error) < 0)
                        return -1;
        return find_installed(s, error);
}

int secondary_new(SecondaryConfig *config, Secondary **ret, Error *error)
{
        CLEANUP(secondary_free) Secondary *s = xcalloc(1, sizeof *s);

        s->config = *config;
        *config = (SecondaryConfig) { 0 };
        s->arena = arena_new();
        s->part_path = s->config.driver == SECONDARY_FILE ? xasprintf("%s.part", s->config.install)
                                                          : xasprintf("%s/image.part", s->config.state_directory);
        s->part_fd = -1;
        s->job.output = -1;
        if (open_state(s, error) < 0)
                return -1;
        *ret = TAKE_PTR(s);
        return 0;
}

Secondary *secondary_free(Secondary *secondary)
{
        if (!secondary)
                return NULL;
        secondary_job_stop(secondary);
        secondary_drop_upload(secondary);
        store_free(secondary->store);
        signer_free(secondary->signer);
        arena_free(secondary->arena);
        secondary_config_done(&secondary->config);
        free(secondary->part_path);
        free(secondary);
        return NULL;
}
