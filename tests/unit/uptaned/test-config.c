/* SPDX-License-Identifier: Apache-2.0 */
/* uptaned.conf(5): defaults, every key, what is refused and how that is named, and the order of the drop-ins. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "uptaned/config.h"

#define GOOD "[server]\nurl = https://ota.example.com/\n[primary]\nhardware-id = board\n"

typedef struct World {
        char folder[64];
        char *path, *dropins;
        Config config;
        Error error;
} World;

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        strcpy(w->folder, "/tmp/uptaned-config.XXXXXX");
        if (!mkdtemp(w->folder))
                return -1;
        w->path = xasprintf("%s/uptaned.conf", w->folder);
        w->dropins = xasprintf("%s.d", w->path);
        *state = w;
        return mkdir(w->dropins, 0700);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static int teardown(void **state)
{
        World *w = *state;

        config_done(&w->config);
        (void) nftw(w->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(w->path);
        free(w->dropins);
        free(w);
        return 0;
}

static void put(const char *path, const char *text)
{
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void put_dropin(World *w, const char *name, const char *text)
{
        cleanup_free char *path = xasprintf("%s/%s", w->dropins, name);

        put(path, text);
}

static void must_load(World *w, const char *text)
{
        put(w->path, text);
        config_done(&w->config);
        error_clear(&w->error);
        if (config_load(w->path, &w->config, &w->error) < 0)
                fail_msg("%s", w->error.message);
}

/* The message must hold where. */
static void must_refuse(World *w, const char *text, const char *where)
{
        Config config = { 0 };

        put(w->path, text);
        error_clear(&w->error);
        if (config_load(w->path, &config, &w->error) == 0)
                fail_msg("was taken: %s", text);
        assert_int_equal(w->error.code, ERR_CONFIG);
        if (!strstr(w->error.message, where))
                fail_msg("'%s' does not say '%s'", w->error.message, where);
        assert_null(config.server_url); /* nothing of it is handed out */
}

/* Uptane 5.2.6 (b), Uptane 5.4.1 (1c): both repositories have an address */
static void two_keys_are_enough_and_the_rest_has_defaults(void **state)
{
        World *w = *state;
        const Config *c = &w->config;

        must_load(w, GOOD);
        assert_string_equal(c->server_url, "https://ota.example.com");
        assert_string_equal(c->director_url, "https://ota.example.com/director");
        assert_string_equal(c->repository_url, "https://ota.example.com/repo");
        assert_string_equal(c->ostree_url, "https://ota.example.com/treehub");
        assert_true(c->require_director_timestamp);
        assert_string_equal(c->serial, "");
        assert_string_equal(c->hardware_id, "board");
        assert_string_equal(c->vin, "");
        assert_string_equal(c->device_id, "");
        assert_int_equal(c->key_type, KEY_ED25519);
        assert_int_equal(c->policy.interval, 300);
        assert_int_equal(c->policy.jitter, 10);
        for (size_t i = 0; i < ELEMENTSOF(c->policy.ask); i++)
                assert_false(c->policy.ask[i]);
        assert_int_equal(c->slowest.speed, 100);
        assert_int_equal(c->slowest.seconds, 30);
        assert_false(c->health.boot_complete || c->health.checks || c->health.director);
        assert_true(c->health.timeout == 300 && c->health.check_timeout == 60);
        assert_int_equal(c->metadata_timeout, 60);
        assert_int_equal(c->image_timeout, 60);
        assert_int_equal(c->install_timeout, 900);
        assert_int_equal(c->completion_timeout, 86400);
        assert_int_equal(c->secondary_timeout, 20);
        assert_string_equal(c->state_directory, "/var/lib/uptane");
        assert_string_equal(c->root_directory, "/usr/lib/uptane");
        assert_string_equal(c->fetch_socket, "/run/uptane/fetch.sock");
        assert_string_equal(c->verify_socket, "/run/uptane/verify.sock");
        assert_string_equal(c->ostree_socket, "/run/uptane/ostree.sock");
        assert_string_equal(c->secondary_ip_socket, "/run/uptane/secondary-ip.sock");
        assert_string_equal(c->exec_socket, "/run/uptane/exec.sock");
        assert_false(c->exec_installer);
        assert_true(c->policy.parallel == 8 && !c->policy.keep && c->secondaries_bandwidth == 0);
        assert_null(c->handler);
        assert_true(c->max_speed == 0 && !c->static_deltas);
        assert_int_equal(c->n_secondaries, 0);
}

