#include "broker/jose/jwk.h"

#include "broker/base/limits.h"

#include <string.h>

struct jwk_set {
    struct jwk *keys[JOSE_MAX_KEYS];
    size_t count;
};

void jwk_set_free(struct jwk_set *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) jwk_free(s->keys[i]);
    free(s);
}

struct err jwk_set_parse(struct span text, struct jwk_set **ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRYC(json_parse(text, &doc), "JWK set");
    struct json keys = {0};
    TRY(json_need(json_root(doc), "keys", JSON_ARRAY, "a JWK set", &keys));
    if (json_count(keys) > JOSE_MAX_KEYS)
        FAIL(ERR_USAGE, "the JWK set has more than %u keys", JOSE_MAX_KEYS);
    _cleanup_(jwk_set_freep) struct jwk_set *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    for (struct json k = json_first(keys); json_present(k); k = json_next(k)) {
        /* RFC 7517 5: a key that is not understood must not spoil those beside it. */
        struct err e = jwk_from_json(k, &s->keys[s->count]);
        if (err_ok(e)) s->count++;
        else if (e.code != ERR_USAGE) return e;
    }
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

const struct jwk *jwk_set_find(const struct jwk_set *s, const char *kid)
{
    const struct jwk *found = NULL;
    for (size_t i = 0; kid && i < s->count; i++) {
        const char *have = jwk_kid(s->keys[i]);
        if (!have || strcmp(have, kid) != 0) continue;
        if (found) return NULL; /* two keys of one name: neither is the one that is meant */
        found = s->keys[i];
    }
    return found;
}
