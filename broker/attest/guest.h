/* A verified attestation token: what it says, and the key it lets us encrypt to.
 * The public functions are in attest.h. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/digest.h"
#include "broker/base/cleanup.h"
#include "broker/jose/jwe.h"

DEFINE_CLEANUP(struct guest, guest_unref);
#define _cleanup_guest_ _cleanup_(guest_unrefp)

struct guest_rules {
    const char *const *extra_paths; /* JSON pointers looked at first */
    size_t extra_path_count;
    bool allow_rsa1_5;
};

/* From a token that has been verified: its text, the SHA-256 of that, its payload, the payload
 * parsed, its exp. Copies what it keeps. A token without a usable key makes a guest all the same;
 * guest_key says what is wrong with it. ERR_USAGE when its claims go beyond the limits of
 * policy_claims.h. One reference, the caller's. */
struct guest_token {
    struct span text;
    const struct digest *sha256;
    struct span payload;
    struct json claims;
    int64_t exp, trusted_until; /* of struct verified_token */
    uint64_t removals; /* key_sources_removals before it was verified */
};
err_t guest_new(const struct guest_token *token, const struct guest_rules *rules,
                struct guest **ret);

/* Claims as those of the token: what stands as "nonce" beside the key, of whatever type; not present when
 * it carries none. */
struct json guest_find_nonce(struct json claims, const struct guest_rules *rules);

struct span guest_token_text(const struct guest *g);

/* In guest_bytes, for the key and the rest. */
#define GUEST_FIXED_BYTES 4096u

/* Whether this is the guest's key, both in the canonical form of jwe_tee_key_canonical. */
bool guest_holds_key(const struct guest *g, struct span canonical);

/* Whether the token is past its end, leeway included, or the certificates by which it was believed are past
 * theirs: whoever brought it now for the first time would be refused. */
bool guest_expired(const struct guest *g, int64_t now);

/* How many keys had gone when the token was verified: with more of them it must be verified again. */
uint64_t guest_removals(const struct guest *g);

/* Seconds that clocks may differ: exp and nbf (kbs-api.md 4.4). */
#define TOKEN_LEEWAY_SECONDS 60
