/* io.jwt.decode and io.jwt.verify_*. */
#include "broker/builtins/jwt.h"

#include "policy/json.h"

#include <stdio.h>
#include <string.h>

/* ---- parts ---------------------------------------------------------------------------------------- */

static size_t split(const struct value *text, struct span parts[3])
{
    size_t count = 0, begin = 0;
    for (size_t i = 0; i <= text->count; i++) {
        if (i < text->count && text->string[i] != '.') continue;
        if (count < 3) parts[count] = span_of(text->string + begin, i - begin);
        count++;
        begin = i + 1;
    }
    return count;
}

const struct value *jwt_object(struct builtin_call *call, const struct value *text, const char *what)
{
    struct json_error error = {0};
    const struct value *v = builtin_read_json(call, text, &error);
    if (!v && call->problem == BUILTIN_HALT) return NULL;
    if (!v) return builtin_fail(call, "%sinvalid JSON: %s", what, error.text);
    if (v->kind != VALUE_OBJECT)
        return builtin_fail(call, "%sdecoded JSON type was not an Object", what);
    return v;
}

bool jwt_split(struct builtin_call *call, const struct value *text, struct jwt *ret)
{
    struct span parts[3];
    if (text->count > JWT_MAX) return over_limit(call, "a token", JWT_MAX), false;
    if (!builtin_spend(call, text->count / BYTES_A_STEP)) return false;
    size_t count = split(text, parts);
    if (count == 1) return builtin_fail(call, "encoded JWT had no period separators"), false;
    if (count != 3)
        return builtin_fail(call, "encoded JWT must have 3 sections, found %zu", count), false;
    *ret = (struct jwt){
        .header = parts[0], .payload = parts[1], .signature = parts[2],
        .signed_part = span_of(text->string, parts[0].len + 1 + parts[1].len),
    };
    return true;
}

bool jwt_open_header(struct builtin_call *call, struct jwt *token)
{
    const struct value *header =
        decode_base64url(call, token->header, "JWT header had invalid encoding");
    token->decoded_header = header ? jwt_object(call, header, "bad JWT header: ") : NULL;
    if (!token->decoded_header) return false;
    if (object_get_z(token->decoded_header, "enc"))
        return builtin_fail(call, "JWT is a JWE object, which is not supported"), false;
    return true;
}

static bool read_text(struct builtin_call *call, const struct value *header, const char *name,
                      const char **ret)
{
    const struct value *v = object_get_z(header, name);
    *ret = v && v->kind == VALUE_STRING ? v->string : "";
    if (v && v->kind != VALUE_STRING) return builtin_fail(call, "%s: must be a string", name), false;
    return true;
}

/* What `crit` names must be known, whether the header has it or not (RFC 7515 4.1.11). */
static bool read_crit(struct builtin_call *call, const struct value *header, bool *ret_known)
{
    static const char *const known[] = {"alg", "kid", "typ", "cty", "crit"};
    const struct value *crit = object_get_z(header, "crit");
    *ret_known = true;
    if (!crit) return true;
    if (crit->kind != VALUE_ARRAY) return builtin_fail(call, "crit: must be a list"), false;
    if (!crit->count) return builtin_fail(call, "crit: must be a nonempty list"), false;
    for (size_t i = 0; i < crit->count; i++) {
        const struct value *name = crit->items[i];
        if (name->kind != VALUE_STRING)
            return builtin_fail(call, "crit: must be a list of strings"), false;
        bool ours = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) ours |= string_is(name, known[k]);
        if (!ours) *ret_known = false;
    }
    return true;
}

bool jwt_read_header(struct builtin_call *call, const struct value *header, struct jwt_header *ret)
{
    const char *typ = "";
    bool known = false;
    if (!read_text(call, header, "alg", &ret->alg) || !read_crit(call, header, &known) ||
        !read_text(call, header, "cty", &ret->cty) || !read_text(call, header, "kid", &ret->kid) ||
        !read_text(call, header, "typ", &typ))
        return false;
    ret->sound = known && *ret->alg;
    return true;
}

