/* SPDX-License-Identifier: Apache-2.0 */
/* Boot counting in the names of boot loader entries, on files as libostree and systemd-boot write them. */
#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/slice.h"
#include "boot/boot.h"

#define NEW "ostree=/ostree/boot.1/agl/11aa/0"
#define OLD "ostree=/ostree/boot.1/agl/11aa/1"
#define ENTRY(word) "title AGL\nversion 2\noptions root=LABEL=agl quiet " word " rw\nlinux /ostree/agl-11aa/vmlinuz\n"

typedef struct World {
        char folder[64];
        BootContext context;
        BootState state;
        Error error;
} World;

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        (void) snprintf(w->folder, sizeof w->folder, "/tmp/uptaned-bls.XXXXXX");
        w->context = (BootContext) { .entries = w->folder, .first = NEW, .booted = OLD };
        *state = w;
        return mkdtemp(w->folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static int teardown(void **state)
{
        World *w = *state;

        (void) nftw(w->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(w);
        return 0;
}

static void put(const World *w, const char *name, const char *text)
{
        cleanup_free char *path = xasprintf("%s/%s", w->folder, name);
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void drop(const World *w, const char *name)
{
        cleanup_free char *path = xasprintf("%s/%s", w->folder, name);

        assert_int_equal(unlink(path), 0);
}

/* Exactly these two entries are there, and hold what they held. */
static void must_be_called(const World *w, const char *new, const char *old)
{
        const char *const names[] = { new, old };
        DIR *dir = opendir(w->folder);
        size_t n = 0;

        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));)
                n += e->d_name[0] != '.';
        (void) closedir(dir);
        assert_int_equal(n, 2);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                cleanup_free char *path = xasprintf("%s/%s", w->folder, names[i]);
                char text[256] = "";
                FILE *f = fopen(path, "re");

                if (!f)
                        fail_msg("there is no %s", names[i]);
                assert_true(fread(text, 1, sizeof text - 1, f) > 0);
                assert_int_equal(fclose(f), 0);
                assert_string_equal(text, i == 0 ? ENTRY(NEW) : ENTRY(OLD));
        }
}

static void must(World *w, int r)
{
        if (r < 0)
                fail_msg("%s", w->error.message);
}

static const BootDriver *driver(void)
{
        const BootDriver *d = boot_driver_find("systemd-boot");

        assert_non_null(d);
        assert_true(d->counts_entries);
        return d;
}

static void a_trial_gives_the_new_entry_tries_and_no_other(void **state)
{
        World *w = *state;

        put(w, "ostree-2-agl.conf", ENTRY(NEW));
        put(w, "ostree-1-agl.conf", ENTRY(OLD));
        must(w, driver()->set_trial(&w->context, &w->error));
        must_be_called(w, "ostree-2-agl+3.conf", "ostree-1-agl.conf");
        must(w, driver()->set_trial(&w->context, &w->error)); /* again: nothing is lost */
        must_be_called(w, "ostree-2-agl+3.conf", "ostree-1-agl.conf");
        must(w, driver()->get_state(&w->context, &w->state, &w->error));
        assert_false(w->state.counting || w->state.rolled_back);
}

static void a_new_trial_starts_the_count_anew(void **state)
{
        World *w = *state;

        put(w, "ostree-2-agl+0-3.conf", ENTRY(NEW));
        put(w, "ostree-1-agl.conf", ENTRY(OLD));
        must(w, driver()->set_trial(&w->context, &w->error));
        must_be_called(w, "ostree-2-agl+3.conf", "ostree-1-agl.conf");
}

static void good_software_loses_its_count(void **state)
{
        static const char *const names[] = { "ostree-2-agl+2-1.conf", "ostree-2-agl+0-3.conf", "ostree-2-agl+2.conf", "ostree-2-agl.conf" };
        World *w = *state;

        w->context.booted = NEW;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                put(w, names[i], ENTRY(NEW));
                put(w, "ostree-1-agl.conf", ENTRY(OLD));
                must(w, driver()->get_state(&w->context, &w->state, &w->error));
                assert_int_equal(w->state.counting, strchr(names[i], '+') != NULL);
                assert_false(w->state.rolled_back); /* the last try runs just now */
                must(w, driver()->set_good(&w->context, &w->error));
                must_be_called(w, "ostree-2-agl.conf", "ostree-1-agl.conf");
                must(w, driver()->get_state(&w->context, &w->state, &w->error));
                assert_false(w->state.counting);
                drop(w, "ostree-2-agl.conf");
        }
}

static void an_entry_without_tries_that_did_not_boot_was_given_up(void **state)
{
        static const struct {
                const char *name;
                bool given_up;
        } cases[] = {
                { "ostree-2-agl+0-3.conf", true }, { "ostree-2-agl+0.conf", true }, { "ostree-2-agl+1-2.conf", false },
                { "ostree-2-agl.conf", false }, { "ostree-2-agl+0-x.conf", false },
        };
        World *w = *state;

        put(w, "ostree-1-agl.conf", ENTRY(OLD));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                put(w, cases[i].name, ENTRY(NEW));
                must(w, driver()->get_state(&w->context, &w->state, &w->error));
                assert_int_equal(w->state.rolled_back, cases[i].given_up);
                drop(w, cases[i].name);
        }
}

