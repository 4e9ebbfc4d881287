/* The release policy's text and its versions, for operators: read back, list, roll back. */
#include "broker/api/diagnostics.h"
#include "broker/api/endpoint.h"

#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/log.h"

#include <stdio.h>

static bool path_ends(struct call *c, size_t more)
{
    snprintf(c->name, sizeof c->name, "%s", RELEASE_POLICY_NAME); /* for the record */
    return call_path_ends(c, more);
}

/* ---- reading a text ------------------------------------------------------------------------ */

bool policy_read_decide(struct call *c)
{
    return !path_ends(c, 0);
}

struct err policy_read_work(struct call *c)
{
    struct store *store = c->api->config.store;
    if (c->wanted)
        return store_get_version(store, ENVELOPE_POLICY, c->name, c->wanted, &c->value, &c->entry);
    return store_get(store, ENVELOPE_POLICY, c->name, &c->value, &c->entry);
}

void policy_read_finish(struct call *c, struct err e)
{
    if (!err_ok(e)) {
        operator_fail(c, "read-policy", e);
        return;
    }
    char digest[17] = "";
    release_digest_of(secret_span(c->value), digest);
    reply_empty(&c->x->resp);
    c->x->resp.content_type = "text/plain; charset=utf-8";
    c->x->resp.secret_body = TAKE_PTR(c->value);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->entry.version);
    response_header(&c->x->resp, "Strongroom-Policy-Digest", "%s", digest);
}

/* ---- the list, and one of it --------------------------------------------------------------- */

struct listing {
    struct call *c;
    struct json_out out;
    size_t count;
    bool has_etag;
};

/* The text is read for its digest, which is by what records name it. Then it is also known whether it
 * verifies, which a list alone does not tell. */
static err_t put_version(void *arg, const struct store_entry *entry)
{
    static const char *const states[] = {"live", "deleted", "damaged"};
    struct listing *l = arg;
    struct store_entry e = *entry;
    char date[CLOCK_TEXT], digest[17] = "";
    _cleanup_secret_ struct secret *text = NULL;
    if (e.state != STORE_DELETED && e.version > 0) {
        struct err got = store_get_version(l->c->api->config.store, e.kind, e.name, e.version,
                                           &text, NULL);
        if (got.code == ERR_NOTFOUND) return ERR_OK; /* it went meanwhile: somebody writes */
        e.state = got.code == ERR_DAMAGED ? STORE_DAMAGED : STORE_LIVE;
        if (e.state == STORE_LIVE) TRY(got);
    }
    bool first = l->count++ == 0;
    if (first && e.state == STORE_DELETED) l->has_etag = true; /* there is none to match */
    if (!l->has_etag && e.version > 0) { /* what If-Match is held against (write.c) */
        l->c->version = e.version;
        l->has_etag = true;
    }
    json_begin_object(&l->out);
    json_member_uint(&l->out, "version", e.version);
    json_member_bool(&l->out, "current", first);
    json_member_str(&l->out, "state", states[e.state]);
    if (e.created) json_member_str(&l->out, "created", clock_rfc3339(e.created, date));
    json_member_uint(&l->out, "size", e.size);
    if (text) {
        release_digest_of(secret_span(text), digest);
        json_member_str(&l->out, "digest", digest);
    }
    json_end_object(&l->out);
    return ERR_OK;
}

static err_t list_versions(struct call *c)
{
    struct listing l = {.c = c, .out = JSON_OUT(&c->text)};
    json_begin_object(&l.out);
    json_key(&l.out, "versions");
    json_begin_array(&l.out);
    struct err e = store_list_versions(c->api->config.store, ENVELOPE_POLICY, c->name, put_version,
                                       &l);
    if (e.code != ERR_NOTFOUND) TRY(e); /* none was ever set: an empty list */
    json_end_array(&l.out);
    json_end_object(&l.out);
    return buf_ok(&c->text);
}

bool policy_read_wanted(struct call *c, size_t at)
{
    if (c->route.segment_count <= at) return true;
    if (call_read_version(span_str(c->route.segments[at]), &c->wanted) && c->wanted > 0)
        return true;
    call_error(c, KBS_BAD_PATH, "a version is a number from 1 on, such as policy/versions/3");
    return false;
}

bool policy_versions_decide(struct call *c)
{
    return !path_ends(c, 1) || !policy_read_wanted(c, c->path_first);
}

struct err policy_versions_work(struct call *c)
{
    return c->wanted ? policy_read_work(c) : list_versions(c);
}

void policy_versions_finish(struct call *c, struct err e)
{
    if (c->wanted || !err_ok(e)) {
        policy_read_finish(c, e);
        return;
    }
    reply_json(&c->x->resp, &c->text);
    if (c->version) response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

/* ---- rolling back -------------------------------------------------------------------------- */

bool policy_rollback_decide(struct call *c)
{
    if (!path_ends(c, 0)) return true;
    if (operator_read_version(c, &c->wanted)) return !call_preconditions(c);
    if (call_audit(c, "rollback-policy", "error", "refused"))
        call_error(c, KBS_POLICY_PARSE,
                   "the body of a rollback is {\"version\": N}, N a number from 1 on");
    return true;
}

static err_t compile(void *arg, struct span text)
{
    return policy_compile_text(arg, text);
}

/* Compiled before it is written: what this broker does not understand would deny all. */
struct err policy_rollback_work(struct call *c)
{
    struct store_restore restore = {
        .kind = ENVELOPE_POLICY, .name = c->name, .version = c->wanted, .check = compile, .arg = c,
        .has_if_match = c->has_if_match, .if_match = c->if_match,
    };
    TRY(store_restore(c->api->config.store, &restore, &c->version));
    policy_put_in_force(c);
    return ERR_OK;
}

void policy_reply_rolled_back(struct call *c, const char *digest)
{
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_member_uint(&o, "version", c->version);
    json_member_uint(&o, "restored", c->wanted);
    json_member_str(&o, "digest", digest);
    if (c->warnings && c->warnings->count) diagnostics_list("warnings", c->warnings, &o);
    json_end_object(&o);
    reply_json(&c->x->resp, &c->text);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

void policy_rollback_finish(struct call *c, struct err e)
{
    char reason[48];
    if (!err_ok(e)) {
        if (e.code == ERR_USAGE && c->errors) policy_refuse_text(c, "rollback-policy", e);
        else operator_fail(c, "rollback-policy", e);
        return;
    }
    const char *digest = release_digest(c->policy);
    snprintf(reason, sizeof reason, "restored version %ju", (uintmax_t) c->wanted);
    log_info("policy.rolled-back", LOG_U("version", c->version), LOG_U("restored", c->wanted),
             LOG_S("digest", digest), LOG_S("principal", c->principal));
    if (call_audit(c, "rollback-policy", "done", reason)) policy_reply_rolled_back(c, digest);
}
