/* Target Functions: jwk_set_parse jwk_set_find jwk_set_find_same jwk_set_alone jwk_set_keeps */
#include "broker/base/limits.h"
#include "broker/jose/jwk.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two sets, the second after a NUL: whatever is found in the old one and stays is found in the new. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t first = nul ? (size_t) (nul - data) : size;
    _cleanup_jwk_set_ struct jwk_set *old = NULL;
    _cleanup_jwk_set_ struct jwk_set *new = NULL;
    if (!err_ok(jwk_set_parse(span_of(data, first), &old))) return 0;
    ENSURE(jwk_set_count(old) + jwk_set_skipped(old) <= JOSE_MAX_KEYS);
    ENSURE(jwk_set_keeps(old, old) && jwk_set_keeps(old, NULL));
    ENSURE(jwk_set_count(old) == 0 || !jwk_set_keeps(NULL, old));
    if (nul && !err_ok(jwk_set_parse(span_of(nul + 1, size - first - 1), &new))) return 0;
    const struct jwk *a = jwk_set_find(old, "a"), *only = jwk_set_alone(old);
    if (a) ENSURE(jwk_may_verify(a) && jwk_set_find_same(old, a, jwk_alg(a)));
    if (only) ENSURE(jwk_set_find_same(old, only, NULL) == only);
    if (!new || !jwk_set_keeps(new, old)) return 0;
    if (a) ENSURE(jwk_same_key(a, jwk_set_find(new, "a")));
    if (only) ENSURE(jwk_set_find_same(new, only, jwk_alg(only)) != NULL);
    return 0;
}
