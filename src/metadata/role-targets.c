/* SPDX-License-Identifier: Apache-2.0 */
/* Targets, with the "custom" members of the device API. A null member counts as absent. */
#include <stdio.h>
#include <strings.h>

#include "metadata/json-text.h"
#include "metadata/role-parse.h"

#define CUSTOM_MEMBERS_MAX 64
#define VERSION_TEXT_MAX 256
#define CORRELATION_ID_MAX 256
#define VEHICLE_ID_MAX 256
#define KERNEL_ARGUMENTS 32 /* in a list */
#define KERNEL_ARGUMENT_MAX 256
#define PLACEHOLDER_URI "https://example.com/"

/*
 * Uptane 5.2.3.1 (b), Uptane 5.2.7 (3): a name becomes part of a URL and is shown to people: no escape from a folder, no
 * control characters.
 */
static int check_name(const char *name, Error *error)
{
        size_t n = strlen(name);

        if (n < 1 || n > TARGET_NAME_MAX)
                return error_set(error, ERR_MALFORMED, "a target's name has %zu bytes, 1 to %d are allowed", n, TARGET_NAME_MAX);
        if (name[0] == '/')
                return error_set(error, ERR_MALFORMED, "target '%s': an absolute path", name);
        for (const unsigned char *p = (const unsigned char *) name; *p; p++)
                if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) /* U+0080 to U+009f too */
                        return error_set(error, ERR_MALFORMED, "target '%s': a control character", name);
        for (const char *p = name; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
                if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
                        return error_set(error, ERR_MALFORMED, "target '%s': '..' in its path", name);
        return 0;
}

static int get_text(const json_t *custom, const char *where, const char *name, size_t max, const char **ret, Error *error)
{
        return json_has(custom, name) ? json_get_string(custom, where, name, max, ret, error) : 0;
}

static int parse_ecus(const json_t *custom, const char *where, Arena *arena, Target *t, Error *error)
{
        json_t *map, *entry;
        const char *serial;
        TargetEcu *ecus;

        if (!json_has(custom, "ecuIdentifiers"))
                return 0;
        if (json_get_object(custom, where, "ecuIdentifiers", TARGET_ECUS_MAX, &map, error) < 0)
                return -1;
        ecus = arena_alloc(arena, json_object_size(map), sizeof *ecus);
        t->ecus = ecus;
        json_object_foreach(map, serial, entry) {
                TargetEcu *ecu = &ecus[t->n_ecus];

                if (strlen(serial) < 1 || strlen(serial) > ECU_SERIAL_MAX)
                        return error_set(error, ERR_MALFORMED, "%s: an ECU serial of %zu bytes", where, strlen(serial));
                if (!json_is_object(entry))
                        return error_set(error, ERR_MALFORMED, "%s.ecuIdentifiers.%s is no object", where, serial);
                if (json_get_string(entry, serial, "hardwareId", HARDWARE_ID_MAX, &ecu->hardware_id, error) < 0)
                        return error_prefix(error, "%s.ecuIdentifiers", where);
                ecu->serial = serial;
                t->n_ecus++;
        }
        return 0;
}

static int parse_hardware_ids(const json_t *custom, const char *where, Arena *arena, Target *t, Error *error)
{
        const char **ids;
        json_t *list;

        if (!json_has(custom, "hardwareIds"))
                return 0;
        if (json_get_array(custom, where, "hardwareIds", TARGET_HARDWARE_IDS_MAX, &list, error) < 0)
                return -1;
        ids = arena_alloc(arena, json_array_size(list), sizeof *ids);
        for (size_t i = 0; i < json_array_size(list); i++) {
                ids[i] = json_string_value(json_array_get(list, i));
                if (!ids[i] || strlen(ids[i]) < 1 || strlen(ids[i]) > HARDWARE_ID_MAX)
                        return error_set(error, ERR_MALFORMED, "%s.hardwareIds: entry %zu is no hardware id", where, i + 1);
        }
        t->hardware_ids = ids;
        t->n_hardware_ids = json_array_size(list);
        return 0;
}

/* One word for every boot loader and shell on its way, whatever those quote and split. */
static bool is_kernel_argument(const char *text)
{
        size_t n = strlen(text);

        for (size_t i = 0; i < n; i++)
                if (text[i] <= ' ' || text[i] > '~' || strchr("\"'\\`$;|&<>", text[i]))
                        return false;
        return n > 0 && n <= KERNEL_ARGUMENT_MAX;
}

