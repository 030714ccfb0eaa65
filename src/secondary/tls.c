/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL decides about certificates: chain, expiry, and that one for servers is not shown by a client (extended key usage).
 * What is left to do here is the name. That the other side just stops talking, without TLS's own good-bye, is the end of the
 * connection as it is without TLS: messages say themselves how long they are.
 */
#include "secondary/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>

#include "secondary/psk.h"

struct SecondaryTls {
        SSL_CTX *context;
        PskList *psks; /* NULL: certificates */
        bool server;
};

struct SecondaryTlsLink {
        SSL *ssl;
        const PskList *psks; /* NULL: certificates */
        const Psk *psk;      /* the key that is shown, or was */
        bool ready; /* the handshake is over */
};

static const char *reason(void)
{
        unsigned long code = ERR_peek_last_error();
        const char *text = code ? ERR_reason_error_string(code) : NULL;

        return text ? text : "no reason given";
}

/* ---- who we are ---- */

static int load(SSL_CTX *context, const SecondaryTlsFiles *files, Error *error)
{
        ERR_clear_error();
        if (SSL_CTX_load_verify_locations(context, files->ca, NULL) != 1)
                return error_set(error, ERR_KEY, "CA of the in-vehicle network in %s: %s", files->ca, reason());
        if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
                return error_set(error, ERR_KEY, "certificate in %s: %s", files->certificate, reason());
        if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
                return error_set(error, ERR_KEY, "key in %s: %s", files->key, reason());
        return 0;
}

/* ---- keys ---- */

static const unsigned char psk_cipher[] = { 0x13, 0x01 }; /* TLS_AES_128_GCM_SHA256: what every TLS 1.3 has; its hash goes with the key */

/* As a session to be resumed, which is what TLS 1.3 takes such a key for. NULL: out of memory, or TLS cannot do it. */
static SSL_SESSION *psk_session(SSL *ssl, const Psk *psk)
{
        const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, psk_cipher);
        SSL_SESSION *session = SSL_SESSION_new();

        if (cipher && session && SSL_SESSION_set1_master_key(session, psk->key, psk->size) == 1 &&
            SSL_SESSION_set_cipher(session, cipher) == 1 && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
                return session;
        SSL_SESSION_free(session);
        return NULL;
}

/* The client's: it shows the one key that it was told, if the server's hash fits to it. */
static int use_psk(SSL *ssl, const EVP_MD *md, const unsigned char **ret_identity, size_t *ret_size, SSL_SESSION **ret)
{
        const SecondaryTlsLink *link = SSL_get_app_data(ssl);

        *ret = NULL;
        if (!link->psk || (md && EVP_MD_get_type(md) != NID_sha256))
                return 1;
        *ret = psk_session(ssl, link->psk);
        *ret_identity = (const unsigned char *) link->psk->identity;
        *ret_size = strlen(link->psk->identity);
        return *ret != NULL;
}

/* The server's. An identity that is not known leads nowhere: there is no certificate to go on with. */
static int find_psk(SSL *ssl, const unsigned char *identity, size_t size, SSL_SESSION **ret)
{
        SecondaryTlsLink *link = SSL_get_app_data(ssl);
        const Psk *psk = psk_find(link->psks, slice(identity, size));

        *ret = psk ? psk_session(ssl, psk) : NULL;
        link->psk = psk;
        return !psk || *ret;
}

static int load_psk(SecondaryTls *tls, const char *path, Error *error)
{
        if (psk_load(path, &tls->psks, error) < 0)
                return -1;
        if (SSL_CTX_set_ciphersuites(tls->context, "TLS_AES_128_GCM_SHA256") != 1)
                return error_set(error, ERR_KEY, "TLS 1.3 with keys cannot be used: %s", reason());
        /* a server that asks for certificates takes no session without one, a client none with one */
        if (tls->server && SSL_CTX_set_session_id_context(tls->context, (const unsigned char *) "psk", 3) != 1)
                return error_set(error, ERR_KEY, "TLS 1.3 with keys cannot be used: %s", reason());
        if (tls->server)
                SSL_CTX_set_psk_find_session_callback(tls->context, find_psk);
        else
                SSL_CTX_set_psk_use_session_callback(tls->context, use_psk);
        return 0;
}

int secondary_tls_set_identity(SecondaryTlsLink *link, const char *identity, Error *error)
{
        if (!link->psks)
                return 0;
        link->psk = psk_find(link->psks, slice_str(identity));
        return link->psk ? 0 : error_set(error, ERR_KEY, "there is no key of '%.64s'", identity);
}

int secondary_tls_new(const SecondaryTlsFiles *files, bool server, SecondaryTls **ret, Error *error)
{
        CLEANUP(secondary_tls_free) SecondaryTls *tls = xcalloc(1, sizeof *tls);

        tls->server = server;
        tls->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
        if (!tls->context || SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION) != 1 || SSL_CTX_set_num_tickets(tls->context, 0) != 1)
                return error_set(error, ERR_KEY, "TLS 1.3 cannot be used: %s", reason());
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        (void) SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
        (void) SSL_CTX_set_options(tls->context, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
        (void) SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        if ((files->psk ? load_psk(tls, files->psk, error) : load(tls->context, files, error)) < 0)
                return -1;
        *ret = TAKE_PTR(tls);
        return 0;
}

SecondaryTls *secondary_tls_free(SecondaryTls *tls)
{
        if (!tls)
                return NULL;
        SSL_CTX_free(tls->context);
        psk_free(tls->psks);
        free(tls);
        return NULL;
}

/* ---- one connection ---- */

