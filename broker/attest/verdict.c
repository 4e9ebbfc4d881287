#include "broker/attest/verdict.h"

#include "policy/json.h"
#include "policy/value.h"

#define EXTENSION_MAX ((size_t) 1 << 20) /* bytes of the extensions as text */

/* ---- claims -------------------------------------------------------------------------------- */

static err_t set_claim(const struct value *name, const struct value *number, struct ear_vector *v)
{
    if (!value_is(name, VALUE_STRING)) FAIL(ERR_USAGE, "trust_claims has a key that is no string");
    enum ear_claim claim = ear_claim_from(name->string, name->count);
    if (claim == EAR_CLAIM_COUNT)
        FAIL(ERR_USAGE, "trust_claims has \"%.40s\", which is no claim; they are instance-identity, "
             "configuration, executables, file-system, hardware, runtime-opaque, storage-opaque and "
             "sourced-data", name->string);
    int64_t n = 0;
    if (!value_is(number, VALUE_NUMBER) || !num_to_i64(number->number, &n) || n < INT8_MIN ||
        n > INT8_MAX)
        FAIL(ERR_USAGE, "trust_claims gives %s a value that is no integer from -128 to 127",
             ear_claim_name(claim));
    v->value[claim] = (int8_t) n;
    return ERR_OK;
}

static err_t read_claims(const struct value *claims, struct ear_vector *ret)
{
    if (!claims) return ERR_OK;
    if (!value_is(claims, VALUE_OBJECT))
        FAIL(ERR_USAGE, "trust_claims is no object but of type %s", value_kind_name(claims->kind));
    if (claims->count == 0) FAIL(ERR_USAGE, "trust_claims is empty; it claims nothing");
    for (size_t i = 0; i < claims->count; i++)
        TRY(set_claim(claims->pairs[i].key, claims->pairs[i].value, ret));
    return ERR_OK;
}

/* ---- extensions ---------------------------------------------------------------------------- */

static err_t check_extension(const struct value *list, size_t at)
{
    const struct value *e = list->items[at], *name = object_get_z(e, "name"), *key;
    int64_t n = 0;
    if (!value_is(name, VALUE_STRING) || name->count == 0)
        FAIL(ERR_USAGE, "an extension has no name");
    key = object_get_z(e, "key");
    if (!value_is(key, VALUE_NUMBER) || !num_to_i64(key->number, &n) || !object_get_z(e, "value"))
        FAIL(ERR_USAGE, "extension \"%.60s\" needs \"key\", an integer, and \"value\"", name->string);
    if (ear_member_reserved(name->string) || strlen(name->string) != name->count)
        FAIL(ERR_USAGE, "an extension cannot be called \"%.60s\"", name->string);
    for (size_t i = 0; i < at; i++)
        if (value_equal(object_get_z(list->items[i], "name"), name))
            FAIL(ERR_USAGE, "there are two extensions \"%.60s\"", name->string);
    return ERR_OK;
}

static err_t put_extensions(const struct value *list, struct arena *a, struct buf *ret)
{
    struct text t;
    text_init(&t, a);
    for (size_t i = 0; i < list->count; i++) {
        if (!value_is(list->items[i], VALUE_OBJECT)) FAIL(ERR_USAGE, "an extension is no object");
        TRY(check_extension(list, i));
        if (i) text_add_char(&t, ',');
        json_write(&t, object_get_z(list->items[i], "name"));
        text_add_char(&t, ':');
        json_write(&t, object_get_z(list->items[i], "value"));
    }
    const char *text = text_end(&t);
    if (!text) FAIL(ERR_USAGE, "the extensions are larger than a token can be");
    buf_add(ret, text, t.len);
    return buf_ok(ret);
}

static err_t read_extensions(const struct value *list, struct buf *ret)
{
    if (!list) return ERR_OK;
    if (!value_is(list, VALUE_ARRAY))
        FAIL(ERR_USAGE, "extensions is no array but of type %s", value_kind_name(list->kind));
    if (list->count > VERDICT_EXTENSIONS_MAX)
        FAIL(ERR_USAGE, "there are %u extensions; the limit is %u", list->count,
             VERDICT_EXTENSIONS_MAX);
    struct arena *a = arena_new(EXTENSION_MAX);
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = put_extensions(list, a, ret);
    arena_free(a);
    return e;
}

struct err verdict_from(const struct value *trust_claims, const struct value *extensions,
                        struct ear_verdict *ret)
{
    _cleanup_(ear_verdict_done) struct ear_verdict v = {0};
    TRY(read_claims(trust_claims, &v.vector));
    TRY(read_extensions(extensions, &v.extensions));
    *ret = v;
    v = (struct ear_verdict){0};
    return ERR_OK;
}
