/* Keys for JWTs from certificates, PEM and JWK, and verifying with them. */
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/builtins/jwt.h"
#include "broker/jose/b64url.h"
#include "broker/jose/jwk.h"
#include "broker/jose/jws_alg.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

void jwt_keys_free(struct jwt_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) EVP_PKEY_free(keys->items[i].key);
    keys->count = 0;
}

/* Takes the key. */
static void add_key(struct jwt_keys *keys, EVP_PKEY *key, const char *alg, const char *kid)
{
    keys->items[keys->count++] = (struct jwt_key){.key = key, .alg = alg, .kid = kid};
}

/* ---- HMAC ------------------------------------------------------------------------------------------ */

static const EVP_MD *hash_of_hs(const char *alg)
{
    static const struct { const char *name; const EVP_MD *(*md)(void); } rows[] = {
        {"HS256", EVP_sha256}, {"HS384", EVP_sha384}, {"HS512", EVP_sha512}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(alg, rows[i].name) == 0) return rows[i].md();
    return NULL;
}

bool jwt_hmac_good(const char *alg, struct span secret, struct span text, struct span signature)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    const EVP_MD *md = hash_of_hs(alg);
    return md && secret.len <= KEYS_TEXT_MAX &&
           HMAC(md, secret.data, (int) secret.len, text.data, text.len, mac, &len) &&
           len == signature.len && CRYPTO_memcmp(mac, signature.data, len) == 0;
}

/* ---- PEM ------------------------------------------------------------------------------------------- */

/* NULL also when bytes follow. */
static EVP_PKEY *key_of_block(const char *type, const uint8_t *der, long len)
{
    const uint8_t *end = der + len;
    bool bare = strcmp(type, "PUBLIC KEY") == 0;
    X509 *cert = bare ? NULL : d2i_X509(NULL, &der, len);
    EVP_PKEY *key = bare ? d2i_PUBKEY(NULL, &der, len) : cert ? X509_get_pubkey(cert) : NULL;
    X509_free(cert);
    if (key && der == end) return key;
    EVP_PKEY_free(key);
    return NULL;
}

static bool use_block(struct builtin_call *call, const char *type, const uint8_t *der, long len,
                      bool more, struct jwt_keys *ret)
{
    bool certificate = strcmp(type, "CERTIFICATE") == 0;
    if (more) return builtin_fail(call, "extra data after a PEM certificate block"), false;
    if (!certificate && strcmp(type, "PUBLIC KEY") != 0)
        return builtin_fail(call, "failed to extract a Key from the PEM certificate"), false;
    EVP_PKEY *key = key_of_block(type, der, len);
    ERR_clear_error();
    if (!key) {
        builtin_fail(call, certificate ? "failed to parse a PEM certificate: x509: malformed certificate"
                                       : "failed to parse a PEM public key: malformed key");
        return false;
    }
    add_key(ret, key, "", "");
    return true;
}

/* *ret_pem false: the text has no PEM block. */
static bool read_pem(struct builtin_call *call, const struct value *text, bool *ret_pem,
                     struct jwt_keys *ret)
{
    char *type = NULL, *header = NULL;
    uint8_t *der = NULL;
    long len = 0;
    BIO *bio = BIO_new_mem_buf(text->string, (int) text->count);
    *ret_pem = bio && PEM_read_bio(bio, &type, &header, &der, &len) == 1;
    ERR_clear_error();
    bool good = *ret_pem && use_block(call, type, der, len, BIO_pending(bio) > 0, ret);
    OPENSSL_free(type);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    return good;
}

/* ---- JWK ------------------------------------------------------------------------------------------- */

static bool bad_jwk(struct builtin_call *call, const char *why)
{
    builtin_fail(call, "failed to parse a JWK key (set): %.200s", why);
    return false;
}

static const char *keep(struct builtin_call *call, const char *text)
{
    return text ? arena_copy(call->arena, text, strlen(text)) : "";
}

/* Takes the reference to key, which may be NULL. A key whose algorithm we verify nothing with is
 * left out. */
static bool add_jwk(struct builtin_call *call, struct json object, EVP_PKEY *key, struct span secret,
                    struct jwt_keys *ret)
{
    const char *alg = keep(call, json_string(json_get(object, "alg")));
    const char *kid = keep(call, json_string(json_get(object, "kid")));
    bool known = alg && kid && (!*alg || jws_alg_named(alg) || hash_of_hs(alg));
    if (known) {
        add_key(ret, key, alg, kid);
        ret->items[ret->count - 1].secret = secret;
    } else {
        EVP_PKEY_free(key);
    }
    if (!alg || !kid) return builtin_halt(call), false;
    return true;
}

