/* Base64url (RFC 4648 5, as JOSE uses it: RFC 7515 2) and base64 (RFC 4648 4). Both strict: exact
 * alphabet, no white space, no stray bits at the end; base64url without padding, base64 with it. */
#pragma once

#include "broker/base/secret.h"

/* Appends. Encoding of non-secret bytes only; sticky failure as buf. */
void b64url_add(struct buf *out, struct span data);
void b64_add(struct buf *out, struct span data);

/* Appends the decoded bytes; ERR_USAGE when text is not strict. *ret is unchanged on failure. */
err_t b64url_decode(struct span text, struct buf *ret);
err_t b64_decode(struct span text, struct buf *ret);

/* The same for what is secret (private JWK members, keys). */
err_t b64url_decode_secret(struct span text, struct secret **ret);
