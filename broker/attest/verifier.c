#include "broker/attest/verifier.h"

#include "broker/attest/guest.h"
#include "broker/base/file.h"
#include "broker/base/log.h"
#include "broker/jose/jws.h"
#include "broker/jose/x5c.h"

#include <string.h>

#define TRUST_FILE_MAX (1u << 20) /* bytes */

struct verifier {
    struct x5c_store *certs;
    struct jwk_set **sets;
    size_t set_count;
    bool insecure_header_jwk;
};

void verifier_free(struct verifier *v)
{
    if (!v) return;
    for (size_t i = 0; i < v->set_count; i++) jwk_set_free(v->sets[i]);
    free(v->sets);
    x5c_store_free(v->certs);
    free(v);
}

static err_t read_certs(struct verifier *v, const struct attest_config *c, struct span own_chain)
{
    TRY(x5c_store_new(&v->certs));
    if (c->trusted_cert_count == 0)
        TRYC(x5c_store_add_pem(v->certs, own_chain), "the token signer's chain");
    for (size_t i = 0; i < c->trusted_cert_count; i++) {
        _cleanup_buf_ struct buf pem = BUF_INIT;
        const char *file = c->trusted_certs[i];
        TRYC(file_read(file, TRUST_FILE_MAX, &pem), "trusted certificates %s", file);
        TRYC(x5c_store_add_pem(v->certs, buf_span(&pem)), "trusted certificates %s", file);
    }
    return ERR_OK;
}

static err_t read_sets(struct verifier *v, const struct attest_config *c)
{
    if (c->trusted_jwk_set_count == 0) return ERR_OK;
    v->sets = calloc(c->trusted_jwk_set_count, sizeof *v->sets);
    if (!v->sets) FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < c->trusted_jwk_set_count; i++) {
        _cleanup_buf_ struct buf text = BUF_INIT;
        const char *file = c->trusted_jwk_sets[i];
        TRYC(file_read(file, TRUST_FILE_MAX, &text), "trusted JWK set %s", file);
        TRYC(jwk_set_parse(buf_span(&text), &v->sets[i]), "trusted JWK set %s", file);
        v->set_count++;
    }
    return ERR_OK;
}

struct err verifier_new(const struct attest_config *config, struct span own_chain,
                        struct verifier **ret)
{
    _cleanup_(verifier_freep) struct verifier *v = calloc(1, sizeof *v);
    if (!v) FAIL(ERR_INTERNAL, "out of memory");
    v->insecure_header_jwk = config->insecure_header_jwk;
    if (v->insecure_header_jwk)
        log_warn("attest.insecure_header_jwk",
                 LOG_S("what", "attestation tokens of ANY signer are believed; never in production"));
    TRY(read_certs(v, config, own_chain));
    TRY(read_sets(v, config));
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

/* A key in the header counts only by its certificate. When that fails there is no second way by
 * kid (kbs-api.md 4.4). */
static err_t header_key(const struct verifier *v, struct json jwk, int64_t now, struct jwk **ret)
{
    _cleanup_jwk_ struct jwk *key = NULL;
    TRYC(jwk_from_json(jwk, &key), "the jwk in the token's header");
    if (!v->insecure_header_jwk)
        TRYC(x5c_verify(v->certs, key, now), "the certificates in the token's header");
    *ret = TAKE_PTR(key);
    return ERR_OK;
}

static err_t known_key(const struct verifier *v, const char *kid, const struct jwk **ret)
{
    const struct jwk *key = NULL;
    if (!kid) FAIL(ERR_CRYPTO, "the token's header has neither jwk nor kid");
    for (size_t i = 0; i < v->set_count && !key; i++) key = jwk_set_find(v->sets[i], kid);
    if (!key) FAIL(ERR_CRYPTO, "no trusted JWK set has a key \"%.60s\"", kid);
    *ret = key;
    return ERR_OK;
}

/* The key must say what it is for: without alg of its own it takes whatever the token names. */
static err_t check_signature(const struct jws *t, const struct jwk *key)
{
    const char *alg = jwk_alg(key);
    if (!alg || strcmp(alg, jws_alg(t)) != 0)
        FAIL(ERR_CRYPTO, "the key's alg is %.20s, the token's is %.20s", alg ? alg : "missing",
             jws_alg(t));
    return jws_verify(t, key);
}

void verified_token_done(struct verified_token *t)
{
    json_free(t->claims);
    buf_free(&t->payload);
}

static err_t read_claims(const struct jws *t, int64_t now, struct verified_token *ret)
{
    _cleanup_(verified_token_done) struct verified_token v = {0};
    TRYC(json_parse(jws_payload(t), &v.claims), "the token's claims");
    if (json_type(json_root(v.claims)) != JSON_OBJECT)
        FAIL(ERR_CRYPTO, "the token's claims are no JSON object");
    TRY(jwt_check_times(json_root(v.claims), now, TOKEN_LEEWAY_SECONDS, &v.exp));
    buf_add_span(&v.payload, jws_payload(t));
    TRY(buf_ok(&v.payload));
    *ret = v;
    v = (struct verified_token){0};
    return ERR_OK;
}

struct err verifier_check(const struct verifier *v, struct span token, int64_t now,
                          struct verified_token *ret)
{
    _cleanup_jws_ struct jws *t = NULL;
    _cleanup_jwk_ struct jwk *brought = NULL;
    const struct jwk *key = NULL;
    TRY(jws_parse(token, &t));
    struct json jwk = json_get(jws_header(t), "jwk");
    if (json_present(jwk)) {
        TRY(header_key(v, jwk, now, &brought));
        key = brought;
    } else {
        TRY(known_key(v, json_string(json_get(jws_header(t), "kid")), &key));
    }
    TRY(check_signature(t, key));
    return read_claims(t, now, ret);
}
