#include "broker/attest/reference_values.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "policy/json.h"
#include "policy/policy_claims.h"
#include "policy/value.h"

#define WHAT "the reference value message"

struct reference_values {
    struct policy_claims *text;
    const struct value *values; /* name -> {"value", "expires"} */
};

/* ---- a set --------------------------------------------------------------------------------- */

void reference_values_free(struct reference_values *v)
{
    if (!v) return;
    policy_claims_free(v->text);
    free(v);
}

static err_t check_entry(const struct value *name, const struct value *entry)
{
    const struct value *expires = object_get_z(entry, "expires");
    int64_t n = 0;
    if (name->count == 0 || name->count > REFERENCE_NAME_MAX || strlen(name->string) != name->count)
        FAIL(ERR_USAGE, "the name of a reference value has 1 to %u bytes, none of them 0",
             REFERENCE_NAME_MAX);
    if (!object_get_z(entry, "value") || !value_is(expires, VALUE_NUMBER) ||
        !num_to_i64(expires->number, &n) || n < 0)
        FAIL(ERR_USAGE, "reference value \"%.60s\" has no value or no time", name->string);
    return ERR_OK;
}

static err_t check_set(const struct value *values)
{
    if (!value_is(values, VALUE_OBJECT)) FAIL(ERR_USAGE, "the reference values are no object");
    if (values->count > REFERENCE_VALUES_MAX)
        FAIL(ERR_TOOLARGE, "there are %u reference values; the limit is %u", values->count,
             REFERENCE_VALUES_MAX);
    for (size_t i = 0; i < values->count; i++) {
        if (!value_is(values->pairs[i].value, VALUE_OBJECT))
            FAIL(ERR_USAGE, "a reference value is no object");
        TRY(check_entry(values->pairs[i].key, values->pairs[i].value));
    }
    return ERR_OK;
}

