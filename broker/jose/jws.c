#include "broker/jose/jws.h"

#include "broker/base/limits.h"
#include "broker/jose/b64url.h"
#include "broker/jose/jws_alg.h"
#include "broker/jose/ossl.h"

#include <string.h>

struct jws {
    struct buf compact;
    size_t signed_len; /* of compact: header, dot, payload (RFC 7515 5.1 step 8) */
    struct json_doc *header;
    const struct jws_alg *alg;
    struct buf payload, signature;
};

void jws_free(struct jws *t)
{
    if (!t) return;
    /* Whoever reads an operator's token out of freed memory could operate with it. */
    if (t->compact.data) explicit_bzero(t->compact.data, t->compact.len);
    if (t->signature.data) explicit_bzero(t->signature.data, t->signature.len);
    buf_free(&t->compact);
    buf_free(&t->payload);
    buf_free(&t->signature);
    json_free(t->header);
    free(t);
}

/* ---- reading (RFC 7515 5.2) ------------------------------------------------------------------- */

/* Exactly three parts between exactly two dots. */
static bool split(struct span text, struct span part[3])
{
    for (int i = 0; i < 3; i++) {
        const uint8_t *dot = text.len ? memchr(text.data, '.', text.len) : NULL;
        if ((dot != NULL) != (i < 2)) return false;
        size_t len = dot ? (size_t) (dot - text.data) : text.len;
        part[i] = span_of(text.data, len);
        if (dot) text = span_of(dot + 1, text.len - len - 1);
    }
    return true;
}

static err_t read_header(struct span part, struct jws *t)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    if (!err_ok(b64url_decode(part, &text)) || !err_ok(json_parse(buf_span(&text), &t->header)) ||
        json_type(jws_header(t)) != JSON_OBJECT)
        FAIL(ERR_CRYPTO, "the token's header is no strict base64url of a strict JSON object");
    /* RFC 7515 4.1.11: what is critical must be understood, and we understand no extension. */
    if (json_present(json_get(jws_header(t), "crit")))
        FAIL(ERR_CRYPTO, "the token's header names critical extensions; none is supported");
    t->alg = jws_alg_named(json_string(json_get(jws_header(t), "alg")));
    if (!t->alg)
        FAIL(ERR_CRYPTO, "the token's alg is missing or not supported; use ES256, ES384, ES512, "
                         "RS*, PS* or EdDSA");
    return ERR_OK;
}

struct err jws_parse(struct span compact, struct jws **ret)
{
    if (compact.len > JOSE_MAX_TOKEN)
        FAIL(ERR_CRYPTO, "the token has %zu bytes, %u are allowed", compact.len, JOSE_MAX_TOKEN);
    _cleanup_jws_ struct jws *t = calloc(1, sizeof *t);
    if (!t) FAIL(ERR_INTERNAL, "out of memory");
    buf_add_span(&t->compact, compact);
    TRY(buf_ok(&t->compact));
    struct span part[3] = {0};
    if (!split(buf_span(&t->compact), part))
        FAIL(ERR_CRYPTO, "this is no compact token: it must have three parts between two dots");
    TRY(read_header(part[0], t));
    if (!err_ok(b64url_decode(part[1], &t->payload)) ||
        !err_ok(b64url_decode(part[2], &t->signature)))
        FAIL(ERR_CRYPTO, "the token's payload or signature is no strict base64url");
    t->signed_len = part[0].len + 1 + part[1].len;
    *ret = TAKE_PTR(t);
    return ERR_OK;
}

struct json jws_header(const struct jws *t) { return json_root(t->header); }
const char *jws_alg(const struct jws *t) { return jws_alg_name(t->alg); }
struct span jws_payload(const struct jws *t) { return buf_span(&t->payload); }
bool jws_alg_known(const char *alg) { return jws_alg_named(alg) != NULL; }

struct err jws_verify(const struct jws *t, const struct jwk *key)
{
    /* The key decides what is acceptable, never the token alone (RFC 8725 3.1). */
    bool fits = jwk_may_verify(key) && jws_alg_fits(t->alg, jwk_pkey(key)) &&
                (!jwk_alg(key) || strcmp(jwk_alg(key), jws_alg_name(t->alg)) == 0);
    struct span text = span_of(t->compact.data, t->signed_len);
    if (!fits || !jws_alg_verify(t->alg, jwk_pkey(key), text, buf_span(&t->signature)))
        FAIL(ERR_CRYPTO, "the token's signature does not verify with this key");
    return ERR_OK;
}

/* ---- writing (RFC 7515 5.1) -------------------------------------------------------------------- */

static err_t check_header(const char *alg, struct span header)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRYC(json_parse(header, &doc), "header of a token to sign");
    const char *named = json_string(json_get(json_root(doc), "alg"));
    if (!named || strcmp(named, alg) != 0)
        FAIL(ERR_INTERNAL, "the header of a token to sign must name alg %s", alg);
    return ERR_OK;
}

