#include "broker/attest/issuer.h"

#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/jose/jws.h"
#include "broker/jose/x5c.h"

#include <string.h>

#define SIGNER_FILE_MAX (64u << 10)          /* bytes */
#define OWN_CERT_SECONDS (10 * 365 * 86400LL)
#define OWN_CERT_BACKDATE 3600               /* for verifiers whose clock is behind ours */

struct issuer {
    EVP_PKEY *key;     /* the public half alone when the private one is elsewhere */
    bool waits;        /* for where it is */
    struct buf chain;  /* PEM */
    struct jws_signer *signer;
};

void issuer_free(struct issuer *i)
{
    if (!i) return;
    EVP_PKEY_free(i->key);
    buf_free(&i->chain);
    jws_signer_free(i->signer);
    free(i);
}

struct span issuer_chain(const struct issuer *i) { return buf_span(&i->chain); }

static err_t read_key(const char *file, EVP_PKEY **ret)
{
    _cleanup_secret_ struct secret *pem = NULL;
    if (!file) return key_generate_ec("P-256", ret);
    TRYC(file_read_secret(file, SIGNER_FILE_MAX, &pem), "token signer key %s", file);
    TRYC(key_from_pem(secret_span(pem), ret), "token signer key %s", file);
    return ERR_OK;
}

static err_t read_chain(const char *file, struct issuer *i)
{
    if (!file)
        return x5c_self_sign(i->key, "Strongroom attestation", clock_now() - OWN_CERT_BACKDATE,
                             OWN_CERT_SECONDS, &i->chain);
    TRYC(file_read(file, SIGNER_FILE_MAX, &i->chain), "token signer chain %s", file);
    return ERR_OK;
}

static err_t check_key(const struct issuer *i, const char *file, struct jwk **ret)
{
    _cleanup_jwk_ struct jwk *jwk = NULL;
    TRYC(jwk_from_pkey(i->key, NULL, &jwk), "token signer key %s", file);
    const char *crv = jwk_crv(jwk);
    if (!crv || strcmp(crv, "P-256") != 0)
        FAIL(ERR_USAGE, "token signer key %s: must be an EC key on P-256", file);
    *ret = TAKE_PTR(jwk);
    return ERR_OK;
}

/* {"typ":"JWT","alg":"ES256","jwk":{"alg","x5c" and the key's own members}}, the same for every token. */
static err_t make_signer(struct issuer *i, const struct jwk *jwk, const char *chain_file,
                         const struct jws_remote_key *remote)
{
    _cleanup_buf_ struct buf header = BUF_INIT;
    struct json_out o = JSON_OUT(&header);
    json_begin_object(&o);
    json_member_str(&o, "typ", "JWT");
    json_member_str(&o, "alg", "ES256");
    json_key(&o, "jwk");
    json_begin_object(&o);
    json_member_str(&o, "alg", "ES256");
    json_key(&o, "x5c");
    json_begin_array(&o);
    TRYC(x5c_put_chain(buf_span(&i->chain), i->key, &o), "token signer chain %s",
         chain_file ? chain_file : "made at start");
    json_end_array(&o);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    json_end_object(&o);
    TRY(buf_ok(&header));
    if (remote) return jws_signer_new_remote(remote, buf_span(&header), &i->signer);
    return jws_signer_new("ES256", i->key, buf_span(&header), &i->signer);
}

struct err issuer_new(const char *key_file, const char *chain_file, struct issuer **ret)
{
    if (chain_file && !key_file)
        FAIL(ERR_USAGE, "token signer chain %s: configured without the signer's key", chain_file);
    _cleanup_(issuer_freep) struct issuer *i = calloc(1, sizeof *i);
    if (!i) FAIL(ERR_INTERNAL, "out of memory");
    _cleanup_jwk_ struct jwk *jwk = NULL;
    TRY(read_key(key_file, &i->key));
    TRY(check_key(i, key_file ? key_file : "made at start", &jwk));
    TRY(read_chain(chain_file, i));
    TRY(make_signer(i, jwk, chain_file, NULL));
    *ret = TAKE_PTR(i);
    return ERR_OK;
}

struct err issuer_new_by(const struct attest_signer *signer, const char *chain_file,
                         struct issuer **ret)
{
    _cleanup_(issuer_freep) struct issuer *i = calloc(1, sizeof *i);
    _cleanup_jwk_ struct jwk *public = NULL;
    _cleanup_jwk_ struct jwk *jwk = NULL;
    if (!i) FAIL(ERR_INTERNAL, "out of memory");
    if (!chain_file)
        FAIL(ERR_USAGE, "token signer %s: needs a certificate chain (cert_path)", signer->name);
    i->waits = true;
    TRYC(jwk_from_pem(signer->public_pem, &public), "token signer %s", signer->name);
    if (!EVP_PKEY_up_ref(jwk_pkey(public))) FAIL(ERR_INTERNAL, "out of memory");
    i->key = jwk_pkey(public);
    TRY(check_key(i, signer->name, &jwk));
    TRY(read_chain(chain_file, i));
    struct err e = make_signer(i, jwk, chain_file, &signer->by);
    if (e.code == ERR_USAGE)
        return err_add(e, __FILE__, __LINE__, __func__, "the chain must begin with a certificate of "
                       "key %s; make one from its public key: openssl x509 -new -force_pubkey "
                       "PUBLIC.pem ...", signer->name);
    TRY(e);
    *ret = TAKE_PTR(i);
    return ERR_OK;
}

bool issuer_waits(const struct issuer *i) { return i->waits; }

/* A signer that is lost is no fault of the guest whose token it was to be. */
static err_t as_ours(struct err e)
{
    if (!err_ok(e) && err_http_status(e.code) < 500) e.code = ERR_HUMAN;
    return e;
}

struct err issuer_sign(const struct issuer *i, struct span claims, struct buf *ret)
{
    size_t before = ret->len;
    struct err e = jws_signer_sign(i->signer, claims, ret);
    TRY(i->waits ? as_ours(e) : e);
    if (ret->len - before > JOSE_MAX_TOKEN)
        FAIL(ERR_TOOLARGE, "the token would be %zu bytes long, more than the %u that are accepted; "
             "the guest's init-data are too large", ret->len - before, JOSE_MAX_TOKEN);
    return ERR_OK;
}
