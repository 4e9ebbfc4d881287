/* A guest as the clients in use behave (kbs-api.md 2): challenge, sample evidence, attest, GET. */
#pragma once

#include "broker/cmd/client.h"
#include "broker/jose/jwe.h"

/* POST auth and POST attest with sample evidence over this key. The session's cookie stays in the
 * client; the token is appended to *ret_token. init_data: TOML text or empty. */
err_t guest_attest(struct http_client *client, EVP_PKEY *key, struct span init_data,
                   struct buf *ret_token);

/* GET a resource and open its JWE. path: "/kbs/v0/resource/a/b/c"; token: NULL to use the session. */
err_t guest_fetch(struct http_client *client, EVP_PKEY *key, const char *path, const char *token,
                  struct secret **ret);
