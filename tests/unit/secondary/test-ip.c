/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Primary's side against a Secondary played by a child process, that answers from a script: one entry for each
 * question, whatever the question is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "secondary/address.h"
#include "secondary/ip.h"
#include "secondary/stream.h"

typedef enum Manner {
        ANSWER,       /* and keep the connection */
        ANSWER_CLOSE, /* and close it */
        ANSWER_SLOW,  /* one byte at a time */
        RAW,          /* the bytes in .data, then close */
        HANG_UP,      /* without a word */
        SILENCE,
} Manner;

typedef struct Line {
        Manner manner;
        DerMessage answer;
} Line;

typedef struct Fake {
        pid_t pid;
        char address[32];
        int log; /* what it was asked, whole messages in a row */
} Fake;

#define OK_ANSWER(k) { .kind = (k), .result = DER_OK }
#define VERSION_2 { ANSWER, { .kind = DER_VERSION_RESP, .number = 2 } }

static void say(int fd, const Line *line)
{
        cleanup_buffer Buffer bytes = { 0 };

        if (line->manner == RAW)
                buffer_put(&bytes, line->answer.data.data, line->answer.data.size);
        else
                der_encode(&line->answer, &bytes);
        for (size_t done = 0, n; done < bytes.size; done += n) {
                n = line->manner == ANSWER_SLOW ? 1 : bytes.size - done;
                if (send(fd, bytes.data + done, n, MSG_NOSIGNAL) != (ssize_t) n)
                        _exit(3);
                if (line->manner == ANSWER_SLOW)
                        (void) usleep(2000);
        }
}

/* Plays the whole script, then ends. */
static void play(int listener, int log, const Line *lines, size_t n)
{
        int fd = -1;

        for (size_t i = 0; i < n;) {
                cleanup_buffer Buffer question = { 0 };
                Error error = { 0 };
                SecondaryStream stream;

                if (fd < 0)
                        fd = accept(listener, NULL, NULL);
                stream = (SecondaryStream) { .fd = fd, .idle_ms = 5000, .deadline = secondary_stream_now() + 5000, .cancel_fd = -1 };
                if (secondary_stream_receive(&stream, DER_MESSAGE_MAX, &question, &error) <= 0) {
                        (void) close(fd);
                        fd = -1;
                        if (error.code)
                                _exit(1);
                        continue;
                }
                if (write(log, question.data, question.size) != (ssize_t) question.size)
                        _exit(2);
                if (lines[i].manner == SILENCE)
                        (void) pause();
                if (lines[i].manner != HANG_UP)
                        say(fd, &lines[i]);
                if (lines[i].manner == ANSWER_CLOSE || lines[i].manner == RAW || lines[i].manner == HANG_UP) {
                        (void) close(fd);
                        fd = -1;
                }
                i++;
        }
        _exit(0);
}

static Fake fake_start(const Line *lines, size_t n)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof address;
        Fake fake = { 0 };

        assert_true(listener >= 0);
        assert_int_equal(bind(listener, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(listen(listener, 8), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &address, &size), 0);
        (void) snprintf(fake.address, sizeof fake.address, "127.0.0.1:%u", ntohs(address.sin_port));
        fake.log = memfd_create("log", MFD_CLOEXEC);
        assert_true(fake.log >= 0);
        fake.pid = fork();
        if (fake.pid == 0) {
                (void) alarm(20);
                play(listener, fake.log, lines, n);
        }
        (void) close(listener);
        return fake;
}

/* Ends it; complete: it must have played its whole script. Returns what it was asked. */
static void fake_stop(Fake *fake, bool complete, Buffer *ret)
{
        char piece[4096];
        ssize_t n;
        int status;

        if (!complete)
                (void) kill(fake->pid, SIGKILL);
        assert_int_equal(waitpid(fake->pid, &status, 0), fake->pid);
        if (complete)
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(lseek(fake->log, 0, SEEK_SET), 0);
        while ((n = read(fake->log, piece, sizeof piece)) > 0)
                buffer_put(ret, piece, (size_t) n);
        (void) close(fake->log);
}

static SecondaryIp at(const Fake *fake)
{
        return (SecondaryIp) { .address = fake->address, .connect_ms = 3000, .idle_ms = 3000, .exchange_ms = 5000, .install_ms = 5000, .cancel_fd = -1 };
}

