/* SPDX-License-Identifier: Apache-2.0 */
/* What is stored comes back, whatever happens in between; what is damaged is never taken for something new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/file.h"
#include "store/store.h"

typedef struct World {
        char folder[64];
        char *path;
        Store *store;
        Error error;
} World;

static void open_store(World *w)
{
        if (store_open(w->folder, "test.db", &w->store, &w->error) < 0)
                fail_msg("%s", w->error.message);
}

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        strcpy(w->folder, "/tmp/uptaned-store.XXXXXX");
        if (!mkdtemp(w->folder))
                return -1;
        w->path = xasprintf("%s/test.db", w->folder);
        open_store(w);
        *state = w;
        return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

static int teardown(void **state)
{
        World *w = *state;

        store_free(w->store);
        (void) nftw(w->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(w->path);
        free(w);
        return 0;
}

static void reopen(World *w)
{
        w->store = store_free(w->store);
        open_store(w);
}

#define OK(call) \
        do { \
                if ((call) < 0) \
                        fail_msg("%s", w->error.message); \
        } while (0)

static void must_hold(World *w, const char *name, const char *expected)
{
        cleanup_buffer Buffer b = { 0 };
        int r = store_value_get(w->store, name, &b, &w->error);

        OK(r);
        assert_int_equal(r, expected != NULL);
        if (expected)
                assert_string_equal(buffer_str(&b), expected);
}

static void everything_comes_back_after_a_restart(void **state)
{
        World *w = *state;
        CLEANUP(arena_free) Arena *arena = arena_new();
        StoredEcu ecu = { "s1", "serial", "hw", KEY_RSA, "PEM", "image", { .has_sha256 = true, .sha256 = { 7 } }, 12, -1 }, got;
        const InstallResult results[] = { { "a", "hw", REPORT_OK, "" }, { "b", "hw", REPORT_INSTALL_FAILED, "why" } };
        VehicleManifest report = { 0 };
        int64_t number;

        OK(store_value_put(w->store, "name", "value", &w->error));
        OK(store_number_put(w->store, "number", INT64_MAX, &w->error));
        OK(store_ecu_put(w->store, &ecu, &w->error));
        OK(store_report_put(w->store, "urn:1", "raw", results, 2, &w->error));
        reopen(w);
        must_hold(w, "name", "value");
        must_hold(w, "other", NULL);
        OK(store_number_get(w->store, "number", &number, &w->error));
        assert_true(number == INT64_MAX);
        assert_int_equal(store_ecu_get(w->store, "s1", arena, &got, &w->error), 1);
        assert_string_equal(got.serial, "serial");
        assert_string_equal(got.key_text, "PEM");
        assert_true(hashes_match(&got.hashes, &ecu.hashes) && !got.hashes.has_sha512);
        assert_int_equal(got.length, 12);
        assert_int_equal(got.release_counter, -1);
        assert_int_equal(store_ecu_get(w->store, "s2", arena, &got, &w->error), 0);
        assert_int_equal(store_report_get(w->store, arena, &report, &w->error), 1);
        assert_string_equal(report.correlation_id, "urn:1");
        assert_int_equal(report.n_results, 2);
        assert_int_equal(report.results[1].code, REPORT_INSTALL_FAILED);
        OK(store_report_clear(w->store, &w->error));
        assert_int_equal(store_report_get(w->store, arena, &report, &w->error), 0);
}

static void roots_are_all_kept_and_forgetting_takes_timestamp_and_snapshot_only(void **state)
{
        World *w = *state;
        cleanup_buffer Buffer latest = { 0 }, first = { 0 }, targets = { 0 }, timestamp = { 0 }, image = { 0 };

        OK(store_metadata_put(w->store, TRUST_DIRECTOR, ROLE_ROOT, 1, slice_str("root 1"), &w->error));
        OK(store_metadata_put(w->store, TRUST_DIRECTOR, ROLE_ROOT, 10, slice_str("root 10"), &w->error));
        OK(store_metadata_put(w->store, TRUST_DIRECTOR, ROLE_ROOT, 9, slice_str("root 9"), &w->error));
        OK(store_metadata_put(w->store, TRUST_DIRECTOR, ROLE_TIMESTAMP, 5, slice_str("timestamp"), &w->error));
        OK(store_metadata_put(w->store, TRUST_DIRECTOR, ROLE_TARGETS, 5, slice_str("targets"), &w->error));
        OK(store_metadata_put(w->store, TRUST_IMAGE, ROLE_TIMESTAMP, 5, slice_str("image timestamp"), &w->error));
        OK(store_metadata_forget(w->store, TRUST_DIRECTOR, &w->error));
        assert_int_equal(store_metadata_get(w->store, TRUST_DIRECTOR, ROLE_ROOT, NULL, &latest, &w->error), 1);
        assert_string_equal(buffer_str(&latest), "root 10");
        assert_int_equal(store_root_get(w->store, TRUST_DIRECTOR, 1, &first, &w->error), 1);
        assert_string_equal(buffer_str(&first), "root 1");
        assert_int_equal(store_root_get(w->store, TRUST_DIRECTOR, 2, &first, &w->error), 0);
        assert_int_equal(store_metadata_get(w->store, TRUST_DIRECTOR, ROLE_TIMESTAMP, NULL, &timestamp, &w->error), 0);
        assert_int_equal(store_metadata_get(w->store, TRUST_DIRECTOR, ROLE_TARGETS, NULL, &targets, &w->error), 1);
        assert_int_equal(store_metadata_get(w->store, TRUST_IMAGE, ROLE_TIMESTAMP, NULL, &image, &w->error), 1);
}

/* ---- large metadata ---- */