static int parse_kernel_arguments(const json_t *custom, const char *where, Arena *arena, Target *t, Error *error)
{
        cleanup_buffer Buffer all = { 0 };
        json_t *list;

        if (!json_has(custom, "kernelArguments"))
                return 0;
        if (json_get_array(custom, where, "kernelArguments", KERNEL_ARGUMENTS, &list, error) < 0)
                return -1;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *text = json_string_value(json_array_get(list, i));

                if (!text || !is_kernel_argument(text))
                        return error_set(error, ERR_MALFORMED, "%s.kernelArguments: entry %zu is no kernel argument", where, i + 1);
                buffer_put(&all, " ", i > 0);
                buffer_put(&all, text, strlen(text));
        }
        if (all.size > KERNEL_ARGUMENTS_MAX)
                return error_set(error, ERR_MALFORMED, "%s.kernelArguments: more than %d bytes", where, KERNEL_ARGUMENTS_MAX);
        t->kernel_arguments = all.size ? arena_strdup(arena, buffer_str(&all)) : NULL;
        return 0;
}

static int parse_format(const json_t *custom, const char *where, Target *t, Error *error)
{
        const char *text = NULL;

        if (get_text(custom, where, "targetFormat", 64, &text, error) < 0)
                return -1;
        if (!text)
                return 0;
        if (strcasecmp(text, "OSTREE") == 0)
                t->format = TARGET_FORMAT_OSTREE;
        else if (strcasecmp(text, "BINARY") == 0)
                t->format = TARGET_FORMAT_BINARY;
        else
                t->format = TARGET_FORMAT_OTHER;
        return 0;
}

static int parse_custom(const json_t *json, const char *where, Arena *arena, Target *t, Error *error)
{
        json_t *custom;

        if (!json_has(json, "custom"))
                return 0;
        if (json_get_object(json, where, "custom", CUSTOM_MEMBERS_MAX, &custom, error) < 0 ||
            parse_ecus(custom, where, arena, t, error) < 0 || parse_hardware_ids(custom, where, arena, t, error) < 0 ||
            parse_format(custom, where, t, error) < 0 || parse_kernel_arguments(custom, where, arena, t, error) < 0 ||
            (json_has(custom, "releaseCounter") && json_get_int(custom, where, "releaseCounter", &t->release_counter, error) < 0) ||
            get_text(custom, where, "uri", URI_MAX, &t->uri, error) < 0)
                return -1;
        if (t->release_counter > RELEASE_COUNTER_MAX)
                return error_set(error, ERR_MALFORMED, "%s.releaseCounter is too large", where);
        t->custom = custom;
        /* shown to people only: one that is no string, or too long, is not shown */
        if (json_is_string(json_object_get(custom, "version")) && json_string_length(json_object_get(custom, "version")) <= VERSION_TEXT_MAX)
                t->version = json_string_value(json_object_get(custom, "version"));
        if (t->uri && (*t->uri == '\0' || strcmp(t->uri, PLACEHOLDER_URI) == 0))
                t->uri = NULL;
        return 0;
}

static int parse_target(const char *name, const json_t *json, Arena *arena, Target *t, Error *error)
{
        char where[TARGET_NAME_MAX + 16];

        if (check_name(name, error) < 0)
                return -1;
        (void) snprintf(where, sizeof where, "targets.%.200s", name);
        t->name = name;
        t->release_counter = -1;
        if (!json_is_object(json))
                return error_set(error, ERR_MALFORMED, "%s is no object", where);
        /* Uptane 5.2.3.1 (c): size; Uptane 5.2.3.1 (d): hashes by the names of their functions */
        if (json_get_int(json, where, "length", &t->length, error) < 0 || role_parse_hashes(json, where, &t->hashes, error) < 0)
                return -1;
        return parse_custom(json, where, arena, t, error);
}

static int compare_entries(const void *a, const void *b)
{
        return strcmp(((const TargetEntry *) a)->name, ((const TargetEntry *) b)->name);
}

static int read_entry(TargetEntry *entry, Arena *arena, Target *ret, Error *error)
{
        if (json_load(entry->text, ROLE_MEMBER_DEPTH, &entry->json, error) < 0)
                return error_prefix(error, "targets.%.100s", entry->name);
        return parse_target(entry->name, entry->json, arena, ret, error);
}