/* Plays one wrong answer to getInfo and returns the client's error. */
static Error info_error(const Line *line, bool complete, unsigned ms)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer log = { 0 };
        Fake fake = fake_start(line, 1);
        SecondaryIp s = at(&fake);
        SecondaryIpInfo info = { 0 };
        Error error = { 0 };

        s.idle_ms = s.exchange_ms = ms;
        assert_int_equal(secondary_ip_get_info(&s, arena, &info, &error), -1);
        assert_null(info.serial);
        fake_stop(&fake, complete, &log);
        return error;
}

#define INFO { .kind = DER_GET_INFO_RESP, .serial = "s-1", .hardware_id = "hw", .number = DER_KEY_RSA2048, .data = slice_str("PEM\nkey\n") }

static void test_info_is_read_and_its_key_trimmed(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer log = { 0 };
        Line line = { ANSWER_SLOW, INFO };
        Fake fake = fake_start(&line, 1);
        SecondaryIp s = at(&fake);
        SecondaryIpInfo info;
        Error error = { 0 };

        assert_int_equal(secondary_ip_get_info(&s, arena, &info, &error), 0);
        assert_string_equal(info.serial, "s-1");
        assert_string_equal(info.hardware_id, "hw");
        assert_string_equal(info.key_type, "RSA");
        assert_string_equal(info.key, "PEM\nkey");
        fake_stop(&fake, true, &log);
        assert_true(slice_equal(buffer_slice(&log), slice("\xa0\x02\x30\x00", 4)));
}

static void test_a_manifest_is_asked_for_after_the_version(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer log = { 0 };
        Line lines[] = { VERSION_2, { ANSWER, { .kind = DER_MANIFEST_RESP, .data = slice_str("{}") } } };
        Fake fake = fake_start(lines, ELEMENTSOF(lines));
        SecondaryIp s = at(&fake);
        Error error = { 0 };
        Slice report;

        assert_int_equal(secondary_ip_get_manifest(&s, arena, &report, &error), 0);
        assert_true(slice_equal(report, slice_str("{}")));
        fake_stop(&fake, true, &log);
        assert_true(slice_equal(buffer_slice(&log), slice("\xb1\x05\x30\x03\x02\x01\x02\xa2\x02\x30\x00", 11)));
}

static void test_another_protocol_version_is_unsupported(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer log = { 0 };
        Line line = { ANSWER, { .kind = DER_VERSION_RESP, .number = 3 } };
        Fake fake = fake_start(&line, 1);
        SecondaryIp s = at(&fake);
        Error error = { 0 };
        Slice report;

        assert_int_equal(secondary_ip_get_manifest(&s, arena, &report, &error), -1);
        assert_int_equal(error.code, ERR_UNSUPPORTED);
        fake_stop(&fake, true, &log);
}

static void test_nonsense_is_the_secondarys_error(void **state)
{
        static const struct {
                const char *bytes;
                size_t size;
        } nonsense[] = {
                { "GET / HTTP/1.1\r\n", 16 },
                { "\xa1\x03\x30\x00\x00", 5 },     /* not canonical */
                { "\xa1\x82\x01\xeb\x30", 5 },     /* ends too early */
                { "\xa1\x84\xff\xff\xff\xff", 6 }, /* length bomb */
                { "\xa1\x83\x01\x90\x00", 5 },     /* 100 KiB */
                { "\xb2\x05\x30\x03\x02\x01\x02", 7 }, /* another answer */
        };

        for (size_t i = 0; i < ELEMENTSOF(nonsense); i++) {
                Line line = { RAW, { .data = slice(nonsense[i].bytes, nonsense[i].size) } };

                assert_int_equal(info_error(&line, true, 3000).code, ERR_SECONDARY);
        }
}

static void test_hanging_up_is_the_secondarys_error(void **state)
{
        Line line = { HANG_UP, { 0 } };

        assert_int_equal(info_error(&line, true, 3000).code, ERR_SECONDARY);
}

static void test_silence_ends_in_a_timeout(void **state)
{
        Line line = { SILENCE, { 0 } };

        assert_int_equal(info_error(&line, false, 200).code, ERR_TIMEOUT);
}

