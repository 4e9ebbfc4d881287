#include "broker/jose/jwk.h"

#include "broker/base/limits.h"
#include "broker/jose/key_kind.h"
#include "broker/jose/ossl.h"

#include <openssl/pem.h>
#include <string.h>

struct jwk {
    EVP_PKEY *pkey; /* one reference */
    const struct key_kind *kind;
    char *alg, *kid; /* NULL when absent */
    char *x5c[JOSE_MAX_X5C];
    size_t x5c_count;
    bool may_verify;
};

void jwk_free(struct jwk *k)
{
    if (!k) return;
    EVP_PKEY_free(k->pkey);
    free(k->alg);
    free(k->kid);
    for (size_t i = 0; i < k->x5c_count; i++) free(k->x5c[i]);
    free(k);
}

/* ---- from JSON ------------------------------------------------------------------------------ */

static err_t copy_string(struct json value, const char *name, char **ret)
{
    const char *text = json_string(value);
    if (!text) FAIL(ERR_USAGE, "JWK member %s must be text", name);
    *ret = strdup(text);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t copy_member(struct json object, const char *name, char **ret)
{
    struct json value = json_get(object, name);
    return json_present(value) ? copy_string(value, name, ret) : ERR_OK;
}

static err_t copy_x5c(struct json object, struct jwk *k)
{
    struct json chain = json_get(object, "x5c");
    if (!json_present(chain)) return ERR_OK;
    if (json_type(chain) != JSON_ARRAY) FAIL(ERR_USAGE, "JWK member x5c must be an array");
    if (json_count(chain) > JOSE_MAX_X5C)
        FAIL(ERR_USAGE, "JWK member x5c has more than %u certificates", JOSE_MAX_X5C);
    for (struct json c = json_first(chain); json_present(c); c = json_next(c)) {
        TRY(copy_string(c, "x5c", &k->x5c[k->x5c_count]));
        k->x5c_count++;
    }
    return ERR_OK;
}

/* RFC 7517 4.2, 4.3: without use and key_ops a key is for everything. */
static err_t read_purpose(struct json object, struct jwk *k)
{
    struct json use = json_get(object, "use"), ops = json_get(object, "key_ops");
    bool listed = !json_present(ops);
    if (json_present(use) && !json_string(use)) FAIL(ERR_USAGE, "JWK member use must be text");
    if (json_present(ops) && json_type(ops) != JSON_ARRAY)
        FAIL(ERR_USAGE, "JWK member key_ops must be an array of texts");
    for (struct json op = json_first(ops); json_present(op); op = json_next(op)) {
        if (!json_string(op)) FAIL(ERR_USAGE, "JWK member key_ops must be an array of texts");
        listed |= strcmp(json_string(op), "verify") == 0;
    }
    k->may_verify = listed && (!json_present(use) || strcmp(json_string(use), "sig") == 0);
    return ERR_OK;
}

/* A private key here is a mistake of its owner: it must be replaced, not used. */
static err_t refuse_private(struct json object)
{
    static const char *const PRIVATE[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < sizeof PRIVATE / sizeof PRIVATE[0]; i++)
        if (json_present(json_get(object, PRIVATE[i])))
            FAIL(ERR_USAGE, "the JWK holds a private key (member %s); give its public members only "
                            "and replace the key if others saw it", PRIVATE[i]);
    return ERR_OK;
}

static err_t jwk_alloc(struct jwk **ret)
{
    *ret = calloc(1, sizeof **ret);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

struct err jwk_from_json(struct json object, struct jwk **ret)
{
    if (json_type(object) != JSON_OBJECT) FAIL(ERR_USAGE, "a JWK must be a JSON object");
    TRY(refuse_private(object));
    _cleanup_jwk_ struct jwk *k = NULL;
    TRY(jwk_alloc(&k));
    TRY(key_from_members(object, &k->kind, &k->pkey));
    TRY(copy_member(object, "alg", &k->alg));
    TRY(copy_member(object, "kid", &k->kid));
    TRY(copy_x5c(object, k));
    TRY(read_purpose(object, k));
    *ret = TAKE_PTR(k);
    return ERR_OK;
}

/* ---- from keys and PEM ---------------------------------------------------------------------- */

struct err jwk_from_pkey(EVP_PKEY *key, const char *alg, struct jwk **ret)
{
    const struct key_kind *kind = key_kind_of(key);
    if (!kind)
        FAIL(ERR_USAGE, "this key is not supported; use EC P-256, P-384 or P-521, RSA of %u to %u "
                        "bits, or Ed25519", JOSE_MIN_RSA_BITS, JOSE_MAX_RSA_BITS);
    _cleanup_jwk_ struct jwk *k = NULL;
    TRY(jwk_alloc(&k));
    k->kind = kind;
    k->may_verify = true;
    if (alg && !(k->alg = strdup(alg))) FAIL(ERR_INTERNAL, "out of memory");
    EVP_PKEY_up_ref(key);
    k->pkey = key;
    *ret = TAKE_PTR(k);
    return ERR_OK;
}

struct err jwk_from_pem(struct span pem, struct jwk **ret)
{
    _cleanup_(BIO_freep) BIO *bio = ossl_bio_over(pem);
    if (!bio) FAIL_OSSL(ERR_INTERNAL, "out of memory");
    _cleanup_pkey_ EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    if (!key) {
        _cleanup_(BIO_freep) BIO *again = ossl_bio_over(pem);
        _cleanup_(X509_freep) X509 *cert = again ? PEM_read_bio_X509(again, NULL, NULL, NULL) : NULL;
        key = cert ? X509_get_pubkey(cert) : NULL;
    }
    if (!key)
        FAIL_OSSL(ERR_USAGE, "this is no PEM public key (BEGIN PUBLIC KEY) and no PEM certificate");
    ossl_drain(); /* the first try may have left an error */
    return jwk_from_pkey(key, NULL, ret);
}

/* ---- reading --------------------------------------------------------------------------------- */

EVP_PKEY *jwk_pkey(const struct jwk *k) { return k->pkey; }
const char *jwk_kty(const struct jwk *k) { return k->kind->kty; }
const char *jwk_crv(const struct jwk *k) { return k->kind->crv; }
const char *jwk_alg(const struct jwk *k) { return k->alg; }
const char *jwk_kid(const struct jwk *k) { return k->kid; }
bool jwk_may_verify(const struct jwk *k) { return k->may_verify; }
size_t jwk_x5c_count(const struct jwk *k) { return k->x5c_count; }
const char *jwk_x5c(const struct jwk *k, size_t i) { return i < k->x5c_count ? k->x5c[i] : NULL; }

bool jwk_same_key(const struct jwk *a, const struct jwk *b)
{
    bool same = EVP_PKEY_eq(a->pkey, b->pkey) == 1;
    ossl_drain(); /* keys of different kinds leave an error */
    return same;
}

void jwk_put_members(const struct jwk *k, struct json_out *o)
{
    if (k->alg) json_member_str(o, "alg", k->alg);
    /* Every key of a jwk was checked when it came in, so only memory can be missing here. */
    if (!err_ok(key_put_members(k->pkey, o))) o->buf->failed = true;
}
