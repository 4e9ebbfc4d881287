#include "broker/base/digest.h"

#include <openssl/evp.h>
#include <string.h>

static const struct {
    const char *name;
    const EVP_MD *(*md)(void);
} algs[] = {
    [DIGEST_SHA256] = {"sha256", EVP_sha256},
    [DIGEST_SHA384] = {"sha384", EVP_sha384},
    [DIGEST_SHA512] = {"sha512", EVP_sha512},
};

struct err digest_compute(enum digest_alg alg, struct span data, struct digest *ret)
{
    struct digest d = {0};
    unsigned len = 0;
    if (EVP_Digest(data.data, data.len, d.bytes, &len, algs[alg].md(), NULL) != 1)
        FAIL(ERR_INTERNAL, "%s cannot be computed", algs[alg].name);
    d.len = len;
    *ret = d;
    return ERR_OK;
}

const char *digest_alg_name(enum digest_alg alg) { return algs[alg].name; }

bool digest_alg_from(const char *name, enum digest_alg *ret)
{
    for (size_t i = 0; i < sizeof algs / sizeof *algs; i++)
        if (strcmp(name, algs[i].name) == 0) {
            *ret = (enum digest_alg) i;
            return true;
        }
    return false;
}

void digest_hex(const struct digest *d, size_t bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    ENSURE(bytes <= d->len);
    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = digits[d->bytes[i] >> 4];
        out[2 * i + 1] = digits[d->bytes[i] & 15];
    }
    out[2 * bytes] = '\0';
}
