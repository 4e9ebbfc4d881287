/* Certificates and requests as values, under the names of Go's crypto/x509. */
#include "broker/builtins/x509_pieces.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

enum { DER_BYTES_A_STEP = 4 }; /* members of a few bytes each become values */

/* ---- keys and signatures ----------------------------------------------------------------------------- */

/* The first part of a SEQUENCE as it stands: what the signature is over. */
static const struct value *signed_part(struct builtin_call *call, const uint8_t *der, int len)
{
    const uint8_t *at = der;
    long inner = 0;
    int tag = 0, class = 0;
    if (len <= 0 || ASN1_get_object(&at, &inner, &tag, &class, len) & 0x80) return value_null();
    const uint8_t *begin = at;
    if (ASN1_get_object(&at, &inner, &tag, &class, inner) & 0x80) return value_null();
    return x509_bytes(call, begin, (int) (at + inner - begin));
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

static void put_number(struct x509_out *o, const char *name, const EVP_PKEY *key, const char *param)
{
    BIGNUM *n = NULL;
    EVP_PKEY_get_bn_param(key, param, &n);
    x509_put(o, name, x509_big(o->call, n));
    BN_free(n);
}

/* {N, E}, {Curve, X, Y}, bytes of Ed25519; null for other kinds. */
static const struct value *public_key(struct builtin_call *call, const EVP_PKEY *key)
{
    struct x509_out o = x509_out_begin(call);
    uint8_t raw[32];
    size_t len = sizeof raw;
    switch (key_algorithm(key)) {
    case 1:
        put_number(&o, "N", key, OSSL_PKEY_PARAM_RSA_N);
        put_number(&o, "E", key, OSSL_PKEY_PARAM_RSA_E);
        return x509_out_end(&o);
    case 3:
        x509_put(&o, "Curve", &VALUE_EMPTY_OBJECT);
        put_number(&o, "X", key, OSSL_PKEY_PARAM_EC_PUB_X);
        put_number(&o, "Y", key, OSSL_PKEY_PARAM_EC_PUB_Y);
        return x509_out_end(&o);
    case 4:
        if (EVP_PKEY_get_raw_public_key(key, raw, &len) == 1) return x509_bytes(call, raw, (int) len);
    }
    return value_null();
}

/* The hash of RSA-PSS is a parameter (RFC 4055 3.1): SHA-256 is 13, SHA-384 14, SHA-512 15. */
static int64_t pss_algorithm(const X509_ALGOR *algorithm)
{
    static const int nids[] = {NID_sha256, NID_sha384, NID_sha512};
    const void *parameter = NULL;
    int type = 0;
    int64_t number = 0;
    X509_ALGOR_get0(NULL, &type, &parameter, algorithm);
    if (type != V_ASN1_SEQUENCE) return 0;
    RSA_PSS_PARAMS *pss = ASN1_item_unpack(parameter, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
    int nid = pss && pss->hashAlgorithm ? OBJ_obj2nid(pss->hashAlgorithm->algorithm) : NID_undef;
    for (int i = 0; i < 3; i++)
        if (nids[i] == nid) number = 13 + i;
    RSA_PSS_PARAMS_free(pss);
    return number;
}

/* Go's crypto/x509.SignatureAlgorithm. */
static int64_t signature_algorithm(const X509_ALGOR *algorithm)
{
    static const int nids[] = {NID_undef, NID_md2WithRSAEncryption, NID_md5WithRSAEncryption,
                               NID_sha1WithRSAEncryption, NID_sha256WithRSAEncryption,
                               NID_sha384WithRSAEncryption, NID_sha512WithRSAEncryption,
                               NID_dsaWithSHA1, NID_dsa_with_SHA256, NID_ecdsa_with_SHA1,
                               NID_ecdsa_with_SHA256, NID_ecdsa_with_SHA384, NID_ecdsa_with_SHA512};
    const ASN1_OBJECT *object = NULL;
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    int nid = OBJ_obj2nid(object);
    if (nid == NID_rsassaPss) return pss_algorithm(algorithm);
    for (size_t i = 1; i < sizeof nids / sizeof *nids; i++)
        if (nids[i] == nid) return (int64_t) i;
    return nid == NID_ED25519 ? 16 : 0;
}

static void put_key_and_signature(struct x509_out *o, X509_PUBKEY *encoded, const EVP_PKEY *key,
                                  const ASN1_BIT_STRING *signature, const X509_ALGOR *algorithm)
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(encoded, &der);
    x509_put(o, "RawSubjectPublicKeyInfo", x509_encoded(o->call, der, len));
    x509_put(o, "PublicKeyAlgorithm", x509_integer(o->call, key_algorithm(key)));
    x509_put(o, "PublicKey", public_key(o->call, key));
    x509_put(o, "Signature", x509_octets(o->call, signature));
    x509_put(o, "SignatureAlgorithm", x509_integer(o->call, signature_algorithm(algorithm)));
}

static void put_name(struct x509_out *o, const char *name, const char *raw, X509_NAME *v)
{
    const uint8_t *der = NULL;
    size_t len = 0;
    X509_NAME_get0_der(v, &der, &len);
    x509_put(o, raw, x509_bytes(o->call, der, (int) len));
    x509_put(o, name, x509_name(o->call, v));
}

/* ---- extensions --------------------------------------------------------------------------------------- */

/* One that is malformed, or there twice, fails the whole, as in Go: to say that it is absent would
 * tell a policy the wrong thing. */
static bool extension_good(struct x509_out *o, const void *found, int critical)
{
    if (found || critical == -1) return true;
    builtin_fail(o->call, critical == -2 ? "x509: certificate contains duplicate extensions"
                                         : "x509: malformed extension");
    return false;
}

/* NULL: there is none. */
static void *extension(struct x509_out *o, const X509 *cert, int nid)
{
    int critical = -1;
    void *v = X509_get_ext_d2i(cert, nid, &critical, NULL);
    if (!extension_good(o, v, critical)) o->failed = true;
    return v;
}

static const struct value *extensions(struct builtin_call *call, const STACK_OF(X509_EXTENSION) *list)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        X509_EXTENSION *e = sk_X509_EXTENSION_value(list, i);
        struct x509_out o = x509_out_begin(call);
        x509_put(&o, "Id", x509_oid(call, X509_EXTENSION_get_object(e)));
        x509_put(&o, "Critical", value_bool(X509_EXTENSION_get_critical(e) > 0));
        x509_put(&o, "Value", x509_octets(call, X509_EXTENSION_get_data(e)));
        const struct value *v = x509_out_end(&o);
        if (!v || !value_builder_add(&b, v)) return NULL;
    }
    return x509_list_end(call, &b);
}

