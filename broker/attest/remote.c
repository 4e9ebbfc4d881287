#include "broker/attest/remote.h"

#include "broker/attest/as_call.h"
#include "broker/attest/report_data.h"
#include "broker/attest/tee.h"
#include "broker/base/log.h"
#include "broker/jose/jws.h"

#include <string.h>
#include <strings.h>

#define PIECES_MAX (1 + TEE_EVIDENCE_MAX)

/* ---- auth ----------------------------------------------------------------------------------- */

/* A guest that lists the hashes it knows is told which one to take (kbs-api.md 2.2). */
static err_t select_hash(struct json params, const char *wanted, const char **ret)
{
    struct json list = json_get(params, "supported-hash-algorithms");
    *ret = NULL;
    if (json_type(list) != JSON_ARRAY) return ERR_OK;
    for (struct json name = json_first(list); json_present(name); name = json_next(name))
        if (json_string(name) && strcasecmp(json_string(name), wanted) == 0) *ret = wanted;
    if (!*ret) FAIL(ERR_AUTH, "the guest does not support %s, which its TEE needs", wanted);
    return ERR_OK;
}

struct err remote_challenge(struct as_service *s, const char *tee, struct span body,
                            struct attest_challenge *ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(body, &doc));
    struct json params = json_get(json_root(doc), "extra-params");
    TRY(select_hash(params, digest_alg_name(tee_digest_alg(tee)), &ret->hash));
    struct err e = as_challenge(s, tee, json_text(params), &ret->own_nonce);
    if (e.code != ERR_AUTH) return e;
    /* The guest reads the innermost sentence; the service's own is for the log. */
    log_warn_err(e, "attest.no-challenge", LOG_S("tee", tee));
    FAIL(ERR_AUTH, "Attestation Service generate challenge failed");
}

/* ---- attest --------------------------------------------------------------------------------- */

static err_t add_devices(const struct attestation *body, struct span runtime, struct as_piece *pieces,
                         size_t *count)
{
    for (struct json m = json_first(body->devices); json_present(m); m = json_next(m)) {
        const char *tee = tee_canonical(json_name(m));
        if (!tee) FAIL(ERR_AUTH, "additional evidence of unknown TEE \"%.40s\"", json_name(m));
        pieces[(*count)++] = (struct as_piece){
            .tee = tee, .evidence = json_text(m), .runtime = runtime,
            .hash = digest_alg_name(tee_digest_alg(tee))};
    }
    return ERR_OK;
}

struct err remote_evaluate(struct as_service *s, const char *tee, const char *nonce,
                           const struct attestation *body, struct buf *ret_token)
{
    struct as_piece pieces[PIECES_MAX] = {0};
    _cleanup_buf_ struct buf bound = BUF_INIT, device_bound = BUF_INIT;
    size_t count = 1;
    if (body->init_format && strcmp(body->init_format, "toml") != 0)
        FAIL(ERR_USAGE, "init-data of format \"%.20s\"; only \"toml\" is accepted", body->init_format);
    TRY(report_data_text(body->additional, nonce, body->tee_pubkey, &bound));
    TRY(report_data_text(NULL, nonce, body->tee_pubkey, &device_bound));
    pieces[0] = (struct as_piece){.tee = tee, .evidence = json_text(body->primary),
                                  .runtime = buf_span(&bound), .init_data = body->init_body,
                                  .hash = digest_alg_name(tee_digest_alg(tee))};
    TRY(add_devices(body, buf_span(&device_bound), pieces, &count));
    return as_evaluate(s, pieces, count, ret_token);
}

/* ---- the token ------------------------------------------------------------------------------ */

static err_t check_key(const struct guest *g, const struct attestation *body)
{
    _cleanup_buf_ struct buf canonical = BUF_INIT;
    struct json_out o = JSON_OUT(&canonical);
    TRY(jwe_tee_key_canonical(body->tee_pubkey, &o));
    TRY(buf_ok(&canonical));
    if (!guest_holds_key(g, buf_span(&canonical)))
        FAIL(ERR_AUTH, "the attestation service's token is for another key than the guest's");
    return ERR_OK;
}

static err_t check_nonce(const struct guest *g, const struct guest_rules *rules, const char *nonce)
{
    _cleanup_jws_ struct jws *token = NULL;
    _cleanup_json_ struct json_doc *claims = NULL;
    TRY(jws_parse(guest_token_text(g), &token));
    TRY(json_parse(jws_payload(token), &claims));
    struct json carried = guest_find_nonce(json_root(claims), rules);
    const char *text = json_string(carried);
    if (json_present(carried) && (!text || strcmp(text, nonce) != 0))
        FAIL(ERR_AUTH, "the attestation service's token is of another handshake: its nonce differs");
    return ERR_OK;
}

struct err remote_check_token(const struct guest *g, const struct guest_rules *rules, const char *nonce,
                              const struct attestation *body)
{
    const struct jwe_key *key = NULL;
    /* A device attests for itself too, and its token has no key: any guest can bring that about. */
    TRYC(guest_key(g, &key), "the key in the attestation service's token");
    struct err e = check_key(g, body);
    if (err_ok(e)) e = check_nonce(g, rules, nonce);
    if (e.code == ERR_AUTH)
        log_err(e, "attest.foreign-token", LOG_S("token", guest_fingerprint(g)),
                LOG_S("what", "the attestation service answered with a token that is not this guest's; "
                              "look at the service, and at what stands between"));
    return e;
}
