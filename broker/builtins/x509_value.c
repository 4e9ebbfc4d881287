/* Certificates and requests as values, under the names of Go's crypto/x509. */
#include "broker/builtins/x509.h"

#include "policy/json.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* An object on its way; a NULL value fails the arena's owner at the end. */
struct out {
    struct builtin_call *call;
    struct value_builder object;
    bool failed;
};

static struct out out_begin(struct builtin_call *call)
{
    struct out o = {.call = call};
    value_builder_init(&o.object, call->arena, VALUE_OBJECT);
    return o;
}

static void put(struct out *o, const char *name, const struct value *v)
{
    const struct value *key = value_string_z(o->call->arena, name);
    if (!v || !key || !value_builder_put(&o->object, key, v)) o->failed = true;
}

static const struct value *out_end(struct out *o)
{
    return o->failed ? NULL : builtin_builder_end(o->call, &o->object);
}

/* ---- pieces ------------------------------------------------------------------------------------------ */

static const struct value *integer(struct builtin_call *call, int64_t i)
{
    return value_int(call->arena, i);
}

static const struct value *text(struct builtin_call *call, const void *data, int len)
{
    return value_string(call->arena, data, len > 0 ? (size_t) len : 0);
}

static const struct value *bytes(struct builtin_call *call, const void *data, int len)
{
    const struct value *raw = text(call, data, len);
    return raw ? builtin_base64_encode(call, &raw) : NULL;
}

static const struct value *octets(struct builtin_call *call, const ASN1_OCTET_STRING *s)
{
    return s ? bytes(call, ASN1_STRING_get0_data(s), ASN1_STRING_length(s)) : value_null();
}

/* Takes what i2d made. */
static const struct value *encoded(struct builtin_call *call, uint8_t *der, int len)
{
    const struct value *v = len > 0 ? bytes(call, der, len) : value_null();
    OPENSSL_free(der);
    return v;
}

static const struct value *big(struct builtin_call *call, const ASN1_INTEGER *n)
{
    BIGNUM *b = ASN1_INTEGER_to_BN(n, NULL);
    char *digits = b ? BN_bn2dec(b) : NULL;
    struct num number;
    bool good = digits && num_parse(call->arena, digits, strlen(digits), &number);
    OPENSSL_free(digits);
    BN_free(b);
    return good ? value_num(call->arena, number) : value_null();
}

static const struct value *moment(struct builtin_call *call, const ASN1_TIME *t)
{
    struct tm tm;
    char out[40];
    if (ASN1_TIME_to_tm(t, &tm) != 1) return value_null();
    int len = snprintf(out, sizeof out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return text(call, out, len);
}

/* [2, 5, 4, 3] */
static const struct value *oid(struct builtin_call *call, const ASN1_OBJECT *object)
{
    char dotted[256];
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    if (OBJ_obj2txt(dotted, sizeof dotted, object, 1) <= 0) return value_null();
    for (char *at = dotted; *at;) {
        size_t len = strcspn(at, ".");
        struct num n;
        if (!num_parse(call->arena, at, len, &n) || !value_builder_add(&b, value_num(call->arena, n)))
            return NULL;
        at += len + (at[len] == '.');
    }
    return builtin_builder_end(call, &b);
}

/* ---- names ----------------------------------------------------------------------------------------------- */

static const struct value *utf8(struct builtin_call *call, const ASN1_STRING *s)
{
    uint8_t *out = NULL;
    int len = ASN1_STRING_to_UTF8(&out, s);
    const struct value *v = len >= 0 ? text(call, out, len) : &VALUE_EMPTY_STRING;
    OPENSSL_free(out);
    ERR_clear_error();
    return v;
}

/* All entries of one type: null when there is none. */
static const struct value *entries(struct builtin_call *call, const X509_NAME *name, int nid)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;)
        if (!value_builder_add(&b, utf8(call, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)))))
            return NULL;
    return b.count ? builtin_builder_end(call, &b) : value_null();
}

static const struct value *last_entry(struct builtin_call *call, const X509_NAME *name, int nid)
{
    int found = -1;
    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) found = at;
    if (found < 0) return &VALUE_EMPTY_STRING;
    return utf8(call, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, found)));
}

static const struct value *all_entries(struct builtin_call *call, const X509_NAME *name)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
        struct out o = out_begin(call);
        put(&o, "Type", oid(call, X509_NAME_ENTRY_get_object(e)));
        put(&o, "Value", utf8(call, X509_NAME_ENTRY_get_data(e)));
        const struct value *v = out_end(&o);
        if (!v || !value_builder_add(&b, v)) return NULL;
    }
    return b.count ? builtin_builder_end(call, &b) : value_null();
}