/* Those that no member of the value stands for. */
static const struct value *unhandled(struct builtin_call *call, const STACK_OF(X509_EXTENSION) *list)
{
    static const int handled[] = {NID_key_usage, NID_basic_constraints, NID_subject_alt_name,
                                  NID_name_constraints, NID_crl_distribution_points,
                                  NID_authority_key_identifier, NID_ext_key_usage,
                                  NID_subject_key_identifier, NID_certificate_policies, NID_info_access};
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        X509_EXTENSION *e = sk_X509_EXTENSION_value(list, i);
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));
        bool known = X509_EXTENSION_get_critical(e) <= 0;
        for (size_t k = 0; !known && k < sizeof handled / sizeof *handled; k++) known = handled[k] == nid;
        const struct value *v = known ? NULL : x509_oid(call, X509_EXTENSION_get_object(e));
        if (!known && (!v || !value_builder_add(&b, v))) return NULL;
    }
    return x509_list_end(call, &b);
}

/* Bit n of the extension is Go's 1 << n; OpenSSL keeps the octets as they are. */
static void put_key_usage(struct x509_out *o, X509 *cert)
{
    ASN1_BIT_STRING *bits = extension(o, cert, NID_key_usage);
    int64_t usage = 0;
    for (int n = 0; bits && n < 9; n++)
        if (ASN1_BIT_STRING_get_bit(bits, n)) usage |= (int64_t) 1 << n;
    ASN1_BIT_STRING_free(bits);
    x509_put(o, "KeyUsage", x509_integer(o->call, usage));
}