/* Uptane 5.2.6 (c) */
static void every_key_is_taken(void **state)
{
        World *w = *state;
        const Config *c = &w->config;

        must_load(w, "# a comment\n[server]\nurl = http://a//\ndirector-url = https://d/\nrepository-url = https://r\nostree-url = https://o\n"
                     "require-director-timestamp = no\nstatic-deltas = yes\n[primary]\nserial = p1\nhardware-id = hw\nvin = V\ndevice-id = D\nkey-type = rsa\n"
                     "[update]\npoll-interval = 1\njitter = 0\nconsent-download = ask\nconsent-install = ask\nconsent-reboot = ask\n"
                     "conditions-download = network\nconditions-install =  parked battery-80 \nconditions-reboot = parked\n"
                     "[health]\nboot-complete = yes\nchecks = yes\ndirector = yes\ntimeout = 7\ncheck-timeout = 8\n"
                     "[limits]\nmin-speed = 1048576\nmin-speed-seconds = 1\nmax-speed = 2M\n"
                     "[timeouts]\nmetadata = 1\nimage = 2\ninstall = 3\ncompletion = 5\nsecondary = 2592000\nannounce = 4\n"
                     "[paths]\nstate-directory = /s\nfactory-image = /x\nroot-directory = /r\nfetch-socket = /f\nverify-socket = /v\nostree-socket = /o\nhealth-socket = /h\nsecondary-ip-socket = /i\n"
                     "exec-socket = /e\n[primary]\ninstaller = exec\nhandler = /h\nhandler-option = a;$(b)\n"
                     "[secondary mcu]\ndriver = exec\nhandler = /m\nhandler-option = o\nhardware-id = hw2\nserial = s2\norder = 7\n"
                     "[secondary left_1]\ndriver = ip\naddress = [fd00::1]:9030\n[secondary right]\naddress = host:1\nverification = partial\ntls = yes\nsend-time = yes\nchunk = 64K\nsend-credentials = yes\n"
                     "[secondary toy]\ndriver = virtual\nhardware-id = hw3\n[update]\nparallel = 255\non-failure = keep\n[limits]\nsecondaries = 2M\n");
        assert_string_equal(c->server_url, "http://a");
        assert_string_equal(c->director_url, "https://d");
        assert_string_equal(c->repository_url, "https://r");
        assert_string_equal(c->ostree_url, "https://o");
        assert_false(c->require_director_timestamp);
        assert_string_equal(c->serial, "p1");
        assert_string_equal(c->vin, "V");
        assert_string_equal(c->device_id, "D");
        assert_int_equal(c->key_type, KEY_RSA);
        assert_int_equal(c->policy.interval, 1);
        assert_int_equal(c->policy.jitter, 0);
        assert_true(c->policy.ask[ENGINE_STAGE_DOWNLOAD] && c->policy.ask[ENGINE_STAGE_INSTALL] && c->policy.ask[ENGINE_STAGE_REBOOT]);
        assert_true(c->slowest.speed == 1048576 && c->slowest.seconds == 1);
        assert_true(c->max_speed == 2097152 && c->static_deltas);
        assert_true(c->metadata_timeout == 1 && c->image_timeout == 2 && c->install_timeout == 3 && c->completion_timeout == 5 && c->secondary_timeout == 2592000 && c->announce_timeout == 4);
        assert_string_equal(c->state_directory, "/s");
        assert_string_equal(c->factory_image, "/x");
        assert_string_equal(c->root_directory, "/r");
        assert_string_equal(c->fetch_socket, "/f");
        assert_string_equal(c->verify_socket, "/v");
        assert_string_equal(c->ostree_socket, "/o");
        assert_string_equal(c->health_socket, "/h");
        assert_true(c->health.boot_complete && c->health.checks && c->health.director);
        assert_true(c->health.timeout == 7 && c->health.check_timeout == 8);
        assert_string_equal(c->secondary_ip_socket, "/i");
        assert_string_equal(c->exec_socket, "/e");
        assert_true(c->exec_installer);
        assert_string_equal(c->handler, "/h");
        assert_string_equal(c->handler_option, "a;$(b)");
        assert_true(c->policy.parallel == 255 && c->policy.keep && c->secondaries_bandwidth == 2097152);
        assert_int_equal(c->n_secondaries, 4);
        assert_int_equal(c->secondaries[0].order, 7);
        assert_string_equal(c->secondaries[3].driver, "virtual");
        assert_string_equal(c->secondaries[0].driver, "exec");
        assert_string_equal(c->secondaries[0].handler, "/m");
        assert_string_equal(c->secondaries[0].handler_option, "o");
        assert_string_equal(c->secondaries[0].hardware_id, "hw2");
        assert_string_equal(c->secondaries[0].serial, "s2");
        assert_string_equal(c->secondaries[1].label, "left_1");
        assert_string_equal(c->secondaries[1].driver, "ip");
        assert_string_equal(c->secondaries[1].address, "[fd00::1]:9030");
        assert_string_equal(c->secondaries[2].address, "host:1");
        assert_true(!c->secondaries[1].partial && c->secondaries[2].partial);
        assert_true(!c->secondaries[1].tls && c->secondaries[2].tls);
        assert_int_equal(c->n_conditions, 3);
        assert_string_equal(c->conditions[1].name, "parked");
        assert_int_equal(c->conditions[0].stages, 1u << ENGINE_STAGE_DOWNLOAD);
        assert_int_equal(c->conditions[1].stages, 1u << ENGINE_STAGE_INSTALL | 1u << ENGINE_STAGE_REBOOT);
        assert_int_equal(c->conditions[2].stages, 1u << ENGINE_STAGE_INSTALL);
        assert_true(c->policy.conditional[ENGINE_STAGE_DOWNLOAD] && c->policy.conditional[ENGINE_STAGE_INSTALL]);
        assert_true(c->secondaries[1].chunk == 1024 && c->secondaries[2].chunk == 65536);
        assert_true(!c->secondaries[1].send_time && c->secondaries[2].send_time);
        assert_true(!c->secondaries[1].send_credentials && c->secondaries[2].send_credentials);
}

