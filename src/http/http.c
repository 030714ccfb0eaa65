/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two easy handles, and so two sets of connections: one knows the device's certificate, the other never does. Redirects
 * are followed here and not by libcurl: it would carry the certificate along to whatever host an answer names. A
 * request that has once left its own origin goes on without, even if it is sent back.
 */
#include "http/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#define REDIRECTS_MAX 10
#define CONNECT_SECONDS 30L
#define HEADER_BYTES_MAX ((size_t) 256 * 1024)   /* of all answers of one request, interim ones too */
#define UNUSED_BYTES_MAX ((uint64_t) 64 * 1024) /* of a body nobody wants, read to keep the connection */

struct Http {
        CURL *plain, *authenticated;
        char *ca_file, *cert_file, *key_file, *user_agent;
        bool allow_http;
        unsigned min_speed, min_speed_seconds;
};

/* One answer being received. */
typedef struct Transfer {
        CURL *curl;
        const HttpRequest *request;
        Error *error;
        size_t header_bytes;
        uint64_t received;
        curl_off_t moved; /* bytes, both ways ... */
        time_t moved_at;  /* ... and when one last did */
        bool begun;   /* the body has */
        bool wanted;  /* the body is */
        bool enough;  /* stopped on purpose: what came is the answer */
        HttpAnswer answer;
        char why[CURL_ERROR_SIZE];
} Transfer;

static void url_cleanup(CURLU **url)
{
        curl_url_cleanup(*url);
}
#define cleanup_url __attribute__((cleanup(url_cleanup)))

static void part_free(char **text)
{
        curl_free(*text);
}
#define cleanup_part __attribute__((cleanup(part_free)))

static void list_free(struct curl_slist **list)
{
        curl_slist_free_all(*list);
}
#define cleanup_list __attribute__((cleanup(list_free)))

static char *copy(const char *text)
{
        return text ? xstrdup(text) : NULL;
}

int http_new(const HttpOptions *options, Http **ret, Error *error)
{
        CLEANUP(http_free) Http *http = xcalloc(1, sizeof *http);

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return error_set(error, ERR_SYSTEM, "libcurl does not start");
        http->plain = curl_easy_init();
        http->authenticated = curl_easy_init();
        if (!http->plain || !http->authenticated)
                return error_set(error, ERR_SYSTEM, "libcurl does not start");
        http->ca_file = copy(options->ca_file);
        http->cert_file = copy(options->cert_file);
        http->key_file = copy(options->key_file);
        http->user_agent = copy(options->user_agent);
        http->allow_http = options->allow_http;
        http->min_speed = options->min_speed;
        http->min_speed_seconds = options->min_speed_seconds;
        *ret = TAKE_PTR(http);
        return 0;
}

Http *http_free(Http *http)
{
        if (!http)
                return NULL;
        curl_easy_cleanup(http->plain);
        curl_easy_cleanup(http->authenticated);
        free(http->ca_file);
        free(http->cert_file);
        free(http->key_file);
        free(http->user_agent);
        free(http);
        return NULL;
}

/* ---- URLs ---- */

static bool has_part(CURLU *url, CURLUPart part)
{
        cleanup_part char *text = NULL;

        return curl_url_get(url, part, &text, 0) == CURLUE_OK;
}

static bool is_https(CURLU *url)
{
        cleanup_part char *scheme = NULL;

        return curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && strcasecmp(scheme, "https") == 0;
}

static bool is_http(CURLU *url)
{
        cleanup_part char *scheme = NULL;

        return curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && strcasecmp(scheme, "http") == 0;
}

