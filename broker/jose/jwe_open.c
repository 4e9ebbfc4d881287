/* Opening a JWE as a guest does (RFC 7516 5.2), for `fetch` and for tests. */
#include "broker/jose/jwe.h"

#include "broker/base/rand.h"
#include "broker/jose/b64url.h"
#include "broker/jose/jwe_alg.h"
#include "broker/jose/ossl.h"

#include <string.h>

/* One sentence for all that depends on keys: which step failed would help only a forger. */
#define WONT_OPEN "the JWE does not open with this key"

enum part { PROTECTED, ENCRYPTED_KEY, IV, CIPHERTEXT, TAG, PART_COUNT };

struct parts {
    struct json_doc *doc;
    const char *protected_text; /* in doc: the AAD */
    struct json_doc *header;
    struct buf part[PART_COUNT];
};

static void parts_done(struct parts *p)
{
    json_free(p->doc);
    json_free(p->header);
    for (int i = 0; i < PART_COUNT; i++) buf_free(&p->part[i]);
}

/* ---- form: what anyone can check, so it may say what is wrong ------------------------------------ */

static err_t read_parts(struct span json, struct parts *p)
{
    static const char *const NAME[PART_COUNT] = {"protected", "encrypted_key", "iv", "ciphertext",
                                                 "tag"};
    TRYC(json_parse(json, &p->doc), "JWE");
    struct json root = json_root(p->doc);
    if (json_type(root) != JSON_OBJECT || json_count(root) != PART_COUNT)
        FAIL(ERR_USAGE, "a JWE must be a JSON object of protected, encrypted_key, iv, ciphertext "
                        "and tag, and nothing else");
    for (int i = 0; i < PART_COUNT; i++) {
        const char *text = NULL;
        TRY(json_need_string(root, NAME[i], "a JWE", &text));
        TRYC(b64url_decode(span_str(text), &p->part[i]), "JWE member %s", NAME[i]);
        if (i == PROTECTED) p->protected_text = text;
    }
    if (p->part[IV].len != JWE_IV || p->part[TAG].len != JWE_TAG)
        FAIL(ERR_USAGE, "a JWE's iv must have %d bytes and its tag %d", JWE_IV, JWE_TAG);
    return ERR_OK;
}

static err_t read_header(EVP_PKEY *key, struct parts *p, const struct jwe_alg **ret)
{
    TRYC(json_parse(buf_span(&p->part[PROTECTED]), &p->header), "JWE header");
    struct json h = json_root(p->header);
    const char *enc = NULL, *alg = NULL;
    TRY(json_need_string(h, "enc", "a JWE header", &enc));
    TRY(json_need_string(h, "alg", "a JWE header", &alg));
    /* Both change what the plaintext means, and we understand neither (RFC 7516 4.1.3, 4.1.13). */
    if (json_present(json_get(h, "crit")) || json_present(json_get(h, "zip")))
        FAIL(ERR_USAGE, "the JWE header asks for crit or zip, which are not supported");
    if (strcmp(enc, "A256GCM") != 0) FAIL(ERR_USAGE, "the JWE header's enc must be A256GCM");
    const struct key_kind *kind = key_kind_of(key);
    *ret = kind ? jwe_alg_named(alg, kind->kty, kind->crv) : NULL;
    if (!*ret) FAIL(ERR_USAGE, "the JWE header's alg %s does not fit the private key", alg);
    return ERR_OK;
}

/* ---- opening --------------------------------------------------------------------------------------- */

/* What is written to out before the tag is checked stays in secret memory, which the caller frees
 * when this is false. */
static bool gcm_decrypt(const uint8_t cek[JWE_CEK], struct parts *p, uint8_t *out)
{
    const struct ossl_algorithms *a = NULL;
    struct span text = buf_span(&p->part[CIPHERTEXT]), aad = span_str(p->protected_text);
    int len = 0;
    _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    return err_ok(ossl_algorithms(&a)) && ctx &&
           EVP_DecryptInit_ex2(ctx, a->aes256_gcm, cek, p->part[IV].data, NULL) == 1 &&
           EVP_DecryptUpdate(ctx, NULL, &len, aad.data, (int) aad.len) == 1 &&
           (text.len == 0 || EVP_DecryptUpdate(ctx, out, &len, text.data, (int) text.len) == 1) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, JWE_TAG, p->part[TAG].data) == 1 &&
           EVP_DecryptFinal_ex(ctx, out, &len) == 1;
}

struct err jwe_decrypt(EVP_PKEY *key, struct span json, struct secret **ret)
{
    _cleanup_(parts_done) struct parts p = {0};
    const struct jwe_alg *alg = NULL;
    TRY(read_parts(json, &p));
    TRY(read_header(key, &p, &alg));
    _cleanup_secret_ struct secret *cek = NULL, *plaintext = NULL;
    TRY(secret_new(JWE_CEK, &cek));
    TRY(secret_new(p.part[CIPHERTEXT].len, &plaintext));
    /* RFC 7516 11.5: a content key that does not unwrap is replaced by a random one, so that both
     * failures take the same way to the same end. */
    TRY(rand_bytes(secret_data(cek), JWE_CEK));
    bool unwrapped = alg->unwrap(alg, key, json_root(p.header), buf_span(&p.part[ENCRYPTED_KEY]),
                                 secret_data(cek));
    bool opened = gcm_decrypt(secret_data(cek), &p, secret_data(plaintext));
    ossl_drain();
    if (!unwrapped || !opened) FAIL(ERR_CRYPTO, WONT_OPEN);
    *ret = TAKE_PTR(plaintext);
    return ERR_OK;
}