/* By Go's numbers; the others by their identifiers. */
static void put_extended_usages(struct x509_out *o, X509 *cert)
{
    EXTENDED_KEY_USAGE *list = extension(o, cert, NID_ext_key_usage);
    struct value_builder known, unknown;
    value_builder_init(&known, o->call->arena, VALUE_ARRAY);
    value_builder_init(&unknown, o->call->arena, VALUE_ARRAY);
    for (int i = 0; !o->failed && i < sk_ASN1_OBJECT_num(list); i++) {
        const ASN1_OBJECT *object = sk_ASN1_OBJECT_value(list, i);
        int number = x509_usage(object);
        const struct value *v = number >= 0 ? x509_integer(o->call, number) : x509_oid(o->call, object);
        if (!v || !value_builder_add(number >= 0 ? &known : &unknown, v)) o->failed = true;
    }
    EXTENDED_KEY_USAGE_free(list);
    x509_put(o, "ExtKeyUsage", x509_list_end(o->call, &known));
    x509_put(o, "UnknownExtKeyUsage", x509_list_end(o->call, &unknown));
}

static void put_constraints(struct x509_out *o, X509 *cert)
{
    BASIC_CONSTRAINTS *c = extension(o, cert, NID_basic_constraints);
    int64_t path = c && c->pathlen ? ASN1_INTEGER_get(c->pathlen) : c ? -1 : 0;
    x509_put(o, "BasicConstraintsValid", value_bool(c != NULL));
    x509_put(o, "IsCA", value_bool(c && c->ca));
    x509_put(o, "MaxPathLen", x509_integer(o->call, path));
    x509_put(o, "MaxPathLenZero", value_bool(path == 0 && c && c->pathlen));
    BASIC_CONSTRAINTS_free(c);
}

static void put_key_ids(struct x509_out *o, X509 *cert)
{
    ASN1_OCTET_STRING *subject = extension(o, cert, NID_subject_key_identifier);
    AUTHORITY_KEYID *authority = extension(o, cert, NID_authority_key_identifier);
    x509_put(o, "SubjectKeyId", x509_octets(o->call, subject));
    x509_put(o, "AuthorityKeyId", x509_octets(o->call, authority ? authority->keyid : NULL));
    ASN1_OCTET_STRING_free(subject);
    AUTHORITY_KEYID_free(authority);
}

/* Where more is to be had; nothing here goes there. */
static void put_locations(struct x509_out *o, X509 *cert)
{
    AUTHORITY_INFO_ACCESS *access = extension(o, cert, NID_info_access);
    CRL_DIST_POINTS *points = extension(o, cert, NID_crl_distribution_points);
    struct value_builder ocsp, issuers, lists;
    value_builder_init(&ocsp, o->call->arena, VALUE_ARRAY);
    value_builder_init(&issuers, o->call->arena, VALUE_ARRAY);
    value_builder_init(&lists, o->call->arena, VALUE_ARRAY);
    for (int i = 0; !o->failed && i < sk_ACCESS_DESCRIPTION_num(access); i++) {
        const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(access, i);
        int nid = OBJ_obj2nid(a->method);
        struct value_builder *to = nid == NID_ad_OCSP ? &ocsp : nid == NID_ad_ca_issuers ? &issuers : NULL;
        if (to && !x509_add_general(o->call, to, a->location, GEN_URI)) o->failed = true;
    }
    for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT_NAME *name = sk_DIST_POINT_value(points, i)->distpoint;
        const GENERAL_NAMES *full = name && name->type == 0 ? name->name.fullname : NULL;
        for (int k = 0; !o->failed && k < sk_GENERAL_NAME_num(full); k++)
            if (!x509_add_general(o->call, &lists, sk_GENERAL_NAME_value(full, k), GEN_URI)) o->failed = true;
    }
    AUTHORITY_INFO_ACCESS_free(access);
    CRL_DIST_POINTS_free(points);
    x509_put(o, "OCSPServer", x509_list_end(o->call, &ocsp));
    x509_put(o, "IssuingCertificateURL", x509_list_end(o->call, &issuers));
    x509_put(o, "CRLDistributionPoints", x509_list_end(o->call, &lists));
}

