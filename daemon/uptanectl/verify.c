/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full verification of two folders of metadata as a back-end serves them, by the daemon's own core and without a daemon:
 * what is run before publishing. A line per check, up to the first that fails.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/codec.h"
#include "base/time.h"
#include "io/file.h"
#include "uptane/check.h"
#include "uptanectl/ctl.h"

#define ECUS_MAX 256

typedef struct Verify {
        const Ctl *ctl;
        const char *folders[_TRUST_KIND_MAX], *roots[_TRUST_KIND_MAX];
        int64_t now;
        bool without_director_timestamp;
        Ecu ecus[ECUS_MAX];
        size_t n_ecus;
        bool ecus_given;
        char **owned; /* serials and hardware ids */
        size_t n_owned;
        Buffer json; /* the list of checks */
} Verify;

typedef struct Folder {
        Verify *verify;
        TrustKind kind;
        char *last; /* what was fetched last and is not reported yet; owned */
} Folder;

/* ---- reporting ---- */

static void put_json(Verify *v, const char *check, const char *text, const Error *error)
{
        buffer_put_str(&v->json, v->json.size ? ",{\"check\":" : "{\"check\":");
        json_quote(check, &v->json);
        buffer_printf(&v->json, ",\"ok\":%s,\"text\":", error ? "false" : "true");
        json_quote(text, &v->json);
        if (error) {
                buffer_put_str(&v->json, ",\"error\":");
                json_quote(error_info(error->code)->dbus_name, &v->json);
        }
        buffer_put_str(&v->json, "}");
}

/* error NULL: it is good. */
static void report(Verify *v, const char *check, const char *text, const Error *error)
{
        if (v->ctl->json)
                put_json(v, check, text, error);
        else if (v->ctl->colour)
                printf("\033[%sm%s\033[0m  %-28s %s\n", error ? "31" : "32", error ? "BAD" : "ok ", check, text);
        else
                printf("%s  %-28s %s\n", error ? "BAD" : "ok ", check, text);
}

static void report_metadata(const Folder *f, const char *name, int64_t version, int64_t expires)
{
        cleanup_free char *check = xasprintf("%s %s", trust_kind_name(f->kind), name), *text = NULL;
        char when[TIME_TEXT_SIZE];

        time_format(expires, when);
        text = xasprintf("version %lld, expires %s", (long long) version, when);
        report(f->verify, check, text, NULL);
}

static int report_error(Verify *v, const char *check, Error *error)
{
        report(v, check, error->message, error);
        return -1;
}

/* ---- one repository ---- */

static int get(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        Folder *f = userdata;
        cleanup_free char *name = trust_step_file(step), *path = xasprintf("%s/%s", f->verify->folders[f->kind], name);

        if (step->kind == TRUST_LOAD)
                return 0;
        free(f->last);
        f->last = step->name ? xasprintf("role '%s'", step->name) : xstrdup(role_name(step->role));
        return file_read(path, step->max_bytes, ret, error);
}

/* What is handed out to be kept has just been verified. */
static int put(void *userdata, const TrustStep *step, Error *error)
{
        const Folder *f = userdata;

        (void) error;
        if (step->kind == TRUST_STORE)
                report_metadata(f, f->last, step->version, step->expires);
        return 0;
}

static int read_root(const Verify *v, TrustKind kind, TrustRepo *repo, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };
        int r = file_read(v->roots[kind], ROLE_ROOT_BYTES_MAX, &bytes, error);

        if (r == 0)
                return error_set(error, ERR_NO_ROOT, "%s is missing", v->roots[kind]);
        if (r < 0 || trust_repo_restore(repo, ROLE_ROOT, buffer_slice(&bytes), error) < 0)
                return error_prefix(error, "%s", v->roots[kind]);
        return 0;
}