static const struct value *name_value(struct builtin_call *call, const X509_NAME *name)
{
    static const struct { const char *name; int nid; } lists[] = {
        {"Country", NID_countryName}, {"Organization", NID_organizationName},
        {"OrganizationalUnit", NID_organizationalUnitName}, {"Locality", NID_localityName},
        {"Province", NID_stateOrProvinceName}, {"StreetAddress", NID_streetAddress},
        {"PostalCode", NID_postalCode}};
    struct out o = out_begin(call);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        put(&o, lists[i].name, entries(call, name, lists[i].nid));
    put(&o, "CommonName", last_entry(call, name, NID_commonName));
    put(&o, "SerialNumber", last_entry(call, name, NID_serialNumber));
    put(&o, "Names", all_entries(call, name));
    put(&o, "ExtraNames", value_null());
    return out_end(&o);
}

/* ---- alternative names -------------------------------------------------------------------------------------- */

static const struct value *address(struct builtin_call *call, const ASN1_OCTET_STRING *ip)
{
    const uint8_t *b = ASN1_STRING_get0_data(ip);
    char out[48];
    if (ASN1_STRING_length(ip) == 4)
        return text(call, out, snprintf(out, sizeof out, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]));
    if (ASN1_STRING_length(ip) != 16) return octets(call, ip);
    int len = 0;
    for (int i = 0; i < 16; i += 2)
        len += snprintf(out + len, sizeof out - (size_t) len, "%s%x", i ? ":" : "",
                        (unsigned) (b[i] << 8 | b[i + 1]));
    return text(call, out, len);
}

static const struct value *alternative(struct builtin_call *call, const GENERAL_NAME *n)
{
    if (n->type == GEN_IPADD) return address(call, n->d.iPAddress);
    return text(call, ASN1_STRING_get0_data(n->d.ia5), ASN1_STRING_length(n->d.ia5));
}

static const struct value *alternatives(struct builtin_call *call, const GENERAL_NAMES *names, int type)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == type && !value_builder_add(&b, alternative(call, n))) return NULL;
    }
    return b.count ? builtin_builder_end(call, &b) : value_null();
}

static void put_alternatives(struct out *o, const GENERAL_NAMES *names)
{
    put(o, "DNSNames", alternatives(o->call, names, GEN_DNS));
    put(o, "EmailAddresses", alternatives(o->call, names, GEN_EMAIL));
    put(o, "IPAddresses", alternatives(o->call, names, GEN_IPADD));
    put(o, "URIStrings", alternatives(o->call, names, GEN_URI));
}

/* ---- certificates -------------------------------------------------------------------------------------------- */

/* Go's numbers of what is extended: crypto/x509.ExtKeyUsage. */
static const struct value *extended_usages(struct builtin_call *call, X509 *cert)
{
    static const int nids[] = {NID_anyExtendedKeyUsage, NID_server_auth, NID_client_auth,
                               NID_code_sign, NID_email_protect, NID_ipsecEndSystem, NID_ipsecTunnel,
                               NID_ipsecUser, NID_time_stamp, NID_OCSP_sign, NID_ms_sgc, NID_ns_sgc,
                               NID_ms_code_com};
    EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    bool good = true;
    for (int i = 0; good && i < sk_ASN1_OBJECT_num(list); i++) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(list, i));
        for (size_t k = 0; good && k < sizeof nids / sizeof *nids; k++)
            if (nids[k] == nid) good = value_builder_add(&b, integer(call, (int64_t) k));
    }
    EXTENDED_KEY_USAGE_free(list);
    if (!good) return NULL;
    return b.count ? builtin_builder_end(call, &b) : value_null();
}

/* Bit n of the extension is Go's 1 << n; OpenSSL keeps the octets as they are. */
static int64_t key_usage(X509 *cert)
{
    ASN1_BIT_STRING *bits = X509_get_ext_d2i(cert, NID_key_usage, NULL, NULL);
    int64_t usage = 0;
    for (int n = 0; bits && n < 9; n++)
        if (ASN1_BIT_STRING_get_bit(bits, n)) usage |= (int64_t) 1 << n;
    ASN1_BIT_STRING_free(bits);
    return usage;
}

static void put_constraints(struct out *o, X509 *cert)
{
    BASIC_CONSTRAINTS *c = X509_get_ext_d2i(cert, NID_basic_constraints, NULL, NULL);
    bool ca = c && c->ca;
    int64_t path = c && c->pathlen ? ASN1_INTEGER_get(c->pathlen) : c ? -1 : 0;
    put(o, "BasicConstraintsValid", value_bool(c != NULL));
    put(o, "IsCA", value_bool(ca));
    put(o, "MaxPathLen", integer(o->call, path));
    put(o, "MaxPathLenZero", value_bool(path == 0 && c && c->pathlen));
    BASIC_CONSTRAINTS_free(c);
}

