#include "broker/api/endpoint.h"
#include "broker/api/verify.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <stdio.h>
#include <string.h>

#define KBS_PREFIX "/kbs/v0/"

/* ---- life ------------------------------------------------------------------------------- */

struct err api_new(const struct api_config *config, struct api **ret)
{
    _cleanup_(api_freep) struct api *a = calloc(1, sizeof *a);
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    a->config = *config;
    if (a->config.value_max == 0) a->config.value_max = VALUE_MAX;
    pthread_mutex_init(&a->ready_lock, NULL);
    snprintf(a->ready_reason, sizeof a->ready_reason, "starting"); /* until the first probe has looked */
    TRY(release_new(config->store, &a->release));
    TRY(appraiser_new(config->store, &a->appraiser));
    release_digest_of(openapi_text(), a->openapi_digest);
    a->upkeep = config->upkeep    ? *config->upkeep
                : config->service ? as_service_upkeep(config->service)
                                  : appraiser_upkeep(a->appraiser);
    if (config->attest) {
        struct attest_appraiser appraiser = appraiser_of(a->appraiser);
        attest_appraise_by(config->attest, &appraiser);
    }
    TRY(recent_new(&a->recent));
    scrub_tell(config->store, verify_record, config->audit);
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

void api_free(struct api *a)
{
    if (!a) return;
    scrub_tell(a->config.store, NULL, NULL);
    recent_free(a->recent);
    appraiser_free(a->appraiser);
    release_free(a->release);
    pthread_mutex_destroy(&a->ready_lock);
    free(a);
}

void api_add_metrics(struct api *a, const struct api_source *source)
{
    atomic_store(&a->source, source);
}

void call_free(void *arg)
{
    struct call *c = arg;
    if (c->counted) metric_take(&c->api->metrics, METRIC_HTTP_ACTIVE);
    route_free(&c->route);
    guest_unref(c->guest);
    attest_challenge_done(&c->challenge);
    secret_free(c->value);
    release_policy_unref(c->policy);
    free(c->errors);
    buf_free(&c->text);
    free(c->warnings);
    free(c);
}

/* ---- what endpoints share ---------------------------------------------------------------- */

void call_error(struct call *c, enum kbs_error error, const char *detail)
{
    reply_error(&c->x->resp, call_as_reference(c), error, detail);
}

/* Whatever else was shown proves nothing. */
static const char *verified_subject(const struct call *c)
{
    const struct peer_certificate *p = c->x->req.certificate;
    return p && p->verified ? p->subject : "";
}

bool call_audit(struct call *c, const char *action, const char *decision, const char *reason)
{
    struct audit_event event = {
        .action = action, .decision = decision, .reason = reason,
        .request_id = c->x->req.id, .peer = c->x->req.peer, .principal = c->principal,
        .stranger = !c->principal[0],
        .certificate = verified_subject(c),
        .resource = c->name, .version = c->version,
        .policy = release_digest(c->policy), .rule = c->rule, .suite = c->entry.suite,
        .tee = c->guest ? guest_tee(c->guest) : "",
        .duration_us = (clock_mono_ns() - c->began) / 1000 + 1, /* a part of one counts as one */
    };
    struct err e = audit_write(c->api->config.audit, &event);
    if (err_ok(e)) return true;
    char detail[2 * ERR_TEXT];
    snprintf(detail, sizeof detail, "%s: %s", strcmp(decision, "done") == 0
             ? "it is done, but cannot be recorded" : "it cannot be recorded, so it is refused", err_text(e));
    log_err(e, "audit.failed", LOG_S("action", action),
            LOG_S("effect", "the request is answered 503: no record, no release"));
    call_error(c, KBS_UNAVAILABLE, c->x->req.local_admin ? detail : NULL);
    return false;
}

void call_put_class(const void *err, struct json_out *o)
{
    const struct err *e = err;
    json_member_str(o, "class", err_class_name(e->code));
}

/* Whoever comes by the admin socket is the one who reads the log; a client over the network gets the
 * class's sentence only. Who writes instead, an operator must know. */
static void answer_error(struct call *c, struct err e, const char *detail)
{
    enum kbs_error error = reply_error_of(e);
    if (c->x->req.local_admin)
        reply_error_with(&c->x->resp, call_as_reference(c), error, detail, call_put_class, &e);
    else call_error(c, error, e.code == ERR_READONLY ? detail : NULL);
}

void call_answer_error(struct call *c, struct err e)
{
    answer_error(c, e, err_text(e));
}

void call_fail(struct call *c, const char *action, struct err e)
{
    char detail[2 * ERR_TEXT];
    snprintf(detail, sizeof detail, "%s", err_text(e)); /* the record below may overwrite it */
    const char *reason = err_class_name(e.code);
    bool usual = e.code == ERR_NOTFOUND || e.code == ERR_PRECONDITION || e.code == ERR_USAGE;
    if (usual || c->api->config.command)
        log_debug_err(e, "request.refused", LOG_S("action", action), LOG_S("resource", c->name));
    else
        log_err(e, "request.failed", LOG_S("action", action), LOG_S("resource", c->name));
    if (err_http_status(e.code) >= 500) metric_add(&c->api->metrics, METRIC_FAILURES);
    if (!call_audit(c, action, e.code == ERR_NOTFOUND ? "missing" : "error", reason)) return;
    answer_error(c, e, detail);
    if (e.code != ERR_TOKEN_DOWN && e.code != ERR_HUMAN) return;
    struct p11_status token = {0};
    p11_status(c->api->config.token, &token);
    reply_retry_after(&c->x->resp, health_retry_seconds(&token));
}

void call_use_upkeep(struct call *c)
{
    if (c->api->config.service) c->pool = c->api->config.service_jobs;
}

const char *call_query(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->route.query_count; i++)
        if (strcmp(c->route.query[i].name, name) == 0) return c->route.query[i].value;
    return NULL;
}

