/* Guests: the handshake (kbs-api.md 2), attestation tokens (4), and who a caller is.
 *
 * Stands behind challenge, attest, find: nothing outside knows how sessions or tokens are kept.
 * Thread-safe. */
#pragma once

#include "broker/attest/ear.h"
#include "broker/base/buf.h"
#include "broker/base/limits.h"
#include "broker/jose/jwe.h"
#include "broker/jose/jws.h"

struct as_service;    /* as_service.h */
struct attest;
struct key_sources;   /* jose/key_source.h */
struct policy_claims; /* policy/policy_claims.h */
struct guest; /* a verified attestation token; reference-counted, immutable */

/* A signing key that is not in this process (on the token): its public half as PEM, and who signs.
 * Errors of its own (503) come through attest_evidence as they are. Thread-safe. */
struct attest_signer {
    struct span public_pem;  /* borrowed during attest_new alone */
    struct jws_remote_key by; /* its context outlives the attest */
    const char *name;        /* for errors; borrowed likewise */
};

struct attest_config {
    bool sample_verifier;             /* built-in verifier of sample evidence: development only */
    struct as_service *service;       /* who verifies evidence instead; borrowed, or NULL */
    bool allow_rsa1_5;
    int64_t session_seconds;          /* from auth; 0: SESSION_SECONDS */
    size_t session_max;               /* 0: SESSION_MAX */
    int64_t token_seconds;            /* life of tokens that we issue; 0: 300 */
    const char *issuer;               /* iss of tokens that we issue */
    const char *signer_key_file;      /* PEM, EC P-256; NULL: made at start */
    const char *signer_chain_file;    /* PEM, leaf first; NULL: self-signed at start */
    const struct attest_signer *signer; /* instead of signer_key_file; needs signer_chain_file */
    const char *const *trusted_certs; /* PEM files */
    size_t trusted_cert_count;
    const char *const *trusted_jwk_sets; /* paths and URLs (jose/key_source.h) */
    size_t trusted_jwk_set_count;
    const char *jwk_sets_ca_file;     /* PEM: who may sign for their servers; NULL: the system's */
    const char *const *issuers;       /* what iss may be; none: anything */
    size_t issuer_count;
    const char *const *audiences;     /* what aud must hold one of; none: anything */
    size_t audience_count;
    const char *const *extra_teekey_paths; /* JSON pointers, looked at first (kbs-api.md 4.5) */
    size_t extra_teekey_path_count;
    bool insecure_header_jwk;         /* trust any key in a token's header: loud */
};

/* The signer's own key alone is trusted when no trusted_certs are configured. */
err_t attest_new(const struct attest_config *config, struct attest **ret);
void attest_free(struct attest *a);

/* Where the keys of trusted tokens come from, to look at them anew and to tell of them. Borrowed. */
struct key_sources *attest_keys(const struct attest *a);

/* ---- appraisal ---- */

/* Who says how far evidence that verified is to be trusted. */
struct attest_appraiser {
    void *context;
    /* One piece of evidence of a class of devices ("cpu", "gpu"); `evidence` is what a policy sees, as
     * JSON text. Any error fails the attestation; its text is for the log. Thread-safe. */
    err_t (*appraise)(void *context, const char *device, struct span evidence,
                      struct ear_verdict *ret);
};
/* Before the first guest: until then evidence is refused. The context outlives a. */
void attest_appraise_by(struct attest *a, const struct attest_appraiser *appraiser);
#define ATTEST_POLICY_ID "default" /* what tokens name; policies add the class: default_cpu */

/* The id is checked by the caller, the text is UTF-8; where we appraise it was compiled before. Borrowed. */
struct attest_policy {
    const char *id;
    struct span text;
    bool has_if_match;  /* set it only if this version is stored (0: none is) */
    uint64_t if_match;
};

/* What operators set for appraisal, and where that belongs: to this broker, or to the service that
 * verifies for it. Functions may wait for a token or a network, and run off the event loops. Errors
 * of class ERR_USAGE carry a sentence for the operator. Thread-safe. */