/* jose/ knows public keys alone. */
static bool read_oct(struct builtin_call *call, struct json object, bool alone, struct jwt_keys *ret)
{
    const char *k = json_string(json_get(object, "k"));
    _cleanup_buf_ struct buf bytes = {0};
    if (!k || !err_ok(b64url_decode(span_str(k), &bytes)) || !bytes.len)
        return !alone || bad_jwk(call, "k of an oct key must be base64url of at least one byte");
    const char *secret = arena_copy(call->arena, (const char *) bytes.data, bytes.len);
    if (!secret) return builtin_halt(call), false;
    return add_jwk(call, object, NULL, span_of(secret, bytes.len), ret);
}

static bool read_jwk(struct builtin_call *call, struct json object, bool alone, struct jwt_keys *ret)
{
    const char *kty = json_string(json_get(object, "kty"));
    if (!kty) return bad_jwk(call, "a key without kty");
    if (ret->count == JWT_KEYS_MAX) return over_limit(call, "keys", JWT_KEYS_MAX), false;
    if (!builtin_spend(call, STEPS_KEY)) return false;
    if (strcmp(kty, "oct") == 0) return read_oct(call, object, alone, ret);
    struct jwk *jwk = NULL;
    struct err e = jwk_from_json(object, &jwk);
    if (!err_ok(e)) return alone ? bad_jwk(call, err_reason(e)) : true; /* RFC 7517 5 */
    EVP_PKEY_up_ref(jwk_pkey(jwk));
    bool good = add_jwk(call, object, jwk_pkey(jwk), (struct span){0}, ret);
    jwk_free(jwk);
    return good;
}

static bool read_set(struct builtin_call *call, struct json root, struct jwt_keys *ret)
{
    struct json keys = json_get(root, "keys");
    if (!json_present(keys)) return read_jwk(call, root, true, ret);
    if (json_type(keys) != JSON_ARRAY) return bad_jwk(call, "keys must be a list");
    for (struct json k = json_first(keys); json_present(k); k = json_next(k))
        if (!read_jwk(call, k, false, ret)) return false;
    return true;
}

bool jwt_keys_read(struct builtin_call *call, const struct value *text, struct jwt_keys *ret)
{
    bool pem = false;
    if (text->count > KEYS_TEXT_MAX) return over_limit(call, "a text of keys", KEYS_TEXT_MAX), false;
    if (!builtin_spend(call, STEPS_KEY)) return false;
    bool good = read_pem(call, text, &pem, ret);
    if (pem) return good;
    struct json_doc *doc = NULL;
    struct err e = json_parse(span_value(text), &doc);
    if (!err_ok(e)) return bad_jwk(call, err_reason(e));
    good = read_set(call, json_root(doc), ret);
    json_free(doc);
    return good;
}

/* ---- verifying ----------------------------------------------------------------------------------------- */

static bool verify(struct builtin_call *call, const struct jwt_key *key, const char *alg,
                   struct span text, struct span signature, bool *ret_good)
{
    const struct jws_alg *a = jws_alg_named(alg);
    if (!builtin_spend(call, STEPS_SIGNATURE + text.len / BYTES_A_STEP)) return false;
    if (!key->key) *ret_good = jwt_hmac_good(alg, key->secret, text, signature);
    else *ret_good = a && jws_alg_fits(a, key->key) && jws_alg_verify(a, key->key, text, signature);
    return true;
}

bool jwt_keys_verify(struct builtin_call *call, const struct jwt_keys *keys, const char *alg,
                     const struct jwt_header *header, struct span text, struct span signature,
                     bool *ret_good)
{
    *ret_good = false;
    for (size_t i = 0; *header->kid && i < keys->count; i++)
        if (strcmp(keys->items[i].kid, header->kid) == 0)
            return verify(call, &keys->items[i], alg, text, signature, ret_good);
    for (size_t i = 0; !*ret_good && i < keys->count; i++) {
        const struct jwt_key *key = &keys->items[i];
        if (*key->alg && strcmp(key->alg, header->alg) != 0) continue;
        if (!verify(call, key, alg, text, signature, ret_good)) return false;
    }
    return true;
}
