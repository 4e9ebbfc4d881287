/* Target Functions: x509_value x509_request_value find_chain jwt_split jwt_open_header jwt_decode_verify jwt_keys_read */
#include "broker/base/buf.h"
#include "broker/base/err.h"
#include "broker/builtins/builtins.h"
#include "policy/json.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What fuzz_rego_builtins reaches only through base64: here the bytes are DER, JSON and keys as they
 * are, put into a token with a good signature. The first byte says which. */

#define SECRET "secret"

static const struct value *run(struct builtin_call *call, const char *name, const struct value *x,
                               const struct value *y)
{
    const struct value *args[] = {x, y};
    const struct builtin *row = builtin_find(call->host, name, strlen(name));
    ENSURE(row && row->run);
    if (!x || !y) return NULL;
    const struct value *v = builtin_run(call, row, args);
    ENSURE(!v || call->problem == BUILTIN_FINE);
    ENSURE(call->problem == BUILTIN_FINE || call->problem == BUILTIN_HALT || call->text[0]);
    struct text t;
    text_init(&t, call->arena);
    if (v) json_write(&t, v);
    const char *json = v ? text_end(&t) : NULL;
    if (json)
        ENSURE(json_to_value(call->arena, json, t.len, NULL, NULL) || arena_failed(call->arena));
    return v;
}

static const struct value *encoded(struct builtin_call *call, const void *data, size_t len, bool url)
{
    const struct value *v = value_string(call->arena, data, len);
    if (!v) return NULL;
    return url ? builtin_base64url_encode_no_pad(call, &v) : builtin_base64_encode(call, &v);
}

/* ---- DER --------------------------------------------------------------------------------------- */

static void try_certificates(struct builtin_call *call, const uint8_t *data, size_t size)
{
    const struct value *text = encoded(call, data, size, false);
    static const char options[] = "{\"DNSName\":\"a.test\",\"KeyUsages\":[\"KeyUsageAny\"]}";
    run(call, "crypto.x509.parse_certificates", text, value_null());
    run(call, "crypto.x509.parse_and_verify_certificates_with_options", text,
        json_to_value(call->arena, options, strlen(options), NULL, NULL));
}

static void try_request(struct builtin_call *call, const uint8_t *data, size_t size)
{
    run(call, "crypto.x509.parse_certificate_request", encoded(call, data, size, false), value_null());
}

/* ---- tokens ------------------------------------------------------------------------------------ */

static const struct value *signed_token(struct builtin_call *call, struct span header, struct span payload)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct text t;
    const struct value *h = encoded(call, header.data, header.len, true);
    const struct value *p = encoded(call, payload.data, payload.len, true);
    if (!h || !p) return NULL;
    text_init(&t, call->arena);
    text_addf(&t, "%s.%s", h->string, p->string);
    const char *so_far = text_end(&t);
    if (!so_far) return NULL;
    ENSURE(HMAC(EVP_sha256(), SECRET, strlen(SECRET), (const uint8_t *) so_far, t.len, mac, &len));
    const struct value *s = encoded(call, mac, len, true);
    if (!s) return NULL;
    text_addf(&t, ".%s", s->string);
    return value_from_text(&t);
}

static struct span line(struct span *rest)
{
    const uint8_t *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end ? (size_t) (end - rest->data) : rest->len;
    struct span first = span_of(rest->data, len);
    *rest = span_of(rest->data + len + (end != NULL), rest->len - len - (end != NULL));
    return first;
}

/* Lines: header, constraints; the rest is the payload. */
static void try_token(struct builtin_call *call, const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size), header = line(&rest), constraints = line(&rest);
    const struct value *token = signed_token(call, header, rest);
    const struct value *o = json_to_value(call->arena, (const char *) constraints.data, constraints.len,
                                          NULL, NULL);
    run(call, "io.jwt.decode", token, value_null());
    if (value_is(o, VALUE_OBJECT)) run(call, "io.jwt.decode_verify", token, o);
}

/* Line: header; the rest is a text of keys. */
static void try_keys(struct builtin_call *call, const uint8_t *data, size_t size)
{
    static const char *const names[] = {"io.jwt.verify_rs256", "io.jwt.verify_ps512", "io.jwt.verify_es256",
                                        "io.jwt.verify_es512", "io.jwt.verify_eddsa"};
    struct span rest = span_of(data, size), header = line(&rest);
    const struct value *token = signed_token(call, header, span_str("{}"));
    const struct value *keys = value_string(call->arena, (const char *) rest.data, rest.len);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ENSURE(run(call, names[i], token, keys) != value_bool(true)); /* a MAC is no signature */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        char first;
        void (*try)(struct builtin_call *call, const uint8_t *data, size_t size);
    } kinds[] = {{'c', try_certificates}, {'r', try_request}, {'t', try_token}, {'k', try_keys}};
    struct arena *arena = arena_new((size_t) 32 << 20);
    struct budget budget;
    budget_init(&budget, 300000);
    struct builtin_call call = {.arena = arena, .budget = &budget, .host = builtins_host(),
                                .now_ns = 1700000000000000000};
    for (size_t i = 0; size && i < sizeof kinds / sizeof *kinds; i++)
        if (data[0] == (uint8_t) kinds[i].first) kinds[i].try(&call, data + 1, size - 1);
    arena_free(arena);
    return 0;
}
