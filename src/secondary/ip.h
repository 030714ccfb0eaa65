/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_IP_H
#define SECONDARY_IP_H

/*
 * A Secondary that speaks the IP Secondary protocol, version 2, as the Primary sees it: one question, one answer, over TCP.
 *
 * Each function opens a connection, asks, takes the answer and closes; secondary_ip_put_image() asks many times and keeps
 * the connection where the other side does. All of them block, within the time limits given. The protocol has no
 * authentication: nothing it says is believed but what it signs, and every answer is bounded before memory is taken. Over a
 * protected link both sides know whom they talk to; who is to be spoken to so is never spoken to otherwise.
 *
 * ERR_INVALID_ARGUMENT for an address that is none; ERR_UNREACHABLE if no connection comes about or it breaks; ERR_TIMEOUT;
 * ERR_CANCELLED; ERR_TLS; ERR_SECONDARY, with its own words, if it refuses, fails or answers nonsense; ERR_UNSUPPORTED if it
 * speaks another version.
 */
#include "base/arena.h"
#include "metadata/der.h"
#include "secondary/tls.h"

typedef struct SecondaryIp {
        const char *address;   /* "host:port" or "[host]:port" */
        const SecondaryTls *tls; /* NULL: without */
        const char *name;      /* tls: that its certificate must have; NULL or "": not known yet, for secondary_ip_get_info() only */
        unsigned connect_ms;   /* to get a connection, all addresses of a name and the handshake together */
        unsigned idle_ms;      /* without a byte going either way */
        unsigned exchange_ms;  /* one question and its answer, whatever trickles */
        unsigned install_ms;   /* the same for secondary_ip_install() and secondary_ip_fetch_commit(), where silence is normal */
        int cancel_fd;         /* a socket: once its other end is closed, everything is given up; -1: none */
} SecondaryIp;

#define SECONDARY_IP_ANSWER_MAX ((size_t) 96 * 1024) /* room for a version report of MANIFEST_BYTES_MAX */

typedef struct SecondaryIpInfo {
        const char *serial, *hardware_id;
        const char *key_type; /* "ED25519", "RSA" */
        const char *key;      /* PEM or hex, without white space behind it; not checked further */
} SecondaryIpInfo;

/* Strings and bytes of an answer live in arena. Over TLS the serial is the name of the certificate. */
int secondary_ip_get_info(const SecondaryIp *s, Arena *arena, SecondaryIpInfo *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/*
 * The same of a Secondary that cannot be reached yet, but connects to listen ("host:port") from its own address when it starts:
 * waits for it, at most so long, and asks over that connection. Whoever else connects is hung up on. ERR_UNREACHABLE.
 */
int secondary_ip_await_info(const SecondaryIp *s, const char *listen, unsigned ms, Arena *arena, SecondaryIpInfo *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
int secondary_ip_get_manifest(const SecondaryIp *s, Arena *arena, Slice *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* 0: it has none. */
int secondary_ip_get_root_version(const SecondaryIp *s, DerRepo repo, int64_t *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
int secondary_ip_put_root(const SecondaryIp *s, DerRepo repo, Slice root, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* Uses image_files and director_files of files. */
int secondary_ip_put_metadata(const SecondaryIp *s, const DerMessage *files, Error *error)
        __attribute__((nonnull, warn_unused_result));

typedef struct SecondaryIpImage {
        int fd; /* read from its present offset */
        uint64_t length;
        size_t chunk; /* bytes in one message, DER_CHUNK to DER_CHUNK_MAX */
        void (*progress)(void *userdata, uint64_t done, uint64_t total); /* may be NULL */
        void *userdata;
} SecondaryIpImage;
int secondary_ip_put_image(const SecondaryIp *s, const SecondaryIpImage *image, Error *error)
        __attribute__((nonnull, warn_unused_result));

/* The OSTree commit that its metadata assigns, from where it is configured to get it. credentials for that, or nothing; never without tls. */
int secondary_ip_fetch_commit(const SecondaryIp *s, Slice credentials, Error *error) __attribute__((nonnull, warn_unused_result));

/* The result is DER_OK, DER_ALREADY_PROCESSED or DER_NEED_COMPLETION; description is text. */
int secondary_ip_install(const SecondaryIp *s, const char *name, Arena *arena, DerResult *ret, const char **ret_description,
                         Error *error) __attribute__((nonnull, warn_unused_result));

#endif