bool call_asks(const struct call *c, const char *name)
{
    const char *value = call_query(c, name);
    return value && (strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
}

bool call_read_version(struct span digits, uint64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned) digits.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
            return false;
    }
    *ret = n;
    return digits.len > 0;
}

/* An ETag of ours, or its number bare. A list, a weak tag or a number beyond 64 bits is none: what we
 * do not understand must not pass for a condition that holds. */
static bool read_etag(const char *text, uint64_t *ret)
{
    size_t len = strlen(text);
    bool quoted = len > 2 && text[0] == '"' && text[len - 1] == '"';
    return call_read_version(span_of(text + quoted, len - 2 * (size_t) quoted), ret);
}

bool call_preconditions(struct call *c)
{
    const char *match = request_header(&c->x->req, "If-Match");
    const char *none = request_header(&c->x->req, "If-None-Match");
    if (!match && !none) return true;
    c->has_if_match = true; /* with version 0, which is none, for If-None-Match: * */
    if (match && !none && read_etag(match, &c->if_match)) return true;
    if (none && !match && strcmp(none, "*") == 0) return true;
    call_error(c, KBS_BAD_PATH, "If-Match wants the version as ETag gives it, such as \"3\"; "
                                "If-None-Match wants *; they exclude each other");
    return false;
}

/* ---- counting ------------------------------------------------------------------------------ */

static void count_request(struct call *c)
{
    c->counted = true;
    metric_add(&c->api->metrics, METRIC_HTTP_REQUESTS);
    metric_add(&c->api->metrics, METRIC_HTTP_ACTIVE);
}

void call_count_answer(struct call *c)
{
    const struct response *r = &c->x->resp;
    struct metrics *m = &c->api->metrics;
    if (!c->counted || c->answered) return;
    c->answered = true;
    metric_observe(m, METRIC_REQUEST_NS, clock_mono_ns() - c->began);
    metric_observe(m, METRIC_REQUEST_BYTES, request_body(&c->x->req).len);
    metric_observe(m, METRIC_RESPONSE_BYTES,
                   r->secret_body ? secret_len(r->secret_body) : r->body.len);
}