static int verify_repository(Verify *v, TrustKind kind, Folder *folder, TrustRepo **ret, Error *error)
{
        TrustRepo *repo = *ret = trust_repo_new(&(TrustOptions) {
                .kind = kind, .now = v->now, .without_timestamp = kind == TRUST_DIRECTOR && v->without_director_timestamp,
                .max_bytes = { [ROLE_TARGETS] = ROLE_BYTES_MAX } }); /* what is published is looked at whatever its size */
        cleanup_free char *check = xasprintf("%s trusted root", trust_kind_name(kind)), *failed = NULL;
        const Metadata *root;

        *folder = (Folder) { .verify = v, .kind = kind };
        if (read_root(v, kind, repo, error) < 0)
                return report_error(v, check, error);
        root = trust_repo_metadata(repo, ROLE_ROOT);
        report_metadata(folder, "trusted root", root->version, root->expires);
        if (trust_repo_drive(repo, &(TrustFiles) { get, put, folder }, error) == 0)
                return 0;
        failed = xasprintf("%s %s", trust_kind_name(kind), folder->last ? folder->last : "root");
        return report_error(v, failed, error);
}

/* ---- the images ---- */

static char *own(Verify *v, char *text)
{
        v->owned = xrealloc(v->owned, v->n_owned + 1, sizeof *v->owned);
        return v->owned[v->n_owned++] = text;
}

static int add_ecu(Verify *v, char *serial, char *hardware_id, Error *error)
{
        if (v->n_ecus == ECUS_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "more than %d ECUs", ECUS_MAX);
        v->ecus[v->n_ecus] = (Ecu) { .serial = own(v, serial), .hardware_id = own(v, hardware_id), .primary = v->n_ecus == 0,
                                     .release_counter = -1, .length = -1 };
        v->n_ecus++;
        return 0;
}

static bool has_ecu(const Verify *v, const char *serial)
{
        for (size_t i = 0; i < v->n_ecus; i++)
                if (strcmp(v->ecus[i].serial, serial) == 0)
                        return true;
        return false;
}

/* Where no ECU was named, those the Director names are taken for the vehicle. */
static int learn_ecus(Verify *v, const Targets *director, Error *error)
{
        for (size_t i = 0; i < director->n_targets; i++)
                for (size_t j = 0; j < targets_at(director, i)->n_ecus; j++) {
                        const TargetEcu *ecu = &targets_at(director, i)->ecus[j];

                        if (!has_ecu(v, ecu->serial) && add_ecu(v, xstrdup(ecu->serial), xstrdup(ecu->hardware_id), error) < 0)
                                return -1;
                }
        return 0;
}

static int check_image(Verify *v, Plan *plan, size_t i, TrustRepo *image, Folder *folder, Error *error)
{
        const Assignment *a = &plan->assignments[i];
        cleanup_free char *check = xasprintf("ecu %s", a->ecu->serial), *text = NULL;

        trust_repo_search(image, a->director->name, a->ecu->hardware_id);
        if (trust_repo_drive(image, &(TrustFiles) { get, put, folder }, error) < 0 ||
            uptane_check_image(plan, i, trust_repo_found(image), NULL, error) < 0)
                return report_error(v, check, error);
        text = xasprintf("'%s', %lld bytes, for '%s'", a->director->name, (long long) a->director->length, a->ecu->hardware_id);
        report(v, check, text, NULL);
        return 0;
}

static int check_images(Verify *v, const TrustRepo *director, TrustRepo *image, Folder *folder, Error *error)
{
        const Targets *targets = trust_repo_targets(director);
        cleanup_plan Plan plan = { 0 };
        cleanup_free char *text = NULL;

        if ((!v->ecus_given && learn_ecus(v, targets, error) < 0) ||
            uptane_check_director(targets, v->ecus, v->n_ecus, true, &plan, error) < 0)
                return report_error(v, "director assignments", error);
        text = xasprintf("%zu of %zu ECUs have an image", plan.n_assignments, v->n_ecus);
        report(v, "director assignments", text, NULL);
        for (size_t i = 0; i < plan.n_assignments; i++)
                if (check_image(v, &plan, i, image, folder, error) < 0)
                        return -1;
        return 0;
}