static void put_policies(struct x509_out *o, X509 *cert)
{
    CERTIFICATEPOLICIES *policies = extension(o, cert, NID_certificate_policies);
    struct value_builder b;
    value_builder_init(&b, o->call->arena, VALUE_ARRAY);
    for (int i = 0; !o->failed && i < sk_POLICYINFO_num(policies); i++) {
        const struct value *v = x509_oid(o->call, sk_POLICYINFO_value(policies, i)->policyid);
        if (!v || !value_builder_add(&b, v)) o->failed = true;
    }
    CERTIFICATEPOLICIES_free(policies);
    x509_put(o, "PolicyIdentifiers", x509_list_end(o->call, &b));
}

static void put_alternatives(struct x509_out *o, X509 *cert)
{
    GENERAL_NAMES *names = extension(o, cert, NID_subject_alt_name);
    x509_put_alternatives(o, names);
    GENERAL_NAMES_free(names);
}

/* ---- name constraints --------------------------------------------------------------------------------- */

/* Go's net.IPNet: an address and a mask in one. */
static const struct value *range(struct builtin_call *call, const ASN1_OCTET_STRING *s)
{
    int half = ASN1_STRING_length(s) / 2;
    const uint8_t *bytes = ASN1_STRING_get0_data(s);
    struct x509_out o = x509_out_begin(call);
    x509_put(&o, "IP", x509_address(call, bytes, half));
    x509_put(&o, "Mask", x509_bytes(call, bytes + half, half));
    return x509_out_end(&o);
}

static const struct value *subtrees(struct builtin_call *call, const STACK_OF(GENERAL_SUBTREE) *list,
                                    int type)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < sk_GENERAL_SUBTREE_num(list); i++) {
        const GENERAL_NAME *n = sk_GENERAL_SUBTREE_value(list, i)->base;
        if (n->type != type) continue;
        if (type != GEN_IPADD) {
            if (!x509_add_general(call, &b, n, type)) return NULL;
            continue;
        }
        const struct value *v = range(call, n->d.iPAddress);
        if (!v || !value_builder_add(&b, v)) return NULL;
    }
    return x509_list_end(call, &b);
}

static void put_name_constraints(struct x509_out *o, X509 *cert)
{
    static const struct { const char *permitted, *excluded; int type; } rows[] = {
        {"PermittedDNSDomains", "ExcludedDNSDomains", GEN_DNS},
        {"PermittedEmailAddresses", "ExcludedEmailAddresses", GEN_EMAIL},
        {"PermittedIPRanges", "ExcludedIPRanges", GEN_IPADD},
        {"PermittedURIDomains", "ExcludedURIDomains", GEN_URI}};
    NAME_CONSTRAINTS *c = extension(o, cert, NID_name_constraints);
    int at = X509_get_ext_by_NID(cert, NID_name_constraints, -1);
    x509_put(o, "PermittedDNSDomainsCritical",
             value_bool(at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(cert, at)) > 0));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        x509_put(o, rows[i].permitted, subtrees(o->call, c ? c->permittedSubtrees : NULL, rows[i].type));
        x509_put(o, rows[i].excluded, subtrees(o->call, c ? c->excludedSubtrees : NULL, rows[i].type));
    }
    NAME_CONSTRAINTS_free(c);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static const struct value *serial_number(struct builtin_call *call, const X509 *cert)
{
    BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    const struct value *v = x509_big(call, n);
    BN_free(n);
    return v;
}