/* code: what a bad one is, depending on whose it is. */
static int parse_url(const Http *http, const char *text, ErrorCode code, CURLU **ret, Error *error)
{
        cleanup_url CURLU *url = curl_url();

        if (!url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
                return error_set(error, code, "'%.200s' is no URL", text);
        if (!is_https(url) && !(http->allow_http && is_http(url)))
                return error_set(error, code, "'%.200s' is not %s", text, http->allow_http ? "http or https" : "https");
        if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
                return error_set(error, code, "a URL with a user or password in it is not used");
        *ret = TAKE_PTR(url);
        return 0;
}

static bool is_same_part(CURLU *a, CURLU *b, CURLUPart part)
{
        cleanup_part char *x = NULL, *y = NULL;

        return curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(x, y) == 0;
}

static bool is_same_origin(CURLU *a, CURLU *b)
{
        return is_same_part(a, b, CURLUPART_SCHEME) && is_same_part(a, b, CURLUPART_HOST) && is_same_part(a, b, CURLUPART_PORT);
}

/* ---- receiving ---- */

static bool is_get(const HttpRequest *request)
{
        return strcmp(request->method, "GET") == 0;
}

static bool is_redirect(const HttpRequest *request, unsigned status)
{
        /* 302 and 303 turn a PUT or POST into a GET, whose answer would not be one to what was sent: the caller judges. */
        return status == 301 || status == 307 || status == 308 || (is_get(request) && (status == 302 || status == 303));
}

/* "bytes FIRST-LAST/TOTAL", where the range asked for was open: the answer has one range, and says where it starts. */
static int range_start(CURL *curl, uint64_t *ret, Error *error)
{
        struct curl_header *header;
        uint64_t first, last;
        int end = 0;

        if (curl_easy_header(curl, "Content-Range", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
                return error_set_sys(error, ERR_HTTP, 206, "a partial answer that does not say which part it is");
        if (sscanf(header->value, "bytes %" SCNu64 "-%" SCNu64 "/%n", &first, &last, &end) != 2 || end == 0 || last < first)
                return error_set_sys(error, ERR_HTTP, 206, "a partial answer with the range '%.60s'", header->value);
        *ret = first;
        return 0;
}

/* The headers are complete: what kind of answer is it? */
static int begin_body(Transfer *t)
{
        curl_off_t announced = -1;
        long status = 0;

        t->begun = true;
        (void) curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
        t->answer.status = (unsigned) status;
        t->wanted = !is_redirect(t->request, t->answer.status) && (!is_get(t->request) || (status >= 200 && status <= 299));
        if (!t->wanted || !is_get(t->request))
                return 0;
        if (status == 206 && t->request->offset == 0)
                return error_set_sys(t->error, ERR_HTTP, 206, "a part was answered where the whole was asked for");
        if (status == 206 && range_start(t->curl, &t->answer.offset, t->error) < 0)
                return -1;
        (void) curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
        if (announced > 0 && (uint64_t) announced > t->request->max)
                return error_set(t->error, ERR_TOO_LARGE, "%" PRIu64 " bytes announced, at most %" PRIu64 " allowed",
                                 (uint64_t) announced, t->request->max);
        return 0;
}

/* Against endless data: never more than the caller can take, whatever was announced */
static int take(Transfer *t, Slice piece)
{
        uint64_t limit = t->wanted ? t->request->max : UNUSED_BYTES_MAX, rest = limit - t->received;

        if (piece.size > rest && t->wanted && is_get(t->request))
                return error_set(t->error, ERR_TOO_LARGE, "more than the allowed %" PRIu64 " bytes", t->request->max);
        if (piece.size > rest) {
                t->enough = true;
                piece.size = (size_t) rest;
        }
        t->received += piece.size;
        return t->wanted && piece.size > 0 ? t->request->sink(t->request->userdata, piece, t->error) : 0;
}

static size_t on_body(char *data, size_t one, size_t size, void *userdata)
{
        Transfer *t = userdata;

        if ((!t->begun && begin_body(t) < 0) || take(t, slice(data, one * size)) < 0 || t->enough)
                return size == 0 ? 1 : 0; /* anything but size ends the transfer */
        return size;
}

static size_t on_header(char *data, size_t one, size_t size, void *userdata)
{
        Transfer *t = userdata;

        (void) data;
        t->header_bytes += one * size;
        if (t->header_bytes <= HEADER_BYTES_MAX)
                return size;
        (void) error_set(t->error, ERR_TOO_LARGE, "more than %zu bytes of headers", HEADER_BYTES_MAX);
        return size == 0 ? 1 : 0;
}

static time_t uptime(void)
{
        struct timespec now = { 0 };

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

static int on_tick(void *userdata, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow)
{
        Transfer *t = userdata;

        (void) dltotal;
        (void) ultotal;
        if (dlnow + ulnow != t->moved)
                t->moved_at = uptime();
        t->moved = dlnow + ulnow;
        return t->request->cancelled(t->request->userdata);
}

/* ---- asking ---- */

/* Same order of call and option for all: a failing one is an option this libcurl was built without. */
#define SET(option, value) (curl_easy_setopt(c, (option), (value)) == CURLE_OK)

static bool set_security(const Http *http, CURL *c)
{
        return SET(CURLOPT_PROTOCOLS_STR, http->allow_http ? "http,https" : "https") && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
               SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) && SET(CURLOPT_SSL_VERIFYPEER, 1L) &&
               SET(CURLOPT_SSL_VERIFYHOST, 2L) && SET(CURLOPT_CAINFO, http->ca_file) && SET(CURLOPT_CAPATH, NULL) &&
               SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
}

static bool set_certificate(const Http *http, CURL *c)
{
        return SET(CURLOPT_SSLCERT, http->cert_file) && SET(CURLOPT_SSLKEY, http->key_file);
}

/* Uptane 5.4 (c), slow retrieval */
static bool set_limits(const Http *http, CURL *c)
{
        return SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS) && SET(CURLOPT_TCP_KEEPALIVE, 1L) &&
               SET(CURLOPT_LOW_SPEED_LIMIT, (long) http->min_speed) && SET(CURLOPT_LOW_SPEED_TIME, (long) http->min_speed_seconds);
}

static bool set_callbacks(CURL *c, Transfer *t)
{
        return SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, t) && SET(CURLOPT_HEADERFUNCTION, on_header) &&
               SET(CURLOPT_HEADERDATA, t) && SET(CURLOPT_XFERINFOFUNCTION, on_tick) && SET(CURLOPT_XFERINFODATA, t) &&
               SET(CURLOPT_NOPROGRESS, 0L) && SET(CURLOPT_ERRORBUFFER, t->why);
}

static bool set_body(CURL *c, const HttpRequest *q, struct curl_slist **headers)
{
        cleanup_free char *type = xasprintf("Content-Type: %s", q->content_type);

        *headers = curl_slist_append(NULL, "Expect:"); /* no waiting for a go-ahead that many servers never give */
        return *headers && curl_slist_append(*headers, type) && SET(CURLOPT_HTTPHEADER, *headers) && SET(CURLOPT_POST, 1L) &&
               SET(CURLOPT_CUSTOMREQUEST, q->method) && SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) q->body.size) &&
               SET(CURLOPT_POSTFIELDS, q->body.size > 0 ? (const char *) q->body.data : "");
}

