/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in, messages out; which is which is one switch. */
#include <stdio.h>

#include "secondary/secondary.h"

#define PROTOCOL_VERSION 2
#define ATTACK "attacks-detected"
#define REPORT_COUNTER "report-counter"
#define REPORT_TIME "report-time"

#define RSA2048_PEM_MAX 500 /* a 2048-bit key has 450 characters in PEM, one of 3072 bits 624, one of 4096 bits 799 */

static DerKeyType key_type(const Signer *signer)
{
        if (signer_key_type(signer) == KEY_ED25519)
                return DER_KEY_ED25519;
        return strlen(signer_public_text(signer)) < RSA2048_PEM_MAX ? DER_KEY_RSA2048 : DER_KEY_RSA4096;
}

static void get_info(const Secondary *s, DerMessage *ret)
{
        ret->kind = DER_GET_INFO_RESP;
        ret->serial = s->serial;
        ret->hardware_id = s->config.hardware_id;
        ret->number = key_type(s->signer);
        ret->data = slice_str(signer_public_text(s->signer));
}

/* Uptane 5.4.2.1.2 (k): every report has a number of its own, stored before it is seen by anybody. */
static int count_report(Secondary *s, VersionReport *report, Error *error)
{
        if (store_number_get(s->store, REPORT_COUNTER, &report->report_counter, error) < 0 ||
            store_number_get(s->store, REPORT_TIME, &report->previous_time, error) < 0 || secondary_time(s, &report->time, error) < 0)
                return -1;
        report->report_counter++;
        if (store_begin(s->store, error) < 0)
                return -1;
        if (store_number_put(s->store, REPORT_COUNTER, report->report_counter, error) < 0 ||
            store_number_put(s->store, REPORT_TIME, report->time, error) < 0 || store_commit(s->store, error) < 0) {
                store_rollback(s->store);
                return -1;
        }
        return 0;
}

/* Uptane 5.4.3.6 (a) */
static int get_manifest(Secondary *s, Buffer *ret, Error *error)
{
        cleanup_buffer Buffer attack = { 0 };
        VersionReport report = { .serial = s->serial };

        if (*s->installed.image || s->installed.hashes.has_sha256) { /* it may have a hash, and no name that is known */
                report.image = s->installed.image;
                report.length = s->installed.length > 0 ? s->installed.length : 0;
                report.hashes = s->installed.hashes;
        }
        if (store_value_get(s->store, ATTACK, &attack, error) < 0 || count_report(s, &report, error) < 0)
                return -1;
        report.attacks_detected = buffer_str(&attack);
        return version_report_sign(&report, s->signer, ret, error);
}

/* ---- results ---- */

static DerResult result_of(const Error *error)
{
        switch (error_info(error->code)->report) {
        case REPORT_VERIFICATION_FAILED:
                return DER_VALIDATION_FAILED;
        case REPORT_DOWNLOAD_FAILED:
                return DER_DOWNLOAD_FAILED;
        case REPORT_INSTALL_FAILED:
                return DER_INSTALL_FAILED;
        case REPORT_OPERATION_CANCELLED:
                return DER_OPERATION_CANCELLED;
        case REPORT_INTERNAL_ERROR:
                return DER_INTERNAL_ERROR;
        case REPORT_OK:
        case REPORT_GENERAL_ERROR:
        case _REPORT_MAX:
        default:
                return DER_GENERAL_ERROR;
        }
}

/* The attack stays in the reports until metadata was accepted. A store that fails now must not hide the refusal itself. */
static void note_attack(Secondary *s, const char *attack)
{
        Error error = { 0 };

        if (store_value_put(s->store, ATTACK, attack, &error) < 0)
                fprintf(stderr, "storing what was detected: %s\n", error.message);
}

void secondary_note(Secondary *secondary, const Error *why)
{
        if (error_info(why->code)->attack != ATTACK_NONE)
                note_attack(secondary, error_attack_name(error_info(why->code)->attack));
}

/* A refusal is told to both sides: in the answer and in the log. description is borrowed from error. */
static void put_result(Secondary *s, DerKind kind, int r, const Error *error, DerMessage *ret)
{
        ret->kind = kind;
        if (r < 0)
                ret->result = result_of(error);
        else
                ret->result = r == SECONDARY_ALREADY ? DER_ALREADY_PROCESSED : r == SECONDARY_NEED_COMPLETION ? DER_NEED_COMPLETION : DER_OK;
        if (r >= 0)
                return;
        ret->description = slice_str(error->message);
        fprintf(stderr, "refused: %s\n", error->message);
        secondary_note(s, error);
}

