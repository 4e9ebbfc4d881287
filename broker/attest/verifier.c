#include "broker/attest/verifier.h"

#include "broker/attest/guest.h"
#include "broker/base/file.h"
#include "broker/base/log.h"
#include "broker/jose/jws.h"
#include "broker/jose/x5c.h"

#include <stdio.h>
#include <string.h>

struct verifier {
    struct x5c_store *certs;
    struct key_sources *keys;
    struct key_source **sets; /* of keys */
    size_t set_count;
    char **issuers, **audiences; /* lists that end with NULL; empty: any will do */
    bool insecure_header_jwk;
};

static void texts_free(char **texts)
{
    for (size_t i = 0; texts && texts[i]; i++) free(texts[i]);
    free(texts);
}

void verifier_free(struct verifier *v)
{
    if (!v) return;
    key_sources_free(v->keys);
    free(v->sets);
    texts_free(v->issuers);
    texts_free(v->audiences);
    x5c_store_free(v->certs);
    free(v);
}

struct key_sources *verifier_keys(const struct verifier *v) { return v->keys; }

/* Without certificates that are trusted by name our own signer is believed, and nobody else whom its CA
 * has certified, for whatever purpose. */
static err_t trust_own(struct verifier *v, struct span own_chain)
{
    TRYC(x5c_store_add_pem(v->certs, own_chain), "the token signer's chain");
    TRYC(x5c_store_only_key(v->certs, own_chain), "the token signer's chain");
    return ERR_OK;
}

static err_t read_certs(struct verifier *v, const struct attest_config *c, struct span own_chain)
{
    TRY(x5c_store_new(&v->certs));
    if (c->trusted_cert_count == 0) return trust_own(v, own_chain);
    for (size_t i = 0; i < c->trusted_cert_count; i++) {
        _cleanup_buf_ struct buf pem = BUF_INIT;
        const char *file = c->trusted_certs[i];
        TRYC(file_read(file, KEY_SOURCE_MAX, &pem), "trusted certificates %s", file);
        TRYC(x5c_store_add_pem(v->certs, buf_span(&pem)), "trusted certificates %s", file);
    }
    return ERR_OK;
}

static err_t add_sets(struct verifier *v, const struct attest_config *c)
{
    v->sets = calloc(c->trusted_jwk_set_count + 1, sizeof *v->sets);
    if (!v->sets) FAIL(ERR_INTERNAL, "out of memory");
    for (; v->set_count < c->trusted_jwk_set_count; v->set_count++) {
        char name[64];
        snprintf(name, sizeof name, "attestation_token.trusted_jwk_sets[%zu]", v->set_count);
        struct key_source_config source = {.name = name, .form = KEY_FORM_SET,
                                           .place = c->trusted_jwk_sets[v->set_count],
                                           .ca_file = c->jwk_sets_ca_file};
        TRY(key_sources_add(v->keys, &source, &v->sets[v->set_count]));
    }
    return ERR_OK;
}

static err_t copy_texts(const char *const *texts, size_t count, char ***ret)
{
    *ret = calloc(count + 1, sizeof **ret);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++)
        if (!((*ret)[i] = strdup(texts[i]))) FAIL(ERR_INTERNAL, "out of memory");
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
    TRY(copy_texts(config->issuers, config->issuer_count, &v->issuers));
    TRY(copy_texts(config->audiences, config->audience_count, &v->audiences));
    TRY(read_certs(v, config, own_chain));
    TRY(key_sources_new(&v->keys));
    TRY(add_sets(v, config));
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

/* ---- whose key it is -------------------------------------------------------------------------- */

/* The key must say what it is for: without alg of its own it takes whatever the token names. */
static err_t check_signature(const struct jws *t, const struct jwk *key)
{
    const char *alg = jwk_alg(key);
    if (!alg || strcmp(alg, jws_alg(t)) != 0)
        FAIL(ERR_CRYPTO, "the key's alg is %.20s, the token's is %.20s", alg ? alg : "missing",
             jws_alg(t));
    return jws_verify(t, key);
}

/* By kid, or as the very same key where `like` is not NULL. Two sets may have a key of one name, for
 * signers know nothing of each other: whichever fits counts. */
