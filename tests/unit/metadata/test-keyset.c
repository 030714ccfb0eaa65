/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/signer.h"
#include "metadata/keyset.h"

/* Three keys a, b, c. */
typedef struct World {
        PublicKey *a, *b, *c;
} World;

static PublicKey *make(void)
{
        cleanup_buffer Buffer pem = { 0 };
        CLEANUP(signer_free) Signer *signer = NULL;
        PublicKey *key = NULL;
        Error error = { 0 };

        if (signer_generate_pem(KEY_ED25519, &pem, &error) < 0 || signer_new_pem(buffer_slice(&pem), &signer, &error) < 0 ||
            public_key_new(KEY_ED25519, signer_public_text(signer), &key, &error) < 0)
                fail_msg("%s", error.message);
        return key;
}

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        *w = (World) { make(), make(), make() };
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        public_key_free(w->a);
        public_key_free(w->b);
        public_key_free(w->c);
        free(w);
        return 0;
}

static void keysets_are_equal_by_material_and_threshold(void **state)
{
        World *w = *state;
        const KeysetEntry ab[] = { { "1", w->a }, { "2", w->b } }, ba[] = { { "x", w->b }, { "y", w->a } }, ac[] = { { "1", w->a }, { "2", w->c } },
                          abc[] = { { "1", w->a }, { "2", w->b }, { "3", w->c } }, unknown1[] = { { "1", w->a }, { "z", NULL } },
                          unknown2[] = { { "z", NULL }, { "9", w->a } }, unknown3[] = { { "1", w->a }, { "q", NULL } },
                          reused[] = { { "1", w->a }, { "2", NULL } };
        const struct {
                Keyset x, y;
                bool equal;
        } table[] = {
                { { ab, 2, 1 }, { ab, 2, 1 }, true },       { { ab, 2, 1 }, { ba, 2, 1 }, true },
                { { ab, 2, 1 }, { ab, 2, 2 }, false },      { { ab, 2, 1 }, { ac, 2, 1 }, false },
                { { ab, 2, 1 }, { abc, 3, 1 }, false },     { { ab, 2, 1 }, { ab, 1, 1 }, false },
                { { unknown1, 2, 1 }, { unknown2, 2, 1 }, true }, { { unknown1, 2, 1 }, { unknown3, 2, 1 }, false },
                { { reused, 2, 1 }, { ab, 2, 1 }, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(keyset_equal(&table[i].x, &table[i].y), table[i].equal);
                assert_int_equal(keyset_equal(&table[i].y, &table[i].x), table[i].equal);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(keysets_are_equal_by_material_and_threshold) };

        return cmocka_run_group_tests(tests, setup, teardown);
}
