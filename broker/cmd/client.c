#include "broker/cmd/client.h"

#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/base/outbound.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct http_client {
    CURL *curl;
    char *base;
    char reason[CURL_ERROR_SIZE];
};

struct err http_client_new(const char *base, const char *unix_socket, const char *cacert,
                           struct http_client **ret)
{
    _cleanup_(http_client_freep) struct http_client *c = calloc(1, sizeof *c);
    _cleanup_free_ char *no_proxy = NULL;
    if (!c || !(c->curl = curl_easy_init())) FAIL(ERR_INTERNAL, "cannot start the HTTP client");
    c->base = strdup(base ? base : "http://localhost");
    if (!c->base) FAIL(ERR_INTERNAL, "out of memory");
    size_t len = strlen(c->base);
    while (len && c->base[len - 1] == '/') c->base[--len] = '\0';
    TRY(outbound_no_proxy(&no_proxy));
    curl_easy_setopt(c->curl, CURLOPT_NOPROXY, no_proxy);
    if (unix_socket) curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, unix_socket);
    if (cacert && access(cacert, R_OK) != 0)
        FAIL_ERRNO(errno == ENOENT ? ERR_NOTFOUND : ERR_USAGE, "cannot read %s", cacert);
    if (cacert) curl_easy_setopt(c->curl, CURLOPT_CAINFO, cacert);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->reason);
    curl_easy_setopt(c->curl, CURLOPT_COOKIEFILE, ""); /* cookies on, from no file */
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L); /* names may have dots */
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    *ret = TAKE_PTR(c);
    return ERR_OK;
}

void http_client_free(struct http_client *c)
{
    if (!c) return;
    curl_easy_cleanup(c->curl);
    free(c->base);
    free(c);
}

void http_answer_free(struct http_answer *a)
{
    secret_free(TAKE_PTR(a->body));
}

struct receiving {
    CURL *curl;
    struct secret_buf body;
};

/* Room for the whole body at once where its length is told: growing copies, and of large secrets two
 * at once may not fit into the budget. */
static err_t make_room(struct receiving *r)
{
    curl_off_t length = 0;
    if (r->body.block) return ERR_OK;
    curl_easy_getinfo(r->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length > 0 ? secret_buf_reserve(&r->body, (size_t) length) : ERR_OK;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct receiving *r = arg;
    struct err e = make_room(r);
    if (err_ok(e)) e = secret_buf_add(&r->body, data, size * count);
    return err_ok(e) ? size * count : 0;
}

static void receiving_done(struct receiving *r)
{
    secret_buf_free(&r->body);
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct http_answer *a = arg;
    size_t len = size * count;
    if (len > 6 && strncasecmp(line, "etag:", 5) == 0) {
        struct span value = {(uint8_t *) line + 5, len - 5};
        while (value.len && strchr(" \"", value.data[0])) value.data++, value.len--;
        while (value.len && strchr(" \"\r\n", value.data[value.len - 1])) value.len--;
        log_escape(a->etag, sizeof a->etag, value);
    }
    return len;
}

static void set_request(CURL *curl, const char *method, struct span body)
{
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    if (strcmp(method, "GET") == 0) return;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data ? (const char *) body.data : "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) body.len);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

/* The two ends that speak past each other: curl's words do not say it. */
static const char *scheme_hint(CURLcode code)
{
    if (code == CURLE_SSL_CONNECT_ERROR) return " (does it speak plain http://?)";
    return code == CURLE_GOT_NOTHING ? " (does it speak https://?)" : "";
}

struct err http_client_send(struct http_client *c, const char *method, const char *path,
                            const char *const *headers, struct span body, struct http_answer *ret)
{
    _cleanup_free_ char *url = NULL;
    if (asprintf(&url, "%s%s", c->base, path) < 0) FAIL(ERR_INTERNAL, "out of memory");
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (strcmp(method, "GET") != 0)
        list = curl_slist_append(list, "Content-Type: application/octet-stream");
    for (; headers && *headers; headers++) list = curl_slist_append(list, *headers);
    _cleanup_(receiving_done) struct receiving received = {c->curl, {.max = 4 * VALUE_MAX}};
    struct http_answer answer = {0};
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, NULL);
    set_request(c->curl, method, body);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &received);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, &answer);
    CURLcode code = curl_easy_perform(c->curl);
    curl_slist_free_all(list);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        FAIL(ERR_TOKEN_DOWN, "the certificate of %s does not verify (%s); its CA is given with "
             "--cacert FILE", c->base, c->reason);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT || code == CURLE_SSL_CACERT_BADFILE)
        FAIL(ERR_USAGE, "%s cannot be asked: %s", c->base, c->reason[0] ? c->reason : curl_easy_strerror(code));
    if (code != CURLE_OK)
        FAIL(ERR_TOKEN_DOWN, "no answer from %s: %s%s", c->base, curl_easy_strerror(code),
             scheme_hint(code));
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &answer.status);
    answer.body = secret_buf_steal(&received.body);
    if (!answer.body) FAIL(ERR_BUSY, "no memory for the answer");
    *ret = answer;
    return ERR_OK;
}

struct err http_answer_print(const struct http_answer *a)
{
    TRY(file_write_all(STDOUT_FILENO, secret_span(a->body)));
    return file_write_all(STDOUT_FILENO, SPAN_LIT("\n"));
}

static enum err_class class_of(long status)
{
    static const struct { long status; enum err_class class_; } rows[] = {
        {400, ERR_USAGE}, {401, ERR_AUTH}, {403, ERR_DENIED}, {404, ERR_NOTFOUND},
        {405, ERR_USAGE}, {409, ERR_CONFLICT}, {412, ERR_PRECONDITION}, {413, ERR_TOOLARGE},
        {429, ERR_LIMIT}, {503, ERR_TOKEN_DOWN}, {504, ERR_TIMEOUT}, {507, ERR_FULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status) return rows[i].class_;
    return ERR_INTERNAL;
}

static err_t told(enum err_class class_, const char *detail, long status)
{
    char shown[ERR_TEXT - sizeof " (HTTP 503)"];
    log_escape(shown, sizeof shown, span_str(detail));
    FAIL(class_, "%s (HTTP %ld)", shown, status);
}

struct err http_answer_error(const struct http_answer *a, const char *what)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    const char *detail = NULL, *named = NULL;
    enum err_class class_ = class_of(a->status);
    if (err_ok(json_parse(secret_span(a->body), &doc))) {
        detail = json_string(json_get(json_root(doc), "detail"));
        named = json_string(json_get(json_root(doc), "class"));
    }
    for (unsigned i = ERR_NONE + 1; named && i < ERR_CLASS_COUNT; i++)
        if (strcmp(named, err_class_name(i)) == 0) class_ = i;
    TRYC(told(class_, detail ? detail : "(no explanation)", a->status), "%s", what);
    return ERR_OK;
}
