/* POST policy/dry-run: what a policy would decide, with nothing set and nothing released. */
#include "broker/api/diagnostics.h"
#include "broker/api/dry_run_body.h"
#include "broker/api/endpoint.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <stdio.h>

/* One question with what is told of who asked it. Claims are never told, nor what an evaluation says
 * of their values (policy_decision.detail). */
struct question {
    const struct policy_request *request;
    const struct recent_request *recent; /* NULL: it was brought along */
    const char *resource;
};

struct trial {
    struct call *c;
    struct release_policy *active;
    const struct release_policy *candidate; /* NULL: the active one is tried */
    struct json_out out;
    uint64_t end; /* clock_mono_ns */
    size_t requests, evaluated, allowed, now_allowed, now_denied;
    uint64_t seen;
};

static void trial_done(struct trial *t) { release_policy_unref(t->active); }

/* ---- one question ---------------------------------------------------------------------------- */

struct verdict {
    bool known, allow;
    char reason[sizeof ((struct policy_decision *) 0)->reason];
};

static struct verdict ask(struct trial *t, const struct release_policy *p,
                          const struct policy_request *request)
{
    struct policy_decision d;
    struct verdict v = {.known = true};
    release_try(t->c->api->release, p, request, &d);
    v.allow = d.allow;
    snprintf(v.reason, sizeof v.reason, "%s", d.reason);
    return v;
}

/* What the new decision is held against: the policy in force; if that one is tried, what was decided
 * when the request came. */
static struct verdict old_verdict(struct trial *t, const struct question *q)
{
    struct verdict v = {0};
    if (t->candidate) return ask(t, t->active, q->request);
    if (!q->recent) return v;
    v.known = true;
    v.allow = q->recent->allow;
    snprintf(v.reason, sizeof v.reason, "%s", q->recent->reason);
    return v;
}

static void put_verdict(struct json_out *o, const char *name, const char *reason_name,
                        const struct verdict *v)
{
    if (!v->known) return;
    json_member_str(o, name, v->allow ? "allow" : "deny");
    json_member_str(o, reason_name, v->reason);
}

static void put_recent(struct json_out *o, const struct recent_request *r)
{
    char date[CLOCK_TEXT], principal[40];
    snprintf(principal, sizeof principal, "guest:%s", guest_fingerprint(r->guest));
    json_member_str(o, "time", clock_rfc3339(r->request.now_ns / (int64_t) CLOCK_SECOND_NS, date));
    json_member_uint(o, "seen", r->seen);
    json_member_str(o, "principal", principal);
    json_member_str(o, "tee", guest_tee(r->guest));
}

/* Names come from guests, who may write any bytes. */
static void put_name(struct json_out *o, const char *name, const char *text)
{
    char shown[RECENT_TEXT_MAX];
    log_escape(shown, sizeof shown, span_str(text));
    json_member_str(o, name, shown);
}

static void put_decision(struct trial *t, const struct question *q, const struct verdict *old,
                         const struct verdict *new)
{
    json_begin_object(&t->out);
    if (q->recent) put_recent(&t->out, q->recent);
    put_name(&t->out, "plugin", q->request->plugin);
    put_name(&t->out, "resource", q->resource);
    put_verdict(&t->out, "old", "old_reason", old);
    put_verdict(&t->out, "new", "new_reason", new);
    json_member_bool(&t->out, "changed", old->known && old->allow != new->allow);
    json_end_object(&t->out);
}

/* Of recent requests those are told that would be decided otherwise, of those brought along all. */
static void try_one(struct trial *t, const struct question *q)
{
    t->requests++;
    t->seen += q->recent ? q->recent->seen : 1;
    if (clock_mono_ns() > t->end) return; /* counted, not evaluated */
    struct verdict old = old_verdict(t, q);
    struct verdict new = ask(t, t->candidate ? t->candidate : t->active, q->request);
    bool changed = old.known && old.allow != new.allow;
    t->evaluated++;
    t->allowed += new.allow;
    t->now_allowed += changed && new.allow;
    t->now_denied += changed && !new.allow;
    if (changed || !q->recent) put_decision(t, q, &old, &new);
}

/* ---- all of them ------------------------------------------------------------------------------- */

static void join_path(const struct policy_request *r, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < r->path_count; i++) buf_addf(out, "%s%s", i ? "/" : "", r->path[i]);
}