int secondary_tls_link_new(const SecondaryTls *tls, int fd, SecondaryTlsLink **ret, Error *error)
{
        CLEANUP(secondary_tls_link_free) SecondaryTlsLink *link = xcalloc(1, sizeof *link);

        link->ssl = SSL_new(tls->context);
        link->psks = tls->psks;
        if (!link->ssl || SSL_set_fd(link->ssl, fd) != 1 || SSL_set_app_data(link->ssl, link) != 1)
                return error_set(error, ERR_TLS, "TLS: %s", reason());
        if (tls->server)
                SSL_set_accept_state(link->ssl);
        else
                SSL_set_connect_state(link->ssl);
        *ret = TAKE_PTR(link);
        return 0;
}

SecondaryTlsLink *secondary_tls_link_free(SecondaryTlsLink *link)
{
        if (!link)
                return NULL;
        ERR_clear_error();
        if (link->ssl && link->ready)
                (void) SSL_shutdown(link->ssl);
        SSL_free(link->ssl);
        ERR_clear_error();
        free(link);
        return NULL;
}

/* Behind a failure OpenSSL wants nothing to be done with the connection any more, not even a good-bye. */
static int failed(SecondaryTlsLink *link, const char *what, Error *error)
{
        long verified = SSL_get_verify_result(link->ssl);

        link->ready = false;
        if (link->psks)
                return error_set(error, ERR_TLS, "%s with the key of '%s': %s", what, link->psk ? link->psk->identity : "nobody", reason());
        if (verified != X509_V_OK)
                return error_set(error, ERR_TLS, "%s: the other side's certificate: %s", what, X509_verify_cert_error_string(verified));
        return error_set(error, ERR_TLS, "%s: %s", what, reason());
}

/* r is what an SSL function returned that did not succeed. */
static int outcome(SecondaryTlsLink *link, int r, const char *what, short *ret_events, Error *error)
{
        int sys = errno;

        switch (SSL_get_error(link->ssl, r)) {
        case SSL_ERROR_WANT_READ:
                *ret_events = POLLIN;
                return SECONDARY_TLS_WAIT;
        case SSL_ERROR_WANT_WRITE:
                *ret_events = POLLOUT;
                return SECONDARY_TLS_WAIT;
        case SSL_ERROR_ZERO_RETURN:
                return SECONDARY_TLS_END;
        case SSL_ERROR_SYSCALL:
                if (!link->ready)
                        return failed(link, what, error);
                link->ready = false;
                return error_set_errno(error, ERR_UNREACHABLE, sys, "%s", what);
        default:
                return failed(link, what, error);
        }
}

int secondary_tls_handshake(SecondaryTlsLink *link, short *ret_events, Error *error)
{
        int r;

        ERR_clear_error();
        r = SSL_do_handshake(link->ssl);
        if (r == 1 && link->psks && SSL_session_reused(link->ssl) != 1) /* belongs to no road that is left open; if it were, not further */
                return error_set(error, ERR_TLS, "TLS handshake: the other side did not use the key");
        if (r == 1) {
                link->ready = true;
                return SECONDARY_TLS_DONE;
        }
        r = outcome(link, r, "TLS handshake", ret_events, error);
        return r == SECONDARY_TLS_END ? error_set(error, ERR_TLS, "TLS handshake: the other side closed the connection") : r;
}

int secondary_tls_send(SecondaryTlsLink *link, const uint8_t *bytes, size_t size, size_t *ret_done, short *ret_events, Error *error)
{
        int r;

        ERR_clear_error();
        r = SSL_write_ex(link->ssl, bytes, size, ret_done);
        return r == 1 ? SECONDARY_TLS_DONE : outcome(link, r, "sending", ret_events, error);
}

int secondary_tls_receive(SecondaryTlsLink *link, uint8_t *ret, size_t size, size_t *ret_done, short *ret_events, Error *error)
{
        int r;

        ERR_clear_error();
        r = SSL_read_ex(link->ssl, ret, size, ret_done);
        return r == 1 ? SECONDARY_TLS_DONE : outcome(link, r, "receiving", ret_events, error);
}

/* ---- names ---- */

/* 1 and its name; 0 if it has none, or several, or one that is no text of this length. */
static int common_name(const X509 *certificate, char ret[static SECONDARY_TLS_NAME_MAX + 1])
{
        const X509_NAME *subject = X509_get_subject_name(certificate);
        int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), size;
        unsigned char *text = NULL;
        bool good;

        if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
                return 0;
        size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        good = size > 0 && size <= SECONDARY_TLS_NAME_MAX && strnlen((char *) text, (size_t) size) == (size_t) size;
        if (good) {
                memcpy(ret, text, (size_t) size);
                ret[size] = '\0';
        }
        OPENSSL_free(text);
        return good;
}

int secondary_tls_check_name(const SecondaryTlsLink *link, const char *name, Error *error)
{
        char found[SECONDARY_TLS_NAME_MAX + 1] = "";
        int r;
        X509 *certificate;

        if (link->psks && link->psk && strcmp(link->psk->identity, name) == 0)
                return 0;
        if (link->psks)
                return error_set(error, ERR_TLS, "the key is that of '%s', expected '%.64s'", link->psk ? link->psk->identity : "nobody", name);
        certificate = SSL_get1_peer_certificate(link->ssl);
        r = certificate ? common_name(certificate, found) : 0;
        X509_free(certificate);
        if (r == 1 && strcmp(found, name) == 0)
                return 0;
        return error_set(error, ERR_TLS, "the other side's certificate is for '%s', expected '%.64s'", r == 1 ? found : "nobody", name);
}