struct err reference_values_parse(struct span text, struct reference_values **ret)
{
    struct policy_claims_error why = {0};
    if (text.len > REFERENCE_VALUES_BYTES)
        FAIL(ERR_TOOLARGE, "the reference values take %zu bytes; the limit is %u", text.len,
             REFERENCE_VALUES_BYTES);
    _cleanup_(reference_values_freep) struct reference_values *v = calloc(1, sizeof *v);
    if (!v) FAIL(ERR_INTERNAL, "out of memory");
    v->text = policy_claims_new((const char *) text.data, text.len, &why);
    if (!v->text) FAIL(ERR_USAGE, "the reference values, byte %zu: %s", why.offset, why.text);
    v->values = object_get_z(policy_claims_value(v->text), "values");
    TRY(check_set(v->values));
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

size_t reference_values_count(const struct reference_values *v) { return v->values->count; }

/* ---- looking up ---------------------------------------------------------------------------- */

static int64_t expires_at(const struct value *entry)
{
    int64_t n = 0;
    num_to_i64(object_get_z(entry, "expires")->number, &n); /* checked when it was parsed */
    return n;
}

static bool is_expired(const struct value *entry, int64_t now)
{
    int64_t expires = expires_at(entry);
    return expires != 0 && expires <= now;
}

const struct value *reference_values_find(const struct reference_values *v, const char *name,
                                          size_t len, int64_t now)
{
    const struct value key = value_key(name, len);
    const struct value *entry = object_get(v->values, &key);
    return entry && !is_expired(entry, now) ? object_get_z(entry, "value") : NULL;
}

/* As JSON text; the value was JSON text once, so it takes about as many bytes. */
static err_t put_value(const struct value *v, struct buf *ret)
{
    struct arena *a = arena_new(8u * REFERENCE_VALUES_BYTES);
    struct text t;
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    text_init(&t, a);
    json_write(&t, v);
    const char *text = text_end(&t);
    if (text) buf_add(ret, text, t.len);
    else ret->failed = true;
    arena_free(a);
    return buf_ok(ret);
}

struct err reference_values_query(const struct reference_values *v, const char *name, int64_t now,
                                  struct buf *ret)
{
    const struct value *found = reference_values_find(v, name, strlen(name), now);
    if (!found) FAIL(ERR_NOTFOUND, "No reference value found for the given id: %s", name);
    return put_value(found, ret);
}

struct err reference_values_list(const struct reference_values *v, int64_t now, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_key(&o, "values");
    json_begin_array(&o);
    for (size_t i = 0; i < v->values->count; i++) {
        const struct value *name = v->values->pairs[i].key, *entry = v->values->pairs[i].value;
        _cleanup_buf_ struct buf text = BUF_INIT;
        TRY(put_value(object_get_z(entry, "value"), &text));
        json_begin_object(&o);
        json_member_span(&o, "name", span_of(name->string, name->count));
        json_member_raw(&o, "value", buf_span(&text));
        json_member_int(&o, "expires", expires_at(entry));
        json_member_bool(&o, "expired", is_expired(entry, now));
        json_end_object(&o);
    }
    json_end_array(&o);
    json_end_object(&o);
    return buf_ok(ret);
}

/* ---- registering --------------------------------------------------------------------------- */

/* What a message says. */
struct message {
    struct json_doc *doc, *payload_doc;
    struct json payload; /* an object */
    int64_t expires;
    bool replace;        /* what was there before goes */
};

static void message_done(struct message *m)
{
    json_free(m->payload_doc);
    json_free(m->doc);
}

static err_t read_message(struct span text, int64_t now, struct message *m)
{
    const char *version = NULL, *type = NULL, *encoded = NULL;
    _cleanup_buf_ struct buf payload = {.max = REFERENCE_VALUES_BYTES};
    TRYC(json_parse(text, &m->doc), WHAT);
    struct json root = json_root(m->doc), expires = json_get(root, "expires");
    TRY(json_need_string(root, "version", WHAT, &version));
    TRY(json_need_string(root, "type", WHAT, &type));
    TRY(json_need_string(root, "payload", WHAT, &encoded));
    if (strcmp(version, "0.1.0") != 0)
        FAIL(ERR_USAGE, "the message is of version %.20s; 0.1.0 is known", version);
    if (strcmp(type, "sample") != 0)
        FAIL(ERR_USAGE, "the message is of type %.40s; \"sample\" is known", type);
    m->expires = now + REFERENCE_VALUE_SECONDS;
    if (json_present(expires) &&
        (!json_int(expires, &m->expires) || (m->expires != 0 && m->expires <= now)))
        FAIL(ERR_USAGE, "\"expires\" is a time to come in Unix seconds, or 0 for never");
    if (json_present(json_get(root, "replace")) &&
        !json_bool(json_get(root, "replace"), &m->replace))
        FAIL(ERR_USAGE, "\"replace\" is true or false");
    TRYC(b64_decode(span_str(encoded), &payload), "the payload is not padded standard base64");
    TRYC(json_parse(buf_span(&payload), &m->payload_doc), "the payload");
    m->payload = json_root(m->payload_doc);
    if (json_type(m->payload) != JSON_OBJECT)
        FAIL(ERR_USAGE, "the payload is no JSON object of names and values");
    return ERR_OK;
}

static void put_entry(struct json_out *o, const char *name, struct span value, int64_t expires)
{
    json_key(o, name);
    json_begin_object(o);
    json_member_raw(o, "value", value);
    json_member_int(o, "expires", expires);
    json_end_object(o);
}

static err_t put_kept(struct json_out *o, const struct reference_values *old, const struct message *m,
                      int64_t now)
{
    for (size_t i = 0; i < old->values->count; i++) {
        const struct value *name = old->values->pairs[i].key, *entry = old->values->pairs[i].value;
        if (json_present(json_get(m->payload, name->string)) || is_expired(entry, now)) continue;
        _cleanup_buf_ struct buf text = BUF_INIT;
        TRY(put_value(object_get_z(entry, "value"), &text));
        put_entry(o, name->string, buf_span(&text), expires_at(entry));
    }
    return ERR_OK;
}

struct err reference_values_register(const struct reference_values *old, struct span message,
                                     int64_t now, struct buf *ret)
{
    _cleanup_(message_done) struct message m = {0};
    _cleanup_(reference_values_freep) struct reference_values *checked = NULL;
    TRY(read_message(message, now, &m));
    size_t before = ret->len;
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_key(&o, "values");
    json_begin_object(&o);
    if (!old && !m.replace)
        FAIL(ERR_DAMAGED, "the reference values that are stored cannot be read; a message with "
             "\"replace\": true begins anew");
    if (!m.replace) TRY(put_kept(&o, old, &m, now));
    for (struct json v = json_first(m.payload); json_present(v); v = json_next(v))
        if (json_type(v) != JSON_NULL)
            put_entry(&o, json_name(v), json_text(v), m.expires);
    json_end_object(&o);
    json_end_object(&o);
    TRY(buf_ok(ret));
    return reference_values_parse(span_of(ret->data + before, ret->len - before), &checked);
}
