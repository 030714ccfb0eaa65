/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full verification of two folders of metadata by the core, for tests that replay what others made:
 *
 *   verify --now SECONDS --serial SERIAL --hardware ID [--without-director-timestamp] STATE DIRECTOR IMAGE
 *
 *   verify ... --flip director|image [--every N] ROLE-FILE ...
 *
 * tries every single-bit change of that file instead, or every Nth ("1.root.json", "targets.json"), and prints the number of those
 * that still verify, a line "survived BIT" for each; STATE is neither read nor written then.
 *
 * STATE keeps what was trusted between calls; at first the lowest Root of each folder is trusted as given. Prints a line
 * for each of director, image and targets: "director ok", or "director MetadataExpired MESSAGE". Ends with 0 if all are ok.
 */
#include <getopt.h>
#include <stdio.h>

#include "io/file.h"
#include "uptane/check.h"

typedef struct Arguments {
        int64_t now;
        const char *serial, *hardware_id, *state, *folders[_TRUST_KIND_MAX];
        bool without_director_timestamp;
        const char *flip_kind, *flip_file; /* NULL: as it is */
        size_t flip_bit, every;
} Arguments;

/* What is kept of an earlier call. */
static int read_state(const Arguments *a, TrustKind kind, Role role, Buffer *ret, Error *error)
{
        cleanup_free char *path = xasprintf("%s/%s.%s.json", a->state, trust_kind_name(kind), role_name(role));

        return a->flip_file ? 0 : file_read(path, role_bytes_max(role) + 1, ret, error);
}

/* What the repository serves. Nothing of a delegated role is kept. */
static int read_served(const Arguments *a, TrustKind kind, const TrustStep *step, Buffer *ret, Error *error)
{
        Role role = step->role;
        cleanup_free char *name = trust_step_file(step);
        cleanup_free char *path = xasprintf("%s/%s", a->folders[kind], name);
        int r = file_read(path, role_bytes_max(role) + 1, ret, error);

        if (r > 0 && a->flip_file && strcmp(a->flip_file, name) == 0 && strcmp(a->flip_kind, trust_kind_name(kind)) == 0 &&
            a->flip_bit / 8 < ret->size)
                ret->data[a->flip_bit / 8] ^= (uint8_t) (1U << a->flip_bit % 8);
        return r;
}

/* The first Root is trusted as given, from then on only what follows it. */
static int keep_first_root(const Arguments *a, TrustKind kind, Slice bytes, Error *error)
{
        cleanup_free char *path = xasprintf("%s/%s.root.json", a->state, trust_kind_name(kind));

        return a->flip_file || access(path, F_OK) == 0 ? 0 : file_write(path, bytes, 0600, error);
}

static int restore(const Arguments *a, TrustKind kind, TrustRepo *repo, Error *error)
{
        for (unsigned role = 0; role < _ROLE_MAX; role++) {
                cleanup_buffer Buffer bytes = { 0 };
                int r = read_state(a, kind, (Role) role, &bytes, error);

                for (int64_t v = 1; r == 0 && role == ROLE_ROOT && v <= 32; v++)
                        r = read_served(a, kind, &(TrustStep) { .role = ROLE_ROOT, .version = v }, &bytes, error);
                if (r > 0) {
                        r = trust_repo_restore(repo, (Role) role, buffer_slice(&bytes), error);
                        if (r >= 0 && role == ROLE_ROOT)
                                r = keep_first_root(a, kind, buffer_slice(&bytes), error);
                } else if (r == 0 && role == ROLE_ROOT)
                        r = error_set(error, ERR_NO_ROOT, "no Root in %s", a->folders[kind]);
                if (r < 0)
                        return -1;
        }
        return 0;
}

static int store(const Arguments *a, TrustKind kind, const TrustStep *step, Error *error)
{
        static const Role forgotten[] = { ROLE_TIMESTAMP, ROLE_SNAPSHOT };

        if (a->flip_file || step->name)
                return 0;
        if (step->kind == TRUST_STORE) {
                cleanup_free char *path = xasprintf("%s/%s.%s.json", a->state, trust_kind_name(kind), role_name(step->role));

                return file_write(path, step->bytes, 0600, error);
        }
        for (size_t i = 0; i < ELEMENTSOF(forgotten); i++) {
                cleanup_free char *path = xasprintf("%s/%s.%s.json", a->state, trust_kind_name(kind), role_name(forgotten[i]));

                (void) unlink(path);
        }
        return 0;
}

typedef struct Folder {
        const Arguments *arguments;
        TrustKind kind;
} Folder;

static int get(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        const Folder *f = userdata;

        return step->kind == TRUST_LOAD ? 0 : read_served(f->arguments, f->kind, step, ret, error);
}

