/* Certificates as the crypto.x509 functions see them. NULL and false mean: recorded in the call. */
#pragma once

#include "broker/builtins/internal.h"

#include <openssl/x509.h>

/* Appends the certificates of a text: PEM, base64 of PEM, or base64 of DER, one after the other. */
bool x509_read_list(struct builtin_call *call, const struct value *text, STACK_OF(X509) *ret);
void x509_free_list(STACK_OF(X509) *list);

/* [{...}, ...] */
const struct value *x509_list_value(struct builtin_call *call, STACK_OF(X509) *list);

/* The members of Go's x509.Certificate and x509.CertificateRequest under Go's names, as OPA shows
 * them; README.md lists them. */
const struct value *x509_value(struct builtin_call *call, X509 *cert);
const struct value *x509_request_value(struct builtin_call *call, X509_REQ *request);
