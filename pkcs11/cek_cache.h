/* Content keys that were unwrapped, kept as handles (never as bytes) so that opening the same
 * envelope again is one C_Decrypt. Bounded; a key in use is never destroyed; the clock algorithm
 * chooses what goes, and a full cache turns most newcomers away. cek_cache_new and cek_cache_free are in p11_internal.h.
 *
 * They are session objects of p->key_session, which nothing else uses, under p->key_lock. The
 * table has a small mutex of its own, a leaf, so that a hit does not wait for somebody's unwrap. */
#pragma once

#include "pkcs11/cek.h"

struct cek_entry;

/* A wrapped content key, and the KEK under which it is. */
struct cek_source {
    CK_OBJECT_HANDLE kek;
    uint32_t generation;
    struct cek_wrapped wrapped;
};

/* One content key for the time of one operation. */
struct cek_ref {
    CK_OBJECT_HANDLE handle;
    struct cek_entry *entry; /* NULL: a session object of the worker's own session */
};

/* From the cache, else by C_UnwrapKey; when there is no cache, or it is full and this key gets no place, or all in
 * it is in use, or somebody unwraps at this moment, in the worker's session. Where the token has no room for more
 * session keys the cache shrinks for good. The caller holds SCOPED_CRYPTO, and returns what it took. */
CK_RV cek_cache_take(struct p11 *p, struct cek_op *op, const struct cek_source *from,
                     struct cek_ref *ret);
/* stale: the token no longer knows the handle, so that the next one unwraps again. False when the session of the
 * keys was closed since the key was taken: then the handle may have been another object's, and a failure tells
 * nothing. */
bool cek_cache_return(struct p11 *p, struct cek_op *op, struct cek_ref *ref, bool stale);

struct cek_cache_stats { size_t held, max; uint64_t hits, misses, evicted; };
void cek_cache_stats(struct p11 *p, struct cek_cache_stats *ret);
