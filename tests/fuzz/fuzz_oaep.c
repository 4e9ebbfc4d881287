/* Target Functions: oaep_decode oaep_room */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "broker/base/limits.h"
#include "pkcs11/oaep.h"

#include <openssl/rsa.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOCK 256u

/* A block that RSA gave: whatever a guest sent, under a key that he does not know. */
static void decode_any(struct span block, enum oaep_hash hash)
{
    _cleanup_secret_ struct secret *out = NULL;
    struct err e = oaep_decode(block, hash, &out);
    ENSURE(err_ok(e) == (out != NULL));
    ENSURE(err_ok(e) || e.code == ERR_CRYPTO);
    if (out) ENSURE(secret_len(out) <= oaep_room(block.len, hash));
}

/* What was padded comes back; with any one byte changed, nothing does. */
static void pad_and_change(struct span plain, enum oaep_hash hash, uint8_t where, uint8_t how)
{
    const EVP_MD *md = hash == OAEP_SHA1 ? EVP_sha1() : EVP_sha256();
    uint8_t block[BLOCK];
    _cleanup_secret_ struct secret *out = NULL;
    if (plain.len > oaep_room(BLOCK, hash)) plain.len = oaep_room(BLOCK, hash);
    ENSURE(RSA_padding_add_PKCS1_OAEP_mgf1(block, BLOCK, plain.data, (int) plain.len, NULL, 0, md,
                                           md) == 1);
    ENSURE(err_ok(oaep_decode(span_of(block, BLOCK), hash, &out)));
    ENSURE(secret_equal(secret_span(out), plain));
    if (!how) return;
    block[where] ^= how;
    secret_free(TAKE_PTR(out));
    ENSURE(oaep_decode(span_of(block, BLOCK), hash, &out).code == ERR_CRYPTO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > JOSE_MAX_RSA_BITS / 8 + 3) return 0;
    enum oaep_hash hash = data[0] & 1 ? OAEP_SHA1 : OAEP_SHA256;
    decode_any(span_of(data + 3, size - 3), hash);
    pad_and_change(span_of(data + 3, size - 3), hash, data[1], data[2]);
    return 0;
}