struct jws_signer {
    const struct jws_alg *alg;
    EVP_MD_CTX *prepared; /* holds the key; NULL: `remote` has it */
    struct jws_remote_key remote;
    struct buf header;    /* base64url, and the dot behind it */
};

void jws_signer_free(struct jws_signer *s)
{
    if (!s) return;
    EVP_MD_CTX_free(s->prepared);
    buf_free(&s->header);
    free(s);
}

static err_t new_signer(const struct jws_alg *alg, struct span header, struct jws_signer **ret)
{
    TRY(check_header(jws_alg_name(alg), header));
    _cleanup_(jws_signer_freep) struct jws_signer *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    s->alg = alg;
    b64url_add(&s->header, header);
    buf_add_byte(&s->header, '.');
    TRY(buf_ok(&s->header));
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

struct err jws_signer_new(const char *alg, EVP_PKEY *key, struct span header,
                          struct jws_signer **ret)
{
    _cleanup_(jws_signer_freep) struct jws_signer *s = NULL;
    const struct jws_alg *a = jws_alg_named(alg);
    if (!a || !jws_alg_signs(a))
        FAIL(ERR_USAGE, "tokens are signed with ES256, ES384 or EdDSA, not with %s", alg);
    if (!jws_alg_fits(a, key)) FAIL(ERR_USAGE, "the signing key does not fit alg %s", alg);
    TRY(new_signer(a, header, &s));
    TRY(jws_alg_prepare(a, key, &s->prepared));
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

struct err jws_signer_new_remote(const struct jws_remote_key *key, struct span header,
                                 struct jws_signer **ret)
{
    TRY(new_signer(jws_alg_named("ES256"), header, ret));
    (*ret)->remote = *key;
    return ERR_OK;
}

static err_t sign_remotely(const struct jws_remote_key *key, struct span text, struct buf *ret)
{
    const struct ossl_algorithms *a = NULL;
    uint8_t digest[JWS_ES256_DIGEST], signature[JWS_ES256_SIGNATURE];
    TRY(ossl_algorithms(&a));
    if (EVP_Digest(text.data, text.len, digest, NULL, a->sha256, NULL) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot hash a token to sign");
    TRY(key->sign(key->context, digest, signature));
    buf_add(ret, signature, sizeof signature);
    return ERR_OK;
}

struct err jws_signer_sign(const struct jws_signer *s, struct span payload, struct buf *ret_compact)
{
    _cleanup_buf_ struct buf token = BUF_INIT;
    _cleanup_buf_ struct buf signature = BUF_INIT;
    buf_add_span(&token, buf_span(&s->header));
    b64url_add(&token, payload);
    TRY(buf_ok(&token));
    if (s->prepared) TRY(jws_alg_sign(s->alg, s->prepared, buf_span(&token), &signature));
    else TRY(sign_remotely(&s->remote, buf_span(&token), &signature));
    buf_add_byte(&token, '.');
    b64url_add(&token, buf_span(&signature));
    TRY(buf_ok(&token));
    buf_add_span(ret_compact, buf_span(&token));
    return buf_ok(ret_compact);
}

struct err jws_sign(const char *alg, EVP_PKEY *key, struct span header, struct span payload,
                    struct buf *ret_compact)
{
    _cleanup_(jws_signer_freep) struct jws_signer *s = NULL;
    TRY(jws_signer_new(alg, key, header, &s));
    return jws_signer_sign(s, payload, ret_compact);
}

/* ---- JWT ------------------------------------------------------------------------------------------ */

struct err jwt_check_times(struct json claims, int64_t now, int64_t leeway, int64_t *ret_exp)
{
    int64_t exp = 0, nbf = 0;
    /* Whole seconds only: other verifiers of these tokens refuse text and fractions as well. */
    if (!json_int(json_get(claims, "exp"), &exp))
        FAIL(ERR_CRYPTO, "the token has no claim exp in whole seconds");
    if (exp < now - leeway)
        FAIL(ERR_CRYPTO, "the token expired (claim exp is %lld, the clock %lld)", (long long) exp,
             (long long) now);
    struct json not_before = json_get(claims, "nbf");
    if (json_present(not_before) && (!json_int(not_before, &nbf) || nbf > now + leeway))
        FAIL(ERR_CRYPTO, "the token is not valid yet (claim nbf)");
    if (ret_exp) *ret_exp = exp;
    return ERR_OK;
}

bool jwt_iss_is(struct json claims, const char *issuer)
{
    const char *iss = json_string(json_get(claims, "iss"));
    return iss && strcmp(iss, issuer) == 0;
}

bool jwt_aud_has(struct json claims, const char *audience)
{
    struct json aud = json_get(claims, "aud");
    bool list = json_type(aud) == JSON_ARRAY;
    for (struct json a = list ? json_first(aud) : aud; json_present(a);
         a = list ? json_next(a) : (struct json){0})
        if (json_string(a) && strcmp(json_string(a), audience) == 0) return true;
    return false;
}