static int verify_all(Verify *v, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *director = NULL, *image = NULL;
        Folder folders[_TRUST_KIND_MAX] = { 0 };
        int r = verify_repository(v, TRUST_DIRECTOR, &folders[TRUST_DIRECTOR], &director, error);

        if (r >= 0)
                r = verify_repository(v, TRUST_IMAGE, &folders[TRUST_IMAGE], &image, error);
        if (r >= 0)
                r = check_images(v, director, image, &folders[TRUST_IMAGE], error);
        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                free(folders[i].last);
        return r;
}

/* ---- the command line ---- */

static int set_time(Verify *v, const char *text, Error *error)
{
        char *end;

        if (time_parse(text, &v->now, error) == 0)
                return 0;
        error_clear(error);
        v->now = strtoll(text, &end, 10);
        if (*text >= '0' && *text <= '9' && *end == '\0' && v->now > 0)
                return 0;
        return error_set(error, ERR_INVALID_ARGUMENT, "--time: '%.40s' is neither 2027-01-01T00:00:00Z nor seconds since 1970", text);
}

static int set_ecu(Verify *v, const char *text, Error *error)
{
        const char *colon = strchr(text, ':');

        if (!colon || colon == text || !colon[1])
                return error_set(error, ERR_INVALID_ARGUMENT, "--ecu: '%.80s' is not SERIAL:HARDWARE-ID", text);
        v->ecus_given = true;
        return add_ecu(v, xstrndup(text, (size_t) (colon - text)), xstrdup(colon + 1), error);
}

static int parse(Verify *v, int argc, char **argv, Error *error)
{
        static const struct option options[] = {
                { "director", required_argument, NULL, 'd' },      { "image", required_argument, NULL, 'i' },
                { "root-director", required_argument, NULL, 'D' }, { "root-image", required_argument, NULL, 'I' },
                { "time", required_argument, NULL, 't' },          { "ecu", required_argument, NULL, 'e' },
                { "without-director-timestamp", no_argument, NULL, 'w' },
                { 0 },
        };
        int c, r = 0;

        optind = 0;
        while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'd' || c == 'i')
                        v->folders[c == 'd' ? TRUST_DIRECTOR : TRUST_IMAGE] = optarg;
                else if (c == 'D' || c == 'I')
                        v->roots[c == 'D' ? TRUST_DIRECTOR : TRUST_IMAGE] = optarg;
                else if (c == 't')
                        r = set_time(v, optarg, error);
                else if (c == 'e')
                        r = set_ecu(v, optarg, error);
                else if (c == 'w')
                        v->without_director_timestamp = true;
                else
                        r = error_set(error, ERR_INVALID_ARGUMENT, "verify does not know this option");
        if (r < 0)
                return -1;
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX; kind++)
                if (!v->folders[kind] || !v->roots[kind] || optind < argc)
                        return error_set(error, ERR_INVALID_ARGUMENT, "verify --director DIR --image DIR --root-director FILE --root-image FILE "
                                         "[--time T] [--ecu SERIAL:HARDWARE-ID ...] [--without-director-timestamp]");
        return 0;
}

int verify_folders(const Ctl *ctl, int argc, char **argv, Error *error)
{
        Verify *v = xcalloc(1, sizeof *v);
        int r;

        v->ctl = ctl;
        v->now = time(NULL);
        r = parse(v, argc, argv, error);
        if (r >= 0) {
                r = verify_all(v, error);
                if (ctl->json)
                        printf("{\"ok\":%s,\"checks\":[%s]}\n", r < 0 ? "false" : "true", buffer_str(&v->json));
        }
        for (size_t i = 0; i < v->n_owned; i++)
                free(v->owned[i]);
        free(v->owned);
        buffer_done(&v->json);
        free(v);
        return r;
}
