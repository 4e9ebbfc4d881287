/* crypto.x509.*: certificates and requests from PEM, base64 PEM and base64 DER; chains verified. */
#include "broker/builtins/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

static void free_list(STACK_OF(X509) *list) { sk_X509_pop_free(list, X509_free); }

/* ---- reading -------------------------------------------------------------------------------------- */

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

static bool add_block(struct builtin_call *call, const char *type, const uint8_t *der, long len,
                      STACK_OF(X509) *list)
{
    if (strcmp(type, "CERTIFICATE") == 0) return add_der(call, der, (size_t) len, list);
    return builtin_fail(call, "PEM block type is '%.60s', expected CERTIFICATE", type), false;
}

static bool add_pem(struct builtin_call *call, struct span pem, STACK_OF(X509) *list)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    bool good = bio != NULL;
    while (good) {
        char *type = NULL, *header = NULL;
        uint8_t *der = NULL;
        long len = 0;
        if (PEM_read_bio(bio, &type, &header, &der, &len) != 1) break; /* the rest is no block */
        good = add_block(call, type, der, len, list);
        OPENSSL_free(type);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    ERR_clear_error();
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

static bool read_list(struct builtin_call *call, const struct value *text, STACK_OF(X509) *list)
{
    struct span bytes;
    if (!list) return builtin_halt(call), false;
    if (!operand_bytes(call, text, "-----BEGIN", &bytes)) return false;
    return span_starts(bytes, "-----BEGIN") ? add_pem(call, bytes, list)
                                            : add_der(call, bytes.data, bytes.len, list);
}

static const struct value *list_value(struct builtin_call *call, STACK_OF(X509) *list)
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
    const struct value *v = read_list(call, args[0], list) ? list_value(call, list) : NULL;
    free_list(list);
    return v;
}

/* ---- requests ---------------------------------------------------------------------------------------- */

static X509_REQ *request_of_pem(struct builtin_call *call, struct span pem)
{
    char *type = NULL, *header = NULL;
    uint8_t *der = NULL;
    long len = 0;
    X509_REQ *request = NULL;
    BIO *bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    bool block = bio && PEM_read_bio(bio, &type, &header, &der, &len) == 1;
    if (block && strcmp(type, "CERTIFICATE REQUEST") != 0) {
        builtin_fail(call, "invalid PEM-encoded certificate signing request");
    } else {
        const uint8_t *at = der;
        request = block ? d2i_X509_REQ(NULL, &at, len) : NULL;
        if (!request) builtin_fail(call, "asn1: structure error: no certificate request");
    }
    OPENSSL_free(type);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    return request;
}

const struct value *x509_parse_request(struct builtin_call *call, const struct value *const *args)
{
    struct span bytes;
    if (!operand_bytes(call, args[0], "-----BEGIN CERTIFICATE REQUEST-----", &bytes) ||
        !builtin_spend(call, STEPS_KEY))
        return NULL;
    X509_REQ *request = NULL;
    if (span_starts(bytes, "-----BEGIN")) {
        request = request_of_pem(call, bytes);
    } else {
        const uint8_t *at = bytes.data;
        request = d2i_X509_REQ(NULL, &at, (long) bytes.len);
        if (!request) builtin_fail(call, "asn1: structure error: no certificate request");
    }
    ERR_clear_error();
    const struct value *v = request ? x509_request_value(call, request) : NULL;
    X509_REQ_free(request);
    return v;
}

/* ---- chains ------------------------------------------------------------------------------------------- */

enum { USAGES_MAX = 16 };

struct chain_options {
    int64_t now;                 /* Unix seconds */
    const char *dns_name;        /* NULL: any */
    int usages[USAGES_MAX];      /* NIDs, one of which every certificate with a list must have */
    size_t usage_count;
    bool any_usage;
};

static bool has_usage(X509 *cert, const struct chain_options *o)
{
    EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    bool good = list == NULL;
    for (int i = 0; !good && i < sk_ASN1_OBJECT_num(list); i++) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(list, i));
        good = nid == NID_anyExtendedKeyUsage;
        for (size_t k = 0; !good && k < o->usage_count; k++) good = nid == o->usages[k];
    }
    EXTENDED_KEY_USAGE_free(list);
    return good;
}

static bool usages_good(STACK_OF(X509) *chain, const struct chain_options *o)
{
    for (int i = 0; !o->any_usage && i < sk_X509_num(chain); i++)
        if (!has_usage(sk_X509_value(chain, i), o)) return false;
    return true;
}

static void set_options(X509_STORE_CTX *ctx, const struct chain_options *o)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t) o->now);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN); /* any certificate may be a root */
    if (o->dns_name && *o->dns_name) X509_VERIFY_PARAM_set1_host(param, o->dns_name, 0);
}

/* The root first, the leaf last, as the caller gave them. The chain found, leaf first, is the
 * caller's; NULL when there is none. */
static STACK_OF(X509) *find_chain(STACK_OF(X509) *list, const struct chain_options *o)
{
    int count = sk_X509_num(list);
    STACK_OF(X509) *chain = NULL;
    X509_STORE *roots = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (count >= 2 && roots && ctx && X509_STORE_add_cert(roots, sk_X509_value(list, 0)) == 1 &&
        X509_STORE_CTX_init(ctx, roots, sk_X509_value(list, count - 1), list) == 1) {
        set_options(ctx, o);
        if (X509_verify_cert(ctx) == 1) chain = X509_STORE_CTX_get1_chain(ctx);
    }
    ERR_clear_error();
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(roots);
    if (chain && usages_good(chain, o)) return chain;
    free_list(chain);
    return NULL;
}