static void put_extensions(struct x509_out *o, X509 *cert)
{
    const STACK_OF(X509_EXTENSION) *list = X509_get0_extensions(cert);
    x509_put(o, "Extensions", extensions(o->call, list));
    x509_put(o, "ExtraExtensions", value_null());
    x509_put(o, "UnhandledCriticalExtensions", unhandled(o->call, list));
    put_key_usage(o, cert);
    put_extended_usages(o, cert);
    put_constraints(o, cert);
    put_key_ids(o, cert);
    put_locations(o, cert);
    put_policies(o, cert);
    put_alternatives(o, cert);
    put_name_constraints(o, cert);
}

const struct value *x509_value(struct builtin_call *call, X509 *cert)
{
    struct x509_out o = x509_out_begin(call);
    uint8_t *der = NULL;
    const ASN1_BIT_STRING *signature = NULL;
    const X509_ALGOR *algorithm = NULL;
    int len = i2d_X509(cert, &der);
    if (len < 0 || !builtin_spend(call, (uint64_t) len / DER_BYTES_A_STEP)) o.failed = true;
    X509_get0_signature(&signature, &algorithm, cert);
    if (!o.failed) {
        x509_put(&o, "RawTBSCertificate", signed_part(call, der, len));
        x509_put(&o, "Version", x509_integer(call, X509_get_version(cert) + 1));
        x509_put(&o, "SerialNumber", serial_number(call, cert));
        put_name(&o, "Subject", "RawSubject", X509_get_subject_name(cert));
        put_name(&o, "Issuer", "RawIssuer", X509_get_issuer_name(cert));
        x509_put(&o, "NotBefore", x509_moment(call, X509_get0_notBefore(cert)));
        x509_put(&o, "NotAfter", x509_moment(call, X509_get0_notAfter(cert)));
        put_key_and_signature(&o, X509_get_X509_PUBKEY(cert), X509_get0_pubkey(cert), signature, algorithm);
        put_extensions(&o, cert);
    }
    x509_put(&o, "Raw", x509_encoded(call, der, len));
    ERR_clear_error();
    return x509_out_end(&o);
}

const struct value *x509_request_value(struct builtin_call *call, X509_REQ *request)
{
    struct x509_out o = x509_out_begin(call);
    uint8_t *der = NULL;
    const ASN1_BIT_STRING *signature = NULL;
    const X509_ALGOR *algorithm = NULL;
    int len = i2d_X509_REQ(request, &der);
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(request);
    int critical = -1;
    GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, &critical, NULL);
    if (len < 0 || !builtin_spend(call, (uint64_t) len / DER_BYTES_A_STEP)) o.failed = true;
    if (!extension_good(&o, names, critical)) o.failed = true;
    X509_REQ_get0_signature(request, &signature, &algorithm);
    if (!o.failed) {
        x509_put(&o, "RawTBSCertificateRequest", signed_part(call, der, len));
        x509_put(&o, "Version", x509_integer(call, X509_REQ_get_version(request)));
        put_name(&o, "Subject", "RawSubject", X509_REQ_get_subject_name(request));
        put_key_and_signature(&o, X509_REQ_get_X509_PUBKEY(request), X509_REQ_get0_pubkey(request),
                              signature, algorithm);
        x509_put(&o, "Extensions", extensions(call, list));
        x509_put(&o, "ExtraExtensions", value_null());
        x509_put_alternatives(&o, names);
    }
    x509_put(&o, "Raw", x509_encoded(call, der, len));
    GENERAL_NAMES_free(names);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    ERR_clear_error();
    return x509_out_end(&o);
}
