/* What guests say, for the load generator: the handshake with sample evidence, and releases. Their
 * keys are made ahead and each handshake only hashes its nonce, so that a guest costs little. */
#pragma once

#include "tests/bench/load.h"

/* The requests of a round, in this order. */
enum guests_step { GUESTS_AUTH, GUESTS_ATTEST, GUESTS_GET, GUESTS_STEPS };

struct guests_mode {
    const char *name;
    enum guests_step first, last; /* of a round; what comes before `first` is done once */
    bool bearer;                  /* the token instead of the cookie */
};
/* "auth", "handshake", "fetch" (a handshake and one GET), "cookie" and "bearer" (GETs); NULL. */
const struct guests_mode *guests_mode_named(const char *name);

struct guests;

/* key: "P-256", "P-521" or "RSA-2048". resource: "repository/type/tag". With `opens` the first answer
 * that releases something to a connection must open with the key of its guest. */
err_t guests_new(const struct guests_mode *mode, const char *key, const char *resource, bool opens,
                 struct guests **ret);
void guests_free(struct guests *g);
DEFINE_CLEANUP(struct guests, guests_free);

/* For struct load; context is the guests. */
bool guests_ask(void *guests, unsigned connection, struct buf *request);
bool guests_hear(void *guests, unsigned connection, struct span head, struct span body);

unsigned guests_requests(const struct guests_mode *mode); /* of one round */

/* The last request with a body and the last answer of connection 0, after a run. Borrowed. */
struct guests_sample {
    struct span request, answer;
    const char *cookie; /* "kbs-session-id=...", or "" */
};
struct guests_sample guests_sample(const struct guests *g, enum guests_step step);
