/* The session cookie of the handshake (kbs-api.md 2.3). */
#pragma once

#include "broker/base/exchange.h"

#define SESSION_COOKIE "kbs-session-id"
#define SESSION_COOKIE_TEXT 64 /* bytes of a value worth looking at; a session's name has 32 */

/* The first cookie of that name in all Cookie headers, cut to fit; false when there is none. */
bool cookie_read(const struct request *r, char out[SESSION_COOKIE_TEXT]);

/* Set-Cookie exactly as the reference writes it: value and Expires, nothing else. */
void cookie_set(struct response *resp, const char *session, int64_t expires);
