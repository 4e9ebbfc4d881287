/* crypto.x509.parse_*: certificates and requests from PEM, base64 PEM and base64 DER. */
#include "broker/builtins/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

void x509_free_list(STACK_OF(X509) *list) { sk_X509_pop_free(list, X509_free); }

/* ---- PEM ------------------------------------------------------------------------------------------ */

struct block {
    char *type, *header;
    uint8_t *der;
    long len;
};

static void free_block(struct block *b)
{
    OPENSSL_free(b->type);
    OPENSSL_free(b->header);
    OPENSSL_free(b->der);
}

/* The next sound block: what is damaged or no block is passed over, as in Go. */
static bool next_block(BIO *bio, struct block *ret)
{
    bool found = false;
    *ret = (struct block){0};
    while (bio && !found && BIO_pending(bio) > 0)
        found = PEM_read_bio(bio, &ret->type, &ret->header, &ret->der, &ret->len) == 1;
    ERR_clear_error();
    return found;
}

/* ---- certificates ----------------------------------------------------------------------------------- */

/* One certificate after the other, nothing between. */
static bool add_der(struct builtin_call *call, const uint8_t *der, size_t len, STACK_OF(X509) *list)
{
    const uint8_t *at = der, *end = der + len;
    while (at < end) {
        if (sk_X509_num(list) == CERTIFICATES_MAX)
            return over_limit(call, "certificates", CERTIFICATES_MAX), false;
        if (!builtin_spend(call, STEPS_KEY)) return false;
        X509 *cert = d2i_X509(NULL, &at, (long) (end - at));
        ERR_clear_error();
        if (!cert) return builtin_fail(call, "x509: malformed certificate"), false;
        if (sk_X509_push(list, cert) > 0) continue;
        X509_free(cert);
        return builtin_halt(call), false;
    }
    return true;
}

static bool add_pem(struct builtin_call *call, struct span pem, STACK_OF(X509) *list)
{
    struct block b;
    BIO *bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    bool good = bio != NULL;
    while (good && next_block(bio, &b)) {
        good = strcmp(b.type, "CERTIFICATE") == 0;
        if (!good) builtin_fail(call, "PEM block type is '%.60s', expected CERTIFICATE", b.type);
        if (good) good = add_der(call, b.der, (size_t) b.len, list);
        free_block(&b);
    }
    BIO_free(bio);
    return good;
}

/* The operand's bytes: PEM as it is, else what its base64 says. */
static bool operand_bytes(struct builtin_call *call, const struct value *text, const char *begin,
                          struct span *ret)
{
    if (text->count > KEYS_TEXT_MAX)
        return over_limit(call, "a text of certificates", KEYS_TEXT_MAX), false;
    *ret = span_value(text);
    if (span_starts(*ret, begin)) return true;
    const struct value *bytes = decode_base64(call, text);
    if (bytes) *ret = span_value(bytes);
    return bytes != NULL;
}

bool x509_read_list(struct builtin_call *call, const struct value *text, STACK_OF(X509) *ret)
{
    struct span bytes;
    if (!ret) return builtin_halt(call), false;
    if (!operand_bytes(call, text, "-----BEGIN", &bytes)) return false;
    return span_starts(bytes, "-----BEGIN") ? add_pem(call, bytes, ret)
                                            : add_der(call, bytes.data, bytes.len, ret);
}

const struct value *x509_list_value(struct builtin_call *call, STACK_OF(X509) *list)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < sk_X509_num(list); i++) {
        const struct value *v = x509_value(call, sk_X509_value(list, i));
        if (!v || !value_builder_add(&b, v)) return NULL;
    }
    return builtin_builder_end(call, &b);
}

const struct value *x509_parse_certificates(struct builtin_call *call, const struct value *const *args)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    const struct value *v =
        x509_read_list(call, args[0], list) ? x509_list_value(call, list) : NULL;
    x509_free_list(list);
    return v;
}

/* ---- requests ---------------------------------------------------------------------------------------- */

static X509_REQ *request_of_der(struct builtin_call *call, const uint8_t *der, size_t len)
{
    const uint8_t *at = der;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, (long) len);
    ERR_clear_error();
    if (request && at == der + len) return request;
    X509_REQ_free(request);
    builtin_fail(call, "asn1: structure error: no certificate request");
    return NULL;
}

static X509_REQ *read_request(struct builtin_call *call, struct span bytes)
{
    struct block b;
    X509_REQ *request = NULL;
    BIO *bio = BIO_new_mem_buf(bytes.data, (int) bytes.len);
    bool pem = span_starts(bytes, "-----BEGIN") && next_block(bio, &b);
    BIO_free(bio);
    if (!pem) return request_of_der(call, bytes.data, bytes.len);
    if (strcmp(b.type, "CERTIFICATE REQUEST") == 0)
        request = request_of_der(call, b.der, (size_t) b.len);
    else builtin_fail(call, "invalid PEM-encoded certificate signing request");
    free_block(&b);
    return request;
}

const struct value *x509_parse_request(struct builtin_call *call, const struct value *const *args)
{
    struct span bytes;
    if (!operand_bytes(call, args[0], "-----BEGIN CERTIFICATE REQUEST-----", &bytes) ||
        !builtin_spend(call, STEPS_KEY))
        return NULL;
    X509_REQ *request = read_request(call, bytes);
    const struct value *v = request ? x509_request_value(call, request) : NULL;
    X509_REQ_free(request);
    return v;
}
