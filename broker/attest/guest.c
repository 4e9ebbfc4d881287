#include "broker/attest/guest.h"

#include "policy/policy_claims.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define FINGERPRINT_BYTES 8

/* Token and claims are plain memory, not struct secret: the token opens nothing by itself, since
 * whatever it releases is encrypted to the key inside it. */
struct guest {
    _Atomic int refs;
    char fingerprint[2 * FINGERPRINT_BYTES + 1];
    const char *tee; /* static */
    int64_t exp, trusted_until;
    uint64_t removals;
    struct buf token;
    struct policy_claims *claims;
    struct buf key_text;  /* canonical; empty when there is no key */
    struct jwe_key *key;  /* NULL: key_error says why */
    struct err key_error;
    char key_reason[ERR_TEXT];
};

/* kbs-api.md 4.5, in this order; the first that exists decides. */
static const char *const key_paths[] = {
    "/tdx/attester_runtime_data/tee-pubkey",
    "/tdx/attester_user_data/tee-pubkey",
    "/customized_claims/runtime_data/tee-pubkey",
    "/submods/cpu0/ear.veraison.annotated-evidence/runtime_data_claims/tee-pubkey",
    "/tee-pubkey",
};

static const char *first_of(struct json claims, const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_present(json_pointer(claims, paths[i]))) return paths[i];
    return NULL;
}

/* NULL: the token has none. */
static const char *find_path(struct json claims, const struct guest_rules *rules)
{
    const char *path = first_of(claims, rules->extra_paths, rules->extra_path_count);
    return path ? path : first_of(claims, key_paths, LENGTH(key_paths));
}

static struct json find_key(struct json claims, const struct guest_rules *rules)
{
    const char *path = find_path(claims, rules);
    return path ? json_pointer(claims, path) : (struct json){0};
}

struct json guest_find_nonce(struct json claims, const struct guest_rules *rules)
{
    const char *path = find_path(claims, rules);
    if (!path) return (struct json){0};
    size_t beside = (size_t) (strrchr(path, '/') - path);
    _cleanup_buf_ struct buf pointer = BUF_INIT;
    buf_addf(&pointer, "%.*s/nonce", (int) beside, path);
    return json_pointer(claims, buf_str(&pointer));
}

/* Parsed here once, since every decision of a policy reads them. */
static err_t read_claims(struct guest *g, struct span payload)
{
    struct policy_claims_error why = {0};
    g->claims = policy_claims_new((const char *) payload.data, payload.len, &why);
    if (!g->claims) FAIL(ERR_USAGE, "the token's claims, byte %zu: %s", why.offset, why.text);
    return ERR_OK;
}

static err_t read_key(struct guest *g, struct json claims, const struct guest_rules *rules)
{
    struct json key = find_key(claims, rules);
    if (!json_present(key)) FAIL(ERR_AUTH, "the token has no tee-pubkey where we look for one");
    if (!json_string(json_get(key, "kty")))
        FAIL(ERR_AUTH, "the token's tee-pubkey is no key object with a kty");
    /* The curve check, which is most of an ECDH's cost, is made here once (DESIGN.md 9). */
    TRY(jwe_key_from_json(key, rules->allow_rsa1_5, &g->key));
    struct json_out o = JSON_OUT(&g->key_text);
    TRY(jwe_tee_key_canonical(key, &o));
    return buf_ok(&g->key_text);
}

/* The member that holds the evidence's own claims is named after the TEE (kbs-api.md 4.2). */
static const char *find_tee(struct json claims)
{
    struct json evidence = json_pointer(claims,
                                        "/submods/cpu0/ear.veraison.annotated-evidence");
    if (json_type(evidence) != JSON_OBJECT) return "";
    for (struct json m = json_first(evidence); json_present(m); m = json_next(m)) {
        const char *tee = tee_canonical(json_name(m));
        if (tee) return tee;
    }
    return "";
}

struct err guest_new(const struct guest_token *token, const struct guest_rules *rules,
                     struct guest **ret)
{
    _cleanup_guest_ struct guest *g = calloc(1, sizeof *g);
    if (!g) FAIL(ERR_INTERNAL, "out of memory");
    g->refs = 1;
    g->exp = token->exp;
    g->trusted_until = token->trusted_until;
    g->removals = token->removals;
    g->tee = find_tee(token->claims);
    hex_encode(span_of(token->sha256->bytes, FINGERPRINT_BYTES), g->fingerprint);
    buf_add_span(&g->token, token->text);
    TRY(buf_ok(&g->token));
    TRY(read_claims(g, token->payload));
    g->key_error = read_key(g, token->claims, rules);
    if (g->key_error.code == ERR_INTERNAL) return g->key_error;
    if (!err_ok(g->key_error))
        snprintf(g->key_reason, sizeof g->key_reason, "%s", err_reason(g->key_error));
    *ret = TAKE_PTR(g);
    return ERR_OK;
}

void guest_ref(struct guest *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
}

void guest_unref(struct guest *g)
{
    /* Release and acquire: what every holder did with g happened before it is freed. */
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1) return;
    jwe_key_free(g->key);
    buf_free(&g->key_text);
    policy_claims_free(g->claims);
    buf_free(&g->token);
    free(g);
}

const struct policy_claims *guest_claims(const struct guest *g) { return g->claims; }
struct span guest_token_text(const struct guest *g) { return buf_span(&g->token); }

size_t guest_bytes(const struct guest *g)
{
    return g->token.cap + policy_claims_bytes(g->claims) + GUEST_FIXED_BYTES;
}

const char *guest_fingerprint(const struct guest *g) { return g->fingerprint; }
const char *guest_tee(const struct guest *g) { return g->tee; }

bool guest_holds_key(const struct guest *g, struct span canonical)
{
    return g->key && span_eq(buf_span(&g->key_text), canonical);
}

bool guest_expired(const struct guest *g, int64_t now)
{
    bool distrusted = g->trusted_until && now >= g->trusted_until;
    return distrusted || g->exp < now - TOKEN_LEEWAY_SECONDS; /* exp is the token's word: it may be the largest */
}

uint64_t guest_removals(const struct guest *g) { return g->removals; }

struct err guest_key(const struct guest *g, const struct jwe_key **ret)
{
    if (!err_ok(g->key_error)) FAIL(g->key_error.code, "%s", g->key_reason);
    *ret = g->key;
    return ERR_OK;
}
