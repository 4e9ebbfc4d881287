#include "broker/cmd/guest.h"

#include "broker/base/digest.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"

#include <stdio.h>
#include <string.h>

/* The guest's public key as TeePubKey with its members in alphabetical order, which is canonical
 * and so can be hashed as it is sent (kbs-api.md 2.1, 2.5). */
static err_t put_tee_key(EVP_PKEY *key, struct buf *ret)
{
    _cleanup_jwk_ struct jwk *jwk = NULL;
    _cleanup_buf_ struct buf members = BUF_INIT;
    bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;
    TRY(jwk_from_pkey(key, rsa ? "RSA-OAEP-256" : "ECDH-ES+A256KW", &jwk));
    struct json_out o = JSON_OUT(&members);
    json_begin_object(&o);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    TRY(buf_ok(&members));
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(buf_span(&members), &doc));
    struct json_out canonical = JSON_OUT(ret);
    json_put_canonical(&canonical, json_root(doc));
    return buf_ok(ret);
}

/* SHA-384 over {"additional-evidence":"","nonce":N,"tee-pubkey":K}, base64. */
static err_t put_report_data(const char *nonce, struct span tee_key, struct buf *ret)
{
    _cleanup_buf_ struct buf bound = BUF_INIT;
    struct json_out o = JSON_OUT(&bound);
    json_begin_object(&o);
    json_member_str(&o, "additional-evidence", "");
    json_member_str(&o, "nonce", nonce);
    json_member_raw(&o, "tee-pubkey", tee_key);
    json_end_object(&o);
    TRY(buf_ok(&bound));
    struct digest digest = {0};
    TRY(digest_compute(DIGEST_SHA384, buf_span(&bound), &digest));
    b64_add(ret, digest_span(&digest));
    return buf_ok(ret);
}

static err_t put_attestation(const char *nonce, struct span tee_key, struct span init_data,
                             struct buf *ret)
{
    _cleanup_buf_ struct buf report = BUF_INIT;
    TRY(put_report_data(nonce, tee_key, &report));
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_key(&o, "init-data");
    if (init_data.len) {
        json_begin_object(&o);
        json_member_str(&o, "format", "toml");
        json_member_span(&o, "body", init_data);
        json_end_object(&o);
    } else {
        json_put_null(&o);
    }
    json_key(&o, "runtime-data");
    json_begin_object(&o);
    json_member_str(&o, "nonce", nonce);
    json_member_raw(&o, "tee-pubkey", tee_key);
    json_end_object(&o);
    json_key(&o, "tee-evidence");
    json_begin_object(&o);
    json_key(&o, "primary_evidence");
    json_begin_object(&o);
    json_member_str(&o, "svn", "1");
    json_member_span(&o, "report_data", buf_span(&report));
    json_end_object(&o);
    json_member_str(&o, "additional_evidence", "");
    json_end_object(&o);
    json_end_object(&o);
    return buf_ok(ret);
}

/* Sends JSON and reads one string member of the answer. */
static err_t exchange(struct http_client *client, const char *path, struct span body,
                      const char *member, struct json_doc **ret_doc, const char **ret)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(http_client_send(client, "POST", path, headers, body, &answer));
    if (answer.status != 200) return http_answer_error(&answer, path);
    TRY(json_parse(secret_span(answer.body), ret_doc));
    return json_need_string(json_root(*ret_doc), member, path, ret);
}

struct err guest_attest(struct http_client *client, EVP_PKEY *key, struct span init_data,
                        struct buf *ret_token)
{
    static const char request[] = "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":"
                                  "{\"supported-hash-algorithms\":[\"sha384\"]}}";
    _cleanup_json_ struct json_doc *challenge = NULL;
    _cleanup_json_ struct json_doc *response = NULL;
    _cleanup_buf_ struct buf tee_key = BUF_INIT;
    _cleanup_buf_ struct buf body = BUF_INIT;
    const char *nonce = NULL, *token = NULL;
    TRY(exchange(client, "/kbs/v0/auth", span_str(request), "nonce", &challenge, &nonce));
    TRY(put_tee_key(key, &tee_key));
    TRY(put_attestation(nonce, buf_span(&tee_key), init_data, &body));
    TRY(exchange(client, "/kbs/v0/attest", buf_span(&body), "token", &response, &token));
    buf_add_str(ret_token, token);
    return buf_ok(ret_token);
}

struct err guest_fetch(struct http_client *client, EVP_PKEY *key, const char *path,
                       const char *token, struct secret **ret)
{
    _cleanup_free_ char *bearer = NULL;
    if (token && asprintf(&bearer, "Authorization: Bearer %s", token) < 0)
        FAIL(ERR_INTERNAL, "out of memory");
    const char *headers[] = {bearer, NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(http_client_send(client, "GET", path, headers, span_of(NULL, 0), &answer));
    if (answer.status != 200) return http_answer_error(&answer, path);
    return jwe_decrypt(key, secret_span(answer.body), ret);
}
