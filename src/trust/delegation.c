/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/delegation.h"

#include <stdio.h>

#include "base/codec.h"

typedef struct Search {
        const SearchQuery *query;
        SearchLoad load;
        void *userdata;
        SearchNeed *need;
        uint8_t hash[SHA256_SIZE];
        char hash_text[2 * SHA256_SIZE + 1];
        char names[SEARCH_ROLES_MAX][ROLE_NAME_MAX + 1];
        size_t n_visited;
        uint64_t own_work, *work;
} Search;

/* How the search of one subtree ended. STOP: nothing there, and nothing behind it is to be searched either. */
typedef enum Outcome { NOTHING, STOP, FOUND, NEEDS, FAILED } Outcome;

static Outcome search_targets(Search *s, const Targets *targets, unsigned depth, const Target **ret, Error *error);

/* ---- patterns ---- */

/* p is behind '['. Returns the place behind ']', or NULL if the set is not closed. */
static const char *match_set(const char *p, char c, bool *ret)
{
        bool negated = *p == '!' || *p == '^', found = false;

        p += negated;
        for (const char *first = p; *p && (*p != ']' || p == first); p++) {
                if (p[1] == '-' && p[2] && p[2] != ']') {
                        found |= (unsigned char) p[0] <= (unsigned char) c && (unsigned char) c <= (unsigned char) p[2];
                        p += 2;
                } else
                        found |= *p == c;
        }
        *ret = found != negated && c != '/';
        return *p ? p + 1 : NULL;
}

/* Returns how far the pattern went on if its next element, which is no '*', stands for c; 0 if not. */
static size_t match_one(const char *pattern, char c)
{
        const char *end;
        bool in_set;

        if (*pattern == '?')
                return c != '/';
        if (*pattern == '[') {
                end = match_set(pattern + 1, c, &in_set);
                if (end)
                        return in_set ? (size_t) (end - pattern) : 0;
        }
        return *pattern == c;
}

bool path_matches(const char *pattern, const char *path)
{
        const char *star = NULL, *resume = NULL;

        while (*path) {
                size_t n = *pattern == '*' || *pattern == '\0' ? 0 : match_one(pattern, *path);

                if (*pattern == '*') {
                        star = ++pattern;
                        resume = path;
                } else if (n > 0) {
                        /* a '/' that matched is behind every '*' so far: they cannot reach over it */
                        if (*path == '/')
                                star = NULL;
                        pattern += n;
                        path++;
                } else if (star && *resume != '/') {
                        pattern = star;
                        path = ++resume;
                } else
                        return false;
        }
        while (*pattern == '*')
                pattern++;
        return *pattern == '\0';
}

/* Uptane 5.4.4.7 (4.1a): for this hardware */
static bool hardware_applies(const Delegation *d, const char *hardware_id)
{
        if (!d->hardware_ids)
                return true;
        for (size_t i = 0; hardware_id && i < d->n_hardware_ids; i++)
                if (strcmp(d->hardware_ids[i], hardware_id) == 0)
                        return true;
        return false;
}

bool delegation_applies(const Delegation *d, const SearchQuery *query, const char *path_hash)
{
        if (!hardware_applies(d, query->hardware_id))
                return false;
        /* Uptane 5.4.4.7 (4.1b), Uptane 5.4.3.4 (4): for this name */
        for (size_t i = 0; i < d->n_patterns; i++)
                if (d->paths ? path_matches(d->paths[i], query->name)
                             : strncmp(path_hash, d->hash_prefixes[i], strlen(d->hash_prefixes[i])) == 0)
                        return true;
        return false;
}

void succinct_bin_name(const SuccinctRoles *s, const uint8_t hash[static SHA256_SIZE], char ret[static ROLE_NAME_MAX + 1])
{
        uint32_t first = (uint32_t) hash[0] << 24 | (uint32_t) hash[1] << 16 | (uint32_t) hash[2] << 8 | hash[3];

        (void) snprintf(ret, ROLE_NAME_MAX + 1, "%s-%0*x", s->name_prefix, (int) (s->bit_length + 3) / 4, first >> (32 - s->bit_length));
}

/* ---- the search ---- */

static bool was_visited(const Search *s, const char *name)
{
        for (size_t i = 0; i < s->n_visited; i++)
                if (strcmp(s->names[i], name) == 0)
                        return true;
        return false;
}

static Outcome search_role(Search *s, const char *name, const Keyset *keys, unsigned depth, const Target **ret, Error *error)
{
        const Metadata *m = NULL;
        int r;

        /* TUF 5.6.7: every role once, so that there are no cycles */
        if (was_visited(s, name))
                return NOTHING;
        /* Uptane 5.4.4.7 (4.3b) */
        if (s->n_visited == SEARCH_ROLES_MAX || depth == SEARCH_DEPTH_MAX) {
                (void) error_set(error, ERR_TOO_LARGE, "'%.100s' was not found in %zu delegated roles, %u deep; no more are searched",
                                 s->query->name, s->n_visited, depth);
                return FAILED;
        }
        (void) snprintf(s->names[s->n_visited++], ROLE_NAME_MAX + 1, "%s", name);
        r = s->load(s->userdata, name, keys, &m, error);
        /* Uptane 5.4.4.7 (1): one that is missing or invalid ends the search */
        if (r < 0)
                return FAILED;
        if (r == 0) {
                (void) snprintf(s->need->name, sizeof s->need->name, "%s", name);
                s->need->keys = keys;
                return NEEDS;
        }
        /* Uptane 5.4.4.7 (4.3a): by the same steps again */
        return search_targets(s, &m->targets, depth + 1, ret, error);
}

