/* The table of guest sessions: small, capped, expendable (DESIGN.md 8).
 *
 * A session lives from auth to its expiry; attest gives it a guest. When the table is full, the
 * oldest unattested session makes room, never an attested one. Thread-safe; the sections under the
 * lock hold neither cryptography nor allocation. */
#pragma once

#include "broker/attest/guest.h"

#define SESSION_ID_BYTES 16

struct sessions;

/* A nonce that a verifier made, kept with its session; reference-counted, immutable. Other nonces are
 * derived from the session's id. */
struct session_nonce;
err_t session_nonce_new(struct span text, struct session_nonce **ret); /* one reference, the caller's */
void session_nonce_unref(struct session_nonce *n); /* NULL-safe */
DEFINE_CLEANUP(struct session_nonce, session_nonce_unref);
const char *session_nonce_text(const struct session_nonce *n);

/* What a session was when it was looked up. */
struct session_view {
    uint8_t id[SESSION_ID_BYTES];
    int64_t expires;     /* Unix seconds */
    const char *tee;     /* static */
    struct guest *guest; /* NULL until attested; a reference of the holder's */
    struct session_nonce *nonce; /* NULL: derived; a reference of the holder's */
};
void session_view_done(struct session_view *v);

/* max: sessions at once; max_bytes: memory of all their guests (guest_bytes); seconds: life from
 * auth. */
err_t sessions_new(size_t max, size_t max_bytes, int64_t seconds, struct sessions **ret);
void sessions_free(struct sessions *s);
DEFINE_CLEANUP(struct sessions, sessions_free);

/* A new session with a random id, and a reference of its own to nonce, which may be NULL. ERR_BUSY when
 * every session is attested and there are max. Nonces of sessions that have not attested take
 * SESSION_NONCE_BYTES, then the oldest sessions with one make room, and no others. */
err_t sessions_create(struct sessions *s, const char *tee, struct session_nonce *nonce, int64_t now,
                      struct session_view *ret);

/* ERR_NOTFOUND when there is none or it ended. */
err_t sessions_find(struct sessions *s, const uint8_t id[SESSION_ID_BYTES], int64_t now,
                    struct session_view *ret);

/* Gives the session this guest (takes a reference of its own) instead of any that it had.
 * ERR_NOTFOUND when the session ended or was evicted meanwhile; ERR_BUSY when the guests of all
 * sessions take max_bytes. */
err_t sessions_attest(struct sessions *s, const uint8_t id[SESSION_ID_BYTES], int64_t now,
                      struct guest *g);

/* The same for the guest that comes of old's token, verified again; nothing happens when the session has
 * another guest than old by now: it attested anew meanwhile. old: a reference of the caller's. */
err_t sessions_renew(struct sessions *s, const uint8_t id[SESSION_ID_BYTES], int64_t now,
                     const struct guest *old, struct guest *g);

struct session_counts {
    size_t sessions, attested;
    uint64_t evicted; /* unattested ones that made room */
};
void sessions_count(struct sessions *s, int64_t now, struct session_counts *ret);

/* The cookie's text: exactly 32 lower-case hex digits (kbs-api.md 13.36). text may be NULL. */
bool session_id_from(const char *text, uint8_t ret[SESSION_ID_BYTES]);
