/* Target Functions: jws_parse jws_verify jwt_check_times jwe_decrypt */
#include "broker/jose/jwe.h"
#include "broker/jose/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of RFC 7515 A.3, and a guest's private key for JWEs; made once. */
static struct jwk *verifier;
static EVP_PKEY *guest;

static void make_keys(void)
{
    static const char JWK[] = "{\"kty\":\"EC\",\"crv\":\"P-256\","
                              "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                              "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
    _cleanup_json_ struct json_doc *doc = NULL;
    ENSURE(err_ok(json_parse(span_str(JWK), &doc)));
    ENSURE(err_ok(jwk_from_json(json_root(doc), &verifier)));
    ENSURE(err_ok(key_generate_ec("P-256", &guest)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_jws_ struct jws *token = NULL;
    _cleanup_json_ struct json_doc *claims = NULL;
    _cleanup_secret_ struct secret *plaintext = NULL;
    struct span in = span_of(data, size);
    if (!verifier) make_keys();
    err_ignore(jwe_decrypt(guest, in, &plaintext)); /* form only: nothing here opens */
    if (!err_ok(jws_parse(in, &token))) return 0;
    err_ignore(jws_verify(token, verifier)); /* either answer is right */
    if (err_ok(json_parse(jws_payload(token), &claims)))
        err_ignore(jwt_check_times(json_root(claims), 1000, 60, NULL));
    return 0;
}
