/* What operators ask of a running broker: lists, status, keys (/strongroom/v1). */
#include "broker/api/endpoint.h"

#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/store/scrub.h"

#include <stdio.h>

/* ---- what went wrong ------------------------------------------------------------------------- */

void operator_fail(struct call *c, const char *action, struct err e)
{
    char detail[ERR_TEXT];
    snprintf(detail, sizeof detail, "%s", err_reason(e));
    call_fail(c, action, e);
    bool plain = e.code == ERR_NOTFOUND || e.code == ERR_CONFLICT || e.code == ERR_DAMAGED ||
                 e.code == ERR_PRECONDITION;
    if (plain && c->x->resp.status != 503)
        reply_error_with(&c->x->resp, call_as_reference(c), reply_error_of(e), detail,
                         call_put_class, &e);
}

bool operator_read_version(const struct call *c, uint64_t *ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    int64_t n = 0;
    if (!err_ok(json_parse(request_body(&c->x->req), &doc))) return false;
    struct json root = json_root(doc);
    if (json_count(root) != 1 || !json_int(json_get(root, "version"), &n) || n < 1) return false;
    *ret = (uint64_t) n;
    return true;
}

#define LIST_MAX (64u << 20) /* bytes of JSON */

/* ---- the list of resources ----------------------------------------------------------------- */

void operator_put_entry(struct json_out *o, const struct store_entry *e)
{
    static const char *const states[] = {"live", "deleted", "damaged"};
    char date[CLOCK_TEXT];
    json_member_str(o, "state", states[e->state]);
    json_member_uint(o, "version", e->version);
    json_member_str(o, "created", clock_rfc3339(e->created, date));
    json_member_uint(o, "size", e->size);
    json_member_uint(o, "kek_generation", e->kek_generation);
    if (e->not_after) json_member_str(o, "not_after", clock_rfc3339(e->not_after, date));
    if (e->not_after) json_member_bool(o, "expired", clock_now() > e->not_after);
    if (e->content_type[0]) json_member_str(o, "content_type", e->content_type);
}

/* Entries on their way out, and the name of the last. */
struct page {
    struct json_out out;
    char last[NAME_MAX_BYTES + 1];
};

static err_t put_entry(void *arg, const struct store_entry *e)
{
    struct page *p = arg;
    json_begin_object(&p->out);
    json_member_str(&p->out, "name", e->name);
    operator_put_entry(&p->out, e);
    json_member_uint(&p->out, "versions", e->versions);
    json_end_object(&p->out);
    snprintf(p->last, sizeof p->last, "%s", e->name);
    return ERR_OK;
}

bool operator_list_decide(struct call *c)
{
    const char *limit = call_query(c, "limit");
    if (!call_path_ends(c, 0)) return true;
    if (!limit || (call_read_version(span_str(limit), &c->wanted) && c->wanted > 0)) return false;
    call_error(c, KBS_BAD_PATH, "limit is a number from 1 on");
    return true;
}

struct err operator_list_work(struct call *c)
{
    struct page p = {.out = JSON_OUT(&c->text)};
    struct store_listing listing = {
        .kind = ENVELOPE_RESOURCE, .prefix = call_query(c, "prefix"), .after = call_query(c, "after"),
        .limit = (size_t) c->wanted, .deleted = call_asks(c, "deleted")};
    bool more = false;
    c->text.max = LIST_MAX;
    json_begin_object(&p.out);
    json_key(&p.out, "resources");
    json_begin_array(&p.out);
    TRY(store_list(c->api->config.store, &listing, put_entry, &p, &more));
    json_end_array(&p.out);
    if (more) json_member_str(&p.out, "next", p.last);
    json_end_object(&p.out);
    return ERR_OK;
}

/* Not audited: it is asked often, and tells no value. */
void operator_list_finish(struct call *c, struct err e)
{
    if (err_ok(e)) e = buf_ok(&c->text);
    if (!err_ok(e)) call_answer_error(c, e);
    else reply_json(&c->x->resp, &c->text);
}

/* ---- reading a value: by the admin socket only, and audited --------------------------------- */