static char *put_file(World *w, Role role, const char *name, const char *text)
{
        StoreFile file;

        OK(store_file_new(w->store, &file, &w->error));
        OK(file_write_all(file.fd, slice_str(text), &w->error));
        OK(store_metadata_put_file(w->store, TRUST_IMAGE, role, name, 3, &file, &w->error));
        store_file_done(&file);
        return xasprintf("%s/metadata/%s", w->folder, file.name);
}

static void must_open(World *w, Role role, const char *name, const char *expected)
{
        cleanup_buffer Buffer got = { 0 };
        cleanup_close int fd = -1;
        int r = store_metadata_open(w->store, TRUST_IMAGE, role, name, &fd, &w->error);

        if (r < 0)
                fail_msg("%s", w->error.message);
        assert_int_equal(r, expected != NULL);
        if (!expected)
                return;
        OK(file_read_fd(fd, "it", 1000, &got, &w->error));
        assert_string_equal(buffer_str(&got), expected);
}

static void a_large_file_lies_beside_the_database_until_another_takes_its_place(void **state)
{
        World *w = *state;
        cleanup_free char *targets = put_file(w, ROLE_TARGETS, NULL, "large"), *role = put_file(w, ROLE_TARGETS, "supplier", "role");
        cleanup_free char *again = NULL;
        cleanup_buffer Buffer got = { 0 };

        reopen(w);
        must_open(w, ROLE_TARGETS, NULL, "large");
        must_open(w, ROLE_TARGETS, "supplier", "role");
        must_open(w, ROLE_TARGETS, "another", NULL);
        assert_int_equal(store_metadata_get(w->store, TRUST_IMAGE, ROLE_TARGETS, NULL, &got, &w->error), 1);
        assert_string_equal(buffer_str(&got), "large");
        again = put_file(w, ROLE_TARGETS, NULL, "larger");
        must_open(w, ROLE_TARGETS, NULL, "larger");
        assert_int_equal(access(targets, F_OK), -1);
        /* a small one takes the place of a large one, too */
        OK(store_metadata_put(w->store, TRUST_IMAGE, ROLE_TARGETS, 4, slice_str("small"), &w->error));
        OK(store_delegated_put(w->store, TRUST_IMAGE, "supplier", 4, slice_str("small role"), &w->error));
        must_open(w, ROLE_TARGETS, NULL, "small");
        must_open(w, ROLE_TARGETS, "supplier", "small role");
        reopen(w);
        assert_int_equal(access(again, F_OK), -1);
        assert_int_equal(access(role, F_OK), -1);
}

