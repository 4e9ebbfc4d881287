/* One look at a place of keys: a file, or a server. Waits for it, so never on an event loop. */
#pragma once

#include "broker/base/outbound.h"
#include "broker/jose/jwk.h"

enum key_form {
    KEY_FORM_SET, /* a JWK set; over the network also an OpenID issuer that names one */
    KEY_FORM_PEM, /* one public key or certificate */
};

struct fetched_keys {
    struct jwk_set *set;   /* a reference of the caller's */
    bool has_keep;         /* the server said how long the answer may be kept: */
    uint64_t keep_seconds;
};

/* Whether this is a URL (http or https) and no path. */
bool key_place_is_url(const char *place);

/* peer: the client to ask a URL with; NULL for a file. A URL of form SET is first read as a JWK set,
 * then as an OpenID issuer, whose discovery document must name it as issuer (kbs-api.md 4.4).
 * Redirects are not followed. Errors are those of file_read and outbound_send, and ERR_USAGE: what
 * was there is not what it should be. */
err_t key_fetch(struct outbound *peer, const char *place, enum key_form form,
                struct fetched_keys *ret);
