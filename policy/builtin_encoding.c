/* base64, base64url, hex and json: texts to texts. Decoders keep whatever bytes they find. */
#include "policy/builtin.h"
#include "policy/json.h"

#include <string.h>

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- base64 ---- */

static const struct value *encode64(struct builtin_call *call, const struct value *s, const char *alphabet, bool pad)
{
    struct text t;
    text_init(&t, call->arena);
    for (size_t i = 0; i < s->count && !t.failed; i += 3) {
        size_t have = s->count - i < 3 ? s->count - i : 3;
        unsigned char in[3] = { 0 };
        memcpy(in, s->string + i, have);
        uint32_t bits = (uint32_t) in[0] << 16 | (uint32_t) in[1] << 8 | in[2];
        char out[4];
        for (size_t k = 0; k < 4; k++) out[k] = k <= have ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
        text_add(&t, out, pad ? 4 : have + 1);
    }
    return builtin_text_end(call, &t);
}

static int digit64(const char *alphabet, char c)
{
    const char *at = c ? memchr(alphabet, c, 64) : NULL;
    return at ? (int) (at - alphabet) : -1;
}

struct decoder64 {
    const char *alphabet;
    bool padded;
    const char *s;
    size_t len, at;
    struct text out;
};

static void skip_newlines(struct decoder64 *d)
{
    while (d->at < d->len && (d->s[d->at] == '\n' || d->s[d->at] == '\r')) d->at++;
}

/* The padding after `have` digits of the last group; `at` stands on the first '='. */
static bool padding64(struct decoder64 *d, size_t have)
{
    if (!d->padded || have < 2) return false;
    d->at++;
    if (have == 2) {
        skip_newlines(d);
        if (d->at == d->len || d->s[d->at] != '=') return false;
        d->at++;
    }
    skip_newlines(d);
    return d->at == d->len;
}

/* Go's decoder: new lines are skipped, bits behind the last byte ignored. False: `at` is the bad byte. */
static bool decode64(struct decoder64 *d)
{
    for (bool last = false; !last;) {
        uint32_t bits = 0;
        size_t have = 0;
        while (have < 4) {
            skip_newlines(d);
            if (d->at == d->len) {
                last = true;
                if (have == 0) return true;
                if (d->padded || have == 1) return d->at -= have, false;
                break;
            }
            int digit = digit64(d->alphabet, d->s[d->at]);
            if (digit < 0) {
                last = true;
                if (d->s[d->at] != '=' || !padding64(d, have)) return false;
                break;
            }
            bits = bits << 6 | (uint32_t) digit;
            have++;
            d->at++;
        }
        bits <<= 6 * (4 - have);
        for (size_t i = 0; i + 1 < have; i++) text_add_char(&d->out, (char) (bits >> (16 - 8 * i)));
    }
    return true;
}

const struct value *builtin_base64_encode(struct builtin_call *call, const struct value *const *args)
{
    return encode64(call, args[0], BASE64, true);
}

const struct value *builtin_base64url_encode(struct builtin_call *call, const struct value *const *args)
{
    return encode64(call, args[0], BASE64URL, true);
}

const struct value *builtin_base64url_encode_no_pad(struct builtin_call *call, const struct value *const *args)
{
    return encode64(call, args[0], BASE64URL, false);
}

static struct decoder64 decoder(struct builtin_call *call, const struct value *s, const char *alphabet)
{
    struct decoder64 d = { .alphabet = alphabet, .padded = true, .s = s->string, .len = s->count };
    text_init(&d.out, call->arena);
    return d;
}

static const struct value *decoded(struct builtin_call *call, struct decoder64 d)
{
    if (!builtin_spend(call, d.len / 8)) return NULL;
    if (!decode64(&d)) return builtin_fail(call, "illegal base64 data at input byte %zu", d.at);
    return builtin_text_end(call, &d.out);
}

const struct value *builtin_base64_decode(struct builtin_call *call, const struct value *const *args)
{
    return decoded(call, decoder(call, args[0], BASE64));
}

const struct value *builtin_base64_is_valid(struct builtin_call *call, const struct value *const *args)
{
    if (args[0]->kind != VALUE_STRING) return value_bool(false);
    struct decoder64 d = decoder(call, args[0], BASE64);
    bool valid = decode64(&d);
    return builtin_spend(call, d.len / 4) ? value_bool(valid) : NULL;
}

/* Padding is optional here. */
const struct value *builtin_base64url_decode(struct builtin_call *call, const struct value *const *args)
{
    struct decoder64 d = decoder(call, args[0], BASE64URL);
    d.padded = d.len > 0 && d.s[d.len - 1] == '=';
    if (!d.padded && d.len % 4 == 1) return builtin_fail(call, "illegal base64url string: %.200s", d.s);
    return decoded(call, d);
}

/* ---- hex ---- */

const struct value *builtin_hex_encode(struct builtin_call *call, const struct value *const *args)
{
    struct text t;
    text_init(&t, call->arena);
    for (size_t i = 0; i < args[0]->count && !t.failed; i++) {
        unsigned char c = (unsigned char) args[0]->string[i];
        text_add_char(&t, "0123456789abcdef"[c >> 4]);
        text_add_char(&t, "0123456789abcdef"[c & 15]);
    }
    return builtin_text_end(call, &t);
}