static void a_large_file_that_was_not_put_is_gone_after_a_restart(void **state)
{
        World *w = *state;
        cleanup_free char *put = put_file(w, ROLE_SNAPSHOT, NULL, "snapshot"), *path = NULL;
        StoreFile file;

        OK(store_file_new(w->store, &file, &w->error));
        store_file_done(&file);
        path = xasprintf("%s/metadata/%s", w->folder, file.name);
        assert_int_equal(access(path, F_OK), 0);
        reopen(w);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(access(put, F_OK), 0);
        OK(store_metadata_forget(w->store, TRUST_IMAGE, &w->error));
        assert_int_equal(access(put, F_OK), -1);
}

/* What was trusted is a baseline: its loss is no fresh start. */
static void a_large_file_that_is_lost_is_an_error(void **state)
{
        World *w = *state;
        cleanup_free char *path = put_file(w, ROLE_TARGETS, NULL, "large");
        int fd = -1;

        assert_int_equal(unlink(path), 0);
        assert_int_equal(store_metadata_open(w->store, TRUST_IMAGE, ROLE_TARGETS, NULL, &fd, &w->error), -1);
        assert_int_equal(w->error.code, ERR_STORAGE);
        assert_non_null(strstr(w->error.message, path));
}

static void what_was_rolled_back_was_never_there(void **state)
{
        World *w = *state;

        OK(store_value_put(w->store, "a", "1", &w->error));
        OK(store_begin(w->store, &w->error));
        OK(store_value_put(w->store, "a", "2", &w->error));
        OK(store_value_put(w->store, "b", "2", &w->error));
        store_rollback(w->store);
        must_hold(w, "a", "1");
        must_hold(w, "b", NULL);
        store_rollback(w->store); /* nothing to take back is no error */
}

static void history_keeps_the_newest(void **state)
{
        World *w = *state;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const StoredHistory *list;
        size_t n;

        for (int i = 0; i < STORE_HISTORY_MAX + 7; i++)
                OK(store_history_add(w->store, &(StoredHistory) { i, "u", "OK", "", "[]" }, &w->error));
        OK(store_history_list(w->store, 10000, arena, &list, &n, &w->error));
        assert_int_equal(n, STORE_HISTORY_MAX);
        assert_int_equal(list[0].time, STORE_HISTORY_MAX + 6);
        assert_int_equal(list[n - 1].time, 7);
        OK(store_history_list(w->store, 2, arena, &list, &n, &w->error));
        assert_int_equal(n, 2);
}

static size_t attacks(World *w, Arena *arena, const DetectedAttack **ret)
{
        size_t n;

        OK(store_attack_list(w->store, arena, ret, &n, &w->error));
        return n;
}

static void an_attack_seen_again_is_counted_and_survives_a_restart(void **state)
{
        World *w = *state;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const DetectedAttack *list;

        assert_int_equal(attacks(w, arena, &list), 0);
        OK(store_attack_add(w->store, "k1", "rollback", "first", 10, &w->error));
        OK(store_attack_add(w->store, "k2", "freeze", "other", 11, &w->error));
        OK(store_attack_add(w->store, "k1", "rollback", "again", 12, &w->error));
        reopen(w);
        assert_int_equal(attacks(w, arena, &list), 2);
        assert_string_equal(list[0].attack, "freeze");
        assert_int_equal(list[0].count, 1);
        assert_string_equal(list[1].attack, "rollback");
        assert_string_equal(list[1].text, "again");
        assert_int_equal(list[1].time, 12);
        assert_int_equal(list[1].count, 2);
}

static void clearing_attacks_leaves_what_was_seen_since(void **state)
{
        World *w = *state;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const DetectedAttack *list;
        int64_t told;

        OK(store_attack_add(w->store, "k1", "rollback", "1", 10, &w->error));
        OK(store_attack_add(w->store, "k2", "freeze", "2", 11, &w->error));
        assert_int_equal(attacks(w, arena, &list), 2);
        told = list[1].sequence;
        OK(store_attack_add(w->store, "k1", "rollback", "1", 12, &w->error)); /* again, and too late for that report */
        OK(store_attack_add(w->store, "k3", "freeze", "3", 13, &w->error));
        OK(store_attack_clear(w->store, told, &w->error));
        assert_int_equal(attacks(w, arena, &list), 2);
        assert_string_equal(list[0].text, "1");
        assert_string_equal(list[1].text, "3");
        OK(store_attack_clear(w->store, list[1].sequence, &w->error));
        reopen(w);
        assert_int_equal(attacks(w, arena, &list), 0);
        OK(store_attack_add(w->store, "k1", "rollback", "1", 14, &w->error));
        assert_int_equal(attacks(w, arena, &list), 1);
        assert_true(list[0].sequence > told); /* no number is given twice, even where the table was empty */
        assert_int_equal(list[0].count, 1);
}