/* GOOD has four lines: the section is the fifth, the key the sixth. */
static void a_value_that_does_not_fit_is_refused_with_file_line_and_key(void **state)
{
        static const struct {
                const char *section, *key, *value;
        } bad[] = {
                { "server", "director-url", "ftp://x" }, { "server", "director-url", "https://x?a=b" }, { "server", "ostree-url", "x" },
                { "server", "repository-url", "https://a b" }, { "server", "require-director-timestamp", "true" },
                { "primary", "vin", "\xc3\xa4" }, { "primary", "serial", "a\tb" }, { "primary", "key-type", "ecdsa" },
                { "update", "poll-interval", "0" }, { "update", "poll-interval", "5m" }, { "update", "poll-interval", "-5" },
                { "update", "poll-interval", "99999999999999999999" }, { "update", "poll-interval", "2592001" },
                { "update", "poll-interval", "" }, { "update", "jitter", "51" }, { "update", "consent-reboot", "yes" },
                { "update", "parallel", "0" }, { "update", "parallel", "256" }, { "update", "on-failure", "retry" },
                { "limits", "secondaries", "16383" }, { "limits", "secondaries", "1025M" }, { "limits", "secondaries", "-1" },
                { "secondary a", "order", "1001" }, { "secondary a", "order", "-1" },
                { "health", "checks", "true" },
                { "health", "timeout", "0" }, { "limits", "min-speed", "0" }, { "limits", "min-speed", "1048577" }, { "limits", "min-speed", "1K" },
                { "limits", "min-speed-seconds", "0" }, { "limits", "max-speed", "1023" }, { "limits", "max-speed", "-1" }, { "server", "static-deltas", "on" }, { "timeouts", "image", "0" }, { "timeouts", "install", "0x10" }, { "paths", "state-directory", "state" },
                { "paths", "fetch-socket", "" }, { "secondary a", "driver", "can" }, { "secondary a", "address", "1.2.3.4" },
                { "secondary a", "address", ":5" }, { "secondary a", "address", "h:0" }, { "secondary a", "address", "h:65536" },
                { "server", "colour", "red" }, { "sever", "url", "https://x" }, { "Server", "director-url", "https://x" },
                { "server", "Director-URL", "https://x" }, { "secondary a", "colour", "red" },
                { "secondary a", "verification", "none" }, { "secondary a", "tls", "maybe" },
                { "primary", "installer", "rauc" }, { "primary", "handler", "flash" }, { "secondary a", "handler", "flash" },
                { "secondary a", "hardware-id", "\xc3\xa4" }, { "secondary a", "serial", "a\tb" },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cleanup_free char *text = xasprintf(GOOD "[%s]\n%s = %s\n", bad[i].section, bad[i].key, bad[i].value);
                cleanup_free char *where = xasprintf("%s, line 6, [%s] %s: ", w->path, bad[i].section, bad[i].key);

                must_refuse(w, GOOD "[update]\nconditions-install = Parked\n", "'Parked' is no name");
        must_refuse(w, GOOD "[update]\nconditions-install = abcdefghijklmnopqrstuvwxyzabcdefg\n", "is no name");
        must_refuse(w, GOOD "[update]\nconditions-download = a b c d e f g h i\nconditions-install = a j k l m n o p q\n",
                    "conditions-install: more than 16");
        must_refuse(w, text, where);
        }
}

