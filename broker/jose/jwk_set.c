#include "broker/jose/jwk.h"

#include "broker/base/limits.h"

#include <stdatomic.h>
#include <string.h>

struct jwk_set {
    _Atomic int refs;
    struct jwk *keys[JOSE_MAX_KEYS];
    size_t count, skipped;
};

struct jwk_set *jwk_set_ref(struct jwk_set *s)
{
    if (s) atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void jwk_set_unref(struct jwk_set *s)
{
    /* Release and acquire: what every holder did with s happened before it is freed. */
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < s->count; i++) jwk_free(s->keys[i]);
    free(s);
}

static err_t set_new(struct jwk_set **ret)
{
    *ret = calloc(1, sizeof **ret);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    (*ret)->refs = 1;
    return ERR_OK;
}

/* RFC 7517 5: a key that is not understood must not spoil those beside it. */
static err_t add_key(struct jwk_set *s, struct json object)
{
    _cleanup_jwk_ struct jwk *key = NULL;
    struct err e = jwk_from_json(object, &key);
    if (!err_ok(e) && e.code != ERR_USAGE) return e;
    if (err_ok(e) && jwk_may_verify(key)) s->keys[s->count++] = TAKE_PTR(key);
    else s->skipped++;
    return ERR_OK;
}

struct err jwk_set_parse(struct span text, struct jwk_set **ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRYC(json_parse(text, &doc), "JWK set");
    struct json keys = {0};
    TRY(json_need(json_root(doc), "keys", JSON_ARRAY, "a JWK set", &keys));
    if (json_count(keys) > JOSE_MAX_KEYS)
        FAIL(ERR_USAGE, "the JWK set has more than %u keys", JOSE_MAX_KEYS);
    _cleanup_jwk_set_ struct jwk_set *s = NULL;
    TRY(set_new(&s));
    for (struct json k = json_first(keys); json_present(k); k = json_next(k)) TRY(add_key(s, k));
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

struct err jwk_set_of(struct jwk *key, struct jwk_set **ret)
{
    _cleanup_jwk_ struct jwk *mine = key;
    _cleanup_jwk_set_ struct jwk_set *s = NULL;
    TRY(set_new(&s));
    s->keys[s->count++] = TAKE_PTR(mine);
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

/* ---- looking up ------------------------------------------------------------------------------ */

const struct jwk *jwk_set_find(const struct jwk_set *s, const char *kid)
{
    const struct jwk *found = NULL;
    for (size_t i = 0; s && kid && i < s->count; i++) {
        const char *have = jwk_kid(s->keys[i]);
        if (!have || strcmp(have, kid) != 0) continue;
        if (found) return NULL; /* two keys of one name: neither is the one that is meant */
        found = s->keys[i];
    }
    return found;
}

const struct jwk *jwk_set_alone(const struct jwk_set *s)
{
    return s && s->count == 1 ? s->keys[0] : NULL;
}

static bool has_alg(const struct jwk *k, const char *alg)
{
    const char *have = jwk_alg(k);
    return have && alg ? strcmp(have, alg) == 0 : have == alg;
}

const struct jwk *jwk_set_find_same(const struct jwk_set *s, const struct jwk *key, const char *alg)
{
    const struct jwk *found = NULL;
    for (size_t i = 0; s && i < s->count; i++) {
        if (!jwk_same_key(s->keys[i], key)) continue;
        if (has_alg(s->keys[i], alg)) return s->keys[i];
        if (!found) found = s->keys[i];
    }
    return found;
}

size_t jwk_set_count(const struct jwk_set *s) { return s ? s->count : 0; }
size_t jwk_set_skipped(const struct jwk_set *s) { return s ? s->skipped : 0; }

bool jwk_set_keeps(const struct jwk_set *s, const struct jwk_set *old)
{
    for (size_t i = 0; old && i < old->count; i++) {
        const struct jwk *was = old->keys[i];
        const char *alg = jwk_alg(was);
        const struct jwk *is = jwk_set_find_same(s, was, alg);
        if (!is || !has_alg(is, alg)) return false;
        if (jwk_set_find(old, jwk_kid(was)) != was) continue; /* nobody found it by name before */
        is = jwk_set_find(s, jwk_kid(was));
        if (!is || !jwk_same_key(is, was) || !has_alg(is, alg)) return false;
    }
    return true;
}
