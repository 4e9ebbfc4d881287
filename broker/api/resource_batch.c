/* Many small resources in one request, read back together: for an import, by the admin socket. The body is
 * one entry after the other, each "LENGTH VERSION NAME" and a line feed, then so many bytes of value.
 * VERSION is the one that it may replace, 0 when there must be none (as If-Match and If-None-Match). */
#include "broker/api/endpoint.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <string.h>

#define LINE_MAX_BYTES (NAME_MAX_BYTES + 44u) /* two numbers of 64 bits, their spaces and the name */

struct batch {
    struct store_batch_put puts[STORE_BATCH_MAX];
    char names[STORE_BATCH_MAX][NAME_MAX_BYTES + 1];
    size_t n;
};

/* A number and the space after it. */
static bool take_number(struct span *line, uint64_t *ret)
{
    const uint8_t *space = line->len ? memchr(line->data, ' ', line->len) : NULL;
    if (!space || !call_read_version(span_of(line->data, (size_t) (space - line->data)), ret)) return false;
    *line = span_of(space + 1, line->len - (size_t) (space + 1 - line->data));
    return true;
}

static bool take_entry(struct span *rest, struct store_put *ret, char name[NAME_MAX_BYTES + 1])
{
    size_t most = rest->len < LINE_MAX_BYTES ? rest->len : LINE_MAX_BYTES;
    const uint8_t *end = memchr(rest->data, '\n', most);
    uint64_t len = 0, version = 0;
    if (!end) return false;
    struct span line = span_of(rest->data, (size_t) (end - rest->data));
    size_t left = rest->len - line.len - 1;
    if (!take_number(&line, &len) || !take_number(&line, &version) || len > left) return false;
    if (line.len > NAME_MAX_BYTES || memchr(line.data, 0, line.len)) return false;
    memcpy(name, line.data, line.len);
    name[line.len] = '\0';
    *ret = (struct store_put){.kind = ENVELOPE_RESOURCE, .name = name, .value = span_of(end + 1, (size_t) len),
                              .has_if_match = true, .if_match = version};
    *rest = span_of(end + 1 + len, left - (size_t) len);
    return true;
}

static err_t read_batch(struct span body, struct batch *ret)
{
    while (body.len) {
        if (ret->n == STORE_BATCH_MAX) FAIL(ERR_USAGE, "a batch is at most %u resources", STORE_BATCH_MAX);
        if (!take_entry(&body, &ret->puts[ret->n].put, ret->names[ret->n]))
            FAIL(ERR_USAGE, "entry %zu of the batch is none: LENGTH VERSION NAME, a line feed, the value", ret->n + 1);
        ret->n++;
    }
    return ERR_OK;
}

/* Each has its record, as if it had come alone. */
static err_t tell_one(struct call *c, const struct store_batch_put *p, struct json_out *o)
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
    if (!told) FAIL(ERR_INTERNAL, "the audit record could not be written");
    return ERR_OK;
}

struct err resource_batch_work(struct call *c)
{
    _cleanup_free_ struct batch *b = calloc(1, sizeof *b);
    if (!b) FAIL(ERR_INTERNAL, "out of memory");
    TRY(read_batch(request_body(&c->x->req), b));
    TRY(store_put_batch(c->api->config.store, b->puts, b->n));
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_key(&o, "results");
    json_begin_array(&o);
    for (size_t i = 0; i < b->n; i++) TRY(tell_one(c, &b->puts[i], &o));
    json_end_array(&o);
    json_end_object(&o);
    return buf_ok(&c->text);
}

void resource_batch_finish(struct call *c, struct err e)
{
    if (err_ok(e)) reply_json(&c->x->resp, &c->text);
    else call_fail(c, "put", e);
}