/* Each byte comes within the limit for silence, all of them not within the one for the exchange. */
static void test_trickling_ends_in_a_timeout(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_free char *key = xcalloc(1001, 1);
        cleanup_buffer Buffer log = { 0 };
        Line line = { ANSWER_SLOW, INFO };
        SecondaryIpInfo info;
        Error error = { 0 };
        SecondaryIp s;
        Fake fake;

        memset(key, 'k', 1000);
        line.answer.data = slice_str(key);
        fake = fake_start(&line, 1);
        s = at(&fake);
        s.exchange_ms = 300;
        assert_int_equal(secondary_ip_get_info(&s, arena, &info, &error), -1);
        assert_int_equal(error.code, ERR_TIMEOUT);
        fake_stop(&fake, false, &log);
}

static void test_nobody_there_is_unreachable(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer log = { 0 };
        Line line = { HANG_UP, { 0 } };
        Fake fake = fake_start(&line, 1);
        SecondaryIp s = at(&fake);
        SecondaryIpInfo info;
        Error error = { 0 };

        fake_stop(&fake, false, &log);
        assert_int_equal(secondary_ip_get_info(&s, arena, &info, &error), -1);
        assert_int_equal(error.code, ERR_UNREACHABLE);
}

static void test_addresses_that_are_none_are_refused(void **state)
{
        static const char *const bad[] = { "", "host", ":1", "host:", "host:0", "host:65536", "host:1x", "host:-1", "::1:9", "[]:1", "[::1]" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                SecondaryIp s = { .address = bad[i], .connect_ms = 100, .idle_ms = 100, .exchange_ms = 100, .cancel_fd = -1 };
                SecondaryIpInfo info;
                Error error = { 0 };

                assert_int_equal(secondary_ip_get_info(&s, arena, &info, &error), -1);
                assert_int_equal(error.code, ERR_INVALID_ARGUMENT);
        }
}

static void test_closing_the_other_end_cancels(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer log = { 0 };
        Line line = { SILENCE, { 0 } };
        Fake fake = fake_start(&line, 1);
        SecondaryIp s = at(&fake);
        SecondaryIpInfo info;
        Error error = { 0 };
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        s.cancel_fd = pair[0];
        (void) close(pair[1]);
        assert_int_equal(secondary_ip_get_info(&s, arena, &info, &error), -1);
        assert_int_equal(error.code, ERR_CANCELLED);
        (void) close(pair[0]);
        fake_stop(&fake, false, &log);
}

static void test_a_refusal_carries_the_secondarys_words(void **state)
{
        cleanup_buffer Buffer log = { 0 };
        Line line = { ANSWER, { .kind = DER_PUT_ROOT_RESP, .result = DER_VALIDATION_FAILED, .description = slice("bad\nroot\xff", 9) } };
        Fake fake = fake_start(&line, 1);
        SecondaryIp s = at(&fake);
        Error error = { 0 };

        assert_int_equal(secondary_ip_put_root(&s, DER_REPO_IMAGE, slice_str("{}"), &error), -1);
        assert_int_equal(error.code, ERR_SECONDARY);
        assert_non_null(strstr(error.message, "validation failed (3): bad root "));
        fake_stop(&fake, true, &log);
}

static void test_results_of_an_installation(void **state)
{
        static const DerResult results[] = { DER_OK, DER_ALREADY_PROCESSED, DER_NEED_COMPLETION, DER_INSTALL_FAILED, DER_UNKNOWN };

        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                cleanup_buffer Buffer log = { 0 };
                Line line = { ANSWER, { .kind = DER_INSTALL_RESP2, .result = results[i], .description = slice_str("words") } };
                Fake fake = fake_start(&line, 1);
                SecondaryIp s = at(&fake);
                const char *description = NULL;
                DerResult result = DER_CUSTOM_ERROR;
                Error error = { 0 };

                if (secondary_ip_install(&s, "fw.bin", arena, &result, &description, &error) == 0) {
                        assert_true(i < 3);
                        assert_int_equal(result, results[i]);
                        assert_string_equal(description, "words");
                } else {
                        assert_true(i >= 3);
                        assert_int_equal(error.code, ERR_SECONDARY);
                }
                fake_stop(&fake, true, &log);
        }
}