static int put_metadata(Secondary *s, const DerMessage *request, Error *error)
{
        if (secondary_put_metadata(s, request, error) < 0)
                return -1;
        fprintf(stderr, "the metadata of %s is verified\n", s->config.partial ? "the Director" : "both repositories");
        note_attack(s, "");
        secondary_forget_failure(s);
        return 0;
}

static int install(Secondary *s, Slice name, Error *error)
{
        int r = secondary_install(s, name, error);

        if (r == SECONDARY_DONE || r == SECONDARY_NEED_COMPLETION)
                fprintf(stderr, "installed '%.*s'\n", (int) (name.size < TARGET_NAME_MAX ? name.size : TARGET_NAME_MAX), (const char *) name.data);
        return r;
}

/* A Primary may send credentials for the server along. */
static int fetch(Secondary *s, Slice credentials, Error *error)
{
        if (s->config.driver != SECONDARY_OSTREE)
                return error_set(error, ERR_NOT_SUPPORTED, "this ECU installs files, not OSTree commits");
        if (credentials.size > 0 && s->wanted.any && s->outcome.goal != JOB_FETCH && secondary_take_credentials(s, credentials, error) < 0)
                return -1;
        return secondary_job_fetch(s, error);
}

/* ---- messages ---- */

/* While something is done to this ECU, nothing else is begun; and before it was looked at, nobody is told what it runs. */
static bool must_wait(const Secondary *s, DerKind kind)
{
        if (!secondary_is_working(s))
                return false;
        if (kind == DER_MANIFEST_REQ)
                return s->job.goal != JOB_INSTALL && s->job.goal != JOB_FETCH;
        return kind == DER_PUT_META_REQ2 || kind == DER_UPLOAD_DATA_REQ || kind == DER_INSTALL_REQ || kind == DER_DOWNLOAD_OSTREE_REQ;
}

/* data and words lend their memory to ret. 1: later. -1: there is no answer to this. */
static int answer_to(Secondary *s, const DerMessage *request, DerMessage *ret, Buffer *data, Error *words, Error *error)
{
        TrustKind repo = request->number == DER_REPO_IMAGE ? TRUST_IMAGE : TRUST_DIRECTOR;
        int r;

        if (must_wait(s, request->kind))
                return 1;
        switch (request->kind) {
        case DER_GET_INFO_REQ:
                get_info(s, ret);
                return 0;
        case DER_VERSION_REQ:
                *ret = (DerMessage) { .kind = DER_VERSION_RESP, .number = PROTOCOL_VERSION };
                return 0;
        case DER_MANIFEST_REQ:
                if (get_manifest(s, data, error) < 0)
                        return -1;
                *ret = (DerMessage) { .kind = DER_MANIFEST_RESP, .data = buffer_slice(data) };
                return 0;
        case DER_ROOT_VERSION_REQ:
                ret->kind = DER_ROOT_VERSION_RESP;
                return secondary_root_version(s, repo, &ret->number, error);
        case DER_PUT_ROOT_REQ:
                put_result(s, DER_PUT_ROOT_RESP, secondary_put_root(s, repo, request->data, words), words, ret);
                return 0;
        case DER_PUT_META_REQ2:
                put_result(s, DER_PUT_META_RESP2, put_metadata(s, request, words), words, ret);
                return 0;
        case DER_UPLOAD_DATA_REQ:
                put_result(s, DER_UPLOAD_DATA_RESP, secondary_put_data(s, request->data, words), words, ret);
                return 0;
        case DER_INSTALL_REQ:
                r = install(s, request->data, words);
                if (r != SECONDARY_LATER)
                        put_result(s, DER_INSTALL_RESP2, r, words, ret);
                return r == SECONDARY_LATER;
        case DER_DOWNLOAD_OSTREE_REQ:
                r = fetch(s, request->data, words);
                if (r != SECONDARY_LATER)
                        put_result(s, DER_DOWNLOAD_OSTREE_RESP, r, words, ret);
                return r == SECONDARY_LATER;
        case DER_GET_INFO_RESP:
        case DER_MANIFEST_RESP:
        case DER_UPLOAD_DATA_RESP:
        case DER_DOWNLOAD_OSTREE_RESP:
        case DER_PUT_META_RESP2:
        case DER_INSTALL_RESP2:
        case DER_VERSION_RESP:
        case DER_ROOT_VERSION_RESP:
        case DER_PUT_ROOT_RESP:
        default:
                return error_set(error, ERR_MALFORMED, "message [%d] is an answer, not a question", request->kind);
        }
}

int secondary_answer(Secondary *secondary, Slice message, Buffer *ret, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer data = { 0 };
        DerMessage request, answer = { 0 };
        Error words = { 0 };
        int r = der_decode(message, arena, &request, error);

        if (r == 0)
                r = answer_to(secondary, &request, &answer, &data, &words, error);
        if (r == 0)
                der_encode(&answer, ret);
        return r;
}
