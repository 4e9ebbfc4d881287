#include "broker/base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

static struct {
    const char *name, *fetched_as;
    EVP_MD *md; /* fetched once, since that costs as much as a short digest; never freed */
} algs[] = {
    [DIGEST_SHA256] = {"sha256", "SHA2-256", NULL},
    [DIGEST_SHA384] = {"sha384", "SHA2-384", NULL},
    [DIGEST_SHA512] = {"sha512", "SHA2-512", NULL},
};
static pthread_once_t algs_once = PTHREAD_ONCE_INIT;

static void fetch_algs(void)
{
    for (size_t i = 0; i < sizeof algs / sizeof *algs; i++)
        algs[i].md = EVP_MD_fetch(NULL, algs[i].fetched_as, NULL);
}

struct err digest_compute(enum digest_alg alg, struct span data, struct digest *ret)
{
    struct digest d = {0};
    unsigned len = 0;
    pthread_once(&algs_once, fetch_algs);
    if (!algs[alg].md || EVP_Digest(data.data, data.len, d.bytes, &len, algs[alg].md, NULL) != 1)
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