/* Reads a target to see that it is one, and forgets what it read. */
static int check_entry(TargetEntry *entry, Error *error)
{
        CLEANUP(arena_free) Arena *scratch = arena_new();
        Target target = { 0 };
        int r = read_entry(entry, scratch, &target, error);

        json_decref(entry->json);
        entry->json = NULL;
        return r;
}

static int parse_list(Metadata *m, Error *error)
{
        Targets *t = &m->targets;
        Slice key, value;
        JsonEach each;
        json_t *list;
        size_t n;
        int r;

        if (json_get_object(m->envelope->body, "targets", "targets", TARGETS_MAX, &list, error) < 0 ||
            role_count_members(m->envelope->cut, "targets.targets", TARGETS_MAX, &n, error) < 0)
                return -1;
        t->arena = m->envelope->arena;
        t->entries = arena_alloc(t->arena, n, sizeof *t->entries);
        (void) json_each_begin(&each, m->envelope->cut, '{');
        while ((r = json_each_next(&each, &key, &value, error)) > 0) {
                TargetEntry *entry = &t->entries[t->n_targets++];

                entry->text = value;
                if (json_load_key(key, t->arena, &entry->name, error) < 0 || check_entry(entry, error) < 0)
                        return -1;
        }
        qsort(t->entries, t->n_targets, sizeof *t->entries, compare_entries);
        for (size_t i = 1; i < t->n_targets; i++)
                if (strcmp(t->entries[i - 1].name, t->entries[i].name) == 0)
                        return error_set(error, ERR_MALFORMED, "not valid JSON, target '%.100s' occurs twice", t->entries[i].name);
        return r;
}

int role_parse_targets(Metadata *m, Error *error)
{
        json_t *custom;

        if (parse_list(m, error) < 0 || role_parse_delegations(m, error) < 0)
                return -1;
        if (!json_has(m->envelope->body, "custom"))
                return 0;
        if (json_get_object(m->envelope->body, "targets", "custom", CUSTOM_MEMBERS_MAX, &custom, error) < 0)
                return -1;
        if (get_text(custom, "targets.custom", "vin", VEHICLE_ID_MAX, &m->targets.vin, error) < 0 ||
            get_text(custom, "targets.custom", "deviceId", VEHICLE_ID_MAX, &m->targets.device_id, error) < 0)
                return -1;
        return get_text(custom, "targets.custom", "correlationId", CORRELATION_ID_MAX, &m->targets.correlation_id, error);
}

void role_free_targets(Targets *targets)
{
        for (size_t i = 0; i < targets->n_targets; i++)
                json_decref(targets->entries[i].json);
}

const Target *targets_at(const Targets *targets, size_t i)
{
        TargetEntry *entry = &targets->entries[i];
        Error error = { 0 };

        if (!entry->target) {
                Target *target = arena_alloc(targets->arena, 1, sizeof *target);

                if (read_entry(entry, targets->arena, target, &error) < 0)
                        abort(); /* it was good when the document was parsed */
                entry->target = target;
        }
        return entry->target;
}

static int find_entry(const void *name, const void *entry)
{
        return strcmp(name, ((const TargetEntry *) entry)->name);
}

const Target *targets_find(const Targets *targets, const char *name)
{
        const TargetEntry *entry = targets->n_targets ? bsearch(name, targets->entries, targets->n_targets, sizeof *targets->entries, find_entry)
                                                      : NULL;

        return entry ? targets_at(targets, (size_t) (entry - targets->entries)) : NULL;
}

/* Uptane 5.4.4.8 (2.1b) */
const char *target_custom_differs(const Target *a, const Target *b, const char *const *must_match)
{
        for (size_t i = 0; must_match && must_match[i]; i++) {
                const json_t *x = json_object_get(a->custom, must_match[i]), *y = json_object_get(b->custom, must_match[i]);

                if ((x || y) && json_equal(x, y) != 1)
                        return must_match[i];
        }
        return NULL;
}

bool target_agrees(const Target *a, const Target *b, const char *const *must_match)
{
        return a->length == b->length && hashes_match(&a->hashes, &b->hashes) && !target_custom_differs(a, b, must_match);
}
