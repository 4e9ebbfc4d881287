/* Target Functions: jwk_from_json jwe_key_from_json jwe_tee_key_canonical jwk_put_members */
#include "broker/jose/jwe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key that was read, written and read again is the same key. */
static void read_again(const struct jwk *key)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    _cleanup_json_ struct json_doc *doc = NULL;
    _cleanup_jwk_ struct jwk *again = NULL;
    struct json_out o = JSON_OUT(&text);
    json_begin_object(&o);
    jwk_put_members(key, &o);
    json_end_object(&o);
    ENSURE(err_ok(buf_ok(&text)) && err_ok(json_parse(buf_span(&text), &doc)));
    ENSURE(err_ok(jwk_from_json(json_root(doc), &again)) && jwk_same_key(key, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    _cleanup_jwk_ struct jwk *key = NULL;
    _cleanup_(jwe_key_freep) struct jwe_key *tee = NULL;
    _cleanup_buf_ struct buf canonical = BUF_INIT;
    struct json_out o = JSON_OUT(&canonical);
    if (!err_ok(json_parse(span_of(data, size), &doc))) return 0;
    if (err_ok(jwk_from_json(json_root(doc), &key))) read_again(key);
    bool usable = err_ok(jwe_key_from_json(json_root(doc), true, &tee));
    bool hashable = err_ok(jwe_tee_key_canonical(json_root(doc), &o));
    ENSURE(hashable || !usable);
    return 0;
}