static bool set_range(CURL *c, const HttpRequest *q)
{
        char range[32];

        (void) snprintf(range, sizeof range, "%" PRIu64 "-", q->offset);
        return q->offset == 0 || SET(CURLOPT_RANGE, range);
}

static bool set_request(const Http *http, Transfer *t, CURLU *url, struct curl_slist **headers)
{
        const HttpRequest *q = t->request;
        CURL *c = t->curl;

        curl_easy_reset(c); /* keeps the connections */
        return SET(CURLOPT_CURLU, url) && SET(CURLOPT_USERAGENT, http->user_agent) && set_security(http, c) &&
               (c != http->authenticated || set_certificate(http, c)) && set_limits(http, c) && set_callbacks(c, t) &&
               (is_get(q) ? set_range(c, q) : set_body(c, q, headers));
}

/* With TLS 1.3 a server's refusal of our certificate arrives only when the answer is read. */
static bool is_alert(const Transfer *t)
{
        return strstr(t->why, "alert") != NULL;
}

/* A transfer in which nothing moves any more has lost its network; one that is kept going with a few bytes is too slow. */
static int set_stopped(const Http *http, const Transfer *t, Error *error)
{
        time_t silent = uptime() - t->moved_at;

        if (t->moved == 0 || silent >= (time_t) http->min_speed_seconds)
                return error_set_sys(error, ERR_TIMEOUT, CURLE_OPERATION_TIMEDOUT, "%s",
                                     t->moved == 0 && *t->why ? t->why : "nothing came any more");
        return error_set_sys(error, ERR_SLOW, CURLE_OPERATION_TIMEDOUT,
                             "%" PRId64 " bytes moved, and for %u s fewer than the %u a second that are demanded", (int64_t) t->moved,
                             http->min_speed_seconds, http->min_speed);
}

static ErrorCode code_of(const Transfer *t, CURLcode r)
{
        if (r == CURLE_SSL_CERTPROBLEM)
                return ERR_KEY;
        if (r == CURLE_SSL_CONNECT_ERROR || r == CURLE_PEER_FAILED_VERIFICATION || r == CURLE_SSL_CACERT_BADFILE ||
            r == CURLE_SSL_CIPHER || r == CURLE_SSL_ISSUER_ERROR || r == CURLE_SSL_INVALIDCERTSTATUS)
                return ERR_TLS;
        if ((r == CURLE_RECV_ERROR || r == CURLE_SEND_ERROR) && is_alert(t))
                return ERR_TLS;
        return r == CURLE_ABORTED_BY_CALLBACK ? ERR_CANCELLED : ERR_NETWORK;
}

