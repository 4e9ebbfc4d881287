/* What certificates and requests are made of, as values. */
#include "broker/builtins/x509_pieces.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* ---- objects -------------------------------------------------------------------------------------- */

struct x509_out x509_out_begin(struct builtin_call *call)
{
    struct x509_out o = {.call = call};
    value_builder_init(&o.object, call->arena, VALUE_OBJECT);
    return o;
}

void x509_put(struct x509_out *o, const char *name, const struct value *v)
{
    const struct value *key = value_string_z(o->call->arena, name);
    if (!v || !key || !value_builder_put(&o->object, key, v)) o->failed = true;
}

const struct value *x509_out_end(struct x509_out *o)
{
    if (!o->failed) return builtin_builder_end(o->call, &o->object);
    return o->call->problem == BUILTIN_FINE ? builtin_halt(o->call) : NULL; /* no memory */
}

const struct value *x509_list_end(struct builtin_call *call, struct value_builder *list)
{
    return list->count ? builtin_builder_end(call, list) : value_null();
}

/* ---- scalars -------------------------------------------------------------------------------------- */

const struct value *x509_integer(struct builtin_call *call, int64_t i)
{
    return value_int(call->arena, i);
}

const struct value *x509_text(struct builtin_call *call, const void *data, int len)
{
    return value_string(call->arena, len > 0 ? data : "", len > 0 ? (size_t) len : 0);
}

const struct value *x509_bytes(struct builtin_call *call, const void *data, int len)
{
    const struct value *raw = x509_text(call, data, len);
    return raw ? builtin_base64_encode(call, &raw) : NULL;
}

const struct value *x509_octets(struct builtin_call *call, const ASN1_STRING *s)
{
    return s ? x509_bytes(call, ASN1_STRING_get0_data(s), ASN1_STRING_length(s)) : value_null();
}

const struct value *x509_encoded(struct builtin_call *call, uint8_t *der, int len)
{
    const struct value *v = len > 0 ? x509_bytes(call, der, len) : value_null();
    OPENSSL_free(der);
    return v;
}

const struct value *x509_big(struct builtin_call *call, const BIGNUM *n)
{
    if (!n) return value_null();
    if (BN_num_bits(n) > X509_INTEGER_BITS_MAX)
        return builtin_fail(call, "x509: an integer of more than %d bits", X509_INTEGER_BITS_MAX);
    char *digits = BN_bn2dec(n);
    struct num number;
    bool good = digits && num_parse(call->arena, digits, strlen(digits), &number);
    OPENSSL_free(digits);
    return good ? value_num(call->arena, number) : NULL;
}

const struct value *x509_moment(struct builtin_call *call, const ASN1_TIME *t)
{
    struct tm tm;
    char out[64];
    if (ASN1_TIME_to_tm(t, &tm) != 1) return builtin_fail(call, "x509: malformed time");
    int len = snprintf(out, sizeof out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return x509_text(call, out, len);
}

const struct value *x509_oid(struct builtin_call *call, const ASN1_OBJECT *object)
{
    char dotted[256];
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    int len = OBJ_obj2txt(dotted, sizeof dotted, object, 1);
    if (len <= 0 || len >= (int) sizeof dotted)
        return builtin_fail(call, "x509: malformed object identifier");
    for (char *at = dotted; *at;) {
        size_t digits = strcspn(at, ".");
        struct num n;
        if (!num_parse(call->arena, at, digits, &n) ||
            !value_builder_add(&b, value_num(call->arena, n)))
            return NULL;
        at += digits + (at[digits] == '.');
    }
    return builtin_builder_end(call, &b);
}

int x509_usage(const ASN1_OBJECT *usage)
{
    /* 1.3.6.1.4.1.311.61.1.1, Microsoft's signing of kernels: OpenSSL has no name for it. */
    static const uint8_t kernel[] = {0x2b, 6, 1, 4, 1, 0x82, 0x37, 0x3d, 1, 1};
    static const int nids[X509_USAGES - 1] = {
        NID_anyExtendedKeyUsage, NID_server_auth, NID_client_auth, NID_code_sign, NID_email_protect,
        NID_ipsecEndSystem, NID_ipsecTunnel, NID_ipsecUser, NID_time_stamp, NID_OCSP_sign, NID_ms_sgc,
        NID_ns_sgc, NID_ms_code_com};
    int nid = OBJ_obj2nid(usage);
    for (int i = 0; i < X509_USAGES - 1; i++)
        if (nids[i] == nid) return i;
    bool is_kernel = OBJ_length(usage) == sizeof kernel &&
                     memcmp(OBJ_get0_data(usage), kernel, sizeof kernel) == 0;
    return is_kernel ? X509_USAGES - 1 : -1;
}

/* ---- names ---------------------------------------------------------------------------------------- */

static const struct value *utf8(struct builtin_call *call, const ASN1_STRING *s)
{
    uint8_t *out = NULL;
    int len = ASN1_STRING_to_UTF8(&out, s);
    const struct value *v =
        len >= 0 ? x509_text(call, out, len) : builtin_fail(call, "x509: malformed text in a name");
    OPENSSL_free(out);
    ERR_clear_error();
    return v;
}

static const struct value *entry_text(struct builtin_call *call, const X509_NAME *name, int at)
{
    return utf8(call, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

/* All entries of one type. */
static const struct value *entries(struct builtin_call *call, const X509_NAME *name, int nid)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) {
        const struct value *v = entry_text(call, name, at);
        if (!v || !value_builder_add(&b, v)) return NULL;
    }
    return x509_list_end(call, &b);
}

static const struct value *last_entry(struct builtin_call *call, const X509_NAME *name, int nid)
{
    int found = -1;
    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) found = at;
    return found < 0 ? &VALUE_EMPTY_STRING : entry_text(call, name, found);
}