/* ---- decode ------------------------------------------------------------------------------------------ */

/* A nested token may stand in quotes. */
static const struct value *unquoted(struct builtin_call *call, const struct value *text)
{
    const char *at = text->string, *end = at + text->count;
    while (at < end && (*at == '"' || *at == '\'')) at++;
    while (at < end && (end[-1] == '"' || end[-1] == '\'')) end--;
    return value_string(call->arena, at, (size_t) (end - at));
}

static const struct value *decoded(struct builtin_call *call, const struct jwt *token,
                                   const struct value *payload)
{
    const struct value *claims = jwt_object(call, payload, "");
    if (!claims) return NULL;
    const struct value *signature =
        decode_base64url(call, token->signature, "JWT signature had invalid encoding");
    const struct value *digits = signature ? builtin_hex_encode(call, &signature) : NULL;
    const struct value **items = digits ? arena_alloc_array(call->arena, 3, sizeof *items) : NULL;
    if (!items) return NULL;
    items[0] = token->decoded_header;
    items[1] = claims;
    items[2] = digits;
    return value_array(call->arena, items, 3);
}

const struct value *jwt_decode(struct builtin_call *call, const struct value *const *args)
{
    const struct value *text = args[0];
    for (unsigned nested = 0; nested < JWT_NESTED_MAX; nested++) {
        struct jwt token;
        if (!text || !jwt_split(call, text, &token) || !jwt_open_header(call, &token)) return NULL;
        const struct value *payload =
            decode_base64url(call, token.payload, "JWT payload had invalid encoding");
        if (!payload) return NULL;
        if (!string_is(object_get_z(token.decoded_header, "cty"), "JWT"))
            return decoded(call, &token, payload);
        text = unquoted(call, payload);
    }
    return over_limit(call, "tokens within tokens", JWT_NESTED_MAX);
}

/* ---- verify ------------------------------------------------------------------------------------------ */

/* "io.jwt.verify_rs256" -> "RS256"; EdDSA is the one that is no upper case. */
static void alg_of_name(const struct builtin_call *call, char ret[8])
{
    const char *suffix = strrchr(call->builtin->name, '_') + 1;
    size_t i = 0;
    for (; suffix[i] && i < 7; i++)
        ret[i] = suffix[i] >= 'a' && suffix[i] <= 'z' ? (char) (suffix[i] - 'a' + 'A') : suffix[i];
    ret[i] = '\0';
    if (strcmp(ret, "EDDSA") == 0) memcpy(ret, "EdDSA", sizeof "EdDSA");
}

static const struct value *verify_with(struct builtin_call *call, struct jwt *token,
                                       const struct jwt_keys *keys)
{
    struct jwt_header header;
    char alg[8];
    bool good = false;
    alg_of_name(call, alg);
    const struct value *signature = decode_base64url(call, token->signature, NULL);
    if (!signature || !jwt_open_header(call, token) ||
        !jwt_read_header(call, token->decoded_header, &header) ||
        !jwt_keys_verify(call, keys, alg, &header, token->signed_part, span_value(signature), &good))
        return NULL;
    return value_bool(good);
}

const struct value *jwt_verify(struct builtin_call *call, const struct value *const *args)
{
    struct jwt token;
    struct jwt_keys keys = {.count = 0};
    if (!jwt_split(call, args[0], &token)) return NULL;
    const struct value *v = jwt_keys_read(call, args[1], &keys) ? verify_with(call, &token, &keys)
                                                                 : NULL;
    jwt_keys_free(&keys);
    return v;
}

/* The function's name says the algorithm; the header is not read, as in OPA. */
const struct value *jwt_verify_hs(struct builtin_call *call, const struct value *const *args)
{
    struct jwt token;
    char alg[8];
    alg_of_name(call, alg);
    if (!jwt_split(call, args[0], &token)) return NULL;
    const struct value *signature = decode_base64url(call, token.signature, NULL);
    if (!signature) return NULL;
    return value_bool(jwt_hmac_good(alg, span_value(args[1]), token.signed_part,
                                    span_value(signature)));
}
