/* What servers of keys say beside the keys: the OpenID discovery document (OpenID Connect Discovery
 * 1.0, 3 and 4), and how long an answer may be kept (RFC 9111 5.2). Pure. */
#pragma once

#include "broker/base/buf.h"

#include <stdbool.h>

/* Where the discovery document of this issuer lies; into a malloc'ed text. */
err_t discovery_url(const char *issuer, char **ret);

/* The document's jwks_uri, malloc'ed. ERR_USAGE: it is none, its issuer is not exactly this one, or
 * the jwks_uri is no https URL (http to this host only when the issuer is that as well) of at most
 * KEY_URI_MAX bytes. */
err_t discovery_parse(struct span document, const char *issuer, char **ret_jwks_uri);

/* max-age of a Cache-Control value, in seconds; false when it has none that can be read. */
bool cache_max_age(struct span value, uint64_t *ret_seconds);
