/* The guest's public key (kbs-api.md 2.1): checked once, used for many releases. */
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

struct err jwe_key_from_json(struct json tee_pubkey, bool allow_rsa1_5, struct jwe_key **ret)
{
    const struct jwe_alg *a = NULL;
    const struct key_kind *kind = NULL;
    TRY(tee_alg(tee_pubkey, &a));
    if (!allow_rsa1_5 && strcmp(a->alg, "RSA1_5") == 0)
        FAIL(ERR_CRYPTO, "unsupported TEE key: RSA1_5 is switched off; use RSA-OAEP-256");
    _cleanup_(jwe_key_freep) struct jwe_key *k = calloc(1, sizeof *k);
    if (!k) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = key_from_members(tee_pubkey, &kind, &k->pkey);
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
