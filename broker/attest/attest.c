#include "broker/attest/attest.h"

#include "broker/attest/appraise.h"
#include "broker/attest/cache.h"
#include "broker/attest/issuer.h"
#include "broker/attest/remote.h"
#include "broker/attest/session.h"
#include "broker/attest/tee.h"
#include "broker/attest/verifier.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/base/rand.h"
#include "broker/base/secret.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#define NONCE_BYTES 32
#define TOKEN_SECONDS 300 /* default life of our tokens */

/* Immutable once guests come, but for the two tables, which lock themselves. */
struct attest {
    bool sample_verifier;
    struct as_service *service; /* verifies instead; borrowed, or NULL */
    struct attest_appraiser appraiser;
    int64_t token_seconds;
    char *issuer_name;
    char **extra_paths;
    struct guest_rules rules; /* borrows extra_paths */
    EVP_MAC_CTX *nonce_mac; /* HMAC-SHA-256 with this process's key, made ready; copied for each use */
    struct sessions *sessions;
    struct cache *cache;
    struct issuer *issuer;
    struct verifier *verifier;
    _Atomic uint64_t signer_trusted; /* the moment_of when our own signer was found to be trusted */
    _Atomic int64_t signer_until;    /* and verified_token.trusted_until of its tokens; set before that */
};

/* ---- making ------------------------------------------------------------------------------- */

void attest_free(struct attest *a)
{
    if (!a) return;
    sessions_free(a->sessions);
    cache_free(a->cache);
    verifier_free(a->verifier);
    issuer_free(a->issuer);
    EVP_MAC_CTX_free(a->nonce_mac);
    for (size_t i = 0; i < a->rules.extra_path_count; i++) free(a->extra_paths[i]);
    free(a->extra_paths);
    free(a->issuer_name);
    free(a);
}
DEFINE_CLEANUP(struct attest, attest_free);
DEFINE_CLEANUP(EVP_MAC, EVP_MAC_free);
DEFINE_CLEANUP(EVP_MAC_CTX, EVP_MAC_CTX_free);

struct key_sources *attest_keys(const struct attest *a) { return verifier_keys(a->verifier); }