static void of_too_many_attacks_the_first_and_the_newest_are_kept(void **state)
{
        World *w = *state;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const DetectedAttack *list;

        for (int i = 0; i < 3 * STORE_ATTACKS_MAX; i++) {
                char key[16];

                (void) snprintf(key, sizeof key, "%d", i);
                OK(store_attack_add(w->store, key, "rollback", key, i, &w->error));
        }
        assert_int_equal(attacks(w, arena, &list), STORE_ATTACKS_MAX);
        for (int i = 0; i < STORE_ATTACKS_MAX - 1; i++)
                assert_int_equal(list[i].time, i);
        assert_int_equal(list[STORE_ATTACKS_MAX - 1].time, 3 * STORE_ATTACKS_MAX - 1);
}

/* Together with the state that follows, or not at all. */
static void an_attack_that_was_rolled_back_was_never_there(void **state)
{
        World *w = *state;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const DetectedAttack *list;

        OK(store_begin(w->store, &w->error));
        OK(store_attack_add(w->store, "k", "rollback", "t", 1, &w->error));
        store_rollback(w->store);
        assert_int_equal(attacks(w, arena, &list), 0);
}

static void the_file_is_nobody_elses(void **state)
{
        World *w = *state;
        struct stat st;

        assert_int_equal(stat(w->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
}

static void must_be_damaged(World *w)
{
        error_clear(&w->error);
        assert_int_equal(store_open(w->folder, "test.db", &w->store, &w->error), -1);
        assert_int_equal(w->error.code, ERR_DATABASE_DAMAGED);
}

static void spoil(World *w, Slice bytes, off_t at, bool cut)
{
        cleanup_close int fd = -1;
        cleanup_free char *wal = xasprintf("%s-wal", w->path);

        w->store = store_free(w->store);
        (void) unlink(wal);
        fd = open(w->path, O_WRONLY);
        assert_true(fd >= 0);
        if (cut)
                assert_int_equal(ftruncate(fd, at), 0);
        assert_int_equal(pwrite(fd, bytes.data, bytes.size, at), (ssize_t) bytes.size);
}

static void a_damaged_database_is_kept_aside_and_never_replaced_by_a_fresh_one(void **state)
{
        World *w = *state;
        cleanup_free char *aside = xasprintf("%s.damaged-1", w->path);
        uint8_t junk[4096];

        memset(junk, 0xa5, sizeof junk);
        OK(store_value_put(w->store, "trust", "me", &w->error));
        spoil(w, slice(junk, sizeof junk), 4096, false);
        must_be_damaged(w);
        assert_int_equal(access(aside, F_OK), 0);
        must_be_damaged(w); /* still, until somebody has acted */
        assert_int_equal(access(w->path, F_OK), -1);
        assert_int_equal(unlink(aside), 0);
        error_clear(&w->error);
        open_store(w);
        must_hold(w, "trust", NULL);
}

static void what_is_no_database_is_damage_too(void **state)
{
        World *w = *state;

        spoil(w, slice_str("this is a text file, and not a short one, so that nobody takes it for an empty database......................."
                           "...................................................................................................."), 0, true);
        must_be_damaged(w);
}

/* Whatever is cut off: never a fresh database in the place of one that knew something. */
static void a_database_cut_short_anywhere_is_damage(void **state)
{
        static const off_t left[] = { 1, 15, 50, 99, 512, 4095, 4096, 5000, 8192, 20480 };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(left); i++) {
                cleanup_free char *aside = xasprintf("%s.damaged-1", w->path);

                OK(store_value_put(w->store, "trust", "me", &w->error));
                spoil(w, SLICE_NONE, left[i], true);
                must_be_damaged(w);
                assert_int_equal(unlink(aside), 0);
                error_clear(&w->error);
                open_store(w);
        }
}

/* Sound, but somebody else's: their tables, and user_version as SQLite makes it or as ours is. */
static void a_database_of_another_program_is_damage(void **state)
{
        static const char *const sql[] = { "CREATE TABLE theirs (a)", "CREATE TABLE theirs (a); PRAGMA user_version = 1", "PRAGMA user_version = 1" };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(sql); i++) {
                cleanup_free char *aside = xasprintf("%s.damaged-1", w->path), *wal = xasprintf("%s-wal", w->path);
                sqlite3 *db = NULL;

                w->store = store_free(w->store);
                (void) unlink(wal);
                assert_int_equal(unlink(w->path), 0);
                assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
                assert_int_equal(sqlite3_exec(db, sql[i], NULL, NULL, NULL), SQLITE_OK);
                assert_int_equal(sqlite3_close(db), SQLITE_OK);
                must_be_damaged(w);
                assert_int_equal(unlink(aside), 0);
                error_clear(&w->error);
                open_store(w);
        }
}

