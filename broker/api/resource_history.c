/* The versions of a resource, for operators: list, bring one back, take a deleted name off the token. */
#include "broker/api/endpoint.h"

#include "broker/base/json.h"

#include <stdio.h>

/* False when it was answered: the path names no resource. */
static bool is_named(struct call *c)
{
    struct err e = store_check_name(c->name);
    if (!err_ok(e)) call_error(c, KBS_BAD_PATH, err_reason(e));
    return err_ok(e);
}

/* ---- the list ------------------------------------------------------------------------------ */

struct listing {
    struct call *c;
    struct json_out out;
    bool deleted; /* the newest is a tombstone */
    bool seen;
};

/* The newest first. If-Match is held against the first that has a number, below a tombstone against none. */
static err_t put_version(void *arg, const struct store_entry *e)
{
    struct listing *l = arg;
    l->deleted |= !l->seen && e->state == STORE_DELETED;
    l->seen = true;
    if (!l->deleted && !l->c->version) l->c->version = e->version;
    json_begin_object(&l->out);
    operator_put_entry(&l->out, e);
    json_end_object(&l->out);
    return ERR_OK;
}

bool resource_versions_decide(struct call *c)
{
    return !is_named(c);
}

struct err resource_versions_work(struct call *c)
{
    struct listing l = {.c = c, .out = JSON_OUT(&c->text)};
    json_begin_object(&l.out);
    json_member_str(&l.out, "name", c->name);
    json_key(&l.out, "versions");
    json_begin_array(&l.out);
    TRY(store_list_versions(c->api->config.store, ENVELOPE_RESOURCE, c->name, put_version, &l));
    json_end_array(&l.out);
    json_end_object(&l.out);
    return buf_ok(&c->text);
}

void resource_versions_finish(struct call *c, struct err e)
{
    if (!err_ok(e)) {
        operator_fail(c, "list-versions", e);
        return;
    }
    reply_json(&c->x->resp, &c->text);
    if (c->version) response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

/* ---- bringing one back --------------------------------------------------------------------- */

bool resource_restore_decide(struct call *c)
{
    if (!is_named(c)) return true;
    if (operator_read_version(c, &c->wanted)) return !call_preconditions(c);
    if (call_audit(c, "restore", "error", "refused"))
        call_error(c, KBS_BAD_PATH, "the body is {\"version\": N}, N a number from 1 on");
    return true;
}

struct err resource_restore_work(struct call *c)
{
    struct store_restore restore = {.kind = ENVELOPE_RESOURCE, .name = c->name,
                                    .version = c->wanted, .has_if_match = c->has_if_match,
                                    .if_match = c->if_match};
    return store_restore(c->api->config.store, &restore, &c->version);
}

void resource_restore_finish(struct call *c, struct err e)
{
    char reason[48];
    if (!err_ok(e)) {
        operator_fail(c, "restore", e);
        return;
    }
    snprintf(reason, sizeof reason, "restored version %ju", (uintmax_t) c->wanted);
    if (!call_audit(c, "restore", "done", reason)) return;
    reply_empty(&c->x->resp);
    response_header(&c->x->resp, "ETag", "\"%ju\"", (uintmax_t) c->version);
}

/* ---- taking it off the token --------------------------------------------------------------- */

bool resource_purge_decide(struct call *c)
{
    return !is_named(c);
}

struct err resource_purge_work(struct call *c)
{
    size_t gone = 0;
    TRY(store_purge(c->api->config.store, ENVELOPE_RESOURCE, c->name, &gone));
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_member_uint(&o, "purged", gone);
    json_end_object(&o);
    return buf_ok(&c->text);
}

void resource_purge_finish(struct call *c, struct err e)
{
    if (!err_ok(e)) {
        operator_fail(c, "purge", e);
        return;
    }
    if (call_audit(c, "purge", "done", "")) reply_json(&c->x->resp, &c->text);
}
