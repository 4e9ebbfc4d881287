#include "broker/cmd/vault.h"

#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/broker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

struct vault {
    struct http_client *client; /* of the broker that runs, or NULL */
    struct broker broker;       /* our own, when client is NULL */
};

static err_t find_broker(const char *admin_socket, bool *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *ret = false;
    if (!admin_socket[0] || strlen(admin_socket) >= sizeof address.sun_path) return ERR_OK;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", admin_socket);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot open a socket");
    *ret = connect(fd, (struct sockaddr *) &address, sizeof address) == 0;
    if (!*ret && errno == EACCES)
        FAIL(ERR_DENIED, "you may not ask the broker on %s: run this as the user that serves, or as root; or "
             "name another http_server.admin_socket", admin_socket);
    return ERR_OK;
}

/* A configuration that was copied for another token may have kept the socket. */
static err_t check_token(struct http_client *client, const struct config *config)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    char shown[160];
    const char *label = NULL, *serial = NULL;
    TRY(http_client_send(client, "GET", "/strongroom/v1/status", NULL, span_of(NULL, 0), &answer));
    if (answer.status != 200) return http_answer_error(&answer, "status");
    TRY(json_parse(secret_span(answer.body), &doc));
    struct json token = json_get(json_root(doc), "token");
    TRY(json_need_string(token, "label", "status", &label));
    TRY(json_need_string(token, "serial", "status", &serial));
    if (p11_uri_names(config->token_uri, label, serial)) return ERR_OK;
    FAIL(ERR_USAGE, "the broker on %s serves the token \"%s\" (serial %s), which token.uri does not name: give "
         "each broker an http_server.admin_socket of its own", config->http_admin_socket,
         log_escape(shown, sizeof shown, span_str(label)), serial);
}

struct err vault_broker(const struct config *config, struct http_client **ret)
{
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    bool runs = false;
    *ret = NULL;
    TRY(find_broker(config->http_admin_socket, &runs));
    if (!runs) return ERR_OK;
    TRY(http_client_new(NULL, config->http_admin_socket, NULL, &client));
    TRY(check_token(client, config));
    *ret = TAKE_PTR(client);
    return ERR_OK;
}

struct err vault_open(const struct config *config, const char *who, struct vault **ret)
{
    _cleanup_(vault_closep) struct vault *v = calloc(1, sizeof *v);
    if (!v) FAIL(ERR_INTERNAL, "out of memory");
    TRY(vault_broker(config, &v->client));
    if (!v->client) {
        log_set_level(LOG_LEVEL_WARN); /* a command's own broker needs no log of its start */
        TRY(broker_open(config, who, true, &v->broker));
    }
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

struct err vault_open_file(const char *config_file, const char *who, struct config **ret_config,
                           struct vault **ret)
{
    TRY(config_load(config_file, ret_config));
    return vault_open(*ret_config, who, ret);
}

void vault_close(struct vault *v)
{
    if (!v) return;
    http_client_free(v->client);
    broker_close(&v->broker);
    free(v);
}

bool vault_is_served(const struct vault *v)
{
    return v->client != NULL;
}

/* ---- an exchange of our own, straight into the api ------------------------------------------- */

static void each_header(const struct request *r, const char *name,
                        bool (*visit)(void *arg, const char *value), void *arg)
{
    size_t len = strlen(name);
    for (const char *const *h = r->transport; h && *h; h++) {
        if (strncasecmp(*h, name, len) != 0 || (*h)[len] != ':') continue;
        if (!visit(arg, *h + len + 1 + strspn(*h + len + 1, " "))) return;
    }
}

static enum http_method method_of(const char *name)
{
    if (strcmp(name, "GET") == 0) return HTTP_GET;
    return strcmp(name, "POST") == 0 ? HTTP_POST : HTTP_DELETE;
}

static err_t take_answer(struct exchange *x, struct http_answer *ret)
{
    struct http_answer answer = {.status = x->resp.status};
    for (size_t i = 0; i < x->resp.header_count; i++)
        if (strcmp(x->resp.headers[i].name, "ETag") == 0)
            snprintf(answer.etag, sizeof answer.etag, "%.*s",
                     (int) strcspn(x->resp.headers[i].value + 1, "\""),
                     x->resp.headers[i].value + 1);
    if (x->resp.secret_body) answer.body = TAKE_PTR(x->resp.secret_body);
    else TRY(secret_copy(buf_span(&x->resp.body), &answer.body));
    *ret = answer;
    return ERR_OK;
}

static err_t ask_own_api(struct vault *v, const struct vault_request *r, struct http_answer *ret)
{
    const char *query = strchr(r->path, '?');
    size_t len = query ? (size_t) (query - r->path) : strlen(r->path);
    struct exchange x = {.req = {
        .method = method_of(r->method), .method_name = r->method, .path = span_of(r->path, len),
        .query = query ? span_str(query + 1) : span_of(NULL, 0), .has_query = query != NULL,
        .local_admin = true, .each_header = each_header,
        .transport = (void *) (uintptr_t) r->headers,
    }};
    snprintf(x.req.peer, sizeof x.req.peer, "command:uid=%u", (unsigned) getuid());
    struct exchange_handler api = api_handler(v->broker.api);
    struct err e = secret_copy(r->body, &x.req.body);
    if (err_ok(e)) {
        api.head(api.ctx, &x);
        if (x.resp.status == 0 && r->body.len > x.body_limit) api.refuse(api.ctx, &x, 413);
        if (x.resp.status == 0) ENSURE(api.serve(api.ctx, &x)); /* jobs run inline here */
        e = take_answer(&x, ret);
    }
    if (x.user_free) x.user_free(x.user);
    secret_free(x.req.body);
    response_reset(&x.resp);
    return e;
}

struct err vault_send(struct vault *v, const struct vault_request *r, struct http_answer *ret)
{
    struct vault_request whole = *r;
    if (!whole.method) whole.method = "GET";
    if (!v->client) return ask_own_api(v, &whole, ret);
    return http_client_send(v->client, whole.method, r->path, r->headers, r->body, ret);
}

struct err vault_ask(struct vault *v, const struct vault_request *r, const char *what, struct http_answer *ret)
{
    TRY(vault_send(v, r, ret));
    if (ret->status == 200) return ERR_OK;
    struct err e = http_answer_error(ret, what);
    http_answer_free(ret);
    return e;
}