static err_t check_by_sets(const struct verifier *v, const struct jws *t, const char *kid,
                           const struct jwk *like)
{
    struct err e = like ? ERR_MAKE(ERR_CRYPTO, "the token's key is in no trusted JWK set")
                        : ERR_MAKE(ERR_CRYPTO, "no trusted JWK set has a key \"%.60s\"", kid);
    for (size_t i = 0; i < v->set_count; i++) {
        _cleanup_jwk_set_ struct jwk_set *set = key_source_get(v->sets[i]);
        const struct jwk *key = like ? jwk_set_find_same(set, like, jws_alg(t)) : jwk_set_find(set, kid);
        if (key) e = check_signature(t, key);
        if (err_ok(e)) return e;
    }
    /* Some signers show a key only when they begin to use it, or under the name of the one before. */
    for (size_t i = 0; i < v->set_count; i++) key_source_want(v->sets[i]);
    return e;
}

/* A key in the header counts by its certificate, or by being a key of a trusted set: the CoCo
 * attestation service's set has no kid to look for (kbs-api.md 4.3). When both fail there is no third
 * way by the token's kid (4.4). *ret_until: verified_token.trusted_until. */
static err_t check_by_header(const struct verifier *v, const struct jws *t, struct json jwk, int64_t now,
                             int64_t *ret_until)
{
    _cleanup_jwk_ struct jwk *key = NULL;
    char why[ERR_TEXT];
    TRYC(jwk_from_json(jwk, &key), "the jwk in the token's header");
    if (v->insecure_header_jwk) return check_signature(t, key);
    struct err e = x5c_verify(v->certs, key, now, ret_until);
    if (err_ok(e)) return check_signature(t, key);
    if (e.code == ERR_INTERNAL) return e;
    snprintf(why, sizeof why, "%s", err_reason(e));
    TRYC(check_by_sets(v, t, NULL, key), "by the certificates in its header: %s", why);
    return ERR_OK;
}

static err_t check_by_kid(const struct verifier *v, const struct jws *t)
{
    const char *kid = json_string(json_get(jws_header(t), "kid"));
    if (!kid) FAIL(ERR_CRYPTO, "the token's header has neither jwk nor kid");
    return check_by_sets(v, t, kid, NULL);
}

void verified_token_done(struct verified_token *t)
{
    json_free(t->claims);
    buf_free(&t->payload);
}

/* ---- what it says ------------------------------------------------------------------------------- */

static bool any_of(char *const *texts, struct json claims, bool (*fits)(struct json, const char *))
{
    bool found = !texts[0];
    for (size_t i = 0; texts[i] && !found; i++) found = fits(claims, texts[i]);
    return found;
}

struct err verifier_read_claims(const struct verifier *v, struct span payload, int64_t now,
                                struct verified_token *ret)
{
    _cleanup_(verified_token_done) struct verified_token token = {0};
    TRYC(json_parse(payload, &token.claims), "the token's claims");
    struct json claims = json_root(token.claims);
    if (json_type(claims) != JSON_OBJECT)
        FAIL(ERR_CRYPTO, "the token's claims are no JSON object");
    TRY(jwt_check_times(claims, now, TOKEN_LEEWAY_SECONDS, &token.exp));
    if (!any_of(v->issuers, claims, jwt_iss_is))
        FAIL(ERR_CRYPTO, "the token's iss is none of attestation_token.issuers");
    if (!any_of(v->audiences, claims, jwt_aud_has))
        FAIL(ERR_CRYPTO, "the token's aud has none of attestation_token.audiences");
    buf_add_span(&token.payload, payload);
    TRY(buf_ok(&token.payload));
    *ret = token;
    token = (struct verified_token){0};
    return ERR_OK;
}

struct err verifier_check(const struct verifier *v, struct span token, int64_t now,
                          struct verified_token *ret)
{
    _cleanup_jws_ struct jws *t = NULL;
    int64_t until = 0;
    TRY(jws_parse(token, &t));
    struct json jwk = json_get(jws_header(t), "jwk");
    TRY(json_present(jwk) ? check_by_header(v, t, jwk, now, &until) : check_by_kid(v, t));
    TRY(verifier_read_claims(v, jws_payload(t), now, ret));
    ret->trusted_until = until;
    return ERR_OK;
}
