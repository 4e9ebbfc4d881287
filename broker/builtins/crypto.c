/* Hashes and MACs over the bytes of strings, as hex digits. */
#include "broker/builtins/internal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const struct value *hex(struct builtin_call *call, const uint8_t *bytes, unsigned len)
{
    const struct value *v = value_string(call->arena, (const char *) bytes, len);
    return v ? builtin_hex_encode(call, &v) : builtin_halt(call);
}

static const struct value *digest(struct builtin_call *call, const struct value *v, const EVP_MD *md)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!builtin_spend(call, v->count / BYTES_A_STEP)) return NULL;
    if (EVP_Digest(v->string, v->count, out, &len, md, NULL) != 1)
        return builtin_fail(call, "this OpenSSL does not offer the hash");
    return hex(call, out, len);
}

static const struct value *mac(struct builtin_call *call, const struct value *const *args,
                               const EVP_MD *md)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const struct value *message = args[0], *key = args[1];
    if (!builtin_spend(call, (message->count + key->count) / BYTES_A_STEP)) return NULL;
    if (key->count > INT_MAX ||
        !HMAC(md, key->string, (int) key->count, (const uint8_t *) message->string, message->count,
              out, &len))
        return builtin_fail(call, "this OpenSSL does not offer the hash");
    return hex(call, out, len);
}

#define HASH(name, md)                                                                           \
    const struct value *name(struct builtin_call *call, const struct value *const *args)         \
    {                                                                                            \
        return digest(call, args[0], md());                                                      \
    }
#define MAC(name, md)                                                                            \
    const struct value *name(struct builtin_call *call, const struct value *const *args)         \
    {                                                                                            \
        return mac(call, args, md());                                                            \
    }

HASH(crypto_md5, EVP_md5)
HASH(crypto_sha1, EVP_sha1)
HASH(crypto_sha256, EVP_sha256)
HASH(kbs_sha384, EVP_sha384)
MAC(crypto_hmac_md5, EVP_md5)
MAC(crypto_hmac_sha1, EVP_sha1)
MAC(crypto_hmac_sha256, EVP_sha256)
MAC(crypto_hmac_sha512, EVP_sha512)

/* In time that depends on the length alone. */
const struct value *crypto_hmac_equal(struct builtin_call *call, const struct value *const *args)
{
    if (!builtin_spend(call, args[0]->count / BYTES_A_STEP)) return NULL;
    return value_bool(args[0]->count == args[1]->count &&
                      CRYPTO_memcmp(args[0]->string, args[1]->string, args[0]->count) == 0);
}
