/* Many small resources in one request, read back together: for an import, by the admin socket. */
#include "broker/api/endpoint.h"
#include "broker/api/resource_batch_body.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <string.h>

/* Each has its record, as if it had come alone. False: it could not be written. */
static bool tell_one(struct call *c, const struct store_batch_put *p, struct json_out *o)
{
    struct err e = err_load(&p->outcome);
    const char *class = err_ok(e) ? "" : err_class_name(e.code);
    metric_add(&c->api->metrics, METRIC_WRITES);
    if (!err_ok(e)) log_err(e, "request.failed", LOG_S("action", "put"), LOG_S("resource", p->put.name));
    c->version = err_ok(e) ? p->version : 0;
    memcpy(c->name, p->put.name, strlen(p->put.name) + 1);
    json_begin_object(o);
    if (err_ok(e)) json_member_uint(o, "version", p->version);
    else json_member_str(o, "class", class);
    if (!err_ok(e)) json_member_str(o, "detail", err_reason(e));
    json_end_object(o);
    bool told = call_audit(c, "put", err_ok(e) ? "done" : "error", class);
    c->version = 0;
    c->name[0] = '\0';
    return told;
}

struct err resource_batch_work(struct call *c)
{
    _cleanup_free_ struct resource_batch *b = calloc(1, sizeof *b);
    if (!b) FAIL(ERR_INTERNAL, "out of memory");
    TRY(resource_batch_read(request_body(&c->x->req), b));
    TRY(store_put_batch(c->api->config.store, b->puts, b->n));
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_key(&o, "results");
    json_begin_array(&o);
    bool told = true;
    for (size_t i = 0; i < b->n; i++) told &= tell_one(c, &b->puts[i], &o);
    if (!told) FAIL(ERR_INTERNAL, "not all audit records could be written");
    json_end_array(&o);
    json_end_object(&o);
    return buf_ok(&c->text);
}

void resource_batch_finish(struct call *c, struct err e)
{
    if (err_ok(e)) reply_json(&c->x->resp, &c->text);
    else call_fail(c, "put", e);
}
