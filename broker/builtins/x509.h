/* Certificates as the crypto.x509 functions see them. */
#pragma once

#include "broker/builtins/internal.h"

#include <openssl/x509.h>

/* The members of Go's x509.Certificate and x509.CertificateRequest under Go's names, as OPA shows
 * them; README.md lists them. NULL: recorded in the call. */
const struct value *x509_value(struct builtin_call *call, X509 *cert);
const struct value *x509_request_value(struct builtin_call *call, X509_REQ *request);