static void a_database_of_a_newer_version_is_refused_and_left_alone(void **state)
{
        World *w = *state;
        uint8_t version[4] = { 0, 0, 0, 99 };

        OK(store_number_put(w->store, "oldest-format", 99, &w->error));
        spoil(w, slice(version, sizeof version), 60, false); /* user_version in the header */
        assert_int_equal(store_open(w->folder, "test.db", &w->store, &w->error), -1);
        assert_int_equal(w->error.code, ERR_STORAGE);
        assert_non_null(strstr(w->error.message, "newer"));
        assert_int_equal(access(w->path, F_OK), 0);
}

/* New software was rolled back; what it added does no harm. */
static void a_database_of_a_newer_version_that_says_it_can_be_used_is_used(void **state)
{
        static const char sql[] = "ALTER TABLE metadata ADD COLUMN later TEXT; ALTER TABLE root ADD COLUMN later TEXT; CREATE TABLE later (a);"
                                  "ALTER TABLE ecu ADD COLUMN later TEXT; ALTER TABLE value ADD COLUMN later TEXT; PRAGMA user_version = 99";
        World *w = *state;
        StoredEcu ecu = { "s1", "serial", "hw", KEY_ED25519, "PEM", "image", { 0 }, 12, -1 };
        sqlite3 *db = NULL;

        w->store = store_free(w->store);
        assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        open_store(w);
        OK(store_value_put(w->store, "name", "value", &w->error));
        OK(store_ecu_put(w->store, &ecu, &w->error));
        OK(store_metadata_put(w->store, TRUST_IMAGE, ROLE_ROOT, 1, slice_str("root"), &w->error));
        OK(store_metadata_put(w->store, TRUST_IMAGE, ROLE_TARGETS, 1, slice_str("targets"), &w->error));
        reopen(w);
        must_hold(w, "name", "value");
        must_open(w, ROLE_TARGETS, NULL, "targets");
}

/* Two values in each transaction, always equal: a reader that finds two different ones saw half of one. */
static void write_for_ever(World *w, int ready)
{
        for (int64_t i = 1;; i++)
                if (store_begin(w->store, &w->error) < 0 || store_number_put(w->store, "a", i, &w->error) < 0 ||
                    store_number_put(w->store, "b", i, &w->error) < 0 || store_commit(w->store, &w->error) < 0 ||
                    (i == 1 && write(ready, "", 1) != 1))
                        _exit(1);
}

static void a_writer_killed_at_any_moment_leaves_whole_transactions(void **state)
{
        World *w = *state;
        int64_t a, b;

        w->store = store_free(w->store);
        for (int i = 0; i < 20; i++) {
                int ready[2];
                pid_t pid;
                char byte;

                assert_int_equal(pipe(ready), 0);
                pid = fork();
                if (pid == 0) {
                        open_store(w);
                        write_for_ever(w, ready[1]);
                }
                (void) close(ready[1]);
                assert_int_equal(read(ready[0], &byte, 1), 1);
                (void) close(ready[0]);
                usleep((useconds_t) (i * 1700)); /* the moment is what is varied */
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                open_store(w);
                OK(store_number_get(w->store, "a", &a, &w->error));
                OK(store_number_get(w->store, "b", &b, &w->error));
                assert_true(a == b && a > 0);
                w->store = store_free(w->store);
        }
}