static void a_serial_has_a_longest_length(void **state)
{
        cleanup_free char *longest = xcalloc(ECU_SERIAL_MAX + 2, 1), *text = NULL, *too_long = NULL;
        World *w = *state;

        memset(longest, 'x', ECU_SERIAL_MAX);
        text = xasprintf(GOOD "serial = %s\n", longest);
        must_load(w, text);
        assert_string_equal(w->config.serial, longest);
        longest[ECU_SERIAL_MAX] = 'x';
        too_long = xasprintf(GOOD "serial = %s\n", longest);
        must_refuse(w, too_long, "[primary] serial is longer than 64");
}

/* Half of a value must not be taken for the whole, whatever the rest looks like. */
static void a_line_too_long_for_the_library_is_refused(void **state)
{
        static const char *const rests[] = { "x", "#", "; x", " ", "vin = x", "" };
        char name[1024];
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(rests); i++)
                for (size_t n = 150; n < sizeof name; n += n < 300 ? 1 : 101) {
                        cleanup_free char *text = NULL;

                        memset(name, 'x', n);
                        name[n] = '\0';
                        text = xasprintf(GOOD "[paths]\nstate-directory = /%s%s\n[update]\njitter = 7\n", name, rests[i]);
                        put(w->path, text);
                        error_clear(&w->error);
                        config_done(&w->config);
                        if (config_load(w->path, &w->config, &w->error) == 0)
                                assert_int_equal(strncmp(w->config.state_directory + 1, name, n), 0);
                        else
                                assert_non_null(strstr(w->error.message, "line 6: longer than"));
                }
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        must_refuse(w, name, "line 1: longer than");
}

static void a_key_given_twice_names_both_lines(void **state)
{
        World *w = *state;

        must_refuse(w, GOOD "\n# x\nhardware-id = other\n", "line 7, [primary] hardware-id: given before, in line 4");
}

static void labels_are_letters_digits_and_underscores(void **state)
{
        static const char *const bad[] = { "primary", "a-b", "a b", "a.b", "\xc3\xa4", "", "abcdefghijklmnopqrstuvwxyz1234567" };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cleanup_free char *text = xasprintf(GOOD "[secondary %s]\naddress = h:1\n", bad[i]);

                must_refuse(w, text, "line 6");
        }
        must_load(w, GOOD "[secondary abcdefghijklmnopqrstuvwxyz123456]\naddress = h:1\n");
}

static void there_are_only_so_many_secondaries(void **state)
{
        cleanup_buffer Buffer text = { 0 };
        World *w = *state;

        buffer_put_str(&text, GOOD);
        for (int i = 0; i < CONFIG_SECONDARIES_MAX; i++)
                buffer_printf(&text, "[secondary s%d]\naddress = h:%d\n", i, i + 1);
        must_load(w, buffer_str(&text));
        assert_int_equal(w->config.n_secondaries, CONFIG_SECONDARIES_MAX);
        buffer_put_str(&text, "[secondary more]\naddress = h:1\n");
        must_refuse(w, buffer_str(&text), "more than 255 Secondaries");
}