bool operator_read_decide(struct call *c)
{
    struct err e = store_check_name(c->name);
    if (err_ok(e)) return false;
    call_error(c, KBS_BAD_PATH, err_reason(e));
    return true;
}

void operator_read_finish(struct call *c, struct err e)
{
    c->version = c->entry.version;
    if (!err_ok(e)) {
        call_fail(c, "read", e);
        return;
    }
    if (!call_audit(c, "read", "allow", "admin socket")) return;
    reply_empty(&c->x->resp);
    c->x->resp.content_type = "application/octet-stream";
    c->x->resp.secret_body = TAKE_PTR(c->value);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

/* ---- status, and JSON made by token work --------------------------------------------------------- */

bool operator_job_decide(struct call *c)
{
    return !call_path_ends(c, 0);
}

/* As the token told it when last looked at; and how it is now. */
static void put_token(struct p11 *p, struct json_out *o)
{
    struct p11_token_info t = {0};
    struct p11_status s = {0};
    p11_last_info(p, &t);
    p11_status(p, &s);
    json_begin_object(o);
    json_member_str(o, "label", t.label);
    json_member_str(o, "serial", t.serial);
    json_member_str(o, "manufacturer", t.manufacturer);
    json_member_str(o, "model", t.model);
    json_member_str(o, "firmware", t.firmware);
    json_member_bool(o, "pin_count_low", t.pin_count_low);
    json_member_bool(o, "pin_final_try", t.pin_final_try);
    json_member_bool(o, "pin_locked", t.pin_locked);
    health_put_token(&s, o);
    if (s.state != P11_UP) json_member_str(o, "reason", s.reason);
    json_end_object(o);
}

static uint64_t findings_that_hurt(struct store *store)
{
    struct scrub_stats s;
    uint64_t n = 0;
    scrub_stats(store, &s);
    for (unsigned f = 0; f < FAULT_COUNT; f++)
        if (fault_hurts((enum fault) f)) n += s.found[f];
    return n;
}

/* Never waits for the token: that is when it is asked for. */
bool operator_status(struct call *c)
{
    const struct api_config *config = &c->api->config;
    struct store_stats store = {0};
    struct attest_stats guests = {0};
    struct p11_status token = {0};
    if (!call_path_ends(c, 0)) return true;
    store_stats(config->store, &store);
    attest_stats(config->attest, &guests);
    p11_status(config->token, &token);
    c->policy = release_last(c->api->release);
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_member_str(&o, "version", STRONGROOM_VERSION);
    json_key(&o, "token");
    put_token(config->token, &o);
    json_member_bool(&o, "healthy", token.state == P11_UP);
    json_member_bool(&o, "kek", p11_has_kek(config->token));
    json_member_str(&o, "suite", p11_suite_text(config->token));
    json_member_str(&o, "store", p11_place_text(config->token));
    json_member_str(&o, "policy", release_state(c->policy));
    json_member_uint(&o, "policy_version", release_version(c->policy));
    json_member_str(&o, "policy_digest", release_digest(c->policy));
    json_member_uint(&o, "resources", store.live);
    json_member_uint(&o, "deleted", store.deleted);
    json_member_uint(&o, "damaged", store.damaged);
    json_member_uint(&o, "findings", findings_that_hurt(config->store));
    json_member_uint(&o, "foreign_objects", store.foreign);
    json_member_uint(&o, "torn_objects", store.torn);
    json_member_uint(&o, "sessions", guests.sessions);
    json_member_uint(&o, "attested_sessions", guests.attested);
    json_member_bool(&o, "audit", audit_works(config->audit));
    json_member_uint(&o, "audit_failures", audit_failures(config->audit));
    json_member_uint(&o, "locked_bytes_used", secret_used());
    json_member_uint(&o, "locked_bytes", secret_budget());
    json_end_object(&o);
    struct err e = buf_ok(&c->text);
    if (!err_ok(e)) call_fail(c, c->endpoint->name, e);
    else reply_json(&c->x->resp, &c->text);
    return true;
}