static void test_metadata_is_one_message(void **state)
{
        cleanup_buffer Buffer log = { 0 }, expected = { 0 };
        DerMessage version = { .kind = DER_VERSION_REQ, .number = 2 };
        DerFile image[] = { { "root", slice_str("{1}") }, { DER_DELEGATED "a", slice_str("{3}") } }, director[] = { { "targets", slice_str("{2}") } };
        DerMessage files = { .kind = DER_PUT_META_REQ2, .n_image_files = 2, .n_director_files = 1, .image_files = image, .director_files = director };
        Line lines[] = { VERSION_2, { ANSWER, OK_ANSWER(DER_PUT_META_RESP2) } };
        Fake fake = fake_start(lines, ELEMENTSOF(lines));
        SecondaryIp s = at(&fake);
        Error error = { 0 };

        assert_int_equal(secondary_ip_put_metadata(&s, &files, &error), 0);
        fake_stop(&fake, true, &log);
        der_encode(&version, &expected);
        der_encode(&files, &expected);
        assert_true(slice_equal(buffer_slice(&log), buffer_slice(&expected)));
}

static uint64_t last_done;

static void note_progress(void *userdata, uint64_t done, uint64_t total)
{
        assert_true(done > last_done && done <= total);
        *(uint64_t *) userdata += 1;
        last_done = done;
}

/* Sends 2500 bytes to a Secondary of this manner and checks that they came in chunks, once and in order. */
static void upload(const Line *lines, size_t n)
{
        cleanup_buffer Buffer log = { 0 }, expected = { 0 };
        SecondaryIpImage image = { .chunk = DER_CHUNK, .fd = memfd_create("image", MFD_CLOEXEC), .length = 2500, .progress = note_progress };
        Fake fake = fake_start(lines, n);
        uint8_t bytes[2510];
        SecondaryIp s = at(&fake);
        uint64_t called = 0;
        Error error = { 0 };

        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t) (i * 7);
        assert_int_equal(write(image.fd, bytes, sizeof bytes), sizeof bytes);
        assert_int_equal(lseek(image.fd, 5, SEEK_SET), 5); /* its present offset is where it begins */
        image.userdata = &called;
        last_done = 0;
        assert_int_equal(secondary_ip_put_image(&s, &image, &error), 0);
        assert_int_equal(called, 3);
        assert_int_equal(last_done, 2500);
        (void) close(image.fd);
        fake_stop(&fake, true, &log);
        for (size_t done = 0; done < 2500; done += 1024)
                der_encode(&(DerMessage) { .kind = DER_UPLOAD_DATA_REQ, .data = slice(bytes + 5 + done, 2500 - done < 1024 ? 2500 - done : 1024) }, &expected);
        assert_true(slice_equal(buffer_slice(&log), buffer_slice(&expected)));
}

static void test_an_image_goes_over_one_connection_where_it_is_kept(void **state)
{
        const Line keeping = { ANSWER, OK_ANSWER(DER_UPLOAD_DATA_RESP) };

        upload((Line[]) { keeping, keeping, keeping }, 3);
}

static void test_an_image_goes_over_many_connections_where_it_is_not(void **state)
{
        const Line closing = { ANSWER_CLOSE, OK_ANSWER(DER_UPLOAD_DATA_RESP) };

        upload((Line[]) { closing, closing, closing }, 3);
}

static void test_a_refused_chunk_ends_the_upload(void **state)
{
        const Line lines[] = { { ANSWER, OK_ANSWER(DER_UPLOAD_DATA_RESP) },
                               { ANSWER, { .kind = DER_UPLOAD_DATA_RESP, .result = DER_GENERAL_ERROR, .description = slice_str("full") } } };
        SecondaryIpImage image = { .chunk = DER_CHUNK, .fd = memfd_create("image", MFD_CLOEXEC), .length = 5000 };
        cleanup_buffer Buffer log = { 0 };
        Fake fake = fake_start(lines, 2);
        SecondaryIp s = at(&fake);
        Error error = { 0 };

        assert_int_equal(ftruncate(image.fd, 5000), 0);
        assert_int_equal(secondary_ip_put_image(&s, &image, &error), -1);
        assert_int_equal(error.code, ERR_SECONDARY);
        assert_non_null(strstr(error.message, "at byte 1024 of 5000"));
        (void) close(image.fd);
        fake_stop(&fake, true, &log);
}