struct attest_upkeep {
    void *context;
    /* ERR_PRECONDITION: another version is stored than if_match. */
    err_t (*set_policy)(void *context, const struct attest_policy *policy, uint64_t *ret_version);
    /* The message of kbs-api.md 6.3, JSON text {"version","type","payload"}. */
    err_t (*register_values)(void *context, struct span message);
    /* Appends the value as JSON text. ERR_NOTFOUND. */
    err_t (*query_value)(void *context, const char *name, struct buf *ret);
};
/* Nobody verifies here, so nothing of this belongs here: says so, with ERR_USAGE. */
extern const struct attest_upkeep attest_upkeep_nowhere;

/* ---- handshakes ---- */

struct attest_challenge {
    char session[33];  /* 32 hex digits */
    int64_t expires;   /* Unix seconds */
    char nonce[45];    /* base64, 44 characters; empty when the verifier makes its own */
    const char *tee;   /* canonical name, static */
    struct buf own_nonce; /* the verifier's, of attest_auth; attest_challenge_done frees */
    const char *hash;  /* selected-hash-algorithm to tell the guest, or NULL */
};
void attest_challenge_done(struct attest_challenge *c);
const char *attest_challenge_nonce(struct attest_challenge *c); /* whichever it is */

/* Whether the attestation service is asked: then attest_auth and attest_evidence wait for the network,
 * and belong on a thread that may. Cheap; false for what is refused without asking. */
bool attest_auth_waits(struct attest *a, struct span body);
bool attest_evidence_waits(struct attest *a, const char *session);

/* POST auth: parses the Request, makes a session. ERR_AUTH with the cause text of kbs-api.md 2.2
 * as reason ("deserialize Request", "KBS Client Protocol Version Mismatch: expect =0.4.0 while the
 * request is X", ...). ERR_BUSY: the attestation service, which makes the challenge, is down. */
err_t attest_auth(struct attest *a, struct span body, struct attest_challenge *ret);

/* POST attest: session is the cookie's value as received (any text or NULL). On success the token
 * is appended to *ret_token and *ret says which session it was. Any refusal is ERR_AUTH; the
 * reason is for the log only. ERR_USAGE when the body does not parse. What is our own fault keeps its
 * class (ERR_INTERNAL, ERR_TOKEN_DOWN and the others of 500 and above). ret->tee is set on failure too,
 * once there is a session and a body whose evidence is looked at. */
err_t attest_evidence(struct attest *a, const char *session, struct span body,
                      struct buf *ret_token, struct attest_challenge *ret);

/* Whether attest_evidence may wait for another device, so that it should not run on an event loop. */
bool attest_waits(const struct attest *a);

/* Who asks: by cookie (NULL or garbage is ERR_NOTFOUND; found but not attested too), or by bearer
 * token (ERR_AUTH when it does not verify). *ret is a reference of the caller's. */
err_t attest_by_session(struct attest *a, const char *session, struct guest **ret);
err_t attest_by_token(struct attest *a, struct span token, struct guest **ret);

void guest_ref(struct guest *g);
void guest_unref(struct guest *g); /* NULL-safe */
/* All claims, parsed as policies see them. Borrowed from the guest. */
const struct policy_claims *guest_claims(const struct guest *g);
/* What the guest takes in memory, for those who keep many: token, parsed claims, and a round figure
 * for the key and the rest. */
size_t guest_bytes(const struct guest *g);
const char *guest_fingerprint(const struct guest *g);    /* 16 hex digits of the token's SHA-256 */
const char *guest_tee(const struct guest *g);            /* "sample", ... or "" */
/* The key to encrypt to; ERR_AUTH (no tee-pubkey where kbs-api.md 4.5 looks), ERR_CRYPTO
 * (unsupported key). Borrowed from the guest. */
err_t guest_key(const struct guest *g, const struct jwe_key **ret);

struct attest_stats {
    size_t sessions, attested, remembered;
    uint64_t evicted;
};
void attest_stats(struct attest *a, struct attest_stats *ret);

/* Every TEE name of kbs-api.md 2.1 and 15.4 -> its modern spelling, or NULL. */
const char *tee_canonical(const char *name);
/* The modern spellings by number, and back; TEE_COUNT: it is none of them. */
#define TEE_COUNT 14
const char *tee_name(size_t index);
size_t tee_index(const char *canonical);