static void names_with_a_plus_are_no_counts(void **state)
{
        static const char *const names[] = { "c++.conf", "kernel+custom.conf", "6.1+3-.conf", "a+-1.conf", "a+3-1-1.conf", "+.conf" };
        World *w = *state;

        w->context.booted = NEW;
        put(w, "ostree-1-agl.conf", ENTRY(OLD));
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                put(w, names[i], ENTRY(NEW));
                must(w, driver()->set_good(&w->context, &w->error));
                must_be_called(w, names[i], "ostree-1-agl.conf");
                drop(w, names[i]);
        }
}

static void entries_are_told_apart_by_a_whole_word_of_their_options(void **state)
{
        World *w = *state;

        put(w, "a.conf", "title " NEW "\nlinux /vmlinuz\noptions x" NEW " " NEW "1\n# options " NEW "\n");
        put(w, "b.conf.bak", ENTRY(NEW));
        assert_int_equal(driver()->set_trial(&w->context, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
        error_clear(&w->error);
        put(w, "b.conf", "options\t" NEW);
        must(w, driver()->set_trial(&w->context, &w->error));
        drop(w, "b+3.conf");
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
        World *w = *state;

        w->context.entries = "/nonexistent";
        assert_int_equal(driver()->get_state(&w->context, &w->state, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
        error_clear(&w->error);
        assert_int_equal(driver()->set_trial(&w->context, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
}

/* What a power cut in the middle of a rename leaves on FAT, whichever of the two is found first. */
static void two_names_of_one_entry_become_one_again(void **state)
{
        World *w = *state;

        put(w, "ostree-1-agl.conf", ENTRY(OLD));
        for (unsigned i = 0; i < 2; i++) {
                put(w, i ? "ostree-2-agl+2-1.conf" : "ostree-2-agl.conf", ENTRY(NEW));
                put(w, i ? "ostree-2-agl.conf" : "ostree-2-agl+2-1.conf", ENTRY(NEW));
                w->context.booted = OLD;
                must(w, driver()->set_trial(&w->context, &w->error));
                must_be_called(w, "ostree-2-agl+3.conf", "ostree-1-agl.conf");
                put(w, "ostree-2-agl.conf", ENTRY(NEW));
                w->context.booted = NEW;
                must(w, driver()->set_good(&w->context, &w->error));
                must_be_called(w, "ostree-2-agl.conf", "ostree-1-agl.conf");
                drop(w, "ostree-2-agl.conf");
        }
}

/* The same stem, but another kernel: somebody else's. */
static void entries_of_others_stay_as_they_are(void **state)
{
        World *w = *state;

        put(w, "ostree-2-agl.conf", ENTRY(NEW));
        put(w, "ostree-2-agl+1-2.conf", ENTRY(OLD));
        must(w, driver()->set_trial(&w->context, &w->error));
        must_be_called(w, "ostree-2-agl+3.conf", "ostree-2-agl+1-2.conf");
        w->context.booted = NEW;
        must(w, driver()->set_good(&w->context, &w->error));
        must_be_called(w, "ostree-2-agl.conf", "ostree-2-agl+1-2.conf");
}

static void a_name_without_room_for_a_count_is_an_error_and_stays(void **state)
{
        char name[256];
        World *w = *state;

        memset(name, 'n', sizeof name);
        memcpy(name + 250, ".conf", sizeof ".conf"); /* 255 bytes, as long as a name may be */
        put(w, name, ENTRY(NEW));
        put(w, "ostree-1-agl.conf", ENTRY(OLD));
        assert_int_equal(driver()->set_trial(&w->context, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
        must_be_called(w, name, "ostree-1-agl.conf");
        w->context.booted = NEW;
        error_clear(&w->error);
        must(w, driver()->set_good(&w->context, &w->error)); /* which needs none */
        must_be_called(w, name, "ostree-1-agl.conf");
}

/* A missing entry is no reason to count nothing; one that cannot be read might be ours. */
static void an_entry_that_cannot_be_read_is_an_error(void **state)
{
        World *w = *state;
        cleanup_free char *path = xasprintf("%s/ostree-2-agl+3.conf", w->folder);

        assert_int_equal(mkdir(path, 0755), 0);
        w->context.booted = NEW;
        assert_int_equal(driver()->set_good(&w->context, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
        error_clear(&w->error);
        assert_int_equal(driver()->get_state(&w->context, &w->state, &w->error), -1);
        assert_int_equal(w->error.code, ERR_BOOT_LOADER);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_trial_gives_the_new_entry_tries_and_no_other),
                TEST(a_new_trial_starts_the_count_anew),
                TEST(good_software_loses_its_count),
                TEST(an_entry_without_tries_that_did_not_boot_was_given_up),
                TEST(names_with_a_plus_are_no_counts),
                TEST(entries_are_told_apart_by_a_whole_word_of_their_options),
                TEST(a_folder_that_is_not_there_is_an_error),
                TEST(two_names_of_one_entry_become_one_again),
                TEST(entries_of_others_stay_as_they_are),
                TEST(a_name_without_room_for_a_count_is_an_error_and_stays),
                TEST(an_entry_that_cannot_be_read_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
