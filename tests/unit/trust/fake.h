/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TRUST_FAKE_H
#define TESTS_TRUST_FAKE_H

/* A repository in memory that signs what it serves, and a client's memory: for tests of trust/. */
#include "crypto/signer.h"
#include "trust/repo.h"

#define NOW INT64_C(1800000000)
#define FAKE_ROOTS_MAX 80

#define FAKE_DELEGATED_MAX 3

/* A role that Targets delegates everything to. */
typedef struct FakeDelegated {
        const char *name; /* NULL: there is none */
        const char *image; /* that it lists */
        Signer *signer;
        int64_t version, expires;
        bool unlisted; /* by Snapshot */
        bool bare;     /* listed with its version only */
        Buffer file;
} FakeDelegated;

typedef struct Fake {
        Signer *signers[_ROLE_MAX];
        int64_t versions[_ROLE_MAX];
        int64_t expires[_ROLE_MAX];
        Buffer files[_ROLE_MAX]; /* [ROLE_ROOT] unused */
        Buffer roots[FAKE_ROOTS_MAX + 2]; /* by version */
        const char *extra; /* another Targets file that Snapshot lists */
        int64_t extra_version;
        FakeDelegated delegated[FAKE_DELEGATED_MAX];
        bool bare; /* Timestamp says nothing of Snapshot but its version */
} Fake;

typedef struct Client {
        Buffer stored[_ROLE_MAX];
        unsigned fetched[_ROLE_MAX]; /* how often each role was asked for in the last run */
        unsigned forgotten;
        int stop_after; /* give up after so many STOREs, as a power cut would; -1: never */
        bool without_timestamp;
        Buffer shipped; /* the first Root, while none is stored */
        bool gone[_ROLE_MAX]; /* the repository answers that it has no such file */
        int64_t now;
} Client;

Signer *fake_signer(KeyType type);
void fake_init(Fake *f);
void fake_done(Fake *f);
/* Root of the next version, signed by its own key and, if not NULL, by old. */
void fake_sign_root(Fake *f, const Signer *old);
/* Signs one role as its versions and expiry say, by its key or another. */
void fake_sign(Fake *f, Role role, const Signer *signer);
/* The file of a delegated role, by its signer or another. */
void fake_sign_delegated(FakeDelegated *d, const Signer *signer);
/* Targets, Snapshot, Timestamp, each one version up. */
void fake_publish(Fake *f);
/* New keys for one role in a new Root. */
void fake_rotate(Fake *f, Role role);
void client_init(Client *c, const Fake *f);
void client_done(Client *c);
/* A whole workflow; returns 0 or the error's code. */
ErrorCode client_run(Client *c, const Fake *f, Error *error);

#endif
