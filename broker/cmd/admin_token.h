/* Operators' keys and tokens, as `admin` makes them and `dev` for itself. */
#pragma once

#include "broker/jose/jws.h"

struct admin_token {
    const char *role, *subject, *issuer, *audience; /* NULL: left out, except role */
    int64_t seconds;                                /* from now */
};

/* An Ed25519 pair in two new files (0600 and 0644): both or none. ERR_CONFLICT when one exists. */
err_t admin_keygen(const char *key_file, const char *public_file);

/* A signed token, appended to *ret; EdDSA or ES256 by the key (kbs-api.md 6.1). */
err_t admin_token_sign(const char *key_file, const struct admin_token *t, struct buf *ret);
