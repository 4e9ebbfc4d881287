/* Key-encryption keys, for operators: list, make, move what lies under old ones, remove. */
#include "broker/api/endpoint.h"

#include "broker/base/json.h"

#include <stdio.h>

static void put_kek(struct json_out *o, const struct p11_kek_info *k)
{
    char id[2 * ENVELOPE_KEK_ID + 1];
    hex_encode(span_of(k->id, ENVELOPE_KEK_ID), id);
    json_begin_object(o);
    json_member_str(o, "label", k->label);
    json_member_uint(o, "generation", k->generation);
    json_member_str(o, "id", id);
    json_member_bool(o, "active", k->active);
    json_member_bool(o, "sound", k->sound);
    json_member_bool(o, "canary_ok", k->canary_ok);
    json_member_bool(o, "sensitive", k->sensitive);
    json_member_bool(o, "extractable", k->extractable);
    json_member_bool(o, "never_extractable", k->never_extractable);
    json_end_object(o);
}

struct err kek_list_work(struct call *c)
{
    struct p11_kek_info keks[KEK_MAX];
    size_t count = 0;
    TRY(p11_kek_list(c->api->config.token, keks, KEK_MAX, &count));
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_key(&o, "keks");
    json_begin_array(&o);
    for (size_t i = 0; i < count; i++) put_kek(&o, &keks[i]);
    json_end_array(&o);
    json_end_object(&o);
    return ERR_OK;
}

struct err kek_create_work(struct call *c)
{
    struct p11_kek_info kek = {0};
    TRY(store_check_writer(c->api->config.store));
    TRY(p11_kek_create(c->api->config.token, call_asks(c, "next"), &kek));
    if (!call_audit(c, "kek-create", "done", kek.label))
        FAIL(ERR_INTERNAL, "the key was made, but its audit record could not be written");
    struct json_out o = JSON_OUT(&c->text);
    put_kek(&o, &kek);
    return ERR_OK;
}

/* ---- rotation ------------------------------------------------------------------------------ */

/* ?limit=N of a rewrap, ?generation=N of a removal. */
bool kek_number_decide(struct call *c)
{
    bool removal = c->endpoint->method == HTTP_DELETE;
    if (!call_path_ends(c, 0)) return true;
    const char *text = call_query(c, removal ? "generation" : "limit");
    if (text && call_read_version(span_str(text), &c->wanted) && c->wanted <= UINT32_MAX) return false;
    call_error(c, KBS_BAD_PATH, removal ? "say which one: ?generation=N" : "say how many: ?limit=N");
    return true;
}

struct err kek_rewrap_work(struct call *c)
{
    struct store_rewrapped r = {0};
    char reason[80];
    TRY(store_rewrap(c->api->config.store, (size_t) c->wanted, &r));
    snprintf(reason, sizeof reason, "%zu objects to generation %u, %zu left", r.moved, r.generation,
             r.left);
    if (r.moved && !call_audit(c, "kek-rewrap", "done", reason))
        FAIL(ERR_INTERNAL, "the audit record could not be written");
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_member_uint(&o, "generation", r.generation);
    json_member_uint(&o, "moved", r.moved);
    json_member_uint(&o, "left", r.left);
    json_member_uint(&o, "failed", r.failed);
    json_member_uint(&o, "unreadable", r.unreadable);
    json_end_object(&o);
    return ERR_OK;
}

struct err kek_remove_work(struct call *c)
{
    char reason[40];
    TRY(store_drop_key(c->api->config.store, (uint32_t) c->wanted));
    snprintf(reason, sizeof reason, "generation %ju", (uintmax_t) c->wanted);
    if (!call_audit(c, "kek-remove", "done", reason))
        FAIL(ERR_INTERNAL, "the key was removed, but its audit record could not be written");
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_member_uint(&o, "removed", c->wanted);
    json_end_object(&o);
    return ERR_OK;
}

void kek_finish(struct call *c, struct err e)
{
    static const struct { err_t (*work)(struct call *c); const char *action; } actions[] = {
        {kek_list_work, "keks"}, {kek_create_work, "kek-create"}, {kek_rewrap_work, "kek-rewrap"},
        {kek_remove_work, "kek-remove"},
    };
    size_t i = 0;
    while (actions[i].work != c->endpoint->work) i++;
    if (err_ok(e)) e = buf_ok(&c->text);
    if (err_ok(e)) reply_json(&c->x->resp, &c->text);
    else call_fail(c, actions[i].action, e);
}