static err_t copy_text(const char *text, char **ret)
{
    *ret = strdup(text);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t copy_config(struct attest *a, const struct attest_config *c)
{
    a->sample_verifier = c->sample_verifier;
    a->service = c->service;
    a->token_seconds = c->token_seconds ? c->token_seconds : TOKEN_SECONDS;
    a->rules.allow_rsa1_5 = c->allow_rsa1_5;
    TRY(copy_text(c->issuer ? c->issuer : "Strongroom", &a->issuer_name));
    a->extra_paths = calloc(c->extra_teekey_path_count + 1, sizeof *a->extra_paths);
    if (!a->extra_paths) FAIL(ERR_INTERNAL, "out of memory");
    a->rules.extra_paths = (const char *const *) a->extra_paths;
    for (size_t i = 0; i < c->extra_teekey_path_count; i++) {
        const char *path = c->extra_teekey_paths[i];
        if (path[0] != '/')
            FAIL(ERR_USAGE, "extra_teekey_paths \"%.80s\": a JSON pointer begins with /", path);
        TRY(copy_text(path, &a->extra_paths[i]));
        a->rules.extra_path_count++;
    }
    return ERR_OK;
}

/* The second of the clock and how often keys were removed, in one number. */
static uint64_t moment_of(const struct attest *a, int64_t now)
{
    return (uint64_t) now << 24 | (key_sources_removals(attest_keys(a)) & 0xffffff);
}

/* Tokens of ours come back to us, so our signer must be trusted. Whether it is changes with the clock
 * (certificates end) and with keys that go, so one look in such a moment tells as much as one at every
 * token. */
static err_t check_own_signer(struct attest *a, int64_t now)
{
    _cleanup_buf_ struct buf claims = BUF_INIT, token = BUF_INIT;
    _cleanup_(verified_token_done) struct verified_token verified = {0};
    struct json_out o = JSON_OUT(&claims);
    uint64_t moment = moment_of(a, now);
    if (atomic_load(&a->signer_trusted) == moment) return ERR_OK;
    json_begin_object(&o);
    json_member_int(&o, "exp", now + 60);
    json_member_str(&o, "iss", a->issuer_name);
    json_end_object(&o);
    TRY(buf_ok(&claims));
    TRY(issuer_sign(a->issuer, buf_span(&claims), &token));
    struct err e = verifier_check(a->verifier, buf_span(&token), now, &verified);
    if (err_ok(e)) {
        atomic_store(&a->signer_until, verified.trusted_until);
        atomic_store(&a->signer_trusted, moment);
    }
    if (err_ok(e) || err_http_status(e.code) >= 500) return e;
    e.code = ERR_USAGE;
    return err_add(e, __FILE__, __LINE__, __func__, "our own attestation tokens would not be "
                   "believed; attestation_token must name the root of our signer's chain in "
                   "trusted_certs_paths, and our issuer_name in issuers where it names any");
}

/* Fetching the algorithm and hashing the key each time would cost more than the nonce. */
static err_t nonce_mac_new(EVP_MAC_CTX **ret)
{
    char sha256[] = "SHA2-256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
                           OSSL_PARAM_construct_end()};
    _cleanup_secret_ struct secret *key = NULL;
    TRY(secret_new(NONCE_BYTES, &key));
    TRY(rand_bytes(secret_data(key), NONCE_BYTES));
    _cleanup_(EVP_MAC_freep) EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    if (!mac || EVP_MAC_init(mac, secret_data(key), NONCE_BYTES, params) != 1)
        FAIL(ERR_INTERNAL, "HMAC-SHA-256 is not there");
    *ret = TAKE_PTR(mac);
    return ERR_OK;
}