static void test_an_image_shorter_than_its_length_is_not_completed(void **state)
{
        const Line lines[] = { { ANSWER, OK_ANSWER(DER_UPLOAD_DATA_RESP) }, { ANSWER, OK_ANSWER(DER_UPLOAD_DATA_RESP) } };
        SecondaryIpImage image = { .chunk = DER_CHUNK, .fd = memfd_create("image", MFD_CLOEXEC), .length = 2000 };
        cleanup_buffer Buffer log = { 0 };
        Fake fake = fake_start(lines, 2);
        SecondaryIp s = at(&fake);
        Error error = { 0 };

        assert_int_equal(ftruncate(image.fd, 1500), 0);
        assert_int_equal(secondary_ip_put_image(&s, &image, &error), -1);
        assert_int_equal(error.code, ERR_STORAGE);
        (void) close(image.fd);
        fake_stop(&fake, false, &log);
        assert_int_equal(log.size, 1036);
}

static void test_an_address_says_whether_and_with_whom_tls_is_spoken(void **state)
{
        static const struct {
                const char *address, *name, *rest;
                SecondaryProtection tls;
        } good[] = {
                { "h:1", "", "h:1", SECONDARY_PLAIN },
                { "a@h:1", "", "a@h:1", SECONDARY_PLAIN },
                { "tls://h:1", "", "h:1", SECONDARY_CERTIFICATES },
                { "tls://[fd00::1]:1", "", "[fd00::1]:1", SECONDARY_CERTIFICATES },
                { "tls://ecu 1@h:1", "ecu 1", "h:1", SECONDARY_CERTIFICATES },
                { "tls://a@b://c@h:1", "a@b://c", "h:1", SECONDARY_CERTIFICATES },
                { "psk://ecu 1@h:1", "ecu 1", "h:1", SECONDARY_PSK },
        };
        char name[SECONDARY_TLS_NAME_MAX + 1], longest[80] = "tls://";
        const char *rest;
        Error error = { 0 };
        SecondaryProtection tls;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_int_equal(secondary_address_split(good[i].address, &tls, name, &rest, &error), 0);
                assert_int_equal(tls, good[i].tls);
                assert_string_equal(name, good[i].name);
                assert_string_equal(rest, good[i].rest);
        }
        memset(longest + 6, 'x', SECONDARY_TLS_NAME_MAX);
        strcat(longest, "@h:1");
        assert_int_equal(secondary_address_split(longest, &tls, name, &rest, &error), 0);
        assert_int_equal(strlen(name), SECONDARY_TLS_NAME_MAX);
        memset(longest + 6, 'x', SECONDARY_TLS_NAME_MAX + 1);
        strcpy(longest + 6 + SECONDARY_TLS_NAME_MAX + 1, "@h:1");
        assert_int_equal(secondary_address_split(longest, &tls, name, &rest, &error), -1);
        error_clear(&error);
        assert_int_equal(secondary_address_split("tls://@h:1", &tls, name, &rest, &error), -1);
        assert_int_equal(error.code, ERR_INVALID_ARGUMENT);
        error_clear(&error);
        assert_int_equal(secondary_address_split("psk://h:1", &tls, name, &rest, &error), -1);
        assert_int_equal(error.code, ERR_INVALID_ARGUMENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_info_is_read_and_its_key_trimmed),
                cmocka_unit_test(test_a_manifest_is_asked_for_after_the_version),
                cmocka_unit_test(test_another_protocol_version_is_unsupported),
                cmocka_unit_test(test_nonsense_is_the_secondarys_error),
                cmocka_unit_test(test_hanging_up_is_the_secondarys_error),
                cmocka_unit_test(test_silence_ends_in_a_timeout),
                cmocka_unit_test(test_trickling_ends_in_a_timeout),
                cmocka_unit_test(test_nobody_there_is_unreachable),
                cmocka_unit_test(test_addresses_that_are_none_are_refused),
                cmocka_unit_test(test_closing_the_other_end_cancels),
                cmocka_unit_test(test_a_refusal_carries_the_secondarys_words),
                cmocka_unit_test(test_results_of_an_installation),
                cmocka_unit_test(test_metadata_is_one_message),
                cmocka_unit_test(test_an_address_says_whether_and_with_whom_tls_is_spoken),
                cmocka_unit_test(test_an_image_goes_over_one_connection_where_it_is_kept),
                cmocka_unit_test(test_an_image_goes_over_many_connections_where_it_is_not),
                cmocka_unit_test(test_a_refused_chunk_ends_the_upload),
                cmocka_unit_test(test_an_image_shorter_than_its_length_is_not_completed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