/* Uptane 5.4.4.8 (2.2, 2.3): the earliest role that enough others agree with, or the only ones that do; Uptane 5.4.4.8 (2.4): or none */
static const Target *agreed(const Search *s, const Delegation *d, const Target *const *said)
{
        for (size_t i = 0; i < d->n_roles; i++) {
                size_t n = 0;

                for (size_t j = 0; said[i] && j < d->n_roles; j++)
                        /* Uptane 5.4.4.8 (2.1a) */
                        n += said[j] && target_agrees(said[i], said[j], s->query->must_match);
                /* Uptane 5.4.4.8 (2.1c): fewer than were asked for are none */
                if (n >= d->n_agreeing)
                        return said[i];
        }
        return NULL;
}

/* Uptane 5.4.4.7 (4.2a), Uptane 5.4.4.8 (a): one role, or several that must agree */
static Outcome search_delegation(Search *s, const Delegation *d, unsigned depth, const Target **ret, Error *error)
{
        const Target *said[DELEGATION_ROLES_MAX] = { NULL };

        if (d->n_roles == 1)
                return search_role(s, d->roles[0].name, &d->roles[0].keys, depth, ret, error);
        /* Uptane 5.4.4.8 (1): all of them; one that is withheld must not change the result */
        for (size_t i = 0; i < d->n_roles; i++) {
                Outcome outcome = search_role(s, d->roles[i].name, &d->roles[i].keys, depth, &said[i], error);

                if (outcome == NEEDS || outcome == FAILED)
                        return outcome;
        }
        *ret = agreed(s, d, said);
        return *ret ? FOUND : NOTHING;
}

static Outcome search_succinct(Search *s, const SuccinctRoles *succinct, unsigned depth, const Target **ret, Error *error)
{
        char name[ROLE_NAME_MAX + 1];

        succinct_bin_name(succinct, s->hash, name);
        return search_role(s, name, &succinct->keys, depth, ret, error);
}

/* Patterns are made by others, and some take long to compare. */
static int spend(Search *s, const Delegation *d, Error *error)
{
        size_t name_size = strlen(s->query->name) + 1;

        for (size_t i = 0; i < d->n_patterns; i++)
                *s->work += d->paths ? (strpbrk(d->paths[i], "*[") ? name_size : 1) * (strlen(d->paths[i]) + 1) : 1;
        if (*s->work <= SEARCH_WORK_MAX)
                return 0;
        return error_set(error, ERR_TOO_LARGE, "'%.100s': there are too many patterns of delegations to compare it with", s->query->name);
}

static Outcome search_targets(Search *s, const Targets *targets, unsigned depth, const Target **ret, Error *error)
{
        /* Uptane 5.4.4.7 (2): what a role says itself comes first */
        *ret = targets_find(targets, s->query->name);
        if (*ret)
                return FOUND;
        if (targets->succinct.name_prefix)
                return search_succinct(s, &targets->succinct, depth, ret, error);
        /* Uptane 5.4.4.7 (4): in listed order */
        for (size_t i = 0; i < targets->n_delegations; i++) {
                const Delegation *d = &targets->delegations[i];
                Outcome outcome;

                if (spend(s, d, error) < 0)
                        return FAILED;
                if (!delegation_applies(d, s->query, s->hash_text))
                        continue;
                outcome = search_delegation(s, d, depth, ret, error);
                if (outcome != NOTHING)
                        return outcome;
                /* Uptane 5.1.2.1 (a), Uptane 5.4.4.7 (3), Uptane 5.4.4.7 (4.2b): no other role is asked behind a terminating delegation */
                if (d->terminating)
                        return STOP;
        }
        return NOTHING;
}

/* Uptane 5.4.4.7 (b): from the top-level Targets on; Uptane 5.4.4.7 (5), Uptane 5.2.3.1 (a): to the end, and then it is nowhere */
int delegation_search(const Targets *top, const SearchQuery *query, SearchLoad load, void *userdata, const Target **ret, SearchNeed *ret_need,
                      Error *error)
{
        cleanup_free Search *s = xcalloc(1, sizeof *s);
        const Target *found = NULL;

        s->query = query;
        s->load = load;
        s->userdata = userdata;
        s->need = ret_need;
        s->work = query->work ? query->work : &s->own_work;
        digest_sha256(slice_str(query->name), s->hash);
        hex_encode(slice(s->hash, SHA256_SIZE), s->hash_text);
        switch (search_targets(s, top, 0, &found, error)) {
        case FOUND:
                *ret = found;
                return SEARCH_FOUND;
        case NEEDS:
                return SEARCH_NEEDS;
        case FAILED:
                return -1;
        case NOTHING:
        case STOP:
                break;
        }
        *ret = NULL;
        return SEARCH_ABSENT;
}