struct err attest_new(const struct attest_config *config, struct attest **ret)
{
    _cleanup_(attest_freep) struct attest *a = calloc(1, sizeof *a);
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    TRY(copy_config(a, config));
    TRY(nonce_mac_new(&a->nonce_mac));
    TRY(sessions_new(config->session_max ? config->session_max : SESSION_MAX, SESSION_BYTES,
                     config->session_seconds ? config->session_seconds : SESSION_SECONDS,
                     &a->sessions));
    TRY(cache_new(GUEST_CACHE_MAX, GUEST_CACHE_BYTES, &a->cache));
    if (config->signer) TRY(issuer_new_by(config->signer, config->signer_chain_file, &a->issuer));
    else TRY(issuer_new(config->signer_key_file, config->signer_chain_file, &a->issuer));
    TRY(verifier_new(config, issuer_chain(a->issuer), &a->verifier));
    if (a->sample_verifier) {
        log_warn("attest.sample_verifier",
                 LOG_S("what", "sample evidence is accepted, which ANYBODY can make; "
                       "never in production"));
        if (!config->signer && !config->signer_key_file)
            log_warn("attest.ephemeral_signer",
                     LOG_S("what", "attestation tokens end with this process; configure a signer"));
        TRY(check_own_signer(a, clock_now())); /* now, not when guests come */
    }
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

void attest_appraise_by(struct attest *a, const struct attest_appraiser *appraiser)
{
    a->appraiser = *appraiser;
}

/* ---- handshake ---------------------------------------------------------------------------- */

/* Derived, so that nothing is stored and the steps of a handshake could meet different brokers
 * that share the key (DESIGN.md 8). */
static err_t nonce_of(const struct attest *a, const uint8_t id[SESSION_ID_BYTES], char ret[45])
{
    uint8_t mac[NONCE_BYTES];
    size_t len = 0;
    _cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(a->nonce_mac);
    if (!ctx || EVP_MAC_update(ctx, id, SESSION_ID_BYTES) != 1 ||
        EVP_MAC_final(ctx, mac, &len, sizeof mac) != 1 || len != sizeof mac)
        FAIL(ERR_INTERNAL, "the nonce cannot be computed");
    EVP_EncodeBlock((unsigned char *) ret, mac, NONCE_BYTES); /* 44 characters and a NUL */
    return ERR_OK;
}

static err_t challenge_of(const struct attest *a, const struct session_view *v,
                          struct attest_challenge *ret)
{
    struct attest_challenge c = {.expires = v->expires, .tee = v->tee};
    hex_encode(span_of(v->id, SESSION_ID_BYTES), c.session);
    if (!v->nonce) TRY(nonce_of(a, v->id, c.nonce));
    *ret = c;
    return ERR_OK;
}

void attest_challenge_done(struct attest_challenge *c)
{
    buf_free(&c->own_nonce);
}

const char *attest_challenge_nonce(struct attest_challenge *c)
{
    return c->own_nonce.len ? buf_str(&c->own_nonce) : c->nonce;
}

bool attest_auth_waits(struct attest *a, struct span body)
{
    const char *tee = NULL;
    return a->service && err_ok(request_parse(body, &tee)) && tee_challenges(tee);
}

bool attest_evidence_waits(struct attest *a, const char *session)
{
    _cleanup_(session_view_done) struct session_view v = {0};
    uint8_t id[SESSION_ID_BYTES];
    return a->service && session_id_from(session, id) &&
           err_ok(sessions_find(a->sessions, id, clock_now(), &v));
}

struct err attest_auth(struct attest *a, struct span body, struct attest_challenge *ret)
{
    const char *tee = NULL;
    _cleanup_(attest_challenge_done) struct attest_challenge made = {0}, c = {0};
    _cleanup_(session_nonce_unrefp) struct session_nonce *nonce = NULL;
    _cleanup_(session_view_done) struct session_view v = {0};
    TRY(request_parse(body, &tee));
    if (a->service && tee_challenges(tee)) {
        TRY(remote_challenge(a->service, tee, body, &made));
        TRY(session_nonce_new(buf_span(&made.own_nonce), &nonce));
    }
    TRY(sessions_create(a->sessions, tee, nonce, clock_now(), &v));
    TRY(challenge_of(a, &v, &c));
    c.own_nonce = made.own_nonce;
    c.hash = made.hash;
    *ret = c;
    made = c = (struct attest_challenge){0};
    return ERR_OK;
}

/* What no guest can help: that tokens which are made for them here, or by the service, are not believed. It is
 * for a person to mend. */
static err_t as_ours(struct err e)
{
    if (!err_ok(e) && err_http_status(e.code) < 500) e.code = ERR_HUMAN;
    return e;
}

/* A guest is told that it is refused, not why. Only what is our own fault stays as it is. */
static err_t as_auth(struct err e)
{
    if (!err_ok(e) && err_http_status(e.code) < 500) e.code = ERR_AUTH;
    return e;
}

/* What a token that is known to be good makes of its bearer, remembered from now on. removals: read
 * before the keys were looked up (key_sources_removals). */
static err_t remember(struct attest *a, struct span token, const struct digest *sha256,
                      const struct verified_token *v, uint64_t removals, struct guest **ret)
{
    _cleanup_guest_ struct guest *g = NULL;
    struct guest_token t = {.text = token, .sha256 = sha256, .payload = buf_span(&v->payload),
                            .claims = json_root(v->claims), .exp = v->exp,
                            .trusted_until = v->trusted_until, .removals = removals};
    TRY(guest_new(&t, &a->rules, &g));
    TRY(cache_put(a->cache, sha256, g));
    *ret = TAKE_PTR(g);
    return ERR_OK;
}

static err_t verify_token(struct attest *a, struct span token, const struct digest *sha256,
                          struct guest **ret)
{
    _cleanup_(verified_token_done) struct verified_token v = {0};
    uint64_t removals = key_sources_removals(attest_keys(a));
    TRY(verifier_check(a->verifier, token, clock_now(), &v));
    return remember(a, token, sha256, &v, removals, ret);
}

/* Whose token it is. ERR_CRYPTO: it is not believed. */
static err_t find_by_token(struct attest *a, struct span token, struct guest **ret)
{
    if (token.len > JOSE_MAX_TOKEN)
        FAIL(ERR_AUTH, "the token is longer than %u bytes", JOSE_MAX_TOKEN);
    struct digest sha256 = {0};
    TRY(digest_compute(DIGEST_SHA256, token, &sha256));
    *ret = cache_get(a->cache, &sha256, clock_now(), key_sources_removals(attest_keys(a)));
    return *ret ? ERR_OK : verify_token(a, token, &sha256, ret);
}

/* The token for evidence that verified. The guest is made of what was signed, read as everybody's
 * claims are, so it is exactly what its token says; only our own signature is not checked again. */
static err_t issue(struct attest *a, const struct session_view *v, const char *nonce,
                   const struct attestation *body, struct guest **ret)
{
    _cleanup_buf_ struct buf claims = BUF_INIT, token = BUF_INIT;
    _cleanup_(verified_token_done) struct verified_token own = {0};
    _cleanup_guest_ struct guest *g = NULL;
    const struct jwe_key *key = NULL;
    struct digest sha256 = {0};
    struct appraisal appraisal = {
        .sample_verifier = a->sample_verifier, .appraiser = &a->appraiser, .tee = v->tee,
        .nonce = nonce,
        .issuer = a->issuer_name, .now = clock_now(), .seconds = a->token_seconds};
    uint64_t removals = key_sources_removals(attest_keys(a));
    TRY(appraise(&appraisal, body, &claims));
    TRY(as_ours(check_own_signer(a, appraisal.now)));
    TRY(issuer_sign(a->issuer, buf_span(&claims), &token));
    TRY(verifier_read_claims(a->verifier, buf_span(&claims), appraisal.now, &own));
    own.trusted_until = atomic_load(&a->signer_until);
    TRY(digest_compute(DIGEST_SHA256, buf_span(&token), &sha256));
    TRY(remember(a, buf_span(&token), &sha256, &own, removals, &g));
    TRYC(guest_key(g, &key), "the guest's key"); /* an unusable one is refused now, not at GET */
    *ret = TAKE_PTR(g);
    return ERR_OK;
}

/* The token of the service that verifies, believed as everybody's is, for this handshake only. */
static err_t ask_service(struct attest *a, const struct session_view *v, const char *nonce,
                         const struct attestation *body, struct guest **ret)
{
    _cleanup_buf_ struct buf token = BUF_INIT;
    _cleanup_guest_ struct guest *g = NULL;
    TRY(remote_evaluate(a->service, v->tee, nonce, body, &token));
    struct err e = find_by_token(a, buf_span(&token), &g);
    if (e.code == ERR_CRYPTO) e = as_ours(e); /* its signer, its time; the claims may be of the guest's making */
    TRYC(e, "the attestation service's token");
    TRY(remote_check_token(g, &a->rules, nonce, body));
    *ret = TAKE_PTR(g);
    return ERR_OK;
}

static err_t verify_evidence(struct attest *a, const struct session_view *v, const char *derived,
                             const struct attestation *body, struct guest **ret)
{
    const char *nonce = v->nonce ? session_nonce_text(v->nonce) : derived;
    if (!secret_equal(span_str(nonce), span_str(body->nonce)))
        FAIL(ERR_AUTH, "the nonce is not this session's");
    _cleanup_guest_ struct guest *g = NULL;
    TRY((a->service ? ask_service : issue)(a, v, nonce, body, &g));
    TRY(sessions_attest(a->sessions, v->id, clock_now(), g));
    *ret = TAKE_PTR(g);
    return ERR_OK;
}

/* Whether the session's guest can be answered with the token it has: same key, not at its end. */
static bool has_token_for(const struct attest *a, const struct session_view *v,
                          const struct attestation *body)
{
    if (!v->guest || guest_expired(v->guest, clock_now())) return false;
    if (guest_removals(v->guest) < key_sources_removals(attest_keys(a))) return false;
    _cleanup_buf_ struct buf key = BUF_INIT;
    struct json_out o = JSON_OUT(&key);
    struct err e = jwe_tee_key_canonical(body->tee_pubkey, &o);
    return err_ok(e) && !key.failed && guest_holds_key(v->guest, buf_span(&key));
}

struct err attest_evidence(struct attest *a, const char *session, struct span body,
                           struct buf *ret_token, struct attest_challenge *ret)
{
    _cleanup_(session_view_done) struct session_view v = {0};
    _cleanup_(attestation_done) struct attestation t = {0};
    _cleanup_guest_ struct guest *g = NULL;
    struct attest_challenge challenge = {0};
    uint8_t id[SESSION_ID_BYTES];
    if (!session_id_from(session, id)) FAIL(ERR_AUTH, "the cookie names no session");
    TRY(as_auth(sessions_find(a->sessions, id, clock_now(), &v)));
    TRY(attestation_parse(body, &t));
    ret->tee = v.tee;
    TRY(challenge_of(a, &v, &challenge));
    if (has_token_for(a, &v, &t)) g = TAKE_PTR(v.guest);
    else TRY(as_auth(verify_evidence(a, &v, challenge.nonce, &t, &g)));
    buf_add_span(ret_token, guest_token_text(g));
    TRY(buf_ok(ret_token));
    *ret = challenge;
    return ERR_OK;
}

bool attest_waits(const struct attest *a)
{
    return issuer_waits(a->issuer);
}

/* ---- who asks ----------------------------------------------------------------------------- */

/* A key has gone since the session's token was verified: it may have been the token's. */
static err_t verify_again(struct attest *a, const struct session_view *v, int64_t now,
                          struct guest **ret)
{
    _cleanup_guest_ struct guest *g = NULL;
    struct err e = attest_by_token(a, guest_token_text(v->guest), &g);
    if (e.code == ERR_AUTH) e.code = ERR_NOTFOUND; /* as if the session had not attested */
    TRYC(e, "the session's token, verified again");
    TRY(sessions_renew(a->sessions, v->id, now, v->guest, g));
    *ret = TAKE_PTR(g);
    return ERR_OK;
}

struct err attest_by_session(struct attest *a, const char *session, struct guest **ret)
{
    _cleanup_(session_view_done) struct session_view v = {0};
    uint8_t id[SESSION_ID_BYTES];
    if (!session_id_from(session, id)) FAIL(ERR_NOTFOUND, "the cookie names no session");
    int64_t now = clock_now();
    TRY(sessions_find(a->sessions, id, now, &v));
    if (!v.guest) FAIL(ERR_NOTFOUND, "the session has not attested");
    if (guest_expired(v.guest, now)) FAIL(ERR_NOTFOUND, "the session's token ended");
    if (guest_removals(v.guest) < key_sources_removals(attest_keys(a)))
        return verify_again(a, &v, now, ret);
    *ret = TAKE_PTR(v.guest);
    return ERR_OK;
}

struct err attest_by_token(struct attest *a, struct span token, struct guest **ret)
{
    return as_auth(find_by_token(a, token, ret));
}

void attest_stats(struct attest *a, struct attest_stats *ret)
{
    struct session_counts c = {0};
    sessions_count(a->sessions, clock_now(), &c);
    *ret = (struct attest_stats){.sessions = c.sessions, .attested = c.attested,
                                 .evicted = c.evicted, .remembered = cache_count(a->cache)};
}
