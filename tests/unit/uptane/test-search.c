/* SPDX-License-Identifier: Apache-2.0 */
/* What the Director assigns is looked for in the Image repository: among its Targets and in the roles that they delegate to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../trust/fake.h"
#include "uptane/check.h"

#define SHA "1111111111111111111111111111111111111111111111111111111111111111" /* of what fake.c's roles list */

static const Ecu ecus[] = {
        { .serial = "P", .hardware_id = "board", .primary = true, .release_counter = -1, .length = -1 },
        { .serial = "S", .hardware_id = "mcu", .release_counter = -1, .length = -1 },
};

/* An Image repository with the roles "a", which lists "in-a", and "b", which lists "in-b". */
typedef struct World {
        Fake fake;
        bool offline; /* no delegated role comes any more */
        TrustOptions options;
        TrustRepo *repo;
        Error error;
} World;

static const Buffer *file_of(const World *w, const TrustStep *step)
{
        for (size_t i = 0; step->name && i < FAKE_DELEGATED_MAX && w->fake.delegated[i].name; i++)
                if (strcmp(w->fake.delegated[i].name, step->name) == 0)
                        return &w->fake.delegated[i].file;
        return step->name ? NULL : &w->fake.files[step->role];
}

static int get(void *userdata, const TrustStep *step, Buffer *ret, Error *error)
{
        const World *w = userdata;
        const Buffer *file = file_of(w, step);

        if (step->kind == TRUST_LOAD || step->role == ROLE_ROOT)
                return 0;
        if (step->name && w->offline)
                return error_set(error, ERR_UNREACHABLE, "the network is gone");
        assert_non_null(file);
        buffer_put(ret, file->data, file->size);
        return 1;
}

static int setup(void **state)
{
        static const char *const images[] = { "in-a", "in-b" }, *const names[] = { "a", "b" };
        World *w = xcalloc(1, sizeof *w);
        const TrustFiles files = { .get = get, .userdata = w };

        *state = w;
        fake_init(&w->fake);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                w->fake.delegated[i] = (FakeDelegated) { .name = names[i], .image = images[i], .signer = fake_signer(KEY_ED25519),
                                                         .version = 1, .expires = NOW + 1000 };
                fake_sign_delegated(&w->fake.delegated[i], NULL);
        }
        fake_publish(&w->fake);
        w->options = (TrustOptions) { .kind = TRUST_IMAGE, .now = NOW };
        w->repo = trust_repo_new(&w->options);
        return trust_repo_restore(w->repo, ROLE_ROOT, buffer_slice(&w->fake.roots[1]), &w->error) < 0 ||
               trust_repo_drive(w->repo, &files, &w->error) < 0;
}

static int teardown(void **state)
{
        World *w = *state;

        trust_repo_free(w->repo);
        fake_done(&w->fake);
        free(w);
        return 0;
}

/* What the Director says, without signatures: trust/ has looked at them. */
static Metadata *director(const char *for_primary, const char *for_secondary)
{
        static const char entry[] = "\"%s\":{\"length\":7,\"hashes\":{\"sha256\":\"" SHA "\"},\"custom\":{\"ecuIdentifiers\":{\"%s\":{\"hardwareId\":\"%s\"}}}}";
        cleanup_free char *p = xasprintf(entry, for_primary, "P", "board"), *s = xasprintf(entry, for_secondary, "S", "mcu");
        cleanup_free char *text = xasprintf("{\"signatures\":[],\"signed\":{\"_type\":\"Targets\",\"version\":1,"
                                            "\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{%s,%s}}}", p, s);
        Metadata *m = NULL;
        Error error = { 0 };

        if (metadata_parse(ROLE_TARGETS, slice_str(text), &m, &error) < 0)
                fail_msg("%s", error.message);
        return m;
}

static int search(World *w, const Metadata *d, Plan *plan)
{
        const TrustFiles files = { .get = get, .userdata = w };

        assert_int_equal(uptane_check_director(&d->targets, ecus, ELEMENTSOF(ecus), true, plan, &w->error), 0);
        return uptane_check_images(plan, w->repo, &files, NULL, &w->error);
}

/* Uptane 5.4.4.2 (10a) */
static void every_image_is_found_in_the_role_that_lists_it(void **state)
{
        CLEANUP(metadata_free) Metadata *d = director("in-b", "in-a");
        cleanup_plan Plan plan = { 0 };
        World *w = *state;

        assert_int_equal(search(w, d, &plan), 0);
        assert_int_equal(plan.n_assignments, 2);
        for (size_t i = 0; i < plan.n_assignments; i++) {
                assert_string_equal(plan.assignments[i].image->name, plan.assignments[i].director->name);
                assert_ptr_not_equal(plan.assignments[i].image, plan.assignments[i].director);
                assert_false(plan.assignments[i].ostree);
        }
}

/* Uptane 5.4.4.2 (10.1): T-23: one that no role knows, whatever becomes of the others */
static void an_image_that_no_role_lists_is_refused(void **state)
{
        CLEANUP(metadata_free) Metadata *d = director("in-c", "in-a");
        cleanup_plan Plan plan = { 0 };
        World *w = *state;

        assert_int_equal(search(w, d, &plan), -1);
        assert_int_equal(w->error.code, ERR_TARGET_MISMATCH);
        assert_non_null(strstr(w->error.message, "in-c"));
}

static void a_role_that_does_not_come_ends_the_search(void **state)
{
        CLEANUP(metadata_free) Metadata *d = director("in-b", "in-a");
        cleanup_plan Plan plan = { 0 };
        World *w = *state;

        w->offline = true;
        assert_int_equal(search(w, d, &plan), -1);
        assert_int_equal(w->error.code, ERR_UNREACHABLE);
        assert_null(plan.assignments[0].image);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(every_image_is_found_in_the_role_that_lists_it, setup, teardown),
                cmocka_unit_test_setup_teardown(an_image_that_no_role_lists_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(a_role_that_does_not_come_ends_the_search, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