static const struct value *extensions(struct builtin_call *call, const STACK_OF(X509_EXTENSION) *list)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        X509_EXTENSION *e = sk_X509_EXTENSION_value(list, i);
        struct out o = out_begin(call);
        put(&o, "Id", oid(call, X509_EXTENSION_get_object(e)));
        put(&o, "Critical", value_bool(X509_EXTENSION_get_critical(e) > 0));
        put(&o, "Value", octets(call, X509_EXTENSION_get_data(e)));
        const struct value *v = out_end(&o);
        if (!v || !value_builder_add(&b, v)) return NULL;
    }
    return b.count ? builtin_builder_end(call, &b) : value_null();
}

/* Go's crypto/x509.PublicKeyAlgorithm. */
static int64_t key_algorithm(const EVP_PKEY *key)
{
    static const struct { int type, number; } known[] = {
        {EVP_PKEY_RSA, 1}, {EVP_PKEY_DSA, 2}, {EVP_PKEY_EC, 3}, {EVP_PKEY_ED25519, 4}};
    for (size_t i = 0; key && i < sizeof known / sizeof *known; i++)
        if (EVP_PKEY_get_base_id(key) == known[i].type) return known[i].number;
    return 0;
}

/* Go's crypto/x509.SignatureAlgorithm; RSA-PSS, whose hash is a parameter, is 0 here. */
static int64_t signature_algorithm(int nid)
{
    static const int nids[] = {NID_undef, NID_md2WithRSAEncryption, NID_md5WithRSAEncryption,
                               NID_sha1WithRSAEncryption, NID_sha256WithRSAEncryption,
                               NID_sha384WithRSAEncryption, NID_sha512WithRSAEncryption,
                               NID_dsaWithSHA1, NID_dsa_with_SHA256, NID_ecdsa_with_SHA1,
                               NID_ecdsa_with_SHA256, NID_ecdsa_with_SHA384, NID_ecdsa_with_SHA512};
    for (size_t i = 1; i < sizeof nids / sizeof *nids; i++)
        if (nids[i] == nid) return (int64_t) i;
    return nid == NID_ED25519 ? 16 : 0;
}

const struct value *x509_value(struct builtin_call *call, X509 *cert)
{
    struct out o = out_begin(call);
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    put(&o, "Raw", encoded(call, der, len));
    put(&o, "Version", integer(call, X509_get_version(cert) + 1));
    put(&o, "SerialNumber", big(call, X509_get0_serialNumber(cert)));
    put(&o, "Subject", name_value(call, X509_get_subject_name(cert)));
    put(&o, "Issuer", name_value(call, X509_get_issuer_name(cert)));
    put(&o, "NotBefore", moment(call, X509_get0_notBefore(cert)));
    put(&o, "NotAfter", moment(call, X509_get0_notAfter(cert)));
    put(&o, "KeyUsage", integer(call, key_usage(cert)));
    put(&o, "ExtKeyUsage", extended_usages(call, cert));
    put(&o, "PublicKeyAlgorithm", integer(call, key_algorithm(X509_get0_pubkey(cert))));
    put(&o, "SignatureAlgorithm", integer(call, signature_algorithm(X509_get_signature_nid(cert))));
    put(&o, "SubjectKeyId", octets(call, X509_get0_subject_key_id(cert)));
    put(&o, "AuthorityKeyId", octets(call, X509_get0_authority_key_id(cert)));
    put(&o, "Extensions", extensions(call, X509_get0_extensions(cert)));
    put_constraints(&o, cert);
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    put_alternatives(&o, names);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return out_end(&o);
}

const struct value *x509_request_value(struct builtin_call *call, X509_REQ *request)
{
    struct out o = out_begin(call);
    uint8_t *der = NULL;
    int len = i2d_X509_REQ(request, &der);
    put(&o, "Raw", encoded(call, der, len));
    put(&o, "Version", integer(call, X509_REQ_get_version(request)));
    put(&o, "Subject", name_value(call, X509_REQ_get_subject_name(request)));
    put(&o, "PublicKeyAlgorithm", integer(call, key_algorithm(X509_REQ_get0_pubkey(request))));
    put(&o, "SignatureAlgorithm", integer(call, signature_algorithm(X509_REQ_get_signature_nid(request))));
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(request);
    put(&o, "Extensions", extensions(call, list));
    GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
    put_alternatives(&o, names);
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    ERR_clear_error();
    return out_end(&o);
}