/* Uptane 5.2.6 (a) */
static void what_is_missing_is_named(void **state)
{
        World *w = *state;

        must_refuse(w, "", "[server] url is missing");
        must_refuse(w, "[server]\nurl = https://a\n", "[primary] hardware-id is missing");
        must_refuse(w, "[server]\nurl = https://a\n[primary]\nhardware-id =\n", "[primary] hardware-id is missing");
        must_refuse(w, GOOD "[secondary a]\ndriver = ip\n", "[secondary a] address is missing");
        must_refuse(w, GOOD "[secondary a]\ndriver = exec\nhandler = /h\n", "[secondary a] hardware-id is missing");
        must_refuse(w, GOOD "[secondary a]\ndriver = exec\nhardware-id = h\n", "[secondary a] handler is missing");
        must_refuse(w, GOOD "[secondary a]\ndriver = exec\nhardware-id = h\nhandler = /h\naddress = h:1\n", "are for driver = ip");
        must_refuse(w, GOOD "[secondary a]\ndriver = virtual\nhardware-id = h\naddress = h:1\n", "are for driver = ip");
        must_refuse(w, GOOD "[secondary a]\ndriver = virtual\nhardware-id = h\nhandler = /h\n", "are for driver = exec");
        must_refuse(w, GOOD "[secondary a]\ndriver = virtual\n", "[secondary a] hardware-id is missing");
        must_refuse(w, GOOD "[secondary a]\naddress = h:1\nhardware-id = h\n", "is for driver = exec and driver = virtual");
        must_refuse(w, GOOD "[secondary a]\ndriver = exec\nhardware-id = h\nhandler = /h\ntls = yes\n", "are for driver = ip");
        must_refuse(w, GOOD "[secondary a]\ndriver = exec\nhardware-id = h\nhandler = /h\nverification = partial\n", "are for driver = ip");
        must_refuse(w, GOOD "[secondary a]\ndriver = virtual\nhardware-id = h\nchunk = 2K\n", "are for driver = ip");
        must_refuse(w, GOOD "[secondary a]\ndriver = virtual\nhardware-id = h\nsend-time = yes\n", "are for driver = ip");
        must_refuse(w, GOOD "[secondary a]\naddress = h:1\nchunk = 1023\n", "1023");
        must_refuse(w, GOOD "[secondary a]\naddress = h:1\nchunk = 65537\n", "65537");
        must_refuse(w, GOOD "[secondary a]\naddress = h:1\nsend-credentials = yes\n", "needs tls");
        must_refuse(w, GOOD "[secondary a]\naddress = h:1\nhandler = /h\n", "are for driver = exec");
        must_refuse(w, GOOD "[primary]\ninstaller = exec\n", "[primary] handler is missing");
        must_refuse(w, GOOD "[primary]\nhandler = /h\n", "[primary] handler is for installer = exec");
        must_refuse(w, GOOD "nonsense\n", "line 5");
        assert_int_equal(unlink(w->path), 0);
        error_clear(&w->error);
        assert_int_equal(config_load(w->path, &w->config, &w->error), -1);
        assert_int_equal(w->error.code, ERR_CONFIG);
        assert_non_null(strstr(w->error.message, "is missing"));
}

static void dropins_win_in_the_order_of_their_names(void **state)
{
        World *w = *state;

        put_dropin(w, "20-b.conf", "[primary]\nhardware-id = second\n");
        put_dropin(w, "10-a.conf", "[primary]\nhardware-id = first\nvin = kept\n[secondary a]\naddress = h:1\n");
        put_dropin(w, "30-c.txt", "nonsense\n");
        put_dropin(w, ".40-d.conf", "nonsense\n");
        put_dropin(w, "50-e.conf", "[secondary a]\naddress = h:2\n");
        must_load(w, GOOD);
        assert_string_equal(w->config.hardware_id, "second");
        assert_string_equal(w->config.vin, "kept");
        assert_int_equal(w->config.n_secondaries, 1);
        assert_string_equal(w->config.secondaries[0].address, "h:2");
}

static void a_bad_dropin_is_named(void **state)
{
        World *w = *state;

        put_dropin(w, "50-e.conf", "\n[primary]\nvim = x\n");
        must_refuse(w, GOOD, "/50-e.conf, line 3, [primary] vim: ");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(two_keys_are_enough_and_the_rest_has_defaults),
                TEST(every_key_is_taken),
                TEST(a_value_that_does_not_fit_is_refused_with_file_line_and_key),
                TEST(a_serial_has_a_longest_length),
                TEST(a_line_too_long_for_the_library_is_refused),
                TEST(a_key_given_twice_names_both_lines),
                TEST(labels_are_letters_digits_and_underscores),
                TEST(there_are_only_so_many_secondaries),
                TEST(what_is_missing_is_named),
                TEST(dropins_win_in_the_order_of_their_names),
                TEST(a_bad_dropin_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
