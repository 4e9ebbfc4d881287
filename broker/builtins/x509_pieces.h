/* What certificates and requests are made of, as values: objects on their way, bytes, names. */
#pragma once

#include "broker/builtins/x509.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>

/* Bits of one integer (a serial number, a modulus): its decimal text takes time in their square. */
enum { X509_INTEGER_BITS_MAX = 16384 };

/* An object on its way. A member without a value fails the whole. */
struct x509_out {
    struct builtin_call *call;
    struct value_builder object;
    bool failed;
};
struct x509_out x509_out_begin(struct builtin_call *call);
void x509_put(struct x509_out *o, const char *name, const struct value *v);
const struct value *x509_out_end(struct x509_out *o);

/* All NULL when it failed; what is absent (NULL, empty lists) is null, as in Go's JSON. Bytes are
 * base64. */
const struct value *x509_text(struct builtin_call *call, const void *data, int len);
const struct value *x509_bytes(struct builtin_call *call, const void *data, int len);
const struct value *x509_octets(struct builtin_call *call, const ASN1_STRING *s);
const struct value *x509_encoded(struct builtin_call *call, uint8_t *der, int len); /* frees der */
const struct value *x509_integer(struct builtin_call *call, int64_t i);
const struct value *x509_big(struct builtin_call *call, const BIGNUM *n);
const struct value *x509_moment(struct builtin_call *call, const ASN1_TIME *t);
const struct value *x509_oid(struct builtin_call *call, const ASN1_OBJECT *object); /* [2, 5, 4, 3] */
const struct value *x509_list_end(struct builtin_call *call, struct value_builder *list);

/* Go's number of an extended usage (crypto/x509.ExtKeyUsage), 0 is "any"; -1: it has none. */
enum { X509_USAGE_ANY, X509_USAGE_SERVER_AUTH, X509_USAGES = 14 };
int x509_usage(const ASN1_OBJECT *usage);

/* Go's pkix.Name. */
const struct value *x509_name(struct builtin_call *call, const X509_NAME *name);

/* The general names of one type (GEN_DNS, GEN_EMAIL, GEN_IPADD, GEN_URI) as texts, added to a list. */
bool x509_add_general(struct builtin_call *call, struct value_builder *list, const GENERAL_NAME *n,
                      int type);
const struct value *x509_generals(struct builtin_call *call, const GENERAL_NAMES *names, int type);
/* An address of 4 or 16 bytes as text. */
const struct value *x509_address(struct builtin_call *call, const uint8_t *bytes, int len);
/* DNSNames, EmailAddresses, IPAddresses, URIStrings; names may be NULL. */
void x509_put_alternatives(struct x509_out *o, const GENERAL_NAMES *names);
