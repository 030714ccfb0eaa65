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

struct SecondaryTls {
        SSL_CTX *context;
        bool server;
};

struct SecondaryTlsLink {
        SSL *ssl;
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
        if (load(tls->context, files, error) < 0)
                return -1;
        *ret = TAKE_PTR(tls);
        return 0;
}

SecondaryTls *secondary_tls_free(SecondaryTls *tls)
{
        if (!tls)
                return NULL;
        SSL_CTX_free(tls->context);
        free(tls);
        return NULL;
}

/* ---- one connection ---- */

int secondary_tls_link_new(const SecondaryTls *tls, int fd, SecondaryTlsLink **ret, Error *error)
{
        CLEANUP(secondary_tls_link_free) SecondaryTlsLink *link = xcalloc(1, sizeof *link);

        link->ssl = SSL_new(tls->context);
        if (!link->ssl || SSL_set_fd(link->ssl, fd) != 1)
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
        X509 *certificate = SSL_get1_peer_certificate(link->ssl);
        int r = certificate ? common_name(certificate, found) : 0;

        X509_free(certificate);
        if (r == 1 && strcmp(found, name) == 0)
                return 0;
        return error_set(error, ERR_TLS, "the other side's certificate is for '%s', expected '%.64s'", r == 1 ? found : "nobody", name);
}