bool call_path_ends(struct call *c, size_t more)
{
    if (c->route.segment_count <= c->path_first + more) return true;
    call_error(c, KBS_UNKNOWN_PATH, NULL);
    return false;
}

/* ---- choosing the endpoint ----------------------------------------------------------------- */

/* How many segments this name has, if the route begins with them; else 0. */
static size_t name_segments(const char *name, const struct route *r)
{
    for (size_t n = 0; n < r->segment_count; name++) {
        size_t len = strcspn(name, "/");
        if (!span_eq_str(span_of(name, len), r->segments[n++])) return 0;
        name += len;
        if (!*name) return n;
    }
    return 0;
}

/* The row with the longest name that fits; *ret_segments is its length, 0 when none does. */
static const struct endpoint *find_endpoint(const char *prefix, const struct route *r,
                                            enum http_method method, size_t *ret_segments)
{
    const struct endpoint *found = NULL;
    *ret_segments = 0;
    for (size_t i = 0; i < endpoint_count; i++) {
        const struct endpoint *e = &endpoints[i];
        size_t n = strcmp(e->prefix, prefix) == 0 ? name_segments(e->name, r) : 0;
        if (n == 0 || n < *ret_segments) continue;
        if (n > *ret_segments) found = NULL; /* a shorter name with this method is another thing */
        *ret_segments = n;
        if (e->method == method) found = e;
    }
    return found;
}

/* 405, with the methods that this name has; below /kbs/v0 those of every plugin, as clients know it
 * (kbs-api.md 9.2, 15.17). The reference has a /healthz for GET alone. */
static void refuse_method(struct call *c, const char *prefix, size_t segments)
{
    if (call_as_reference(c) && span_eq_str(c->x->req.path, "/healthz")) {
        call_error(c, KBS_UNKNOWN_PATH, NULL);
        return;
    }
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", ""};
    char allow[64] = "";
    for (size_t i = 0, len = 0; i < endpoint_count && len < sizeof allow; i++) {
        const struct endpoint *e = &endpoints[i];
        if (strcmp(e->prefix, prefix) != 0 || name_segments(e->name, &c->route) != segments) continue;
        len += (size_t) snprintf(allow + len, sizeof allow - len, "%s%s", len ? ", " : "", methods[e->method]);
    }
    call_error(c, KBS_PATH_METHOD, NULL);
    bool kbs = strcmp(prefix, KBS_PREFIX) == 0;
    response_header(&c->x->resp, "Allow", "%s", kbs ? "GET, POST, PUT, DELETE" : allow);
}

static const char *const prefixes[] = {KBS_PREFIX, "/strongroom/v1/", "/"};

/* Parses the path; false when it was answered (404 for what has no such prefix or name). */
static bool route_call(struct call *c)
{
    const struct request *r = &c->x->req;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (!span_starts(r->path, prefixes[i])) continue;
        struct err e = route_parse(r->path, prefixes[i], r->query, &c->route);
        bool kbs = i == 0;
        size_t known = 0; /* segments of the name, when there is such a one with any method */
        const char *name = err_ok(e) ? c->route.segments[0] : "";
        bool whole = prefixes[i][1] != '\0' || c->route.segment_count == 1; /* not /healthz/x */
        if (err_ok(e) && whole) c->endpoint = find_endpoint(prefixes[i], &c->route, r->method, &known);
        c->path_first = known;
        if (c->endpoint) return true;
        if (!err_ok(e) && !kbs) call_error(c, KBS_UNKNOWN_PATH, NULL);
        else if (!err_ok(e)) {
            /* An escaped NUL or an endless path: no name, but 401 first for whoever has no token
             * (kbs-api.md 2.7). */
            static const struct route resource = {.segments = {"resource"}, .segment_count = 1};
            c->endpoint = find_endpoint(prefixes[i], &resource, r->method, &c->path_first);
            if (c->endpoint && c->endpoint->method == HTTP_GET) return true;
            call_error(c, KBS_BAD_PATH, NULL);
        } else if (known > 0 && (r->method == HTTP_HEAD || r->method == HTTP_OTHER || !kbs)) {
            refuse_method(c, prefixes[i], known);
        } else if (kbs) {
            char detail[200], shown[150];
            log_escape(shown, sizeof shown, span_str(name));
            snprintf(detail, sizeof detail, "Plugin %s not found", shown);
            call_error(c, KBS_PLUGIN_NOT_FOUND, detail);
        } else {
            call_error(c, KBS_UNKNOWN_PATH, NULL);
        }
        return false;
    }
    call_error(c, KBS_UNKNOWN_PATH, NULL);
    return false;
}