static err_t try_recent(struct trial *t, uint64_t *ret_missed)
{
    _cleanup_(recent_list_done) struct recent_list list = {0};
    _cleanup_buf_ struct buf path = BUF_INIT;
    TRY(recent_list(t->c->api->recent, &list));
    for (size_t i = 0; i < list.count; i++) {
        join_path(&list.items[i].request, &path);
        struct question q = {&list.items[i].request, &list.items[i], buf_str(&path)};
        try_one(t, &q);
    }
    *ret_missed = list.missed;
    return buf_ok(&path);
}

static void put_policies(struct trial *t)
{
    json_key(&t->out, "active");
    json_begin_object(&t->out);
    json_member_str(&t->out, "state", release_state(t->active));
    if (release_version(t->active))
        json_member_uint(&t->out, "version", release_version(t->active));
    json_member_str(&t->out, "digest", release_digest(t->active));
    json_end_object(&t->out);
    if (!t->candidate) return;
    json_key(&t->out, "candidate");
    json_begin_object(&t->out);
    json_member_str(&t->out, "digest", release_digest(t->candidate));
    json_end_object(&t->out);
    const struct rego_errors *warnings = t->c->warnings;
    if (warnings && warnings->count) diagnostics_list("warnings", warnings, &t->out);
}

static void put_counts(struct trial *t)
{
    json_member_uint(&t->out, "requests", t->requests);
    json_member_uint(&t->out, "seen", t->seen);
    json_member_uint(&t->out, "evaluated", t->evaluated);
    json_member_uint(&t->out, "allowed", t->allowed);
    json_member_uint(&t->out, "denied", t->evaluated - t->allowed);
    json_member_uint(&t->out, "changed", t->now_allowed + t->now_denied);
    json_member_uint(&t->out, "now_allowed", t->now_allowed);
    json_member_uint(&t->out, "now_denied", t->now_denied);
}

static err_t try_all(struct trial *t, const struct dry_run_body *body)
{
    uint64_t missed = 0;
    json_begin_object(&t->out);
    put_policies(t);
    json_member_str(&t->out, "source", body->has_requests ? "given" : "recent");
    json_key(&t->out, "decisions");
    json_begin_array(&t->out);
    for (size_t i = 0; i < body->count; i++) {
        struct question q = {&body->requests[i].request, NULL, body->requests[i].resource};
        try_one(t, &q);
    }
    if (!body->has_requests) TRY(try_recent(t, &missed));
    json_end_array(&t->out);
    put_counts(t);
    if (!body->has_requests) json_member_uint(&t->out, "missed", missed);
    json_end_object(&t->out);
    return buf_ok(t->out.buf);
}

/* ---- the endpoint ------------------------------------------------------------------------------ */

bool dry_run_decide(struct call *c)
{
    snprintf(c->name, sizeof c->name, "%s", RELEASE_POLICY_NAME); /* for the record */
    return !call_path_ends(c, 0);
}

/* No token work; but where there are workers they take the evaluations off the event loop. */
struct err dry_run_work(struct call *c)
{
    _cleanup_(dry_run_body_done) struct dry_run_body body = {0};
    TRY(dry_run_body_parse(request_body(&c->x->req), clock_now_ns(), &body));
    c->given = body.has_requests;
    if (body.policy) TRY(policy_compile_text(c, span_str(body.policy)));
    _cleanup_(trial_done) struct trial t = {
        .c = c, .active = release_current(c->api->release), .candidate = c->policy,
        .out = JSON_OUT(&c->text),
        .end = clock_mono_ns() + DRY_RUN_MS * (CLOCK_SECOND_NS / 1000),
    };
    TRY(try_all(&t, &body));
    if (!c->policy) c->policy = TAKE_PTR(t.active); /* for the record: which one was tried */
    return ERR_OK;
}

static void refuse(struct call *c, struct err e)
{
    char detail[ERR_TEXT];
    snprintf(detail, sizeof detail, "%s", err_text(e));
    if (call_audit(c, "policy-dry-run", "error", "refused")) call_error(c, KBS_POLICY_PARSE, detail);
}

void dry_run_finish(struct call *c, struct err e)
{
    if (e.code == ERR_USAGE && c->errors) policy_refuse_text(c, "policy-dry-run", e);
    else if (e.code == ERR_USAGE) refuse(c, e);
    else if (!err_ok(e)) call_fail(c, "policy-dry-run", e);
    else if (call_audit(c, "policy-dry-run", "done", c->given ? "given requests" : "recent requests"))
        reply_json(&c->x->resp, &c->text);
}