static int put(void *userdata, const TrustStep *step, Error *error)
{
        const Folder *f = userdata;

        return store(f->arguments, f->kind, step, error);
}

static int verify(const Arguments *a, TrustKind kind, TrustRepo **ret, Error *error)
{
        const TrustOptions options = { .kind = kind, .now = a->now,
                                       .without_timestamp = kind == TRUST_DIRECTOR && a->without_director_timestamp };
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&options);

        if (restore(a, kind, repo, error) < 0 ||
            trust_repo_drive(repo, &(TrustFiles) { get, put, &(Folder) { a, kind } }, error) < 0)
                return -1;
        *ret = TAKE_PTR(repo);
        return 0;
}

static int report(const char *what, int r, const Error *error)
{
        if (r >= 0)
                printf("%s ok\n", what);
        else
                printf("%s %s %s\n", what, strrchr(error_info(error->code)->dbus_name, '.') + 1, error->message);
        return r;
}

static int check_targets(const Arguments *a, const TrustRepo *director, TrustRepo *image, Error *error)
{
        const Ecu self = { .serial = a->serial, .hardware_id = a->hardware_id, .primary = true, .release_counter = -1, .length = -1 };
        const TrustFiles files = { get, put, &(Folder) { a, TRUST_IMAGE } };
        bool complete = a->serial[0] != '\0' && a->serial[0] != '*';
        cleanup_plan Plan plan = { 0 };

        if (uptane_check_director(trust_repo_targets(director), &self, 1, complete, &plan, error) < 0)
                return -1;
        return uptane_check_images(&plan, image, &files, NULL, error);
}

static int flip_all(Arguments *a)
{
        TrustKind kind = strcmp(a->flip_kind, trust_kind_name(TRUST_DIRECTOR)) == 0 ? TRUST_DIRECTOR : TRUST_IMAGE;
        cleanup_free char *path = xasprintf("%s/%s", a->folders[kind], a->flip_file);
        cleanup_buffer Buffer file = { 0 };
        Error error = { 0 };
        size_t survived = 0, tried = 0;

        if (file_read(path, ROLE_TARGETS_BYTES_MAX, &file, &error) <= 0)
                return 2;
        for (a->flip_bit = 0; a->flip_bit < 8 * file.size; a->flip_bit += a->every, tried++) {
                CLEANUP(trust_repo_free) TrustRepo *repo = NULL;
                Error why = { 0 };

                if (verify(a, kind, &repo, &why) < 0)
                        continue;
                survived++;
                printf("survived %zu\n", a->flip_bit);
        }
        printf("%zu of %zu\n", survived, tried);
        return 0;
}

static int parse(int argc, char **argv, Arguments *a)
{
        static const struct option options[] = {
                { "now", required_argument, NULL, 'n' },      { "serial", required_argument, NULL, 's' },
                { "hardware", required_argument, NULL, 'h' }, { "without-director-timestamp", no_argument, NULL, 'w' },
                { "flip", required_argument, NULL, 'f' },     { "every", required_argument, NULL, 'e' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'n')
                        a->now = strtoll(optarg, NULL, 10);
                else if (c == 's')
                        a->serial = optarg;
                else if (c == 'h')
                        a->hardware_id = optarg;
                else if (c == 'w')
                        a->without_director_timestamp = true;
                else if (c == 'f')
                        a->flip_kind = optarg;
                else if (c == 'e')
                        a->every = strtoul(optarg, NULL, 10);
                else
                        return -1;
        if (a->every == 0 || argc - optind != (a->flip_kind ? 4 : 3))
                return -1;
        if (a->flip_kind)
                a->flip_file = argv[optind++];
        a->state = argv[optind];
        a->folders[TRUST_DIRECTOR] = argv[optind + 1];
        a->folders[TRUST_IMAGE] = argv[optind + 2];
        return 0;
}

int main(int argc, char **argv)
{
        CLEANUP(trust_repo_free) TrustRepo *director = NULL, *image = NULL;
        Error e1 = { 0 }, e2 = { 0 }, e3 = { 0 };
        Arguments a = { .serial = "*", .hardware_id = "", .every = 1 };
        int r1, r2, r3 = -1;

        if (parse(argc, argv, &a) < 0)
                return 2;
        if (a.flip_file)
                return flip_all(&a);
        r1 = report("director", verify(&a, TRUST_DIRECTOR, &director, &e1), &e1);
        r2 = report("image", verify(&a, TRUST_IMAGE, &image, &e2), &e2);
        if (r1 >= 0 && r2 >= 0)
                r3 = report("targets", check_targets(&a, director, image, &e3), &e3);
        return r3 < 0;
}
