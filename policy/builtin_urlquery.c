/* urlquery.*: application/x-www-form-urlencoded as Go's net/url writes and reads it. */
#include "policy/builtin.h"
#include "policy/json.h"

#include <string.h>

static void escape(struct text *t, const char *s, size_t len)
{
    for (size_t i = 0; i < len && !t->failed; i++) {
        unsigned char c = (unsigned char) s[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c && strchr("-_.~", c));
        if (plain) text_add_char(t, (char) c);
        else if (c == ' ') text_add_char(t, '+');
        else {
            text_add_char(t, '%');
            text_add_hex(t, c, true);
        }
    }
}

const struct value *builtin_urlquery_encode(struct builtin_call *call, const struct value *const *args)
{
    struct text t;
    text_init(&t, call->arena);
    escape(&t, args[0]->string, args[0]->count);
    return builtin_text_end(call, &t);
}

/* A key that is no string counts as its JSON. */
static const struct value *key_text(struct builtin_call *call, const struct value *key)
{
    if (key->kind == VALUE_STRING) return key;
    struct text t;
    text_init(&t, call->arena);
    json_write(&t, key);
    return builtin_text_end(call, &t);
}

static void add_pair(struct text *t, const struct value *key, const struct value *v)
{
    if (t->len > 0) text_add_char(t, '&');
    escape(t, key->string, key->count);
    text_add_char(t, '=');
    escape(t, v->string, v->count);
}

/* A value is a string, or an array or set of strings, each of which gives a pair. */
const struct value *builtin_urlquery_encode_object(struct builtin_call *call, const struct value *const *args)
{
    static const char WRONG[] = "values must be string, array[string], or set[string]";
    struct text t;
    text_init(&t, call->arena);
    for (size_t i = 0; i < args[0]->count; i++) {
        const struct value *key = key_text(call, args[0]->pairs[i].key), *v = args[0]->pairs[i].value;
        if (!key) return NULL;
        if (v->kind == VALUE_STRING) {
            add_pair(&t, key, v);
            continue;
        }
        if (v->kind != VALUE_ARRAY && v->kind != VALUE_SET) return builtin_fail_operand(call, 1, WRONG);
        for (size_t k = 0; k < v->count; k++) {
            if (v->items[k]->kind != VALUE_STRING) return builtin_fail_operand(call, 1, WRONG);
            add_pair(&t, key, v->items[k]);
        }
    }
    return builtin_text_end(call, &t);
}

static const struct value *unescape(struct builtin_call *call, const char *s, size_t len)
{
    struct text t;
    text_init(&t, call->arena);
    for (size_t i = 0; i < len && !t.failed; i++) {
        if (s[i] != '%') {
            text_add_char(&t, s[i] == '+' ? ' ' : s[i]);
            continue;
        }
        size_t left = len - i < 3 ? len - i : 3;
        int high = left == 3 ? hex_digit(s[i + 1]) : -1, low = left == 3 ? hex_digit(s[i + 2]) : -1;
        if (high < 0 || low < 0) return builtin_fail(call, "invalid URL escape \"%.*s\"", (int) left, s + i);
        text_add_char(&t, (char) (high << 4 | low));
        i += 2;
    }
    return builtin_text_end(call, &t);
}

const struct value *builtin_urlquery_decode(struct builtin_call *call, const struct value *const *args)
{
    return unescape(call, args[0]->string, args[0]->count);
}

struct pair {
    const struct value *key, *value;
};

/* One array for each key, values in the order of the text. Charged for keys times pairs. */
static const struct value *collect(struct builtin_call *call, const struct value *keys, const struct pair *pairs,
                                   size_t count)
{
    struct value_builder object;
    value_builder_init(&object, call->arena, VALUE_OBJECT);
    if (!builtin_spend(call, (uint64_t) keys->count * count / 4)) return NULL;
    for (size_t i = 0; i < keys->count; i++) {
        struct value_builder values;
        value_builder_init(&values, call->arena, VALUE_ARRAY);
        for (size_t k = 0; k < count; k++)
            if (value_equal(pairs[k].key, keys->items[i]) && !value_builder_add(&values, pairs[k].value))
                return builtin_halt(call);
        if (!value_builder_put(&object, keys->items[i], builtin_builder_end(call, &values))) return builtin_halt(call);
    }
    return builtin_builder_end(call, &object);
}

/* "a=1&a=2&b" gives {"a": ["1", "2"], "b": [""]}. */
const struct value *builtin_urlquery_decode_object(struct builtin_call *call, const struct value *const *args)
{
    const char *at = args[0]->string, *end = at + args[0]->count;
    struct pair *pairs = NULL;
    size_t count = 0, cap = 0;
    struct value_builder keys;
    value_builder_init(&keys, call->arena, VALUE_SET);
    for (const char *next; at < end; at = next) {
        const char *amp = memchr(at, '&', (size_t) (end - at)), *stop = amp ? amp : end;
        next = amp ? amp + 1 : end;
        if (stop == at) continue;
        if (memchr(at, ';', (size_t) (stop - at))) return builtin_fail(call, "invalid semicolon separator in query");
        const char *equals = memchr(at, '=', (size_t) (stop - at)), *key_end = equals ? equals : stop;
        const char *value = equals ? equals + 1 : stop;
        struct pair p = { .key = unescape(call, at, (size_t) (key_end - at)) };
        p.value = p.key ? unescape(call, value, (size_t) (stop - value)) : NULL;
        if (!p.value) return NULL;
        struct pair *grown = arena_grow(call->arena, pairs, count, &cap, sizeof *pairs);
        if (!grown || !value_builder_add(&keys, p.key)) return builtin_halt(call);
        pairs = grown;
        pairs[count++] = p;
    }
    const struct value *set = builtin_builder_end(call, &keys);
    return set ? collect(call, set, pairs, count) : NULL;
}
