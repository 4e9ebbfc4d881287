/* The guest's public key (kbs-api.md 2.1): checked once, used for many releases. */
#include "broker/jose/curve.h"
#include "broker/jose/jwe_key.h"

#include <stdlib.h>
#include <string.h>

/* What makes a TEE key: everything else in the object is ignored and never hashed. */
static err_t tee_alg(struct json tee_pubkey, const struct jwe_alg **ret)
{
    const char *kty = json_string(json_get(tee_pubkey, "kty"));
    const char *crv = json_string(json_get(tee_pubkey, "crv"));
    const char *alg = json_string(json_get(tee_pubkey, "alg"));
    const struct jwe_alg *a = jwe_alg_named(alg, kty, crv);
    if (!a)
        FAIL(ERR_CRYPTO, "unsupported TEE key: kty %s, crv %s, alg %s", kty ? kty : "(none)",
             crv ? crv : "(none)", alg ? alg : "(none)");
    *ret = a;
    return ERR_OK;
}

/* Borrowed once to see whether the point is one. */
static err_t read_point(const struct key_kind *kind, struct json object, struct jwe_key *k)
{
    _cleanup_buf_ struct buf point = BUF_INIT;
    EVP_PKEY *borrowed = NULL;
    TRY(key_point(kind, object, &point));
    TRY(curve_borrow(kind, buf_span(&point), &borrowed));
    memcpy(k->point, point.data, point.len);
    k->point_len = (uint8_t) point.len;
    return ERR_OK;
}

static err_t read_key(struct json object, const struct jwe_alg *a, struct jwe_key *k)
{
    const struct key_kind *kind = NULL;
    if (a->crv) return read_point(key_kind_named(a->kty, a->crv), object, k);
    return key_from_members(object, &kind, &k->pkey);
}

struct err jwe_key_pkey(const struct jwe_key *k, EVP_PKEY **ret)
{
    *ret = k->pkey;
    if (k->pkey) return ERR_OK;
    return curve_borrow(key_kind_named(k->alg->kty, k->alg->crv), span_of(k->point, k->point_len), ret);
}

struct err jwe_key_from_json(struct json tee_pubkey, bool allow_rsa1_5, struct jwe_key **ret)
{
    const struct jwe_alg *a = NULL;
    TRY(tee_alg(tee_pubkey, &a));
    if (!allow_rsa1_5 && strcmp(a->alg, "RSA1_5") == 0)
        FAIL(ERR_CRYPTO, "unsupported TEE key: RSA1_5 is switched off; use RSA-OAEP-256");
    _cleanup_(jwe_key_freep) struct jwe_key *k = calloc(1, sizeof *k);
    if (!k) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = read_key(tee_pubkey, a, k);
    if (e.code == ERR_INTERNAL) return e;
    if (!err_ok(e)) FAIL(ERR_CRYPTO, "unsupported TEE key: its values are no valid %s key", a->kty);
    k->alg = a;
    *ret = TAKE_PTR(k);
    return ERR_OK;
}

void jwe_key_free(struct jwe_key *k)
{
    if (!k) return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

const char *jwe_key_alg(const struct jwe_key *k) { return k->alg->alg; }

struct err jwe_tee_key_canonical(struct json tee_pubkey, struct json_out *o)
{
    static const char *const EC[] = {"alg", "crv", "kty", "x", "y", NULL};
    static const char *const RSA[] = {"alg", "e", "kty", "n", NULL};
    const struct jwe_alg *a = NULL;
    TRY(tee_alg(tee_pubkey, &a));
    const char *const *names = a->crv ? EC : RSA;
    for (size_t i = 0; names[i]; i++)
        if (!json_string(json_get(tee_pubkey, names[i])))
            FAIL(ERR_CRYPTO, "unsupported TEE key: member %s is missing or no text", names[i]);
    json_begin_object(o);
    for (size_t i = 0; names[i]; i++)
        json_member_str(o, names[i], json_string(json_get(tee_pubkey, names[i])));
    json_end_object(o);
    return ERR_OK;
}
