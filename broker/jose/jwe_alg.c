#include "broker/jose/jwe_alg.h"

#include <openssl/rsa.h>
#include <string.h>

/* kbs-api.md 5.3. P-384 is absent because no client of that protocol can open it. */
static const struct jwe_alg ALGS[] = {
    {"ECDH-ES+A256KW", "EC", "P-256", 0, jwe_ecdh_wrap, jwe_ecdh_unwrap},
    {"ECDH-ES+A256KW", "EC", "P-521", 0, jwe_ecdh_wrap, jwe_ecdh_unwrap},
    {"RSA-OAEP-256", "RSA", NULL, RSA_PKCS1_OAEP_PADDING, jwe_rsa_wrap, jwe_rsa_unwrap},
    {"RSA1_5", "RSA", NULL, RSA_PKCS1_PADDING, jwe_rsa_wrap, jwe_rsa_unwrap},
};

const struct jwe_alg *jwe_alg_named(const char *alg, const char *kty, const char *crv)
{
    for (size_t i = 0; alg && kty && i < sizeof ALGS / sizeof ALGS[0]; i++) {
        const struct jwe_alg *a = &ALGS[i];
        if (strcmp(a->alg, alg) != 0 || strcmp(a->kty, kty) != 0) continue;
        if (!a->crv || (crv && strcmp(a->crv, crv) == 0)) return a;
    }
    return NULL;
}