static const struct value *pair(struct builtin_call *call, bool valid, const struct value *certs)
{
    const struct value **items = certs ? arena_alloc_array(call->arena, 2, sizeof *items) : NULL;
    if (!items) return NULL;
    items[0] = value_bool(valid);
    items[1] = certs;
    return value_array(call->arena, items, 2);
}

static const struct value *verify(struct builtin_call *call, const struct value *text,
                                  const struct chain_options *o)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    bool read = read_list(call, text, list);
    if (!read && call->problem == BUILTIN_ERROR) call->problem = BUILTIN_FINE; /* the answer is no */
    STACK_OF(X509) *chain = NULL;
    const struct value *v = NULL;
    if (call->problem == BUILTIN_FINE &&
        builtin_spend(call, (uint64_t) STEPS_SIGNATURE * (uint64_t) sk_X509_num(list))) {
        chain = read ? find_chain(list, o) : NULL;
        v = pair(call, chain != NULL, chain ? list_value(call, chain) : &VALUE_EMPTY_ARRAY);
    }
    free_list(chain);
    free_list(list);
    return v;
}

static struct chain_options default_options(const struct builtin_call *call)
{
    return (struct chain_options){.now = call->now_ns / 1000000000, .usages = {NID_server_auth},
                                  .usage_count = 1};
}

const struct value *x509_parse_and_verify(struct builtin_call *call, const struct value *const *args)
{
    struct chain_options o = default_options(call);
    return verify(call, args[0], &o);
}

/* ---- options ------------------------------------------------------------------------------------------- */

static bool add_usage(const struct value *name, struct chain_options *o)
{
    static const struct { const char *name; int nid; } known[] = {
        {"KeyUsageServerAuth", NID_server_auth}, {"KeyUsageClientAuth", NID_client_auth},
        {"KeyUsageCodeSigning", NID_code_sign}, {"KeyUsageEmailProtection", NID_email_protect},
        {"KeyUsageIPSECEndSystem", NID_ipsecEndSystem}, {"KeyUsageIPSECTunnel", NID_ipsecTunnel},
        {"KeyUsageIPSECUser", NID_ipsecUser}, {"KeyUsageTimeStamping", NID_time_stamp},
        {"KeyUsageOCSPSigning", NID_OCSP_sign},
        {"KeyUsageMicrosoftServerGatedCrypto", NID_ms_sgc},
        {"KeyUsageNetscapeServerGatedCrypto", NID_ns_sgc},
        {"KeyUsageMicrosoftCommercialCodeSigning", NID_ms_code_com},
        {"KeyUsageMicrosoftKernelCodeSigning", NID_undef}};
    if (string_is(name, "KeyUsageAny")) return o->any_usage = true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!string_is(name, known[i].name)) continue;
        if (o->usage_count < USAGES_MAX && known[i].nid != NID_undef)
            o->usages[o->usage_count++] = known[i].nid;
        return true;
    }
    return false;
}

static bool read_usages(struct builtin_call *call, const struct value *v, struct chain_options *o)
{
    if (v->kind != VALUE_ARRAY && v->kind != VALUE_SET)
        return builtin_fail(call, "'KeyUsages' should be an Array or Set"), false;
    if (v->count) o->usage_count = 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct value *name = v->items[i];
        if (name->kind != VALUE_STRING || add_usage(name, o)) continue;
        builtin_fail(call, "invalid entries for 'KeyUsages' found: [%.100s]", name->string);
        return false;
    }
    return true;
}

static bool read_time(struct builtin_call *call, const struct value *v, struct chain_options *o)
{
    int64_t ns = 0;
    if (v->kind != VALUE_NUMBER) return builtin_fail(call, "'CurrentTime' should be a number"), false;
    if (!num_to_i64(v->number, &ns))
        return builtin_fail(call, "'CurrentTime' should be a valid int64 number"), false;
    o->now = ns / 1000000000;
    return true;
}

static bool read_option(struct builtin_call *call, const struct value *key, const struct value *v,
                        struct chain_options *o)
{
    if (key->kind != VALUE_STRING) return true;
    if (string_is(key, "CurrentTime")) return read_time(call, v, o);
    if (string_is(key, "KeyUsages")) return read_usages(call, v, o);
    if (string_is(key, "DNSName")) {
        o->dns_name = v->kind == VALUE_STRING ? v->string : NULL;
        if (!o->dns_name) builtin_fail(call, "'DNSName' should be a string");
        return o->dns_name != NULL;
    }
    if (string_is(key, "MaxConstraintComparisons")) { /* a limit of Go's; ours is CERTIFICATES_MAX */
        if (v->kind == VALUE_NUMBER) return true;
        return builtin_fail(call, "'MaxConstraintComparisons' should be a number"), false;
    }
    return builtin_fail(call, "invalid key option"), false;
}

const struct value *x509_parse_and_verify_with_options(struct builtin_call *call,
                                                       const struct value *const *args)
{
    struct chain_options o = default_options(call);
    const struct value *options = args[1];
    for (size_t i = 0; i < options->count; i++)
        if (!read_option(call, options->pairs[i].key, options->pairs[i].value, &o)) return NULL;
    return verify(call, args[0], &o);
}