const struct value *builtin_hex_decode(struct builtin_call *call, const struct value *const *args)
{
    const char *s = args[0]->string;
    size_t len = args[0]->count;
    struct text t;
    text_init(&t, call->arena);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) s[i];
        if (hex_digit(s[i]) < 0)
            return c > ' ' && c < 0x7f ? builtin_fail(call, "encoding/hex: invalid byte: U+%04X '%c'", c, c)
                                       : builtin_fail(call, "encoding/hex: invalid byte: U+%04X", c);
        if (i % 2) text_add_char(&t, (char) (hex_digit(s[i - 1]) << 4 | hex_digit(s[i])));
    }
    if (len % 2) return builtin_fail(call, "encoding/hex: odd length hex string");
    return builtin_text_end(call, &t);
}

/* ---- json ---- */

const struct value *builtin_json_marshal(struct builtin_call *call, const struct value *const *args)
{
    struct text t;
    text_init(&t, call->arena);
    if (!builtin_spend(call, value_weight(args[0]) / 4)) return NULL;
    json_write(&t, args[0]);
    return builtin_text_end(call, &t);
}

struct layout {
    const char *prefix, *indent;
    bool pretty;
};

/* What is wrong with the i-th option; OPA counts the options as though they were operands. */
static bool refuse_option(struct builtin_call *call, const struct value *key, const struct value *v, size_t i)
{
    const char *got = value_kind_name(value_is(key, VALUE_STRING) ? v->kind : key->kind);
    struct text t;
    text_init(&t, call->arena);
    value_print(&t, key);
    const char *shown = text_end(&t);
    if (!shown) return builtin_halt(call), false;
    if (key->kind != VALUE_STRING)
        builtin_fail_operand(call, 2, "failed to stringify key %s at index %zu: operand %zu must be string but got %s",
                             shown, i, i, got);
    else if (string_is(key, "pretty"))
        builtin_fail_operand(call, 2, "key %s failed cast to bool", shown);
    else if (string_is(key, "prefix") || string_is(key, "indent"))
        builtin_fail_operand(call, 2, "key %s failed cast to string: operand %zu must be string but got %s", shown, i, got);
    else
        builtin_fail_operand(call, 2, "object contained unknown key %s", shown);
    return false;
}

/* The options of marshal_with_options: {"pretty": bool, "prefix": string, "indent": string}; a prefix or an
 * indent alone means pretty. */
static bool read_layout(struct builtin_call *call, const struct value *options, struct layout *ret)
{
    *ret = (struct layout) { .prefix = "", .indent = "\t" };
    const struct value *pretty = object_get_z(options, "pretty");
    for (size_t i = 0; i < options->count; i++) {
        const struct value *key = options->pairs[i].key, *v = options->pairs[i].value;
        bool is_pretty = string_is(key, "pretty"), is_prefix = string_is(key, "prefix");
        bool known = is_pretty || is_prefix || string_is(key, "indent");
        if (!known || v->kind != (is_pretty ? VALUE_BOOL : VALUE_STRING)) return refuse_option(call, key, v, i);
        if (is_pretty) continue;
        *(is_prefix ? &ret->prefix : &ret->indent) = v->string;
        ret->pretty = true;
    }
    if (pretty) ret->pretty = pretty->boolean;
    return true;
}

const struct value *builtin_json_marshal_with_options(struct builtin_call *call, const struct value *const *args)
{
    struct layout layout;
    if (!read_layout(call, args[1], &layout)) return NULL;
    if (!layout.pretty) return builtin_json_marshal(call, args);
    struct text t;
    text_init(&t, call->arena);
    if (!builtin_spend(call, value_weight(args[0]) / 4)) return NULL;
    text_add_string(&t, layout.prefix);
    json_write_pretty(&t, args[0], layout.prefix, layout.indent);
    return builtin_text_end(call, &t);
}

const struct value *builtin_read_json(struct builtin_call *call, const struct value *s, struct json_error *error)
{
    const struct json_options options = { .last_key_wins = true, .budget = call->budget };
    if (!builtin_spend(call, s->count / 8)) return NULL;
    const struct value *v = json_to_value(call->arena, s->string, s->count, &options, error);
    if (v || !error->limit) return v;
    bool spent = arena_failed(call->arena) || (call->budget && call->budget->spent);
    return spent ? builtin_halt(call) : builtin_limit(call, "%s at byte %zu", error->text, error->offset);
}

const struct value *builtin_json_unmarshal(struct builtin_call *call, const struct value *const *args)
{
    struct json_error error = { 0 };
    const struct value *v = builtin_read_json(call, args[0], &error);
    if (v || call->problem == BUILTIN_HALT) return v;
    return builtin_fail(call, "%s at byte %zu", error.text ? error.text : "invalid JSON", error.offset);
}

const struct value *builtin_json_is_valid(struct builtin_call *call, const struct value *const *args)
{
    if (args[0]->kind != VALUE_STRING) return value_bool(false);
    struct json_error error = { 0 };
    const struct value *v = builtin_read_json(call, args[0], &error);
    return call->problem == BUILTIN_HALT ? NULL : value_bool(v != NULL);
}