static int exchange(const Http *http, Transfer *t, CURLU *url)
{
        cleanup_list struct curl_slist *headers = NULL;
        CURLcode r;

        if (is_https(url) && !http->ca_file)
                return error_set(t->error, ERR_TLS, "no CA certificate is configured");
        if (t->curl == http->authenticated && is_https(url) && (!http->cert_file || !http->key_file))
                return error_set(t->error, ERR_KEY, "no device certificate is configured");
        if (!set_request(http, t, url, &headers))
                return error_set(t->error, ERR_SYSTEM, "libcurl lacks something that is needed");
        t->moved_at = uptime();
        r = curl_easy_perform(t->curl);
        (void) curl_easy_setopt(t->curl, CURLOPT_CURLU, NULL); /* borrowed */
        if (t->error->code != ERR_NONE)
                return -1;
        if (r == CURLE_OPERATION_TIMEDOUT && !t->enough)
                return set_stopped(http, t, t->error);
        if (r != CURLE_OK && !t->enough)
                return error_set_sys(t->error, code_of(t, r), (int) r, "%s", *t->why ? t->why : curl_easy_strerror(r));
        return t->begun ? 0 : begin_body(t);
}

/* ---- redirects ---- */

static int next_url(const Http *http, const Transfer *t, CURLU **url, Error *error)
{
        CURLU *next = NULL;
        const char *location = NULL;

        (void) curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &location);
        if (!location)
                return error_set_sys(error, ERR_HTTP, (int) t->answer.status, "status %u without a usable place to go", t->answer.status);
        if (parse_url(http, location, ERR_HTTP, &next, error) < 0)
                return error_prefix(error, "redirected");
        if (is_https(*url) && !is_https(next)) {
                curl_url_cleanup(next);
                return error_set(error, ERR_TLS, "redirected from https to http");
        }
        curl_url_cleanup(*url);
        *url = next;
        return 0;
}

static int follow(Http *http, const HttpRequest *request, HttpAnswer *ret, Error *error)
{
        cleanup_url CURLU *first = NULL, *url = NULL;
        bool authenticate = request->authenticate;

        if (parse_url(http, request->url, ERR_INVALID_ARGUMENT, &first, error) < 0 ||
            parse_url(http, request->url, ERR_INVALID_ARGUMENT, &url, error) < 0)
                return -1;
        for (unsigned redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
                Transfer t = { .request = request, .error = error };

                authenticate = authenticate && is_same_origin(first, url);
                t.curl = authenticate ? http->authenticated : http->plain;
                if (exchange(http, &t, url) < 0)
                        return -1;
                if (!is_redirect(request, t.answer.status)) {
                        *ret = t.answer;
                        return 0;
                }
                if (next_url(http, &t, &url, error) < 0)
                        return -1;
        }
        return error_set(error, ERR_HTTP, "redirected more than %d times", REDIRECTS_MAX);
}

static bool is_header_value(const char *text)
{
        for (; *text; text++)
                if (*text < 0x20 || *text > 0x7e)
                        return false;
        return true;
}

static int check_request(const HttpRequest *q, Error *error)
{
        if (is_get(q))
                return 0;
        if (strcmp(q->method, "PUT") != 0 && strcmp(q->method, "POST") != 0)
                return error_set(error, ERR_INVALID_ARGUMENT, "method '%.20s' is neither GET, PUT nor POST", q->method);
        if (!q->content_type || !*q->content_type || !is_header_value(q->content_type))
                return error_set(error, ERR_INVALID_ARGUMENT, "the content type cannot be sent");
        return 0;
}

int http_perform(Http *http, const HttpRequest *request, HttpAnswer *ret, Error *error)
{
        HttpAnswer answer = { 0 };

        if (check_request(request, error) < 0 || follow(http, request, &answer, error) < 0)
                return error_prefix(error, "%.150s", request->url);
        if (is_get(request) && answer.status != 404 && (answer.status < 200 || answer.status > 299))
                return error_set_sys(error, ERR_HTTP, (int) answer.status, "%.150s: status %u", request->url, answer.status);
        *ret = answer;
        return 0;
}
