/* What libmicrohttpd lets through and we refuse, decided on the head alone, before any body.
 *
 * All functions are pure: tested and fuzzed without a socket. A refusal always ends the
 * connection, since after it nobody can say where the next request begins (RFC 9112 11.2). */
#pragma once

#include "broker/base/buf.h"

struct guard_refusal {
    int status;       /* 0: not refused */
    const char *text; /* static sentence for the client; never echoes input */
};

struct guard_target {
    struct span path; /* begins with '/' */
    struct span query;
    bool has_query;
};

/* Cuts a raw request target (RFC 9112 3.2) into path and query, both views of `raw`: absolute
 * form loses scheme and authority, `#...` is cut off. Refuses a space, more than HTTP_MAX_TARGET
 * bytes (414) and every other form. Bytes are not decoded: routing is on the raw path. */
struct guard_refusal guard_target(struct span raw, struct guard_target *ret);

/* Refuses what is not HTTP/1.0 to HTTP/1.9; `ret_old` says whether it is HTTP/1.0. */
struct guard_refusal guard_version(const char *version, bool *ret_old);

/* The header lines, in order, one call each; then guard_verdict. Zero-initialise. */
struct guard {
    unsigned lines;
    unsigned lengths, codings; /* lines of Content-Length and Transfer-Encoding */
    uint64_t length;           /* of the body, when lengths is 1 */
    bool expect;               /* an Expect line came */
    bool may_fold;             /* in: the parser gives folded lines (quirk.h) */
    struct guard_refusal refusal; /* the first one */
};
void guard_header(struct guard *g, struct span name, struct span value);
struct guard_refusal guard_verdict(const struct guard *g, bool old);