static const struct value *all_entries(struct builtin_call *call, const X509_NAME *name)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        struct x509_out o = x509_out_begin(call);
        x509_put(&o, "Type", x509_oid(call, X509_NAME_ENTRY_get_object(X509_NAME_get_entry(name, i))));
        x509_put(&o, "Value", entry_text(call, name, i));
        const struct value *v = x509_out_end(&o);
        if (!v || !value_builder_add(&b, v)) return NULL;
    }
    return x509_list_end(call, &b);
}

const struct value *x509_name(struct builtin_call *call, const X509_NAME *name)
{
    static const struct { const char *name; int nid; } lists[] = {
        {"Country", NID_countryName}, {"Organization", NID_organizationName},
        {"OrganizationalUnit", NID_organizationalUnitName}, {"Locality", NID_localityName},
        {"Province", NID_stateOrProvinceName}, {"StreetAddress", NID_streetAddress},
        {"PostalCode", NID_postalCode}};
    struct x509_out o = x509_out_begin(call);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        x509_put(&o, lists[i].name, entries(call, name, lists[i].nid));
    x509_put(&o, "CommonName", last_entry(call, name, NID_commonName));
    x509_put(&o, "SerialNumber", last_entry(call, name, NID_serialNumber));
    x509_put(&o, "Names", all_entries(call, name));
    x509_put(&o, "ExtraNames", value_null());
    return x509_out_end(&o);
}

/* ---- general names -------------------------------------------------------------------------------- */

const struct value *x509_address(struct builtin_call *call, const uint8_t *bytes, int len)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96, shown as IPv4 */
    char out[INET6_ADDRSTRLEN];
    if (len != 4 && len != 16) return builtin_fail(call, "x509: cannot parse IP address of length %d", len);
    if (len == 16 && memcmp(bytes, mapped, sizeof mapped) == 0) {
        bytes += sizeof mapped;
        len = 4;
    }
    const char *text = inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, out, sizeof out);
    return text ? value_string_z(call->arena, text) : NULL;
}

/* An IA5String: ASCII. */
static const struct value *ascii(struct builtin_call *call, const ASN1_STRING *s)
{
    const uint8_t *bytes = ASN1_STRING_get0_data(s);
    int len = ASN1_STRING_length(s);
    for (int i = 0; i < len; i++)
        if (bytes[i] >= 0x80) return builtin_fail(call, "x509: invalid IA5String");
    return x509_text(call, bytes, len);
}

bool x509_add_general(struct builtin_call *call, struct value_builder *list, const GENERAL_NAME *n,
                      int type)
{
    if (n->type != type) return true;
    const struct value *v =
        type == GEN_IPADD ? x509_address(call, ASN1_STRING_get0_data(n->d.iPAddress),
                                         ASN1_STRING_length(n->d.iPAddress))
                          : ascii(call, n->d.ia5);
    return v && value_builder_add(list, v);
}

const struct value *x509_generals(struct builtin_call *call, const GENERAL_NAMES *names, int type)
{
    struct value_builder b;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        if (!x509_add_general(call, &b, sk_GENERAL_NAME_value(names, i), type)) return NULL;
    return x509_list_end(call, &b);
}

void x509_put_alternatives(struct x509_out *o, const GENERAL_NAMES *names)
{
    x509_put(o, "DNSNames", x509_generals(o->call, names, GEN_DNS));
    x509_put(o, "EmailAddresses", x509_generals(o->call, names, GEN_EMAIL));
    x509_put(o, "IPAddresses", x509_generals(o->call, names, GEN_IPADD));
    x509_put(o, "URIStrings", x509_generals(o->call, names, GEN_URI));
}