/* Uptane 5.4.3.6 (b) */
static void the_last_report_of_an_ecu_survives_and_goes_with_the_ecu(void **state)
{
        World *w = *state;
        CLEANUP(arena_free) Arena *arena = arena_new();
        const StoredEcu ecu = { "s1", "serial", "hw", KEY_ED25519, "KEY", "image", { 0 }, 12, -1 };
        StoredEcuReport got;
        const char *const *labels;
        size_t n;

        OK(store_ecu_put(w->store, &ecu, &w->error));
        assert_int_equal(store_ecu_report_get(w->store, "s1", arena, &got, &w->error), 0);
        OK(store_ecu_report_put(w->store, "s1", &(StoredEcuReport) { 7, 70, slice_str("old") }, &w->error));
        OK(store_ecu_report_put(w->store, "s1", &(StoredEcuReport) { 8, 80, slice_str("new") }, &w->error));
        OK(store_ecu_report_put(w->store, "s2", &(StoredEcuReport) { 0, 1, slice_str("other") }, &w->error));
        w->store = store_free(w->store);
        open_store(w);
        assert_int_equal(store_ecu_report_get(w->store, "s1", arena, &got, &w->error), 1);
        assert_true(got.counter == 8 && got.received == 80 && slice_equal(got.bytes, slice_str("new")));
        OK(store_ecu_list(w->store, arena, &labels, &n, &w->error));
        assert_int_equal(n, 1);
        assert_string_equal(labels[0], "s1");
        OK(store_ecu_forget(w->store, "s1", &w->error));
        assert_int_equal(store_ecu_report_get(w->store, "s1", arena, &got, &w->error), 0);
        assert_int_equal(store_ecu_report_get(w->store, "s2", arena, &got, &w->error), 1);
        OK(store_ecu_list(w->store, arena, &labels, &n, &w->error));
        assert_int_equal(n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* systemd shows a dynamic user's StateDirectory= that way. */
static void the_folder_may_be_reached_through_a_link_but_the_database_may_be_none(void **state)
{
        World *w = *state;
        cleanup_free char *folder = xasprintf("%s/link", w->folder), *file = xasprintf("%s/other.db", w->folder);
        Store *store = NULL;
        Error error = { 0 };

        assert_int_equal(symlink(w->folder, folder), 0);
        assert_int_equal(store_open(folder, "linked.db", &store, &error), 0);
        store_free(store);
        assert_int_equal(symlink("linked.db", file), 0);
        assert_int_equal(store_open(w->folder, "other.db", &store, &error), -1);
        assert_int_equal(error.code, ERR_STORAGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(the_last_report_of_an_ecu_survives_and_goes_with_the_ecu),
                TEST(everything_comes_back_after_a_restart),
                TEST(roots_are_all_kept_and_forgetting_takes_timestamp_and_snapshot_only),
                TEST(a_large_file_lies_beside_the_database_until_another_takes_its_place),
                TEST(a_large_file_that_was_not_put_is_gone_after_a_restart),
                TEST(a_large_file_that_is_lost_is_an_error),
                TEST(what_was_rolled_back_was_never_there),
                TEST(history_keeps_the_newest),
                TEST(an_attack_seen_again_is_counted_and_survives_a_restart),
                TEST(clearing_attacks_leaves_what_was_seen_since),
                TEST(of_too_many_attacks_the_first_and_the_newest_are_kept),
                TEST(an_attack_that_was_rolled_back_was_never_there),
                TEST(the_file_is_nobody_elses),
                TEST(the_folder_may_be_reached_through_a_link_but_the_database_may_be_none),
                TEST(a_damaged_database_is_kept_aside_and_never_replaced_by_a_fresh_one),
                TEST(what_is_no_database_is_damage_too),
                TEST(a_database_cut_short_anywhere_is_damage),
                TEST(a_database_of_another_program_is_damage),
                TEST(a_database_of_a_newer_version_is_refused_and_left_alone),
                TEST(a_database_of_a_newer_version_that_says_it_can_be_used_is_used),
                TEST(a_writer_killed_at_any_moment_leaves_whole_transactions),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