/* Where in the path the resource's name begins: below `resource`, or `pkcs11/resource` (the same
 * store). One empty segment in front is dropped for `resource`, since trustee-attester sends one
 * (kbs-api.md 1.2); nowhere else, so that policy and ACL see the path that the store reads. */
static void locate_name(struct call *c)
{
    const struct route *r = &c->route;
    bool pkcs11 = strcmp(c->endpoint->name, "pkcs11") == 0;
    c->plugin = c->endpoint->name;
    if (strcmp(c->endpoint->name, "resource") == 0 && r->segment_count == 5 &&
        r->segments[1][0] == '\0')
        c->path_first = 2;
    size_t name_first = c->path_first;
    if (pkcs11) {
        if (r->segment_count < 2 || strcmp(r->segments[1], "resource") != 0) return;
        name_first = 2;
    }
    /* A name that is too long, or none, stays empty here and is refused as a path later. */
    if (!route_join(r, name_first, c->name, sizeof c->name)) c->name[0] = '\0';
}

/* Who may not go on is answered here, before the body is read. */
static void admit(struct call *c)
{
    struct exchange *x = c->x;
    if (!route_call(c)) return;
    locate_name(c);
    switch (c->endpoint->access) {
    case ACCESS_ADMIN_PLUGIN:
    case ACCESS_ADMIN_BUILTIN:
        if (!caller_admin(c)) return;
        break;
    case ACCESS_LOCAL:
        if (!x->req.local_admin) {
            call_error(c, KBS_UNKNOWN_PATH, NULL);
            return;
        }
        snprintf(c->principal, sizeof c->principal, "local:%s", x->req.peer);
        break;
    default: break;
    }
    /* Not authorised yet, and no secret: such bodies get none of the locked memory. */
    x->body_public = c->endpoint->access == ACCESS_OPEN || c->endpoint->access == ACCESS_GUEST;
    x->body_limit = c->endpoint->body_limit == BODY_VALUE ? c->api->config.value_max
                                                          : c->endpoint->body_limit;
}

static void head(void *ctx, struct exchange *x)
{
    struct api *a = ctx;
    struct call *c = calloc(1, sizeof *c);
    if (!c) {
        reply_error(&x->resp, a->config.reference_statuses, KBS_UNAVAILABLE, NULL);
        return;
    }
    c->api = a;
    c->pool = a->config.jobs;
    c->x = x;
    c->began = clock_mono_ns();
    x->user = c;
    x->user_free = call_free;
    if (span_starts(x->req.path, "/kbs")) count_request(c);
    admit(c);
    if (x->resp.status) call_count_answer(c);
}

static bool serve(void *ctx, struct exchange *x)
{
    struct call *c = x->user;
    if (!call_run(c)) return false; /* c may be gone already */
    if (c->if_refused) metric_add(&c->api->metrics, c->if_refused);
    call_count_answer(c);
    return true;
}

static void refuse(void *ctx, struct exchange *x, int status)
{
    struct api *a = ctx;
    enum kbs_error error = status == 413   ? KBS_TOO_LARGE
                           : status == 408 ? KBS_TIMEOUT
                                           : KBS_UNAVAILABLE;
    reply_error(&x->resp, a->config.reference_statuses, error, NULL);
    if (x->user) call_count_answer(x->user);
}

struct exchange_handler api_handler(struct api *a)
{
    return (struct exchange_handler){a, head, serve, refuse};
}
