/* Resources: release to guests, and the operator's put and delete (kbs-api.md 2.6, 6.3). */
#include "broker/api/endpoint.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

/* ---- GET: the release ---------------------------------------------------------------------- */

static void count_decision(struct metrics *m, enum policy_outcome outcome)
{
    metric_add(m, METRIC_POLICY_EVALUATIONS);
    metric_add(m, outcome == POLICY_ALLOW ? METRIC_POLICY_APPROVALS : METRIC_POLICY_VIOLATIONS);
    if (outcome != POLICY_ALLOW && outcome != POLICY_DENY_FALSE) metric_add(m, METRIC_POLICY_ERRORS);
}

/* False, answered: a denial would be told of a policy that nobody has read. */
static bool policy_is_read(struct call *c, const char *action)
{
    c->policy = release_current(c->api->release);
    if (!release_unread(c->policy)) return true;
    if (call_audit(c, action, "error", "the policy cannot be read")) call_error(c, KBS_UNAVAILABLE, NULL);
    return false;
}

bool release_allowed(struct call *c, const char *action)
{
    if (!policy_is_read(c, action)) return false;
    struct policy_pair query[ROUTE_MAX_PAIRS];
    for (size_t i = 0; i < c->route.query_count; i++)
        query[i] = (struct policy_pair){c->route.query[i].name, c->route.query[i].value};
    /* `resource-path` is what follows the plugin's name: with pkcs11 that begins "resource". */
    size_t first = c->path_first < c->route.segment_count ? c->path_first : c->route.segment_count;
    struct policy_request request = {
        .claims = guest_claims(c->guest), .plugin = c->plugin,
        .path = c->route.segments + first, .path_count = c->route.segment_count - first,
        .query = query, .query_count = c->route.query_count,
    };
    struct policy_decision d;
    release_decide(c->api->release, c->policy, &request, &d);
    recent_note(c->api->recent, c->guest, &request, &d);
    count_decision(&c->api->metrics, d.outcome);
    c->rule = d.rule_line;
    if (d.allow) return true;
    /* The guest gets one sentence for all of these: neither text nor reason of a policy is its. */
    log_info("release.denied", LOG_S("resource", c->name), LOG_S("principal", c->principal),
             LOG_S("digest", release_digest(c->policy)), LOG_S("reason", d.reason),
             d.detail[0] ? LOG_S("detail", d.detail) : (struct log_field){0});
    if (call_audit(c, action, "deny", d.reason)) call_error(c, KBS_POLICY_DENY, NULL);
    return false;
}

bool release_has_key(struct call *c, const char *action)
{
    const struct jwe_key *key = NULL;
    struct err e = guest_key(c->guest, &key);
    if (err_ok(e)) return true;
    log_warn_err(e, "release.no-key", LOG_S("principal", c->principal));
    if (call_audit(c, action, "error", "no usable tee-pubkey"))
        call_error(c, e.code == ERR_CRYPTO ? KBS_JWE : KBS_TOKEN_VERIFIER, NULL);
    return false;
}

/* kbs-api.md 2.6: token found, verified, policy, path, existence, key. The key was checked when the
 * token was verified, so it is looked at before the vault is asked. */
bool resource_get_decide(struct call *c)
{
    if (!caller_guest(c) || !release_allowed(c, "release")) return true;
    struct err e = store_check_name(c->name);
    if (!err_ok(e)) {
        if (call_audit(c, "release", "error", "no resource path"))
            call_error(c, KBS_BAD_PATH, NULL);
        return true;
    }
    if (!release_has_key(c, "release")) return true;
    metric_add(&c->api->metrics, METRIC_READS);
    return false;
}

struct err resource_get_work(struct call *c)
{
    return store_get(c->api->config.store, ENVELOPE_RESOURCE, c->name, &c->value, &c->entry);
}

struct err release_close(struct call *c, struct buf *ret_jwe)
{
    _cleanup_secret_ struct secret *value = TAKE_PTR(c->value);
    const struct jwe_key *key = NULL;
    TRY(guest_key(c->guest, &key));
    TRY(jwe_encrypt(key, secret_span(value), ret_jwe));
    return buf_ok(ret_jwe);
}

void resource_get_finish(struct call *c, struct err e)
{
    c->version = c->entry.version;
    _cleanup_buf_ struct buf jwe = BUF_INIT;
    if (err_ok(e)) e = release_close(c, &jwe);
    if (!err_ok(e)) {
        call_fail(c, "release", e);
        return;
    }
    if (!call_audit(c, "release", "allow", "allow is true")) return;
    metric_add(&c->api->metrics, METRIC_RELEASES);
    reply_json(&c->x->resp, &jwe);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

/* PUT takes the guest's path and is then no method of resources (kbs-api.md 8.1). */
bool resource_method_decide(struct call *c)
{
    if (!caller_guest(c)) return true;
    call_error(c, KBS_METHOD, NULL);
    response_header(&c->x->resp, "Allow", "GET, POST, DELETE");
    return true;
}

/* ---- POST and DELETE: the operator --------------------------------------------------------- */

static bool operator_named(struct call *c, const char *action)
{
    struct err e = store_check_name(c->name);
    if (err_ok(e)) return call_preconditions(c);
    if (call_audit(c, action, "error", "no resource path"))
        call_error(c, KBS_BAD_PATH, err_reason(e));
    return false;
}

/* ?not_after=SECONDS (Unix time): behind it the resource is not there. */
static bool read_not_after(struct call *c)
{
    const char *text = call_query(c, "not_after");
    uint64_t n = 0;
    if (!text) return true;
    if (call_read_version(span_str(text), &n) && n <= NOT_AFTER_MAX && (int64_t) n > clock_now()) {
        c->not_after = (int64_t) n;
        return true;
    }
    call_error(c, KBS_BAD_PATH, "not_after is a time to come in Unix seconds, such as 1893456000, "
                                "before the year 10000");
    return false;
}

bool resource_put_decide(struct call *c)
{
    return !operator_named(c, "put") || !read_not_after(c);
}

struct err resource_put_work(struct call *c)
{
    metric_add(&c->api->metrics, METRIC_WRITES);
    struct store_put put = {
        .kind = ENVELOPE_RESOURCE, .name = c->name, .value = request_body(&c->x->req),
        .not_after = c->not_after,
        .has_if_match = c->has_if_match, .if_match = c->if_match,
    };
    return store_put(c->api->config.store, &put, &c->version);
}

static void finish_change(struct call *c, const char *action, struct err e)
{
    if (!err_ok(e)) {
        call_fail(c, action, e);
        return;
    }
    if (!call_audit(c, action, "done", "")) return;
    reply_empty(&c->x->resp);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

void resource_put_finish(struct call *c, struct err e)
{
    finish_change(c, "put", e);
}

bool resource_delete_decide(struct call *c)
{
    return !operator_named(c, "delete");
}

struct err resource_delete_work(struct call *c)
{
    metric_add(&c->api->metrics, METRIC_DELETES);
    return store_delete(c->api->config.store, ENVELOPE_RESOURCE, c->name, c->has_if_match,
                        c->if_match, &c->version);
}

void resource_delete_finish(struct call *c, struct err e)
{
    finish_change(c, "delete", e);
}
