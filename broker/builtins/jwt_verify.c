/* io.jwt.decode_verify: signature, issuer, audience and time in one call. */
#include "broker/builtins/jwt.h"

#include <math.h>
#include <string.h>
#include <strings.h>

struct constraints {
    const struct value *cert, *secret, *alg, *iss, *aud; /* strings, or NULL */
    double time;                                         /* ns since 1970 */
    struct jwt_keys keys;
};

/* ---- reading them ------------------------------------------------------------------------------------ */

static bool read_time(struct builtin_call *call, const struct value *v, struct constraints *c)
{
    if (v->kind != VALUE_NUMBER)
        return builtin_fail(call, "token time constraint: must be a number"), false;
    c->time = num_to_double(v->number);
    if (!isfinite(c->time)) return builtin_fail(call, "token time constraint: unvalid float64"), false;
    if (c->time < 0) return builtin_fail(call, "token time constraint: must not be negative"), false;
    return true;
}

static bool read_constraint(struct builtin_call *call, const struct value *name,
                            const struct value *v, struct constraints *c)
{
    struct { const char *name; const struct value **to; } texts[] = {
        {"cert", &c->cert}, {"secret", &c->secret}, {"alg", &c->alg}, {"iss", &c->iss},
        {"aud", &c->aud}};
    if (string_is(name, "time")) return read_time(call, v, c);
    size_t k = 0;
    while (k < sizeof texts / sizeof *texts && !string_is(name, texts[k].name)) k++;
    if (k == sizeof texts / sizeof *texts) {
        builtin_fail(call, "unknown token validation constraint: %.100s",
                     name->kind == VALUE_STRING ? name->string : "not a string");
        return false;
    }
    if (v->kind != VALUE_STRING)
        return builtin_fail(call, "%s constraint: must be a string", texts[k].name), false;
    *texts[k].to = v;
    return texts[k].to != &c->cert || jwt_keys_read(call, v, &c->keys);
}

/* In the order of their names, so that the error told is OPA's. */
static bool read_constraints(struct builtin_call *call, const struct value *o, struct constraints *c)
{
    c->time = (double) call->now_ns;
    for (size_t i = 0; i < o->count; i++)
        if (!read_constraint(call, o->pairs[i].key, o->pairs[i].value, c)) return false;
    bool secret = c->secret && c->secret->count;
    if (c->cert && secret) return builtin_fail(call, "duplicate key constraints"), false;
    if (!c->cert && !secret) return builtin_fail(call, "no key constraint"), false;
    return true;
}

static bool says(const struct value *constraint) { return constraint && constraint->count; }

/* ---- the token ----------------------------------------------------------------------------------------- */

static bool signature_good(struct builtin_call *call, const struct constraints *c,
                           const struct jwt *token, const struct jwt_header *header, bool *ret_good)
{
    const struct value *signature = decode_base64url(call, token->signature, NULL);
    if (!signature) return false;
    struct span bytes = span_value(signature);
    if (c->cert)
        return jwt_keys_verify(call, &c->keys, header->alg, header, token->signed_part, bytes, ret_good);
    *ret_good = jwt_hmac_good(header->alg, span_value(c->secret), token->signed_part, bytes);
    return true;
}

/* From outside inwards: every token of a nest must verify. *ret_payload stays NULL when one does
 * not. */
static bool unwrap(struct builtin_call *call, const struct constraints *c, const struct value *text,
                   struct jwt *token, const struct value **ret_payload)
{
    for (unsigned nested = 0; nested < JWT_NESTED_MAX; nested++) {
        struct jwt_header header;
        bool good = false;
        if (!jwt_split(call, text, token) || !jwt_open_header(call, token) ||
            !jwt_read_header(call, token->decoded_header, &header))
            return false;
        if (!header.sound || (says(c->alg) && !string_is(c->alg, header.alg))) return true;
        if (!signature_good(call, c, token, &header, &good)) return false;
        if (!good) return true;
        text = decode_base64url(call, token->payload, "JWT payload had invalid encoding");
        if (!text) return false;
        if (strcasecmp(header.cty, "JWT") != 0) {
            *ret_payload = text;
            return true;
        }
    }
    return over_limit(call, "tokens within tokens", JWT_NESTED_MAX), false;
}

/* ---- claims --------------------------------------------------------------------------------------------- */

static bool audience_good(const struct value *aud, const struct value *wanted)
{
    const struct value *want = wanted ? wanted : &VALUE_EMPTY_STRING;
    if (!aud) return !says(wanted);
    if (aud->kind == VALUE_STRING) return value_equal(aud, want);
    if (aud->kind != VALUE_ARRAY) return false;
    for (size_t i = 0; i < aud->count; i++)
        if (value_equal(aud->items[i], want)) return true;
    return false;
}

/* Compares the time with a claim in seconds: *ret_before when the time is before it. */
static bool compare_time(struct builtin_call *call, const struct constraints *c, const char *name,
                         const struct value *claim, bool *ret_before)
{
    struct num seconds;
    if (claim->kind != VALUE_NUMBER) return builtin_fail(call, "%s value must be a number", name), false;
    if (!num_from_double(call->arena, c->time / 1e9, &seconds)) return builtin_halt(call), false;
    *ret_before = num_compare(seconds, claim->number) < 0;
    return true;
}

static bool claims_good(struct builtin_call *call, const struct constraints *c,
                        const struct value *claims, bool *ret_good)
{
    const struct value *exp = object_get_z(claims, "exp"), *nbf = object_get_z(claims, "nbf");
    const struct value *iss = object_get_z(claims, "iss");
    bool before = true;
    *ret_good = false;
    if (says(c->iss) && (!iss || !value_equal(iss, c->iss))) return true;
    if (!audience_good(object_get_z(claims, "aud"), c->aud)) return true;
    if (exp && !compare_time(call, c, "exp", exp, &before)) return false;
    if (!before) return true;
    before = false;
    if (nbf && !compare_time(call, c, "nbf", nbf, &before)) return false;
    *ret_good = !before;
    return true;
}

static const struct value *answer(struct builtin_call *call, bool valid, const struct value *header,
                                  const struct value *claims)
{
    const struct value **items = arena_alloc_array(call->arena, 3, sizeof *items);
    if (!items) return builtin_halt(call);
    items[0] = value_bool(valid);
    items[1] = valid ? header : &VALUE_EMPTY_OBJECT;
    items[2] = valid ? claims : &VALUE_EMPTY_OBJECT;
    return value_array(call->arena, items, 3);
}

static const struct value *decode_verify(struct builtin_call *call, const struct value *const *args,
                                         struct constraints *c)
{
    struct jwt token = {0};
    const struct value *payload = NULL, *claims = NULL;
    bool good = false;
    if (!read_constraints(call, args[1], c) || !unwrap(call, c, args[0], &token, &payload)) return NULL;
    if (payload) {
        claims = jwt_object(call, payload, "");
        if (!claims || !claims_good(call, c, claims, &good)) return NULL;
    }
    return answer(call, good, token.decoded_header, claims);
}

const struct value *jwt_decode_verify(struct builtin_call *call, const struct value *const *args)
{
    struct constraints c = {.keys = {.count = 0}};
    const struct value *v = decode_verify(call, args, &c);
    jwt_keys_free(&c.keys);
    return v;
}
